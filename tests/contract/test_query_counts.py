"""A list costs the same number of queries with 2 rows and with 20: nothing is asked once per row."""

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from crm import audit, ownership
from crm.actor import acting
from crm.models import BusinessLog, ExchangeRate, Notification
from crm.policies import PersonalPolicy, policy_for
from customers.models import Customer, CustomerCategory, PoolRule, Tag
from sales.models import Contract, Lead, MarketingActivity, Opportunity, OpportunityStatus
from service.models import RetentionMeasure, WorkOrder
from tests.contract.test_registry import MODELS, REGISTRY
from tests.factories import make

LIMIT = 12  # of a list of customers


def costs(model, browser, monkeypatch, **chosen) -> list[CaptureQueriesContext]:
    """The queries of the list of ``model`` with 2 and with 20 rows on the page, or as many as there can be."""
    model_admin, found = REGISTRY[model], []
    browser.get(model_admin._url("changelist"))
    for rows in (2, 20):
        monkeypatch.setattr(model_admin, "list_per_page", rows)
        with CaptureQueriesContext(connection) as captured:
            response = browser.get(model_admin._url("changelist"), chosen)
        assert len(response.context["cl"].result_list) == min(rows, model._base_manager.count())
        found.append(captured)
    return found


@pytest.mark.django_db
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_a_longer_list_asks_no_more(model, person, browse, monkeypatch):
    user = person("管理员")
    for _ in range(20):
        make(model, **({"user": user} if isinstance(policy_for(model), PersonalPolicy) else {}))
    few, many = costs(model, browse(user), monkeypatch)
    assert len(many) <= len(few), "\n".join(query["sql"] for query in many.captured_queries)


@pytest.mark.django_db
def test_a_column_that_asks_for_every_row_is_noticed(monkeypatch, person, browse):
    """Negative control."""
    monkeypatch.setattr(REGISTRY[Tag], "list_display", ["name", "created_by"])
    monkeypatch.setattr(REGISTRY[Tag], "list_select_related", ["updated_by"])
    for _ in range(20):
        make(Tag, created_by=person())
    few, many = costs(Tag, browse(person("管理员")), monkeypatch)
    assert len(many) > len(few)


@pytest.mark.django_db
def test_the_customers_of_a_salesperson_ask_little(person, browse, monkeypatch):
    """With filters of every kind, a rule of the sea and a number in the sidebar."""
    user = person("销售")
    for _ in range(20):
        make(Customer, owner=user)
    make(Tag)
    make(PoolRule, category=make(CustomerCategory))
    make(Notification, user=user)
    few, many = costs(Customer, browse(user), monkeypatch)
    assert len(few) == len(many) <= LIMIT, "\n".join(query["sql"] for query in many.captured_queries)


@pytest.mark.django_db
@pytest.mark.parametrize("role", ["销售主管", "销售总监", "管理员"])
def test_the_customers_of_a_department_ask_little(person, browse, monkeypatch, role):
    """What was shared with the reader from elsewhere is asked once, and who may change a row not again."""
    user = person(role)
    peer, stranger = person("销售", department=user.department), person("销售")
    for _ in range(19):
        make(Customer, owner=peer)
    ownership.add_collaborator(make(Customer, owner=stranger), user, by=None)
    make(Tag)
    make(PoolRule, category=None)
    make(Notification, user=user)
    few, many = costs(Customer, browse(user), monkeypatch)
    assert len(few) == len(many) <= LIMIT, "\n".join(query["sql"] for query in many.captured_queries)


@pytest.mark.django_db
def test_the_log_of_a_department_asks_once_what_was_shared(person, browse):
    """However many kinds of records its entries mention."""
    user = person("销售主管")
    peer = person("销售", department=user.department)
    with acting(peer):
        for model in (Customer, Lead, Opportunity, Contract, WorkOrder):
            make(model, owner=peer)
    with CaptureQueriesContext(connection) as captured:
        browse(user).get(REGISTRY[BusinessLog]._url("changelist"))
    asked = [query["sql"] for query in captured.captured_queries if "userobjectpermission" in query["sql"]]
    assert len(asked) == 1, "\n".join(asked)


@pytest.mark.django_db
def test_activities_ask_for_the_rates_of_all_their_days_at_once(person, browse, monkeypatch):
    make(ExchangeRate, currency="USD")
    for month in range(1, 13):
        end = timezone.make_aware(datetime(2024, month, 20))
        activity = make(MarketingActivity, currency="CNY", start_time=end - timedelta(days=5), end_time=end)
        make(Opportunity, activity=activity, currency="USD", status=OpportunityStatus.WON, estimated_amount=100)
    few, many = costs(MarketingActivity, browse(person("管理员")), monkeypatch)
    assert len(many) <= len(few), "\n".join(query["sql"] for query in many.captured_queries)


@pytest.mark.django_db
def test_the_log_does_not_ask_whose_every_part_is(person, browse, monkeypatch):
    """A retention measure names its loss, which is called after a customer."""
    with acting(person("管理员")):
        for _ in range(20):
            make(RetentionMeasure)
    chosen = {"kind": audit.content_type_id(RetentionMeasure)}
    few, many = costs(BusinessLog, browse(person("管理员")), monkeypatch, **chosen)
    assert len(many) <= len(few), "\n".join(query["sql"] for query in many.captured_queries)
