"""线索转化: which leads become customers, and how fast."""

from django.db.models import Q

from reports.queries.columns import Lasting, Number, Ratio
from reports.queries.core import Chart, Report
from reports.queries.dimensions import ByField, by_department, by_person, in_time
from reports.queries.sources import Source
from sales.models import OPEN, Lead, LeadStatus

REPORT = Report(
    name="leads",
    title="线索转化",
    icon="filter_alt",
    intro="这段时间进来的线索有多少转成了客户，各来源、线索池和人员转化得如何、要多久。",
    sources={
        "entered": Source(Lead, date="created_at", customer=None),
        "converted": Source(Lead, date="converted_at", customer=None, where=Q(status=LeadStatus.CONVERTED)),
    },
    columns=[
        Number("leads", "新增线索", "entered", unit="条"),
        Number("open", "仍在跟进", "entered", where=Q(status__in=OPEN), unit="条"),
        Number("won", "其中已转化", "entered", where=Q(status=LeadStatus.CONVERTED), unit="条"),
        Ratio("rate", "转化率", part="won", whole="leads"),
        Number("invalid", "其中失效", "entered", where=Q(status=LeadStatus.INVALID), unit="条"),
        Number("converted", "本期转化", "converted", unit="条"),
        Lasting("median", "转化用时中位数", "converted", start="created_at", end="converted_at"),
        Lasting("p90", "转化用时 P90", "converted", start="created_at", end="converted_at", share=0.9),
    ],
    dimensions=[
        ByField("source", "来源", path=lambda source: ("source",), empty="（未填来源）"),
        ByField("pool", "线索池", path=lambda source: ("pool",)),
        ByField("activity", "市场活动", path=lambda source: ("activity",), empty="（不是活动带来）"),
        by_person(),
        by_department(),
        in_time(),
        ByField("intent", "意向度", path=lambda source: ("intent_level",)),
    ],
    charts=[
        Chart(bars=("leads", "won", "converted"), lines=("rate",)),
        Chart(bars=("median", "p90"), only=("source", "pool", "person", "department", "time")),
    ],
    definitions=[
        ("新增线索", "创建时间在时间段内、您看得到的线索。"),
        ("其中已转化、转化率", "这些新增线索到今天为止已转为客户的；转化率 = 其中已转化 ÷ 新增线索。"),
        ("本期转化", "转化时间在时间段内的线索，不论何时创建。"),
        ("转化用时", "本期转化的线索从创建到转化的整天数；中位数：一半不超过它，P90：九成不超过。"),
        ("筛选", "线索还不是客户，所以选了客户等级、分类、地区或行业时没有数字。"),
    ],
)
