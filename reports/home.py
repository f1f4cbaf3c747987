"""Figures on the home page, out of the reports: this month against last, one's own or one's team's."""

from django.utils import timezone

from crm.admin.home import Comparison, Figure, Part, Table
from crm.models import DataScope
from crm.policies import policy_for
from customers.models import Customer
from reports.links import rows_address
from reports.pages import words
from reports.queries import REPORTS
from reports.queries.filters import read
from reports.summaries import table_for
from sales.models import Invoice

TEAM_SIZE = 15
# (report, column, what it is called here): what is compared
COMPARED = (
    ("composition", "new", "新增客户"),
    ("leads", "leads", "新增线索"),
    ("leads", "converted", "转化线索"),
    ("activity", "followups", "跟进"),
    ("activity", "visits", "拜访"),
    ("ranking", "won", "赢单商机"),
    ("ranking", "contracts", "签约合同"),
    ("ranking", "contract_amount", "合同额"),
    ("contribution", "order_amount", "订单额"),
    ("contribution", "receipt_amount", "回款额"),
)
# what finance looks at first: (column of 回款与开票, its amount, what it is called here)
MONEY = (
    ("receipts", "received", "本月回款"),
    ("invoices", "invoiced", "本月开票"),
    ("uninvoiced", "uninvoiced_amount", "未开票合同"),
)
# whose counts per person make the table of the team
TEAM = {"activity": ("followups", "interactions", "visits", "done"), "ranking": ("contracts", "won")}


def part(request) -> Part | None:
    """What ``request.user`` (or, for those who lead, everybody within reach) did this month and the last."""
    user = request.user
    open_to = {name for name, _, _ in COMPARED if REPORTS[name].allowed(user)}
    if not open_to:
        return None
    scope = policy_for(Customer).scope(user, "view")
    is_own = scope is None or scope == DataScope.SELF
    title = "我的数字" if is_own else "全部数字" if scope == DataScope.ALL else "团队数字"
    tables = _Tables(user, {"person": str(user.pk)} if is_own else {})
    found = Part(compared=(title, _compared(tables, open_to)))
    if policy_for(Invoice).allows(user, "add"):
        found.figures = _money(_Tables(user, {}) if is_own else tables)
    if not is_own:
        found.tables = _team(tables, open_to)
    found.counted_at = tables.counted_at
    return found


class _Tables:
    """The reports by person as ``user`` is told them, each asked for once.

    ``narrowed`` are filters for all of them, ``counted_at`` is when the oldest of the kept ones was counted.
    """

    def __init__(self, user, narrowed):
        self.user, self.narrowed = user, narrowed
        self.found: dict = {}
        self.counted_at = None

    def of(self, name, period):
        """``(filters, table)``."""
        if (name, period) not in self.found:
            report = REPORTS[name]
            filters = read(report, {"by": "person", "period": period, **self.narrowed})
            table, counted_at = table_for(report, self.user, filters, only=_asked(name))
            self.counted_at = min(filter(None, (self.counted_at, counted_at)), default=None)
            self.found[name, period] = filters, table
        return self.found[name, period]


def _asked(name) -> tuple[str, ...]:
    """The columns of the report ``name`` that the page shows: no others are counted."""
    compared = {column for report, column, _ in COMPARED if report == name}
    money = {column for count, amount, _ in MONEY for column in (count, amount)} if name == "receipts" else set()
    return tuple(sorted(compared | money | set(TEAM.get(name, ()))))


def _compared(tables, open_to) -> list[Comparison]:
    lines = []
    for name, column_name, label in COMPARED:
        if name not in open_to:
            continue
        found = [tables.of(name, period) for period in ("month", "last_month")]
        column = next((one for one in found[0][1].columns if one.name == column_name), None)
        if column is None:
            continue
        now, before = (one.total[column.name] for _, one in found)
        links = [rows_address(REPORTS[name], filters, column) for filters, _ in found]
        lines.append(
            Comparison(
                label,
                *(f"{one:,.0f}" if column.unit == "元" else words(one, column.unit) for one in (now, before)),
                column.unit,
                _change(now, before),
                *links,
            )
        )
    return lines


def _money(tables) -> list[Figure]:
    """Receipts and invoices of this month, contracts that still lack invoices; beside each what it comes to."""
    report = REPORTS["receipts"]
    if not report.allowed(tables.user):
        return []
    filters, found = tables.of("receipts", "month")
    total, told = found.total, {column.name for column in found.columns}
    return [
        Figure(
            label,
            total[name],
            rows_address(report, filters, report.column(name)),
            f"合计 CNY {total[amount]:,.0f}",
            waits="订单与回款" if name == "uninvoiced" else "",
        )
        for name, amount, label in MONEY
        if {name, amount} <= told
    ]


def _change(now, before) -> str:
    """By how much more or less, in percent; nothing where there was nothing."""
    if not before:
        return ""
    return f"{(now - before) * 100 / before:+.0f}%"


def _team(tables, open_to) -> list[Table]:
    """Counts per person of this month; each leads to its rows."""
    columns, by_person = [], {}
    for name in TEAM:
        if name not in open_to:
            continue
        report = REPORTS[name]
        filters, found = tables.of(name, "month")
        for column in found.columns:
            if column.name not in TEAM[name]:
                continue
            columns.append(column.label)
            for row in found.rows:
                link = rows_address(report, filters, column, row.code)
                by_person.setdefault((row.code, row.label), {})[column.label] = Figure(
                    column.label, row[column.name], link
                )
    rows = [
        (label, [figures.get(column, Figure(column, 0)) for column in columns])
        for (_, label), figures in list(by_person.items())[:TEAM_SIZE]
        if any(figure.value for figure in figures.values())
    ]
    month = timezone.localdate()
    return [Table(f"{month.month} 月的团队", ["人员", *columns], rows)] if rows else []
