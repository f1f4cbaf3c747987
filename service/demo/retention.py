"""Customers that stopped ordering: a year of cases as the orders and the scans had them, and those of this night."""

from datetime import timedelta
from itertools import groupby, pairwise
from operator import itemgetter
from random import Random

from django.utils import timezone

from crm import actor
from crm.demo import Demo, desk
from crm.models import DictionaryItem, User
from customers.models import Customer, DealStatus
from sales.models import Order, OrderStatus
from service.models import CustomerLoss, LossStatus, RetentionMeasure
from service.services import retention

MEASURES = (
    ("电话联系采购经理，了解近期没有下单的原因。", "对方在消化库存，下季度恢复。"),
    ("上门拜访，带上新系列样品和老客户价。", "客户愿意试单。"),
    ("寄送样册并邀请参加新品说明会。", ""),
)
SHARE = 4  # one in so many is dealt with
REASONS = {
    "price": "同行报价低一成，客户改从同行采购。",
    "competitor": "客户的集团统一采购，换了供应商。",
    "closed": "客户停产，厂房已退租。",
    "no_need": "产品改型，不再用我们的型号。",
    "delivery": "旺季两次交货晚了，客户另找了货源。",
    "service": "售后响应慢，客户不满意。",
}
IDLE, LOOK_BACK = 6, 365  # months without an order, days of cases
SCAN_DAYS = 14


def build_churn(demo: Demo) -> dict[str, int]:
    demo.recent.append(lambda: live_tonight(demo))
    random = Random("churn")  # noqa: S311  (the same every time)
    orders = _orders()
    losses = [*_recovered(demo, random, orders), *_lost(demo, random, orders)]
    demo.create(sorted(losses, key=lambda loss: loss.warned_on))
    measures = [measure for loss in losses for measure in _measures(demo, random, loss)]
    demo.create(measures)
    warned = sum(map(len, _scanned(demo, random)))
    return {"客户流失": len(losses) + warned, "暂缓措施": len(measures)}


def _orders() -> dict[int, list]:
    """``{customer: [(date, number), …]}`` of confirmed orders, the oldest first."""
    rows = Order.objects.filter(status=OrderStatus.CONFIRMED).order_by("customer_id", "order_date", "pk")
    found = groupby(rows.values_list("customer_id", "order_date", "number"), key=itemgetter(0))
    return {customer: [(day, number) for _, day, number in group] for customer, group in found}


def _recovered(demo, random, orders):
    """Whoever ordered again after more than half a year had been warned of in between."""
    customers = Customer.objects.valid().in_bulk(orders)
    for pk, deals in orders.items():
        for (before, _), (after, number) in pairwise(deals):
            warned = retention.months_before(before, -IDLE)
            if pk in customers and demo.today - timedelta(days=LOOK_BACK) <= warned < after:
                yield _case(
                    demo,
                    random,
                    customers[pk],
                    before,
                    warned,
                    status=LossStatus.RECOVERED,
                    recovered_on=after,
                    recovered_by=f"订单 {number}（{after}）",
                )


def _lost(demo, random, orders):
    reasons = {item.code: item for item in DictionaryItem.objects.filter(type="loss_reason")}
    for customer in Customer.objects.valid().filter(deal_status=DealStatus.LOST).order_by("pk"):
        last = orders.get(customer.pk, [(None, "")])[-1][0]
        confirmed = demo.today - timedelta(days=random.randrange(1, LOOK_BACK - 60))
        earliest = retention.months_before(last, -IDLE) if last else timezone.localdate(customer.created_at)
        warned = confirmed - timedelta(days=random.randrange(10, 60))
        if warned < earliest:
            continue
        code = random.choice(list(REASONS))
        yield _case(
            demo,
            random,
            customer,
            last,
            warned,
            status=LossStatus.LOST,
            reason_type=reasons[code],
            reason=REASONS[code],
            confirmed_on=confirmed,
        )


def _scanned(demo, random):
    """Cases that are still open, as a scan every other week of the year found them."""
    for ago in range(LOOK_BACK, 0, -SCAN_DAYS):
        day = demo.today - timedelta(days=ago)
        found = retention.Scan(day).find(0, retention.last_key())
        yield demo.create(
            [
                CustomerLoss(
                    customer_id=finding.customer,
                    open_key=finding.customer,
                    last_order_date=finding.last,
                    warned_on=day,
                    warning=finding.warning,
                    created_at=demo.moment(random, day),
                )
                for finding in found
            ]
        )


def _case(demo, random, customer, last, warned, **settled):
    warning = f"最近下单 {last}，已超过 {IDLE} 个月" if last else "建档超过 12 个月，从未下单"
    return CustomerLoss(
        customer=customer,
        last_order_date=last,
        warned_on=warned,
        warning=warning,
        created_at=demo.moment(random, warned),
        **settled,
    )


def _measures(demo, random, loss):
    """One or two while the case was open, more often for those who came back."""
    until = loss.recovered_on or loss.confirmed_on
    owner = loss.customer.owner
    if owner is None or random.random() > (0.7 if loss.recovered_on else 0.4):
        return
    for content, effect in random.sample(MEASURES, random.randint(1, 2)):
        day = loss.warned_on + timedelta(days=random.randrange(max(1, (until - loss.warned_on).days)))
        yield RetentionMeasure(
            loss=loss,
            date=day,
            content=content,
            effect=effect,
            author=owner,
            created_at=demo.moment(random, day),
            created_by=owner,
        )


def live_tonight(demo: Demo):
    today = timezone.localdate()
    retention.record(retention.Scan(today).find(0, retention.last_key()), today)
    losses = CustomerLoss.objects.filter(open_key__isnull=False, customer__owner__is_active=True)
    for place, loss in enumerate(losses.select_related("customer__owner").order_by("-pk")[::SHARE]):
        owner, (content, effect) = loss.customer.owner, MEASURES[place % len(MEASURES)]
        with actor.acting(owner, ip=desk(owner)):
            retention.add_measure(loss, by=owner, content=content, effect=effect)
    director = User.objects.get(username="pengyong")
    settled = losses.filter(measures__isnull=False).order_by("pk").first()
    if settled is not None:
        with actor.acting(director, ip=desk(director)):
            retention.confirm(
                settled,
                by=director,
                reason="客户更换了供应商，价格低两成，短期内不会回来。",
                kind=DictionaryItem.objects.get(type="loss_reason", code="price"),
            )
