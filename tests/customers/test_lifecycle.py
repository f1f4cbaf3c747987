"""Stages: changed by approval, kept as intervals, suggested by rule and never moved silently."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from customers.models import Customer, Stage, StagePeriod
from customers.services import lifecycle
from customers.services.lifecycle import Deals
from tests.factories import make

pytestmark = pytest.mark.django_db


def later(customer, days):
    """The customer as it would stand if it had entered its stage ``days`` earlier."""
    customer.stage_since = timezone.now() - timedelta(days=days)
    customer.save(update_fields=["stage_since"])
    return customer


def test_each_change_closes_a_period(person):
    """Three stages in a row: two closed intervals without gap or overlap, the present one on the customer."""
    customer = later(make(Customer, owner=person("销售")), 30)
    customer = later(lifecycle.change_stage(customer, Stage.ORDINARY, by=None, reason="首单"), 10)
    customer = lifecycle.change_stage(customer, Stage.KEY, by=None)
    periods = list(customer.stage_periods.order_by("id"))
    assert [(p.stage, p.next_stage, p.days) for p in periods] == [("lead", "ordinary", 30), ("ordinary", "key", 10)]
    assert periods[0].reason == "首单"
    assert (customer.stage, customer.stage_since) == (Stage.KEY, periods[1].ended_at)
    assert lifecycle.dwell(customer) == [("线索", 30), ("普通", 10), ("重要", 0)]


def test_a_key_customer_needs_a_manager_of_its_own():
    with pytest.raises(ValidationError, match="专属客户经理"):
        lifecycle.change_stage(make(Customer, owner=None), Stage.KEY, by=None)
    assert not StagePeriod.objects.exists()


def test_the_same_stage_is_no_change():
    with pytest.raises(ValidationError, match="已经在"):
        lifecycle.change_stage(make(Customer), Stage.LEAD, by=None)


@pytest.mark.parametrize(
    ("stage", "deals", "expected"),
    [
        (Stage.LEAD, Deals(), None),
        (Stage.LEAD, Deals(1, Decimal(500)), Stage.ORDINARY),
        (Stage.LAPSED, Deals(1, Decimal(500)), Stage.ORDINARY),
        (Stage.ORDINARY, Deals(9, Decimal(999_999)), None),
        (Stage.ORDINARY, Deals(9, Decimal(1_000_000)), Stage.KEY),
        (Stage.KEY, Deals(9, Decimal(5_000_000)), None),
    ],
)
def test_the_rules_suggest_and_do_not_act(stage, deals, expected, monkeypatch, person):
    """A first deal speaks for 普通, a year over the threshold for 重要; the stage itself stays as it is."""
    monkeypatch.setattr(lifecycle.DEALS, "_providers", {"sales": lambda customer: deals})
    customer = make(Customer, owner=person("销售"))
    if stage != Stage.LEAD:
        customer = lifecycle.change_stage(customer, stage, by=None)
    found = lifecycle.suggestion(customer)
    assert (found and found.stage) == expected
    assert Customer.objects.get(pk=customer.pk).stage == stage


def test_the_form_says_what_the_rules_suggest(monkeypatch, person, browse):
    monkeypatch.setattr(lifecycle.DEALS, "_providers", {"sales": lambda customer: Deals(2, Decimal(100))})
    owner = person("销售")
    customer = make(Customer, owner=owner, review_status="approved")
    page = browse(owner).get(f"/customers/customer/{customer.pk}/ask/customer.stage/").content.decode()
    assert "系统建议“普通”：已有 2 笔签约合同或确认订单" in page
