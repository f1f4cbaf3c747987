"""Follow-ups of leads and customers: what they move, who reads them, what is due and who is told."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone

from crm import agenda, jobs, ownership, records
from crm.models import Job, Notification
from crm.policies import policy_for
from customers import activity
from customers.models import Customer, Interaction, VisitPlan
from sales.models import FollowUp, Lead, LeadStatus
from sales.services import leads
from tests.factories import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def lead(floor):
    return make(Lead, owner=floor.seller, pool=floor.public, name="王总", company="甲公司")


def add(by, **values):
    return records.save(FollowUp(**{"content": "电话沟通了需求", **values}), by=by)


def in_days(days):
    return timezone.now() + timedelta(days=days)


def reload(obj):
    return type(obj)._base_manager.get(pk=obj.pk)


def test_the_first_follow_up_sets_a_new_lead_to_working_and_says_what_is_next(lead, floor):
    """写了第一条跟进，新线索进入跟进中，并带上最近与下次跟进时间。"""
    next_time = in_days(2)
    made = add(floor.seller, lead=lead, next_time=next_time, next_content="报价")
    lead = reload(lead)
    assert (lead.status, lead.last_followed_at, lead.next_follow_at) == (LeadStatus.WORKING, made.time, next_time)
    assert made.author == floor.seller


def test_the_newest_follow_up_counts_whatever_is_entered_later(lead, floor):
    """补录的旧跟进不改变最近跟进时间和下一步；没有下一步的新跟进把下一步清空。"""
    newest = add(floor.seller, lead=lead, next_time=in_days(2))
    add(floor.seller, lead=lead, time=in_days(-9), next_time=in_days(-8))
    assert reload(lead).last_followed_at == newest.time
    assert reload(lead).next_follow_at == newest.next_time
    add(floor.seller, lead=lead)
    assert reload(lead).next_follow_at is None


def test_removing_a_follow_up_brings_the_former_one_back(floor):
    """删除最近一条跟进，客户回到上一条的时间。"""
    customer = make(Customer, owner=floor.seller)
    first = add(floor.manager, customer=customer, time=in_days(-3), next_time=in_days(1))
    second = add(floor.manager, customer=customer)
    records.remove(second, by=floor.manager)
    customer = reload(customer)
    assert (customer.last_followed_at, customer.next_follow_at) == (first.time, first.next_time)


def test_a_follow_up_makes_no_version_of_its_customer(floor):
    """写跟进不改变客户的版本号，别人正在填的客户表单照样能保存。"""
    customer = make(Customer, owner=floor.seller)
    add(floor.seller, customer=customer)
    assert reload(customer).lock_version == customer.lock_version
    assert customer.history.count() == 1


def test_a_follow_up_belongs_to_exactly_one_record(lead, floor):
    """跟进要么属于线索，要么属于客户：数据库不接受两个都有或都没有。"""
    for roots in ({}, {"lead": lead, "customer": make(Customer)}):
        with pytest.raises(IntegrityError), transaction.atomic():
            FollowUp(content="x", **roots).save()


def test_follow_ups_of_a_converted_lead_are_read_on_lead_and_customer(lead, floor):
    """线索转为客户之后，跟进在两边都能看到；客户接手最近与下次跟进时间；换了负责人照样能看。"""
    made = add(floor.seller, lead=lead, content="首次拜访", next_time=in_days(1))
    customer = leads.convert(lead, by=floor.seller, values={"name": "甲公司"})
    customer = reload(customer)
    assert (customer.last_followed_at, customer.next_follow_at) == (made.time, made.next_time)
    ownership.set_owner(customer, floor.stranger, by=None, reason="移交")
    policy = policy_for(FollowUp)
    assert list(policy.visible_to(floor.stranger)) == [made]
    assert not policy.may(floor.stranger, "change", made)
    assert [event.text for event in activity.of_customer(customer, floor.stranger)["recent"]] == ["首次拜访"]


def test_follow_ups_stay_with_those_who_see_the_root(lead, floor):
    """别组的同事看不到跟进；主管看得到；池里的线索谁也不能顺手写跟进。"""
    made = add(floor.seller, lead=lead)
    policy = policy_for(FollowUp)
    assert policy.may(floor.manager, "view", made)
    assert not policy.may(floor.stranger, "view", made)
    assert not policy.may_add_to(floor.stranger, lead)


def test_who_reads_it_through_the_customer_is_not_told_the_name_of_the_lead(lead, floor, browse):
    """只看得到客户的人，在跟进列表和页面上看不到线索的名称。"""
    made = add(floor.seller, lead=lead)
    customer = leads.convert(lead, by=floor.seller, values={"name": "甲公司"})
    ownership.set_owner(customer, floor.stranger, by=None, reason="移交")
    browser = browse(floor.stranger)
    for page in (
        reverse("admin:sales_followup_changelist"),
        reverse("admin:sales_followup_change", args=[made.pk]),
    ):
        shown = browser.get(page).content.decode()
        assert "甲公司" in shown
        assert "王总" not in shown


# --- The small form --------------------------------------------------------------------------------------------------


def quick(model, **root):
    (name, obj), *_ = root.items()
    return f"{reverse(f'admin:{model._meta.app_label}_{model._meta.model_name}_quick')}?{name}={obj.pk}"


def test_the_small_form_adds_and_leads_back(lead, floor, browse):
    """从列表或页面上写一条跟进，保存后回到原处；填错时说明哪里不对。"""
    browser, page = browse(floor.seller), quick(FollowUp, lead=lead)
    assert "lock_version" not in browser.get(page).content.decode()
    filled = {"lead": lead.pk, "time": "2026-01-05T09:30", "content": "谈妥样品", "next_time": "2026-01-04T09:30"}
    refused = browser.post(page, filled)
    assert "下次跟进时间不能早于这次" in refused.content.decode()
    done = browser.post(page, filled | {"next_time": "", "next": "/sales/lead/"})
    assert (done.status_code, done["Location"]) == (302, "/sales/lead/")
    made = FollowUp.objects.get()
    assert (made.lead, made.author, made.content) == (lead, floor.seller, "谈妥样品")


def test_the_small_form_leads_nowhere_else(lead, floor, browse):
    """“返回”只去自己的页面，不会被带到别的网站。"""
    filled = {"lead": lead.pk, "time": "2026-01-05T09:30", "content": "谈妥", "next": "https://evil.example/"}
    done = browse(floor.seller).post(quick(FollowUp, lead=lead), filled)
    assert done["Location"] == reverse("admin:sales_lead_change", args=[lead.pk])


@pytest.mark.parametrize("model", [FollowUp, Interaction, VisitPlan])
def test_the_small_form_knows_no_foreign_record(model, floor, browse):
    """别人的客户、不存在的客户、没有写明客户：一律不存在，也什么都没有写下。"""
    foreign, browser = make(Customer, owner=floor.stranger), browse(floor.seller)
    address = quick(model, customer=foreign).split("?")[0]
    for query in ({"customer": foreign.pk}, {"customer": 10**9}, {"customer": "x"}, {}):
        assert browser.get(address, query).status_code == 404
        assert browser.post(address, query | {"content": "x"}).status_code == 404
    assert not model.objects.exists()


# --- What is due -----------------------------------------------------------------------------------------------------


def titles(user, **options):
    return [one.title for one in agenda.occasions(user, None, agenda.tomorrow(), **options)]


def test_what_is_due_belongs_to_the_present_owner(floor):
    """下一步归现在的负责人：移交之后在新负责人的今天里，不在原负责人的今天里。"""
    customer = make(Customer, owner=floor.seller, name="乙公司")
    add(floor.seller, customer=customer, time=in_days(-2), next_time=in_days(-1))
    assert titles(floor.seller) == ["乙公司"]
    assert titles(floor.manager) == []
    assert titles(floor.manager, mine=False) == ["乙公司"]
    ownership.set_owner(customer, floor.stranger, by=None, reason="移交")
    assert titles(floor.seller) == []
    assert titles(floor.stranger) == ["乙公司"]


def test_a_follow_up_done_takes_what_was_due_off_the_list(floor):
    """做完一次跟进，旧的下一步不再催。"""
    customer = make(Customer, owner=floor.seller)
    add(floor.seller, customer=customer, time=in_days(-2), next_time=in_days(-1))
    add(floor.seller, customer=customer)
    assert titles(floor.seller) == []


def run_reminders():
    job = jobs.start("agenda.remind")
    jobs.execute(job.pk)
    assert Job.objects.get(pk=job.pk).state == Job.State.DONE


def test_everybody_is_reminded_once_of_each_occasion(floor, django_capture_on_commit_callbacks):
    """早上提醒一次，重跑不再提醒；改期之后再提醒；几天前就该做的不再翻出来。"""
    customer = make(Customer, owner=floor.seller, name="丙公司")
    add(floor.seller, customer=make(Customer, owner=floor.seller), time=in_days(-60), next_time=in_days(-50))
    add(floor.seller, customer=customer, time=in_days(-2), next_time=in_days(-1), next_content="确认样品")
    run_reminders()
    run_reminders()
    notice = Notification.objects.get(user=floor.seller)
    assert "丙公司" in notice.title
    assert notice.body == "确认样品"
    add(floor.seller, customer=customer, time=in_days(-1), next_time=timezone.now() - timedelta(minutes=1))
    run_reminders()
    assert Notification.objects.filter(user=floor.seller).count() == 2


def test_a_participant_who_may_not_see_the_customer_is_not_told_of_it(floor):
    """拜访提醒只发给看得到该客户的参与人。"""
    customer = make(Customer, owner=floor.seller, name="丁公司")
    make(VisitPlan, customer=customer, time=timezone.now(), participants=[floor.seller, floor.stranger])
    run_reminders()
    assert list(Notification.objects.values_list("user", flat=True)) == [floor.seller.pk]


@pytest.mark.parametrize("address", ["/today/", "/calendar/?view=month", "/calendar/?view=week", "/calendar/?view=day"])
def test_the_agenda_shows_ones_own_and_no_foreign_names(address, floor, browse):
    """今天与日历只列出看得到的记录；“团队”也不超出数据范围；日期写错照样打开。"""
    for owner, name in ((floor.seller, "戊公司"), (floor.stranger, "己公司")):
        add(owner, customer=make(Customer, owner=owner, name=name), next_time=timezone.now())
    browser, sign = browse(floor.seller), "&" if "?" in address else "?"
    for more in ("", f"{sign}whose=team", f"{sign}date=oops", f"{sign}date=9999-12-31"):
        shown = browser.get(address + more).content.decode()
        assert "戊公司" in shown
        assert "己公司" not in shown


def test_the_agenda_is_for_those_who_have_business_there(person, browse):
    """没有角色的员工打不开今天和日历。"""
    nobody = person(None)
    assert browse(nobody).get("/today/").status_code == 403
    assert browse(nobody).get("/calendar/").status_code == 403


def test_the_agenda_asks_no_more_for_more_rows(floor, browse, django_assert_max_num_queries):
    """事情再多，今天这一页的查询数不变。"""
    browser = browse(floor.seller)
    for _ in range(15):
        add(floor.seller, customer=make(Customer, owner=floor.seller), next_time=timezone.now())
        make(VisitPlan, customer=make(Customer, owner=floor.seller), time=timezone.now(), participants=[floor.seller])
    with django_assert_max_num_queries(30):
        browser.get("/today/")


def test_the_list_offers_a_follow_up_only_on_rows_that_one_may_change(person, browse):
    seller = person("销售")
    own, shared = make(Customer, owner=seller), make(Customer)
    lead, other = make(Lead, owner=seller), make(Lead)
    ownership.add_collaborator(shared, seller, by=None, level="view")
    ownership.add_collaborator(other, seller, by=None, level="view")
    for name, yes, no in (("customers_customer", own, shared), ("sales_lead", lead, other)):
        page = browse(seller).get(reverse(f"admin:{name}_changelist")).content.decode()
        field = name.partition("_")[2]
        assert f"{no._meta.model_name}/{no.pk}/change/" in page
        assert f'quick/?{field}={yes.pk}"' in page and f'quick/?{field}={no.pk}"' not in page


def test_the_page_of_a_customer_names_its_lead_to_those_who_may_see_it(person, browse):
    seller, boss = person("销售"), person("管理员")
    customer = make(Customer, owner=seller)
    lead = make(Lead, name="展会线索", customer=customer)
    address = reverse("admin:customers_customer_change", args=[customer.pk])
    link = reverse("admin:sales_lead_change", args=[lead.pk])
    assert link in browse(boss).get(address).content.decode()
    text = browse(seller).get(address).content.decode()
    assert link not in text and "展会线索" not in text
