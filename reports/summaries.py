"""Slow reports are kept as counted: whoever sees everything reads them from there, with the time they were counted.

Only what is the same for everybody who sees all rows is kept: for anybody else, whose rows may change with the next
click, a report is always counted afresh.
"""

import hashlib
import time
from datetime import timedelta
from decimal import Decimal
from urllib.parse import parse_qsl

from django.utils import timezone

from crm.jobs import periodic
from customers.models import Customer
from reports.models import ReportSummary
from reports.queries import REPORTS
from reports.queries.core import Row, Table, table
from reports.queries.filters import BadFilters, Filters, read
from reports.queries.sources import everybody, sees_all

SLOW = 1.0  # seconds from which on a report is kept
OLD = timedelta(hours=2)  # what is older is counted afresh when somebody looks
FORGOTTEN = timedelta(days=14)  # what nobody has looked at for so long is not counted any more


def sees_everything(user, report) -> bool:
    """Whether the rows of ``report`` that ``user`` sees, and the customers, are all there are."""
    models = {source.model for source in report.sources.values()} | {Customer}
    return all(sees_all(user, model) for model in models)


def table_for(report, user, filters: Filters, *, only=(), fresh=False):
    """``(table, when it was counted)``: kept figures where there are any for ``user``, else counted now (None).

    ``only`` some columns are kept apart from the whole report.
    """
    if not sees_everything(user, report):
        return table(report, user, filters, only), None
    key = _key(report, filters, only)
    now = timezone.now()
    kept = ReportSummary.objects.filter(key=key).first()
    if kept is None or kept.counted_at < now - OLD or fresh:
        return count(report, user, filters, only, kept=kept)
    if kept.used_at < now - timedelta(hours=1):
        ReportSummary.objects.filter(pk=kept.pk).update(used_at=now)
    return load(report, user, filters, kept.data), kept.counted_at


def count(report, user, filters, only=(), *, kept=None, used=True):
    """Count now, and keep it if it took long, in place of ``kept``."""
    started, now = time.perf_counter(), timezone.now()
    found = table(report, user, filters, only)
    seconds = time.perf_counter() - started
    if seconds < SLOW:
        if kept is not None:
            kept.delete()
        return found, None
    values = {"report": report.name, "query": _query(filters, only), "data": dump(found), "counted_at": now}
    values["seconds"] = round(seconds, 1)
    ReportSummary.objects.update_or_create(
        key=_key(report, filters, only),
        defaults=values | ({"used_at": now} if used else {}),
        create_defaults=values | {"used_at": now},
    )
    return found, now


def _query(filters, only) -> str:
    return f"{filters.query()}&only={','.join(only)}" if only else filters.query()


def _key(report, filters, only) -> str:
    """Presets with the days that they mean today: tomorrow's month is another one."""
    words = f"{report.name}?{_query(filters, only)}&{filters.query(absolute=True)}"
    return hashlib.sha256(words.encode()).hexdigest()


def dump(found: Table) -> dict:
    """``found`` as JSON; amounts as text, which keeps every digit."""
    return {
        "title": found.title,
        "unrated": found.unrated,
        "columns": [column.name for column in found.columns],
        "rows": [_dump(row) for row in [*found.rows, found.total]],
    }


def _dump(row):
    return [
        row.code,
        row.label,
        {name: str(value) if isinstance(value, Decimal) else value for name, value in row.values.items()},
    ]


def load(report, user, filters, data) -> Table:
    rows = [
        Row(code, label, {name: Decimal(value) if isinstance(value, str) else value for name, value in values.items()})
        for code, label, values in data["rows"]
    ]
    columns = [column for column in report.told(user, filters) if column.name in data["columns"]]
    return Table(columns, rows[:-1], rows[-1], data["unrated"], data["title"])


def due():
    return ReportSummary.objects.filter(used_at__gte=timezone.now() - FORGOTTEN).order_by("-used_at")


def preview() -> list[str]:
    return [f"{REPORTS[one.report].title}（{one.seconds} 秒）：{one.query}" for one in due() if one.report in REPORTS]


@periodic("reports.summaries", title="刷新慢报表", minutes=60, preview=preview)
def refresh(run):
    """Count again what was slow and somebody looked at lately; forget the rest."""
    ReportSummary.objects.filter(used_at__lt=timezone.now() - FORGOTTEN).delete()
    for one in due():
        report = REPORTS.get(one.report)
        given = dict(parse_qsl(one.query))
        only = tuple(filter(None, given.pop("only", "").split(",")))
        try:
            filters = read(report, given) if report else None
        except BadFilters:
            filters = None
        if filters is None or _key(report, filters, only) != one.key:  # the preset means other days by now
            one.delete()
            one = None
        if filters is not None:
            count(report, everybody(), filters, only, kept=one, used=False)
