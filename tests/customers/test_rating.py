"""Credit rating: suggested from signals with their reasons, decided by a person."""

from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.utils import timezone

from crm.models import BusinessLog
from customers.models import Customer
from customers.services import rating
from customers.services.rating import Signal
from tests.factories import make


@pytest.fixture
def finance(person):
    return person("财务")


def aged(years, **values):
    return make(Customer, created_at=timezone.now() - timedelta(days=365 * years + years // 4 + 2), **values)


@pytest.mark.parametrize(("years", "stars"), [(0, 2), (1, 3), (2, 3), (3, 4), (5, 5), (9, 5)])
def test_the_longer_with_us_the_better(db, years, stars):
    assert rating.tenure(aged(years)).stars == stars


def test_satisfaction_counts_twice_as_much_as_tenure(db):
    assert rating.suggest_rating(aged(0, satisfaction=5)).stars == 4
    assert rating.suggest_rating(aged(5, satisfaction=1)).stars == 2
    reasons = [signal.reason for signal in rating.suggest_rating(aged(3, satisfaction=4)).signals]
    assert len(reasons) == 2
    assert "满 3 年" in reasons[0]
    assert reasons[1] == "客户满意度 ★★★★"


def test_what_other_apps_know_counts_too(db, monkeypatch):
    monkeypatch.setitem(rating.RATING._providers, "payments", lambda customer: Signal(1, 7, "近一年逾期 5 次"))
    suggestion = rating.suggest_rating(aged(5, satisfaction=5))
    assert suggestion.stars == 2
    assert "近一年逾期 5 次" in [signal.reason for signal in suggestion.signals]


def test_halves_are_rounded_down(db, monkeypatch):
    monkeypatch.setitem(rating.RATING._providers, "payments", lambda customer: Signal(4, 1, "按时付款"))
    assert rating.suggest_rating(aged(1)).stars == 3


def test_the_suggestion_changes_nothing_until_somebody_adopts_it(finance, db):
    customer = aged(3, satisfaction=4)
    suggestion = rating.suggest_rating(customer)
    assert Customer.objects.get(pk=customer.pk).credit_rating is None
    rating.adopt_rating(customer, suggestion.stars, by=finance)
    assert Customer.objects.get(pk=customer.pk).credit_rating == suggestion.stars == 4
    entry = BusinessLog.objects.filter(object_id=customer.pk, root_id=customer.pk).first()
    assert entry.user == finance
    assert entry.remark.startswith("采纳建议：建档于")


def test_a_suggestion_that_has_changed_since_it_was_seen_is_not_adopted(finance, db):
    customer = aged(3, satisfaction=4)
    with pytest.raises(ValidationError, match="已变化"):
        rating.adopt_rating(customer, 5, by=finance)


def test_the_page_offers_the_suggestion_to_those_who_decide(finance, browse, person):
    customer = aged(3, satisfaction=4)
    url = f"/customers/customer/{customer.pk}/credit/"
    assert "采纳" in browse(finance).get(url).content.decode()
    assert "采纳" not in browse(person("审批人")).get(url).content.decode()
    browse(finance).post(url, {"action": "adopt", "stars": "4"})
    assert Customer.objects.get(pk=customer.pk).credit_rating == 4


def test_whoever_sets_no_limits_does_not_rate(person, db):
    with pytest.raises(PermissionDenied):
        rating.rate(aged(1), 5, by=person("审批人"), reason="好客户")
