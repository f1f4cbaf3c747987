"""公海与认领: what fell into the sea, who fetched what out of it, and what came of it. Source: eplus 认领统计."""

from django.db.models import F, Q

from customers.models import OwnerChange, OwnershipPeriod
from reports.queries.columns import Lasting, Number, Ratio
from reports.queries.core import Chart, Report
from reports.queries.dimensions import ByField, by_customer, by_department, by_person, in_time
from reports.queries.sources import Source

_TAKEN = Q(owner__isnull=True, ended__in=[OwnerChange.CLAIMED, OwnerChange.ASSIGNED])
_CLAIMED = Q(ended=OwnerChange.CLAIMED)

REPORT = Report(
    name="sea",
    title="公海与认领",
    icon="waves",
    intro="这段时间有多少客户落入公海、多少被领走，领走之后有没有跟进和成交。",
    sources={
        "fallen": Source(
            OwnershipPeriod,
            date="ended_at",
            where=Q(owner__isnull=False, ended__in=[OwnerChange.RELEASED, OwnerChange.RECYCLED]),
        ),
        "taken": Source(OwnershipPeriod, date="ended_at", where=_TAKEN, person=("next_owner",)),
    },
    columns=[
        Number("fallen", "落入公海", "fallen", unit="次"),
        Number("recycled", "其中自动回收", "fallen", where=Q(ended=OwnerChange.RECYCLED), unit="次"),
        Number("claimed", "认领", "taken", where=_CLAIMED, unit="次"),
        Number("assigned", "分配出公海", "taken", where=Q(ended=OwnerChange.ASSIGNED), unit="次"),
        Number(
            "followed",
            "认领后跟进",
            "taken",
            where=_CLAIMED & Q(customer__last_followed_at__gte=F("ended_at")),
            unit="次",
        ),
        Ratio("followed_rate", "跟进率", part="followed", whole="claimed"),
        Number(
            "succeeded", "认领后成交", "taken", where=_CLAIMED & Q(customer__last_deal_at__gte=F("ended_at")), unit="次"
        ),
        Ratio("success_rate", "成交率", part="succeeded", whole="claimed"),
        Lasting("waited", "在公海中位数", "taken", where=_CLAIMED),
    ],
    dimensions=[
        in_time(),
        by_person(),
        by_department(),
        *by_customer("level", "industry", "area", "categories"),
        ByField("how", "方式", path=lambda source: ("ended",)),
    ],
    charts=[
        Chart(bars=("fallen", "claimed", "assigned"), lines=("success_rate",)),
        Chart(bars=("claimed", "followed", "succeeded"), only=("person", "department", "level")),
    ],
    definitions=[
        (
            "落入公海",
            "归属记录里有负责人、以退回公海或自动回收结束的时段，按结束时间，算在原负责人名下；撤销的回收也算一次。",
        ),
        ("认领、分配", "没有负责人、以认领或分配结束的时段，按结束时间，算在新负责人名下。"),
        ("认领后跟进、成交", "认领之后客户有过跟进、成交；以客户最近一次跟进、成交的时间判断，到今天为止。"),
        ("在公海中位数", "被认领的客户在公海里的整天数，一半不超过它。"),
        ("谁的记录", "您现在看得到的客户的归属记录：领走又转给别人、您已看不到的客户不在其中。"),
    ],
)
