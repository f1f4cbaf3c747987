"""The lists that sales and their managers have open all day cost at most a dozen queries."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from customers.models import Contact, Customer, Interaction, SeaCustomer, VisitPlan
from sales.models import (
    Contract,
    FollowUp,
    Lead,
    Opportunity,
    Order,
    PaymentPlan,
    PaymentRecord,
    PooledLead,
    Quotation,
)
from service.models import ReturnVisit, WorkOrder
from tests.contract.test_query_counts import LIMIT
from tests.contract.test_registry import REGISTRY

DAILY = [
    Customer, Contact, Interaction, VisitPlan, SeaCustomer, Lead, PooledLead, FollowUp, Opportunity, Quotation,
    Contract, Order, PaymentPlan, PaymentRecord, WorkOrder, ReturnVisit,
]  # fmt: skip


@pytest.mark.parametrize("name", ["owner", "manager", "director"])
@pytest.mark.parametrize("model", DAILY, ids=lambda model: model.__name__)
def test_lists_of_every_day_ask_little(world, browse, model, name):
    browser, page = browse(world.people[name]), REGISTRY[model]._url("changelist")
    browser.get(page)  # what is remembered for longer than a request
    with CaptureQueriesContext(connection) as captured:
        assert browser.get(page).status_code == 200
    # rules of the sea for categories, which this world has, ask for the tree and for the categories of the page
    limit = LIMIT + 2 if model is Customer else LIMIT
    assert len(captured) <= limit, "\n".join(query["sql"] for query in captured.captured_queries)
