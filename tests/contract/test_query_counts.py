"""A list costs the same number of queries with 2 rows and with 20: nothing is asked once per row."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from crm.policies import PersonalPolicy, policy_for
from customers.models import Tag
from tests.contract.test_registry import MODELS, REGISTRY
from tests.factories import make


def costs(model, browser, monkeypatch) -> list[CaptureQueriesContext]:
    """The queries of the list of ``model`` with 2 and with 20 rows on the page, or as many as there can be."""
    model_admin, found = REGISTRY[model], []
    browser.get(model_admin._url("changelist"))
    for rows in (2, 20):
        monkeypatch.setattr(model_admin, "list_per_page", rows)
        with CaptureQueriesContext(connection) as captured:
            response = browser.get(model_admin._url("changelist"))
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
