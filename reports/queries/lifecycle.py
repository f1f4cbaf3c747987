"""生命周期: how many customers stand in each stage, who came and went, how long they stayed. Source: eplus 生命周期."""

from django.db.models import Q

from customers.models import Customer, Stage, StagePeriod
from reports.queries.columns import Lasting, Number
from reports.queries.core import Chart, Report
from reports.queries.dimensions import ByField, by_customer, by_department, by_person, in_time
from reports.queries.sources import Source

_LEFT = {"date": "ended_at", "person": ("customer__owner",)}

REPORT = Report(
    name="lifecycle",
    title="生命周期",
    icon="cycle",
    intro="各阶段现有的客户，这段时间在阶段之间的流动，以及在一个阶段停留多久。",
    sources={
        "now": Source(Customer, customer=""),
        "left": Source(StagePeriod, **_LEFT),
        "came": Source(StagePeriod, **_LEFT),
    },
    columns=[
        Number("stock", "现有客户", "now"),
        Number("came", "转入", "came", unit="次"),
        Number("left", "转出", "left", unit="次"),
        *[
            Number(f"to_{value}", f"转为{label}", "left", where=Q(next_stage=value), unit="次")
            for value, label in Stage.choices
        ],
        Lasting("median", "停留中位数", "left"),
        Lasting("p90", "停留 P90", "left", share=0.9),
    ],
    dimensions=[
        ByField("stage", "客户阶段", paths={"now": ("stage",), "left": ("stage",), "came": ("next_stage",)}),
        in_time(),
        *by_customer("level", "industry", "area", "categories"),
        by_person(),
        by_department(),
    ],
    charts=[
        Chart(bars=("stock", "came", "left")),
        Chart(bars=("median", "p90"), only=("stage", "level", "industry", "area", "time")),
    ],
    definitions=[
        ("现有客户", "客户现在所处的阶段，与时间段无关。"),
        ("转入、转出", "离开时间在时间段内的阶段记录，按次计：转出算在离开的阶段，转入算在进入的阶段。"),
        (
            "停留",
            "这段时间里结束的每一次停留，从进入到离开的整天数（不足一天不计）。中位数：一半的停留不超过它；P90：九成不超过。",
        ),
        ("人员、部门", "按客户现在的负责人。"),
    ],
)
