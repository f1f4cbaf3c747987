"""Where people meet the money of a contract: forms of receipts and invoices, home page, agenda, reminders."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse
from django.utils import timezone

from crm.models import DictionaryItem, Role, User
from customers.models import Customer
from sales.models import Contract, Invoice, PaymentRecord
from tests.browsing import form_of, posted
from tests.factories import make
from tests.sales.test_payments import confirmed, fresh, plan, receive, signed

TODAY = timezone.localdate()
RECEIPT, INVOICE = reverse("admin:sales_paymentrecord_add"), reverse("admin:sales_invoice_add")
OPEN_RECEIPT, OPEN_INVOICE = reverse("admin:sales_paymentrecord_open"), reverse("admin:sales_invoice_open")


@pytest.fixture
def finance(person):
    return person("财务")


@pytest.fixture
def contract(finance):
    """Of 1,000.00 in three instalments the first is paid and the second partly; 300.00 are invoiced."""
    buyer = make(
        Customer, name="苏州恒达机械有限公司", invoice_title="恒达机械（苏州）", national_tax_no="91320500MA1X"
    )
    contract = signed("1000", customer=buyer)
    for position, amount in enumerate((300, 600, 100), 1):
        plan(contract, amount, due=TODAY + timedelta(days=position), position=position)
    receive(contract, "450", finance)
    make(Invoice, contract=contract, amount=300)
    return fresh(contract)


# --- Forms of receipts and invoices ----------------------------------------------------------------------------------


def test_a_receipt_begins_with_the_next_open_instalment_of_its_contract(contract, finance, browse):
    form = form_of(browse(finance), f"{RECEIPT}?contract={contract.pk}")
    second = contract.plans.get(position=2)
    assert (form["contract"], form["plan"], form["amount"]) == (str(contract.pk), str(second.pk), "450.00")
    assert form["date"] == f"{TODAY:%Y/%m/%d}"


def test_beside_the_form_stands_what_is_open(contract, finance, browse):
    page = browse(finance).get(f"{RECEIPT}?contract={contract.pk}").content.decode()
    told = page[page.index("ky-open") : page.index("</section>", page.index("ky-open"))]
    for label, amount in (
        ("合同金额", "1,000.00"),
        ("已回款", "450.00"),
        ("未回款", "550.00"),
        ("已开票", "300.00"),
        ("可开票", "700.00"),
        ("下一期", "450.00"),
    ):
        assert amount in told.split(label)[1].split("</b>")[0], label


def test_what_is_sent_as_it_was_prefilled_pays_the_instalment(contract, finance, browse):
    method = DictionaryItem.objects.get(type="payment_method", code="transfer")
    posted(browse(finance), f"{RECEIPT}?contract={contract.pk}", method=method.pk)
    made = PaymentRecord.objects.latest("pk")
    assert (made.plan.position, made.amount, fresh(contract).received_amount) == (2, 450, 900)


def test_a_receipt_of_an_order_begins_with_all_that_is_open(finance, browse):
    order = confirmed("1000")
    receive(order, "400", finance)
    form = form_of(browse(finance), f"{RECEIPT}?order={order.pk}")
    assert (form["order"], form["amount"]) == (str(order.pk), "600.00")


def test_an_invoice_begins_with_what_is_not_invoiced_and_whom_it_is_for(contract, finance, browse):
    form = form_of(browse(finance), f"{INVOICE}?contract={contract.pk}")
    assert (form["amount"], form["title"], form["tax_no"]) == ("700.00", "恒达机械（苏州）", "91320500MA1X")


def test_where_nothing_can_be_entered_nothing_is_prefilled_and_the_page_says_why(finance, browse):
    draft = make(Contract)
    response = browse(finance).get(f"{RECEIPT}?contract={draft.pk}")
    assert "只有已签约的合同能登记回款" in response.content.decode()
    assert form_of(browse(finance), f"{RECEIPT}?contract={draft.pk}")["amount"] == ""


def test_a_form_that_comes_back_still_says_what_is_open(contract, finance, browse):
    response = posted(browse(finance), f"{RECEIPT}?contract={contract.pk}", plan="", amount="550.01")
    assert "最多还可登记 CNY 550.00" in response.content.decode()
    assert response.context["root"] == contract


def test_another_contract_is_answered_for_with_its_values_and_instalments(contract, finance, browse):
    answer = browse(finance).get(OPEN_RECEIPT, {"contract": contract.pk}).json()
    plans = contract.plans.order_by("position")
    assert answer["values"] == {"contract": contract.pk, "plan": plans[1].pk, "amount": "450.00"}
    assert [key for key, _ in answer["choices"]["plan"]] == [plans[1].pk, plans[2].pk]
    assert "未回款 <b>CNY 550.00</b>" in answer["html"]
    invoice = browse(finance).get(OPEN_INVOICE, {"contract": contract.pk}).json()
    assert (invoice["values"]["amount"], invoice["values"]["title"]) == ("700.00", "恒达机械（苏州）")


@pytest.mark.parametrize("asked", [{}, {"contract": ""}, {"contract": "x"}, {"contract": "9" * 40}, {"order": "0"}])
def test_nothing_chosen_is_nothing_told(asked, finance, browse):
    answer = browse(finance).get(OPEN_RECEIPT, asked)
    assert (answer.status_code, answer.json()["values"], answer.json()["choices"]) == (200, {}, {"plan": []})


def test_of_a_foreign_contract_nothing_is_told(contract, person, browse):
    """By somebody who enters receipts and invoices of his own contracts alone."""
    role = make(Role, permissions=[])
    names = ["view_contract", "view_paymentrecord", "add_paymentrecord", "view_invoice", "add_invoice"]
    role.permissions.set(Permission.objects.filter(codename__in=names))
    clerk = make(User, groups=[role])
    for address in (OPEN_RECEIPT, OPEN_INVOICE):
        answer = browse(clerk).get(address, {"contract": contract.pk})
        assert answer.status_code == 200 and answer.json()["values"] == {}
        assert contract.number not in answer.content.decode()
    assert contract.number not in browse(clerk).get(f"{RECEIPT}?contract={contract.pk}").content.decode()
    assert browse(person("销售")).get(OPEN_RECEIPT, {"contract": contract.pk}).status_code == 403


def test_many_instalments_cost_no_more_queries(contract, finance, browse, django_assert_max_num_queries):
    client = browse(finance)
    client.get(OPEN_RECEIPT, {"contract": contract.pk})
    many = signed("1000")
    for position in range(1, 21):
        plan(many, 50, due=TODAY + timedelta(days=position), position=position)
    with django_assert_max_num_queries(14):
        assert len(client.get(OPEN_RECEIPT, {"contract": many.pk}).json()["choices"]["plan"]) == 20
