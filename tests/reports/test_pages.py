"""The pages of the reports as people meet them: rights, links, Excel, what is wrong in an address, kept figures."""

from datetime import timedelta
from io import BytesIO
from urllib.parse import urlencode

import openpyxl
import pytest
from django.urls import reverse
from django.utils import timezone

from crm import ownership
from crm.admin.row_sets import PARAMETER
from crm.models import BusinessLog, Operation, Role, User
from customers.models import Customer
from reports import summaries
from reports.links import rows_address
from reports.models import ReportSummary
from reports.pages import words
from reports.queries import REPORTS
from reports.queries.core import table
from reports.queries.filters import BadFilters, read
from tests.factories import make

YEAR = {"period": "months12"}
COMPOSITION = REPORTS["composition"]


def page(name, **parameters):
    return f"{reverse('admin:report', args=[name])}?{urlencode(parameters)}"


@pytest.mark.parametrize("report", REPORTS.values(), ids=lambda report: report.name)
@pytest.mark.parametrize("name", ["owner", "manager", "auditor"])
def test_every_number_opens_the_list_that_it_counts(busy, browse, report, name):
    """Through the page: each count is a link, and the list behind it has as many rows."""
    client = browse(busy.user(name))
    response = client.get(page(report.name, **YEAR))
    assert response.status_code == 200
    assert not busy.leaks(name, response.content.decode())
    context = response.context_data
    opened = 0
    for line in [*context["lines"][:3], context["total"]]:
        for column, (text, link) in zip(context["table"].columns, line["cells"], strict=True):
            if link and column.unit not in ("元", "天", "小时"):
                listing = client.get(link)
                assert listing.status_code == 200, link
                assert listing.context_data["cl"].result_count == int(text.replace(",", "")), (column.label, link)
                opened += 1
    assert opened or name == "owner"


def test_the_workbook_is_what_the_page_shows(busy, browse):
    client = browse(busy.user("manager"))
    for report in REPORTS.values():
        shown = client.get(page(report.name, **YEAR)).context_data
        response = client.get(page(report.name, **YEAR, export="xlsx"))
        book = openpyxl.load_workbook(BytesIO(b"".join(response.streaming_content)))
        cells = [[cell.value for cell in row] for row in book.active.iter_rows(min_row=2)]
        lines = [*shown["lines"], shown["total"]]
        assert [row[0] for row in cells] == [line["label"] for line in lines]
        for row, line in zip(cells, lines, strict=True):
            for value, (text, _) in zip(row[1:], line["cells"], strict=True):
                assert value is None if text == "—" else float(value) == float(text.rstrip("%").replace(",", ""))
    note = BusinessLog.objects.filter(operation=Operation.EXPORT, user=busy.people["manager"]).latest("pk")
    assert "导出报表" in note.remark


def test_a_report_needs_its_right_and_the_right_to_its_records(busy, browse, person):
    assert browse(busy.user("nobody")).get(page("composition")).status_code == 403
    assert browse(person("客服")).get(page("receipts")).status_code == 403
    assert browse(person("客服")).get(page("activity")).status_code == 200
    assert browse(person("市场")).get(page("composition")).status_code == 200
    assert browse().get(page("composition")).status_code == 302
    assert browse(busy.user("owner")).get(page("nothing")).status_code == 404


def test_the_sidebar_offers_what_may_be_opened(busy, browse, person):
    text = browse(person("客服")).get(reverse("admin:index")).content.decode()
    assert reverse("admin:report", args=["activity"]) in text
    assert reverse("admin:report", args=["receipts"]) not in text


def test_columns_of_records_that_one_may_not_see_are_not_told(busy, person):
    """Marketing sees no receipts: a right to the report alone does not tell them their sum."""
    role = Role.objects.create(name="只看贡献", data_scope=4)
    from django.contrib.auth.models import Permission

    role.permissions.set(Permission.objects.filter(codename__in=["contribution_reportsummary", "view_order"]))
    reader = make(User, groups=[role])
    told = {column.name for column in table(REPORTS["contribution"], reader, read(REPORTS["contribution"], {})).columns}
    assert told >= {"orders", "order_amount"}
    assert not told & {"contract_amount", "receipt_amount", "contracts"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"by": "password"},
        {"period": "ever"},
        {"period": "custom", "from": "2026-02-30", "to": "2026-03-01"},
        {"period": "custom", "from": "2026-03-02", "to": "2026-03-01"},
        {"period": "custom", "from": "1990-01-01", "to": "2026-03-01"},
        {"level": "x"},
        {"person": "９"},
        {"top": "7"},
    ],
)
def test_a_wrong_address_says_so_and_shows_the_plain_report(busy, browse, wrong):
    with pytest.raises(BadFilters):
        read(COMPOSITION, wrong)
    response = browse(busy.user("owner")).get(page("composition", **wrong))
    assert response.status_code == 200
    assert response.context_data["problem"]


@pytest.mark.parametrize(
    "made_up",
    [
        "nothing?by=level",
        "composition?by=level&column=password&line=1",
        "composition?by=level&column=share&line=1",
        "composition?by=deal&column=customers&line=canary",
        "composition?by=level&column=customers&line=1%20or%201",
        "receipts?by=time&column=planned&line=99",
        "",
    ],
)
def test_invented_words_select_nothing(busy, browse, made_up):
    address = reverse("admin:customers_customer_changelist")
    listing = browse(busy.user("superuser")).get(address, {PARAMETER: made_up})
    assert listing.status_code == 200
    expected = 0 if made_up else listing.context_data["cl"].result_count
    assert listing.context_data["cl"].result_count == expected


def test_words_of_a_report_give_nobody_more_than_his_own_rows(busy, browse):
    """A link passed on shows its reader his own rows; one to a report that he may not open shows none."""
    filters = read(COMPOSITION, {"by": "level"})
    link = rows_address(COMPOSITION, filters, COMPOSITION.column("customers"))
    mine = browse(busy.user("owner")).get(link).context_data["cl"].result_count
    theirs = browse(busy.user("superuser")).get(link).context_data["cl"].result_count
    assert 0 < mine < theirs
    assert browse(busy.user("nobody")).get(link).status_code == 403
    report = REPORTS["ranking"]
    refused = rows_address(report, read(report, YEAR), report.column("contracts"))
    role = Role.objects.get(name="客服")
    service = make(User, groups=[role])
    assert browse(service).get(refused).context_data["cl"].result_count == 0


def test_a_number_follows_the_rights_of_the_moment(busy):
    reader, customer = busy.user("owner"), busy.of(Customer)
    filters = read(COMPOSITION, {})
    before = table(COMPOSITION, reader, filters).total["customers"]
    ownership.set_owner(customer, busy.people["outsider"], by=None)
    assert table(COMPOSITION, busy.user("owner"), filters).total["customers"] == before - 1
    ownership.set_owner(customer, busy.people["owner"], by=None)


def test_the_link_brings_the_same_filters_back(busy, browse):
    given = {"by": "industry", "period": "custom", "from": "2026-01-05", "to": "2026-02-06", "level": "3"}
    filters = read(COMPOSITION, given)
    from urllib.parse import parse_qsl

    assert read(COMPOSITION, dict(parse_qsl(filters.query()))) == filters
    preset = read(COMPOSITION, {"period": "last_month"})
    assert "period=last_month" in preset.query()
    assert f"from={preset.period.first}" in preset.query(absolute=True)


def test_those_who_see_everything_share_what_is_kept(busy, monkeypatch):
    """Kept figures say when they were counted; whoever sees less is never shown those of everybody."""
    monkeypatch.setattr(summaries, "SLOW", 0.0)
    ReportSummary.objects.all().delete()
    filters = read(COMPOSITION, {})
    counted, since = summaries.table_for(COMPOSITION, busy.user("superuser"), filters)
    assert since is not None and ReportSummary.objects.count() == 1
    Customer.objects.filter(pk=busy.of(Customer).pk).update(is_valid=False)
    kept, still = summaries.table_for(COMPOSITION, busy.user("auditor"), filters)
    assert still == since
    assert [row.values for row in kept.rows] == [row.values for row in counted.rows]
    assert kept.total.values == counted.total.values
    for name in ("owner", "manager", "director"):
        less, at = summaries.table_for(COMPOSITION, busy.user(name), filters)
        assert at != since and less.total["customers"] < counted.total["customers"]
    fresh, _ = summaries.table_for(COMPOSITION, busy.user("superuser"), filters, fresh=True)
    assert fresh.total["customers"] == counted.total["customers"] - 1


@pytest.mark.parametrize("name", ["superuser", "director"])
def test_every_report_survives_being_kept(busy, monkeypatch, name):
    monkeypatch.setattr(summaries, "SLOW", 0.0)
    for report in (report for report in REPORTS.values() if report.allowed(busy.user(name))):
        for dimension in report.dimensions:
            filters = read(report, {"by": dimension.name, **YEAR})
            first, _ = summaries.table_for(report, busy.user(name), filters)
            again, since = summaries.table_for(report, busy.user(name), filters)
            assert since is not None
            assert [(row.code, row.label, row.values) for row in again.rows] == [
                (row.code, row.label, row.values) for row in first.rows
            ]
            assert [column.label for column in again.columns] == [column.label for column in first.columns]


def test_the_night_counts_again_what_is_read_and_forgets_the_rest(busy, monkeypatch):
    monkeypatch.setattr(summaries, "SLOW", 0.0)
    ReportSummary.objects.all().delete()
    now = timezone.now()
    summaries.table_for(COMPOSITION, busy.user("superuser"), read(COMPOSITION, {}))
    ReportSummary.objects.update(counted_at=now - timedelta(days=1))
    make(ReportSummary, used_at=now - timedelta(days=30))
    summaries.refresh(None)
    assert ReportSummary.objects.count() == 1
    assert ReportSummary.objects.get().counted_at >= now


def test_numbers_read_as_people_write_them():
    from decimal import Decimal

    assert words(1234567, "个") == "1,234,567"
    assert words(Decimal("1234.565"), "元") == "1,234.56"
    assert words(Decimal("12.5"), "%") == "12.5%"
    assert words(None, "天") == "—"
