"""Limits and company paths of an approved customer change by request, for those who may not set them."""

from decimal import Decimal

import pytest

from crm.models import ApprovalRequest, CompanyPath, DictionaryItem, ExchangeRate
from crm.policies import policy_for
from customers.approvals import CREDIT
from customers.models import CreditLimit, CreditReservation, CreditRule, Customer, CustomerPath, ReviewStatus
from customers.services import changes, credit
from tests.browsing import form_of, posted
from tests.customers.test_changes import agree, approved, last_request, page_of, propose, team  # noqa: F401
from tests.factories import make


@pytest.fixture
def finance(person):
    return person("财务", full_name="财务")


@pytest.fixture
def customer(team):  # noqa: F811
    return team.customer


def limit_row(customer, number=0, **values):
    names = {"currency": "CNY", "amount": "9000"} | values
    given = {f"creditlimits-{number}-{name}": value for name, value in names.items()}
    return given | {f"creditlimits-{number}-customer": customer.pk, "creditlimits-TOTAL_FORMS": number + 1}


def test_a_seller_asks_for_a_limit_that_manager_and_finance_agree_to(team, customer, finance, browse):  # noqa: F811
    """Nothing is written before the last approval; then the limit names its request, and so does the history."""
    make(CreditReservation, customer=customer, currency="CNY", amount=Decimal(4000))
    page, _ = propose(browse(team.seller), customer, **limit_row(customer))
    assert [name for name, _ in page.context["chain"]] == ["部门主管", "财务审批"]
    text = page.content.decode()
    assert "新额度 CNY 9,000.00，已占用 CNY 4,000.00，剩余 CNY 5,000.00" in text
    request = last_request()
    assert request.kind == changes.CREDIT
    agree(request, team.manager)
    assert not CreditLimit.objects.exists()
    agree(request, finance)
    limit = CreditLimit.objects.get(limit_of=customer)
    assert (limit.amount, limit.approval) == (9000, str(request))
    tab = browse(finance).get(f"/customers/customer/{customer.pk}/credit/").content.decode()
    assert str(request) in tab


def test_a_raise_is_a_request_and_a_later_direct_change_no_longer_names_it(team, customer, finance, browse):  # noqa: F811
    given = make(CreditLimit, customer=customer, currency="CNY", amount=Decimal(100))
    propose(browse(team.seller), customer, **{"creditlimits-0-amount": "200"})
    assert CreditLimit.objects.get(pk=given.pk).amount == 100
    agree(last_request(), team.manager, finance)
    raised = CreditLimit.objects.get(pk=given.pk)
    assert (raised.amount, bool(raised.approval)) == (200, True)
    credit.set_limit(customer, "CNY", Decimal(50), by=finance, reason="压降")
    assert CreditLimit.objects.get(pk=given.pk).approval == ""


def test_more_than_the_rating_allows_cannot_even_be_asked_for(team, customer, browse):  # noqa: F811
    make(CreditRule, rating=0, max_amount=Decimal(8999))
    answer = posted(browse(team.seller), page_of(customer), **limit_row(customer))
    assert "额度合计最高 CNY 8,999.00" in answer.content.decode()
    assert not ApprovalRequest.objects.filter(kind=changes.CREDIT).exists()


def test_a_customer_without_review_gets_no_limit_from_its_seller(team, browse):  # noqa: F811
    """Before the review nothing would be asked, so the seller's form has no limits to fill in."""
    customer = make(Customer, owner=team.seller)
    assert customer.review_status == ReviewStatus.PENDING
    posted(browse(team.seller), page_of(customer), **limit_row(customer), remark="改")
    assert not CreditLimit.objects.exists()


def test_a_limit_has_no_side_door(team, customer, browse):  # noqa: F811
    limit = make(CreditLimit, customer=customer, amount=Decimal(100))
    browser, own = browse(team.seller), f"/customers/creditlimit/{limit.pk}/"
    browser.post(own + "change/", {"customer": customer.pk, "currency": "CNY", "amount": "999", "lock_version": 1})
    browser.post(own + "delete/", {"post": "yes"})
    browser.post("/customers/creditlimit/add/", {"customer": customer.pk, "currency": "USD", "amount": "999"})
    assert [(row.currency, row.amount, row.is_valid) for row in CreditLimit.objects.all()] == [("CNY", 100, True)]
    assert not policy_for(CreditLimit).may_add_to(team.seller, customer)


def test_the_switch_and_the_rating_need_finance_too(team, customer, finance, browse):  # noqa: F811
    propose(browse(team.seller), customer, credit_rating="5", is_credit_enabled="on")
    request = last_request()
    assert request.kind == changes.CREDIT
    assert Customer.objects.get(pk=customer.pk).credit_rating is None
    agree(request, team.manager, finance)
    stored = Customer.objects.get(pk=customer.pk)
    assert (stored.credit_rating, stored.is_credit_enabled) == (5, True)


def test_another_default_path_is_a_request_of_its_own_kind(team, customer, browse):  # noqa: F811
    export = DictionaryItem.objects.get(type="path_scenario", code="export")
    first, second = (make(CustomerPath, customer=customer, scenario=export) for _ in range(2))
    browser = browse(team.seller)
    form = form_of(browser, page_of(customer))
    ids = [name for name, value in form.items() if name.startswith("customerpaths-") and name.endswith("-id")]
    prefix = next(name for name in ids if form[name] == str(second.pk)).removesuffix("-id")
    propose(browser, customer, **{f"{prefix}-is_default": "on"})
    request = last_request()
    assert request.kind == changes.PATH
    assert CustomerPath.objects.get(default_of=customer) == first
    agree(request, team.manager, team.reviewer)
    assert CustomerPath.objects.get(default_of=customer) == second


def test_name_limit_and_path_travel_together(team, customer, finance, browse):  # noqa: F811
    make(CustomerPath, customer=customer)
    path, scenario = make(CompanyPath), DictionaryItem.objects.get(type="path_scenario", code="import")
    new_path = {
        "customerpaths-1-customer": customer.pk,
        "customerpaths-1-scenario": scenario.pk,
        "customerpaths-1-path": path.pk,
        "customerpaths-TOTAL_FORMS": 2,
    }
    propose(browse(team.seller), customer, name="新名", **limit_row(customer), **new_path)
    request = last_request()
    assert request.kind == changes.CREDIT
    agree(request, team.manager, finance)
    stored = Customer.objects.get(pk=customer.pk)
    assert (stored.name, stored.version_no) == ("新名", 2)
    assert CreditLimit.objects.get(limit_of=customer).amount == 9000
    assert CustomerPath.objects.get(default_of=customer, scenario=scenario).path == path


def test_the_threshold_of_a_policy_is_measured_in_cny(customer):
    part = {"model": "customers.CreditLimit", "op": "add", "id": None, "label": "", "fields": {}}
    part["fields"] = {"currency": [None, "USD"], "amount": [None, "1000"]}
    assert CREDIT.amount(customer, {"fields": {}, "parts": [part]}) > 10**12
    make(ExchangeRate, currency="USD", valid_from="2020-01-01", rate=Decimal(7))
    assert CREDIT.amount(customer, {"fields": {}, "parts": [part]}) == 7000
    limit = make(CreditLimit, customer=customer, currency="USD", amount=Decimal(1))
    part |= {"op": "change", "id": limit.pk, "fields": {"amount": ["1", "2000"]}}
    assert CREDIT.amount(customer, {"fields": {}, "parts": [part]}) == 14000
    assert CREDIT.amount(customer, {"fields": {"credit_rating": [None, 5]}, "parts": []}) == 0


def test_without_a_rate_a_limit_may_still_be_asked_for(team, customer, browse):  # noqa: F811
    propose(browse(team.seller), customer, **limit_row(customer, currency="EUR"))
    assert last_request().kind == changes.CREDIT


def test_paths_of_an_approved_customer_are_not_imported_around_the_request(team, customer):  # noqa: F811
    from crm.models import User
    from tests.crm.excel.pipeline import checked, problems

    scenario, path = DictionaryItem.objects.filter(type="path_scenario").first(), make(CompanyPath, name="直签")
    seller = User.objects.get(pk=team.seller.pk)
    pending = make(Customer, owner=seller, code="NEW1")
    rows = [[approved(team).code, str(scenario), path.name], [pending.code, str(scenario), path.name]]
    batch = checked(seller, ["客户代码", "业务场景", "公司路径"], rows, resource="customers.CustomerPath")
    assert "需要审批" in problems(batch)[2][0]
    assert 3 not in problems(batch)
