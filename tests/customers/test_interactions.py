"""Conversations and visit plans of a customer."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from crm import transitions
from customers import activity
from customers.models import Contact, Customer, Interaction, VisitPlan, VisitStatus
from tests.factories import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def seller(person):
    return person("销售")


@pytest.fixture
def customer(seller):
    return make(Customer, owner=seller)


def test_the_contact_is_one_of_the_customers_own(customer):
    """会话与拜访的联系人只能是该客户的联系人。"""
    for row in (
        Interaction(customer=customer, contact=make(Contact), overview="询价"),
        VisitPlan(customer=customer, contact=make(Contact), time=timezone.now(), purpose="签约"),
    ):
        with pytest.raises(ValidationError, match="不属于该客户"):
            row.full_clean(exclude=["status"])


def test_an_interaction_says_something_and_has_happened(customer):
    """会话要有概要或内容，时间不能在将来。"""
    with pytest.raises(ValidationError, match="至少填写一项"):
        Interaction(customer=customer).full_clean()
    with pytest.raises(ValidationError, match="不能晚于现在"):
        Interaction(customer=customer, overview="询价", time=timezone.now() + timedelta(hours=1)).full_clean()


def test_a_visit_is_done_with_a_summary_of_any_length(customer, seller):
    """完成拜访必须写总结，长总结完整保留；完成之后不能再取消。"""
    visit = make(VisitPlan, customer=customer)
    with pytest.raises(transitions.TransitionRefused, match="需要填写拜访总结"):
        transitions.run(visit, "complete", by=seller, reason=" ")
    summary = "客户确认了技术方案。" * 100
    done = transitions.run(visit, "complete", by=seller, reason=summary)
    assert (done.status, done.summary) == (VisitStatus.DONE, summary)
    assert done.finished_at
    with pytest.raises(transitions.TransitionRefused):
        transitions.run(visit, "cancel", by=seller, reason="不去了")


def test_a_visit_is_cancelled_with_a_reason_that_fits(customer, seller):
    """取消拜访必须写原因；太长的说明长度，不报系统错误。"""
    visit = make(VisitPlan, customer=customer)
    with pytest.raises(transitions.TransitionRefused, match="最多 255 个字"):
        transitions.run(visit, "cancel", by=seller, reason="长" * 256)
    assert transitions.run(visit, "cancel", by=seller, reason="客户改期").cancel_reason == "客户改期"


def test_the_timeline_has_the_newest_first(customer, seller):
    """客户页面把会话与拜访按时间排在一起，新的在前。"""
    now = timezone.now()
    make(Interaction, customer=customer, time=now - timedelta(days=2), overview="询价", content="")
    make(VisitPlan, customer=customer, time=now - timedelta(days=1), purpose="送样")
    make(Interaction, customer=customer, time=now, overview="催货", content="")
    make(Interaction, overview="别人的")
    shown = activity.of_customer(customer, seller)
    assert [event.text for event in shown["recent"]] == ["催货", "送样", "询价"]
    labels = [button.label for button in shown["buttons"]]
    assert labels[0] == "写跟进" and {"记会话", "安排拜访"} <= set(labels)
