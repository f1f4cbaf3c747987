"""回款与开票: what was due, what came, what is overdue and for how long, and the invoices."""

from datetime import timedelta

from django.db.models import DecimalField, ExpressionWrapper, F, Q
from django.utils import timezone

from reports.queries.columns import Money, Number, Ratio
from reports.queries.core import Chart, Report
from reports.queries.deals import RECEIPTS, RECEIVED, VALUED
from reports.queries.dimensions import Steps, by_customer, by_department, by_person, in_time, ranking_of_customers
from reports.queries.sources import Source
from sales.models import Contract, ContractStatus, Invoice, InvoiceStatus, PaidState, PaymentPlan

_SIGNED = Q(contract__status=ContractStatus.SIGNED)
_UNPAID = ExpressionWrapper(F("amount") - F("received_amount"), DecimalField(max_digits=18, decimal_places=2))
_UNINVOICED = ExpressionWrapper(F("total_amount") - F("invoiced_amount"), DecimalField(max_digits=18, decimal_places=2))
_NOW = ("person", "department", "customer", "level", "area")  # what stands as of today has no place in time
_PLAN = {
    "person": ("contract__owner",),
    "customer": "contract__customer",
    "amount": "amount",
    "currency": "contract__currency",
}
AGES = ((1, 30), (31, 60), (61, 90), (91, 180))


def _overdue() -> Q:
    return _SIGNED & ~Q(status=PaidState.PAID) & Q(date__lt=timezone.localdate())


def _ages(source, filters):
    """How long ago the day of the plan was, in days."""
    today = timezone.localdate()
    found = [
        (f"逾期 {least}–{most} 天", Q(date__lte=today - timedelta(days=least), date__gte=today - timedelta(days=most)))
        for least, most in AGES
    ]
    found.append((f"逾期 {AGES[-1][1]} 天以上", Q(date__lt=today - timedelta(days=AGES[-1][1]))))
    return [("未到期", Q(date__gte=today)), *found]


REPORT = Report(
    name="receipts",
    title="回款与开票",
    icon="payments",
    intro="这段时间应收多少、已收多少、逾期多少、逾期多久，以及开了多少发票。",
    sources={
        "plans": Source(PaymentPlan, date="date", where=_SIGNED, **_PLAN),
        "overdue": Source(PaymentPlan, day="date", where=_overdue, **_PLAN),
        "unpaid": Source(PaymentPlan, day="date", where=_SIGNED & ~Q(status=PaidState.PAID), **_PLAN),
        "receipts": RECEIPTS,
        "uninvoiced": Source(
            Contract,
            where=Q(status=ContractStatus.SIGNED, invoiced_amount__lt=F("total_amount")),
            day="sign_date",
        ),
        "invoices": Source(
            Invoice,
            date="issue_date",
            where=~Q(status=InvoiceStatus.VOID),
            person=("contract__owner",),
            amount="amount",
        ),
    },
    columns=[
        Number("plans", "应收", "plans", unit="期"),
        Money("planned", "应收金额", "plans"),
        Money("paid", "其中已收", "plans", amount="received_amount"),
        Ratio("paid_rate", "回款率", part="paid", whole="planned"),
        Number("receipts", "回款", "receipts", unit="笔"),
        Money("received", "回款额", "receipts"),
        Number("overdue", "逾期", "overdue", unit="期", only=_NOW),
        Money(
            "overdue_amount",
            "逾期金额",
            "overdue",
            amount=_UNPAID,
            only=_NOW,
        ),
        Number("unpaid", "未收", "unpaid", unit="期", only=("age",)),
        Money("unpaid_amount", "未收金额", "unpaid", amount=_UNPAID, only=("age",)),
        Number("invoices", "发票", "invoices", unit="张"),
        Money("invoiced", "开票金额", "invoices"),
        Number("uninvoiced", "未开票合同", "uninvoiced", unit="份", only=_NOW),
        Money("uninvoiced_amount", "未开票金额", "uninvoiced", amount=_UNINVOICED, only=_NOW),
    ],
    dimensions=[
        in_time(),
        Steps("age", "账龄", steps=_ages, sources=("unpaid",)),
        by_person(),
        by_department(),
        ranking_of_customers(),
        *by_customer("level", "area"),
    ],
    charts=[
        Chart(bars=("planned", "received", "overdue_amount"), lines=("paid_rate",)),
        Chart(bars=("unpaid_amount",), only=("age",)),
        Chart(bars=("invoiced",), only=("time",)),
    ],
    basis=("received", "planned", "overdue_amount", "invoiced"),
    definitions=[
        (
            "应收",
            "计划日期在时间段内、已签约合同的回款计划；其中已收是它们到今天收到的，回款率 = 其中已收 ÷ 应收金额。",
        ),
        RECEIVED,
        ("逾期、未收、账龄", "到今天为止没有收齐的计划中没有收到的部分，与时间段无关；账龄从计划日期算起。"),
        ("发票", "开票日期在时间段内的发票；已作废的不算。"),
        ("未开票", "已签约的合同到今天为止还没有开足发票的，和没有开的金额，与时间段无关；金额按签约日期的汇率。"),
        VALUED,
        ("人员、部门", "按合同的负责人；没有合同的订单的回款按客户现在的负责人。"),
    ],
)
