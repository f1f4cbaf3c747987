"""业绩排行: who sold how much, against the targets."""

from django.db.models import Q

from reports.models import SalesTarget
from reports.queries.columns import Money, Number, Plus, Ratio
from reports.queries.core import Chart, Report
from reports.queries.deals import CONTRACTS, ORDERS, RECEIPTS, RECEIVED, SIGNED, SOLD, VALUED
from reports.queries.dimensions import by_department, by_person, in_time
from reports.queries.sources import Source
from sales.models import Opportunity, OpportunityStatus

REPORT = Report(
    name="ranking",
    title="业绩排行",
    icon="leaderboard",
    intro="这段时间各人、各部门、各月的成交和回款，与目标相比。",
    sources={
        "contracts": CONTRACTS,
        "orders": ORDERS,
        "receipts": RECEIPTS,
        "won": Source(Opportunity, date="closed_at", where=Q(status=OpportunityStatus.WON)),
        "personal": Source(
            SalesTarget,
            date="month",
            where=Q(person__isnull=False),
            person=("person",),
            customer=None,
            amount="amount",
        ),
        "departmental": Source(
            SalesTarget,
            date="month",
            where=Q(department__isnull=False),
            person=(),
            department=("department",),
            customer=None,
            amount="amount",
        ),
    },
    columns=[
        Money("contract_amount", "合同额", "contracts"),
        Money("free_amount", "无合同订单额", "orders", where=Q(contract__isnull=True)),
        Plus("deals", "成交额", parts=("contract_amount", "free_amount")),
        Money("target", "目标", "personal", only=("person", "time")),
        Ratio("achieved", "完成率", part="deals", whole="target", only=("person", "time")),
        Money("department_target", "部门目标", "departmental", only=("department",)),
        Ratio("department_achieved", "部门完成率", part="deals", whole="department_target", only=("department",)),
        Number("contracts", "签约合同", "contracts", unit="份"),
        Number("won", "赢单商机", "won"),
        Money("receipt_amount", "回款额", "receipts"),
    ],
    dimensions=[by_person(), by_department(), in_time()],
    charts=[
        Chart(bars=("deals", "target", "department_target"), lines=("achieved", "department_achieved")),
        Chart(bars=("receipt_amount",)),
    ],
    preset="month",
    definitions=[
        SIGNED,
        SOLD,
        (
            "目标",
            "时间段内（按月初那一天）的业绩目标：按人员和时间看的是员工的目标，按部门看的是给部门定的目标，两者互不相加。",
        ),
        ("完成率", "成交额 ÷ 目标。"),
        RECEIVED,
        VALUED,
        ("人员、部门", "合同按合同的负责人，订单按客户现在的负责人；选了客户等级、地区等筛选时没有目标。"),
    ],
)
