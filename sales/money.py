"""What orders, instalments, receipts and invoices tell the rooms below; ``join`` runs when the app is ready."""

from datetime import datetime, time
from urllib.parse import urlencode

from django.db.models import Count, F, Sum
from django.urls import reverse
from django.utils import timezone

from crm import agenda
from crm.admin import home
from crm.admin.home import Figure, Part
from crm.agenda import Occasion
from crm.exchange import money
from crm.models import DataScope
from crm.policies import HIDDEN_LABEL, policy_for
from customers import activity
from customers.activity import Button, Event, change_url
from customers.models import Customer
from customers.services import changes, credit, lifecycle, rating, rulebook
from sales.models import Order, OrderStatus, PaymentPlan, PaymentRecord, ReceiptStatus
from sales.services import exposure, payments
from sales.services.links import listed

MONEY = "订单与回款"
DUE_AT = time(9)  # instalments are due on a day; on the agenda they stand in the morning


def join() -> None:
    from sales.admin.money import order_tab, receipt_tab

    credit.EXPOSURE.add("合同未收款", exposure.of_contracts)
    credit.EXPOSURE.add("订单未付款", exposure.of_orders)
    rating.RATING.add("punctuality", exposure.punctuality)
    changes.EFFECTS.add("money", exposure.effects)
    rulebook.EXEMPTIONS.add("有未付清的订单", exposure.unpaid_customers)
    lifecycle.DEALS.add("orders", exposure.deals)
    activity.SOURCES.add("orders", orders_of)
    activity.SOURCES.add("receipts", receipts_of)
    activity.BUTTONS.add("orders", order_buttons)
    activity.TABS.add("orders", order_tab)
    activity.TABS.add("receipts", receipt_tab)
    agenda.SOURCES.add("instalments", INSTALMENTS)
    home.parts.add("sales.money", part)


# --- On the customer's page ------------------------------------------------------------------------------------------


def orders_of(customer, user, most):
    """Orders that were confirmed or called off."""
    rows = policy_for(Order).visible_to(user).filter(customer=customer).exclude(confirmed_at=None)
    return [
        Event(
            time=row.confirmed_at,
            kind="订单",
            icon="shopping_cart",
            link=change_url(row),
            text="\n".join(filter(None, [row.number, row.cancel_reason])),
            facts=(money(row.total_amount, row.currency),),
            by=row.created_by,
            state=row.get_status_display(),
        )
        for row in rows.select_related("created_by").order_by("-confirmed_at", "-id")[:most]
    ]


def receipts_of(customer, user, most):
    rows = policy_for(PaymentRecord).visible_to(user).filter(customer=customer, status=ReceiptStatus.VALID)
    return [
        Event(
            time=row.created_at,
            kind="回款",
            icon="payments",
            link=change_url(row),
            text=f"{row.number}　{row.date} 到账",
            facts=tuple(str(fact) for fact in (money(row.amount, row.currency), row.method) if fact),
            by=row.created_by,
        )
        for row in rows.select_related("created_by", "method").order_by("-created_at", "-id")[:most]
    ]


def order_buttons(customer, user):
    if not policy_for(Order).may_add_to(user, customer):
        return []
    link = f"{reverse('admin:sales_order_add')}?{urlencode({'customer': customer.pk})}"
    return [Button("新建订单", "shopping_cart", link, is_quick=False)]


# --- What is due -----------------------------------------------------------------------------------------------------


class Instalments:
    """Instalments that are due, for the owners of their contracts."""

    def allows(self, user):
        return policy_for(PaymentPlan).allows(user, "view")

    def occasions(self, user, since, until, *, mine, done, most):
        policy = policy_for(PaymentPlan)
        rows = policy.visible_to(user) if user is not None else policy.rows()
        rows = rows.filter(pk__in=PaymentPlan.objects.due().order_by().values("pk"), date__lt=timezone.localdate(until))
        if since is not None:
            rows = rows.filter(date__gte=timezone.localdate(since))
        if mine:
            rows = rows.filter(contract__owner=user)
        rows = rows.select_related("contract__owner", "contract__customer").order_by("date", "id")
        found = list(rows[:most])
        buyers = {row.contract.customer_id for row in found}
        seen = policy_for(Customer).visible_to(user) if user is not None else Customer.objects.all()
        seen = set(seen.filter(pk__in=buyers).values_list("pk", flat=True))
        return [self._occasion(row, row.contract.customer_id in seen) for row in found]

    def _occasion(self, row, is_seen):
        """The customer is named to those who may see it."""
        contract = row.contract
        buyer = contract.customer if is_seen else HIDDEN_LABEL
        return Occasion(
            time=timezone.make_aware(datetime.combine(row.date, DUE_AT)),
            kind="回款到期",
            icon="payments",
            title=f"{buyer}：{money(row.open_amount, contract.currency)}",
            link=change_url(row),
            key=f"instalment:{row.pk}:{row.date:%Y%m%d}",
            note="，".join(filter(None, [str(row), row.term])),
            people=(contract.owner,) if contract.owner else (),
        )


INSTALMENTS = Instalments()


def part(request) -> Part:
    """Instalments due within the week and overdue ones, orders that wait to be confirmed; each leads to its list."""
    user, today = request.user, timezone.localdate()
    figures = []
    policy = policy_for(PaymentPlan)
    if (scope := policy.scope(user, "view")) is not None:
        mine = {"contract__owner": user.pk} if scope == DataScope.SELF else {}
        rows = policy.visible_to(user).filter(**mine)
        for label, which in (("七天内到期回款", "week"), ("逾期回款", "overdue")):
            found = rows.filter(pk__in=payments.due(which, today).order_by().values("pk")).order_by()
            link = listed("paymentplan", money=which, **mine)
            figures.append(_figure(label, found, link, is_late=which == "overdue"))
    if policy_for(Order).allows(user, "confirm"):
        drafts = policy_for(Order).visible_to(user).filter(status=OrderStatus.DRAFT)
        link = listed("order", status=OrderStatus.DRAFT)
        figures.append(Figure("待确认订单", drafts.count(), link, waits=MONEY))
    return Part(figures=figures)


def _figure(label, rows, link, *, is_late):
    """How many, and beside it what they come to in each currency."""
    open_amounts = rows.values_list("contract__currency").annotate(
        count=Count("pk"), open=Sum(F("amount") - F("received_amount"))
    )
    answers = list(open_amounts.order_by("contract__currency"))
    note = "、".join(money(amount, currency) for currency, _, amount in answers)
    return Figure(label, sum(count for _, count, _ in answers), link, note, waits=MONEY, is_late=is_late)
