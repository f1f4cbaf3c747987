"""From a converted lead to a paid and invoiced contract, through the hands of everybody who has a say."""

from decimal import Decimal

import pytest
from playwright.sync_api import expect

from crm.models import Company, Department
from customers.models import Contact, Customer, ReviewStatus
from sales.models import Contract, ContractStatus, Lead, LeadPool, Opportunity, PaidState, Product, Quotation
from tests.browser.company import hire
from tests.factories import make

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def company(transactional_db):
    south = Department.objects.create(name="华南销售部")
    people = {
        "seller": hire("zhangsan", "张三", "销售", south),
        "manager": hire("wangwu", "王五", "销售主管", south),
        "reviewer": hire("songkai", "宋凯", "审批人"),
        "finance": hire("zhengyun", "郑芸", "财务"),
    }
    south.manager = people["manager"]
    south.save()
    make(Company, name="深圳市客源科技有限公司", address="深圳市南山区科苑路 8 号", bank="招商银行科苑支行")
    make(Product, name="变频器", specification="7.5kW 380V", unit="台", price="2680")
    customer = make(
        Customer,
        name="苏州恒达精密机械有限公司",
        short_name="恒达精密",
        address="苏州工业园区星湖街 328 号",
        owner=people["seller"],
        review_status=ReviewStatus.APPROVED,
    )
    make(Contact, customer=customer, name="王芳", position="采购经理")
    return people | {"customer": customer}


def decide(window, title, *, approve=True, comment=""):
    window.open("/crm/approvalrequest/")
    window.page.click("#result_list tbody a >> nth=0")
    window.page.wait_for_selector("text=我的意见")
    window.shoot(title)
    if comment:
        window.page.fill("textarea[name=comment]", comment)
    window.page.click(f"button[value={'approve' if approve else 'reject'}]")
    window.page.wait_for_load_state()


def receive(window, contract, flow):
    """Post the receipt that the form proposes."""
    window.open(f"/sales/contract/{contract.pk}/change/")
    window.page.click("a:has-text('登记回款')")
    window.page.select_option("[name=method]", label="银行转账")
    window.page.fill("[name=bank_flow]", flow)
    window.shoot(f"receipt-{flow}")
    window.page.click("[name=_save]")
    window.page.wait_for_load_state()


def test_a_lead_becomes_a_contract_that_is_amended_paid_and_invoiced(visitor, company):
    people = {name: visitor() for name in ("seller", "manager", "reviewer", "finance")}
    for name, window in people.items():
        window.log_in(company[name])
    seller, page = people["seller"], people["seller"].page

    lead = make(Lead, name="王总", company=company["customer"].name, owner=company["seller"], pool=make(LeadPool))
    seller.open(f"/sales/lead/{lead.pk}/convert/")
    page.check(f"[name=customer][value='{company['customer'].pk}']")
    page.fill("[name=opportunity_name]", "二期产线变频器")
    page.fill("[name=opportunity_amount]", "30000")
    seller.shoot("convert")
    page.click("button.ky-primary:has-text('转为客户')")
    page.wait_for_url("**/customers/customer/*/change/")
    deal = Opportunity.objects.get()
    assert (deal.lead, deal.customer) == (lead, company["customer"])

    seller.open(f"/sales/quotation/add/?customer={company['customer'].pk}&opportunity={deal.pk}#items")
    page.click("select[name=items-0-product] + .select2 .select2-selection")
    page.click(".select2-results__option:has-text('变频器')")
    page.fill("[name=items-0-quantity]", "12")
    page.fill("[name=items-0-discount]", "95")
    seller.shoot("lines")
    page.click("[name=_continue]")
    page.get_by_text("CNY 30,552.00").first.wait_for(state="attached")
    quotation = Quotation.objects.get()
    seller.shoot("quotation")
    page.click("text=标为已发送")
    page.get_by_text("新建修订版").first.wait_for()

    page.click("text=打印")
    frame = page.frame_locator("#paper")
    frame.get_by_text("人民币叁万零伍佰伍拾贰元整").wait_for()
    seller.shoot("print")

    seller.open(f"/sales/quotation/{quotation.pk}/change/")
    page.click("text=客户接受")
    page.get_by_text("提交审核").first.wait_for()
    contract = Contract.objects.get()
    assert (contract.quotation, contract.opportunity) == (quotation, deal)
    seller.shoot("draft")

    def submit(reason):
        seller.open(f"/sales/contract/{contract.pk}/change/")
        page.click("a:has-text('提交审核')")
        page.fill("[name=reason]", reason)
        page.click("form.ky-form button")
        page.wait_for_selector("text=审批级次")

    submit("请审核")
    decide(people["manager"], "refuse", approve=False, comment="请补充付款方式")
    seller.open(f"/sales/contract/{contract.pk}/change/")
    page.get_by_text("请补充付款方式").wait_for()
    seller.shoot("refused")
    page.fill("[name=terms]", "预付 30%，发货前付清。")
    page.click("[name=_continue]")
    page.wait_for_load_state()
    submit("已补充")
    decide(people["manager"], "review")
    decide(people["reviewer"], "review-second")

    seller.open(f"/sales/contract/{contract.pk}/change/")
    page.click("a:has-text('签约')")
    page.click("text=确认签约")
    page.get_by_text("客户记为成交").wait_for()
    seller.shoot("signed")

    page.click("a:has-text('申请变更')")
    page.wait_for_selector("text=您正在写变更申请")
    seller.open(f"/sales/contract/{contract.pk}/amend/#items")
    page.reload()
    page.fill("[name=items-0-quantity]", "15")
    seller.shoot("amending")
    page.click("[name=_save]")
    page.wait_for_selector("text=提交申请")
    seller.shoot("differences")
    page.fill("[name=reason]", "客户加购 3 台")
    page.click("form.ky-form button")
    page.wait_for_selector("text=审批级次")
    decide(people["manager"], "amendment")
    decide(people["reviewer"], "amendment-second")
    contract.refresh_from_db()
    assert (contract.status, contract.version_no) == (ContractStatus.SIGNED, 2)
    assert contract.total_amount == Decimal("38190")

    seller.open(f"/sales/contract/{contract.pk}/versions/")
    page.get_by_text("38190.00").first.wait_for()
    seller.shoot("versions")
    seller.open(f"/sales/contract/{contract.pk}/print/")
    page.frame_locator("#paper").get_by_text("人民币叁万捌仟壹佰玖拾元整").wait_for()
    seller.shoot("contract-print")

    seller.open(f"/sales/paymentplan/generate/{contract.pk}/")
    page.click("button[name=preview]")
    page.click("button[name=generate]")
    page.get_by_text("已生成 3 期回款计划。").wait_for()
    finance = people["finance"]
    for flow in ("F1", "F2", "F3"):
        receive(finance, contract, flow)
    finance.open(f"/sales/contract/{contract.pk}/change/")
    finance.page.click("a:has-text('开发票')")
    finance.page.fill("[name=number]", "24312000000012345678")
    finance.shoot("invoice")
    finance.page.click("[name=_save]")
    finance.page.wait_for_load_state()
    contract.refresh_from_db()
    assert contract.received_amount == contract.invoiced_amount == contract.total_amount
    assert set(contract.plans.values_list("status", flat=True)) == {PaidState.PAID}
    finance.open("/sales/contract/")
    expect(finance.page.locator("#result_list")).to_contain_text("3/3")
    expect(finance.page.locator("#result_list")).to_contain_text("100%")
    finance.shoot("paid")

    phone = visitor(390, 844)
    phone.log_in(company["seller"])
    phone.open(f"/sales/contract/{contract.pk}/change/")
    phone.shoot("phone")
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= 390
