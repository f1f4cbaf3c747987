"""Activities, opt-outs and deliveries in and out through Excel."""

import pytest

from crm import transitions
from crm.excel.export import Exporter
from crm.excel.resource import resource_for
from crm.policies import policy_for
from customers.models import Customer
from sales.models import Lead, LeadPool, MarketingActivity, Opportunity, SmsDelivery, SmsOptOut
from tests.crm.excel import pipeline
from tests.factories import make

pytestmark = pytest.mark.django_db


def imported(user, model, titles, rows):
    return pipeline.applied(pipeline.checked(user, titles, rows, resource=f"sales.{model.__name__}"))


def problems(batch):
    return {row.number: "".join(p["text"] for p in row.problems) for row in batch.rows.exclude(problems=[])}


def exported(user, model, *names):
    rows = policy_for(model).visible_to(user, "export")
    return list(Exporter(resource_for(f"sales.{model.__name__}"), user, list(names)).rows(rows))


def test_activities_come_in_by_name_and_a_second_file_updates_them(person):
    user, titles = person("市场"), ["活动名称", "活动类型", "开始时间", "结束时间", "预算金额", "实际成本"]
    first = ["2026 春季展", "展会", "2026-04-15 09:00", "2026-04-19 18:00", 120000, None]
    batch = imported(
        user, MarketingActivity, titles, [first, ["倒着的", "直播", "2026-05-02", "2026-05-01", None, None]]
    )
    assert "不能早于" in problems(batch)[3]
    second = [*first[:5], 98600.5]
    assert not problems(imported(user, MarketingActivity, titles, [["２０２６春季展", *second[1:]]]))
    (fair,) = MarketingActivity.objects.all()
    assert (fair.type.code, str(fair.budget), str(fair.actual_cost)) == ("expo", "120000.00", "98600.50")


def test_leads_name_the_activity_they_came_from(person):
    user, fair = person("市场"), make(MarketingActivity, name="2026 春季展")
    make(LeadPool, name="公共池")
    titles = ["线索名称", "联系电话", "线索池", "来源活动"]
    batch = imported(
        user, Lead, titles, [["甲", "13800138001", "公共池", "2026春季展"], ["乙", "13800138002", "公共池", "没办过"]]
    )
    assert "没有“没办过”这一项" in problems(batch)[3]
    assert Lead.objects.get().activity == fair


def test_a_list_of_opt_outs_comes_in_however_the_numbers_are_written(person):
    user = person("市场")
    make(SmsOptOut, phone="13800138001")
    rows = [["+86 138 0013 8001", "回复退订"], ["138-0013-8002", None], ["没有号码", None]]
    batch = imported(user, SmsOptOut, ["手机号", "退订方式"], rows)
    assert list(problems(batch)) == [4]
    assert dict(SmsOptOut.objects.values_list("phone_key", "source")) == {
        "+8613800138001": "reply",
        "+8613800138002": "request",
    }


def test_only_deliveries_to_customers_in_reach_go_out(person):
    director = person("销售总监")
    mine = make(Customer, owner=director)
    make(SmsDelivery, customer=mine, content="给自己客户的"), make(SmsDelivery, content="给别人客户的")
    assert exported(director, SmsDelivery, "state", "content") == [("待发送", "给自己客户的")]


def test_what_came_of_an_activity_goes_out_as_the_reader_may_count_it(person):
    director, fair = person("销售总监"), make(MarketingActivity, name="2026 春季展", actual_cost=1000)
    make(Lead, activity=fair, owner=director), make(Lead, activity=fair)
    won = make(Opportunity, activity=fair, owner=director, estimated_amount=3000)
    transitions.run(won, "win", by=None)
    names = ("name", "leads", "won_amount", "roi")
    assert exported(director, MarketingActivity, *names) == [("2026 春季展", 1, 3000, "200.0%")]
