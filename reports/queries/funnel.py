"""销售漏斗: how opportunities go from stage to stage, and where they stay."""

from django.db.models import F, Q

from reports.queries.columns import TODAY, Lasting, Money, Number, Plus, Ratio
from reports.queries.core import Chart, Report
from reports.queries.dimensions import ByField, by_customer, by_department, by_person, in_time
from reports.queries.forecast import WEIGHTED
from reports.queries.sources import Source
from sales.models import Opportunity, OpportunityStagePeriod, OpportunityStatus

_WON = Q(next_stage__isnull=True, opportunity__status=OpportunityStatus.WON)
_LOST = Q(next_stage__isnull=True, opportunity__status=OpportunityStatus.LOST)
_FURTHER = Q(next_stage__sort__gt=F("stage__sort"))

REPORT = Report(
    name="funnel",
    title="销售漏斗",
    icon="filter_list",
    intro="各阶段现有的商机，这段时间有多少推进、赢单、输单，以及在每个阶段停留多久。",
    sources={
        "open": Source(Opportunity, where=Q(status=OpportunityStatus.OPEN), amount="estimated_amount", day=TODAY),
        "left": Source(
            OpportunityStagePeriod,
            date="ended_at",
            person=("opportunity__owner",),
            customer="opportunity__customer",
        ),
    },
    columns=[
        Number("open", "进行中", "open"),
        Money("amount", "预估金额", "open"),
        Money("weighted", "加权金额", "open", amount=WEIGHTED),
        Number("left", "离开阶段", "left", unit="次"),
        Number("further", "推进", "left", where=_FURTHER, unit="次"),
        Number("won", "赢单", "left", where=_WON, unit="次"),
        Plus("passed", "推进与赢单", unit="次", parts=("further", "won")),
        Ratio("rate", "转化率", part="passed", whole="left"),
        Number("lost", "输单", "left", where=_LOST, unit="次"),
        Lasting("median", "停留中位数", "left"),
        Lasting("p90", "停留 P90", "left", share=0.9),
    ],
    dimensions=[
        ByField("stage", "商机阶段", paths={"open": ("stage",), "left": ("stage",)}),
        by_person(),
        by_department(),
        in_time(),
        *by_customer("level", "industry", "area"),
    ],
    charts=[
        Chart(bars=("open", "left"), lines=("rate",)),
        Chart(bars=("weighted", "amount"), only=("stage", "person", "department")),
        Chart(bars=("median", "p90"), only=("stage", "person", "department", "time")),
    ],
    definitions=[
        ("进行中", "现在进行中的商机，按现在的阶段，与时间段无关。"),
        ("加权金额", "预估金额 × 赢单概率。"),
        ("离开阶段", "这段时间里离开一个阶段的次数：推进（去了排在后面的阶段）、赢单、输单或退回前面的阶段。"),
        ("转化率", "（推进 + 赢单）÷ 离开阶段。"),
        ("停留", "这段时间里结束的每一次停留的整天数；中位数：一半不超过它，P90：九成不超过。"),
        ("金额", "折合人民币：按今天适用的汇率，逐笔折算，合计后才四舍五入到分。"),
        ("人员、部门", "按商机现在的负责人。"),
    ],
)
