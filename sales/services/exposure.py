"""What the lower rooms ask about a customer's documents: what he owes, how he pays, what he bought.

Registered in ``SalesConfig.ready``; what counts is told in docs/credit.md and docs/payments.md.
"""

from datetime import timedelta
from decimal import Decimal

from django.db.models import Count, F, Max, Q, Sum
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from crm.approvals import Effect
from crm.exchange import NoRate, convert, money
from crm.models import Currency
from crm.policies import policy_for
from customers.services.lifecycle import Deals
from customers.services.rating import Signal
from sales.models import Contract, ContractStatus, Order, OrderStatus, PaidState, PaymentPlan, ReceiptStatus

YEAR = 365
DELAYS = ((0, 5), (7, 4), (30, 3), (90, 2))  # days late at most: stars; later still is one
WEIGHT = 3


# --- Credit ----------------------------------------------------------------------------------------------------------


def of_contracts(customer) -> dict[str, Decimal]:
    """``{currency: amount}`` of his signed contracts that was not received yet."""
    rows = Contract.objects.valid().filter(customer=customer, status=ContractStatus.SIGNED)
    return _open_by_currency(rows)


def of_orders(customer) -> dict[str, Decimal]:
    """``{currency: amount}`` of his confirmed orders without contract that was not paid yet."""
    return _open_by_currency(unpaid_orders().filter(customer=customer))


def unpaid_orders():
    rows = Order.objects.valid().filter(status=OrderStatus.CONFIRMED, contract=None)
    return rows.exclude(paid_state=PaidState.PAID)


def _open_by_currency(rows):
    open_amounts = rows.order_by().values_list("currency").annotate(open=Sum(F("total_amount") - F("received_amount")))
    return {currency: amount for currency, amount in open_amounts if amount}


def punctuality(customer) -> Signal | None:
    """Stars by the longest delay of an instalment that fell due within a year; None if none did.

    A paid one is as late as the receipt that completed it, an unpaid one as today.
    """
    today = timezone.localdate()
    rows = PaymentPlan.objects.valid().filter(
        contract__customer=customer,
        contract__is_valid=True,
        contract__status=ContractStatus.SIGNED,
        date__lt=today,
        date__gte=today - timedelta(days=YEAR),
    )
    paid_on = Max("payments__date", filter=Q(payments__status=ReceiptStatus.VALID, payments__is_valid=True))
    found = rows.order_by().annotate(paid_on=paid_on).values_list("date", "status", "paid_on")
    delays = [((paid if status == PaidState.PAID and paid else today) - due).days for due, status, paid in found]
    if not delays:
        return None
    longest, late = max(delays), sum(1 for days in delays if days > 0)
    stars = next((stars for most, stars in DELAYS if longest <= most), 1)
    words = f"{late} 期逾期，最长 {longest} 天" if late else "都按期付清"
    return Signal(stars, WEIGHT, f"近一年到期的 {len(delays)} 期回款{words}")


# --- Changes, sea, life cycle ----------------------------------------------------------------------------------------


def effects(customer, values, user) -> list[Effect]:
    """What a request about ``customer`` affects: orders on their way, instalments and orders that are not paid."""
    found = []
    if policy_for(Order).allows(user, "view"):
        orders = policy_for(Order).visible_to(user).filter(customer=customer)
        drafts, unpaid = orders.filter(status=OrderStatus.DRAFT), unpaid_orders().filter(pk__in=orders.values("pk"))
        found.append(_effect("未确认的订单", drafts, _list("order", customer=customer.pk, status=OrderStatus.DRAFT)))
        found.append(_owed("未付清的订单", unpaid, "total_amount", _list("order", customer=customer.pk, money="open")))
    if policy_for(PaymentPlan).allows(user, "view"):
        plans = policy_for(PaymentPlan).visible_to(user).filter(contract__customer=customer)
        plans = plans.filter(pk__in=PaymentPlan.objects.due().values("pk"))
        found.append(_owed("未付清的回款计划", plans, "amount", _list("paymentplan", contract__customer=customer.pk)))
    return [effect for effect in found if effect.count]


def _effect(label, rows, link):
    return Effect(label, count=rows.count(), link=link)


def _owed(label, rows, total, link):
    currency = "currency" if total == "total_amount" else "contract__currency"
    open_amounts = (
        rows.order_by().values_list(currency).annotate(open=Sum(F(total) - F("received_amount")), n=Count("pk"))
    )
    answers = list(open_amounts)
    words = "、".join(money(amount, code) for code, amount, _ in answers)
    return Effect(label, count=sum(n for *_, n in answers), text=words, link=link)


def _list(model, **parameters):
    return f"{reverse(f'admin:sales_{model}_changelist')}?{urlencode(parameters)}"


def unpaid_customers():
    """Provider of ``EXEMPTIONS``: whoever looks after a customer sees to it that he pays."""
    return unpaid_orders().order_by().values("customer_id")


def deals(customer) -> Deals | None:
    """Confirmed orders without contract, and what those of the last twelve months came to in CNY.

    An amount in a currency without a rate counts as nothing: the suggestion that is made of it is only one.
    """
    today = timezone.localdate()
    rows = Order.objects.valid().filter(customer=customer, status=OrderStatus.CONFIRMED, contract=None).order_by()
    count = rows.count()
    if not count:
        return None
    recent = rows.filter(order_date__gt=today - timedelta(days=YEAR))
    yearly = Decimal(0)
    for currency, amount in recent.values_list("currency").annotate(total=Sum("total_amount")):
        try:
            yearly += convert(amount, currency, Currency.CNY, on=today)
        except NoRate:
            continue
    return Deals(count, yearly)
