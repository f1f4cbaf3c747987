"""Follow-ups, conversations and visit plans in and out through Excel."""

from datetime import timedelta

import pytest
from django.utils import timezone

from crm import ownership
from crm.excel.export import Exporter
from crm.excel.resource import resource_for
from crm.policies import HIDDEN_LABEL, policy_for
from customers.models import Customer, Interaction, VisitPlan
from sales.models import FollowUp, Lead, LeadStatus
from sales.services import leads
from tests.crm.excel import pipeline
from tests.factories import make

pytestmark = pytest.mark.django_db
TITLES = ["客户代码", "线索电话", "跟进时间", "跟进内容", "跟进人"]


@pytest.fixture
def customer(floor):
    return make(Customer, owner=floor.seller, code="KH0001")


@pytest.fixture
def lead(floor):
    return make(Lead, owner=floor.seller, pool=floor.public, phone="13800138000")


def imported(user, rows, titles=TITLES, model=FollowUp):
    return pipeline.applied(pipeline.checked(user, titles, rows, resource=model._meta.label))


def problems(batch):
    return {row.number: "".join(p["text"] for p in row.problems) for row in batch.rows.exclude(problems=[])}


def test_the_author_stays_whoever_did_the_work(floor, customer, person):
    """跟进人按姓名或用户名保留，离职的也保留；只有留空才是导入的人。"""
    former = person("销售", username="lintao", full_name="林涛", is_active=False)
    batch = imported(
        floor.seller,
        [
            ["KH0001", None, "2026-01-05 09:30", "拜访", "lintao"],
            ["KH0001", None, "2026-01-06 09:30", "报价", "王芳"],
            ["KH0001", None, "2026-01-07 09:30", "催款", None],
        ],
    )
    assert not problems(batch)
    authors = dict(FollowUp.objects.values_list("content", "author"))
    assert authors == {"拜访": former.pk, "报价": floor.colleague.pk, "催款": floor.seller.pk}
    assert set(FollowUp.objects.values_list("created_by", flat=True)) == {floor.seller.pk}


def test_an_import_moves_its_customer_and_lead_and_its_undo_moves_them_back(floor, customer, lead):
    """导入之后，客户与线索的最近跟进时间随之更新，新线索进入跟进中；撤销导入即恢复。"""
    titles = [*TITLES[:4], "下次跟进时间"]
    rows = [
        ["KH0001", None, "2026-01-05 09:30", "拜访", "2030-01-05 09:30"],
        [None, "138-0013-8000", "2026-01-06 09:30", "报价", None],
    ]
    batch = imported(floor.seller, rows, titles)
    assert not problems(batch)
    customer.refresh_from_db()
    stored = Lead.objects.get(pk=lead.pk)
    assert f"{timezone.localtime(customer.next_follow_at):%Y-%m-%d %H:%M}" == "2030-01-05 09:30"
    assert stored.status == LeadStatus.WORKING
    assert f"{timezone.localtime(stored.last_followed_at):%Y-%m-%d}" == "2026-01-06"
    assert pipeline.undone(batch) == []
    customer.refresh_from_db()
    assert (customer.last_followed_at, customer.next_follow_at) == (None, None)
    assert Lead.objects.get(pk=lead.pk).last_followed_at is None


def test_the_same_file_twice_adds_nothing(floor, customer):
    """同一份文件再导一次，一条也不多。"""
    rows = [["KH0001", None, "2026-01-05", "拜访", None], ["KH0001", None, "2026-01-05", "报价", None]]
    imported(floor.seller, rows)
    assert pipeline.kinds(imported(floor.seller, rows)) == ["无变化", "无变化"]
    assert FollowUp.objects.count() == 2


def test_a_row_names_one_record_that_is_ones_own(floor, customer, lead):
    """每行恰好一个客户或线索，必须是自己能改的；时间不能在将来。"""
    make(Customer, owner=floor.stranger, code="KH0002")
    late = timezone.now() + timedelta(days=2)
    batch = imported(
        floor.seller,
        [
            ["KH0001", "13800138000", "2026-01-05", "两个都填", None],
            [None, None, "2026-01-05", "都没填", None],
            ["KH0002", None, "2026-01-05", "别人的", None],
            ["KH0001", None, f"{late:%Y-%m-%d}", "将来的", None],
            ["KH0001", None, None, "没有时间", None],
        ],
    )
    found = problems(batch)
    assert set(found) == {2, 3, 4, 5, 6}
    assert "填写其中一个" in found[2]
    assert "KH0002" in found[4]
    assert "不能晚于现在" in found[5]
    assert not FollowUp.objects.exists()


def test_an_export_names_leads_to_those_who_see_them(floor, lead):
    """只看得到客户的人，导出的跟进里没有线索的电话。"""
    make(FollowUp, lead=lead, customer=None)
    converted = leads.convert(Lead.objects.get(pk=lead.pk), by=floor.seller, values={"name": "甲公司"})
    ownership.set_owner(converted, floor.stranger, by=None, reason="移交")

    def cells(user):
        exporter = Exporter(resource_for("sales.FollowUp"), user)
        row, *_ = exporter.rows(policy_for(FollowUp).visible_to(user, "export"))
        return row

    assert "13800138000" in cells(floor.seller)
    assert HIDDEN_LABEL in cells(floor.stranger)
    assert "13800138000" not in cells(floor.stranger)


def test_conversations_and_visits_come_in_by_customer_code(floor, customer):
    """会话与拜访计划按客户代码导入；参与人按姓名；导入的拜访都在计划中。"""
    talks = imported(
        floor.seller,
        [
            ["KH0001", "2026-01-05 09:30", "电话", "报价", "询价", "王芳"],
            ["KH0001", "2026-01-05", "电话", None, None, None],
        ],
        ["客户代码", "会话时间", "会话类型", "会话标签", "概要", "记录人"],
        Interaction,
    )
    assert set(problems(talks)) == {3}
    talk = Interaction.objects.get()
    assert (talk.tag.code, talk.author) == ("quotation", floor.colleague)
    visits = imported(
        floor.seller,
        [["KH0001", "2030-01-05 14:00", "签约", "张伟、王芳"]],
        ["客户代码", "计划时间", "拜访目的", "参与人"],
        VisitPlan,
    )
    assert not problems(visits)
    visit = VisitPlan.objects.get()
    assert set(visit.participants.all()) == {floor.seller, floor.colleague}
    assert visit.status == "planned"
