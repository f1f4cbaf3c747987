"""Numbers come from a locked series in the caller's transaction: in order, once, restarting with the period."""

from datetime import date
from threading import Barrier

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from crm import numbering
from crm.models import NumberCounter, NumberSeries
from customers.models import Customer
from tests.factories import make
from tests.races import run_together

DAY = date(2024, 3, 5)


@pytest.mark.parametrize(
    ("pattern", "first"),
    [
        ("QT{yyyyMMdd}{seq:4}", "QT202403050001"),
        ("KH{yyyyMM}-{seq:5}", "KH202403-00001"),
        ("{yyyy}/{seq:1}", "2024/1"),
        ("合同{seq:6}号", "合同000001号"),
    ],
)
def test_a_pattern_says_how_numbers_look(pattern, first):
    assert numbering.parse(pattern).format(1, DAY) == first


def test_a_number_longer_than_its_width_is_not_cut():
    assert numbering.parse("A{seq:2}").format(12345, DAY) == "A12345"


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("QT{yyyyMMdd}", "必须有且只有一个"),
        ("{seq:3}{seq:3}", "必须有且只有一个"),
        ("{yyyy}{yyyyMM}{seq:3}", "最多有一个日期"),
        ("{mm}{seq:3}", "不认识的花括号"),
        ("{seq:3", "必须有且只有一个"),
    ],
)
def test_a_pattern_that_makes_no_sense_is_refused_in_chinese(pattern, problem):
    with pytest.raises(ValueError, match=problem):
        numbering.parse(pattern)
    with pytest.raises(ValidationError, match=problem):
        NumberSeries(code="x", name="x", pattern=pattern).clean()


@pytest.fixture
def series(db):
    return make(NumberSeries, code="quote", pattern="QT{yyyyMMdd}{seq:4}")


def test_numbers_come_in_order_one_or_many_at_a_time(series):
    assert numbering.next_number("quote", day=DAY) == "QT202403050001"
    assert numbering.take("quote", 3, day=DAY) == ["QT202403050002", "QT202403050003", "QT202403050004"]


def test_a_new_period_begins_at_one_and_the_old_one_goes_on_where_it_was(series):
    numbering.take("quote", 7, day=DAY)
    assert numbering.next_number("quote", day=date(2024, 3, 6)) == "QT202403060001"
    assert numbering.next_number("quote", day=DAY) == "QT202403050008"


def test_a_changed_pattern_goes_on_counting_within_its_period(series):
    numbering.take("quote", 2, day=DAY)
    series.pattern = "Q{yyyyMMdd}-{seq:3}"
    series.save()
    assert numbering.next_number("quote", day=DAY) == "Q20240305-003"


def test_numbers_that_were_rolled_back_are_given_again(series):
    """A gap would look like a lost document."""
    with pytest.raises(RuntimeError), transaction.atomic():
        numbering.take("quote", 5, day=DAY)
        raise RuntimeError
    assert numbering.next_number("quote", day=DAY) == "QT202403050001"


@pytest.mark.django_db(transaction=True)
def test_a_number_outside_a_transaction_is_refused():
    make(NumberSeries, code="quote")
    with pytest.raises(transaction.TransactionManagementError):
        numbering.next_number("quote")


def test_a_customer_without_a_code_is_numbered_and_a_given_code_is_kept(db):
    assert make(Customer, code="X-7").code == "X-7"
    codes = [make(Customer).code for _ in range(2)]
    assert int(codes[1][-5:]) == int(codes[0][-5:]) + 1
    assert codes[0].startswith("KH")


# --- Races ------------------------------------------------------------------------------------------------------------


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_sixteen_people_never_get_one_number_twice():
    """The first number of a new period is the hard one: its counter does not exist yet."""
    make(NumberSeries, code="quote", pattern="QT{yyyyMMdd}{seq:4}")

    def work(number):
        taken = []
        for day in (DAY, date(2024, 3, 6), date(2024, 3, 7)):
            with transaction.atomic():
                taken += numbering.take("quote", 2, day=day)
        return taken

    results = run_together(work)
    assert not [result for result in results if isinstance(result, Exception)]
    numbers = sorted(number for taken in results for number in taken)
    assert numbers == sorted(f"QT2024030{day}{value:04}" for day in (5, 6, 7) for value in range(1, 33))


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_without_the_lock_numbers_are_given_twice():
    """Negative control: read, add one, write."""
    series = make(NumberSeries, code="quote")
    NumberCounter.objects.create(series=series, period="")
    barrier = Barrier(16)

    def work(number):
        with transaction.atomic():
            value = NumberCounter.objects.get(series=series).value + 1
            barrier.wait()
            NumberCounter.objects.filter(series=series).update(value=value)
            return value

    results = run_together(work)
    assert len(set(results)) < 16


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_sixteen_new_customers_get_sixteen_codes():
    results = run_together(lambda n: Customer.objects.create(name=f"客户{n}").code)
    assert not [result for result in results if isinstance(result, IntegrityError | Exception)]
    assert len(set(results)) == 16
