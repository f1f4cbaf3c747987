"""What other rooms are told about the service of a customer: open work orders, complaints."""

from datetime import timedelta

from django.utils import timezone

from crm.approvals import Effect
from crm.policies import policy_for
from customers.services.rating import Signal
from service.models import OPEN, WorkOrder

COMPLAINT = "complaint"
YEAR = timedelta(days=365)
STARS = ((0, 5), (1, 4), (2, 3), (4, 2))  # complaints of a year up to: stars


def open_work_orders(customer, values, user) -> list[Effect]:
    """Provider of ``changes.EFFECTS``: the open work orders of ``customer``, named as far as ``user`` sees them."""
    rows = WorkOrder.objects.valid().filter(customer=customer, status__in=OPEN)
    count = rows.count()
    if not count:
        return []
    seen = policy_for(WorkOrder).visible_to(user).filter(pk__in=rows.values("pk"))[:5]
    names = "、".join(f"{order.number} {order}" for order in seen)
    return [Effect("未归档的工单", text=f"{count} 张" + (f"：{names}" if names else ""))]


def claims(customer) -> Signal | None:
    """Provider of the credit rating: complaints of the last year; says nothing of customers never served."""
    rows = WorkOrder.objects.valid().filter(customer=customer)
    if not rows.exists():
        return None
    count = rows.filter(type__code=COMPLAINT, created_at__gte=timezone.now() - YEAR).count()
    stars = next((stars for most, stars in STARS if count <= most), 1)
    return Signal(stars, 1, f"近一年投诉 {count} 次")
