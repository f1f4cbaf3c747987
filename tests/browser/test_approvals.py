"""A change of an approved customer, from the salesperson's form through two levels to a new version and back."""

import pytest

from crm import transitions
from crm.models import ApprovalRequest, Department
from customers.models import CreditLimit, Customer
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
    customer = make(
        Customer,
        name="深圳市前海云创科技有限公司",
        short_name="前海云创",
        owner=people["seller"],
        created_by=people["seller"],
    )
    return people | {"customer": transitions.run(customer, "approve", by=people["reviewer"])}


def agreed(visitor, person, title):
    """``person`` finds the request under 待我审批, reads it and agrees."""
    window = visitor()
    window.log_in(person)
    window.open("/crm/approvalrequest/")
    window.shoot(f"{title}-waiting")
    window.page.click("#result_list tbody a >> nth=0")
    window.page.wait_for_selector("text=我的意见")
    window.shoot(f"{title}-request")
    window.page.click("button[value=approve]")
    window.page.wait_for_load_state()
    return window


def test_a_change_goes_through_two_levels_and_an_old_version_is_asked_back(visitor, company):
    customer = company["customer"]
    path = f"/customers/customer/{customer.pk}/"
    seller = visitor()
    seller.log_in(company["seller"])
    seller.open(path + "change/")
    assert "提交审批通过后才生效" in seller.page.content()
    seller.page.fill("[name=name]", "深圳市前海云创集团有限公司")
    seller.page.click("[name=_save]")
    seller.page.wait_for_selector("text=变更影响")
    seller.shoot("differences")
    seller.page.fill("[name=reason]", "集团化更名")
    seller.page.click("form.ky-form button")
    seller.page.wait_for_selector("text=审批级次")
    seller.shoot("submitted")
    assert Customer.objects.get(pk=customer.pk).name == "深圳市前海云创科技有限公司"

    agreed(visitor, company["manager"], "first")
    assert Customer.objects.get(pk=customer.pk).name == "深圳市前海云创科技有限公司"
    agreed(visitor, company["reviewer"], "second")
    stored = Customer.objects.get(pk=customer.pk)
    assert (stored.name, stored.version_no) == ("深圳市前海云创集团有限公司", 2)

    seller.open(f"{path}history/{stored.lock_version}/?with={stored.lock_version - 1}")
    seller.shoot("compare")
    assert "深圳市前海云创科技有限公司" in seller.page.content()
    seller.open(f"{path}history/{stored.lock_version - 1}/")
    seller.page.click("text=恢复到此版本")
    seller.page.wait_for_selector("text=变更影响")
    seller.shoot("restore")
    seller.page.fill("[name=reason]", "名称填错")
    seller.page.click("form.ky-form button")
    seller.page.wait_for_selector("text=审批级次")
    assert ApprovalRequest.objects.filter(state="pending").count() == 1


def test_a_limit_is_asked_for_on_the_credit_tab(visitor, company):
    """On a phone too: the limit beside its present value, the headroom, manager and finance as levels."""
    customer = company["customer"]
    make(CreditLimit, customer=customer, currency="CNY", amount=100_000)
    window = visitor(width=390, height=844)
    window.log_in(company["seller"])
    window.open(f"/customers/customer/{customer.pk}/change/#creditlimits")
    window.page.evaluate("document.querySelector('[name=creditlimits-0-amount]').value = '250000'")
    window.page.click("[name=_save]")
    window.page.wait_for_selector("text=变更影响")
    window.shoot("differences")
    text = window.page.content()
    assert "财务审批" in text and "新额度 CNY 250,000.00" in text
    assert CreditLimit.objects.get(customer=customer).amount == 100_000
