"""客户构成: who our customers are. Source: java-crm 六 数据报表."""

from django.db.models import Q

from customers.models import Customer, DealStatus, ReviewStatus
from reports.queries.columns import Number, Ratio, Share
from reports.queries.core import Chart, Report
from reports.queries.dimensions import ByField, by_customer, by_department, by_person
from reports.queries.sources import Source

REPORT = Report(
    name="composition",
    title="客户构成",
    icon="pie_chart",
    intro="现有客户按等级、地区、行业等的分布，以及这段时间新增了多少。",
    sources={
        "all": Source(Customer, customer=""),
        "new": Source(Customer, customer="", date="created_at"),
    },
    columns=[
        Number("customers", "客户", "all"),
        Share("share", "占比", of="customers"),
        Number("approved", "已审核", "all", where=Q(review_status=ReviewStatus.APPROVED)),
        Number("won", "成交客户", "all", where=Q(deal_status=DealStatus.WON)),
        Ratio("won_rate", "成交率", part="won", whole="customers"),
        Number("lost", "流失客户", "all", where=Q(deal_status=DealStatus.LOST)),
        Number("new", "本期新增", "new"),
    ],
    dimensions=[
        *by_customer("level", "industry", "area", "categories", "stage", "source", "scale"),
        ByField("deal", "成交状态", path=lambda source: ("deal_status",)),
        by_person(),
        by_department(),
    ],
    charts=[Chart(bars=("customers",))],
    definitions=[
        ("客户", "您现在看得到的全部有效客户（含没有负责人的），与时间段无关；已删除的不算。"),
        ("成交客户", "成交状态为“成交”的客户；成交率 = 成交客户 ÷ 客户。"),
        ("本期新增", "创建时间在所选时间段内的客户。"),
        (
            "客户分类",
            "一个客户可属于多个分类，在每个分类里各算一次，所以各行之和可能大于合计；合计里每个客户只算一次。",
        ),
        ("人员、部门", "按现在的负责人和他所在的部门。"),
    ],
)
