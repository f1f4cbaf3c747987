"""Every number of every report is the number of the rows it leads to, for everybody of the cast."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal
from functools import cache

import pytest
from django.utils import timezone

from crm.exchange import NoRate, rate
from crm.policies import policy_for
from customers.models import CustomerCategory
from reports.charts import drawings
from reports.pages import sheet
from reports.queries import REPORTS
from reports.queries.columns import TODAY, Lasting, Money, Number, quantile
from reports.queries.core import TOTAL, rows_behind, table
from reports.queries.filters import read

CAST = ["owner", "manager", "director", "auditor", "superuser"]
CENT = Decimal("0.01")


def cells():
    for report in REPORTS.values():
        for dimension in report.dimensions:
            yield pytest.param(report, dimension, id=f"{report.name}-{dimension.name}")


@cache
def rate_on(currency, on):
    return rate(currency, on=on)


def valued(column, source, obj):
    """The amount of one row in CNY, by the function that everybody else uses; None where there is no rate."""
    amount = amount_of(column, source, obj)
    currency, day = follow(obj, source.currency), source.day or source.date
    on = timezone.localdate() if day == TODAY else follow(obj, day.removesuffix("__date"))
    on = timezone.localdate(on) if hasattr(on, "hour") else on
    try:
        return amount * rate_on(currency, on)
    except NoRate:
        return None


def amount_of(column, source, obj):
    if not column.amount:
        return getattr(obj, source.amount)
    if isinstance(column.amount, str):
        return getattr(obj, column.amount)
    return {
        "weighted": lambda: obj.weighted_amount,
        "uninvoiced_amount": lambda: obj.total_amount - obj.invoiced_amount,
    }.get(column.name, lambda: obj.open_amount)()


def follow(obj, path):
    for step in path.split("__"):
        obj = getattr(obj, step)
    return obj


def counted(report, column, rows):
    """What ``rows``, one by one, come to."""
    source = report.sources[column.source]
    if isinstance(column, Number):
        return len(rows)
    if isinstance(column, Lasting):
        step = timedelta(hours=1) if column.unit == "小时" else timedelta(days=1)
        lengths = Counter((getattr(row, column.end) - getattr(row, column.start)) // step for row in rows)
        return quantile(lengths, column.share)
    assert isinstance(column, Money)
    return sum((valued(column, source, row) or 0 for row in rows), start=Decimal(0))


@pytest.mark.parametrize(("report", "dimension"), [*cells()])
def test_a_number_is_that_of_its_rows(busy, report, dimension):
    """Report, rows, export and chart agree, line by line and in total; no row is out of the reader's sight."""
    for name in CAST:
        user = busy.user(name)
        filters = read(report, {"by": dimension.name, "period": "months12", "top": "10"})
        found = table(report, user, filters)
        headers, lines = sheet(report, found)
        assert len(headers) == len(found.columns) + 1
        visible: dict = {}
        for row, line in zip([*found.rows, found.total], lines, strict=True):
            for column, exported in zip(found.columns, line[1:], strict=True):
                shown = row[column.name]
                assert exported == (shown.quantize(CENT) if column.unit == "元" and shown is not None else shown)
                if column.is_derived or not shown:  # what the lines come to, the sums below compare
                    continue
                rows = list(rows_behind(report, user, filters, column.name, row.code))
                model = report.sources[column.source].model
                if model not in visible:
                    visible[model] = set(policy_for(model).visible_to(user).values_list("pk", flat=True))
                keys = [one.pk for one in rows]
                assert len(keys) == len(set(keys)) and visible[model].issuperset(keys)
                here = f"{name} {report.name} {dimension.name} {row.label} {column.name}"
                truth = counted(report, column, rows)
                assert abs(shown - truth) < CENT if isinstance(column, Money) else shown == truth, here
        apart = any(
            dimension.is_many(one, source) for one, source in report.sources.items() if dimension.applies(one, source)
        )
        for column in found.columns:
            if column.is_additive and not apart:
                together = sum(row[column.name] for row in found.rows)
                assert abs(together - found.total[column.name]) < CENT, (name, column.name)
        for drawing in drawings(report, found, filters):
            for part in drawing.data["sets"]:
                assert len(part["values"]) == len(drawing.data["labels"])


@pytest.mark.parametrize("report", REPORTS.values(), ids=lambda report: report.name)
def test_narrowing_leaves_the_same_rows(busy, report):
    """By person, department with those below, category with those below: the total is that of its rows."""
    user = busy.user("superuser")
    department = busy.user("director").department
    category = CustomerCategory.objects.filter(children__isnull=False).latest("pk")
    for words in ({"person": busy.people["owner"].pk}, {"department": department.pk}, {"category": category.pk}):
        filters = read(report, {"period": "months12", **{name: str(pk) for name, pk in words.items()}})
        found = table(report, user, filters)
        for column in found.columns:
            if not column.is_derived and found.total[column.name]:
                rows = list(rows_behind(report, user, filters, column.name, TOTAL))
                truth = counted(report, column, rows)
                assert abs(found.total[column.name] - truth) < CENT, (words, column.name)


def test_the_numbers_are_not_all_zero(busy):
    """Otherwise the agreement above would mean nothing."""
    for report in REPORTS.values():
        found = table(report, busy.user("superuser"), read(report, {"period": "months12"}))
        assert any(found.total[column.name] for column in found.columns), report.name
        assert found.total.code == TOTAL
