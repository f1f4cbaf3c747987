"""Opportunities by Excel: what is new, what is recognised, what a file may not change."""

import pytest

from crm.excel.export import Exporter
from crm.policies import HIDDEN_LABEL
from customers.models import Customer
from sales.models import FollowUp, Opportunity, OpportunityItem, OpportunityStage, OpportunityStagePeriod, Product
from sales.resources.opportunities import OpportunityResource
from sales.services import opportunities
from tests.crm.excel import pipeline
from tests.factories import make

pytestmark = pytest.mark.django_db

TITLES = ["商机编号", "商机名称", "客户代码", "预估金额", "阶段", "赢单概率（%）"]


@pytest.fixture
def customer(floor):
    return make(Customer, owner=floor.seller, name="甲公司", code="KH0001")


@pytest.fixture
def stages(db):
    return {stage.name: stage for stage in OpportunityStage.objects.all()}


@pytest.fixture
def deal(floor, customer, stages):
    return make(Opportunity, name="旧商机", customer=customer, owner=floor.seller, stage=stages["初步接触"])


def check(user, *rows, titles=TITLES, model=Opportunity):
    return pipeline.checked(user, titles, [list(row) for row in rows], resource=model._meta.label)


def problems(batch):
    return {row.number: "".join(p["text"] for p in row.problems) for row in batch.rows.exclude(problems=[])}


def test_new_ones_are_numbered_belong_to_the_importer_and_take_the_default_probability(floor, customer, stages):
    pipeline.applied(check(floor.seller, [None, "新商机", "KH0001", "1200", "需求分析", None]))
    made = Opportunity.objects.get()
    assert (made.owner, made.customer, made.stage, made.win_probability) == (
        floor.seller,
        customer,
        stages["需求分析"],
        30,
    )
    assert made.number.startswith("SJ") and made.status == "open"
    opportunities.move(made, stages["商务谈判"], by=floor.seller)
    assert OpportunityStagePeriod.objects.get().days == 0


def test_the_same_file_twice_adds_nothing(floor, customer):
    rows = [[None, "新商机", "KH0001", "1200", "需求分析", "30"]]
    pipeline.applied(check(floor.seller, *rows))
    assert pipeline.kinds(check(floor.seller, *rows)) == ["无变化"]


def test_a_stored_one_is_recognised_by_number_and_keeps_its_stage(floor, deal):
    """按编号认出（大小写、全角不论）；金额可以改，阶段和负责人不能用文件换。"""
    refused = check(floor.seller, [deal.number, "改名", "KH0001", "900", "商务谈判", "15"])
    assert "不能通过导入更换" in problems(refused)[2]
    batch = check(floor.seller, [deal.number.lower(), "改名", "KH0001", "900", "初步接触", "15"])
    assert not problems(batch)
    pipeline.applied(batch)
    deal.refresh_from_db()
    assert (deal.name, deal.estimated_amount, deal.win_probability, deal.stage.name) == ("改名", 900, 15, "初步接触")


def test_nobody_brings_in_deals_of_customers_out_of_sight_or_changes_foreign_ones(floor, deal):
    foreign = make(Customer, owner=floor.stranger, code="KH0002")
    batch = check(
        floor.seller,
        [None, "新商机", foreign.code, "1", "需求分析", None],
        ["没有的", "甲", None, "1", "需求分析", None],
    )
    assert set(problems(batch)) == {2, 3}
    assert pipeline.kinds(check(floor.stranger, [deal.number, "改名", None, "1", None, None])) == ["错误"]


def test_an_export_names_products_weights_amounts_and_hides_foreign_customers(floor, deal, customer):
    make(OpportunityItem, opportunity=deal, product=make(Product, name="变频器", specification="7.5kW"), quantity=3)
    other = make(Opportunity, name="客户不归我", owner=floor.seller)
    resource = OpportunityResource()
    exporter = Exporter(resource, floor.seller, ["name", "customer", "weighted", "products"])
    rows = {row[0]: row[1:] for row in exporter.rows(resource.policy.visible_to(floor.seller, "export"))}
    assert [str(cell) for cell in rows["旧商机"]] == ["KH0001", "5000.00", "变频器 7.5kW ×3"]
    assert rows[other.name][0] == HIDDEN_LABEL


def test_follow_ups_of_a_deal_come_in_by_its_number(floor, deal, customer):
    """跟进按商机编号导入，商机和客户的最近跟进随之更新；客户、商机不能都填。"""
    titles = ["商机编号", "客户代码", "跟进时间", "跟进内容"]
    row = [deal.number, None, "2026-01-05 09:30", "谈妥参数"]
    batch = check(floor.seller, row, [deal.number, "KH0001", *row[2:]], titles=titles, model=FollowUp)
    assert "只填一个" in problems(batch)[3]
    pipeline.applied(batch)
    made = FollowUp.objects.get()
    deal.refresh_from_db()
    customer.refresh_from_db()
    assert made.opportunity == deal
    assert deal.last_followed_at == customer.last_followed_at == made.time
    stranger = check(floor.stranger, row, titles=titles, model=FollowUp)
    assert problems(stranger)
