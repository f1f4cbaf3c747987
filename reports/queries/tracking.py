"""操作跟踪: who did what to which customers. Source: information-tracking.

Counted from the traces themselves: the counts by hour (``TraceCount``) know neither customers nor the rights to them.
"""

from django.db.models import Q

from crm.trails import Kind
from customers.tracking.models import Trace
from reports.queries.columns import Number
from reports.queries.core import Chart, Report
from reports.queries.dimensions import ByField, by_customer, by_department, by_person, in_time, ranking_of_customers
from reports.queries.sources import Source

REPORT = Report(
    name="tracking",
    title="操作跟踪",
    icon="visibility",
    intro="这段时间谁对哪些客户做了什么，有多少是对别人的客户。",
    sources={"traces": Source(Trace, date="operated_at", person=("actor",))},
    columns=[
        Number("traces", "操作", "traces", unit="次"),
        *[Number(kind.value, kind.label, "traces", where=Q(kind=kind), unit="次") for kind in Kind],
        Number("foreign", "非本人客户", "traces", where=Q(is_foreign=True), unit="次"),
    ],
    dimensions=[
        in_time(),
        ByField("kind", "操作类型", path=lambda source: ("kind",)),
        by_person(),
        by_department(),
        ranking_of_customers(),
        *by_customer("level", "area"),
        ByField("side", "所属端", path=lambda source: ("side",)),
    ],
    charts=[
        Chart(
            bars=("view", "edit", "follow_up", "export", "reveal", "download"),
            is_stacked=True,
            only=("time", "person", "department", "level", "area"),
        ),
        Chart(bars=("traces", "foreign"), only=("kind", "customer", "side")),
    ],
    preset="month",
    basis=("traces", "foreign", "export", "reveal"),
    is_watched=True,
    definitions=[
        (
            "操作",
            "操作时间在时间段内、您看得到的操作记录：客户的记录给现在看得到这个客户的人，不属于某个客户的按您的数据范围。",
        ),
        ("导出", "一次导出算一次，不论多少行。"),
        ("非本人客户", "操作的时候，操作人不是这个客户的负责人。"),
        ("其他客户", "排名之外的客户，以及不属于某一个客户的操作，例如成批导出。"),
        ("人员、部门", "按操作人，以及他现在的部门。"),
        ("已删除的客户", "对它们的操作不在其中。“操作统计”按小时累计，包含它们，所以可能略多。"),
        ("留痕", "打开这张报表本身也记入业务日志。"),
    ],
)
