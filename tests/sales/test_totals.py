"""Totals equal the sum of the lines to the cent, whatever the lines are and whoever writes them; numbers come once."""

from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm import records
from customers.models import Customer
from sales.models import (
    Contract,
    ContractItem,
    Order,
    OrderItem,
    Product,
    Quotation,
    QuotationItem,
    cents,
    one_total,
)
from tests.factories import make
from tests.races import run_together

PAIRS = [(Quotation, QuotationItem), (Contract, ContractItem), (Order, OrderItem)]
LINES = st.tuples(
    st.decimals("0.0001", "99999.9999", places=4),
    st.decimals("0", "99999.9999", places=4),
    st.decimals("0", "100", places=2),
)


@settings(max_examples=10_000, deadline=None)
@given(st.lists(LINES, max_size=12))
def test_a_total_is_the_sum_of_amounts_rounded_once_each(lines):
    items = [QuotationItem(quantity=q, unit_price=p, discount=d) for q, p, d in lines]
    exact = [Fraction(q) * Fraction(p) * Fraction(d) / 100 for q, p, d in lines]
    for item, value in zip(items, exact, strict=True):
        assert abs(Fraction(item.amount_due()) - value) <= Fraction(1, 200)
        assert item.amount_due() == item.amount_due().quantize(Decimal("0.01"))
    half_up = [Decimal((value * 100 + Fraction(1, 2)).__floor__()) / 100 for value in exact]
    assert sum((item.amount_due() for item in items), Decimal(0)) == sum(half_up, Decimal(0))


def test_half_a_cent_is_rounded_up():
    assert cents(Decimal("0.005")) == Decimal("0.01") == Decimal("0.005").quantize(Decimal("0.01"), ROUND_HALF_UP)
    assert QuotationItem(quantity=1, unit_price="1.005", discount=100).amount_due() == Decimal("1.01")


@pytest.fixture
def heads(db):
    customer, product = make(Customer), make(Product)
    return [(make(head, customer=customer, total_amount=0), line, product) for head, line in PAIRS]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(LINES, min_size=1, max_size=5),
    together=st.booleans(),
    gone=st.integers(0, 4),
)
def test_saved_totals_follow_lines_added_changed_and_removed(heads, lines, together, gone):
    for head, model, product in heads:
        with transaction.atomic():
            save_and_check(head, model, product, lines, together, gone)
            transaction.set_rollback(True)


def save_and_check(head, model, product, lines, together, gone):
    rows = [
        model(**{model.head_field: head}, product=product, name="行", quantity=q, unit_price=p, discount=d)
        for q, p, d in lines
    ]
    if together:
        with one_total(head):
            for row in rows:
                row.save()
    else:
        for row in rows:
            row.save()
    assert_total(head)
    rows[0].quantity += 1
    rows[0].save()
    assert_total(head)
    records.remove(rows[gone % len(rows)], by=None)
    assert_total(head)


def assert_total(head):
    stored = type(head)._base_manager.get(pk=head.pk)
    amounts = stored.items.filter(is_valid=True).values_list("amount", flat=True)
    assert stored.total_amount == sum(amounts, Decimal(0))


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_lines_entered_at_the_same_moment_are_all_counted():
    quotation, product = make(Quotation), make(Product)

    def add(number):
        return QuotationItem.objects.create(
            quotation=quotation, product=product, name="行", quantity=1, unit_price=number + 1
        )

    run_together(add, threads=8)
    assert Quotation.objects.get().total_amount == Decimal(36)


class RolledBack(Exception):
    pass


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_sixteen_people_get_sixteen_numbers_though_half_of_them_roll_back():
    customer = make(Customer)

    def enter(number):
        with transaction.atomic():
            made = Contract.objects.create(name=f"合同{number}", customer=customer)
            if number % 2:
                raise RolledBack
        return made.number

    results = run_together(enter)
    numbers = sorted(result for result in results if isinstance(result, str))
    assert len(set(numbers)) == 8 == Contract.objects.count()
    assert [int(number[-4:]) for number in numbers] == list(range(1, 9))
