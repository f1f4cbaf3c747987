"""A campaign of text messages, from its template to what became of each message."""

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from crm import jobs
from customers.models import Contact, Customer
from sales.models import DeliveryState, SmsCampaign, SmsDelivery, SmsRule, SmsTemplate
from sales.sms import memory
from tests.browser.company import hire
from tests.factories import make

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
NAMES = ("苏州恒达精密机械有限公司", "宁波海工船舶配件有限公司", "成都锦程包装有限公司")


@pytest.fixture
def customers(transactional_db, settings):
    settings.SMS_BACKEND = "sales.sms.memory.Gateway"
    settings.SMS_SETTLE_SECONDS = 0
    memory.clear()
    SmsRule.objects.update(quiet_from=None, quiet_until=None)
    made = [make(Customer, name=name, stage="lead") for name in NAMES]
    for number, customer in enumerate(made, 1):
        make(Contact, customer=customer, name=f"联系人{number}", mobile=f"1380013800{number}", is_default=True)
    return made


def run(name):
    job = jobs.start(name)
    jobs.execute(job.pk)


def test_a_campaign_is_written_tried_scheduled_and_sent_but_not_to_who_opted_out(visitor, customers):
    window = visitor()
    window.log_in(hire("xieting", "谢婷", "市场"))
    page = window.page

    window.open("/sales/smstemplate/add/")
    page.fill("[name=name]", "新品介绍")
    page.fill("[name=signature]", "客源")
    page.fill("[name=content]", "${客户名称}您好，${生日}快乐，拒收请回复R")
    page.click("[name=_save]")
    expect(page.locator("body")).to_contain_text("生日")
    window.shoot("unknown-variable")
    assert not SmsTemplate.objects.exists()
    page.fill("[name=content]", "${客户名称}您好，新款变频器已到货，拒收请回复R")
    page.click("[name=_save]")
    page.wait_for_load_state()
    template = SmsTemplate.objects.get()

    window.open("/sales/smsoptout/add/")
    page.fill("[name=phone]", "138-0013-8003")
    page.click("[name=_save]")
    page.wait_for_load_state()

    window.open("/sales/smscampaign/add/")
    page.fill("[name=name]", "六月新品")
    page.select_option("[name=template]", str(template.pk))
    page.check("[name=stages][value=lead]")
    tomorrow = timezone.localtime() + timedelta(days=1)
    page.fill("[name=send_time_0]", f"{tomorrow:%Y/%m/%d}")
    page.fill("[name=send_time_1]", "10:00")
    window.shoot("campaign")
    page.click("[name=_continue]")
    page.wait_for_load_state()
    campaign = SmsCampaign.objects.get()

    recipients = f"/sales/smscampaign/{campaign.pk}/recipients/"
    window.open(recipients)
    expect(page.locator(".ky-table")).to_contain_text("苏州恒达精密机械有限公司您好，新款变频器已到货")
    expect(page.locator(".ky-table tr", has_text=NAMES[2])).to_contain_text("不发送")
    window.shoot("recipients")
    page.fill("[name=phone]", "13800138000")
    page.click("button:has-text('试发')")
    page.get_by_text("已试发到 13800138000").wait_for()
    assert [message.phone for message in memory.outbox] == ["+8613800138000"]
    memory.clear()

    page.click("button:has-text('按时发送')")
    page.get_by_text("已排期").first.wait_for()
    window.shoot("scheduled")
    run("sms.dispatch")
    assert not memory.outbox
    SmsCampaign.objects.filter(pk=campaign.pk).update(send_time=timezone.now())
    run("sms.dispatch")
    window.workers_work()
    assert sorted(message.phone for message in memory.outbox) == ["+8613800138001", "+8613800138002"]
    found = dict(SmsDelivery.objects.values_list("customer__name", "state"))
    assert found == dict(zip(NAMES, (DeliveryState.SENT, DeliveryState.SENT, DeliveryState.SKIPPED), strict=True))

    window.open(f"/sales/smscampaign/{campaign.pk}/change/")
    page.get_by_text("已完成").first.wait_for()
    window.shoot("done")
    page.locator("a.ky-figure", has_text="已跳过").click()
    expect(page.locator("#result_list tbody tr")).to_have_count(1)
    expect(page.locator("#result_list")).to_contain_text("退订")
    window.shoot("results")

    phone = visitor(390, 844)
    phone.log_in(campaign.created_by)
    phone.open(f"/sales/smsdelivery/?campaign={campaign.pk}")
    phone.shoot("phone")
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= 390
