"""Where people meet the money of a contract: forms of receipts and invoices, home page, agenda, reminders."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse
from django.utils import timezone

from crm import jobs
from crm.models import DictionaryItem, Job, Notification, Role, User
from crm.policies import HIDDEN_LABEL
from customers.models import Customer
from sales import background, money
from sales.models import Contract, Invoice, Order, PaymentRecord
from sales.services import contracts
from tests.browsing import form_of, listed, posted
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


# --- Home page -------------------------------------------------------------------------------------------------------


def figures(user, rf):
    """``{label: (number, note, link)}`` of what the home page says of money to ``user``."""
    request = rf.get("/")
    request.user = user
    return {figure.label: (figure.value, figure.note, figure.link) for figure in money.part(request).figures}


def test_the_home_page_counts_what_is_due_and_overdue_in_each_currency(person, rf, browse):
    seller = person("销售")
    for currency, due in (("CNY", -1), ("CNY", -30), ("USD", -1), ("CNY", 0), ("CNY", 6), ("CNY", 7)):
        plan(signed("1000", owner=seller, currency=currency), 300, due=TODAY + timedelta(days=due))
    plan(signed("1000"), 300, due=TODAY - timedelta(days=1))
    found = figures(seller, rf)
    assert found["逾期回款"][:2] == (3, "CNY 600.00、USD 300.00")
    assert found["七天内到期回款"][:2] == (2, "CNY 600.00")
    for number, _, link in found.values():
        assert listed(browse(seller).get(link), link) == number


def test_what_was_received_of_an_instalment_is_due_no_more(person, finance, rf):
    seller = person("销售")
    contract = signed("1000", owner=seller)
    plan(contract, 300, due=TODAY - timedelta(days=1))
    receive(contract, "100", finance)
    assert figures(seller, rf)["逾期回款"][:2] == (1, "CNY 200.00")
    receive(contract, "200", finance)
    assert figures(seller, rf)["逾期回款"][0] == 0


def test_finance_sees_what_is_due_to_everybody_and_who_confirms_orders_sees_drafts(person, finance, rf, browse):
    plan(signed("1000", owner=person("销售")), 300, due=TODAY - timedelta(days=1))
    found = figures(finance, rf)
    assert found["逾期回款"][0] == 1 and "待确认订单" not in found
    boss = person("管理员")
    make(Order)
    number, _, link = figures(boss, rf)["待确认订单"]
    assert number == listed(browse(boss).get(link), link) == 1


# --- Agenda ----------------------------------------------------------------------------------------------------------


def due_for(user, days, *, mine=True):
    now = timezone.now()
    return money.INSTALMENTS.occasions(user, None, now + timedelta(days=days), mine=mine, done=False, most=20)


def test_an_instalment_stands_on_the_agenda_of_the_owner_of_its_contract_until_it_is_paid(person, finance):
    seller = person("销售")
    contract = signed("1000", owner=seller)
    plan(contract, 300, due=TODAY)
    plan(contract, 700, due=TODAY + timedelta(days=5), position=2)
    receive(contract, "100", finance)
    (one,) = due_for(seller, 1)
    assert one.title == f"{HIDDEN_LABEL}：CNY 200.00" and one.people == (seller,)  # the customer is in other hands
    assert due_for(finance, 1, mine=False)[0].title == f"{contract.customer}：CNY 200.00"
    assert len(due_for(seller, 6)) == 2
    assert not due_for(person("销售"), 6)
    assert not due_for(finance, 6) and len(due_for(finance, 6, mine=False)) == 2
    receive(contract, "200", finance)
    assert not due_for(seller, 1)


def test_instalments_of_a_terminated_contract_are_due_no_more(person):
    seller = person("销售")
    contract = signed("1000", owner=seller)
    plan(contract, 300, due=TODAY - timedelta(days=1))
    assert due_for(seller, 1) and list(background.overdue())
    contracts.terminate(contract, by=None, reason="协商终止")
    assert not due_for(seller, 1) and not list(background.overdue())


# --- Reminders -------------------------------------------------------------------------------------------------------


def remind():
    job = jobs.start("payments.overdue")
    jobs.execute(job.pk)
    job.refresh_from_db()
    assert job.state == Job.State.DONE, job.error
    return job.message


def test_owners_hear_of_an_overdue_instalment_on_its_first_day_and_every_week(person, monkeypatch):
    seller = person("销售")
    one = plan(signed("1000", owner=seller), 300, due=TODAY)
    told = []
    for late in range(17):
        monkeypatch.setattr(timezone, "localdate", lambda value=None, day=TODAY + timedelta(days=late): day)
        told += [late] * (remind() == "发出 1 条催收提醒")
        assert remind() == "发出 0 条催收提醒"
    assert told == [1, 8, 15]
    first = Notification.objects.filter(user=seller).order_by("pk").first()
    assert first.title == f"{one.contract.customer}的回款逾期 1 天：CNY 300.00"


def test_the_reminder_says_what_is_still_open_and_ends_with_the_payment(person, finance):
    contract = signed("1000", owner=person("销售"))
    plan(contract, 300, due=TODAY - timedelta(days=2))
    receive(contract, "120", finance)
    assert [line.split("：", 1)[1] for line in background.preview()] == [
        f"{contract.customer}的回款逾期 2 天：CNY 180.00"
    ]
    receive(contract, "180", finance)
    assert remind() == "发出 0 条催收提醒"


# --- Making instalments ----------------------------------------------------------------------------------------------


def shares(*lines):
    """The form of the page, with these lines of (per cent, days, condition)."""
    given = {f"{name}_{place}": "" for name in ("percent", "days", "term") for place in range(6)}
    for place, line in enumerate(lines):
        given |= {f"{name}_{place}": value for name, value in zip(("percent", "days", "term"), line, strict=True)}
    return given | {"start": "2026-01-01"}


def test_the_generator_shows_first_and_makes_exactly_what_it_showed(person, browse):
    seller = person("销售")
    contract = signed("1000.01", owner=seller)
    page = reverse("admin:sales_paymentplan_generate", args=[contract.pk])
    asked = shares(("30", "0", "预付款"), ("60", "30", "发货款"), ("10", "90", "尾款"))
    preview = browse(seller).post(page, asked | {"preview": "1"})
    shown = [(one.amount, one.date, one.term) for _, one, _ in preview.context["proposal"]]
    assert not contract.plans.exists()
    browse(seller).post(page, asked | {"generate": "1"})
    assert list(contract.plans.order_by("position").values_list("amount", "date", "term")) == shown
    assert sum(amount for amount, *_ in shown) == contract.total_amount


def test_the_generator_says_what_is_wrong_and_makes_nothing(person, browse):
    seller = person("销售")
    contract = signed("1000", owner=seller)
    page = reverse("admin:sales_paymentplan_generate", args=[contract.pk])
    for asked, words in (
        (shares(("30", "0", ""), ("60", "30", "")), "各期比例合计为 90%，必须正好是 100%"),
        (shares(("100", "-1", "")), "不能小于 0"),
        (shares(("100", "0", "")) | {"start": "32 号"}, "有效的日期"),
    ):
        response = browse(seller).post(page, asked | {"generate": "1"})
        assert words in response.content.decode()
        assert not contract.plans.exists()


def test_only_who_keeps_the_contract_gets_the_generator(person, browse):
    contract = signed("1000", owner=person("销售"))
    page = reverse("admin:sales_paymentplan_generate", args=[contract.pk])
    assert browse(person("销售")).get(page).status_code == 404
    assert browse(person("财务")).get(page).status_code == 403
