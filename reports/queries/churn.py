"""客户流失: who was about to be lost, who was lost, who came back, and whether measures helped. Source: java-crm 六."""

from django.db.models import Exists, OuterRef, Q

from reports.queries.columns import Lasting, Number, Ratio
from reports.queries.core import Chart, Report
from reports.queries.dimensions import ByField, Steps, by_customer, by_department, by_person, in_time
from reports.queries.sources import Source
from service.models import PENDING, CustomerLoss, LossStatus, RetentionMeasure

_CASES = ("warned", "lost", "recovered")  # sources whose rows are cases
_OWNED = {"person": ("customer__owner",)}
_MEASURED = Q(Exists(RetentionMeasure.objects.filter(loss=OuterRef("pk"), is_valid=True)))


def _measures(source, filters):
    return [("采取过措施", _MEASURED), ("没有采取措施", ~_MEASURED)]


def _causes(source, filters):
    return [
        ("久未下单", Q(last_order_date__isnull=False)),
        ("从未下单", Q(last_order_date__isnull=True)),
    ]


REPORT = Report(
    name="churn",
    title="客户流失",
    icon="person_remove",
    intro="这段时间有多少客户出现流失预警、确认流失、又被挽回，原因是什么，采取的措施有没有用。",
    sources={
        "warned": Source(CustomerLoss, date="warned_on", **_OWNED),
        "lost": Source(CustomerLoss, date="confirmed_on", **_OWNED),
        "recovered": Source(CustomerLoss, date="recovered_on", where=Q(status=LossStatus.RECOVERED), **_OWNED),
        "measures": Source(RetentionMeasure, date="date", person=("loss__customer__owner",), customer="loss__customer"),
    },
    columns=[
        Number("warned", "预警", "warned"),
        Number("measured", "其中采取措施", "warned", where=_MEASURED),
        Number("pending", "其中未了结", "warned", where=Q(status__in=PENDING)),
        Number("then_lost", "其中已流失", "warned", where=Q(status=LossStatus.LOST)),
        Number("then_recovered", "其中已挽回", "warned", where=Q(status=LossStatus.RECOVERED)),
        Ratio("rate", "挽回率", part="then_recovered", whole="warned"),
        Number("measures", "本期措施", "measures", unit="条"),
        Number("lost", "本期确认流失", "lost"),
        Number("recovered", "本期挽回", "recovered"),
        Lasting("days", "挽回用时中位数", "recovered", start="warned_on", end="recovered_on"),
    ],
    dimensions=[
        in_time(),
        ByField("reason", "流失原因", paths=dict.fromkeys(_CASES, ("reason_type",)), empty="（没有选原因）"),
        Steps("measures", "措施", steps=_measures, sources=_CASES),
        Steps("cause", "预警原因", steps=_causes, sources=_CASES),
        ByField("status", "流失状态", paths=dict.fromkeys(_CASES, ("status",))),
        by_person(),
        by_department(),
        *by_customer("level", "industry", "area", "categories"),
    ],
    charts=[
        Chart(bars=("warned", "lost", "recovered"), lines=("rate",)),
        Chart(bars=("pending", "then_lost", "then_recovered"), is_stacked=True, only=("measures", "person", "level")),
    ],
    preset="months12",
    definitions=[
        ("预警", "预警日期在时间段内的流失记录，一个客户可以先后有几次；其中各列是它们现在的状态。"),
        (
            "采取措施",
            "这次预警之后至少有一条有效的暂缓措施。按“措施”展开，可以比较采取过和没有采取措施的客户各挽回多少。",
        ),
        ("本期措施", "日期在时间段内的暂缓措施，不论哪天预警的。"),
        ("挽回率", "其中已挽回 ÷ 预警；未了结的还可能挽回，所以刚过去的月份会偏低。"),
        ("本期确认流失", "确认流失的日期在时间段内的，后来又挽回的也算一次流失。"),
        ("本期挽回", "预警或流失之后又下单、签约，挽回日期在时间段内的。"),
        ("挽回用时", "从预警到挽回的整天数，一半不超过它。"),
        ("流失原因", "确认流失时选的原因；还没有确认流失的归在“（没有选原因）”。"),
        ("人员、部门", "按客户现在的负责人；失效后退回公海的客户没有负责人。"),
    ],
)
