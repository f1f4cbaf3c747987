"""Every number of every report is the number of the rows it leads to, for everybody of the cast."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal
from functools import cache

import pytest
from django.utils import timezone

from crm.exchange import NoRate, rate
from crm.policies import ChildPolicy, EitherPolicy, policy_for
from customers.models import Customer, CustomerCategory
from reports.charts import drawings
from reports.pages import sheet
from reports.queries import REPORTS
from reports.queries.columns import TODAY, Lasting, Money, Number, quantile
from reports.queries.core import TOTAL, rows_behind, table
from reports.queries.dimensions import REST
from reports.queries.filters import CHOSEN, read
from sales.models import Contract, Lead, Opportunity, Order

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


def narrowings(busy):
    """Every filter once, and all of them together."""
    today, customer = timezone.localdate(), Customer.objects.exclude(level=None).exclude(area=None)
    customer = customer.exclude(industry=None).exclude(owner=None).filter(categories__isnull=False).latest("pk")
    found = {
        "person": customer.owner_id,
        "department": busy.user("director").department_id,
        "category": CustomerCategory.objects.filter(children__isnull=False).latest("pk").pk,
        "level": customer.level_id,
        "area": customer.area_id,
        "industry": customer.industry_id,
    }
    assert set(found) == set(CHOSEN)
    yield from ({name: str(pk)} for name, pk in found.items())
    yield {"period": "custom", "from": str(today - timedelta(days=99)), "to": str(today - timedelta(days=9))}
    yield {name: str(pk) for name, pk in found.items()} | {"category": str(customer.categories.first().pk)}


@pytest.mark.parametrize("name", ["director", "superuser"])
@pytest.mark.parametrize("report", REPORTS.values(), ids=lambda report: report.name)
def test_narrowing_leaves_the_same_rows(busy, report, name):
    """By every filter, department and category with those below: the total is that of its rows and of the export."""
    user, told = busy.user(name), 0
    for words in narrowings(busy):
        filters = read(report, {"period": "months12", **words})
        found = table(report, user, filters)
        _, lines = sheet(report, found)
        for column, exported in zip(found.columns, lines[-1][1:], strict=True):
            shown = found.total[column.name]
            if not column.is_derived and shown:
                rows = list(rows_behind(report, user, filters, column.name, TOTAL))
                assert abs(shown - counted(report, column, rows)) < CENT, (words, column.name)
                assert abs(exported - shown) < CENT
                told += 1
    assert told


@pytest.mark.parametrize("report", [report for report in REPORTS.values() if report.basis], ids=lambda one: one.name)
def test_whatever_ranks_the_first_and_the_others_are_all_there_is(busy, report):
    for name in CAST:
        for basis in report.basis:
            found = read(report, {"by": "customer", "basis": basis, "period": "months12", "top": "10"})
            ranked = table(report, busy.user(name), found)
            whole = table(report, busy.user(name), found.narrowed(top=100))
            assert ranked.total.values == whole.total.values
            sizes = [row[basis] for row in ranked.rows if not row.code.startswith(REST)]
            assert sizes == sorted(sizes, reverse=True) == [row[basis] for row in whole.rows[: len(sizes)]]


def test_what_belongs_to_a_removed_record_is_not_counted(busy):
    """What is counted for who sees everything, by leaving out what belongs to removed records, are the rows he sees."""
    everybody = busy.user("superuser")
    counted_by = {source.model for report in REPORTS.values() for source in report.sources.values()}
    children = [model for model in counted_by if type(policy_for(model)) in (ChildPolicy, EitherPolicy)]
    assert len(children) > 8
    before = {model: policy_for(model).visible_to(everybody).count() for model in children}
    for model in (Customer, Contract, Order, Lead, Opportunity):
        model.objects.filter(pk__in=model.objects.values_list("pk", flat=True)[::3]).update(is_valid=False)
    for model in children:
        policy = policy_for(model)
        seen = set(policy.visible_to(everybody).values_list("pk", flat=True))
        assert set(policy.standing().values_list("pk", flat=True)) == seen, model
        assert 0 < len(seen) < before[model], model


def test_the_numbers_are_not_all_zero(busy):
    """Otherwise the agreement above would mean nothing."""
    for report in REPORTS.values():
        found = table(report, busy.user("superuser"), read(report, {"period": "months12"}))
        assert any(found.total[column.name] for column in found.columns), report.name
        assert found.total.code == TOTAL
