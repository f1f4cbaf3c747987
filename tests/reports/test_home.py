"""The home page says the same as the reports, and its links lead to what it counts."""

import pytest
from django.urls import reverse

from customers.models import Customer
from reports import summaries
from reports.home import COMPARED
from reports.models import ReportSummary
from reports.pages import words
from reports.queries import REPORTS
from reports.queries.core import table
from reports.queries.filters import read
from tests.browsing import listed
from tests.factories import make

HOME = reverse("admin:index")


def compared(response):
    for part in response.context_data["parts"]:
        yield from part.compared[1]


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("owner", "我的数字"),
        ("colleague", "我的数字"),
        ("manager", "团队数字"),
        ("director", "团队数字"),
        ("auditor", "全部数字"),
        ("superuser", "全部数字"),
    ],
)
def test_this_month_beside_the_last(busy, browse, name, title):
    """Own figures for who sees his own, those of everybody within reach for who leads; each leads to its rows."""
    client = browse(busy.user(name))
    response = client.get(HOME)
    titles = {part.compared[0] for part in response.context_data["parts"] if part.compared[1]}
    assert titles == {title}
    for line in compared(response):
        for text, link in ((line.now, line.link), (line.before, line.link_before)):
            listing = client.get(link)
            assert listing.status_code == 200
            if line.unit != "元":
                assert listing.context_data["cl"].result_count == int(text.replace(",", "")), line.label
    assert not busy.leaks(name, response.content.decode())


@pytest.mark.parametrize("name", ["owner", "manager", "director", "auditor", "superuser"])
def test_the_home_page_agrees_with_the_reports(busy, browse, name):
    """Every figure, this month and the last, amounts too; one's own are those of the report narrowed to oneself."""
    user = busy.user(name)
    shown = {line.label: line for line in compared(browse(user).get(HOME))}
    assert set(shown) == {label for _, _, label in COMPARED}
    narrowed = {"person": str(user.pk)} if name == "owner" else {}
    for report_name, column, label in COMPARED:
        report = REPORTS[report_name]
        for period, text in (("month", shown[label].now), ("last_month", shown[label].before)):
            total = table(report, user, read(report, {"by": "person", "period": period, **narrowed})).total[column]
            unit = report.column(column).unit
            assert text == (f"{total:,.0f}" if unit == "元" else words(total, unit)), (label, period)


def test_kept_figures_say_when_they_were_counted(busy, browse, monkeypatch):
    """What the auditor and the manager were shown stays on their pages, with its time, though a customer has come
    since; whoever sees his own records alone is shown what he may see now."""
    monkeypatch.setattr(summaries, "SLOW", 0.0)
    ReportSummary.objects.all().delete()

    def new(name):
        response = browse(busy.user(name)).get(HOME)
        (line,) = (line for line in compared(response) if line.label == "新增客户")
        return int(line.now.replace(",", "")), "数据截至" in response.content.decode()

    everybody, team, own = new("auditor")[0], new("manager")[0], new("owner")[0]
    make(Customer, owner=busy.people["owner"])
    assert new("auditor") == (everybody, True)
    assert new("manager") == (team, True)
    assert new("owner") == (own + 1, False)
    summaries.refresh(None)
    assert new("auditor") == (everybody + 1, True)
    assert new("manager") == (team + 1, True)


def test_what_waits_stands_by_subject_and_what_does_not_is_folded(busy, browse):
    """Every figure of every domain is on the page once: it waits, there is nothing to do, or it says how things are."""
    for name in ("owner", "manager", "superuser"):
        context = browse(busy.user(name)).get(HOME).context_data
        waiting = [figure for _, figures in context["waiting"] for figure in figures]
        assert waiting and all(figure.value and figure.waits for figure in waiting)
        assert not any(figure.value for figure in context["settled"])
        given = [figure for part in context["parts"] for figure in part.figures]
        shown = [*waiting, *context["settled"], *context["standing"]]
        assert sorted(map(repr, shown)) == sorted(map(repr, given))
        subjects = [subject for subject, _ in context["waiting"]]
        assert len(subjects) == len(set(subjects))


def test_every_figure_leads_to_the_list_that_it_counts(busy, browse):
    client = browse(busy.user("manager"))
    for part in client.get(HOME).context_data["parts"]:
        for shown in part.tables:
            for person, figures in shown.rows:
                for figure in figures:
                    if figure.link:
                        assert listed(client.get(figure.link), figure.link) == figure.value, (person, figure)


def test_who_may_read_no_report_is_shown_no_figures(busy, browse):
    assert not list(compared(browse(busy.user("nobody")).get(HOME)))


def test_finance_sees_what_came_in_what_was_invoiced_and_what_is_left_to_invoice(busy, browse, person):
    """Each leads to its list; nobody else is shown them."""
    client = browse(person("财务"))
    shown = {figure.label: figure for part in client.get(HOME).context_data["parts"] for figure in part.figures}
    assert shown["未开票合同"].value
    for label in ("本月回款", "本月开票", "未开票合同"):
        assert client.get(shown[label].link).context_data["cl"].result_count == shown[label].value, label
    seller = browse(busy.user("owner")).get(HOME).context_data["parts"]
    assert "本月回款" not in {figure.label for part in seller for figure in part.figures}
