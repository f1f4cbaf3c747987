"""Quotations: what is sent and answered, what replaces what, what becomes of an accepted one."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.urls import reverse
from django.utils import timezone

from crm import jobs, records
from crm.models import CompanyPath, DictionaryItem
from crm.transitions import TransitionRefused
from customers.models import Customer, CustomerPath, ReviewStatus
from customers.services.changes import EFFECTS
from sales.models import (
    Contract,
    ContractStatus,
    Opportunity,
    OpportunityItem,
    Product,
    Quotation,
    QuotationItem,
    QuotationStatus,
)
from sales.services import quotations
from tests.browsing import form_of, posted
from tests.factories import make

TODAY = timezone.localdate()


@pytest.fixture
def seller(person):
    return person("销售")


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
    quotation = make(Quotation, customer=customer, **values)
    for price in prices or ("100",):
        make(QuotationItem, quotation=quotation, quantity=1, unit_price=price)
    return fresh(quotation)


def sent(customer, seller, **values):
    return quotations.send(draft(customer, **values), by=seller)


# --- Sending and answers ---------------------------------------------------------------------------------------------


def test_the_total_follows_the_valid_lines(customer, seller):
    quotation = draft(customer, "100.005", "33.33")
    assert quotation.total_amount == Decimal("133.34")
    records.remove(quotation.items.order_by("pk").last(), by=seller)
    assert fresh(quotation).total_amount == Decimal("100.01")


def test_an_empty_quotation_is_not_sent(customer, seller):
    with pytest.raises(ValidationError, match="还没有明细"):
        quotations.send(make(Quotation, customer=customer), by=seller)


def test_an_offer_whose_day_has_passed_is_neither_sent_nor_accepted(customer, seller):
    late = {"valid_until": TODAY - timedelta(days=1)}
    with pytest.raises(ValidationError, match="有效期"):
        quotations.send(draft(customer, **late), by=seller)
    quotation = sent(customer, seller)
    Quotation.objects.filter(pk=quotation.pk).update(**late)
    with pytest.raises(ValidationError, match="过期"):
        quotations.accept(fresh(quotation), by=seller)


def test_the_last_day_still_counts(customer, seller):
    assert quotations.accept(sent(customer, seller, valid_until=TODAY), by=seller).status == QuotationStatus.ACCEPTED


def test_a_refusal_needs_its_reason(customer, seller):
    quotation = sent(customer, seller)
    with pytest.raises(TransitionRefused, match="原因"):
        quotations.reject(quotation, by=seller, reason=" ")
    assert quotations.reject(quotation, by=seller, reason="价格高").reject_reason == "价格高"


def test_strangers_answer_for_nobody(customer, seller, person):
    quotation = sent(customer, seller)
    with pytest.raises(PermissionDenied):
        quotations.accept(quotation, by=person("销售"))


def test_a_sent_quotation_is_not_edited(customer, seller, browse):
    quotation = sent(customer, seller)
    url = reverse("admin:sales_quotation_change", args=[quotation.pk])
    page = browse(seller).get(url)
    assert "新建修订版" in page.content.decode() and "内容不能再改" in page.content.decode()
    browse(seller).post(url, {"terms": "别的条款", "items-TOTAL_FORMS": "0", "items-INITIAL_FORMS": "0"})
    assert fresh(quotation).terms == quotation.terms
    line = quotation.items.get()
    browse(seller).post(reverse("admin:sales_quotationitem_change", args=[line.pk]), {"unit_price": "1"})
    assert fresh(line).unit_price == line.unit_price


# --- Every night -----------------------------------------------------------------------------------------------------


def test_unanswered_offers_expire_however_many_nights_were_missed(customer, seller):
    old = sent(customer, seller)
    Quotation.objects.filter(pk=old.pk).update(valid_until=TODAY - timedelta(days=40))
    kept = [sent(customer, seller, valid_until=TODAY), sent(customer, seller), draft(customer)]
    result = run_now("quotations.expire")
    assert fresh(old).status == QuotationStatus.EXPIRED
    assert [fresh(row).status for row in kept] == ["sent", "sent", "draft"]
    assert "1 张" in result
    assert quotations.preview() == []


# --- Copies and revisions --------------------------------------------------------------------------------------------


def test_a_copy_is_a_draft_of_its_own(customer, seller):
    quotation = draft(customer, "100", "50", valid_until=TODAY)
    copied = quotations.copy(quotation, by=seller)
    assert (copied.status, copied.total_amount, copied.revision) == ("draft", Decimal(150), 1)
    assert copied.number != quotation.number and copied.valid_until is None and copied.revision_of is None


def test_a_revision_replaces_what_was_sent(customer, seller):
    first = sent(customer, seller)
    second = quotations.revise(first, by=seller)
    assert (second.revision, second.revision_of, second.status) == (2, first, QuotationStatus.DRAFT)
    assert fresh(first).status == QuotationStatus.SENT and first.items.count() == second.items.count()
    for verb in (quotations.accept, quotations.revise):
        with pytest.raises(ValidationError, match="第 2 版"):
            verb(first, by=seller)


def test_neither_drafts_nor_accepted_offers_are_revised(customer, seller):
    with pytest.raises(ValidationError, match="草稿"):
        quotations.revise(draft(customer), by=seller)
    with pytest.raises(ValidationError, match="已接受"):
        quotations.revise(quotations.accept(sent(customer, seller), by=seller), by=seller)


def test_lists_mark_what_was_revised(customer, seller, browse):
    quotations.revise(sent(customer, seller), by=seller)
    page = browse(seller).get(reverse("admin:sales_quotation_changelist")).content.decode()
    assert "已被修订" in page and "第 2 版" in page


# --- Accepted --------------------------------------------------------------------------------------------------------


def test_an_accepted_quotation_becomes_a_contract_draft(customer, seller):
    quotation = draft(customer, "100", "50")
    line = quotation.items.order_by("pk").first()
    line.discount = Decimal("85")
    line.save()
    quotations.send(quotation, by=seller)
    contract = quotations.draft_contract(quotations.accept(quotation, by=seller), by=seller)
    assert contract.status == ContractStatus.DRAFT and contract.owner == seller
    assert contract.total_amount == fresh(quotation).total_amount == Decimal("135")
    assert [item.discount for item in contract.items.order_by("pk")] == [Decimal(85), Decimal(100)]
    with pytest.raises(ValidationError, match="已生成合同"):
        quotations.draft_contract(quotation, by=seller)


def test_accepting_on_the_page_leads_to_the_contract(customer, seller, browse):
    quotation = sent(customer, seller)
    url = reverse("admin:sales_quotation_transition", args=[quotation.pk, "accept"])
    answer = browse(seller).post(url)
    contract = Contract.objects.get()
    assert answer["Location"] == reverse("admin:sales_contract_change", args=[contract.pk])
    assert contract.quotation == quotation


def test_the_answer_is_kept_where_the_customer_may_not_buy_yet(seller, browse):
    quotation = sent(make(Customer, owner=seller), seller)
    browse(seller).post(reverse("admin:sales_quotation_transition", args=[quotation.pk, "accept"]))
    page = browse(seller).get(reverse("admin:sales_quotation_change", args=[quotation.pk]))
    assert fresh(quotation).status == QuotationStatus.ACCEPTED and not Contract.objects.exists()
    assert page.context["may_draft"]


# --- Entering --------------------------------------------------------------------------------------------------------


def test_the_company_path_is_the_customers_own(customer, seller):
    scenario = DictionaryItem.objects.get(type="path_scenario", code="domestic")
    path = make(CompanyPath)
    make(CustomerPath, customer=customer, scenario=scenario, path=path)
    assert quotations.enter(Quotation(customer=customer), by=seller).company_path == path


def test_a_quotation_takes_the_products_of_its_opportunity(customer, seller, browse):
    deal = make(Opportunity, customer=customer, owner=seller)
    product = make(Product, price="80", currency="CNY")
    make(OpportunityItem, opportunity=deal, product=product, quantity=3, unit_price=None)
    make(OpportunityItem, opportunity=deal, quantity=2, unit_price="10")
    url = f"{reverse('admin:sales_quotation_add')}?opportunity={deal.pk}&customer={customer.pk}"
    assert posted(browse(seller), url).status_code == 302
    assert Quotation.objects.get().total_amount == Decimal(260)


def test_amounts_are_the_servers_whatever_a_browser_sends(customer, seller, browse):
    product = make(Product, price="12.5", currency="CNY")
    url = f"{reverse('admin:sales_quotation_add')}?customer={customer.pk}"
    sent_form = form_of(browse(seller), url) | {
        "items-TOTAL_FORMS": "1",
        "items-0-product": product.pk,
        "items-0-quantity": "3",
        "items-0-discount": "90",
        "items-0-amount": "1",
        "total_amount": "1",
        "_save": "1",
    }
    assert browse(seller).post(url, sent_form).status_code == 302
    line = QuotationItem.objects.get()
    assert (line.name, line.unit_price, line.amount) == (product.name, Decimal("12.5"), Decimal("33.75"))
    assert Quotation.objects.get().total_amount == Decimal("33.75")


def test_open_offers_are_an_effect_of_changing_the_customer(customer, seller):
    draft(customer)
    sent(customer, seller)
    effect = EFFECTS._providers["quotations"](customer, {}, seller)[0]
    assert effect.count == 2
