"""Customers that stopped ordering: the scan of this night, and what people did about some of them."""

from django.utils import timezone

from crm import actor
from crm.demo import Demo, desk
from crm.models import User
from service.models import CustomerLoss
from service.services import retention

MEASURES = (
    ("电话联系采购经理，了解近期没有下单的原因。", "对方在消化库存，下季度恢复。"),
    ("上门拜访，带上新系列样品和老客户价。", "客户愿意试单。"),
    ("寄送样册并邀请参加新品说明会。", ""),
)
SHARE = 4  # one in so many is dealt with


def build_churn(demo: Demo) -> dict[str, int]:
    demo.recent.append(lambda: live_tonight(demo))
    return {}


def live_tonight(demo: Demo):
    today = timezone.localdate()
    retention.record(retention.Scan(today).find(0, retention.last_key()), today)
    losses = CustomerLoss.objects.exclude(customer__owner=None).filter(customer__owner__is_active=True)
    for place, loss in enumerate(losses.select_related("customer__owner").order_by("pk")[::SHARE]):
        owner, (content, effect) = loss.customer.owner, MEASURES[place % len(MEASURES)]
        with actor.acting(owner, ip=desk(owner)):
            retention.add_measure(loss, by=owner, content=content, effect=effect)
    director = User.objects.get(username="pengyong")
    settled = losses.filter(measures__isnull=False).order_by("pk").first()
    if settled is not None:
        with actor.acting(director, ip=desk(director)):
            retention.confirm(settled, by=director, reason="客户更换了供应商，价格低两成，短期内不会回来。")
