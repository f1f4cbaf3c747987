"""跟进与拜访: what was done, by whom, for whom."""

from django.db.models import Q

from customers.models import Interaction, VisitPlan, VisitStatus
from reports.queries.columns import Number, Ratio
from reports.queries.core import Chart, Report
from reports.queries.dimensions import ByField, by_customer, by_department, by_person, in_time
from reports.queries.sources import Source
from sales.models import FollowUp

REPORT = Report(
    name="activity",
    title="跟进与拜访",
    icon="directions_walk",
    intro="这段时间的跟进、会话和拜访，按人员、时间和客户。",
    sources={
        "followups": Source(FollowUp, date="time", person=("author",)),
        "interactions": Source(Interaction, date="time", person=("author",)),
        "visits": Source(VisitPlan, date="time", person=("customer__owner",)),
    },
    columns=[
        Number("followups", "跟进", "followups", unit="次"),
        Number("of_leads", "其中线索", "followups", where=Q(lead__isnull=False), unit="次"),
        Number("interactions", "会话", "interactions", unit="次"),
        Number("visits", "拜访计划", "visits", unit="次"),
        Number("done", "其中已完成", "visits", where=Q(status=VisitStatus.DONE), unit="次"),
        Number("cancelled", "其中已取消", "visits", where=Q(status=VisitStatus.CANCELLED), unit="次"),
        Ratio("done_rate", "完成率", part="done", whole="visits"),
    ],
    dimensions=[
        by_person(),
        by_department(),
        in_time(),
        ByField("type", "方式", paths={"followups": ("type",), "interactions": ("type",)}, empty="（未填方式）"),
        *by_customer("level", "industry", "area"),
    ],
    charts=[Chart(bars=("followups", "interactions", "visits"), is_stacked=True)],
    preset="month",
    definitions=[
        ("跟进", "跟进时间在时间段内、对客户和线索的跟进记录，算在跟进人名下。"),
        ("会话", "会话时间在时间段内的会话记录，算在记录人名下。"),
        ("拜访计划", "计划时间在时间段内的拜访，算在客户现在的负责人名下；完成率 = 其中已完成 ÷ 拜访计划。"),
        ("按客户筛选", "选了客户等级、地区、行业或分类时，只算对客户的跟进，不含对线索的。"),
    ],
)
