"""Amounts between currencies, by the rate of a day (``ExchangeRate``)."""

from bisect import bisect_right
from decimal import ROUND_HALF_UP, Decimal
from operator import itemgetter

from django.core.exceptions import ValidationError

from crm.models import Currency, ExchangeRate

CENT = Decimal("0.01")


class NoRate(ValidationError):
    """No exchange rate of ``currency`` begins on ``day`` or before."""

    def __init__(self, currency, day):
        self.currency, self.day = currency, day
        super().__init__(
            f"没有 {day} 可用的汇率：{Currency(currency).label}。请财务在“汇率”里登记生效日期不晚于这一天的汇率。"
        )


def rate(currency, *, on) -> Decimal:
    """CNY for one unit of ``currency`` on the day ``on``. Raises NoRate."""
    if currency == Currency.CNY:
        return Decimal(1)
    rows = ExchangeRate.objects.valid().filter(currency=currency, valid_from__lte=on).order_by("-valid_from")
    found = rows.values_list("rate", flat=True).first()
    if found is None:
        raise NoRate(currency, on)
    return found


def rates_of(currencies):
    """What ``rate`` answers for ``currencies`` on any day, read at once: for a page of amounts of different days."""
    known = {currency: [] for currency in currencies}
    rows = ExchangeRate.objects.valid().filter(currency__in=known).order_by("valid_from")
    for currency, day, value in rows.values_list("currency", "valid_from", "rate"):
        known[currency].append((day, value))

    def rate(currency, *, on) -> Decimal:
        if currency == Currency.CNY:
            return Decimal(1)
        place = bisect_right(known[currency], on, key=itemgetter(0))
        if not place:
            raise NoRate(currency, on)
        return known[currency][place - 1][1]

    return rate


def convert(amount, source, target, *, on, rate=rate) -> Decimal:
    """``amount`` of ``source`` in ``target`` by the rates of the day ``on``, to the cent. Raises NoRate."""
    if source == target:
        return amount
    return (amount * rate(source, on=on) / rate(target, on=on)).quantize(CENT, ROUND_HALF_UP)


def money(amount, currency) -> str:
    """``USD 12,000.00``."""
    return f"{currency} {amount:,.2f}"
