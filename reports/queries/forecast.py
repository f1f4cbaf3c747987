"""商机预测: what open opportunities will probably bring, by the month in which they are expected to close."""

from decimal import Decimal

from django.db.models import DecimalField, ExpressionWrapper, F, Q, Value
from django.db.models.functions import Coalesce

from reports.queries.columns import TODAY, Money, Number
from reports.queries.core import Chart, Report
from reports.queries.dimensions import ByField, by_customer, by_department, by_person, in_time
from reports.queries.sources import Source
from sales.models import Opportunity, OpportunityStatus

# the estimate times the probability in percent, exactly
WEIGHTED = ExpressionWrapper(
    F("estimated_amount") * Coalesce(F("win_probability"), 0) * Value(Decimal("0.01")),
    output_field=DecimalField(max_digits=30, decimal_places=4),
)

REPORT = Report(
    name="forecast",
    title="商机预测",
    icon="trending_up",
    intro="进行中的商机按预计成交的月份，预估与按概率加权的金额；同一时期已经赢单的放在旁边。",
    sources={
        "open": Source(
            Opportunity,
            date="expected_close_date",
            where=Q(status=OpportunityStatus.OPEN),
            amount="estimated_amount",
            day=TODAY,
        ),
        "won": Source(
            Opportunity,
            date="closed_at",
            where=Q(status=OpportunityStatus.WON),
            amount="estimated_amount",
            day="closed_at__date",
        ),
    },
    columns=[
        Number("open", "进行中", "open"),
        Money("amount", "预估金额", "open"),
        Money("weighted", "加权金额", "open", amount=WEIGHTED),
        Number("likely", "其中概率 ≥ 70%", "open", where=Q(win_probability__gte=70)),
        Number("won", "已赢单", "won"),
        Money("won_amount", "赢单金额", "won"),
    ],
    dimensions=[
        in_time(),
        ByField("stage", "商机阶段", path=lambda source: ("stage",)),
        by_person(),
        by_department(),
        *by_customer("level", "industry", "area"),
    ],
    charts=[Chart(bars=("weighted", "amount", "won_amount"))],
    preset="ahead",
    definitions=[
        ("进行中", "预计成交日期在时间段内、进行中的商机；没有填预计成交日期的不在其中。"),
        ("加权金额", "预估金额 × 赢单概率。"),
        ("已赢单", "结束时间在时间段内、已赢单的商机，金额按预估金额。"),
        ("金额", "折合人民币：进行中的按今天适用的汇率，已赢单的按结束那天的汇率，逐笔折算，合计后才四舍五入到分。"),
        ("人员、部门", "按商机现在的负责人。"),
    ],
)
