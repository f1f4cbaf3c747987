"""A report: what it counts (sources), what it tells (columns), by what (dimensions); and its table for one reader.

Pure functions from a reader and filters to numbers. Every number knows the rows that it counts: ``rows_behind`` gives
them, the page links to them, and the tests compare the two.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from decimal import Decimal

from django.db.models import Count, F, QuerySet

from crm.policies import policy_for
from reports.models import ReportSummary
from reports.queries.columns import BASIS, UNRATED, Column, Elapsed, Lasting, Money, quantile
from reports.queries.dimensions import REST, Dimension
from reports.queries.filters import BadFilters, Filters
from reports.queries.sources import Source

TOTAL = ""
BY_SIZE = {"person", "department", "pool"}  # listed by their first bar; what has an order of its own keeps it


@dataclass(frozen=True)
class Chart:
    """Which columns are drawn: ``bars`` of one unit, ``lines`` (percentages, days) against an axis of their own."""

    bars: tuple[str, ...]
    lines: tuple[str, ...] = ()
    is_stacked: bool = False
    only: tuple[str, ...] = ()  # the dimensions it is for; empty: all


@dataclass(frozen=True)
class Report:
    """``definitions`` are ``(word, what it means)``: what counts, which date, which currency at which rate."""

    name: str
    title: str
    icon: str
    intro: str
    sources: dict[str, Source]
    columns: list[Column]
    dimensions: list[Dimension]
    definitions: list[tuple[str, str]]
    charts: list[Chart]
    preset: str = "year"
    basis: tuple[str, ...] = ()
    is_watched: bool = False  # whoever opens it is logged

    @property
    def permission(self) -> str:
        return f"{self.name}_reportsummary"

    @property
    def has_period(self) -> bool:
        return any(source.date for source in self.sources.values())

    def allowed(self, user) -> bool:
        """Whether ``user`` may open it: the right to the report, and to look at some of what it counts."""
        granted = policy_for(ReportSummary).allows(user, self.name)
        return granted and any(source.allowed(user) for source in self.sources.values())

    def dimension(self, name) -> Dimension:
        return next(dimension for dimension in self.dimensions if dimension.name == name)

    def column(self, name) -> Column:
        found = next((column for column in self.columns if column.name == name), None)
        if found is None:
            raise BadFilters("没有这个数字。")
        return found

    def told(self, user, filters) -> list[Column]:
        """The columns that can be told to ``user``: of rows that he may see and that the filters apply to."""
        dimension, shown = self.dimension(filters.by), []
        usable = {
            name
            for name, source in self.sources.items()
            if source.allowed(user) and source.answers(filters) and dimension.applies(name, source)
        }
        for column in self.columns:
            if column.only and dimension.name not in column.only:
                continue
            if getattr(column, "of", "") == BASIS:
                column = replace(column, of=filters.basis, label=f"{self.column(filters.basis).label}{column.label}")
            if column.is_derived:
                known = [need for need in column.needs if need in {other.name for other in shown}]
                if len(known) == len(column.needs) or (known and hasattr(column, "parts")):
                    shown.append(column)
            elif column.source in usable:
                shown.append(column)
        return shown


@dataclass
class Row:
    """A line of the table: ``code`` is what addresses call it, the total's is empty."""

    code: str
    label: str
    values: dict

    def __getitem__(self, name):
        return self.values.get(name)


@dataclass
class Table:
    columns: list[Column]
    rows: list[Row]
    total: Row
    unrated: int = 0
    title: str = ""


@dataclass
class _Counted:
    """What one query gave: per key and in all."""

    groups: dict = field(default_factory=dict)
    total: dict = field(default_factory=dict)


def table(report: Report, user, filters: Filters, only: tuple[str, ...] = ()) -> Table:
    """The numbers of ``report`` as ``user`` may know them; ``only`` the columns of these names, none that follow."""
    columns = [column for column in report.told(user, filters) if not only or column.name in only]
    dimension = report.dimension(filters.by)
    used = {column.source for column in columns if not column.is_derived}
    sources = {name: source for name, source in report.sources.items() if name in used}
    ranked = None
    if dimension.is_ranking:
        ranked = _first(report, sources, dimension, user, filters)
    counted, unrated = {}, 0
    for name, source in sources.items():
        own = [column for column in columns if column.source == name]
        found = _count(dimension, name, source, own, user, filters, ranked)
        unrated += sum(found.total.get(f"{column.name}{UNRATED}") or 0 for column in own)
        counted[name] = found
    keys = {key for found in counted.values() for key in found.groups}
    members = dimension.members(keys - {REST}, sources, user, filters) if sources else []
    if ranked is not None:
        place = {key: number for number, key in enumerate(ranked)}
        members = sorted(members, key=lambda member: place.get(member[0], len(place)))
        if REST in keys:
            members.append((REST, "其他客户"))
    rows = []
    for key, label in members:
        code = f"{REST}{','.join(map(str, ranked))}" if key == REST else dimension.code(key)
        rows.append(Row(code, label, _values(columns, lambda name, key=key: counted[name].groups.get(key, {}))))
    total = Row(TOTAL, "合计", _values(columns, lambda name: counted[name].total))
    _derive(columns, rows, total)
    if dimension.name in BY_SIZE:
        drawn = [column.name for column in columns if column.name in report.charts[0].bars]
        rows.sort(key=lambda row: [-(row[name] or 0) for name in drawn[:1]])
    return Table(columns, rows, total, unrated, dimension.label)


def _first(report, sources, dimension, user, filters) -> list:
    """The keys of the first ``filters.top`` members by ``filters.basis``."""
    column = report.column(filters.basis)
    if column.source not in sources:
        column = next(one for one in report.columns if one.source in sources and one.name in report.basis)
    source = sources[column.source]
    rows = source.counted(user, filters).annotate(**column.prepare(source))
    key = dimension.key(column.source, source, filters)
    groups = rows.values(_key=key).annotate(_size=column.aggregates(source)[column.name])
    groups = groups.filter(_size__gt=0, _key__isnull=False).order_by(F("_size").desc(), "_key")
    return [found["_key"] for found in groups[: filters.top]]


def _count(dimension, name, source, columns, user, filters, ranked) -> _Counted:
    rows = source.counted(user, filters)
    found = _Counted(defaultdict(dict), {})
    sums = [column for column in columns if not isinstance(column, Lasting)]
    if sums:
        _sum(found, rows, dimension, name, source, sums, filters, ranked)
    lasting: dict = defaultdict(list)
    for column in columns:
        if isinstance(column, Lasting):
            lasting[column.length].append(column)
    for same in lasting.values():
        _last(found, rows, dimension, name, source, same, filters)
    return found


def _sum(found, rows, dimension, name, source, columns, filters, ranked):
    aggregates: dict = {}
    for column in columns:
        rows = rows.annotate(**column.prepare(source))
        aggregates |= column.aggregates(source)
    inner = rows
    if ranked is not None:
        path = dimension.of(name, source)[0]
        inner = rows.filter(**{f"{path}__in": ranked})
    groups = inner.values(_key=dimension.key(name, source, filters)).annotate(**aggregates)
    for values in groups:
        found.groups[values.pop("_key")] |= values
    apart = ranked is not None or dimension.is_many(name, source)
    found.total |= rows.aggregate(**aggregates) if apart else _added(found.groups.values(), aggregates)
    if ranked is not None:
        shown = _added(found.groups.values(), aggregates)
        rest = {label: (found.total[label] or 0) - (shown[label] or 0) for label in aggregates}
        if any(rest.values()):
            found.groups[REST] = rest


def _added(groups, names) -> dict:
    groups = list(groups)
    return {name: sum((group.get(name) or 0 for group in groups), start=0) for name in names}


def _last(found, rows, dimension, name, source, columns, filters):
    """One histogram of whole days or hours; its quantiles are exact and the same on every database."""
    column = columns[0]
    rows = rows.filter(column.where, **{f"{column.start}__isnull": False, f"{column.end}__isnull": False})
    days = Elapsed(F(column.start), F(column.end), unit=column.unit)
    groups = rows.values(_key=dimension.key(name, source, filters), _days=days).annotate(_count=Count("pk"))
    by_key: dict = defaultdict(Counter)
    for values in groups.order_by():
        by_key[values["_key"]][values["_days"]] += values["_count"]
    whole = Counter()
    for key, counts in by_key.items():
        found.groups[key] |= {one.name: quantile(counts, one.share) for one in columns}
        whole.update(counts)
    if dimension.is_many(name, source):
        whole = Counter(dict(rows.values_list(days).annotate(Count("pk")).order_by()))
    found.total |= {one.name: quantile(whole, one.share) for one in columns}


def _values(columns, of) -> dict:
    """What was counted for a line; nothing counted is 0, nothing lasted is nothing."""
    values = {}
    for column in columns:
        if not column.is_derived:
            found = of(column.source).get(column.name)
            values[column.name] = found if found is not None or isinstance(column, Lasting) else 0
            if isinstance(column, Money):
                values[column.name] = Decimal(values[column.name])
    return values


def _derive(columns, rows, total):
    for column in columns:
        if column.is_derived:
            total.values[column.name] = column.derive(_Known(total.values), _Known(total.values), [])
            before: list = []
            for row in rows:
                row.values[column.name] = column.derive(_Known(row.values), _Known(total.values), before)
                before.append(_Known(row.values))


class _Known(dict):
    """Values of a line; what this reader is not told counts for nothing."""

    def __missing__(self, name):
        return 0


def rows_behind(report: Report, user, filters: Filters, column_name: str, code: str) -> QuerySet:
    """The rows that the number in column ``column_name`` of line ``code`` (empty: the total) counts.

    Raises BadFilters for what is no number of this report or none that ``user`` is told.
    """
    column = report.column(column_name)
    if column.is_derived or column not in report.told(user, filters):
        raise BadFilters("没有这个数字。")
    source, dimension = report.sources[column.source], report.dimension(filters.by)
    rows = column.rows(source.rows(user, filters))
    if isinstance(column, Lasting):
        rows = rows.filter(**{f"{column.start}__isnull": False, f"{column.end}__isnull": False})
    if code != TOTAL:
        rows = rows.filter(dimension.condition(column.source, source, code, filters))
    return rows
