"""A work order in the browser: three people, five steps, each with his own buttons; once more when it was not right."""

import pytest
from playwright.sync_api import expect

from crm.models import Department
from customers.models import Customer
from service.models import WorkOrder, WorkOrderStatus
from tests.browser.company import hire
from tests.factories import make

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

STEPS = ["自动分配", "开始处理", "提交结果", "登记反馈", "无反馈归档", "归档", "重开"]


def shown(person, order):
    """The buttons of the steps that ``person`` sees on the page of ``order``."""
    person.open(f"/service/workorder/{order.pk}/change/")
    words = person.page.locator(".ky-head .ky-actions > a, .ky-head .ky-actions > form, .ky-head .ky-actions summary")
    return [word for word in words.all_inner_texts() if word in STEPS]


def hand_in(person, words):
    person.page.locator("summary", has_text="提交结果").click()
    person.page.fill("details[open] textarea", words)
    person.page.locator("details[open] form button").click()
    person.page.wait_for_load_state()


def judge(person, order, stars, words):
    person.open(f"/service/workorder/{order.pk}/answer/")
    person.page.select_option("[name=satisfaction]", str(stars))
    person.page.fill("[name=feedback]", words)
    person.page.get_by_role("button", name="登记").click()
    person.page.wait_for_load_state()


def test_work_order(visitor):
    service = make(Department, name="客服部", parent=None, manager=None)
    seller, desk, engineer = (
        hire("seller", "张伟", "销售"),
        hire("desk", "曹宇", "客服", service),
        hire("engineer", "何平", "服务专员", service),
    )
    customer = make(Customer, name="苏州恒达", owner=seller, phone="13800001111")
    people = one, two, three = visitor(), visitor(), visitor(390, 844)
    for person, user in zip(people, (seller, desk, engineer), strict=True):
        person.log_in(user)

    one.open(f"/service/workorder/add/?customer={customer.pk}")
    one.page.select_option("[name=type]", label="售后问题", force=True)
    one.page.fill("[name=title]", "压缩机异响")
    one.page.fill("[name=content]", "昨夜开始有金属摩擦声。")
    one.page.get_by_role("button", name="保存", exact=True).click()
    one.page.wait_for_load_state()
    order = WorkOrder.objects.get()
    assert (shown(one, order), shown(two, order)) == ([], ["自动分配"])
    assert three.open(f"/service/workorder/{order.pk}/change/").status == 404

    two.page.locator("summary", has_text="分配").last.click()
    two.page.select_option("select[name=owner]", str(engineer.pk), force=True)
    two.page.locator("details[open] button.ky-primary").click()
    two.page.wait_for_load_state()
    assert [shown(person, order) for person in people] == [[], [], ["开始处理"]]
    expect(three.page.locator("body")).to_contain_text("138****1111")
    expect(three.page.locator("body")).not_to_contain_text("13800001111")
    three.shoot("processing")

    three.page.get_by_role("button", name="开始处理").click()
    three.page.wait_for_load_state()
    hand_in(three, "更换联轴器。")
    assert [shown(person, order) for person in people] == [["重开"], ["登记反馈", "无反馈归档", "重开"], []]
    judge(two, order, 2, "还是有异响")
    assert [shown(person, order) for person in people] == [[], [], ["提交结果"]]
    hand_in(three, "更换垫片，试机两小时正常。")
    judge(two, order, 5, "好了")
    assert shown(two, order) == ["归档", "重开"]
    two.page.get_by_role("button", name="归档", exact=True).click()
    two.page.wait_for_load_state()
    two.shoot("archived")
    order = WorkOrder.objects.get()
    assert (order.status, order.satisfaction, order.reopened_count) == (WorkOrderStatus.ARCHIVED, 5, 1)
