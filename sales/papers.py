"""What quotations and contracts tell the rooms below; ``join`` runs when the app is ready."""

from datetime import datetime, time
from urllib.parse import urlencode

from django.urls import reverse
from django.utils import timezone

from crm import agenda
from crm.admin import home
from crm.admin.home import Figure, Part
from crm.agenda import Occasion
from crm.exchange import money
from crm.models import DataScope
from crm.policies import policy_for
from customers import activity
from customers.activity import Button, Event, change_url
from customers.services import changes, lifecycle, rulebook
from sales.models import Contract, ContractStatus, Quotation, QuotationStatus
from sales.services import contracts, quotations
from sales.services.links import listed

PAPERS = "报价与合同"
ENDS_AT = time(9)  # contracts end on a day; on the agenda they stand in the morning


def join() -> None:
    from sales.admin.contracts import customer_tab as contract_tab
    from sales.admin.quotations import customer_tab as quotation_tab

    changes.EFFECTS.add("quotations", quotations.effects)
    changes.EFFECTS.add("contracts", contracts.effects)
    rulebook.EXEMPTIONS.add("有生效的合同", contracts.live_customers)
    lifecycle.DEALS.add("contracts", contracts.deals)
    activity.SOURCES.add("quotations", quotations_of)
    activity.SOURCES.add("contracts", contracts_of)
    activity.BUTTONS.add("papers", paper_buttons)
    activity.TABS.add("quotations", quotation_tab)
    activity.TABS.add("contracts", contract_tab)
    agenda.SOURCES.add("contracts", ENDING)
    home.parts.add("sales.papers", part)


# --- On the customer's page ------------------------------------------------------------------------------------------


def quotations_of(customer, user, most):
    """Quotations that were sent, and how they were answered."""
    rows = policy_for(Quotation).visible_to(user).filter(customer=customer).exclude(sent_at=None)
    return [
        Event(
            time=row.decided_at or row.sent_at,
            kind="报价",
            icon="request_quote",
            link=change_url(row),
            text="\n".join(filter(None, [row.number, row.reject_reason])),
            facts=(money(row.total_amount, row.currency),),
            by=row.created_by,
            state=row.get_status_display(),
        )
        for row in rows.select_related("created_by").order_by("-sent_at", "-id")[:most]
    ]


def contracts_of(customer, user, most):
    """Contracts that were signed."""
    rows = policy_for(Contract).visible_to(user).filter(customer=customer).exclude(sign_date=None)
    return [
        Event(
            time=row.terminated_at or timezone.make_aware(datetime.combine(row.sign_date, ENDS_AT)),
            kind="合同",
            icon="contract",
            link=change_url(row),
            text="\n".join(filter(None, [f"{row.name} {row.number}", row.terminate_reason])),
            facts=(money(row.total_amount, row.currency),),
            by=row.owner,
            state=row.get_status_display(),
        )
        for row in rows.select_related("owner").order_by("-sign_date", "-id")[:most]
    ]


def paper_buttons(customer, user):
    given, found = urlencode({"customer": customer.pk}), []
    if policy_for(Quotation).may_add_to(user, customer):
        link = f"{reverse('admin:sales_quotation_add')}?{given}"
        found.append(Button("新建报价", "request_quote", link, is_quick=False))
    if policy_for(Contract).allows(user, "add"):
        link = f"{reverse('admin:sales_contract_add')}?{given}"
        found.append(Button("新建合同", "contract", link, is_quick=False))
    return found


# --- What is due -----------------------------------------------------------------------------------------------------


class Ending:
    """Signed contracts on their last day, for their owners."""

    def allows(self, user):
        return policy_for(Contract).allows(user, "view")

    def occasions(self, user, since, until, *, mine, done, most):
        policy = policy_for(Contract)
        rows = policy.visible_to(user) if user is not None else policy.rows()
        rows = rows.filter(status=ContractStatus.SIGNED, is_closed=False, end_date__lt=timezone.localdate(until))
        if since is not None:
            rows = rows.filter(end_date__gte=timezone.localdate(since))
        else:
            rows = rows.filter(end_date__gte=timezone.localdate())
        if mine:
            rows = rows.filter(owner=user)
        return [self._occasion(row) for row in rows.select_related("owner").order_by("end_date", "id")[:most]]

    def _occasion(self, row):
        return Occasion(
            time=timezone.make_aware(datetime.combine(row.end_date, ENDS_AT)),
            kind="合同到期",
            icon="contract",
            title=str(row),
            link=change_url(row),
            key=f"contract-end:{row.pk}:{row.end_date:%Y%m%d}",
            note=row.number,
            people=(row.owner,) if row.owner else (),
        )


ENDING = Ending()


def part(request) -> Part:
    """Offers without an answer, contracts to be signed, contracts that end soon, for who may do something about them;
    each number leads to its list."""
    user, figures = request.user, []
    policy = policy_for(Quotation)
    if policy.allows(user, "change"):
        sent = policy.visible_to(user).filter(status=QuotationStatus.SENT).order_by()
        link = listed("quotation", status=QuotationStatus.SENT)
        figures.append(Figure("等待答复的报价", sent.count(), link, waits=PAPERS))
    policy = policy_for(Contract)
    if policy.allows(user, "change"):
        mine = {"owner": user.pk} if policy.scope(user, "view") == DataScope.SELF else {}
        rows = policy.visible_to(user).filter(**mine).order_by()
        waiting, ending = rows.filter(status=ContractStatus.APPROVED), contracts.expiring().order_by().values("pk")
        link = listed("contract", status=ContractStatus.APPROVED, **mine)
        figures.append(Figure("待签约合同", waiting.count(), link, waits=PAPERS))
        link = listed("contract", ending="soon", **mine)
        figures.append(Figure("即将到期合同", rows.filter(pk__in=ending).count(), link, waits=PAPERS))
    return Part(figures=figures)
