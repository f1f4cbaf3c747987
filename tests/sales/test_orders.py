"""Orders: what makes one count, whose credit it takes, who may call it off."""

from datetime import timedelta
from decimal import Decimal
from threading import Barrier

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import connection, transaction
from django.utils import timezone

from crm.models import CompanyPath, DictionaryItem, ExchangeRate, Notification, User
from crm.policies import policy_for
from crm.transitions import TransitionRefused
from customers.models import CreditLimit, Customer, CustomerPath, DealStatus, ReviewStatus
from customers.services import credit, lifecycle, rating
from customers.services.rulebook import EXEMPTIONS
from sales.models import Contract, ContractStatus, Order, OrderItem, OrderStatus, PaidState, PaymentPlan
from sales.services import exposure, orders
from tests.factories import make
from tests.races import run_together
from tests.sales.test_payments import confirmed, fresh, plan, receive, signed

TODAY = timezone.localdate()


@pytest.fixture
def seller(person):
    return person("销售")


@pytest.fixture
def finance(person):
    return person("财务")


@pytest.fixture
def customer(seller):
    return make(Customer, owner=seller, review_status=ReviewStatus.APPROVED)


def draft(customer, total="1000", **values):
    order = make(Order, customer=customer, total_amount=0, **values)
    make(OrderItem, order=order, quantity=1, unit_price=total)
    return fresh(order)


def with_credit(customer, amount):
    customer.is_credit_enabled = True
    customer.save()
    make(CreditLimit, customer=customer, currency="CNY", amount=Decimal(amount))


# --- Confirming ------------------------------------------------------------------------------------------------------


def test_confirming_makes_the_customer_one_who_bought(customer, seller):
    order = orders.confirm(draft(customer), by=seller)
    customer = fresh(customer)
    assert order.status == OrderStatus.CONFIRMED
    assert customer.deal_status == DealStatus.WON
    assert customer.last_deal_at == order.confirmed_at or customer.last_deal_at - order.confirmed_at < timedelta(
        minutes=1
    )


def test_an_order_entered_later_does_not_make_an_old_deal_a_new_one(customer, seller):
    orders.confirm(draft(customer, order_date=TODAY - timedelta(days=200)), by=seller)
    assert timezone.localdate(fresh(customer).last_deal_at) == TODAY - timedelta(days=200)


def test_a_customer_that_is_not_approved_buys_nothing(customer, seller):
    waiting = make(Customer, owner=seller)
    with pytest.raises(ValidationError, match="不能确认订单"):
        orders.confirm(draft(waiting), by=seller)


def test_an_empty_order_is_not_confirmed(customer, seller):
    with pytest.raises(ValidationError, match="还没有明细"):
        orders.confirm(make(Order, customer=customer, total_amount=0), by=seller)


def test_an_order_is_confirmed_once_and_by_whoever_may(customer, seller, person):
    order = draft(customer)
    with pytest.raises(PermissionDenied):
        orders.confirm(order, by=person("销售"))
    orders.confirm(order, by=seller)
    with pytest.raises(TransitionRefused):
        orders.confirm(order, by=seller)


def test_beyond_the_credit_nothing_is_confirmed_and_the_refusal_names_the_figures(customer, seller):
    with_credit(customer, 1500)
    orders.confirm(draft(customer), by=seller)
    second = draft(customer)
    with pytest.raises(ValidationError) as refused:
        orders.confirm(second, by=seller)
    words = refused.value.messages[0]
    assert f"订单 {second} CNY 1,000.00" in words
    assert "额度 CNY 1,500.00，已占用 CNY 1,000.00，剩余 CNY 500.00，超出 CNY 500.00" in words
    assert fresh(second).status == OrderStatus.DRAFT


def test_an_order_under_a_contract_is_covered_by_the_contract(customer, seller):
    with_credit(customer, 1000)
    contract = signed("1000", customer=customer, owner=seller)
    assert credit.headroom(fresh(customer), "CNY") == 0
    orders.confirm(draft(customer, "700", contract=contract), by=seller)
    assert credit.headroom(fresh(customer), "CNY") == 0
    with pytest.raises(ValidationError, match=r"已下订单 CNY 700\.00，还可下 CNY 300\.00"):
        orders.confirm(draft(customer, "301", contract=contract), by=seller)


def test_orders_of_a_contract_wait_for_its_signature(customer, seller):
    contract = make(Contract, customer=customer, owner=seller, status=ContractStatus.APPROVED)
    with pytest.raises(ValidationError, match="签约之后才能确认"):
        orders.confirm(draft(customer, contract=contract), by=seller)


def test_lines_of_a_confirmed_order_stay_as_they_are(customer, seller):
    order = orders.confirm(draft(customer), by=seller)
    with pytest.raises(ValidationError, match="明细不能再改"):
        OrderItem(order=order, name="再加一件", quantity=1, unit_price=1).full_clean()
    assert not policy_for(OrderItem).may(seller, "change", order.items.get())
    assert not policy_for(OrderItem).may(seller, "delete", order.items.get())


def test_a_new_order_takes_the_usual_path_of_its_customer(customer, seller):
    scenario = DictionaryItem.objects.get(type="path_scenario", code="domestic")
    path = make(CompanyPath)
    make(CustomerPath, customer=customer, scenario=scenario, path=path, is_default=True)
    assert orders.enter(Order(customer=customer), by=seller).company_path == path
    chosen = make(CompanyPath)
    assert orders.enter(Order(customer=customer, company_path=chosen), by=seller).company_path == chosen


# --- Calling off -----------------------------------------------------------------------------------------------------


def test_an_order_with_receipts_is_not_called_off(customer, seller, finance):
    order = orders.confirm(draft(customer), by=seller)
    receive(order, "1", finance)
    with pytest.raises(ValidationError, match=r"已回款 CNY 1\.00，不能取消"):
        orders.cancel(order, by=seller, reason="客户改变主意")
    assert fresh(order).status == OrderStatus.CONFIRMED


def test_calling_off_needs_a_reason_and_frees_the_credit(customer, seller):
    with_credit(customer, 1000)
    order = orders.confirm(draft(customer), by=seller)
    with pytest.raises(TransitionRefused, match="需要填写"):
        orders.cancel(order, by=seller, reason="")
    orders.cancel(order, by=seller, reason="客户改变主意")
    assert fresh(order).cancel_reason == "客户改变主意"
    assert credit.headroom(fresh(customer), "CNY") == 1000


def test_called_off_the_customer_is_what_he_was_before(customer, seller):
    order = orders.confirm(draft(customer), by=seller)
    orders.cancel(order, by=seller, reason="客户不要了")
    assert (fresh(customer).last_deal_at, fresh(customer).deal_status) == (None, DealStatus.POTENTIAL)


def test_called_off_the_last_deal_is_the_newest_that_remains(customer, seller):
    older = orders.confirm(draft(customer, order_date=TODAY - timedelta(days=40)), by=seller)
    signed("1000", customer=customer, sign_date=TODAY - timedelta(days=20))
    newest = orders.confirm(draft(customer), by=seller)
    orders.cancel(newest, by=seller, reason="重复下单")
    assert timezone.localdate(fresh(customer).last_deal_at) == TODAY - timedelta(days=20)
    assert fresh(customer).deal_status == DealStatus.WON
    orders.cancel(older, by=seller, reason="重复下单")
    assert timezone.localdate(fresh(customer).last_deal_at) == TODAY - timedelta(days=20)


def test_calling_off_a_draft_or_an_old_order_leaves_a_later_deal_alone(customer, seller):
    """Deals that an old system knew of have no document here."""
    old = orders.confirm(draft(customer, order_date=TODAY - timedelta(days=40)), by=seller)
    known = timezone.now() - timedelta(days=5)
    Customer.objects.filter(pk=customer.pk).update(last_deal_at=known)
    orders.cancel(draft(customer), by=seller, reason="录错了")
    orders.cancel(old, by=seller, reason="录错了")
    assert fresh(customer).last_deal_at == known


def test_a_lost_customer_whose_new_order_is_called_off_is_lost_again(customer, seller):
    orders.confirm(draft(customer, order_date=TODAY - timedelta(days=400)), by=seller)
    lost = fresh(customer)
    lost.enter_deal(DealStatus.LOST)
    lost.save()
    lost.history.update(history_date=timezone.now() - timedelta(days=30))
    order = orders.confirm(draft(customer), by=seller)
    assert fresh(customer).deal_status == DealStatus.WON
    orders.cancel(order, by=seller, reason="不要了")
    assert fresh(customer).deal_status == DealStatus.LOST
    assert timezone.localdate(fresh(customer).last_deal_at) == TODAY - timedelta(days=400)


def test_when_the_customer_calls_off_his_owner_is_told(customer, seller):
    order = orders.confirm(draft(customer), by=seller)
    orders.cancel(order, by=None, reason="重复下单")
    assert Notification.objects.filter(user=seller, title__contains=str(order)).exists()


def test_the_customer_is_written_to_where_that_is_switched_on(
    customer, seller, settings, mailoutbox, django_capture_on_commit_callbacks
):
    customer.notify_email = "buyer@customer.example"
    customer.save()
    with django_capture_on_commit_callbacks(execute=True):
        orders.confirm(draft(customer), by=seller)
    assert not mailoutbox
    settings.NOTIFY_CUSTOMERS = True
    with django_capture_on_commit_callbacks(execute=True):
        order = orders.confirm(draft(customer, "1234.5"), by=seller)
    (letter,) = mailoutbox
    assert letter.to == ["buyer@customer.example"]
    assert str(order) in letter.subject
    assert "CNY 1,234.50" in letter.body


# --- What the documents of a customer say of him ---------------------------------------------------------------------


def test_exposure_is_what_signed_contracts_and_confirmed_orders_without_contract_still_owe(customer, seller, finance):
    contract = signed("1000", customer=customer, owner=seller)
    signed("50", customer=customer, owner=seller, currency="USD")
    receive(contract, "400", finance)
    make(Contract, customer=customer)
    confirmed("70", customer=customer)
    order = confirmed("30", customer=customer)
    receive(order, "10", finance)
    confirmed("500", customer=customer, contract=contract)
    draft(customer)
    orders.cancel(confirmed("9", customer=customer), by=seller, reason="算了")
    signed("11")
    assert credit.exposure(customer) == {"CNY": Decimal(600 + 70 + 20), "USD": Decimal(50)}


def test_a_terminated_contract_is_owed_no_more(customer, seller):
    contract = signed("1000", customer=customer)
    Contract.objects.filter(pk=contract.pk).update(status=ContractStatus.TERMINATED)
    assert credit.exposure(customer) == {}


@pytest.mark.parametrize(("late", "stars"), [(-3, 5), (0, 5), (7, 4), (30, 3), (90, 2), (91, 1)])
def test_the_longest_delay_within_a_year_speaks_for_the_rating(customer, finance, late, stars):
    due = TODAY - timedelta(days=100)
    contract = signed("1000", customer=customer)
    plan(contract, 1000, due=due)
    receive(contract, "1000", finance, date=due + timedelta(days=late))
    assert exposure.punctuality(customer).stars == stars


def test_an_unpaid_instalment_is_as_late_as_today(customer):
    assert exposure.punctuality(customer) is None
    plan(signed("1000", customer=customer), 1000, due=TODAY - timedelta(days=31))
    signal = exposure.punctuality(customer)
    assert (signal.stars, signal.reason) == (2, "近一年到期的 1 期回款1 期逾期，最长 31 天")
    assert any(reason == signal for reason in rating.suggest_rating(customer).signals)


def test_who_has_not_paid_is_not_given_up(customer, finance):
    order = confirmed("10", customer=customer)
    exempt = dict(iter(EXEMPTIONS))["有未付清的订单"]
    assert list(Customer.objects.filter(pk__in=exempt())) == [customer]
    receive(order, "10", finance)
    assert not Customer.objects.filter(pk__in=exempt())


def test_confirmed_orders_speak_for_a_higher_stage(customer):
    make(ExchangeRate, currency="USD", valid_from=TODAY - timedelta(days=9), rate=Decimal("7.2"))
    confirmed("1000", customer=customer)
    confirmed("1000", customer=customer, currency="USD")
    confirmed("9999", customer=customer, order_date=TODAY - timedelta(days=400))
    answer = exposure.deals(customer)
    assert (answer.count, answer.yearly_amount) == (3, Decimal(8200))
    assert lifecycle.suggestion(customer).stage == "ordinary"


def test_a_request_about_a_customer_says_what_is_open(customer, seller):
    draft(customer)
    confirmed("70", customer=customer)
    plan(signed("1000", customer=customer, owner=seller), 300)
    found = {effect.label: (effect.count, effect.text) for effect in exposure.effects(customer, {}, seller)}
    assert found == {
        "未确认的订单": (1, ""),
        "未付清的订单": (1, "CNY 70.00"),
        "未付清的回款计划": (1, "CNY 300.00"),
    }
    assert PaymentPlan.objects.get().status == PaidState.UNPAID


# --- Races -----------------------------------------------------------------------------------------------------------

THREADS = 16


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_orders_confirmed_at_once_never_pass_the_credit(person):
    seller = person("销售")
    customer = make(Customer, owner=seller, review_status=ReviewStatus.APPROVED)
    with_credit(customer, 500)
    waiting = [draft(customer, "100") for _ in range(THREADS)]

    def work(number):
        try:
            return orders.confirm(waiting[number], by=User.objects.get(pk=seller.pk)).status
        except ValidationError as refused:
            assert refused.code == "over_limit"

    results = run_together(work, THREADS)
    assert not [result for result in results if isinstance(result, Exception)], results
    assert results.count(OrderStatus.CONFIRMED) == 5
    assert credit.exposure(customer) == {"CNY": 500}


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_without_the_lock_on_the_customer_the_credit_is_passed(person):
    """Negative control: the same check on a customer that was read, nobody confirming before all have looked."""
    seller = person("销售")
    customer = make(Customer, owner=seller, review_status=ReviewStatus.APPROVED)
    with_credit(customer, 100)
    waiting, looked = [draft(customer, "100") for _ in range(THREADS)], Barrier(THREADS)

    def work(number):
        with transaction.atomic():
            order = Order.objects.select_for_update().get(pk=waiting[number].pk)
            credit._check_locked(Customer.objects.get(pk=customer.pk), "CNY", order.total_amount, "订单")
            looked.wait(timeout=20)
            order.confirm()
            order.save()

    results = run_together(work, THREADS)
    assert not [result for result in results if isinstance(result, Exception)], results
    assert credit.exposure(customer) == {"CNY": 100 * THREADS}
    assert connection.vendor == "mysql"


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_of_cancelling_and_receiving_at_once_one_wins(person):
    seller, finance = person("销售"), person("财务")
    customer = make(Customer, owner=seller, review_status=ReviewStatus.APPROVED)
    for _ in range(6):
        order = confirmed("100", customer=customer)

        def work(number, order=order):
            try:
                if number:
                    orders.cancel(fresh(order), by=User.objects.get(pk=seller.pk), reason="算了")
                else:
                    receive(fresh(order), "100", User.objects.get(pk=finance.pk))
                return True
            except ValidationError:
                return False

        assert sorted(run_together(work, threads=2)) == [False, True]
        order = fresh(order)
        assert (order.status == OrderStatus.CANCELLED) == (order.received_amount == 0)


def test_the_hint_for_the_number_is_shown_where_a_number_can_be_entered(customer, seller, browse):
    order = draft(customer)
    assert "留空时自动编号" in browse(seller).get(f"/sales/order/{order.pk}/change/").content.decode()
    orders.confirm(order, by=seller)
    assert "留空时自动编号" not in browse(seller).get(f"/sales/order/{order.pk}/change/").content.decode()
