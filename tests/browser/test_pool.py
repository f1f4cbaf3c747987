"""Who works on whom, in a real browser: leads and customers are claimed, given up, handed over, merged and parted."""

import pytest
from django.urls import reverse

from crm import records
from crm.models import Department
from customers.models import Contact, Customer, CustomerMerge, PoolRule
from sales.models import FollowUp, Lead, LeadPool
from tests.browser.company import hire

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def company(transactional_db):
    PoolRule.objects.all().delete()
    south = Department.objects.create(name="华南销售部")
    people = {
        "zhang": hire("zhangsan", "张三", "销售", south),
        "li": hire("lisi", "李四", "销售", south),
        "admin": hire("zhaoliu", "赵六", "管理员", south),
    }
    pool = LeadPool(name="官网咨询")
    pool.save()
    Lead(name="陈小姐", company="东莞恒达机械有限公司", phone="13800138001", pool=pool).save()
    Customer(name="广州海珠灯饰有限公司", phone="13800138002").save()
    Customer(name="佛山南海陶瓷有限公司", phone="13800138003").save()
    return people


def press(window, words):
    with window.page.expect_navigation():
        window.page.click(f"button:text-is('{words}'):visible")


def test_a_lead_is_claimed_followed_up_and_converted(visitor, company):
    window = visitor()
    window.log_in(company["zhang"])
    window.open(reverse("admin:sales_pooledlead_changelist"))
    assert "13800138001" not in window.page.content()
    press(window, "领取")
    lead = Lead.objects.get()
    window.page.click("#activity a[data-quick]")
    window.page.fill("#quick_content", "电话沟通，下周寄样册")
    window.page.fill("#quick_next_time", "2026-01-05T10:00")
    window.page.evaluate("document.querySelector('#quick_time').value = '2026-01-01T09:00'")
    window.shoot("follow-up")
    with window.page.expect_navigation():
        window.page.click("dialog button.ky-primary")
    assert FollowUp.objects.get().lead == lead
    window.open(reverse("admin:today"))
    assert "陈小姐" in window.page.content()
    window.shoot("today")
    window.open(reverse("admin:sales_lead_convert", args=[lead.pk]))
    press(window, "转为客户")
    assert "东莞恒达机械有限公司" in window.page.content() and "电话沟通" in window.page.content()
    assert "来源线索" in window.page.content()
    window.shoot("customer")


def test_a_customer_is_found_before_it_is_entered_claimed_and_given_up(visitor, company):
    window = visitor()
    window.log_in(company["zhang"])
    window.open(reverse("admin:customers_customer_changelist"))
    with window.page.expect_navigation():
        window.page.click("a.addlink >> nth=0")
    window.page.fill("[name=name]", "海珠灯饰公司")
    press(window, "查找")
    window.shoot("duplicates")
    press(window, "认领")
    customer = Customer.objects.get(owner=company["zhang"])
    assert customer.name in window.page.content()
    window.page.click("summary:text-is('退回公海')")
    window.page.fill("textarea[name=reason]:visible", "客户暂无采购计划")
    press(window, "退回")
    window.open(reverse("admin:customers_seacustomer_changelist"))
    assert customer.name in window.page.content()
    window.shoot("sea")
    press(window, "认领")
    assert Customer.objects.filter(owner=company["zhang"]).count() == 1


def test_all_of_a_leaver_is_handed_over(visitor, company):
    for number in range(3):
        records.save(Customer(name=f"第{number}电子厂"), by=company["zhang"])
    window = visitor()
    window.log_in(company["admin"])
    window.open(f"{reverse('admin:handover')}?leaver={company['zhang'].pk}")
    window.page.select_option("[name=owners]", str(company["li"].pk), force=True)
    window.page.fill("[name=reason]", "离职")
    window.shoot("form")
    press(window, "预览")
    window.shoot("preview")
    press(window, "开始移交")
    window.workers_work()
    window.page.wait_for_selector("text=已移交3 个客户", timeout=15000)
    window.shoot("done")
    assert Customer.objects.filter(owner=company["li"]).count() == 3


def test_duplicates_are_merged_and_parted_again(visitor, company):
    first, second = (
        records.save(Customer(name=name), by=company["zhang"]) for name in ("中山电器厂", "中山电器有限公司")
    )
    contact = records.save(Contact(customer=second, name="周工", mobile="13800138009"), by=company["zhang"])
    window = visitor()
    window.log_in(company["admin"])
    window.open(f"{reverse('admin:customers_customer_merge')}?id={first.pk}&id={second.pk}")
    window.page.check(f"[name=value_name][value='{second.pk}']")
    window.shoot("choices")
    press(window, "预览")
    window.shoot("preview")
    press(window, "确认合并")
    contact.refresh_from_db()
    assert contact.customer == first and "中山电器有限公司" in window.page.content()
    window.open(f"/customers/customer/{second.pk}/change/")
    assert f"/{first.pk}/change/" in window.page.url and "已并入" in window.page.content()
    window.open(reverse("admin:customers_customermerge_change", args=[CustomerMerge.objects.get().pk]))
    window.page.click("summary:text-is('撤销合并')")
    window.shoot("undo")
    press(window, "撤销")
    contact.refresh_from_db()
    assert contact.customer == second and Customer.objects.valid().filter(pk=second.pk).exists()
