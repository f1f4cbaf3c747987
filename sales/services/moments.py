"""When something was sold to a customer: what confirmed orders and signed contracts write on him, and taking it back.

What counts are signed contracts, terminated ones on which money was received, and confirmed orders.
"""

from datetime import datetime, time

from django.db.models import Q
from django.utils import timezone

from customers.services import lifecycle
from sales.models import Contract, ContractStatus, Order, OrderStatus

STANDING = Q(status=ContractStatus.SIGNED) | Q(status=ContractStatus.TERMINATED, received_amount__gt=0)


def of_order(order_date, order_time, confirmed_at) -> datetime:
    """When it was confirmed, or on its own day if it was entered later."""
    if order_date >= timezone.localdate(confirmed_at):
        return confirmed_at
    return timezone.make_aware(datetime.combine(order_date, order_time or time.min))


def of_day(day) -> datetime:
    """Of a contract signed on ``day``: now, or the beginning of a day that has passed."""
    now = timezone.now()
    return now if day >= timezone.localdate() else timezone.make_aware(datetime.combine(day, time.min))


def remaining(customer) -> list[datetime]:
    """The moments of all that still counts; of a contract only the day is known."""
    days = Contract.objects.valid().filter(STANDING, customer=customer).exclude(sign_date=None)
    orders = Order.objects.valid().filter(customer=customer, status=OrderStatus.CONFIRMED).exclude(confirmed_at=None)
    return [
        *(timezone.make_aware(datetime.combine(day, time.min)) for day in days.values_list("sign_date", flat=True)),
        *(of_order(*values) for values in orders.values_list("order_date", "order_time", "confirmed_at")),
    ]


def take_back(customer, day, *, by, why) -> None:
    """``customer`` as if the document of ``day`` had never counted; it must no longer count when this is called."""
    lifecycle.withdraw_deal(customer, day, remaining(customer), by=by, why=why)
