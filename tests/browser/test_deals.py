"""From a lead to a deal that is won: converted, moved on the board with and without scripts."""

import pytest
from playwright.sync_api import expect

from crm.models import Department
from sales.models import Lead, LeadPool, Opportunity, OpportunityStage, OpportunityStagePeriod
from tests.browser.company import hire
from tests.factories import make

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

BOARD = "/sales/opportunity/board/"


@pytest.fixture
def seller(transactional_db):
    return hire("zhangsan", "张三", "销售", Department.objects.create(name="华东销售部"))


def column(page, stage):
    return page.locator(f"[data-stage='{OpportunityStage.objects.get(name=stage).pk}']")


def test_a_lead_becomes_a_deal_that_walks_over_the_board_and_is_won(visitor, chromium, live_server, seller):
    lead = make(Lead, name="王总", company="苏州恒达机械有限公司", owner=seller, pool=make(LeadPool, name="公共池"))
    window = visitor()
    window.log_in(seller)
    page = window.page
    window.open(f"/sales/lead/{lead.pk}/convert/")
    page.fill("[name=opportunity_name]", "二期产线变频器")
    page.fill("[name=opportunity_amount]", "120000")
    page.fill("[name=opportunity_close]", "2030-01-31")
    window.shoot("convert")
    page.click("button.ky-primary:has-text('转为客户')")
    page.wait_for_url("**/customers/customer/*/change/")
    expect(page.get_by_text("商机“二期产线变频器”也已建立")).to_be_visible()

    window.open(BOARD)
    card = page.locator(".ky-deal", has_text="二期产线变频器")
    expect(column(page, "初步接触").locator(".ky-deal")).to_have_count(1)
    card.drag_to(column(page, "需求分析"))
    expect(column(page, "需求分析").locator(".ky-deal")).to_have_count(1)
    window.shoot("dragged")

    plain = chromium.new_context(java_script_enabled=False, viewport={"width": 390, "height": 844}, locale="zh-CN")
    plain.add_cookies(page.context.cookies())
    bare = plain.new_page()
    bare.goto(live_server.url + BOARD)
    bare.locator(".ky-deal summary").click()
    bare.locator(".ky-deal button", has_text="商务谈判").click()
    expect(column(bare, "商务谈判").locator(".ky-deal")).to_have_count(1)
    assert bare.url.endswith(BOARD)
    plain.close()

    deal = Opportunity.objects.get()
    assert (deal.stage.name, deal.win_probability, deal.lead, deal.owner) == ("商务谈判", 70, lead, seller)
    window.open(f"/sales/opportunity/{deal.pk}/change/")
    page.get_by_role("button", name="赢单", exact=True).click()
    expect(page.get_by_role("link", name="新建合同")).to_be_visible()
    window.shoot("won")
    assert Opportunity.objects.get().status == "won"
    assert OpportunityStagePeriod.objects.count() == 3
