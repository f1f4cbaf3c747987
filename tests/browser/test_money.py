"""Money of a contract and of an order, as sales plans it and finance receives it."""

from decimal import Decimal

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from crm.models import Department
from customers.models import CreditLimit, Customer, ReviewStatus
from sales.models import (
    Contract,
    ContractItem,
    ContractStatus,
    Invoice,
    Order,
    OrderItem,
    PaidState,
    PaymentPlan,
    PaymentRecord,
)
from tests.browser.company import hire
from tests.factories import make

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def company(transactional_db):
    south = Department.objects.create(name="华南销售部")
    seller = hire("zhangsan", "张三", "销售", south)
    customer = make(Customer, name="苏州恒达精密机械有限公司", owner=seller, review_status=ReviewStatus.APPROVED)
    return {"seller": seller, "finance": hire("zhengyun", "郑云", "财务"), "customer": customer}


def post_receipt(window, amount, flow):
    """Fill in the form of a receipt that a button of a contract or an order has opened."""
    page = window.page
    page.fill("[name=amount]", amount)
    page.fill("[name=bank_flow]", flow)
    page.select_option("[name=method]", label="银行转账")
    window.shoot(f"receipt-{flow}")
    page.click("[name=_save]")
    page.wait_for_load_state()


def test_a_contract_is_planned_paid_and_invoiced(visitor, company):
    contract = make(
        Contract,
        customer=company["customer"],
        owner=company["seller"],
        status=ContractStatus.SIGNED,
        sign_date=timezone.localdate(),
    )
    make(ContractItem, contract=contract, quantity=1, unit_price="100000")
    seller, finance = visitor(), visitor()
    seller.log_in(company["seller"])
    finance.log_in(company["finance"])
    here = f"/sales/contract/{contract.pk}/change/"

    seller.open(here)
    page = seller.page
    page.click("a:has-text('生成回款计划')")
    page.click("button[name=preview]")
    expect(page.locator("#proposal caption")).to_have_text("将生成 3 期，合计 CNY 100,000.00")
    seller.shoot("proposal")
    page.click("button[name=generate]")
    page.get_by_text("已生成 3 期回款计划。").wait_for()
    seller.shoot("planned")
    plans = PaymentPlan.objects.order_by("position")
    assert [plan.amount for plan in plans] == [Decimal(30000), Decimal(60000), Decimal(10000)]
    expect(page.get_by_role("link", name="登记回款")).to_have_count(0)

    page = finance.page
    for amount, flow in (("30000", "F1"), ("20000", "F2")):
        finance.open(here)
        page.click("a:has-text('登记回款')")
        post_receipt(finance, amount, flow)
    assert [plan.status for plan in plans.all()] == [PaidState.PAID, PaidState.PARTIAL, PaidState.UNPAID]

    second = PaymentRecord.objects.get(bank_flow="F2")
    finance.open(f"/sales/paymentrecord/{second.pk}/change/")
    page.click("summary:has-text('作废')")
    page.fill(".ky-menu[open] textarea[name=reason]", "银行退回")
    page.click(".ky-menu[open] button")
    page.get_by_text("银行退回").first.wait_for(state="attached")
    finance.shoot("voided")
    contract.refresh_from_db()
    assert contract.received_amount == 30000
    assert [plan.status for plan in plans.all()] == [PaidState.PAID, PaidState.UNPAID, PaidState.UNPAID]

    finance.open(here)
    page.click("a:has-text('开发票')")
    page.fill("[name=number]", "24312000000012345678")
    page.fill("[name=amount]", "100000.01")
    page.click("[name=_save]")
    page.get_by_text("CNY 100,000.00").first.wait_for()
    assert not Invoice.objects.exists()
    finance.shoot("too-much")
    page.fill("[name=amount]", "30000")
    page.click("[name=_save]")
    page.wait_for_load_state()
    invoice = Invoice.objects.get()
    assert (invoice.amount, invoice.title) == (30000, company["customer"].name)

    phone = visitor(390, 844)
    phone.log_in(company["finance"])
    phone.open(f"/sales/invoice/{invoice.pk}/change/")
    phone.shoot("phone")
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_receipt_follows_the_contract_that_is_chosen(visitor, company):
    """The figures, the amount and the instalments are those of the contract in the form, until somebody types."""
    contracts = []
    for number, total in (("HT-A", "1000"), ("HT-B", "80000")):
        one = make(
            Contract,
            number=number,
            name=number,
            customer=company["customer"],
            status=ContractStatus.SIGNED,
            sign_date=timezone.localdate(),
        )
        make(ContractItem, contract=one, quantity=1, unit_price=total)
        contracts.append(one)
    make(PaymentPlan, contract=contracts[1], amount=30000, date=timezone.localdate(), position=1)
    finance = visitor()
    finance.log_in(company["finance"])
    page = finance.page

    def choose(name):
        page.locator("#id_contract + .select2").click()
        page.locator(".select2-search__field").fill(name)
        page.locator(".select2-results__option--highlighted", has_text=name).click()

    finance.open(f"/sales/paymentrecord/add/?contract={contracts[0].pk}")
    expect(page.locator("[name=amount]")).to_have_value("1000.00")
    expect(page.locator(".ky-open")).to_contain_text("未回款 CNY 1,000.00")
    choose("HT-B")
    expect(page.locator(".ky-open")).to_contain_text("未回款 CNY 80,000.00")
    expect(page.locator("[name=amount]")).to_have_value("30000.00")
    expect(page.locator("#id_plan + .select2")).to_contain_text("第 1 期")
    finance.shoot("chosen")
    page.fill("[name=amount]", "12.34")
    choose("HT-A")
    expect(page.locator(".ky-open")).to_contain_text("未回款 CNY 1,000.00")
    expect(page.locator("[name=amount]")).to_have_value("12.34")
    expect(page.locator("#id_plan")).to_have_value("")

    finance.open(f"/sales/invoice/add/?contract={contracts[0].pk}")
    expect(page.locator("[name=title]")).to_have_value(company["customer"].name)
    choose("HT-B")
    expect(page.locator("[name=amount]")).to_have_value("80000.00")
    finance.shoot("invoice")

    phone = visitor(390, 844)
    phone.log_in(company["finance"])
    phone.open(f"/sales/paymentrecord/add/?contract={contracts[1].pk}")
    phone.shoot("phone")
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_an_order_is_confirmed_and_paid(visitor, company):
    make(CreditLimit, customer=company["customer"], amount=50000)
    order = make(Order, customer=company["customer"])
    make(OrderItem, order=order, quantity=2, unit_price="12000")
    here = f"/sales/order/{order.pk}/change/"
    seller, finance = visitor(), visitor()
    seller.log_in(company["seller"])
    finance.log_in(company["finance"])

    seller.open(here)
    seller.page.get_by_role("button", name="确认订单").click()
    expect(seller.page.locator(".ky-facts").get_by_text("已确认")).to_be_visible()
    seller.shoot("confirmed")

    finance.open(here)
    finance.page.click("a:has-text('登记回款')")
    post_receipt(finance, "24000", "F3")
    finance.open(here)
    expect(finance.page.locator(".ky-facts").get_by_text(PaidState.PAID.label)).to_be_visible()
    expect(finance.page.get_by_role("link", name="登记回款")).to_have_count(0)
    finance.shoot("paid")
    order.refresh_from_db()
    assert (order.received_amount, order.paid_state) == (Decimal(24000), PaidState.PAID)
