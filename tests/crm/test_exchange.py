"""Amounts between currencies by the rate of a day."""

from datetime import date
from decimal import Decimal

import pytest

from crm.exchange import NoRate, convert, rate
from crm.models import ExchangeRate
from tests.factories import make

pytestmark = pytest.mark.django_db
DAY = date(2026, 3, 5)


@pytest.fixture(autouse=True)
def _rates():
    for currency, day, value in (
        ("USD", date(2026, 3, 1), "7"),
        ("USD", date(2026, 3, 6), "8"),
        ("JPY", date(2026, 3, 5), "0.0476"),
    ):
        make(ExchangeRate, currency=currency, valid_from=day, rate=Decimal(value))


def test_the_latest_rate_that_has_begun_counts():
    assert rate("USD", on=DAY) == 7
    assert rate("USD", on=date(2026, 3, 6)) == 8
    assert rate("CNY", on=DAY) == 1


def test_a_removed_rate_does_not_count():
    make(ExchangeRate, currency="USD", valid_from=DAY, rate=Decimal(9), is_valid=False)
    assert rate("USD", on=DAY) == 7


def test_two_foreign_currencies_go_through_cny_and_end_on_the_cent():
    assert convert(Decimal(100), "USD", "JPY", on=DAY) == Decimal("14705.88")
    assert convert(Decimal("0.33"), "USD", "CNY", on=DAY) == Decimal("2.31")
    assert convert(Decimal("1.005"), "USD", "USD", on=DAY) == Decimal("1.005")


def test_a_missing_rate_names_currency_and_day():
    with pytest.raises(NoRate, match="没有 2026-02-28 可用的汇率：美元 USD"):
        rate("USD", on=date(2026, 2, 28))
