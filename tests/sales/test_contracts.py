"""Contracts: reviewed, signed within the credit, amended by approval, ended; what others learn of them."""

from datetime import timedelta
from decimal import Decimal
from threading import Barrier

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from crm import approvals, jobs
from crm.approvals.proposals import state_of
from crm.models import ApprovalRequest, Department, ExchangeRate, Notification
from crm.transitions import TransitionRefused
from customers.models import CreditLimit, Customer, DealStatus, ReviewStatus, TemporaryCredit
from customers.services import lifecycle
from customers.services.credit import OverLimit
from customers.services.rulebook import EXEMPTIONS
from sales.approvals import REVIEW
from sales.models import (
    Contract,
    ContractItem,
    ContractStatus,
    ContractVersion,
    Opportunity,
    Order,
    PaymentPlan,
    PaymentRecord,
)
from sales.services import contracts, payments, versions
from tests.browsing import form_of, listed
from tests.factories import make
from tests.races import run_together

TODAY = timezone.localdate()


@pytest.fixture
def boss(person):
    return person("销售主管")


@pytest.fixture
def seller(person, boss):
    return person("销售", department=make(Department, parent=None, manager=boss))


@pytest.fixture
def reviewer(person):
    return person("审批人")


@pytest.fixture
def customer(seller):
    return make(Customer, owner=seller, review_status=ReviewStatus.APPROVED)


def run_now(name):
    """What is said of the periodic work ``name``."""
    job = jobs.start(name)
    jobs.execute(job.pk)
    return fresh(job).message


def fresh(obj):
    return type(obj)._base_manager.get(pk=obj.pk)


def draft(customer, *prices, **values):
    contract = make(Contract, customer=customer, **{"owner": customer.owner, "total_amount": 0, **values})
    for price in prices or ("1000",):
        make(ContractItem, contract=contract, quantity=1, unit_price=price)
    return fresh(contract)


def agree(request, *people):
    for person in people:
        request = approvals.approve(request, by=person, digest=request.digest)
    return request


def reviewed(customer, *prices, **values):
    """A contract that has passed its review, whoever it was."""
    contract = draft(customer, *prices, **values)
    contract.approve()
    contract.save()
    return contract


def signed(customer, *prices, on=TODAY, **values):
    return fresh(contracts.sign(reviewed(customer, *prices, **values), on, by=customer.owner))


def with_credit(customer, amount):
    customer.is_credit_enabled = True
    customer.save()
    make(CreditLimit, customer=customer, currency="CNY", amount=Decimal(amount))


# --- Review ----------------------------------------------------------------------------------------------------------


def test_a_draft_passes_both_levels_and_may_then_be_signed(customer, seller, boss, reviewer):
    request = contracts.submit(draft(customer), by=seller)
    contract = Contract.objects.get()
    assert contract.status == ContractStatus.DRAFT
    agree(request, boss, reviewer)
    assert fresh(contract).status == ContractStatus.APPROVED


def test_what_was_changed_since_is_not_approved(customer, seller, boss, reviewer):
    contract = draft(customer)
    request = agree(contracts.submit(contract, by=seller), boss)
    line = contract.items.get()
    line.unit_price = Decimal(2)
    line.save()
    with pytest.raises(approvals.ApprovalConflict, match="明细已修改"):
        agree(request, reviewer)
    assert fresh(contract).status == ContractStatus.DRAFT


def test_a_draft_under_review_is_left_alone(customer, seller, boss, browse):
    contract = draft(customer)
    contracts.submit(contract, by=seller)
    page = browse(seller).get(reverse("admin:sales_contract_change", args=[contract.pk]))
    assert not page.context["has_change_permission"] and "请申请人先撤回审核" in page.content.decode()


def test_a_refused_draft_says_why_and_is_submitted_again(customer, seller, boss, reviewer, browse):
    contract = draft(customer)
    request = contracts.submit(contract, by=seller)
    approvals.reject(request, by=boss, digest=request.digest, comment="付款条款不清楚")
    page = browse(seller).get(reverse("admin:sales_contract_change", args=[contract.pk]))
    assert "付款条款不清楚" in page.content.decode() and page.context["has_change_permission"]
    assert contracts.submit(contract, by=seller).is_pending


@pytest.mark.parametrize(
    ("values", "words"),
    [({"prices": ["0"]}, "总金额是 0"), ({"customer": False}, "不能签约"), ({"none": 1}, "没有明细")],
)
def test_what_is_not_submitted(values, words, customer, seller):
    if "none" in values:
        contract = make(Contract, customer=customer, owner=seller, total_amount=0)
    elif "customer" in values:
        contract = draft(make(Customer, owner=seller))
    else:
        contract = draft(customer, *values["prices"])
    with pytest.raises(ValidationError, match=words):
        contracts.submit(contract, by=seller)


def test_the_amount_in_cny_decides_which_policy_applies(customer):
    make(ExchangeRate, currency="USD", valid_from=TODAY, rate=Decimal(7))
    contract = draft(customer, "100", currency="USD")
    assert REVIEW.amount(contract, {}) == Decimal(700)


def test_a_contract_of_a_customer_that_may_not_buy_is_refused_on_the_form(seller, browse):
    waiting = make(Customer, owner=seller)
    url = f"{reverse('admin:sales_contract_add')}?customer={waiting.pk}"
    answer = browse(seller).post(url, form_of(browse(seller), url) | {"name": "合同", "_save": "1"})
    assert answer.status_code == 200 and "请先让客户通过审核" in answer.content.decode()
    assert not Contract.objects.exists()


# --- Signing ---------------------------------------------------------------------------------------------------------


def test_signing_makes_a_deal(customer, seller):
    contract = signed(customer, on=TODAY - timedelta(days=3))
    customer = fresh(customer)
    assert (contract.status, contract.sign_date) == (ContractStatus.SIGNED, TODAY - timedelta(days=3))
    assert customer.deal_status == DealStatus.WON
    assert timezone.localdate(customer.last_deal_at) == contract.sign_date
    assert contract.versions_kept.get().content["items"][0]["amount"] == "1000.00"


def test_a_draft_is_not_signed_nor_a_contract_twice(customer, seller):
    with pytest.raises(TransitionRefused):
        contracts.sign(draft(customer), TODAY, by=seller)
    with pytest.raises(TransitionRefused):
        contracts.sign(signed(customer), TODAY, by=seller)


def test_nobody_signs_for_tomorrow_or_for_a_stranger(customer, seller, person):
    with pytest.raises(ValidationError, match="不能晚于今天"):
        contracts.sign(reviewed(customer), TODAY + timedelta(days=1), by=seller)
    with pytest.raises(PermissionDenied):
        contracts.sign(reviewed(customer), TODAY, by=person("销售"))


def test_a_suspended_customer_signs_nothing(customer, seller):
    contract = reviewed(customer)
    Customer.objects.filter(pk=customer.pk).update(review_status=ReviewStatus.SUSPENDED)
    with pytest.raises(ValidationError, match="不能签约"):
        contracts.sign(contract, TODAY, by=seller)


def test_credit_is_checked_when_signing(customer, seller):
    with_credit(customer, 1500)
    signed(customer, "1000")
    with pytest.raises(OverLimit):
        contracts.sign(reviewed(customer, "600"), TODAY, by=seller)
    make(TemporaryCredit, customer=customer, amount="100", valid_until=TODAY)
    assert signed(customer, "600").status == ContractStatus.SIGNED


def test_the_page_of_signing_leads_to_temporary_credit(customer, seller, browse):
    with_credit(customer, 400)
    contract = reviewed(customer, "1000")
    url = reverse("admin:sales_contract_sign", args=[contract.pk])
    page = browse(seller).post(url, {"sign_date": TODAY.isoformat()})
    assert page.status_code == 200 and "超出 CNY 600.00" in page.content.decode()
    asked = browse(seller).get(page.context["temporary_url"])
    assert asked.status_code == 200 and 'value="600.00"' in asked.content.decode()
    assert fresh(contract).status == ContractStatus.APPROVED


def test_signing_points_to_the_open_opportunity(customer, seller, browse):
    deal = make(Opportunity, customer=customer, owner=seller)
    contract = reviewed(customer, opportunity=deal)
    url = reverse("admin:sales_contract_sign", args=[contract.pk])
    page = browse(seller).post(url, {"sign_date": TODAY.isoformat()}, follow=True)
    assert reverse("admin:sales_opportunity_change", args=[deal.pk]) in page.content.decode()


def test_a_reviewed_contract_goes_back_with_a_reason(customer, seller):
    contract = reviewed(customer)
    with pytest.raises(TransitionRefused):
        contracts.rework(contract, by=seller, reason="")
    assert contracts.rework(contract, by=seller, reason="改价").status == ContractStatus.DRAFT


def test_a_terminated_contract_is_no_deal_any_more(customer):
    older = signed(customer, on=TODAY - timedelta(days=90))
    newer = signed(customer)
    contracts.terminate(newer, by=None, reason="协商终止")
    assert timezone.localdate(fresh(customer).last_deal_at) == TODAY - timedelta(days=90)
    assert fresh(customer).deal_status == DealStatus.WON
    contracts.terminate(older, by=None, reason="协商终止")
    assert (fresh(customer).last_deal_at, fresh(customer).deal_status) == (None, DealStatus.POTENTIAL)
    assert lifecycle.DEALS._providers["contracts"](customer) is None


def test_a_terminated_contract_that_was_partly_paid_stays_a_deal(customer, person):
    contract = signed(customer, "1000")
    payments.receive(PaymentRecord(contract=contract, amount=Decimal(300)), by=person("财务"))
    contracts.terminate(contract, by=None, reason="协商终止")
    assert timezone.localdate(fresh(customer).last_deal_at) == TODAY
    assert fresh(customer).deal_status == DealStatus.WON


def test_only_managers_terminate_and_say_why(customer, seller, boss, person):
    contract = signed(customer)
    with pytest.raises(PermissionDenied):
        contracts.terminate(contract, by=seller, reason="客户取消")
    ended = contracts.terminate(contract, by=person("管理员"), reason="客户取消")
    assert (ended.status, ended.terminate_reason) == (ContractStatus.TERMINATED, "客户取消")


# --- Amendments ------------------------------------------------------------------------------------------------------


def change(contract, price=None, fields=None, add=None, remove=False):
    """An amendment of the first line of ``contract``."""
    line, parts = contract.items.filter(is_valid=True).order_by("pk").first(), []
    label = contracts.ContractItem._meta.label
    if price is not None:
        now = state_of(line, {"unit_price", "amount"})
        fields_of = {"unit_price": [now["unit_price"], str(price)], "amount": [now["amount"], str(price)]}
        parts.append({"model": label, "op": "change", "id": line.pk, "label": line.name, "fields": fields_of})
    if remove:
        parts.append({"model": label, "op": "remove", "id": line.pk, "label": line.name, "fields": {}})
    if add is not None:
        new = {
            "name": [None, "加购"],
            "quantity": [None, "1"],
            "unit_price": [None, str(add)],
            "discount": [None, "100"],
        }
        parts.append({"model": label, "op": "add", "id": None, "label": "加购", "fields": new})
    return {"fields": fields or {}, "parts": parts}


def amend(contract, values, *, by, approvers=()):
    request = approvals.submit(contracts.AMENDMENT, contract, by=by, values=values, reason="客户要求")
    return agree(request, *approvers)


def test_an_amendment_touches_nothing_before_it_is_approved(customer, seller, boss, reviewer):
    contract = signed(customer, "1000")
    values = change(contract, 1200, {"terms": [contract.terms, "新条款"]}, add=300)
    request = amend(contract, values, by=seller)
    assert request.is_pending and request.amount == Decimal(1500)
    assert fresh(contract).total_amount == Decimal(1000) and contract.items.count() == 1
    agree(request, boss, reviewer)
    contract = fresh(contract)
    assert (contract.total_amount, contract.version_no, contract.terms) == (Decimal(1500), 2, "新条款")
    assert contract.status == ContractStatus.SIGNED


def test_versions_compare_line_by_line(customer, seller, boss, reviewer, browse):
    contract = signed(customer, "1000", "50")
    amend(contract, change(contract, 1200, add=300), by=seller, approvers=(boss, reviewer))
    second = fresh(contract)
    gone = second.items.filter(unit_price=50).get()
    values = change(second)
    values["parts"] = [
        {"model": ContractItem._meta.label, "op": "remove", "id": gone.pk, "label": gone.name, "fields": {}}
    ]
    amend(second, values, by=seller, approvers=(boss, reviewer))
    old, middle, new = ContractVersion.objects.order_by("version_no")
    kinds = [line.kind for line in versions.compare(old, middle, seller)["lines"]]
    assert kinds == ["修改", "", "新增"]
    assert [line.kind for line in versions.compare(old, new, seller)["lines"]] == ["修改", "删除", "新增"]
    page = browse(seller).get(reverse("admin:sales_contract_versions", args=[contract.pk]), {"old": "1", "new": "2"})
    words = page.content.decode()
    assert "<del>1000.00</del>" in words and "<ins>1200.00</ins>" in words and "<ins>加购</ins>" in words


def test_an_amendment_never_goes_below_what_was_received_or_planned(customer, seller, person):
    contract = signed(customer, "1000")
    payments.receive(PaymentRecord(contract=contract, amount=Decimal(600)), by=person("财务"))
    contract = fresh(contract)
    with pytest.raises(ValidationError, match=r"低于已回款 CNY 600\.00"):
        amend(contract, change(contract, 500), by=seller)
    make(PaymentPlan, contract=contract, amount=Decimal(800))
    with pytest.raises(ValidationError, match=r"低于回款计划共 CNY 800\.00"):
        amend(contract, change(contract, 700), by=seller)
    assert amend(contract, change(contract, 800), by=seller).is_pending


def test_lines_may_be_exchanged_as_long_as_the_total_covers_what_was_received(customer, seller, boss, reviewer, person):
    contract = signed(customer, "1000")
    payments.receive(PaymentRecord(contract=contract, amount=Decimal(900)), by=person("财务"))
    amend(fresh(contract), change(contract, add=950, remove=True), by=seller, approvers=(boss, reviewer))
    assert fresh(contract).total_amount == Decimal(950)


def test_growth_needs_credit_again_when_it_takes_effect(customer, seller, boss, reviewer):
    with_credit(customer, 1500)
    contract = signed(customer, "1000")
    with pytest.raises(ValidationError, match="超出"):
        amend(contract, change(contract, 1600), by=seller)
    request = amend(contract, change(contract, 1400), by=seller, approvers=(boss,))
    signed(customer, "200")
    with pytest.raises(ValidationError, match="超出"):
        agree(request, reviewer)
    assert fresh(contract).total_amount == Decimal(1000) and fresh(request).is_pending


def test_customer_and_currency_stay_and_drafts_are_not_amended(customer, seller):
    contract = signed(customer)
    with pytest.raises(ValidationError, match="币种不能变更"):
        amend(contract, change(contract, fields={"currency": ["CNY", "USD"]}), by=seller)
    with pytest.raises(PermissionDenied):
        amend(draft(customer), change(contract, 5), by=seller)


def test_one_amendment_at_a_time_and_none_after_the_end(customer, seller, boss, reviewer, person):
    contract = signed(customer)
    request = amend(contract, change(contract, 900), by=seller)
    with pytest.raises(approvals.ApprovalRefused, match="同样的内容"):
        amend(contract, change(contract, 800), by=seller)
    contracts.terminate(contract, by=person("管理员"), reason="取消")
    assert fresh(request).state == ApprovalRequest.State.WITHDRAWN


def test_an_amendment_is_written_in_the_form_of_the_contract(customer, seller, boss, browse):
    contract = signed(customer, "1000")
    url = reverse("admin:sales_contract_amend", args=[contract.pk])
    form = form_of(browse(seller), url)
    assert "currency" not in form and "items-0-unit_price" in form
    page = browse(seller).post(url, form | {"items-0-unit_price": "900", "terms": "新条款", "_save": "1"})
    words = page.content.decode()
    assert "CNY 900.00" in words and "新条款" in words and fresh(contract).total_amount == Decimal(1000)
    answer = browse(seller).post(
        page.context["propose_url"], {"proposal": page.context["proposal"], "reason": "客户要求降价"}
    )
    request = ApprovalRequest.objects.get(kind=contracts.AMENDMENT)
    assert answer.status_code == 302 and request.is_pending and request.amount == Decimal(900)
    detail = browse(boss).get(approvals.link(request)).content.decode()
    assert "CNY 900.00" in detail and "单价" in detail


def test_the_ordinary_form_of_a_signed_contract_changes_nothing(customer, seller, browse):
    contract = signed(customer)
    url = reverse("admin:sales_contract_change", args=[contract.pk])
    amend_form = form_of(browse(seller), reverse("admin:sales_contract_amend", args=[contract.pk]))
    browse(seller).post(url, amend_form | {"name": "别的", "items-0-unit_price": "1", "_save": "1"})
    assert fresh(contract).name == contract.name and fresh(contract).total_amount == Decimal(1000)


# --- What others learn -----------------------------------------------------------------------------------------------


def test_live_contracts_keep_the_customer_out_of_the_sea(customer, seller):
    provider = EXEMPTIONS._providers["有生效的合同"]
    draft(customer)
    assert not provider().exists()
    contract = signed(customer, end_date=TODAY)
    assert list(provider()) == [{"customer_id": customer.pk}]
    Contract.objects.filter(pk=contract.pk).update(end_date=TODAY - timedelta(days=1))
    assert not provider().exists()


def test_signed_contracts_of_a_year_count_in_cny(customer):
    make(ExchangeRate, currency="USD", valid_from=TODAY - timedelta(days=900), rate=Decimal(7))
    signed(customer, "1000")
    signed(customer, "100", currency="USD")
    signed(customer, "5000", on=TODAY - timedelta(days=366))
    deals = lifecycle.DEALS._providers["contracts"](customer)
    assert (deals.count, deals.yearly_amount) == (3, Decimal(1700))


def test_owners_hear_once_that_a_contract_ends(customer, seller):
    for days in (0, 30, 31, -1):
        signed(customer, end_date=TODAY + timedelta(days=days))
    run_now("contracts.expiring")
    run_now("contracts.expiring")
    assert Notification.objects.filter(user=seller, key__startswith="contract-expiring").count() == 2


def test_figures_of_the_home_page_lead_to_what_they_count(customer, seller, browse):
    reviewed(customer)
    signed(customer, end_date=TODAY + timedelta(days=5))
    signed(customer, end_date=TODAY + timedelta(days=50))
    figures = {f.label: f for part in browse(seller).get("/").context["parts"] for f in part.figures}
    for label, count in (("待签约合同", 1), ("即将到期合同", 1)):
        assert figures[label].value == count == listed(browse(seller).get(figures[label].link), figures[label].link)


def test_changing_a_customer_shows_what_its_contracts_owe(customer, seller):
    draft(customer)
    signed(customer, "1000")
    found = {effect.label: effect for effect in contracts.effects(customer, {}, seller)}
    assert found["合同草稿"].count == 1 and "CNY 1,000.00" in found["已签约的合同"].text


def test_orders_of_a_contract_bound_its_amendments(customer, seller):
    contract = signed(customer, "1000")
    make(Order, customer=customer, contract=contract, total_amount=Decimal(700), status="confirmed")
    with pytest.raises(ValidationError, match="已确认的订单共"):
        amend(contract, change(contract, 600), by=seller)


# --- Races -----------------------------------------------------------------------------------------------------------


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_two_contracts_never_spend_the_same_credit(person):
    seller = person("销售")
    customer = make(Customer, owner=seller, review_status=ReviewStatus.APPROVED)
    with_credit(customer, 1000)
    waiting = [reviewed(customer, "600") for _ in range(4)]
    results = run_together(lambda n: contracts.sign(waiting[n], TODAY, by=seller), threads=4)
    assert sorted(type(result).__name__ for result in results) == ["Contract"] + ["OverLimit"] * 3
    assert Contract.objects.filter(status=ContractStatus.SIGNED).count() == 1


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_a_contract_is_signed_once(person):
    seller = person("销售")
    contract = reviewed(make(Customer, owner=seller, review_status=ReviewStatus.APPROVED))
    results = run_together(lambda n: contracts.sign(contract, TODAY, by=seller), threads=8)
    assert sorted(type(result).__name__ for result in results) == ["Contract"] + ["TransitionRefused"] * 7
    assert ContractVersion.objects.count() == 1


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_without_the_lock_both_would_be_signed(person):
    """Negative control: both read the credit before either counts."""
    seller = person("销售")
    customer = make(Customer, owner=seller, review_status=ReviewStatus.APPROVED)
    with_credit(customer, 1000)
    waiting, barrier = [reviewed(customer, "600") for _ in range(2)], Barrier(2)

    def unprotected(number):
        from customers.services import credit

        with transaction.atomic():
            left = credit.headroom(customer, "CNY")
            barrier.wait()
            if left >= waiting[number].total_amount:
                stored = fresh(waiting[number])
                stored.sign(TODAY)
                stored.save()
        return left

    run_together(unprotected, threads=2)
    assert Contract.objects.filter(status=ContractStatus.SIGNED).count() == 2
