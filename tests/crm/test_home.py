"""The home page: every number leads to the list it counts, and nothing on it is out of the reader's sight."""

from datetime import datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from crm import ownership, records
from crm.admin.home import greeting
from crm.models import Job, Notification
from customers.models import Contact, Customer
from tests.browsing import listed
from tests.cast import CAST
from tests.factories import make

PEOPLE = [name for name in CAST if name != "anonymous"]
HOME = "admin:index"


def figures(response):
    for part in response.context_data["parts"]:
        yield from part.figures
        for shares in part.shares:
            yield from shares.figures
        for table in part.tables:
            for _, row in table.rows:
                yield from row


@pytest.mark.parametrize("name", PEOPLE)
def test_every_number_leads_to_the_list_it_counts(world, browse, name):
    """Own, department and all: what the home page counts is what its link lists."""
    client = browse(world.user(name))
    response = client.get(reverse(HOME))
    assert response.status_code == 200
    for figure in figures(response):
        if not figure.link:
            assert figure.value == 0, f"{figure.label} leads nowhere"
            continue
        assert listed(client.get(figure.link), figure.link) == figure.value, f"{figure.label}: {figure.link}"
    for part in response.context_data["parts"]:
        for trend in part.trends:
            assert client.get(trend.link).context_data["cl"].result_count == trend.total


@pytest.mark.parametrize("name", PEOPLE)
def test_the_home_page_names_no_foreign_record(world, browse, name):
    text = browse(world.user(name)).get(reverse(HOME)).content.decode()
    assert not world.leaks(name, text)


def test_a_salesperson_counts_his_own_and_a_manager_his_team(world, browse):
    def first(name):
        found = figures(browse(world.user(name)).get(reverse(HOME)))
        return next(figure for figure in found if figure.label.endswith("客户"))

    assert (first("owner").label, first("owner").value) == ("我的客户", 1)
    assert (first("viewer").value, first("viewer").note) == (0, "另有 1 个协作客户")
    assert (first("manager").label, first("manager").value) == ("团队客户", 2)
    assert (first("director").label, first("director").value) == ("团队客户", 3)


def test_only_those_who_lead_people_see_the_table_of_their_team(world, browse):
    """Whose customers they are; the table of the month also names others who did something for these."""

    def tables(name):
        parts = browse(world.user(name)).get(reverse(HOME)).context_data["parts"]
        return {table.title: {row for row, _ in table.rows} for part in parts for table in part.tables}

    def table(name):
        return tables(name)["团队客户"]

    assert tables("owner") == {}

    def names(*people):
        return {str(world.user(name)) for name in people}

    assert table("manager") == names("owner", "colleague")
    assert table("director") == names("owner", "colleague", "neighbour")
    assert "（无负责人）" in table("administrator")


def test_a_record_i_changed_leaves_my_page_with_my_right_to_see_it(world, browse):
    me, customer = world.user("owner"), world.of(Customer)
    customer.address = "新地址"
    records.save(customer, by=me)
    links = {item["link"] for item in browse(me).get(reverse(HOME)).context_data["recent"]}
    here = reverse("admin:customers_customer_change", args=[customer.pk])
    assert here in links
    ownership.set_owner(world.of(Customer), world.people["outsider"], by=None)
    assert here not in {item["link"] for item in browse(me).get(reverse(HOME)).context_data["recent"]}


def test_waiting_messages_and_open_jobs_are_mine_and_unfinished(world, browse):
    me, other = world.user("owner"), world.user("manager")
    Notification.objects.all().delete()
    make(Notification, user=me, title="未读", read_at=None)
    make(Notification, user=me, title="读过", read_at=timezone.now())
    make(Notification, user=other, title="别人的", read_at=None)
    make(Job, user=me, title="在做", state=Job.State.RUNNING)
    make(Job, user=me, title="做完", state=Job.State.DONE)
    context = browse(me).get(reverse(HOME)).context_data
    assert [notice.title for notice in context["notices"]] == ["未读"]
    assert "在做" in {job.title for job in context["jobs"]}
    assert "做完" not in {job.title for job in context["jobs"]}


def test_somebody_without_a_role_is_told_so(world, browse):
    assert "账号还没有角色" in browse(world.user("nobody")).get(reverse(HOME)).content.decode()
    assert "账号还没有角色" not in browse(world.user("owner")).get(reverse(HOME)).content.decode()


def test_shortcuts_follow_the_rights(world, browse):
    def labels(name):
        parts = browse(world.user(name)).get(reverse(HOME)).context_data["parts"]
        return {shortcut.label for part in parts for shortcut in part.shortcuts}

    begun = {"新建客户", "导入客户", "新建线索", "登记咨询", "新建商机", "商机看板", "新建工单"}
    assert labels("owner") == begun
    assert labels("auditor") == labels("nobody") == set()


def test_the_page_costs_the_same_with_more_customers(world, browse):
    client = browse(world.user("manager"))
    client.get(reverse(HOME))
    with CaptureQueriesContext(connection) as few:
        client.get(reverse(HOME))
    for _ in range(20):
        make(Contact, customer=make(Customer, owner=world.people["colleague"]))
    with CaptureQueriesContext(connection) as many:
        client.get(reverse(HOME))
    assert len(many) == len(few)


def test_the_greeting_suits_the_hour():
    assert [greeting(hour) for hour in (3, 8, 11, 13, 15, 20)] == [
        "夜深了",
        "早上好",
        "上午好",
        "中午好",
        "下午好",
        "晚上好",
    ]


def test_a_range_of_days_holds_its_first_and_last_day_whole(world, browse):
    """The day is the local one: 00:30 in Shanghai on the 1st is still the day before in UTC."""
    zone = timezone.get_default_timezone()
    for moment in ("2020-02-29 23:59", "2020-03-01 00:30", "2020-03-31 23:30", "2020-04-01 00:00"):
        make(Customer, created_at=datetime.strptime(moment, "%Y-%m-%d %H:%M").replace(tzinfo=zone))
    address = reverse("admin:customers_customer_changelist")
    client = browse(world.user("superuser"))
    march = client.get(address, {"created_at_from": "2020-03-01", "created_at_to": "2020-03-31"})
    assert march.context_data["cl"].result_count == 2
