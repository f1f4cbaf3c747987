"""Return visits: planned by rule, reminded, done with content and feedback, cancelled."""

from datetime import date, timedelta

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.urls import reverse
from django.utils import timezone

from crm import agenda, transitions
from crm.policies import policy_for
from customers.models import Contact, Customer
from sales.models import Contract
from service.models import ReturnVisit, ReturnVisitRule, ReturnVisitStatus, Trigger
from service.services import visits
from tests.factories import make

pytestmark = pytest.mark.django_db


def test_a_signature_is_followed_by_the_visits_of_the_rules(desk):
    """签约后按规则安排回访：第 N 天上午九点，停用的规则不算；同一规则对同一合同只安排一次。"""
    make(ReturnVisitRule, trigger=Trigger.SIGNED, days=30, method="door")
    make(ReturnVisitRule, trigger=Trigger.SIGNED, days=60, is_active=False)
    contract = make(Contract, customer=desk.customer, owner=desk.seller)
    made = visits.plan(Trigger.SIGNED, date(2026, 11, 20), customer=desk.customer, contract=contract)
    moments = [(f"{timezone.localtime(visit.planned_at):%Y-%m-%d %H:%M}", visit.method) for visit in made]
    assert moments == [("2026-11-27 09:00", "phone"), ("2026-12-20 09:00", "door")]
    assert visits.plan(Trigger.SIGNED, date(2026, 11, 20), customer=desk.customer, contract=contract) == []


def test_an_archived_work_order_is_followed_by_a_visit_once(desk):
    """工单归档后安排回访；重开后再归档不重复安排。"""
    order = transitions.run(desk.assigned(), "start", by=desk.engineer)
    order = transitions.run(order, "solve", by=desk.engineer, reason="好了")
    order = transitions.run(order, "close", by=desk.desk, reason="未接")
    visit = ReturnVisit.objects.get(work_order=order)
    assert timezone.localdate(visit.planned_at) == timezone.localdate() + timedelta(days=3)
    order = transitions.run(order, "reopen", by=desk.desk, reason="客户来电")
    order = transitions.run(order, "solve", by=desk.engineer, reason="好了")
    transitions.run(order, "close", by=desk.desk, reason="未接")
    assert ReturnVisit.objects.count() == 1


def test_it_is_done_with_content_and_feedback_or_cancelled_with_a_reason(desk):
    visit = make(ReturnVisit, customer=desk.customer)
    with pytest.raises(ValidationError, match="谈了什么"):
        visits.complete(visit, by=desk.seller, content=" ")
    with pytest.raises(ValidationError, match="不能晚于现在"):
        visits.complete(visit, by=desk.seller, content="好", visited_at=timezone.now() + timedelta(hours=1))
    done = visits.complete(visit, by=desk.seller, content="使用正常", feedback="满意", satisfaction=5)
    assert (done.status, done.feedback, done.satisfaction) == (ReturnVisitStatus.DONE, "满意", 5)
    with pytest.raises(transitions.TransitionRefused):
        transitions.run(done, "cancel", by=desk.seller, reason="不去了")
    other = make(ReturnVisit, customer=desk.customer)
    assert transitions.run(other, "cancel", by=desk.seller, reason="客户停业").cancel_reason == "客户停业"


def test_the_service_desk_visits_customers_that_it_only_sees(desk, person):
    """客服能回访看得到的客户而不必能修改客户；没有这项权限的人要能修改客户。"""
    visit = make(ReturnVisit, customer=desk.customer)
    assert visits.complete(visit, by=desk.desk, content="已回访").status == ReturnVisitStatus.DONE
    with pytest.raises(PermissionDenied):
        visits.complete(make(ReturnVisit, customer=desk.customer), by=person("市场"), content="已回访")
    assert policy_for(ReturnVisit).may_add_to(desk.desk, desk.customer)
    assert not policy_for(ReturnVisit).may_add_to(person("销售"), desk.customer)


def test_what_it_is_about_is_the_customers_own(desk):
    visit = ReturnVisit(customer=desk.customer, planned_at=timezone.now(), contract=make(Contract))
    with pytest.raises(ValidationError, match="合同不属于该客户"):
        visit.full_clean(exclude=["status"])
    visit = ReturnVisit(customer=desk.customer, planned_at=timezone.now(), contact=make(Contact))
    with pytest.raises(ValidationError, match="联系人不属于该客户"):
        visit.full_clean(exclude=["status"])


def test_due_visits_stand_on_the_agenda_of_the_owner_and_are_reminded(desk):
    """到期的回访出现在负责人的“今天”，并在提醒之列；办结后不再出现。"""
    visit = make(ReturnVisit, customer=desk.customer, planned_at=timezone.now(), created_by=None)
    due = agenda.occasions(desk.seller, None, agenda.tomorrow())
    assert [one.kind for one in due] == ["电话回访"]
    assert any("电话回访" in line and "张伟" in line for line in agenda.preview())
    visits.complete(visit, by=desk.seller, content="好")
    assert agenda.occasions(desk.seller, None, agenda.tomorrow()) == []


def test_it_is_completed_on_its_page(desk, browse):
    visit = make(ReturnVisit, customer=desk.customer)
    url = reverse("admin:service_returnvisit_complete", args=[visit.pk])
    assert browse(desk.desk).get(url).status_code == 200
    data = {"visited_at": f"{timezone.localtime():%Y-%m-%dT%H:%M}", "content": "正常", "satisfaction": ""}
    assert browse(desk.desk).post(url, data).status_code == 302
    visit.refresh_from_db()
    assert visit.status == ReturnVisitStatus.DONE
    page = browse(desk.seller).get(reverse("admin:customers_customer_change", args=[desk.customer.pk]))
    assert "回访" in page.content.decode() and isinstance(desk.customer, Customer)
