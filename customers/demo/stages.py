"""The life cycle of the demo customers: through which stages each came to where it is, and when."""

from datetime import timedelta
from itertools import pairwise
from random import Random

from crm.demo import Demo
from customers.models import Customer, Stage, StagePeriod

PATHS = {
    Stage.LEAD: (Stage.LEAD,),
    Stage.ORDINARY: (Stage.LEAD, Stage.ORDINARY),
    Stage.KEY: (Stage.LEAD, Stage.ORDINARY, Stage.KEY),
    Stage.LAPSED: (Stage.LEAD, Stage.ORDINARY, Stage.LAPSED),
}
REASONS = {
    Stage.ORDINARY: ("首单已成交。", "样品确认，进入正常合作。", "资质审核通过，转为正式客户。"),
    Stage.KEY: ("近 12 个月成交额达到重要客户门槛。", "签订年度框架合同。", "列为区域标杆客户。"),
    Stage.LAPSED: ("一年以上没有下单，联系不上。", "客户已转产，不再采购。", "多次报价未成交，确认放弃。"),
}
SHARE = 0.85  # of a customer's age, within which it came to its present stage


def pass_through(demo: Demo, customers: list[Customer]) -> list[StagePeriod]:
    """The past stays of ``customers`` that are not written yet; sets since when each is in its present stage."""
    random, periods = Random("stages"), []  # noqa: S311  (the same every time)
    for customer in customers:
        path = PATHS[customer.stage]
        days = int((demo.today - customer.created_at.date()).days * SHARE)
        if days < len(path):
            continue
        ago = sorted(random.sample(range(1, days + 1), len(path) - 1))
        moments = [demo.moment(random, customer.created_at.date() + timedelta(days=day)) for day in ago]
        periods += [
            StagePeriod(
                customer=customer,
                stage=stage,
                next_stage=next_stage,
                started_at=started_at,
                ended_at=ended_at,
                reason=random.choice(REASONS[next_stage]),
                created_at=ended_at,
                created_by=customer.owner or customer.created_by,
            )
            for (stage, next_stage), (started_at, ended_at) in zip(
                pairwise(path), pairwise([customer.created_at, *moments]), strict=True
            )
        ]
        customer.stage_since = moments[-1] if moments else customer.created_at
    return sorted(periods, key=lambda period: period.ended_at)
