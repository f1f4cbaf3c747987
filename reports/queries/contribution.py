"""客户贡献: what customers bring, the largest first. Source: java-crm 六 数据报表."""

from django.db.models import Q

from reports.queries.columns import BASIS, Money, Number, Plus, Running, Share
from reports.queries.core import Chart, Report
from reports.queries.deals import CONTRACTS, ORDERS, RECEIPTS, RECEIVED, SIGNED, SOLD
from reports.queries.dimensions import by_customer, by_department, by_person, in_time, ranking_of_customers

REPORT = Report(
    name="contribution",
    title="客户贡献",
    icon="workspace_premium",
    intro="这段时间客户带来的成交、合同、订单和回款，谁贡献最多，前几名占多大比重。",
    sources={"contracts": CONTRACTS, "orders": ORDERS, "receipts": RECEIPTS},
    columns=[
        Number("contracts", "合同", "contracts", unit="份"),
        Money("contract_amount", "合同额", "contracts"),
        Number("orders", "订单", "orders", unit="张"),
        Money("order_amount", "订单额", "orders"),
        Money("free_amount", "无合同订单额", "orders", where=Q(contract__isnull=True)),
        Plus("deals", "成交额", parts=("contract_amount", "free_amount")),
        Number("receipts", "回款", "receipts", unit="笔"),
        Money("receipt_amount", "回款额", "receipts"),
        Share("share", "占比", of=BASIS, only=("customer",)),
        Running("running", "累计占比", of=BASIS, only=("customer",)),
    ],
    dimensions=[
        ranking_of_customers(),
        *by_customer("level", "industry", "area", "categories", "source"),
        in_time(),
        by_person(),
        by_department(),
    ],
    charts=[
        Chart(bars=("order_amount", "contract_amount", "receipt_amount"), lines=("running",), only=("customer",)),
        Chart(
            bars=("contract_amount", "order_amount", "receipt_amount"),
            only=("level", "industry", "area", "categories", "source", "time", "person", "department"),
        ),
    ],
    basis=("order_amount", "contract_amount", "receipt_amount"),
    definitions=[
        SIGNED,
        ("订单", "下单日期在时间段内、已确认的订单，含合同下的订单；草稿和已取消的不算。"),
        SOLD,
        RECEIVED,
        ("占比、累计占比", "占全部客户（含“其他客户”）的百分比，按排名依据的那一列；累计占比从第一名加起（帕累托）。"),
        ("金额", "一律折合人民币：按业务日期（签约、下单、回款日期）当天适用的汇率，逐笔折算，合计后才四舍五入到分。"),
        ("人员、部门", "合同和合同回款按合同的负责人，订单和订单回款按客户现在的负责人。"),
    ],
)
