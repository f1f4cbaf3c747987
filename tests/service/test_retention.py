"""Churn: who is warned of, what measures do, how a case ends."""

from datetime import date, timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.urls import reverse
from django.utils import timezone

from crm import jobs
from crm.models import DictionaryItem, Job, Notification
from customers.models import Customer, DealStatus, Stage
from sales.models import Contract, Order
from service.models import ChurnRule, CustomerLoss, LossStatus
from service.services import retention
from service.services.retention import LossError, months_before
from tests.factories import make

pytestmark = pytest.mark.django_db
TODAY = timezone.localdate


def ago(**months):
    return months_before(TODAY(), months["months"]) - timedelta(days=months.get("days", 0))


def customer(owner=None, *, orders=(), signed=(), months_old=24, **values):
    obj = make(Customer, owner=owner, **values)
    Customer.objects.filter(pk=obj.pk).update(created_at=timezone.now() - timedelta(days=31 * months_old))
    for day in orders:
        make(Order, customer=obj, order_date=day, status="confirmed")
    for day in signed:
        make(Contract, customer=obj, sign_date=day, status="signed")
    return Customer.objects.get(pk=obj.pk)


def scan():
    job = jobs.start("service.churn")
    jobs.execute(job.pk)
    job.refresh_from_db()
    assert job.state == Job.State.DONE, job.error
    return job.result["message"]


@pytest.fixture
def manager(person):
    return person("管理员", full_name="彭勇")


def test_months_are_those_of_the_calendar():
    assert months_before(date(2026, 8, 31), 6) == date(2026, 2, 28)
    assert months_before(date(2024, 8, 31), 6) == date(2024, 2, 29)
    assert months_before(date(2026, 3, 15), 15) == date(2024, 12, 15)


def test_who_has_not_ordered_for_six_months_is_warned_of_and_twice_is_nothing_new(person):
    """满六个月没有订单或签约的客户进入预警；草稿与取消的订单不算；再扫一遍没有新的。"""
    seller = person("销售")
    idle = customer(seller, orders=[ago(months=6), ago(months=9)])
    active = customer(seller, orders=[ago(months=6) + timedelta(days=1)])
    contract = customer(seller, orders=[ago(months=9)], signed=[ago(months=2)])
    drafts = customer(seller, orders=[ago(months=8)])
    make(Order, customer=drafts, order_date=TODAY(), status="draft")
    make(Order, customer=drafts, order_date=TODAY(), status="cancelled")
    never, young = customer(seller), customer(seller, months_old=3)
    customer(seller, orders=[ago(months=20)], is_enabled=False)
    assert any("预警 3 个" in line for line in retention.preview())
    assert "新预警 3 个" in scan()
    found = {loss.customer: loss for loss in CustomerLoss.objects.all()}
    assert set(found) == {idle, drafts, never}
    assert not {active, contract, young} & set(found)
    assert found[idle].last_order_date == ago(months=6) and "6 个月" in found[idle].warning
    assert found[never].last_order_date is None and "从未下单" in found[never].warning
    assert Notification.objects.filter(user=seller, title="3 个客户可能流失").count() == 1
    assert "新预警 0 个" in scan()
    assert CustomerLoss.objects.count() == 3


def test_a_terminated_contract_counts_only_if_money_was_received():
    """终止且分文未收的合同不算成交：客户照常预警；收过款的合同终止后仍算。"""
    unpaid, partly = (customer(orders=[ago(months=9)], signed=[ago(months=2)]) for _ in range(2))
    assert "新预警 0 个" in scan()
    Contract.objects.filter(customer=unpaid).update(status="terminated")
    Contract.objects.filter(customer=partly).update(status="terminated", total_amount=10, received_amount=10)
    assert "新预警 1 个" in scan()
    loss = CustomerLoss.objects.get()
    assert loss.customer == unpaid and loss.last_order_date == ago(months=9)
    assert retention.newer_deal(loss) == ""
    Contract.objects.filter(customer=unpaid).update(total_amount=10, received_amount=10)
    assert retention.newer_deal(loss) and "挽回 1 个" in scan()


def test_a_level_has_a_rule_of_its_own():
    """等级有专门规则的按专门规则，其余按通用规则。"""
    level = DictionaryItem.objects.get(type="level", code="A")
    make(ChurnRule, level=level, idle_months=2, never_months=None)
    quick = customer(orders=[ago(months=3)], level=level)
    customer(level=level)
    customer(orders=[ago(months=3)], level=DictionaryItem.objects.get(type="level", code="C"))
    scan()
    assert [loss.customer for loss in CustomerLoss.objects.all()] == [quick]


def test_measures_reprieve_and_confirmation_loses_the_customer(manager, person):
    """第一条措施把预警变为暂缓流失；确认流失要写原因，阶段失效、成交流失，都有日期；之后不再预警。"""
    seller = person("销售")
    lost = customer(seller, orders=[ago(months=8)])
    scan()
    loss = CustomerLoss.objects.get()
    retention.add_measure(loss, by=seller, content="上门拜访，给老客户价", effect="答应考虑")
    loss.refresh_from_db()
    assert loss.status == LossStatus.REPRIEVED
    with pytest.raises(PermissionDenied):
        retention.confirm(loss, by=seller, reason="转投同行")
    with pytest.raises(LossError, match="为什么"):
        retention.confirm(loss, by=manager, reason=" ")
    kind = DictionaryItem.objects.get(type="loss_reason", code="competitor")
    loss = retention.confirm(loss, by=manager, reason="转投同行", kind=kind)
    assert loss.reason_type == kind
    lost.refresh_from_db()
    assert (loss.status, loss.confirmed_on, loss.reason) == (LossStatus.LOST, TODAY(), "转投同行")
    assert (lost.stage, lost.deal_status, lost.owner) == (Stage.LAPSED, DealStatus.LOST, seller)
    with pytest.raises(LossError, match="不能再添加"):
        retention.add_measure(loss, by=seller, content="再联系")
    with pytest.raises(LossError, match="其他人处理"):
        retention.confirm(loss, by=manager, reason="再来一次")
    assert "新预警 0 个" in scan()


def test_the_rule_may_send_the_lost_customer_back_to_the_sea(manager, person):
    rule = ChurnRule.objects.get(level=None)
    rule.releases = True
    rule.save()
    lost = customer(person("销售"), orders=[ago(months=8)])
    scan()
    retention.confirm(CustomerLoss.objects.get(), by=manager, reason="停产")
    lost.refresh_from_db()
    assert lost.owner is None


def test_an_order_between_scan_and_confirmation_is_noticed(manager, browse):
    """扫描之后、确认之前来了新订单：不确认流失，改为已挽回，并说明是哪一单。"""
    back = customer(orders=[ago(months=8)])
    scan()
    order = make(Order, customer=back, order_date=TODAY(), status="confirmed")
    loss = CustomerLoss.objects.get()
    url = reverse("admin:service_customerloss_confirm", args=[loss.pk])
    kind = DictionaryItem.objects.get(type="loss_reason", code="other")
    page = browse(manager).post(url, {"kind": kind.pk, "reason": "联系不上"}, follow=True).content.decode()
    assert order.number in page and "已挽回" in page
    loss.refresh_from_db()
    back.refresh_from_db()
    assert (loss.status, loss.recovered_on, loss.reason) == (LossStatus.RECOVERED, TODAY(), "")
    assert back.deal_status != DealStatus.LOST and back.stage != Stage.LAPSED


def test_a_new_order_recovers_by_itself_even_after_the_loss(manager):
    """新订单确认即挽回；已确认流失的，阶段回到普通、成交恢复；没有经过按钮的由夜间扫描补上。"""
    for lost in (False, True):
        back = customer(orders=[ago(months=8)])
        scan()
        loss = CustomerLoss.objects.get(customer=back)
        if lost:
            retention.confirm(loss, by=manager, reason="停产")
        order = make(Order, customer=back, order_date=TODAY(), status="confirmed")
        if lost:
            retention.recovered_by(order, "confirm", manager)
        else:
            assert "挽回 1 个" in scan()
        loss.refresh_from_db()
        back.refresh_from_db()
        assert loss.status == LossStatus.RECOVERED and order.number in loss.recovered_by
        assert back.stage != Stage.LAPSED and back.deal_status != DealStatus.LOST
    assert "新预警 0 个" in scan()


def test_a_customer_recovered_may_be_about_to_be_lost_again():
    """挽回之后再次长期不下单，另开一次预警，历史保留。"""
    again = customer(orders=[ago(months=20), ago(months=7)])
    make(CustomerLoss, customer=again, status=LossStatus.RECOVERED, recovered_on=ago(months=7))
    scan()
    assert sorted(CustomerLoss.objects.filter(customer=again).values_list("status", flat=True)) == [
        LossStatus.RECOVERED,
        LossStatus.WARNING,
    ]


def test_no_rule_no_warning():
    ChurnRule.objects.update(idle_months=None, never_months=None)
    customer(orders=[ago(months=30)])
    assert "新预警 0 个" in scan()


def test_a_measure_is_written_on_its_page(person, browse):
    seller = person("销售")
    customer(seller, orders=[ago(months=8)])
    scan()
    loss = CustomerLoss.objects.get()
    url = reverse("admin:service_customerloss_measure", args=[loss.pk])
    assert browse(seller).post(url, {"day": str(TODAY()), "content": "电话联系", "effect": ""}).status_code == 302
    loss.refresh_from_db()
    assert loss.status == LossStatus.REPRIEVED and loss.measures.get().author == seller
    assert browse(person("销售")).get(url).status_code == 404
