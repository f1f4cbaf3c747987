"""Follow-ups, text messages and opportunities on the pages of customers, leads and opportunities."""

from urllib.parse import urlencode

from django.db.models import Exists, OuterRef
from django.urls import reverse
from django.utils import timezone

from crm.exchange import money
from crm.policies import policy_for
from customers.activity import MOST, Button, Event, buttons_for, change_url, context
from sales.models import FollowUp, Lead, Opportunity, OpportunityStatus, SmsDelivery
from sales.models.followups import of_customers
from sales.services import sms


def _events(rows, user, most, *, names_deal=True):
    visible = policy_for(FollowUp).visible_to(user).filter(pk__in=rows.values("pk"))
    seen = policy_for(Opportunity).visible_to(user).filter(pk=OuterRef("opportunity")).order_by()
    visible = visible.annotate(opportunity_is_seen=Exists(seen))
    found = visible.select_related("type", "author", "opportunity").order_by("-time", "-id")[:most]
    return [
        Event(
            time=row.time,
            kind="跟进" if row.customer_id else "线索跟进" if row.lead_id else "商机跟进",
            icon="history_edu",
            link=change_url(row),
            text=row.content,
            facts=tuple(
                str(fact)
                for fact in (row.type, row.opportunity if names_deal and row.opportunity_is_seen else None)
                if fact
            ),
            by=row.author,
            next=_next(row),
        )
        for row in found
    ]


def _next(row) -> str:
    return f"{timezone.localtime(row.next_time):%Y-%m-%d %H:%M} {row.next_content}".strip() if row.next_time else ""


def of_customer(customer, user, most):
    return _events(of_customers([customer.pk]), user, most)


def messages(customer, user, most):
    """Text messages that went out; the text for those who may see contacts."""
    readable = "content" not in policy_for(SmsDelivery).hidden_fields(user)
    return [
        Event(
            time=row.tried_at,
            kind="短信",
            icon="sms",
            link=change_url(row),
            text=row.content if readable else str(row.campaign),
            facts=(str(row.campaign),),
            by=row.campaign.sender,
            state=row.get_state_display(),
        )
        for row in sms.went_to(customer, user, most)
    ]


def origin_of(customer, user):
    """The leads that became this customer, as far as the reader may see them."""
    leads = policy_for(Lead).visible_to(user).filter(customer=customer).order_by("pk")
    return [("来源线索", str(lead), change_url(lead)) for lead in leads]


def of_lead(lead, user) -> dict:
    """The panel on the lead's page."""
    rows = FollowUp.objects.valid().filter(lead=lead)
    return context(_events(rows, user, MOST), buttons_for(FollowUp, lead, "lead", user, "写跟进", "history_edu"))


def of_opportunity(opportunity, user) -> dict:
    """The panel on the opportunity's page."""
    rows = FollowUp.objects.valid().filter(opportunity=opportunity)
    buttons = buttons_for(FollowUp, opportunity, "opportunity", user, "写跟进", "history_edu")
    return context(_events(rows, user, MOST, names_deal=False), buttons)


def opportunities(customer, user, most):
    """Opportunities that were won or lost, among what happened with the customer."""
    closed = policy_for(Opportunity).visible_to(user).filter(customer=customer).exclude(closed_at=None)
    return [
        Event(
            time=row.closed_at,
            kind="商机",
            icon="trophy" if row.status == OpportunityStatus.WON else "target",
            link=change_url(row),
            text="\n".join(filter(None, [row.name, row.lose_reason])),
            facts=(money(row.estimated_amount, row.currency),),
            by=row.owner,
            state=row.get_status_display(),
        )
        for row in closed.select_related("owner").order_by("-closed_at", "-id")[:most]
    ]


def customer_buttons(customer, user):
    return buttons_for(FollowUp, customer, "customer", user, "写跟进", "history_edu")


def opportunity_buttons(customer, user):
    if not policy_for(Opportunity).allows(user, "add"):
        return []
    link = f"{reverse('admin:sales_opportunity_add')}?{urlencode({'customer': customer.pk})}"
    return [Button("新建商机", "target", link, is_quick=False)]


def row_link():
    return FollowUp, "写跟进"
