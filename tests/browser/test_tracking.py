"""The calls of the old pages, word for word, in a page of ours."""

import pytest

from crm.models import Side
from customers.models import Customer
from customers.tracking.models import Trace
from tests.browser.company import hire
from tests.factories import make

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True, databases=["default", "wechat"])]

# information-tracking, 3.5 前端调用示例
CALLS = """() => {
function recordOperation(phoneNumber, operationEvent) {
    fetch('/api/information-tracking/record?isSupplySide=true', {
        method: 'POST',
        headers: {
            'Content-Type': 'application/json'
        },
        body: JSON.stringify({
            phoneNumber: phoneNumber,
            operationEvent: operationEvent
        })
    })
    .then(response => response.json())
    .then(data => {
        if (data.success) {
            console.log('操作记录成功');
        } else {
            console.error('操作记录失败:', data.message);
        }
    })
    .catch(error => {
        console.error('API调用失败:', error);
    });
}
recordOperation('13800138000', '查看客户详情');
recordOperation('13800138000', '修改客户信息');
recordOperation('13800138000', '更新客户跟进');
}"""


def test_the_calls_of_the_old_pages_work_unchanged(visitor):
    supplier = hire("luodan", "罗丹", "销售")
    supplier.side = Side.SUPPLY
    supplier.save()
    customer = make(Customer, owner=supplier, phone="138 0013 8000")
    browser = visitor()
    browser.log_in(supplier)
    browser.open(f"/customers/customer/{customer.pk}/change/")
    told = []
    browser.page.on("console", lambda message: told.append(message.text))
    browser.page.evaluate(CALLS)
    for _ in range(50):
        if len(told) == 3:
            break
        browser.page.wait_for_timeout(100)
    assert told == ["操作记录成功"] * 3
    events = set(Trace.objects.exclude(external_id="").values_list("event", flat=True))
    assert events == {"查看客户详情", "修改客户信息", "更新客户跟进"}
    browser.page.locator("#traces summary").click()
    browser.shoot("timeline")
