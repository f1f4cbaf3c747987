"""客户服务: what customers asked of us, how fast it was taken up and solved, and what they thought of it.

Sources: java-crm 六 数据报表 (客户服务分析), fastapi ``crm_work_order``.
"""

from django.db.models import F, Q
from django.db.models.functions import Now

from reports.queries.columns import Lasting, Number, Plus, Ratio
from reports.queries.core import Chart, Report
from reports.queries.dimensions import ByField, by_customer, by_department, by_person, in_time
from reports.queries.sources import Source
from service.models import UNSOLVED, WorkOrder

SATISFIED = 4  # stars and more


def _late(done, due):
    """Done after the target, or not done though it has passed."""
    return Q(**{f"{done}__gt": F(due)}) | Q(**{f"{done}__isnull": True, f"{due}__lt": Now()})


_RESPONDED = Q(responded_at__lte=F("response_due"))
_LATE_RESPONSE = _late("responded_at", "response_due")
_LATE_SOLUTION = _late("solved_at", "resolution_due")
_SOLVED = Q(solved_at__lte=F("resolution_due"))

REPORT = Report(
    name="service",
    title="客户服务",
    icon="support_agent",
    intro="这段时间进来的工单按类型、优先级和人员，响应和解决是否在时限内，客户是否满意。",
    sources={"orders": Source(WorkOrder, date="created_at")},
    columns=[
        Number("orders", "工单", "orders", unit="件"),
        Number("unsolved", "未解决", "orders", where=Q(status__in=UNSOLVED), unit="件"),
        Number("responded", "按时响应", "orders", where=_RESPONDED, unit="件"),
        Number("response_late", "响应超时", "orders", where=_LATE_RESPONSE, unit="件"),
        Plus("response_judged", "响应已到期", unit="件", parts=("responded", "response_late")),
        Ratio("response_rate", "响应达标率", part="responded", whole="response_judged"),
        Number("solved", "按时解决", "orders", where=_SOLVED, unit="件"),
        Number("solution_late", "解决超时", "orders", where=_LATE_SOLUTION, unit="件"),
        Plus("solution_judged", "解决已到期", unit="件", parts=("solved", "solution_late")),
        Ratio("solution_rate", "解决达标率", part="solved", whole="solution_judged"),
        Lasting("response", "响应中位数", "orders", start="created_at", end="responded_at", unit="小时"),
        Lasting("solution", "解决中位数", "orders", start="created_at", end="solved_at", unit="小时"),
        Lasting("solution_p90", "解决 P90", "orders", start="created_at", end="solved_at", share=0.9, unit="小时"),
        Number("rated", "已评价", "orders", where=Q(satisfaction__isnull=False), unit="件"),
        Number("satisfied", "满意", "orders", where=Q(satisfaction__gte=SATISFIED), unit="件"),
        Ratio("satisfaction_rate", "满意率", part="satisfied", whole="rated"),
        Number("reopened", "重开过", "orders", where=Q(reopened_count__gt=0), unit="件"),
    ],
    dimensions=[
        ByField("type", "工单类型", path=lambda source: ("type",)),
        ByField("priority", "优先级", path=lambda source: ("priority",)),
        ByField("satisfaction", "满意度", path=lambda source: ("satisfaction",), empty="（未评价）"),
        by_person(),
        by_department(),
        in_time(),
        ByField("status", "状态", path=lambda source: ("status",)),
        *by_customer("level", "area", "categories"),
    ],
    charts=[
        Chart(bars=("orders", "response_late", "solution_late"), lines=("response_rate", "solution_rate")),
        Chart(bars=("response", "solution"), only=("type", "priority", "person", "department", "time", "level")),
        Chart(bars=("rated", "satisfied"), lines=("satisfaction_rate",), only=("type", "priority", "person", "time")),
    ],
    definitions=[
        ("工单", "创建时间在时间段内、您看得到的工单，按现在的状态；未解决的是还没有提交结果的。"),
        (
            "按时、超时",
            "与工单上的响应时限、解决时限（按工作时间和优先级算出）比较：按时是在时限前开始处理、提交结果；"
            "超时是晚于时限，或时限已过还没有做到。没有时限的不计。",
        ),
        (
            "达标率",
            "按时 ÷ 已到期，已到期 = 按时 + 超时；时限未到、还没有做到的工单不在其中。重开的工单按最近一次解决。",
        ),
        ("响应、解决", "从创建到开始处理、到提交结果的整小时数（自然时间）；中位数：一半不超过它，P90：九成不超过。"),
        ("满意率", f"满意（{SATISFIED} 星以上）÷ 已评价。"),
        ("人员、部门", "按工单现在的负责人。"),
    ],
)
