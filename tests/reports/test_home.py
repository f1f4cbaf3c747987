"""The home page says the same as the reports, and its links lead to what it counts."""

import pytest
from django.urls import reverse

from reports.pages import words
from reports.queries import REPORTS
from reports.queries.core import table
from reports.queries.filters import read
from tests.browsing import listed

HOME = reverse("admin:index")


def compared(response):
    for part in response.context_data["parts"]:
        yield from part.compared[1]


@pytest.mark.parametrize(("name", "title"), [("owner", "我的数字"), ("manager", "团队数字"), ("auditor", "全部数字")])
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


def test_the_home_page_agrees_with_the_report(busy, browse):
    user = busy.user("owner")
    shown = {line.label: line.now for line in compared(browse(user).get(HOME))}
    report = REPORTS["activity"]
    found = table(report, user, read(report, {"period": "month", "person": str(user.pk)}))
    assert shown["跟进"] == words(found.total["followups"], "次")


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
