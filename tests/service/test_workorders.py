"""The five steps of a work order, who may take them, and what follows from them."""

from datetime import timedelta

import pytest
from django.core import mail
from django.core.exceptions import PermissionDenied, ValidationError
from django.urls import reverse
from django.utils import timezone

from crm import ownership, transitions
from crm.models import BusinessLog, DictionaryItem, Notification, Operation
from crm.policies import policy_for
from customers.models import Contact, Customer
from customers.services import rating
from customers.services.changes import EFFECTS
from customers.services.rulebook import Rulebook
from service.models import DispatchRule, EntryKind, ServedCustomer, WorkOrder, WorkOrderEntry, WorkOrderStatus
from service.services import dispatch, watch, workorders
from service.services.workorders import WorkOrderError
from tests.factories import make

pytestmark = pytest.mark.django_db


def buttons(order, user):
    return [button.label for button in transitions.available(WorkOrder.objects.get(pk=order.pk), user)]


def solved(desk, **values):
    order = transitions.run(desk.assigned(**values), "start", by=desk.engineer)
    return transitions.run(order, "solve", by=desk.engineer, reason="更换主板，复测正常。")


def test_the_five_steps_by_three_people_each_with_his_own_buttons(desk):
    """销售创建，客服分配、登记反馈并归档，服务专员处理；每一步各人只看到自己的按钮。"""
    people = (desk.seller, desk.desk, desk.engineer)
    order = desk.order()
    assert order.status == WorkOrderStatus.CREATED and order.owner is None and order.number.startswith("GD")
    assert [buttons(order, p) for p in people] == [[], ["自动分配"], []]
    order = workorders.assign(order, desk.engineer, by=desk.desk)
    assert (order.status, order.owner) == (WorkOrderStatus.ASSIGNED, desk.engineer)
    assert [buttons(order, p) for p in people] == [[], [], ["开始处理"]]
    order = transitions.run(order, "start", by=desk.engineer)
    assert [buttons(order, p) for p in people] == [[], [], ["提交结果"]]
    order = transitions.run(order, "solve", by=desk.engineer, reason="更换主板。")
    assert [buttons(order, p) for p in people] == [["重开"], ["登记反馈", "无反馈归档", "重开"], []]
    order = workorders.answer(order, by=desk.desk, satisfaction=5, feedback="很快")
    assert [buttons(order, p) for p in people] == [["重开"], ["归档", "重开"], []]
    order = transitions.run(order, "archive", by=desk.desk)
    assert order.status == WorkOrderStatus.ARCHIVED and order.archived_at and not order.is_open
    kinds = list(order.entries.order_by("id").values_list("kind", flat=True))
    assert kinds == ["opened", "assigned", "started", "solved", "answered", "archived"]
    assert list(order.entries.order_by("id").values_list("author__full_name", flat=True)) == [
        "张伟", "曹宇", "何平", "何平", "曹宇", "曹宇",
    ]  # fmt: skip


def test_only_the_person_in_charge_processes(desk):
    """别的服务专员看不到也不能处理分给同事的工单。"""
    order = desk.assigned()
    assert not policy_for(WorkOrder).may(desk.second, "view", order)
    for who in (desk.second, desk.seller, desk.desk):
        with pytest.raises(PermissionDenied):
            transitions.run(order, "start", by=who)


def test_who_opened_it_follows_it_and_the_customers_owner_reads_it(desk, person):
    """创建人一直看得到自己的工单；客户的负责人看得到该客户的工单，换了负责人就看不到。"""
    other = person("销售")
    policy = policy_for(WorkOrder)
    order = workorders.open_order(
        WorkOrder(customer=desk.customer, type=DictionaryItem.objects.filter(type="work_order_type").first(),
                  title="咨询", content="咨询"), by=desk.desk,
    )  # fmt: skip
    workorders.assign(order, desk.engineer, by=desk.desk)
    assert policy.may(desk.seller, "view", order) and not policy.may(desk.seller, "change", order)
    mine = desk.assigned()
    ownership.set_owner(desk.customer, other, by=None)
    assert policy.may(desk.seller, "view", mine)
    assert not policy.may(desk.seller, "view", order)
    assert policy.may(other, "view", order)


def test_reassigning_takes_the_rights_of_the_former_person(desk):
    order = desk.assigned()
    order = workorders.assign(order, desk.second, by=desk.desk, reason="请假")
    assert not policy_for(WorkOrder).may(desk.engineer, "view", order)
    assert policy_for(WorkOrder).may(desk.second, "process", order)
    assert Notification.objects.filter(user=desk.second, title__contains="新工单").count() == 1


def test_what_cannot_be_assigned_is_refused_in_words(desk):
    order = desk.order()
    with pytest.raises(WorkOrderError, match="没有处理工单的权限"):
        workorders.assign(order, desk.seller, by=desk.desk)
    with pytest.raises(WorkOrderError, match="请选择处理人"):
        workorders.assign(order, None, by=desk.desk)
    with pytest.raises(PermissionDenied):
        workorders.assign(order, desk.engineer, by=desk.seller)
    with pytest.raises(WorkOrderError, match="请先重开"):
        workorders.assign(solved(desk), desk.second, by=desk.desk)


def test_a_bad_mark_opens_it_again_with_new_targets_and_tells_the_manager(desk):
    """满意度不高于规则的分数：自动重开，解决时限从现在重新计，通知处理人和他的主管；评分仍计入客户满意度。"""
    order = solved(desk)
    assert order.due_at is None
    before = timezone.now()
    order = workorders.answer(order, by=desk.desk, satisfaction=2, feedback="还是报警")
    assert (order.status, order.reopened_count, order.satisfaction) == (WorkOrderStatus.PROCESSING, 1, None)
    assert order.resolution_due > before and order.due_at == order.resolution_due
    assert order.owner == desk.engineer
    for who in (desk.engineer, desk.head):
        assert Notification.objects.filter(user=who, title__contains="重开").exists()
    desk.customer.refresh_from_db()
    assert desk.customer.satisfaction == 2


def test_satisfaction_of_the_customer_is_the_mean_of_the_year(desk):
    """客户满意度是近一年各次反馈的平均，四舍五入；更早的不算。"""
    for stars in (5, 4):
        workorders.answer(solved(desk), by=desk.desk, satisfaction=stars)
    desk.customer.refresh_from_db()
    assert desk.customer.satisfaction == 5
    old = WorkOrderEntry.objects.filter(kind=EntryKind.ANSWERED, satisfaction=5).get()
    old.time -= timedelta(days=366)
    old.save()
    workorders.answer(solved(desk), by=desk.desk, satisfaction=4)
    desk.customer.refresh_from_db()
    assert desk.customer.satisfaction == 4


def test_without_an_answer_it_is_archived_with_a_reason(desk):
    order = solved(desk)
    with pytest.raises(transitions.TransitionRefused):
        transitions.run(order, "archive", by=desk.desk)
    order = transitions.run(order, "close", by=desk.desk, reason="三次联系未接")
    assert (order.status, order.archive_reason) == (WorkOrderStatus.ARCHIVED, "三次联系未接")


def test_a_rule_gives_it_to_the_least_busy_of_the_type(desk):
    """按规则分配：类型的规则优先，分给未完成工单最少的在职人员；没有规则时说明怎么办。"""
    order = desk.order()
    with pytest.raises(WorkOrderError, match="没有适用于"):
        dispatch.dispatch(order, by=desk.desk)
    make(DispatchRule, type=None, people=[desk.second])
    make(DispatchRule, type=order.type, people=[desk.engineer, desk.second])
    desk.assigned()
    assert dispatch.dispatch(order, by=desk.desk).owner == desk.second
    third = desk.order()
    owners = {dispatch.dispatch(third, by=desk.desk).owner, dispatch.dispatch(desk.order(), by=desk.desk).owner}
    assert owners == {desk.engineer, desk.second}


def test_an_automatic_rule_assigns_at_once(desk):
    make(DispatchRule, type=None, people=[desk.second], is_automatic=True)
    order = desk.order()
    assert (order.owner, order.status) == (desk.second, WorkOrderStatus.ASSIGNED)


def test_a_customer_hands_one_in_himself(desk):
    """客户自己提交的工单标明来源，没有负责人，等待分配；缺了描述说得清楚。"""
    kind = DictionaryItem.objects.get(type="work_order_type", code="complaint")
    order = workorders.open_by_customer(desk.customer, kind, "外箱破损六箱\n请补发")
    assert (order.title, order.origin, order.owner) == ("外箱破损六箱", "customer", None)
    assert order.created_by is None
    assert Notification.objects.filter(user=desk.desk, title__contains="待分配").exists()
    with pytest.raises(ValidationError, match="content"):
        workorders.open_by_customer(desk.customer, kind, " ")
    with pytest.raises(ValidationError, match="不属于该客户"):
        workorders.open_by_customer(desk.customer, kind, "破损", contact=make(Contact))


def test_notices_go_to_the_notify_address(desk, settings, django_capture_on_commit_callbacks):
    """受理与处理完成各发一封到通知邮箱；没有邮箱的不发。"""
    settings.NOTIFY_BY_EMAIL = True
    with django_capture_on_commit_callbacks(execute=True):
        solved(desk)
        solved(desk, customer=make(Customer, notify_email=""))
    notices = [message for message in mail.outbox if message.to == ["notify@customer.example"]]
    assert len(notices) == 2 and "更换主板" in notices[1].body


def test_targets_that_are_near_and_missed_are_told_once(desk):
    """即将超时提醒处理人，超时再通知他的主管；各只一次，改了时限再来一次。"""
    order, now = desk.assigned(), timezone.now()
    assert not watch.near(order.warn_at - timedelta(seconds=1)).exists()
    late = order.due_at + timedelta(minutes=1)
    near = order.due_at - timedelta(seconds=1)
    assert watch.warn(list(watch.near(near)), now) == 1
    assert not watch.near(near).exists()
    assert watch.escalate(list(watch.missed(late)), now) == 1
    assert not watch.missed(late).exists()
    told = Notification.objects.filter(title__contains="已超时")
    assert set(told.values_list("user", flat=True)) == {desk.engineer.pk, desk.head.pk}
    transitions.run(order, "start", by=desk.engineer)
    assert watch.missed(timezone.now() + timedelta(days=60)).count() == 1


def test_another_priority_brings_other_targets(desk):
    order = desk.order(priority="low")
    due = order.resolution_due
    order.priority = "urgent"
    workorders.revise(order, by=desk.seller)
    order.refresh_from_db()
    assert order.resolution_due < due and order.due_at == order.response_due


def test_of_the_customer_service_staff_see_what_they_need(desk, browse):
    """服务专员在工单上只看到客户的少量资料，电话遮掩；查看电话记入日志；归档后就看不到了。"""
    order = desk.assigned()
    url = reverse("admin:service_workorder_change", args=[order.pk])
    page = browse(desk.engineer).get(url).content.decode()
    assert desk.customer.name in page and "13800001111" not in page and "138****1111" in page
    assert browse(desk.engineer).get(
        reverse("admin:customers_customer_change", args=[desk.customer.pk])
    ).status_code in (403, 404)
    shown = browse(desk.engineer).post(f"{url[:-7]}reveal/").content.decode()
    assert "13800001111" in shown
    assert BusinessLog.objects.filter(operation=Operation.REVEAL, user=desk.engineer).count() == 1
    policy = policy_for(ServedCustomer)
    assert not policy.visible_to(desk.second).exists()
    order = transitions.run(transitions.run(order, "start", by=desk.engineer), "solve", by=desk.engineer, reason="好了")
    transitions.run(order, "close", by=desk.desk, reason="无人接听")
    assert not policy.visible_to(desk.engineer).exists()
    with pytest.raises(PermissionDenied):
        workorders.reveal(order, by=desk.engineer)


def test_other_rooms_know_of_open_work_orders_and_complaints(desk):
    """有未归档工单的客户不回收；变更影响里列出；投诉次数计入信用度建议。"""
    complaint = DictionaryItem.objects.get(type="work_order_type", code="complaint")
    desk.order(type=complaint)
    outlook = Rulebook().outlooks([desk.customer])[desk.customer.pk]
    assert outlook.day is None and "工单" in outlook.reason
    effects = [e for found in EFFECTS.ask(desk.customer, {}, desk.seller).values() for e in found]
    assert any("1 张" in str(effect.text) for effect in effects)
    reasons = [signal.reason for signal in rating.suggest_rating(desk.customer).signals]
    assert "近一年投诉 1 次" in reasons


def test_the_queue_shows_ones_own_and_the_load_of_the_others(desk, browse):
    desk.assigned(title="甲工单")
    workorders.assign(desk.order(title="乙工单"), desk.second, by=desk.desk)
    url = reverse("admin:service_queue")
    mine = browse(desk.engineer).get(url).content.decode()
    assert "甲工单" in mine and "乙工单" not in mine and "肖蕾" not in mine
    theirs = browse(desk.desk).get(url, {"person": desk.second.pk}).content.decode()
    assert "乙工单" in theirs and "何平" in theirs
    assert browse(desk.seller).get(url).status_code == 403


def test_staff_open_one_in_the_browser(desk, browse):
    """销售在页面上新建工单：优先级取默认，没有负责人，保存后看得到。"""
    kind = DictionaryItem.objects.get(type="work_order_type", code="consulting")
    data = {"customer": desk.customer.pk, "type": kind.pk, "title": "交期", "content": "何时发货", "priority": ""}
    answer = browse(desk.seller).post(reverse("admin:service_workorder_add"), data)
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    order = WorkOrder.objects.get()
    assert (order.owner, order.priority, order.created_by) == (None, "low", desk.seller)
    page = browse(desk.seller).get(reverse("admin:service_workorder_change", args=[order.pk]))
    assert page.status_code == 200
