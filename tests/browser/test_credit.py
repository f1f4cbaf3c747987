"""Finance at work on a customer's credit, and what the salesperson sees of it."""

from decimal import Decimal

import pytest

from crm import records
from crm.models import CompanyPath, Department, DictionaryItem
from customers.models import CreditLimit, CreditRule, Customer, CustomerPath
from customers.services import credit
from tests.browser.company import hire
from tests.factories import make

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def people(transactional_db):
    department = Department.objects.create(name="外贸部")
    return {
        "seller": hire("zhangsan", "张三", "销售", department),
        "finance": hire("zhengyun", "郑芸", "财务", department),
    }


@pytest.fixture
def customer(people):
    named = Customer(name="Ironbridge Trading Ltd.", short_name="Ironbridge", satisfaction=4, owner=people["seller"])
    return records.save(named, by=people["seller"])


def test_finance_sets_a_limit_and_the_salesperson_sees_what_is_left(visitor, people, customer):
    make(CreditRule, rating=3, max_amount=Decimal(500000))
    make(CreditRule, rating=0, max_amount=Decimal(10000))
    window = visitor()
    window.log_in(people["finance"])
    page = window.page
    window.open(f"/customers/customer/{customer.pk}/change/#creditlimits")
    page.get_by_text("管理额度").click()
    window.shoot("empty")

    def act(button, **fields):
        menu = page.locator("details.ky-menu", has=page.locator(f"summary:has-text('{button}')"))
        menu.locator("summary").click()
        for name, value in fields.items():
            field = menu.locator(f"[name={name}]")
            field.select_option(value) if name == "stars" else field.fill(value)
        menu.locator("form button").click()
        page.wait_for_load_state()

    act("启用信用额度", reason="账期客户")
    act("设定额度", amount="200000", reason="首次授信")
    assert "信用度“未评定”的客户额度合计最高 CNY 10,000.00" in page.content()
    window.shoot("beyond-rating")
    page.get_by_role("button", name="采纳").click()
    page.wait_for_load_state()
    assert Customer.objects.get(pk=customer.pk).credit_rating == 3
    act("设定额度", amount="200000", reason="首次授信")
    act("批准临时额度", amount="20000", until="2099-12-31", reason="旺季备货")
    credit.reserve(customer, "CNY", Decimal(150000), source="合同", reference="HT1", by=people["seller"])

    seller = visitor()
    seller.log_in(people["seller"])
    seller.open(f"/customers/customer/{customer.pk}/change/#creditlimits")
    seller.page.get_by_text("CNY 70,000.00").wait_for()
    assert "管理额度" not in seller.page.content()
    seller.shoot("seller")

    phone = visitor(390, 844)
    phone.log_in(people["finance"])
    phone.open(f"/customers/customer/{customer.pk}/credit/")
    phone.shoot("phone")
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert CreditLimit.objects.get(limit_of=customer).amount == 200000


def test_ticking_another_default_path_unticks_the_former(visitor, people, customer):
    export = DictionaryItem.objects.get(type="path_scenario", code="export")
    first, second = (
        make(CustomerPath, customer=customer, scenario=export, path=make(CompanyPath, name=name))
        for name in ("深圳直签", "深圳 → 香港出口")
    )
    window = visitor()
    window.log_in(people["seller"])
    window.open(f"/customers/customer/{customer.pk}/change/#customerpaths")
    window.page.locator("label:has([name=customerpaths-1-is_default]), [name=customerpaths-1-is_default]").last.click()
    window.page.get_by_role("button", name="保存并继续编辑").click()
    window.page.wait_for_load_state()
    window.shoot("paths")
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.is_default, second.is_default) == (False, True)
