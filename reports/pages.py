"""One page for every report: filters, charts, table, links to the rows, Excel, print."""

import tempfile
from pathlib import Path

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone

from crm import audit, files
from crm.excel import writer
from crm.excel.columns import Column as Header
from crm.models import DataScope, Department, DictionaryItem, Operation, User
from crm.policies import members_in_scope, policy_for
from customers.models import CustomerCategory
from reports import summaries
from reports.charts import drawings
from reports.links import report_address, row_set, rows_address
from reports.models import ReportSummary
from reports.queries import REPORTS
from reports.queries.columns import CENT
from reports.queries.filters import TOPS, BadFilters, read
from reports.queries.periods import PRESETS

__all__ = ["in_sidebar", "row_set", "urls"]

KINDS = {"元": "decimal", "%": "decimal"}


def urls(site):
    return [
        path("report/<slug:name>/", site.admin_view(lambda request, name: show(site, request, name)), name="report")
    ]


def in_sidebar(request):
    for order, report in enumerate(REPORTS.values(), 10):
        if report.allowed(request.user):
            yield "报表", report.title, report.icon, reverse("admin:report", args=[report.name]), order


def show(site, request, name):
    report = REPORTS.get(name)
    if report is None:
        raise Http404
    if not report.allowed(request.user):
        raise PermissionDenied
    problem = ""
    try:
        filters = read(report, request.GET)
    except BadFilters as error:
        filters, problem = read(report, {}), error.messages[0]
    if report.is_watched:
        audit.note(
            request.user, ReportSummary, Operation.REVEAL, remark=f"查看报表“{report.title}”{filters.query()}"[:255]
        )
    table, counted_at = summaries.table_for(report, request.user, filters, fresh="fresh" in request.GET)
    if "fresh" in request.GET:
        return HttpResponseRedirect(report_address(report, filters))
    if "export" in request.GET and not problem:
        return _export(request, report, filters, table)
    context = {
        **site.each_context(request),
        "title": report.title,
        "report": report,
        "filters": filters,
        "problem": problem,
        "choices": _choices(request.user, report, filters),
        "chosen": _chosen(report, filters),
        "dimensions": [
            (dimension.label, report_address(report, filters.narrowed(by=dimension.name)), dimension.name == filters.by)
            for dimension in report.dimensions
        ],
        "table": table,
        "lines": [_line(report, filters, table, row) for row in table.rows],
        "total": _line(report, filters, table, table.total),
        "drawings": drawings(report, table, filters),
        "export_url": report_address(report, filters, export="xlsx"),
        "fresh_url": report_address(report, filters, fresh="1"),
        "address": request.build_absolute_uri(report_address(report, filters)),
        "counted_at": counted_at,
        "now": timezone.localtime(),
    }
    request.current_app = site.name
    return TemplateResponse(request, "reports/report.html", context)


def header(column) -> str:
    return f"{column.label}（{column.unit}）" if column.unit else column.label


def words(value, unit) -> str:
    """A number as people read it; what does not exist is a dash."""
    if value is None:
        return "—"
    if unit == "元":
        return f"{value.quantize(CENT):,.2f}"
    return f"{value:,.1f}%" if unit == "%" else f"{value:,}"


def _line(report, filters, table, row):
    cells = []
    for column in table.columns:
        value = row[column.name]
        link = "" if column.is_derived or not value else rows_address(report, filters, column, row.code)
        cells.append((words(value, column.unit), link))
    return {"label": row.label, "cells": cells}


# --- Filters ---------------------------------------------------------------------------------------------------------


def _chosen(report, filters):
    """The filters in words, for paper."""
    found = [f"时间：{filters.period}"] if report.has_period else []
    for name, label, model in PLAIN:
        if pk := getattr(filters, name):
            found.append(f"{label}：{model._base_manager.filter(pk=pk).first() or '（已删除）'}")
    return found


PLAIN = (
    ("department", "部门", Department),
    ("person", "人员", User),
    ("level", "客户等级", DictionaryItem),
    ("category", "客户分类", CustomerCategory),
    ("area", "地区", DictionaryItem),
    ("industry", "行业", DictionaryItem),
)


def _choices(user, report, filters):
    """``(name, label, value, [(value, label), …])`` of every drop-down of this report."""
    found = []
    if report.has_period:
        found.append(("period", "时间段", filters.preset, list(PRESETS.items())))
    scope = max(policy_for(source.model).scope(user, "view") or 0 for source in report.sources.values())
    if scope > DataScope.SELF:
        found.append(("department", "部门（含下级）", filters.department, [("", "全部"), *_tree(user, Department)]))
        found.append(("person", "人员", filters.person, [("", "全部"), *_people(user, scope)]))
    items: dict[str, list] = {}
    for pk, kind, label in (
        DictionaryItem.objects.valid().filter(type__in=["level", "area", "industry"]).values_list("pk", "type", "label")
    ):
        items.setdefault(kind, []).append((pk, label))
    if any(source.customer is not None for source in report.sources.values()):
        found.append(("level", "客户等级", filters.level, [("", "全部"), *items.get("level", ())]))
        found.append(
            ("category", "客户分类（含下级）", filters.category, [("", "全部"), *_tree(user, CustomerCategory)])
        )
        found.append(("area", "地区", filters.area, [("", "全部"), *items.get("area", ())]))
        found.append(("industry", "行业", filters.industry, [("", "全部"), *items.get("industry", ())]))
    if report.dimension(filters.by).is_ranking:
        ranked = [(name, report.column(name).label) for name in report.basis]
        found.append(("basis", "排名依据", filters.basis, ranked))
        found.append(("top", "名次", filters.top, [(top, f"前 {top} 名") for top in TOPS]))
    return found


def _tree(user, model):
    rows = policy_for(model).choices_for(user).with_tree_fields()
    return [(node.pk, f"{'　' * node.tree_depth}{node}") for node in rows[:500]]


def _people(user, scope):
    people = User.objects.all()
    if scope < DataScope.ALL:
        people = people.filter(pk__in=members_in_scope(user, scope))
    people = people.order_by("-is_active", "full_name")[:500]
    return [(person.pk, str(person) if person.is_active else f"{person}（已停用）") for person in people]


# --- Excel -----------------------------------------------------------------------------------------------------------


def sheet(report, table):
    """Headers and rows of the workbook: what the page shows, numbers as numbers."""
    headers = [Header(table.title or "项目", max_length=60)]
    headers += [Header(header(column), kind=KINDS.get(column.unit, "integer")) for column in table.columns]
    rows = [
        [row.label, *(_cell(row[column.name], column.unit) for column in table.columns)]
        for row in [*table.rows, table.total]
    ]
    return headers, rows


def _cell(value, unit):
    return value.quantize(CENT) if unit == "元" and value is not None else value


def _export(request, report, filters, table):
    headers, rows = sheet(report, table)
    period = f"_{filters.period.first:%Y%m%d}-{filters.period.last:%Y%m%d}" if report.has_period else ""
    name = f"{report.title}_按{table.title}{period}.xlsx"
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "report.xlsx"
        writer.write_xlsx(written, headers, rows, sheet=report.title)
        stored = files.keep(written, user=request.user, name=name, rows=len(rows))
    narrowed = "；".join(_chosen(report, filters))
    audit.note(
        request.user, ReportSummary, Operation.EXPORT, remark=f"导出报表“{report.title}”：{name}（{narrowed}）"[:255]
    )
    return files.response(stored)
