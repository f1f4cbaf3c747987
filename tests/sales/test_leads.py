"""Leads: who may take, give and return them, what a second enquiry does, what becomes of them."""

from threading import Barrier

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, transaction
from django.urls import reverse

from crm import ownership, transitions
from crm.models import BusinessLog, DataScope, Notification, Operation, Role, User
from crm.policies import policy_for
from customers.models import Contact, Customer, Kind
from sales.models import DevelopmentPlan, Lead, LeadEnquiry, LeadPool, LeadStatus, PooledLead
from sales.services import leads
from tests.factories import make
from tests.races import run_together

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _owners_and_grants_agree(db):
    yield
    assert not any(rows.exists() for rows in ownership.disagreements(Lead).values())


def waiting(pool, **values):
    return make(Lead, pool=pool, owner=None, **values)


def stored(lead):
    return Lead.objects.get(pk=lead.pk)


# --- One number, one lead ---------------------------------------------------------------------------------------------


def test_a_number_belongs_to_one_lead_however_it_is_written(floor):
    waiting(floor.public, phone="13800138000")
    other = Lead(name="甲", phone="+86 138-0013-8000", pool=floor.public)
    with pytest.raises(ValidationError, match="在线索池“公共池”"):
        other.clean()
    with pytest.raises(IntegrityError), transaction.atomic():
        other.save()


def test_the_message_about_a_taken_number_names_the_department_not_the_lead(floor):
    lead = make(Lead, phone="13800138000", owner=floor.stranger, pool=floor.public)
    with pytest.raises(ValidationError) as error:
        Lead(name="甲", phone="13800138000", pool=floor.public).clean()
    words = "".join(error.value.messages)
    assert "华北销售部" in words and lead.name not in words and "孙丽" not in words


def test_a_removed_lead_gives_its_number_free(floor):
    lead = make(Lead, phone="13800138000", pool=floor.public)
    lead.is_valid = False
    lead.save()
    Lead(name="甲", phone="13800138000", pool=floor.public).clean()
    assert make(Lead, phone="13800138000", pool=floor.public).phone_key == "+8613800138000"


def test_leads_without_a_number_do_not_disturb_each_other(floor):
    assert (
        make(Lead, phone="", pool=floor.public).phone_key is make(Lead, phone="", pool=floor.public).phone_key is None
    )


# --- Entering ---------------------------------------------------------------------------------------------------------


def test_a_lead_belongs_to_whoever_enters_it_unless_it_is_put_into_its_pool(floor):
    mine = leads.enter(Lead(name="甲", pool=floor.public), by=floor.seller)
    pooled = leads.enter(Lead(name="乙", pool=floor.public), by=floor.seller, to_pool=True)
    assert (mine.owner, mine.assigned_at is not None) == (floor.seller, True)
    assert (pooled.owner, pooled.created_by, pooled.assigned_at) == (None, floor.seller, None)


# --- Claiming ---------------------------------------------------------------------------------------------------------


def test_claiming_makes_an_owner_with_full_rights_and_notes_when(floor):
    lead = waiting(floor.public)
    assert not policy_for(Lead).may(floor.seller, "view", lead)
    leads.claim(lead, by=floor.seller)
    assert (stored(lead).owner, stored(lead).assigned_at is not None) == (floor.seller, True)
    assert policy_for(Lead).may(floor.seller, "change", lead)
    entry = BusinessLog.objects.filter(object_id=lead.pk, operation=Operation.OWNERSHIP).get()
    assert (entry.user, entry.remark) == (floor.seller, "领取")


def test_the_second_to_claim_is_told_who_was_quicker(floor):
    lead = waiting(floor.public)
    leads.claim(lead, by=floor.seller)
    with pytest.raises(leads.LeadTaken, match="张伟"):
        leads.claim(lead, by=floor.stranger)
    assert stored(lead).owner == floor.seller


def test_what_was_taken_long_ago_tells_nobody_whose_it_is(floor):
    lead = waiting(floor.public)
    leads.claim(lead, by=floor.seller)
    Lead.objects.filter(pk=lead.pk).update(assigned_at=stored(lead).assigned_at - leads.SEEN)
    with pytest.raises(PermissionDenied):
        leads.claim(lead, by=floor.stranger)


def test_a_private_pool_gives_only_to_its_members_and_admins(floor):
    lead = waiting(floor.private)
    with pytest.raises(PermissionDenied):
        leads.claim(lead, by=floor.seller)
    leads.claim(lead, by=floor.colleague)
    assert stored(lead).owner == floor.colleague


def test_without_the_permission_nobody_claims(floor, person):
    with pytest.raises(PermissionDenied):
        leads.claim(waiting(floor.public), by=person("客服"))


def test_a_lead_given_up_cannot_be_claimed(floor):
    lead = waiting(floor.public, status=LeadStatus.INVALID)
    with pytest.raises(leads.LeadError, match="失效"):
        leads.claim(lead, by=floor.seller)


# --- Assigning and returning ------------------------------------------------------------------------------------------


def test_a_manager_gives_leads_of_his_people_to_his_people(floor):
    mine = [make(Lead, owner=floor.seller, pool=floor.public) for _ in range(3)]
    assert leads.assign(mine, floor.colleague, by=floor.manager, reason="调整") == 3
    assert {stored(lead).owner for lead in mine} == {floor.colleague}
    assert not policy_for(Lead).may(floor.seller, "view", mine[0])
    assert Notification.objects.get(user=floor.colleague).title == "黄强把 3 条线索分配给您"


def test_a_manager_gives_nothing_to_people_of_other_departments(floor):
    lead = make(Lead, owner=floor.seller, pool=floor.public)
    with pytest.raises(leads.LeadError, match="孙丽"):
        leads.assign(lead, floor.stranger, by=floor.manager)
    assert stored(lead).owner == floor.seller


def test_one_foreign_lead_among_many_stops_the_whole_assignment(floor):
    own, foreign = (
        make(Lead, owner=floor.seller, pool=floor.public),
        make(Lead, owner=floor.stranger, pool=floor.public),
    )
    with pytest.raises(PermissionDenied):
        leads.assign([own, foreign], floor.colleague, by=floor.manager)
    assert stored(own).owner == floor.seller


def test_an_admin_of_a_pool_sees_and_assigns_its_leads_whoever_has_them(floor):
    free, taken = waiting(floor.private), make(Lead, owner=floor.colleague, pool=floor.private)
    policy = policy_for(Lead)
    assert set(policy.visible_to(floor.stranger_manager)) == {free, taken}
    assert not policy.may(floor.stranger_manager, "change", free)
    leads.assign(free, floor.colleague, by=floor.stranger_manager)
    leads.assign(taken, floor.stranger_manager, by=floor.stranger_manager)
    assert (stored(free).owner, stored(taken).owner) == (floor.colleague, floor.stranger_manager)


def test_an_admin_without_the_permission_to_assign_only_looks(floor):
    """Running a pool opens its rows; what may be done to them, the role says."""
    pool = make(LeadPool, admins=[floor.seller])
    lead = waiting(pool)
    assert policy_for(Lead).may(User.objects.get(pk=floor.seller.pk), "view", lead)
    with pytest.raises(leads.LeadError):
        leads.assign(lead, floor.colleague, by=floor.seller)


def test_leads_of_a_private_pool_stay_among_its_people(floor):
    lead = make(Lead, owner=floor.colleague, pool=floor.private)
    with pytest.raises(leads.LeadError, match="不是该池成员"):
        leads.assign(lead, floor.seller, by=floor.manager)


def test_closed_leads_are_not_assigned(floor):
    lead = make(Lead, owner=floor.seller, pool=floor.public, status=LeadStatus.INVALID)
    with pytest.raises(leads.LeadError, match="失效"):
        leads.assign(lead, floor.colleague, by=floor.manager)


def test_an_owner_returns_a_lead_with_a_reason_and_loses_sight_of_it(floor):
    lead = make(Lead, owner=floor.seller, pool=floor.public)
    with pytest.raises(leads.LeadError, match="原因"):
        leads.release(lead, by=floor.seller, reason=" ")
    leads.release(lead, by=floor.seller, reason="区域不符")
    assert (stored(lead).owner, stored(lead).assigned_at) == (None, None)
    assert not policy_for(Lead).may(floor.seller, "view", lead)
    assert policy_for(PooledLead).may(floor.stranger, "claim", lead)
    assert BusinessLog.objects.filter(object_id=lead.pk, remark="区域不符").exists()


def test_a_collaborator_cannot_return_somebody_elses_lead(floor):
    lead = make(Lead, owner=floor.seller, pool=floor.public)
    ownership.add_collaborator(lead, floor.stranger, by=None, level="change")
    with pytest.raises(PermissionDenied):
        leads.release(lead, by=floor.stranger, reason="区域不符")


# --- Course -----------------------------------------------------------------------------------------------------------


def test_the_first_plan_sets_a_new_lead_to_work(floor):
    lead = make(Lead, owner=floor.seller, pool=floor.public)
    make(DevelopmentPlan, lead=lead)
    make(DevelopmentPlan, lead=stored(lead))
    assert stored(lead).status == LeadStatus.WORKING
    assert BusinessLog.objects.filter(object_id=lead.pk, operation=Operation.TRANSITION).count() == 1


def test_giving_up_needs_a_reason_which_the_lead_keeps(floor):
    lead = make(Lead, owner=floor.seller, pool=floor.public)
    with pytest.raises(transitions.TransitionRefused, match="原因"):
        leads.invalidate(lead, by=floor.seller, reason="")
    leads.invalidate(lead, by=floor.seller, reason="空号")
    assert (stored(lead).status, stored(lead).invalid_reason) == (LeadStatus.INVALID, "空号")
    transitions.run(lead, "reopen", by=floor.seller)
    assert (stored(lead).status, stored(lead).invalid_reason) == (LeadStatus.NEW, "")


# --- Enquiries --------------------------------------------------------------------------------------------------------


def test_a_new_number_becomes_a_lead_in_the_pool(floor):
    found = leads.register_enquiry("138 0013 8000", by=floor.seller, name="李雷", content="询价", pool=floor.public)
    lead = stored(found.lead)
    assert found.is_new and (lead.owner, lead.pool, lead.name, lead.description) == (None, floor.public, "李雷", "询价")
    assert (lead.enquiry_count, lead.enquiries.count()) == (1, 1)


def test_a_new_number_needs_a_pool_open_to_whoever_enters_it(floor):
    for pool in (None, floor.private):
        with pytest.raises(leads.LeadError, match="线索池"):
            leads.register_enquiry("13800138000", by=floor.seller, pool=pool)
    assert not Lead.objects.exists()


def test_a_known_number_is_noted_on_its_lead_and_its_owner_is_told(floor):
    lead = make(Lead, owner=floor.stranger, pool=floor.public, phone="13800138000")
    version = lead.lock_version
    found = leads.register_enquiry("+86 138 0013 8000", by=floor.seller, name="李雷", content="催问报价")
    lead = stored(lead)
    assert not found.is_new and found.lead == lead and Lead.objects.count() == 1
    assert (lead.enquiry_count, lead.last_enquiry_at) == (1, lead.enquiries.get().enquired_at)
    assert lead.lock_version == version, "an open form of the owner is not made stale by a telephone call"
    assert Notification.objects.get(user=floor.stranger).body == "催问报价"
    assert not policy_for(LeadEnquiry).visible_to(floor.seller).exists()


def test_a_lead_given_up_comes_to_life_by_an_enquiry(floor):
    lead = make(Lead, owner=floor.seller, pool=floor.public, phone="13800138000", status=LeadStatus.INVALID)
    leads.register_enquiry("13800138000", by=floor.colleague)
    assert stored(lead).status == LeadStatus.NEW


def test_a_senseless_number_is_refused(floor):
    with pytest.raises(leads.LeadError, match="电话"):
        leads.register_enquiry("打错了", by=floor.seller, pool=floor.public)


# --- Conversion -------------------------------------------------------------------------------------------------------


def test_conversion_makes_customer_and_contact_for_the_owner_of_the_lead(floor):
    lead = make(
        Lead, owner=floor.seller, pool=floor.public, name="李雷", company="甲公司", phone="13800138000", position="采购"
    )
    customer = leads.convert(lead, by=floor.manager)
    contact = customer.contacts.get()
    assert (customer.name, customer.kind, customer.owner, customer.source) == (
        "甲公司",
        Kind.COMPANY,
        floor.seller,
        lead.source,
    )
    assert (contact.name, contact.mobile, contact.position, contact.is_default) == ("李雷", "13800138000", "采购", True)
    lead = stored(lead)
    assert (lead.status, lead.customer, lead.owner) == (LeadStatus.CONVERTED, customer, floor.seller)
    assert lead.converted_at is not None


def test_a_landline_is_no_mobile(floor):
    lead = make(Lead, owner=floor.seller, pool=floor.public, company="甲公司", phone="0755-26551200")
    contact = leads.convert(lead, by=floor.seller).contacts.get()
    assert (contact.mobile, contact.telephone) == ("", "0755-26551200")


def test_a_lead_joins_an_existing_customer_without_doubling_its_contact(floor):
    customer = make(Customer, owner=floor.seller)
    make(Contact, customer=customer, mobile="13800138000")
    lead = make(Lead, owner=floor.seller, pool=floor.public, phone="+86 13800138000")
    assert leads.convert(lead, by=floor.seller, customer=customer) == customer
    assert customer.contacts.count() == 1


def test_nobody_joins_a_lead_to_a_customer_he_may_not_change(floor):
    lead = make(Lead, owner=floor.seller, pool=floor.public)
    with pytest.raises(PermissionDenied):
        leads.convert(lead, by=floor.seller, customer=make(Customer, owner=floor.stranger))
    assert stored(lead).status == LeadStatus.NEW


def test_a_lead_is_converted_once(floor):
    lead = make(Lead, owner=floor.seller, pool=floor.public)
    leads.convert(lead, by=floor.seller)
    with pytest.raises(leads.LeadError, match="已转化"):
        leads.convert(lead, by=floor.seller)
    assert Customer.objects.count() == 1


def test_a_lead_without_owner_is_claimed_first(floor, person):
    with pytest.raises(leads.LeadError, match="负责人"):
        leads.convert(waiting(floor.public), by=person("管理员"))


def test_what_fails_on_the_way_leaves_neither_customer_nor_state(floor):
    lead = make(Lead, owner=floor.seller, pool=floor.public)

    def refuse(lead, customer, by):
        raise leads.LeadError("不行")

    leads.conversions.add("refusing", refuse)
    try:
        with pytest.raises(leads.LeadError, match="不行"):
            leads.convert(lead, by=floor.seller)
    finally:
        del leads.conversions._providers["refusing"]
    assert stored(lead).status == LeadStatus.NEW
    assert not Customer.objects.exists() and not Contact.objects.exists()


def test_existing_customers_are_offered_by_name_and_phone_and_others_only_hinted_at(floor):
    lead = make(Lead, owner=floor.seller, pool=floor.public, company="甲 公司", phone="13800138000")
    by_name = make(Customer, owner=floor.seller, name="甲公司")
    by_contact = make(Contact, customer=make(Customer, owner=floor.seller), mobile="+8613800138000").customer
    make(Customer, owner=floor.stranger, phone="13800138000", name="秘密客户")
    make(Customer, owner=floor.seller, name="乙公司")
    found = leads.candidates(lead, by=floor.seller)
    assert set(found.visible) == {by_name, by_contact}
    assert found.elsewhere == ["归属：华北销售部"]


# --- Finding ----------------------------------------------------------------------------------------------------------


def test_leads_are_found_by_name_company_and_number_within_ones_own(floor):
    mine = make(Lead, owner=floor.seller, pool=floor.public, company="恒达精密", phone="0755-26551200")
    make(Lead, owner=floor.stranger, pool=floor.public, company="恒达精密二厂")
    rows = policy_for(Lead).visible_to(floor.seller)
    for term in (mine.name, "达精", "075526551200"):
        assert list(Lead.search(rows, term)) == [mine]


# --- Races ------------------------------------------------------------------------------------------------------------


def claim_without_looking_again(lead, user, barrier):
    """What ``claim`` must not be: look, then give."""
    seen = Lead.objects.get(pk=lead.pk)
    barrier.wait()
    if seen.owner_id is None:
        ownership.set_owner(seen, user, by=None)
        return True
    return False


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_of_many_claims_at_once_one_wins_and_the_others_hear_who(person):
    pool, sellers = make(LeadPool), [person("销售") for _ in range(12)]
    for _ in range(5):
        lead = waiting(pool)
        results = run_together(lambda n, lead=lead: leads.claim(lead, by=sellers[n]), 12)
        winners = [result for result in results if isinstance(result, Lead)]
        losers = [result for result in results if isinstance(result, leads.LeadTaken)]
        assert (len(winners), len(losers)) == (1, 11), results
        assert all(str(stored(lead).owner) in str(error) for error in losers)


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_without_looking_again_under_the_lock_several_win(person):
    """Negative control."""
    lead, sellers, barrier = waiting(make(LeadPool)), [person("销售") for _ in range(12)], Barrier(12)
    results = run_together(lambda n: claim_without_looking_again(lead, sellers[n], barrier), 12)
    assert results.count(True) > 1, results


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_many_conversions_at_once_make_one_customer(person):
    owner = person("销售")
    lead = make(Lead, owner=owner, company="甲公司")
    results = run_together(lambda n: leads.convert(lead, by=User.objects.get(pk=owner.pk)), 12)
    assert len([result for result in results if isinstance(result, Customer)]) == 1, results
    assert all(isinstance(result, Customer | leads.LeadError) for result in results), results
    assert Customer.objects.count() == Contact.objects.count() == 1


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_many_enquiries_of_one_new_number_at_once_make_one_lead(person):
    pool, seller = make(LeadPool), person("销售")

    def call(number):
        return leads.register_enquiry("13800138000", by=User.objects.get(pk=seller.pk), pool=pool, content=f"{number}")

    results = run_together(call, 12)
    assert not [result for result in results if isinstance(result, Exception)], results
    lead = Lead.objects.get()
    assert sum(result.is_new for result in results) == 1
    assert (lead.enquiry_count, lead.enquiries.count()) == (12, 12)


# --- Pages ------------------------------------------------------------------------------------------------------------


def url(page, *args, model="lead"):
    return reverse(f"admin:sales_{model}_{page}", args=args)


def test_the_pool_list_shows_a_masked_number_and_the_claimer_then_reads_all(floor, browse):
    lead = waiting(floor.public, phone="13800138000", company="秘密公司", overview="询价")
    browser = browse(floor.seller)
    page = browser.get(url("changelist", model="pooledlead")).content.decode()
    assert "138****8000" in page and "询价" in page
    assert "13800138000" not in page and "秘密公司" not in page
    answer = browser.post(url("claim", lead.pk, model="pooledlead"))
    assert answer["Location"] == url("change", lead.pk)
    page = browser.get(answer["Location"]).content.decode()
    assert "13800138000" in page and "秘密公司" in page


def test_the_pool_list_is_no_oracle_for_what_it_hides(floor, browse):
    """Neither searching nor sorting answers a question about the number or the company."""
    waiting(floor.public, phone="13900139000")
    waiting(floor.public, phone="13800138000", company="秘密公司")
    browser = browse(floor.seller)
    up, down = (browser.get(url("changelist", model="pooledlead"), {"o": order}) for order in ("2", "-2"))
    assert list(up.context["cl"].result_list) == list(down.context["cl"].result_list)
    for term in ("13800138000", "秘密"):
        page = browser.get(url("changelist", model="pooledlead"), {"q": term})
        assert page.context["cl"].result_count == 0


def test_who_comes_too_late_is_told_so_on_the_list(floor, browse):
    lead = waiting(floor.public)
    leads.claim(lead, by=floor.colleague)
    answer = browse(floor.seller).post(url("claim", lead.pk, model="pooledlead"), follow=True)
    assert "王芳" in answer.content.decode() and stored(lead).owner == floor.colleague


def test_ticked_leads_are_claimed_and_those_taken_meanwhile_are_named(floor, browse):
    free, taken = waiting(floor.public), waiting(floor.public)
    browser = browse(floor.seller)
    leads.claim(taken, by=floor.colleague)
    ticked = {"action": "claim_selected", "_selected_action": [free.pk, taken.pk], "index": "0"}
    browser.post(url("changelist", model="pooledlead"), ticked)
    assert (stored(free).owner, stored(taken).owner) == (floor.seller, floor.colleague)


def test_ticked_leads_are_assigned_after_the_question_for_whom(floor, browse):
    mine = [make(Lead, owner=floor.seller, pool=floor.public) for _ in range(2)]
    browser = browse(floor.manager)
    ticked = {"action": "assign_selected", "_selected_action": [lead.pk for lead in mine], "index": "0"}
    page = browser.post(url("changelist"), ticked)
    assert "王芳" in page.content.decode() and "孙丽" not in page.content.decode()
    assert {stored(lead).owner for lead in mine} == {floor.seller}
    browser.post(url("changelist"), {**ticked, "answered": "1", "owner": floor.colleague.pk, "reason": "调整"})
    assert {stored(lead).owner for lead in mine} == {floor.colleague}


def test_the_conversion_page_offers_and_then_joins_or_creates(floor, browse):
    lead = make(Lead, owner=floor.seller, pool=floor.public, company="甲公司", phone="13800138000")
    known = make(Customer, owner=floor.seller, name="甲公司", short_name="")
    secret = make(Customer, owner=floor.stranger, name="秘密客户", phone="13800138000")
    browser = browse(floor.seller)
    page = browser.get(url("convert", lead.pk)).content.decode()
    assert known.code in page and "华北销售部" in page and secret.name not in page and secret.code not in page
    refused = browser.post(url("convert", lead.pk), {"customer": secret.pk, "name": "甲公司", "kind": "company"})
    assert refused.status_code == 200 and stored(lead).status == LeadStatus.NEW
    browser.post(url("convert", lead.pk), {"customer": known.pk, "contact_name": "李雷"})
    assert stored(lead).customer == known and known.contacts.get().name == "李雷"


def test_a_new_customer_without_a_name_is_asked_for_it(floor, browse):
    lead = make(Lead, owner=floor.seller, pool=floor.public)
    page = browse(floor.seller).post(url("convert", lead.pk), {"customer": "", "name": "", "kind": "company"})
    assert "请填写客户名称" in page.content.decode() and stored(lead).status == LeadStatus.NEW


def test_the_bare_transition_makes_no_converted_lead_without_a_customer(floor, browse):
    lead = make(Lead, owner=floor.seller, pool=floor.public)
    browse(floor.seller).post(url("transition", lead.pk, "convert"))
    assert stored(lead).status == LeadStatus.NEW


def test_an_enquiry_is_entered_on_its_page(floor, browse):
    browser = browse(floor.seller)
    answer = browser.post(
        url("enquiry"),
        {"phone": "13800138000", "name": "李雷", "pool": floor.public.pk, "content": "询价"},
        follow=True,
    )
    assert "已放入线索池" in answer.content.decode() and Lead.objects.get().name == "李雷"
    answer = browser.post(url("enquiry"), {"phone": "138-0013-8000", "content": "催问"}, follow=True)
    assert "第 2 次咨询" in answer.content.decode() and Lead.objects.count() == 1


def test_a_lead_put_into_the_pool_from_the_form_has_no_owner(floor, browse):
    given = {"name": "甲", "phone": "13800138000", "pool": floor.public.pk, "to_pool": "on"}
    answer = browse(floor.seller).post(url("add"), given, follow=True)
    assert answer.status_code == 200 and "已放入线索池" in answer.content.decode()
    assert (Lead.objects.get().owner, Lead.objects.get().created_by) == (None, floor.seller)


def test_pools_closed_to_a_person_are_not_offered_to_him(floor, browse):
    page = browse(floor.seller).get(url("add")).content.decode()
    assert floor.public.name in page and floor.private.name not in page


def test_who_runs_a_pool_may_name_its_members_but_not_those_of_others(floor, person):
    """A role that may change pools but sees only its own data changes the pools it runs."""
    policy = policy_for(LeadPool)
    everybody = person("市场")
    assert policy.may(everybody, "change", floor.private)
    narrow = make(Role, name="池主", data_scope=DataScope.SELF)
    narrow.permissions.set(Role.objects.get(name="市场").permissions.all())
    user = make(User, groups=[narrow])
    assert not policy.may(user, "change", floor.private)
    own = make(LeadPool, admins=[user])
    assert policy.may(User.objects.get(pk=user.pk), "change", own)
