"""From a number to the rows that it counts, and back: what the words of ``?_rows=`` mean for reports."""

from urllib.parse import parse_qs, urlencode

from django.contrib import admin
from django.urls import reverse

from crm.admin.row_sets import PARAMETER, RowSet
from reports.queries import REPORTS
from reports.queries.core import TOTAL, rows_behind
from reports.queries.filters import BadFilters, read


def report_address(report, filters, **more) -> str:
    address = f"{reverse('admin:report', args=[report.name])}?{filters.query()}"
    return f"{address}&{urlencode(more)}" if more else address


def rows_address(report, filters, column, code=TOTAL) -> str:
    """The list of the rows behind a number; the days are named, so that the link means the same tomorrow."""
    model = report.sources[column.source].model
    if model not in admin.site._registry:
        return ""
    words = f"{report.name}?{filters.query(absolute=True)}&{urlencode({'column': column.name, 'line': code})}"
    address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return f"{address}?{urlencode({PARAMETER: words})}"


def row_set(user, model, words) -> RowSet | None:
    """The rows of ``model`` that ``words`` name, if they name a number that ``user`` is told."""
    name, _, query = words.partition("?")
    report = REPORTS.get(name)
    if report is None or not report.allowed(user):
        return None
    given = {key: values[-1] for key, values in parse_qs(query, keep_blank_values=True).items()}
    try:
        filters = read(report, given)
        column = report.column(given.get("column", ""))
        rows = rows_behind(report, user, filters, column.name, given.get("line", TOTAL))
    except BadFilters:
        return None
    if rows.model is not model:
        return None
    return RowSet(f"{report.title} · {column.label}", rows)
