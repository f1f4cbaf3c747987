"""Credit: who sets limits, what counts against them, which amount is charged where, and that no race overdraws."""

from datetime import timedelta
from decimal import Decimal
from threading import Barrier

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import connection, transaction
from django.utils import timezone

from crm import ownership, records
from crm.exchange import NoRate
from crm.models import BusinessLog, ExchangeRate
from customers.models import CreditLimit, CreditReservation, CreditRule, Customer, TemporaryCredit
from customers.models.credit import UNRATED
from customers.services import credit
from customers.services.credit import OverLimit
from tests.browsing import form_of
from tests.factories import make
from tests.races import run_together

TODAY = timezone.localdate()


def rate(currency, value, ago=0):
    return make(ExchangeRate, currency=currency, valid_from=TODAY - timedelta(days=ago), rate=Decimal(value))


def limit(customer, currency, amount, **values):
    return make(CreditLimit, customer=customer, currency=currency, amount=Decimal(amount), **values)


def reserve(customer, currency, amount, reference="HT1", by=None):
    return credit.reserve(customer, currency, Decimal(amount), source="合同", reference=reference, by=by)


@pytest.fixture
def customer(db):
    return make(Customer, is_credit_enabled=True, currency="USD")


@pytest.fixture
def finance(person):
    return person("财务")


@pytest.fixture
def owing(monkeypatch):
    """``owing({"USD": 300})`` is what the customer's documents make him owe."""

    def set_to(amounts):
        values = {currency: Decimal(amount) for currency, amount in amounts.items()}
        monkeypatch.setitem(credit.EXPOSURE._providers, "合同未收款", lambda customer: values)

    return set_to


# --- What counts -----------------------------------------------------------------------------------------------------


def test_headroom_is_the_limit_less_what_documents_and_reservations_take(customer, owing):
    limit(customer, "USD", 1000)
    owing({"USD": "300.50"})
    reserve(customer, "USD", 100)
    assert credit.exposure(customer) == {"USD": Decimal("400.50")}
    assert credit.headroom(customer, "USD") == Decimal("599.50")


def test_without_the_switch_nothing_is_checked(customer):
    customer.is_credit_enabled = False
    customer.save()
    assert credit.headroom(customer, "USD") is None
    with transaction.atomic():
        assert credit.check(customer, "USD", Decimal(10**9), reference="合同 HT1", by=None) is None


def test_with_the_switch_and_no_limit_nothing_goes_on_credit(customer):
    with pytest.raises(OverLimit):
        reserve(customer, "USD", "0.01")


def test_the_limit_may_be_used_up_to_the_cent(customer):
    limit(customer, "USD", 1000)
    reserve(customer, "USD", "999.99")
    with pytest.raises(OverLimit):
        reserve(customer, "USD", "0.02", reference="HT2")
    reserve(customer, "USD", "0.01", reference="HT2")
    assert credit.headroom(customer, "USD") == 0


def test_a_limit_counts_from_its_first_to_its_last_day(customer):
    limit(customer, "USD", 100, valid_from=TODAY, valid_until=TODAY)
    limit(customer, "EUR", 100, valid_from=TODAY + timedelta(days=1))
    limit(customer, "GBP", 100, valid_until=TODAY - timedelta(days=1))
    assert credit.Position(customer).currencies == ["USD"]
    assert credit.headroom(customer, "USD") == 100


def test_a_refusal_tells_the_figures_and_what_to_do(customer, owing):
    limit(customer, "USD", 1000)
    make(TemporaryCredit, customer=customer, currency="USD", amount=Decimal(50))
    owing({"USD": 900})
    with pytest.raises(OverLimit) as refused:
        reserve(customer, "USD", 200)
    error = refused.value
    assert (error.limit, error.exposure, error.headroom) == (1050, 900, 150)
    for words in ("合同 HT1 USD 200.00", "额度 USD 1,050.00（含临时额度 USD 50.00）", "已占用 USD 900.00"):
        assert words in str(error)
    assert "剩余 USD 150.00" in str(error)
    assert "超出 USD 50.00" in str(error)
    assert "收回欠款" in str(error)


def test_amounts_of_nothing_are_refused(customer):
    with pytest.raises(ValidationError, match="必须大于零"):
        reserve(customer, "USD", 0)


# --- Currencies ------------------------------------------------------------------------------------------------------


def test_an_amount_is_charged_to_the_limit_of_its_own_currency(customer):
    limit(customer, "USD", 100)
    limit(customer, "CNY", 1000)
    reserve(customer, "CNY", 900)
    assert credit.headroom(customer, "USD") == 100
    with pytest.raises(OverLimit):
        reserve(customer, "CNY", 200, reference="HT2")


def test_a_currency_without_a_limit_is_charged_to_the_settlement_currency_at_todays_rate(customer):
    limit(customer, "CNY", 99999)
    limit(customer, "USD", 1000)
    rate("USD", "7.00"), rate("EUR", "7.70"), rate("EUR", "6.00", ago=9)
    held = reserve(customer, "EUR", 100)
    assert held.rate == Decimal("7.70")
    assert credit.Position(customer).line_for("USD").used == Decimal("110.00")
    assert credit.headroom(customer, "USD") == Decimal("890.00")
    assert credit.headroom(customer, "EUR") == Decimal("809.09")
    with pytest.raises(OverLimit, match=r"EUR 900\.00（折合 USD 990\.00）"):
        reserve(customer, "EUR", 900, reference="HT2")


def test_without_a_limit_in_the_settlement_currency_the_cny_limit_is_the_main_one(customer):
    limit(customer, "EUR", 100)
    limit(customer, "CNY", 700)
    rate("USD", "7")
    assert credit.Position(customer).currencies[0] == "CNY"
    assert credit.headroom(customer, "USD") == 100


def test_a_rate_that_begins_tomorrow_is_not_used_and_a_missing_one_is_said(customer):
    limit(customer, "USD", 1000)
    rate("USD", "7")
    rate("EUR", "7", ago=-1)
    with pytest.raises(NoRate, match=f"没有 {TODAY} 可用的汇率：欧元 EUR"):
        reserve(customer, "EUR", 1)
    reserve(customer, "USD", 1)


def test_a_limit_in_its_own_currency_needs_no_rate(customer):
    limit(customer, "USD", 1000)
    assert reserve(customer, "USD", 1).rate is None


# --- Reservations ----------------------------------------------------------------------------------------------------


def test_a_document_holds_credit_once_and_gives_it_back(customer, person):
    limit(customer, "USD", 100)
    first = reserve(customer, "USD", 60)
    assert reserve(customer, "USD", 60).pk == first.pk
    with pytest.raises(ValidationError, match="请先释放"):
        reserve(customer, "USD", 61)
    seller = person("销售")
    released = credit.release(source="合同", reference="HT1", by=seller, reason="合同已收款")
    assert (released.state, released.released_at is not None) == ("released", True)
    assert credit.headroom(customer, "USD") == 100
    assert credit.release(source="合同", reference="HT1", by=seller, reason="合同已收款") is None
    assert reserve(customer, "USD", 61).pk != first.pk
    assert BusinessLog.objects.filter(object_id=first.pk, user=seller, remark="合同已收款").exists()


def test_a_check_outside_a_transaction_would_protect_nothing_and_is_refused(transactional_db):
    customer = make(Customer, is_credit_enabled=True)
    with pytest.raises(transaction.TransactionManagementError):
        credit.check(customer, "CNY", Decimal(1), reference="合同 HT1", by=None)


def test_nobody_uses_the_credit_of_a_customer_he_does_not_see(customer, person):
    limit(customer, "USD", 100)
    seller = person("销售")
    with pytest.raises(PermissionDenied):
        reserve(customer, "USD", 1, by=seller)
    ownership.set_owner(customer, seller, by=None)
    assert reserve(customer, "USD", 1, by=seller).created_by == seller


# --- Changing limits -------------------------------------------------------------------------------------------------


def test_finance_sets_limits_of_customers_it_may_not_edit(customer, finance):
    first = credit.set_limit(customer, "USD", Decimal(100), by=finance, reason="首次授信")
    again = credit.set_limit(customer, "USD", Decimal(200), by=finance, reason="年度复核", approval="SP1")
    assert again.pk == first.pk
    entry = BusinessLog.objects.filter(object_id=first.pk, root_id=customer.pk).first()
    assert (entry.user, entry.remark) == (finance, "年度复核")
    assert entry.changes == {"amount": ["100", "200"], "approval": ["", "SP1"]}


def test_an_approval_stands_for_the_amount_it_decided_only(customer, finance):
    given = credit.set_limit(customer, "USD", Decimal(100), by=finance, reason="授信", approval="SP1")
    given.remark = "复核"
    records.save(given, by=finance)
    assert CreditLimit.objects.get(pk=given.pk).approval == "SP1"
    given.amount = Decimal(200)
    records.save(given, by=finance)
    assert CreditLimit.objects.get(pk=given.pk).approval == ""


def test_sellers_set_no_limit_unless_an_approval_decided_it(customer, person):
    seller = person("销售")
    ownership.set_owner(customer, seller, by=None)
    with pytest.raises(PermissionDenied):
        credit.set_limit(customer, "USD", Decimal(100), by=seller, reason="客户要求")
    with pytest.raises(PermissionDenied):
        credit.grant_temporary(customer, "USD", Decimal(100), TODAY, by=seller, reason="客户要求")
    with pytest.raises(PermissionDenied):
        credit.set_enabled(customer, False, by=seller, reason="客户要求")
    assert credit.set_limit(customer, "USD", Decimal(100), by=seller, reason="客户要求", approval="SP1").pk


def test_a_change_without_a_reason_is_refused(customer, finance):
    with pytest.raises(ValidationError, match="原因"):
        credit.set_limit(customer, "USD", Decimal(100), by=finance, reason=" ")


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"amount": Decimal(-1)}, "amount"),
        ({"currency": "XXX"}, "currency"),
        ({"valid_from": TODAY, "valid_until": TODAY - timedelta(days=1)}, "valid_until"),
    ],
)
def test_a_senseless_limit_is_refused_by_its_field(customer, finance, values, field):
    given = {"currency": "USD", "amount": Decimal(1)} | values
    currency, amount = given.pop("currency"), given.pop("amount")
    with pytest.raises(ValidationError) as refused:
        credit.set_limit(customer, currency, amount, by=finance, reason="授信", **given)
    assert field in refused.value.message_dict


def test_each_currency_has_one_limit_and_a_removed_one_may_be_set_again(customer, finance):
    first = limit(customer, "USD", 1)
    with pytest.raises(ValidationError, match="已有美元"):
        CreditLimit(customer=customer, currency="USD", amount=1).full_clean()
    records.remove(first, by=finance)
    assert credit.set_limit(customer, "USD", Decimal(5), by=finance, reason="重新授信").pk != first.pk


def test_temporary_credit_widens_the_limit_until_its_last_day(customer, finance):
    limit(customer, "USD", 100)
    extra = credit.grant_temporary(customer, "USD", Decimal(50), TODAY, by=finance, reason="旺季备货")
    assert (extra.approved_by, credit.headroom(customer, "USD")) == (finance, 150)
    tomorrow = credit.Position(customer, on=TODAY + timedelta(days=1))
    assert tomorrow.line_for("USD").headroom == 100
    with pytest.raises(ValidationError, match="不能早于今天"):
        credit.grant_temporary(customer, "USD", Decimal(1), TODAY - timedelta(days=1), by=finance, reason="补")


# --- What a rating allows --------------------------------------------------------------------------------------------


def test_the_rating_bounds_what_may_be_asked_for_in_all_currencies_together(customer, finance):
    make(CreditRule, rating=3, max_amount=Decimal(1000))
    make(CreditRule, rating=UNRATED, max_amount=Decimal(0))
    rate("USD", "7")
    with pytest.raises(ValidationError, match="信用度“未评定”的客户额度合计最高 CNY 0"):
        credit.set_limit(customer, "CNY", Decimal(1), by=finance, reason="授信")
    customer.credit_rating = 3
    customer.save()
    credit.set_limit(customer, "CNY", Decimal(300), by=finance, reason="授信")
    credit.set_limit(customer, "USD", Decimal(100), by=finance, reason="授信")
    with pytest.raises(ValidationError, match=r"合计 CNY 1,007\.00"):
        credit.set_limit(customer, "USD", Decimal(101), by=finance, reason="授信")


def test_a_rating_without_a_rule_is_not_bounded_and_a_limit_may_always_be_lowered(customer, finance):
    given = credit.set_limit(customer, "CNY", Decimal(10**9), by=finance, reason="授信")
    make(CreditRule, rating=UNRATED, max_amount=Decimal(10))
    lowered = credit.set_limit(customer, "CNY", Decimal(500), by=finance, reason="压降")
    assert (lowered.pk, lowered.amount) == (given.pk, 500)


# --- The credit tab --------------------------------------------------------------------------------------------------


def page_of(customer, page="credit"):
    return f"/customers/customer/{customer.pk}/{page}/"


def test_the_tab_shows_limits_use_and_history(customer, finance, browse, owing):
    credit.set_limit(customer, "USD", Decimal(12000), by=finance, reason="首次授信", approval="SP7")
    credit.grant_temporary(customer, "USD", Decimal(500), TODAY, by=finance, reason="旺季备货")
    owing({"USD": 3000})
    reserve(customer, "USD", 1000, reference="HT9")
    for page in ("change", "credit"):
        text = browse(finance).get(page_of(customer, page)).content.decode()
        for words in ("USD 12,000.00", "USD 500.00", "USD 4,000.00", "USD 8,500.00", "合同未收款", "HT9", "首次授信"):
            assert words in text, (page, words)
        assert "SP7" in text
        assert "旺季备货" in text
        assert "建档于" in text


def test_a_missing_rate_is_told_on_the_tab_instead_of_breaking_it(customer, finance, browse, owing):
    limit(customer, "USD", 100)
    owing({"EUR": 5})
    text = browse(finance).get(page_of(customer)).content.decode()
    assert "可用的汇率：欧元 EUR" in text


def test_finance_changes_everything_on_the_credit_page(customer, finance, browse):
    browser, url = browse(finance), page_of(customer)
    browser.post(url, {"action": "limit", "currency": "USD", "amount": "900", "reason": "授信"})
    browser.post(url, {"action": "temporary", "currency": "USD", "amount": "90", "until": TODAY, "reason": "旺季"})
    assert credit.headroom(customer, "USD") == 990
    held = reserve(customer, "USD", 10)
    browser.post(url, {"action": "release", "reservation": held.pk, "reason": "作废"})
    browser.post(url, {"action": "rate", "stars": "4", "reason": "付款及时"})
    browser.post(url, {"action": "switch", "enabled": "0", "reason": "预付款客户"})
    customer.refresh_from_db()
    held.refresh_from_db()
    assert (held.state, customer.credit_rating, customer.is_credit_enabled) == ("released", 4, False)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"action": "limit", "currency": "USD", "amount": "-5", "reason": "x"}, "金额："),
        ({"action": "limit", "currency": "USD", "amount": "5", "reason": ""}, "原因："),
        ({"action": "temporary", "currency": "USD", "amount": "5", "until": "", "reason": "x"}, "有效期至"),
        ({"action": "rate", "stars": "9", "reason": "x"}, "信用度："),
        ({"action": "release", "reservation": "x", "reason": "x"}, "没有这条额度占用"),
        ({"action": "nonsense"}, "没有这个操作"),
    ],
)
def test_what_cannot_be_done_is_said_in_chinese(customer, finance, browse, data, words):
    page = browse(finance).post(page_of(customer), data, follow=True)
    assert words in page.content.decode()
    assert not CreditLimit.objects.exists()


def test_the_owner_reads_the_tab_and_changes_nothing(customer, person, browse):
    seller = person("销售")
    ownership.set_owner(customer, seller, by=None)
    held = make(CreditReservation, customer=customer)
    browser, url = browse(seller), page_of(customer)
    assert "设定额度" not in browser.get(url).content.decode()
    for data in (
        {"action": "limit", "currency": "USD", "amount": "900", "reason": "x"},
        {"action": "temporary", "currency": "USD", "amount": "9", "until": TODAY, "reason": "x"},
        {"action": "switch", "enabled": "0", "reason": "x"},
        {"action": "rate", "stars": "5", "reason": "x"},
        {"action": "release", "reservation": held.pk, "reason": "x"},
    ):
        browser.post(url, data)
    customer.refresh_from_db()
    held.refresh_from_db()
    assert not CreditLimit.objects.exists()
    assert not TemporaryCredit.objects.exists()
    assert (customer.is_credit_enabled, customer.credit_rating, held.state) == (True, None, "active")


def test_the_credit_of_others_does_not_exist(customer, person, browse):
    stranger, market = person("销售"), person("市场")
    assert browse(stranger).get(page_of(customer)).status_code == 404
    assert browse(stranger).post(page_of(customer), {"action": "switch"}).status_code == 404
    limit(customer, "USD", 4321)
    assert browse(market).get(page_of(customer)).status_code == 404
    assert "4,321" not in browse(market).get(page_of(customer, "change")).content.decode()


def test_a_seller_who_forges_the_inline_changes_no_limit(customer, person, browse):
    seller = person("销售")
    ownership.set_owner(customer, seller, by=None)
    given = limit(customer, "USD", 100)
    browser = browse(seller)
    forged = {
        **form_of(browser, page_of(customer, "change")),
        "remark": "forged",
        "creditlimits-TOTAL_FORMS": "2",
        "creditlimits-INITIAL_FORMS": "1",
        "creditlimits-0-id": given.pk,
        "creditlimits-0-customer": customer.pk,
        "creditlimits-0-currency": "USD",
        "creditlimits-0-amount": "999",
        "creditlimits-0-lock_version": "1",
        "creditlimits-1-customer": customer.pk,
        "creditlimits-1-currency": "EUR",
        "creditlimits-1-amount": "999",
    }
    browser.post(page_of(customer, "change"), forged)
    assert [(row.currency, row.amount) for row in CreditLimit.objects.all()] == [("USD", 100)]


def test_limits_entered_together_are_measured_together(customer, person, browse):
    make(CreditRule, rating=UNRATED, max_amount=Decimal(100))
    rate("USD", "7"), rate("EUR", "8")
    browser = browse(person("管理员"))
    filled = {**form_of(browser, page_of(customer, "change")), "creditlimits-TOTAL_FORMS": "2"}
    for number, currency in enumerate(("USD", "EUR")):
        filled |= {
            f"creditlimits-{number}-customer": customer.pk,
            f"creditlimits-{number}-currency": currency,
            f"creditlimits-{number}-amount": "7",
        }
    refused = browser.post(page_of(customer, "change"), filled)
    assert "本次设定后合计 CNY 105.00" in refused.content.decode()
    assert not CreditLimit.objects.exists()
    browser.post(page_of(customer, "change"), filled | {"creditlimits-1-amount": "6"})
    assert CreditLimit.objects.count() == 2


def test_the_default_limit_of_a_category_is_one_click_away(finance, browse):
    from customers.models import CustomerCategory

    category = make(CustomerCategory, name="进口商", credit_amount=Decimal(5000), credit_currency="USD")
    customer = make(Customer, categories=[category])
    browser = browse(finance)
    page = browser.get(page_of(customer)).content.decode()
    assert "设为额度" in page
    assert 'name="amount" value="5000.00"' in page
    browser.post(page_of(customer), {"action": "limit", "currency": "USD", "amount": "5000.00", "reason": "按分类"})
    assert "设为额度" not in browser.get(page_of(customer)).content.decode()


def test_another_customers_reservation_is_not_released_here(customer, finance, browse):
    foreign = make(CreditReservation)
    browse(finance).post(page_of(customer), {"action": "release", "reservation": foreign.pk, "reason": "x"})
    foreign.refresh_from_db()
    assert foreign.state == "active"


# --- Races -----------------------------------------------------------------------------------------------------------

THREADS, EACH, LIMIT = 16, 200, 400


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_sixteen_threads_with_two_hundred_reservations_each_never_overdraw():
    """3,200 contracts of one dollar want 400 dollars of credit: exactly 400 get it."""
    customer = make(Customer, is_credit_enabled=True, currency="USD")
    limit(customer, "USD", LIMIT)

    def work(number):
        won = 0
        for place in range(EACH):
            try:
                reserve(customer, "USD", 1, reference=f"HT{number}-{place}")
                won += 1
            except OverLimit as error:
                assert error.exposure <= LIMIT
        return won

    results = run_together(work, THREADS)
    assert not [result for result in results if isinstance(result, Exception)]
    assert sum(results) == LIMIT
    assert credit.exposure(customer) == {"USD": LIMIT}
    assert credit.headroom(customer, "USD") == 0


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_without_the_lock_credit_is_overdrawn():
    """Negative control: the same check and reservation, with the customer's row read instead of locked."""
    customer = make(Customer, is_credit_enabled=True, currency="USD")
    limit(customer, "USD", 1)
    barrier = Barrier(THREADS)

    def work(number):
        with transaction.atomic():
            credit._check_locked(Customer.objects.get(pk=customer.pk), "USD", Decimal(1), "合同")
            barrier.wait()
            make(CreditReservation, customer=customer, currency="USD", amount=Decimal(1), reference=f"HT{number}")

    results = run_together(work, THREADS)
    assert not [result for result in results if isinstance(result, Exception)]
    assert credit.exposure(customer)["USD"] == THREADS
    assert connection.vendor == "mysql"
