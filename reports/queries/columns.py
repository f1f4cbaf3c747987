"""What is told about rows: how many, how much in CNY, how long; and what follows from these."""

from dataclasses import dataclass, field
from decimal import Decimal
from math import ceil

from django.db.models import (
    Case,
    Count,
    DecimalField,
    ExpressionWrapper,
    F,
    Func,
    IntegerField,
    Min,
    OuterRef,
    Q,
    Subquery,
    Sum,
    When,
)
from django.db.models.expressions import Combinable
from django.utils import timezone

from crm.models import Currency, ExchangeRate

CENT = Decimal("0.01")
EXACT = DecimalField(max_digits=38, decimal_places=10)
UNRATED = "_unrated"
TODAY = "today"  # as the day of a source: the rate of the day on which the report is read
BASIS = "basis"  # as the column that a share is of: the one that ranks


def in_cny(amount, currency: str, day: str):
    """``amount`` in CNY by the last rate that begins on ``day`` or before; NULL where there is none.

    The same rates that ``crm.exchange.convert`` takes, but not rounded row by row: a sum is the exact sum of its rows,
    whatever way they are grouped, and is rounded when it is shown.
    """
    amount = F(amount) if isinstance(amount, str) else amount
    on = timezone.localdate() if day == TODAY else OuterRef(day)
    rates = ExchangeRate.objects.valid().filter(currency=OuterRef(currency), valid_from__lte=on)
    rate = Subquery(rates.order_by("-valid_from").values("rate")[:1])
    foreign = ExpressionWrapper(amount * rate, output_field=EXACT)
    return Case(When(**{currency: Currency.CNY}, then=amount), default=foreign, output_field=EXACT)


PARTS = {"天": ("DAY", 86_400_000_000), "小时": ("HOUR", 3_600_000_000)}  # what databases call it, microseconds


def without_rate(currency: str, day: str) -> Q:
    """What makes a row one that ``in_cny`` cannot value: foreign, and no rate of its currency begins by its day.

    Asked by the first day of each currency, not by looking for the rate again: that would double what sums cost. CNY
    comes first, so that for most rows one comparison is enough.
    """
    first = dict(ExchangeRate.objects.valid().order_by().values_list("currency").annotate(first=Min("valid_from")))
    lacking = ~Q(**{f"{currency}__in": list(first)})
    for code, begins in first.items():
        if day != TODAY:
            before = Q(**{f"{day}__lt": begins}) | Q(**{f"{day}__isnull": True})
            lacking |= Q(**{currency: code}) & before
        elif begins > timezone.localdate():
            lacking |= Q(**{currency: code})
    return ~Q(**{currency: Currency.CNY}) & lacking


class Elapsed(Func):
    """Whole days or hours (``unit``) from the first moment to the second; begun ones do not count."""

    output_field = IntegerField()
    arity = 2

    def __init__(self, start, end, *, unit):
        part, length = PARTS[unit]
        super().__init__(start, end, part=part, length=length)

    def as_sqlite(self, compiler, connection, **context):
        template = "(django_timestamp_diff(%(expressions)s) / %(length)s)"
        swapped = self.copy()
        swapped.set_source_expressions(self.get_source_expressions()[::-1])
        return super(Elapsed, swapped).as_sql(compiler, connection, template=template, **context)

    def as_mysql(self, compiler, connection, **context):
        return super().as_sql(compiler, connection, template="TIMESTAMPDIFF(%(part)s, %(expressions)s)", **context)


@dataclass(frozen=True)
class Column:
    """One column of a table. ``where`` narrows the rows of ``source`` further."""

    name: str
    label: str
    source: str
    where: Q = field(default_factory=Q)
    unit: str = ""
    only: tuple[str, ...] = ()  # the dimensions that it is told for; empty: all

    is_derived = False
    is_additive = True

    def rows(self, rows):
        """The rows behind the number."""
        return rows.filter(self.where)

    def prepare(self, source) -> dict:
        """What the rows must be annotated with before ``aggregates`` can be asked for."""
        return {}

    def aggregates(self, source) -> dict:
        return {}


@dataclass(frozen=True)
class Number(Column):
    """How many rows."""

    unit: str = "个"

    def aggregates(self, source):
        return {self.name: Count("pk", filter=self.where) if self.where else Count("pk")}


@dataclass(frozen=True)
class Money(Column):
    """The sum of ``amount`` (by default what the source says) in CNY; what has no rate is counted, not summed."""

    unit: str = "元"
    amount: str | Combinable = ""

    def prepare(self, source):
        return {f"{self.name}_cny": in_cny(self.amount or source.amount, source.currency, source.day or source.date)}

    def aggregates(self, source):
        unrated = self.where & without_rate(source.currency, source.day or source.date)
        only = {"filter": self.where} if self.where else {}
        return {
            self.name: Sum(f"{self.name}_cny", **only),
            f"{self.name}{UNRATED}": Count("pk", filter=unrated),
        }


@dataclass(frozen=True)
class Lasting(Column):
    """How long it is between two moments of the rows: the ``share`` quantile (0.5: the median) of whole ``unit``."""

    unit: str = "天"
    start: str = "started_at"
    end: str = "ended_at"
    share: float = 0.5

    is_additive = False

    @property
    def length(self):
        """What is measured; columns that measure the same differ in their share alone."""
        return self.start, self.end, self.unit, self.where


@dataclass(frozen=True)
class Ratio(Column):
    """``part`` of ``whole``, two other columns, in percent."""

    source: str = ""
    unit: str = "%"
    part: str = ""
    whole: str = ""

    is_derived = True
    is_additive = False

    @property
    def needs(self):
        return (self.part, self.whole)

    def derive(self, values, total, before):
        return percent(values[self.part], values[self.whole])


@dataclass(frozen=True)
class Per(Ratio):
    """``part``, an amount, for each of ``whole``, in CNY."""

    unit: str = "元"

    def derive(self, values, total, before):
        return (Decimal(values[self.part]) / values[self.whole]).quantize(CENT) if values[self.whole] else None


@dataclass(frozen=True)
class Return(Ratio):
    """What ``part`` brought beyond ``whole``, its cost, in percent of the cost."""

    def derive(self, values, total, before):
        return percent(values[self.part] - values[self.whole], values[self.whole])


@dataclass(frozen=True)
class Share(Column):
    """What part of the total of column ``of`` this row has, in percent."""

    source: str = ""
    unit: str = "%"
    of: str = ""

    is_derived = True
    is_additive = False

    @property
    def needs(self):
        return (self.of,)

    def derive(self, values, total, before):
        return percent(values[self.of], total[self.of])


@dataclass(frozen=True)
class Running(Share):
    """What part of the total this row and those above it have together (Pareto), in percent."""

    def derive(self, values, total, before):
        so_far = sum((row[self.of] or 0 for row in before), start=values[self.of] or 0)
        return percent(so_far, total[self.of])


@dataclass(frozen=True)
class Plus(Column):
    """The sum of other columns; those that a reader may not see are not in it."""

    source: str = ""
    unit: str = "元"
    parts: tuple[str, ...] = ()

    is_derived = True

    @property
    def needs(self):
        return self.parts

    def derive(self, values, total, before):
        return sum((values[part] or 0 for part in self.parts), start=Decimal(0))


def percent(part, whole) -> Decimal | None:
    """One decimal; None where there is nothing to be a part of."""
    return (Decimal(part or 0) * 100 / Decimal(whole)).quantize(Decimal("0.1")) if whole else None


def quantile(counts: dict[int, int], share: float) -> int | None:
    """The smallest value that at least ``share`` of all do not exceed; ``counts`` is ``{value: how many}``."""
    total = sum(counts.values())
    if not total:
        return None
    needed, so_far = max(1, ceil(share * total)), 0
    for value in sorted(counts):
        so_far += counts[value]
        if so_far >= needed:
            return value
    return None
