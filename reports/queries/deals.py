"""What several reports mean by contract, order and receipt, once."""

from django.db.models import Q

from reports.queries.sources import Source
from sales.models import Contract, ContractStatus, Order, OrderStatus, PaymentRecord, ReceiptStatus

CONTRACTS = Source(
    Contract,
    date="sign_date",
    where=Q(status__in=[ContractStatus.SIGNED, ContractStatus.TERMINATED]),
)
ORDERS = Source(Order, date="order_date", where=Q(status=OrderStatus.CONFIRMED), person=("customer__owner",))
RECEIPTS = Source(
    PaymentRecord,
    date="date",
    where=Q(status=ReceiptStatus.VALID),
    person=("contract__owner", "order__customer__owner"),
    amount="amount",
)

SIGNED = ("合同", "签约日期在时间段内的合同，含后来终止的，按现在的合同总额；草稿和未签约的不算。")
SOLD = ("成交额", "合同额 + 无合同订单额：合同下的订单已在合同里，不重复计算。")
RECEIVED = ("回款", "回款日期在时间段内的有效回款；已作废的不算。")
VALUED = ("金额", "一律折合人民币：按业务日期当天适用的汇率，逐笔折算，合计后才四舍五入到分。")
