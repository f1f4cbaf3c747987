"""Slow reports are kept as counted and read from there, with the time they were counted.

Those who see all rows share one copy. Whoever sees part of them has his own and is shown it only while it holds nothing
that he may not see any more (``reports.sight``): what left his sight makes it worthless, what came into it is missing
until the next count, like whatever else has changed since.
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
from reports.sight import Sight, sight_of

SLOW = 1.0  # seconds from which on a report is kept
OLD = timedelta(hours=2)  # what is older is counted afresh when somebody looks
FORGOTTEN = timedelta(days=14)  # what nobody has looked at for so long is not counted any more
BUDGET = 1800.0  # seconds that the job counts for at most: half of the hour until it runs again


def sees_everything(user, report) -> bool:
    """Whether the rows of ``report`` that ``user`` sees, and the customers, are all there are."""
    models = {source.model for source in report.sources.values()} | {Customer}
    return all(sees_all(user, model) for model in models)


def table_for(report, user, filters: Filters, *, only=(), fresh=False):
    """``(table, when it was counted)``: kept figures where there are any for ``user``, else counted now (None).

    ``only`` some columns are kept apart from the whole report.
    """
    sight = None
    if not sees_everything(user, report) and (sight := sight_of(report, user)) is None:
        return table(report, user, filters, only), None
    now = timezone.now()
    kept = ReportSummary.objects.filter(key=_key(report, filters, only, sight)).first()
    if kept is None or kept.counted_at < now - OLD or fresh or not _holds(kept, sight):
        return count(report, user, filters, only, sight=sight, kept=kept)
    if kept.used_at < now - timedelta(hours=1):
        ReportSummary.objects.filter(pk=kept.pk).update(used_at=now)
    return load(report, user, filters, kept.data), kept.counted_at


def _holds(kept, sight: Sight | None) -> bool:
    """Whether nothing in the ``kept`` figures has left the sight of the reader; who sees everything sees them all."""
    if sight is None:
        return True
    return kept.sight == sight.digest and kept.departures == sight.departures(kept.counted_at)


def count(report, user, filters, only=(), *, sight=None, kept=None, used_at=None):
    """Count now, and keep it if it took long, in place of ``kept``; last looked at ``used_at``, now if not given.

    ``sight`` is what ``user`` sees, None for everything.
    """
    started, now = time.perf_counter(), timezone.now()
    departures = sight.departures(now) if sight else 0
    found = table(report, user, filters, only)
    seconds = time.perf_counter() - started
    shared = seconds >= SLOW and sight and sight_of(report, user, anew=True).digest != sight.digest  # or unshared
    if seconds < SLOW or shared:
        if kept is not None:
            kept.delete()
        return found, None
    ReportSummary.objects.update_or_create(
        key=_key(report, filters, only, sight),
        defaults={
            "report": report.name,
            "query": _query(filters, only),
            "viewer": sight and user,
            "sight": sight.digest if sight else "",
            "departures": departures,
            "data": dump(found),
            "counted_at": now,
            "used_at": used_at or now,
            "seconds": round(seconds, 1),
        },
    )
    return found, now


def _query(filters, only) -> str:
    return f"{filters.query()}&only={','.join(only)}" if only else filters.query()


def _key(report, filters, only, sight: Sight | None) -> str:
    """Presets with the days that they mean today: tomorrow's month is another one."""
    words = f"{report.name}?{_query(filters, only)}&{filters.query(absolute=True)}&viewer={sight and sight.user.pk}"
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
    found = ReportSummary.objects.filter(used_at__gte=timezone.now() - FORGOTTEN)
    return found.select_related("viewer").order_by("-used_at")


def preview() -> list[str]:
    return [
        f"{REPORTS[one.report].title}（{one.seconds} 秒，{one.viewer or '看得到全部的人'}）：{one.query}"
        for one in due()
        if one.report in REPORTS
    ]


@periodic("reports.summaries", title="刷新慢报表", minutes=60, preview=preview)
def refresh(run):
    """Count again what was slow and somebody looked at lately, what was looked at last first; forget the rest.

    What is beyond the budget is counted when somebody looks.
    """
    ReportSummary.objects.filter(used_at__lt=timezone.now() - FORGOTTEN).delete()
    started = time.perf_counter()
    for one in due():
        if time.perf_counter() - started > BUDGET:
            break
        _refresh(one)


def _refresh(one):
    """Count ``one`` again as its viewer; drop it where he may not open it any more or nothing is kept for him."""
    report, user, sight = REPORTS.get(one.report), one.viewer or everybody(), None
    given = dict(parse_qsl(one.query))
    only = tuple(filter(None, given.pop("only", "").split(",")))
    try:
        filters = read(report, given) if report else None
    except BadFilters:
        filters = None
    if one.viewer and filters is not None:
        sight = None if sees_everything(user, report) or not report.allowed(user) else sight_of(report, user)
        filters = filters if sight else None
    kept = one
    if filters is None or _key(report, filters, only, sight) != one.key:  # the preset means other days by now
        one.delete()
        kept = None
    if filters is not None:
        count(report, user, filters, only, sight=sight, kept=kept, used_at=one.used_at)
