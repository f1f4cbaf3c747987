"""Paper: the same page for browser and PDF, whose layout a company may write and nobody can break out of."""

from datetime import date
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.urls import reverse

from crm import pdf
from crm.models import Company, CompanyPath, CompanyPathNode
from crm.policies import HIDDEN_LABEL
from customers.models import Contact, Customer
from sales.models import Contract, ContractItem, PrintTemplate, Quotation, QuotationItem
from sales.services import printing
from tests.browsing import posted
from tests.factories import make


@pytest.fixture
def seller(person):
    return person("销售", full_name="张伟")


@pytest.fixture
def customer(seller):
    return make(Customer, owner=seller, name="苏州<恒达>精密机械", address="星湖街 328 号")


@pytest.fixture
def quotation(customer):
    contact = make(Contact, customer=customer, name="王芳")
    made = make(Quotation, customer=customer, contact=contact, valid_until=date(2030, 5, 6), terms="款到发货\n质保一年")
    make(QuotationItem, quotation=made, name="变频器", quantity="2", unit_price="2680", discount="85", unit="台")
    make(QuotationItem, quotation=made, name="电缆", quantity="10.5", unit_price="3.125", unit="米")
    return Quotation.objects.get(pk=made.pk)


@pytest.fixture
def contract(customer):
    made = make(Contract, customer=customer, owner=customer.owner, name="供货合同", total_amount=0)
    make(ContractItem, contract=made, name="变频器", quantity="2", unit_price="2680")
    return Contract.objects.get(pk=made.pk)


def test_a_quotation_says_what_was_offered(quotation, seller):
    page = printing.page(quotation, seller)
    for words in (
        quotation.number,
        "苏州&lt;恒达&gt;精密机械",
        "王芳",
        "2030年5月6日",
        "款到发货<br>质保一年",
        '<td class="n">2,680.00</td>',
        "85%",
        "10.5",
        "3.125",
        "4,588.81",
        "人民币肆仟伍佰捌拾捌元捌角壹分",
        "草稿，未正式发出",
    ):
        assert words in page, words


def test_without_discounts_there_is_no_column_for_them(contract, seller):
    assert "<th>折扣</th>" not in printing.page(contract, seller)


def test_a_contract_names_both_sides(contract, seller):
    page = printing.page(contract, seller)
    assert f"乙方（卖方）：{contract.company.name}" in page and "人民币伍仟叁佰陆拾元整" in page and "张伟" in page


def test_our_side_of_a_quotation_is_the_last_company_of_its_path(quotation, seller):
    path = make(CompanyPath)
    for position, name in enumerate(("深圳贸易", "香港公司"), 1):
        make(CompanyPathNode, path=path, company=make(Company, name=name), position=position)
    quotation.company_path = path
    assert "香港公司" in printing.page(quotation, seller)


def test_whoever_may_not_see_the_customer_prints_without(contract, person):
    page = printing.page(contract, person("销售"))
    assert HIDDEN_LABEL in page and "恒达" not in page and "星湖街" not in page


# --- Layouts of the company ------------------------------------------------------------------------------------------


def test_the_companys_own_layout_goes_before_the_general_and_the_shipped_one(contract, seller):
    make(PrintTemplate, is_active=True, company=None, body="一般 {{ number }}")
    assert printing.page(contract, seller) == f"一般 {contract.number}"
    make(PrintTemplate, is_active=True, company=contract.company, body="专用")
    make(PrintTemplate, is_active=True, company=make(Company), body="别家的")
    make(PrintTemplate, is_active=True, kind="quotation", company=contract.company, body="报价")
    assert printing.page(contract, seller) == "专用"
    PrintTemplate.objects.update(is_active=False)
    assert "甲方（买方）" in printing.page(contract, seller)


@pytest.mark.parametrize("body", ["{% load i18n %}", "{% include 'admin/base.html' %}", "{{ customer.name|safe }}"])
def test_a_layout_that_reaches_out_is_not_saved(body, db):
    with pytest.raises(ValidationError, match="不能使用"):
        PrintTemplate(kind="contract", name="模板", body=body).full_clean()


@pytest.mark.parametrize("kind", ["quotation", "contract"])
def test_values_are_plain_and_those_that_are_explained(kind, contract, quotation, seller):
    document = contract if kind == "contract" else quotation
    values = printing.values(document, seller)
    expressions = ["customer.owner.password", "items.0.product.cost_price", "company.pk", "owner.password", "settings"]
    layout = "|".join("{{ " + one + " }}" for one in expressions)
    assert printing.page(document, seller, layout=layout) == "||||"
    assert set(values["customer"]) <= {"name", "code", "address", "phone", "fax", "tax_no", "representative"}


def test_a_new_layout_begins_with_the_shipped_one(person, browse):
    url = reverse("admin:sales_printtemplate_add")
    assert posted(browse(person("管理员")), url, name="我们的合同", kind="contract").status_code == 302
    assert PrintTemplate.objects.get().body == printing.shipped("contract")


def test_layouts_are_previewed_with_or_without_a_document(person, browse):
    template = make(PrintTemplate, is_active=True, kind="contract", body="预览 {{ number }} {{ total }}")
    browser = browse(person("管理员"))
    url = reverse("admin:sales_printtemplate_paper", args=[template.pk])
    assert "5,360.00" in browser.get(url).content.decode()
    made = make(Contract, total_amount=Decimal(7))
    assert f"{made.number} 7.00" in browser.get(url).content.decode()


# --- Pages -----------------------------------------------------------------------------------------------------------


def test_paper_runs_no_script_and_fetches_nothing(contract, seller, browse):
    make(
        PrintTemplate,
        is_active=True,
        company=None,
        body="<script>alert(1)</script><img src='https://example.com/x.png'>",
    )
    response = browse(seller).get(reverse("admin:sales_contract_paper", args=[contract.pk]))
    policy = response["Content-Security-Policy"]
    assert "sandbox allow-same-origin allow-modals;" in policy and "default-src 'none'" in policy
    assert "allow-scripts" not in policy and response["X-Frame-Options"] == "SAMEORIGIN"


def test_foreign_documents_are_not_printed(contract, quotation, person, browse):
    stranger = browse(person("销售"))
    for page in ("print", "paper", "pdf"):
        assert stranger.get(reverse(f"admin:sales_contract_{page}", args=[contract.pk])).status_code == 404
        assert stranger.get(reverse(f"admin:sales_quotation_{page}", args=[quotation.pk])).status_code == 404


@pytest.mark.skipif(not pdf.available(), reason="没有 Pango")
def test_the_pdf_is_the_printed_page(quotation, seller, browse):
    response = browse(seller).get(reverse("admin:sales_quotation_pdf", args=[quotation.pk]))
    assert response["Content-Type"] == "application/pdf" and response.content.startswith(b"%PDF-")
    assert quotation.number in response["Content-Disposition"]


def test_where_pango_is_missing_the_page_says_what_to_install(contract, seller, browse, monkeypatch):
    monkeypatch.setattr(pdf, "_library", lambda: None)
    page = browse(seller).get(reverse("admin:sales_contract_print", args=[contract.pk])).content.decode()
    assert (
        "apt-get install -y libpango-1.0-0" in page
        and reverse("admin:sales_contract_paper", args=[contract.pk]) in page
    )
    answer = browse(seller).get(reverse("admin:sales_contract_pdf", args=[contract.pk]), follow=True)
    assert "apt-get install" in answer.content.decode()
