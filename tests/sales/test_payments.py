"""Receipts, instalments and invoices: what may be received when, how it is divided up, and that no race overpays."""

from datetime import date, time, timedelta
from decimal import Decimal
from threading import Barrier

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import connection, transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from crm import actor, records
from crm.models import User
from crm.transitions import TransitionRefused
from sales.models import (
    Contract,
    ContractItem,
    ContractStatus,
    Invoice,
    Order,
    OrderItem,
    OrderStatus,
    PaidState,
    PaymentPlan,
    PaymentRecord,
)
from sales.services import payments
from tests.factories import make
from tests.races import run_together

TODAY = timezone.localdate()


def signed(total="1000", **values):
    """A signed contract that comes to ``total``."""
    contract = make(Contract, **{"status": ContractStatus.SIGNED, "sign_date": TODAY, **values})
    make(ContractItem, contract=contract, quantity=1, unit_price=total)
    return fresh(contract)


def confirmed(total="1000", **values):
    order = make(Order, status=OrderStatus.CONFIRMED, total_amount=0, **values)
    make(OrderItem, order=order, quantity=1, unit_price=total)
    return fresh(order)


def fresh(obj):
    return type(obj)._base_manager.get(pk=obj.pk)


def plan(contract, amount, *, due=TODAY, position=1):
    return make(PaymentPlan, contract=contract, amount=amount, date=due, position=position)


def receipt(root, amount, **values):
    link = {"contract": root} if isinstance(root, Contract) else {"order": root}
    return PaymentRecord(**link, amount=Decimal(amount), **values)


def receive(root, amount, by, **values):
    return payments.receive(receipt(root, amount, **values), by=by)


@pytest.fixture
def finance(person):
    return person("财务")


# --- Receipts --------------------------------------------------------------------------------------------------------


def test_a_receipt_never_passes_what_is_open_and_the_refusal_says_how_much_that_is(finance):
    contract = signed("1000")
    receive(contract, "600", finance)
    with pytest.raises(ValidationError) as refused:
        receive(contract, "400.01", finance)
    assert "总金额 CNY 1,000.00，已回款 CNY 600.00，最多还可登记 CNY 400.00" in refused.value.messages[0]
    receive(contract, "400", finance)
    assert fresh(contract).received_amount == 1000


def test_a_receipt_that_names_no_instalment_goes_to_the_earliest_open_ones(finance):
    contract = signed("1000")
    later = plan(contract, 600, due=TODAY + timedelta(days=30), position=2)
    first = plan(contract, 300, due=TODAY)
    made = receive(contract, "350", finance, bank_flow="F1")
    assert [(part.plan, part.amount, part.bank_flow) for part in made] == [(first, 300, "F1"), (later, 50, "F1")]
    assert (fresh(first).status, fresh(later).status) == (PaidState.PAID, PaidState.PARTIAL)
    rest = receive(contract, "650", finance)
    assert [(part.plan, part.amount) for part in rest] == [(later, 550), (None, 100)]


def test_a_receipt_for_one_instalment_must_fit_into_it(finance):
    contract = signed("1000")
    chosen = plan(contract, 300)
    with pytest.raises(ValidationError, match=r"第 1 期只有 CNY 300\.00 未回款"):
        receive(contract, "301", finance, plan=chosen)
    other = plan(signed("1000"), 300)
    with pytest.raises(ValidationError, match="不属于该合同"):
        receive(contract, "100", finance, plan=other)
    assert not PaymentRecord.objects.exists()


def test_money_comes_in_for_signed_contracts_and_confirmed_orders_only(finance):
    with pytest.raises(ValidationError, match="草稿，只有已签约的合同能登记回款"):
        receive(make(Contract), "1", finance)
    with pytest.raises(ValidationError, match="草稿，只有已确认的订单能登记回款"):
        receive(make(Order), "1", finance)
    contract = signed()
    with pytest.raises(ValidationError, match="回款请登记到合同"):
        receive(confirmed(contract=contract, customer=contract.customer), "1", finance)
    order = confirmed("10")
    receive(order, "4", finance)
    assert fresh(order).paid_state == PaidState.PARTIAL
    receive(order, "6", finance)
    assert fresh(order).paid_state == PaidState.PAID


def test_the_hour_of_an_order_stays_when_it_is_paid(finance):
    order = confirmed("10", order_time=time(9, 30))
    receive(order, "10", finance)
    assert (fresh(order).paid_state, fresh(order).order_time) == (PaidState.PAID, time(9, 30))


def test_sellers_see_receipts_and_enter_none(person):
    seller = person("销售")
    contract = signed(owner=seller)
    with pytest.raises(PermissionDenied):
        receive(contract, "1", seller)


def test_voiding_gives_the_amount_back_and_keeps_the_record(finance):
    contract = signed("1000")
    first = plan(contract, 300)
    (record,) = receive(contract, "300", finance)
    with pytest.raises(TransitionRefused):
        payments.void(record, by=finance, reason=" ")
    payments.void(record, by=finance, reason="银行退回")
    assert (fresh(contract).received_amount, fresh(first).received_amount) == (0, 0)
    assert fresh(first).status == PaidState.UNPAID
    assert fresh(record).void_reason == "银行退回"
    with pytest.raises(TransitionRefused):
        payments.void(record, by=finance, reason="再一次")


def test_a_total_never_falls_below_what_was_received(finance):
    contract = signed("1000")
    receive(contract, "600", finance)
    line = contract.items.get()
    line.unit_price = Decimal(500)
    with pytest.raises(ValidationError, match=r"已回款 600\.00，总金额不能减到 500\.00"):
        line.save()


# --- Instalments -----------------------------------------------------------------------------------------------------


def hundred(parts):
    """Per cents with two places that come to exactly 100."""
    found = [(Decimal(part) * 100 / sum(parts)).quantize(Decimal("0.01")) for part in parts]
    found[-1] = 100 - sum(found[:-1], Decimal(0))
    return found


SHARES = st.lists(st.integers(1, 60), min_size=1, max_size=8).map(hundred)


@given(cents=st.integers(1, 10**14), percents=SHARES)
def test_instalments_come_to_the_total_to_the_cent(cents, percents):
    total = Decimal(cents) / 100
    try:
        parts = payments.split(total, percents)
    except ValidationError as refused:
        assert "太小" in refused.messages[0]
        assert any(total * percent / 100 < Decimal("0.01") for percent in percents)
        return
    assert sum(parts) == total
    assert all(part > 0 and part == part.quantize(Decimal("0.01")) for part in parts)
    for part, percent in list(zip(parts, percents, strict=True))[:-1]:
        assert abs(part - total * percent / 100) < Decimal("0.01")


def test_shares_must_come_to_a_hundred():
    with pytest.raises(ValidationError, match="合计为 90%，必须正好是 100%"):
        payments.split(Decimal(100), [Decimal(30), Decimal(60)])


def test_instalments_are_made_of_what_is_neither_planned_nor_received(person, finance):
    seller = person("销售")
    contract = signed("1000", owner=seller)
    receive(contract, "100", finance)
    plans = payments.generate(
        contract, [(30, 0, "预付款"), (60, 30, "发货款"), (10, 90, "尾款")], start=date(2026, 1, 1), by=seller
    )
    assert [(one.position, one.amount, one.date, one.term) for one in plans] == [
        (1, Decimal("270.00"), date(2026, 1, 1), "预付款"),
        (2, Decimal("540.00"), date(2026, 1, 31), "发货款"),
        (3, Decimal("90.00"), date(2026, 4, 1), "尾款"),
    ]
    with pytest.raises(ValidationError, match="没有可以再排的金额"):
        payments.generate(contract, [(100, 0, "")], start=TODAY, by=seller)


def test_making_instalments_anew_keeps_those_with_receipts(person, finance):
    seller = person("销售")
    contract = signed("1000", owner=seller)
    payments.generate(contract, [(30, 0, ""), (70, 30, "")], start=TODAY, by=seller)
    receive(contract, "100", finance)
    plans = payments.generate(contract, [(50, 10, ""), (50, 20, "")], start=TODAY, by=seller, replace=True)
    assert [one.amount for one in plans] == [350, 350]
    kept = PaymentPlan.objects.valid().filter(contract=contract)
    assert sum(one.amount for one in kept) == 1000


def test_instalments_never_come_to_more_than_the_contract(person):
    seller = person("销售")
    contract = signed("1000", owner=seller)
    payments.save_plan(PaymentPlan(contract=contract, amount=Decimal(600), date=TODAY), by=seller)
    with pytest.raises(ValidationError, match=r"本期最多 400\.00"):
        payments.save_plan(PaymentPlan(contract=contract, amount=Decimal("400.01"), date=TODAY), by=seller)


def test_an_instalment_never_shrinks_below_what_was_received(person, finance):
    seller = person("销售")
    contract = signed("1000", owner=seller)
    one = plan(contract, 600)
    receive(contract, "300", finance)
    one = fresh(one)
    one.amount = Decimal(299)
    with pytest.raises(ValidationError, match=r"已回款 300\.00"):
        payments.save_plan(one, by=seller)
    one.amount = Decimal(300)
    assert payments.save_plan(one, by=seller).status == PaidState.PAID


def test_only_the_owner_of_the_contract_plans_its_instalments(person):
    contract = signed(owner=person("销售"))
    with pytest.raises(PermissionDenied):
        payments.generate(contract, [(100, 0, "")], start=TODAY, by=person("销售"))


def test_overdue_are_unpaid_instalments_of_contracts_in_force(finance):
    contract = signed("1000")
    late = plan(contract, 300, due=TODAY - timedelta(days=1))
    plan(contract, 300, due=TODAY, position=2)
    plan(make(Contract), 300, due=TODAY - timedelta(days=1))
    assert list(PaymentPlan.objects.overdue()) == [late]
    receive(contract, "300", finance)
    assert not PaymentPlan.objects.overdue()


def test_the_list_of_contracts_tells_how_far_each_is_paid(finance, django_assert_num_queries):
    contract = signed("1000")
    plan(contract, 300)
    plan(contract, 700, due=TODAY + timedelta(days=9), position=2)
    receive(contract, "333.33", finance)
    with django_assert_num_queries(1):
        (row,) = payments.with_progress(Contract.objects.filter(pk=contract.pk))
        assert (int(row.received_percent), row.plans_paid, row.plans_total) == (33, 1, 2)


# --- Invoices --------------------------------------------------------------------------------------------------------


def invoice(contract, amount, number):
    return Invoice(contract=contract, amount=Decimal(amount), number=number)


def test_invoices_never_come_to_more_than_the_contract(finance):
    contract = signed("1000")
    first = payments.issue(invoice(contract, "600", "A1"), by=finance)
    assert first.title == contract.customer.name
    with pytest.raises(ValidationError, match=r"最多还可开 CNY 400\.00"):
        payments.issue(invoice(contract, "400.01", "A2"), by=finance)
    payments.void_invoice(first, by=finance, reason="抬头有误")
    payments.issue(invoice(contract, "1000", "A3"), by=finance)
    assert fresh(contract).invoiced_amount == 1000


def test_the_same_invoice_number_is_entered_once(finance):
    contract = signed("1000")
    payments.issue(invoice(contract, "1", "No．００１"), by=finance)
    with pytest.raises(ValidationError, match="已登记过"):
        payments.issue(invoice(contract, "1", "no.001"), by=finance)


def test_a_receipt_with_an_invoice_is_voided_after_the_invoice(finance):
    contract = signed("1000")
    (record,) = receive(contract, "300", finance)
    bill = payments.issue(Invoice(contract=contract, amount=Decimal(300), number="B1", payment=record), by=finance)
    with pytest.raises(ValidationError, match="已开发票 B1"):
        payments.void(record, by=finance, reason="银行退回")
    payments.void_invoice(bill, by=finance, reason="退款")
    payments.void(record, by=finance, reason="银行退回")


# --- Races -----------------------------------------------------------------------------------------------------------

THREADS = 16


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_sixteen_people_who_post_receipts_at_once_never_overpay(person):
    """Each posts five receipts of 30 for a contract of 1,000 in two instalments: 33 of the 80 fit."""
    finance, contract = person("财务").pk, signed("1000")
    plan(contract, 400)
    plan(contract, 600, due=TODAY + timedelta(days=30), position=2)

    def work(number):
        posted = 0
        for _ in range(5):
            try:
                receive(Contract.objects.get(pk=contract.pk), "30", User.objects.get(pk=finance))
                posted += 1
            except ValidationError as refused:
                assert "最多还可登记" in refused.messages[0]
        return posted

    results = run_together(work, THREADS)
    assert not [result for result in results if isinstance(result, Exception)], results
    assert sum(results) == 33
    assert fresh(contract).received_amount == sum(PaymentRecord.objects.values_list("amount", flat=True)) == 990
    assert sum(one.received_amount for one in contract.plans.all()) == 990


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_without_the_lock_receipts_overpay(person, monkeypatch):
    """Negative control: the same, the contract read and not locked, nobody writing before all have looked."""
    finance, contract, looked = person("财务").pk, signed("1000"), Barrier(THREADS)

    def read(record):
        root = Contract.objects.get(pk=record.contract_id)
        looked.wait(timeout=20)
        return root

    def settle(*args):
        """The constraint of the database would save the day: here nothing but the lock is tried."""

    monkeypatch.setattr(payments, "_lock_root", read)
    monkeypatch.setattr("sales.models.payments.settle", settle)
    results = run_together(
        lambda n: receive(Contract.objects.get(pk=contract.pk), "600", User.objects.get(pk=finance)), THREADS
    )
    assert not [result for result in results if isinstance(result, Exception)], results
    assert sum(PaymentRecord.objects.values_list("amount", flat=True)) == 600 * THREADS
    assert connection.vendor == "mysql"


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_voiding_and_receiving_at_once_leave_the_true_sum(person):
    finance, contract = person("财务").pk, signed("1000")
    plan(contract, 1000)
    boss = User.objects.get(pk=finance)
    old = [receive(contract, "100", boss)[0] for _ in range(THREADS // 2)]

    def work(number):
        by = User.objects.get(pk=finance)
        if number % 2:
            payments.void(PaymentRecord.objects.get(pk=old[number // 2].pk), by=by, reason="退回")
        else:
            receive(Contract.objects.get(pk=contract.pk), "25", by)

    results = run_together(work, THREADS)
    assert not [result for result in results if isinstance(result, Exception)], results
    assert fresh(contract).received_amount == fresh(contract.plans.get()).received_amount == 25 * THREADS // 2


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_invoices_issued_at_once_never_pass_the_contract(person):
    finance, contract = person("财务").pk, signed("1000")

    def work(number):
        try:
            payments.issue(
                invoice(Contract.objects.get(pk=contract.pk), "300", f"R{number}"), by=User.objects.get(pk=finance)
            )
        except ValidationError as refused:
            assert "最多还可开" in refused.messages[0]

    results = run_together(work, THREADS)
    assert not [result for result in results if isinstance(result, Exception)], results
    assert fresh(contract).invoiced_amount == 900


def test_writing_past_the_services_still_keeps_the_sums(finance):
    """A row that is removed or written by anybody is summed up again."""
    contract = signed("1000")
    with transaction.atomic(), actor.acting(finance):
        record = make(PaymentRecord, contract=contract, amount=200)
    assert fresh(contract).received_amount == 200
    records.remove(record, by=None)
    assert fresh(contract).received_amount == 0
