"""The public sea: who owned when, claiming and its limits, what the night takes, and what can be undone."""

from datetime import datetime, time, timedelta
from threading import Barrier, Thread

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection, transaction
from django.urls import reverse
from django.utils import timezone

from crm import ownership
from crm.jobs import execute, start
from crm.jobs.registry import all_periodic
from crm.models import (
    ApprovalRequest,
    BusinessLog,
    Department,
    DictionaryItem,
    Job,
    Notification,
    Operation,
    User,
)
from crm.policies import policy_for
from customers.models import (
    Contact,
    Customer,
    CustomerCategory,
    OwnerChange,
    OwnershipPeriod,
    PoolRule,
    RecycleBatch,
    SeaCustomer,
    StagePeriod,
)
from customers.services import pool, recycling
from customers.services.rulebook import EXEMPTIONS, Rulebook
from tests.crm.excel import pipeline
from tests.factories import make

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def rule(db):
    """The rule for everybody, which each test sets as it means."""
    PoolRule.objects.all().delete()
    return make(PoolRule, level=None, category=None, wait_days=0)


@pytest.fixture
def seller(person):
    return person("销售", full_name="张伟")


@pytest.fixture
def colleague(person, seller):
    return person("销售", full_name="王芳", department=seller.department)


@pytest.fixture
def manager(person, seller):
    return person("销售主管", full_name="黄强", department=seller.department)


@pytest.fixture(autouse=True)
def _owners_and_grants_agree(request):
    yield
    if request.node.get_closest_marker("mysql") is None:
        assert not any(rows.exists() for rows in ownership.disagreements(Customer).values())


def stored(obj):
    return type(obj)._base_manager.get(pk=obj.pk)


def change(rule, **values):
    for name, value in values.items():
        setattr(rule, name, value)
    rule.save()


def aged(days=0, *, owner=None, follow=None, deal=None, **values):
    """A customer that its owner (or the sea) has had for ``days``, followed up and sold to so many days ago."""
    ago = [None if number is None else timezone.now() - number * DAY for number in (follow, deal)]
    return make(
        Customer,
        owner=owner,
        owned_since=timezone.now() - days * DAY,
        last_followed_at=ago[0],
        last_deal_at=ago[1],
        **values,
    )


def nightly():
    job = start("customers.recycle")
    execute(job.pk)
    job.refresh_from_db()
    assert job.state == Job.State.DONE, job.error
    return job


# --- Who owned when ---------------------------------------------------------------------------------------------------


def test_every_change_of_owner_closes_a_period_that_says_how_it_began_and_ended(rule, seller, colleague, manager):
    customer = aged(10, owner=seller)
    pool.release(customer, by=seller, reason="没有需求")
    pool.claim(customer, by=colleague)
    ownership.set_owner(customer, seller, by=manager, reason="调整")
    told = customer.ownership_periods.order_by("pk").values_list(
        "owner", "began", "ended", "former_owner", "next_owner", "reason"
    )
    assert list(told) == [
        (seller.pk, "entered", "released", None, None, "没有需求"),
        (None, "released", "claimed", seller.pk, colleague.pk, "认领"),
        (colleague.pk, "claimed", "transferred", None, seller.pk, "调整"),
    ]
    first, sea, last = customer.ownership_periods.order_by("pk")
    assert (first.days, first.ended_at, sea.ended_at) == (10, sea.started_at, last.started_at)
    assert stored(customer).owned_since == last.ended_at


def test_an_owner_change_is_one_version_and_one_log_entry_of_the_customer(rule, seller, colleague, manager):
    customer = aged(3, owner=seller)
    versions = customer.history.count()
    entries = BusinessLog.objects.filter(business_no=customer.code, object_repr=str(customer)).count()
    ownership.set_owner(customer, colleague, by=manager)
    assert customer.history.count() == versions + 1
    assert BusinessLog.objects.filter(business_no=customer.code, object_repr=str(customer)).count() == entries + 1
    assert customer.history.latest().owned_since == stored(customer).owned_since


def test_a_customer_entered_without_owner_is_in_the_sea_since_then(seller):
    customer = make(Customer, owner=None)
    assert customer.sea_since == customer.owned_since and make(Customer, owner=seller).sea_since is None


def test_an_import_that_changes_the_owner_closes_a_period_as_the_button_does(rule, seller, colleague, manager):
    customer = aged(10, owner=seller, code="C1", name="甲公司", protected_until=timezone.localdate())
    titles = ["客户代码", "客户名称", "负责人"]
    pipeline.applied(pipeline.checked(manager, titles, [["C1", "甲公司", colleague.username]]))
    period = customer.ownership_periods.get()
    assert (period.owner, period.next_owner, period.ended) == (seller, colleague, OwnerChange.TRANSFERRED)
    assert (period.days, stored(customer).owned_since) == (10, period.ended_at)
    assert stored(customer).protected_until is None


def test_an_import_puts_new_customers_into_the_sea_where_the_file_says_so(rule, seller, manager, person):
    """By the word or by a default for blank cells; blank alone means oneself. What somebody owns stays with him."""
    owned, waiting = aged(9, owner=seller, name="丁公司"), aged(9, name="戊公司")
    titles = ["客户名称", "负责人"]
    rows = [["甲公司", "公海"], ["乙公司", None], ["丙公司", seller.username], ["丁公司", "公海"]]
    batch = pipeline.applied(pipeline.checked(manager, titles, rows))
    assert "退回公海" in "".join(pipeline.problems(batch)[5])
    owners = dict(Customer.objects.values_list("name", "owner"))
    assert [owners[f"{name}公司"] for name in "甲乙丙丁"] == [None, manager.pk, seller.pk, seller.pk]
    pipeline.applied(pipeline.checked(manager, titles, [["己公司", None]], defaults={"owner": "公海"}))
    assert Customer.objects.get(name="己公司").sea_since
    again = pipeline.checked(person("管理员"), titles, [["甲公司", "公海"]])
    assert again.rows.get().kind == pipeline.Kind.UNCHANGED
    assert stored(owned).owner == seller and stored(waiting).owner is None


def test_only_who_may_give_customers_up_imports_into_the_sea(rule, person):
    manager = person("销售主管")
    role = manager.groups.get()
    role.permissions.remove(*role.permissions.filter(codename="release_customer"))
    batch = pipeline.checked(User.objects.get(pk=manager.pk), ["客户名称", "负责人"], [["甲公司", "公海"]])
    assert "没有“退回公海”的权限" in "".join(pipeline.problems(batch)[2])


# --- Claiming ---------------------------------------------------------------------------------------------------------


def test_who_claims_owns_and_sees_the_customer(rule, seller):
    customer = aged(5)
    assert not policy_for(Customer).may(seller, "view", customer)
    assert pool.claim(customer, by=seller).owner == seller
    assert policy_for(Customer).may(seller, "change", customer)


def test_who_comes_too_late_is_told_who_won(rule, seller, colleague):
    customer = aged(5)
    pool.claim(customer, by=seller)
    with pytest.raises(pool.CustomerTaken, match="张伟"):
        pool.claim(customer, by=colleague)
    with pytest.raises(pool.CustomerTaken, match="已被您认领"):
        pool.claim(customer, by=seller)


def test_a_customer_that_never_was_in_the_sea_does_not_exist_for_others(rule, seller, colleague, person):
    customer = aged(0, owner=seller)
    for user in (colleague, person("客服")):
        with pytest.raises(PermissionDenied):
            pool.claim(customer, by=user)
    with pytest.raises(PermissionDenied):
        pool.claim(aged(3), by=person("客服"))
    with pytest.raises(PermissionDenied):
        pool.claim(aged(3, is_enabled=False), by=seller)


def test_nobody_claims_beyond_the_number_of_customers_that_a_rule_allows(rule, seller):
    """Customers under another rule do not count."""
    change(rule, owner_limit=2)
    special = make(PoolRule, category=None, owner_limit=1)
    aged(1, owner=seller, level=special.level)
    for _ in range(2):
        pool.claim(aged(5), by=seller)
    with pytest.raises(pool.PoolError, match=r"您已有 2 个.*上限 2 个"):
        pool.claim(aged(5), by=seller)
    with pytest.raises(pool.PoolError, match="您已有 1 个"):
        pool.claim(aged(5, level=special.level), by=seller)


def test_nobody_claims_more_a_day_than_a_rule_allows_but_yesterdays_claims_do_not_count(rule, seller):
    change(rule, daily_limit=1)
    first = pool.claim(aged(5), by=seller)
    with pytest.raises(pool.PoolError, match="今天已认领 1 个"):
        pool.claim(aged(5), by=seller)
    period = first.ownership_periods.get()
    period.ended_at = timezone.make_aware(datetime.combine(timezone.localdate(), time.min)) - timedelta(seconds=1)
    period.save()
    assert pool.claim(aged(5), by=seller).owner == seller


def test_the_previous_owner_waits_and_others_do_not(rule, seller, colleague, manager):
    change(rule, wait_days=7)
    customer, other = aged(20, owner=seller), aged(20, owner=seller)
    for one in (customer, other):
        pool.release(one, by=seller, reason="没有需求")
    with pytest.raises(pool.PoolError, match=r"您是.*原负责人"):
        pool.claim(customer, by=seller)
    assert pool.claim(customer, by=colleague).owner == colleague
    Customer.objects.filter(pk=other.pk).update(owned_since=timezone.now() - 7 * DAY)
    assert pool.claim(other, by=seller).owner == seller


def test_what_just_fell_into_the_sea_is_held_back_for_some_hours(rule, seller, colleague):
    change(rule, hold_hours=24)
    customer = aged(20, owner=seller)
    pool.release(customer, by=seller, reason="没有需求")
    with pytest.raises(pool.PoolError, match="开放认领"):
        pool.claim(customer, by=colleague)
    Customer.objects.filter(pk=customer.pk).update(owned_since=timezone.now() - timedelta(hours=25))
    assert pool.claim(customer, by=colleague).owner == colleague


def test_a_claim_moves_the_stage_where_the_rule_says_so(rule, seller):
    change(rule, claim_stage="ordinary")
    customer = pool.claim(aged(5), by=seller)
    assert (stored(customer).stage, StagePeriod.objects.get().next_stage) == ("ordinary", "ordinary")


def test_a_sea_kept_for_a_department_is_open_to_those_below_it_and_to_nobody_else(rule, person):
    top = make(Department, parent=None, manager=None)
    below = make(Department, parent=top, manager=None)
    special = make(PoolRule, category=None, departments=[top])
    customer = aged(5, level=special.level)
    outside = person("销售")
    assert not policy_for(SeaCustomer).may(outside, "view", SeaCustomer.objects.get(pk=customer.pk))
    with pytest.raises(PermissionDenied):
        pool.claim(customer, by=outside)
    assert pool.claim(customer, by=person("销售", department=below))


def test_the_rule_for_everybody_may_keep_all_of_the_sea_for_a_department(rule, seller, person):
    rule.save(m2m={"departments": [seller.department]})
    customer, outside = aged(5), person("销售")
    assert not policy_for(SeaCustomer).visible_to(outside).exists()
    with pytest.raises(PermissionDenied):
        pool.claim(customer, by=outside)
    assert pool.claim(customer, by=seller)


# --- Assigning, releasing, protecting ---------------------------------------------------------------------------------


def test_a_manager_assigns_several_at_once_to_his_people_all_or_none(rule, seller, colleague, manager, person):
    change(rule, owner_limit=1)
    chosen = [aged(5), aged(5)]
    assert pool.assign(chosen, seller, by=manager, reason="分区") == 2
    assert Notification.objects.get(user=seller).title == "黄强把 2 个公海客户分配给您"
    free = aged(5)
    with pytest.raises(pool.CustomerTaken):
        pool.assign([free, chosen[0]], colleague, by=manager)
    assert stored(free).owner is None
    with pytest.raises(pool.PoolError, match="数据范围内"):
        pool.assign(free, person("销售"), by=manager)
    with pytest.raises(pool.PoolError):
        pool.assign(free, seller, by=colleague)


def test_a_release_needs_a_reason_and_takes_the_collaborators_rights_too(rule, seller, colleague):
    customer = aged(5, owner=seller)
    ownership.add_collaborator(customer, colleague, by=seller)
    with pytest.raises(PermissionDenied):
        pool.release(customer, by=colleague, reason="想自己认领")
    with pytest.raises(pool.PoolError, match="原因"):
        pool.release(customer, by=seller, reason=" ")
    pool.release(customer, by=seller, reason="没有需求")
    assert not policy_for(Customer).grants.objects.filter(content_object=customer).exists()
    with pytest.raises(PermissionDenied):
        pool.release(customer, by=seller, reason="再来一次")


def test_protection_has_a_last_day_a_limit_and_ends_with_the_owner(rule, seller, colleague, manager):
    change(rule, protect_limit=1, protect_days=30)
    customer, today = aged(50, owner=seller), timezone.localdate()
    with pytest.raises(pool.PoolError, match="最长 30 天"):
        pool.protect(customer, today + 31 * DAY, by=seller)
    with pytest.raises(pool.PoolError, match="不能早于今天"):
        pool.protect(customer, today - DAY, by=seller)
    with pytest.raises(PermissionDenied):
        pool.protect(customer, today, by=colleague)
    pool.protect(customer, today + 30 * DAY, by=seller)
    pool.protect(customer, today + 20 * DAY, by=seller)
    with pytest.raises(pool.PoolError, match="已保护 1 个"):
        pool.protect(aged(50, owner=seller), today, by=seller)
    assert not Rulebook().due(today).filter(pk=customer.pk).exists()
    pool.unprotect(customer, by=seller)
    assert Rulebook().due(today).filter(pk=customer.pk).exists()
    pool.protect(customer, today, by=manager)
    ownership.set_owner(customer, colleague, by=manager)
    assert stored(customer).protected_until is None


# --- The night --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "follow", "deal", "taken"),
    [
        (29, None, 1, False),  # owned for less than the days of any criterion
        (30, None, 1, True),  # never followed up
        (89, 1, None, False),
        (90, 1, None, True),  # never sold to
        (200, 29, 89, False),
        (200, 30, 1, True),
        (200, 1, 90, True),
        (5, 200, 200, False),  # what the former owner left undone does not count
    ],
)
def test_a_customer_is_taken_on_the_day_that_a_criterion_is_reached(rule, seller, days, follow, deal, taken):
    customer = aged(days, owner=seller, follow=follow, deal=deal)
    assert Rulebook().due(timezone.localdate()).filter(pk=customer.pk).exists() is taken


def test_the_most_specific_rule_counts(rule, seller):
    parent = make(CustomerCategory, parent=None)
    child = make(CustomerCategory, parent=parent)
    level = make(DictionaryItem, type="level")
    rules = {
        "level": make(PoolRule, level=level, category=None),
        "parent": make(PoolRule, level=None, category=parent),
        "child": make(PoolRule, level=None, category=child),
        "both": make(PoolRule, level=level, category=parent),
        "all": rule,
    }
    cases = [
        ("all", {}),
        ("level", {"level": level}),
        ("parent", {"categories": [parent]}),
        ("child", {"categories": [child, parent]}),
        ("both", {"level": level, "categories": [child]}),
    ]
    customers = {name: make(Customer, owner=seller, **values) for name, values in cases}
    book = Rulebook()
    found = book.rules_of(customers.values())
    for name, customer in customers.items():
        assert found[customer.pk] == rules[name], name
        assert list(Customer.objects.filter(book.under(rules[name]))) == [customer], name


def test_words_and_query_agree_on_every_customer_and_every_day(rule, seller):
    """The list says when; the night must do it then. Protection, rules and exemptions included."""
    special = make(PoolRule, category=None, follow_days=10, deal_days=None, warn_days=3)
    never = make(PoolRule, category=None, follow_days=None, deal_days=None)
    today = timezone.localdate()
    for days in (1, 10, 31, 95):
        for values in ({}, {"level": special.level}, {"level": never.level}, {"is_closed": True}):
            for more in ({}, {"follow": 4}, {"deal": 40}, {"protected_until": today + 5 * DAY}):
                aged(days, owner=seller, industry=None, area=None, real_customer=None, **values, **more)
    waiting = aged(95, owner=seller)
    make(ApprovalRequest, target_id=waiting.pk)
    book, customers = Rulebook(), list(Customer.objects.exclude(owner=None))
    seen = set()
    for ahead in range(0, 40, 4):
        day = today + ahead * DAY
        outlooks = book.outlooks(customers, today)
        promised = {pk for pk, outlook in outlooks.items() if outlook.day is not None and outlook.day <= day}
        assert promised == set(book.due(day).values_list("pk", flat=True)), day
        seen.add(len(promised))
    assert len(seen) > 3
    near = {pk for pk, outlook in book.outlooks(customers, today).items() if outlook.is_near}
    assert near == set(book.due(today, ahead=True).values_list("pk", flat=True))


def test_the_page_says_how_many_days_are_left_and_why(rule, seller):
    customers = [aged(25, owner=seller, deal=1), aged(40, owner=seller, follow=31, deal=1)]
    waiting = aged(95, owner=seller)
    make(ApprovalRequest, target_id=waiting.pk)
    found = Rulebook().outlooks([*customers, waiting])
    assert [found[c.pk].text for c in [*customers, waiting]] == [
        "还有 5 天回收，因为已 25 天没有跟进",
        "今夜回收，因为已 31 天没有跟进",
        "不回收：有审批在途",
    ]


def test_an_upper_app_exempts_customers(rule, seller, monkeypatch):
    kept = aged(95, owner=seller)
    monkeypatch.setitem(
        EXEMPTIONS._providers, "有进行中的商机", lambda: Customer.objects.filter(pk=kept.pk).values("pk")
    )
    assert not Rulebook().due(timezone.localdate()).exists()
    assert Rulebook().outlooks([kept])[kept.pk].text == "不回收：有进行中的商机"


def test_a_dry_run_is_what_the_run_takes_and_a_second_run_takes_nothing(rule, seller, colleague):
    due = [aged(35 + number, owner=seller, name=f"闲置{number}号", short_name="") for number in range(3)]
    kept = [aged(1, owner=seller), aged(35, owner=seller, follow=2, deal=2)]
    first, *lines = all_periodic()["customers.recycle"].preview()
    assert first == "回收 3 个客户" and all(c.code in line for c, line in zip(due, lines, strict=True))
    job = nightly()
    batch = RecycleBatch.objects.get()
    assert {c.pk for c in Customer.objects.filter(owner=None)} == {c.pk for c in due} and batch.count == 3
    assert "回收了 3 个客户" in job.message
    assert {period.customer_id for period in batch.periods.all()} == {c.pk for c in due}
    assert {stored(c).owner for c in kept} == {seller}
    nightly()
    assert RecycleBatch.objects.count() == 1 and OwnershipPeriod.objects.count() == 3


def test_a_missed_night_is_caught_up(rule, seller):
    """What was due three nights ago is due still."""
    customer = aged(33, owner=seller)
    assert Rulebook().outlooks([customer])[customer.pk].days == -3
    nightly()
    assert stored(customer).owner is None


def test_what_is_taken_in_several_chunks_is_one_batch(rule, seller, monkeypatch):
    from customers import background

    monkeypatch.setattr(background, "CHUNK", 2)
    for _ in range(5):
        aged(35, owner=seller)
    nightly()
    assert RecycleBatch.objects.get().count == 5 and not Customer.objects.exclude(owner=None).exists()


def test_owners_are_warned_once_a_day_and_told_what_was_taken(rule, seller):
    near = aged(25, owner=seller, name="甲公司", short_name="")
    nightly()
    nightly()
    warning = Notification.objects.get(user=seller)
    assert warning.title == "1 个客户即将回收到公海" and "甲公司（还有 5 天回收" in warning.body
    Customer.objects.filter(pk=near.pk).update(owned_since=timezone.now() - 31 * DAY)
    nightly()
    assert Notification.objects.filter(user=seller, title="1 个客户已自动回收到公海").exists()


def test_undo_gives_owners_and_grants_back_exactly_but_leaves_alone_what_moved_on(rule, seller, colleague, person):
    helper, claimer, admin = person("销售"), person("销售"), person("管理员")
    kept, moved = aged(40, owner=seller), aged(40, owner=seller)
    ownership.add_collaborator(kept, helper, by=seller, level="view")
    ownership.add_collaborator(kept, colleague, by=seller, level="change")
    grants = policy_for(Customer).grants.objects.filter(content_object=kept)
    before = set(grants.values_list("user_id", "permission_id"))
    nightly()
    assert not grants.exists()
    pool.claim(moved, by=claimer)
    batch = RecycleBatch.objects.get()
    with pytest.raises(PermissionDenied):
        recycling.undo(batch, by=person("销售总监"))
    job = recycling.undo(batch, by=admin)
    execute(job.pk)
    job.refresh_from_db()
    assert job.message.startswith("已恢复 1 个客户的负责人和协作人；1 个"), (job.message, job.error)
    assert set(grants.values_list("user_id", "permission_id")) == before
    assert (stored(kept).owner, stored(moved).owner) == (seller, claimer)
    assert stored(kept).ownership_periods.latest("pk").ended == OwnerChange.RESTORED
    with pytest.raises(pool.PoolError, match="撤销"):
        recycling.undo(batch, by=admin)
    nightly()
    assert stored(kept).owner == seller


# --- Pages ------------------------------------------------------------------------------------------------------------


def url(page, *args, model="seacustomer"):
    return reverse(f"admin:customers_{model}_{page}", args=args)


def test_the_sea_shows_a_masked_number_and_the_claimer_then_reads_all(rule, seller, browse):
    customer = aged(5, phone="13800138000", address="秘密地址")
    browser = browse(seller)
    page = browser.get(url("changelist")).content.decode()
    assert "138****8000" in page and "13800138000" not in page and "查看电话" not in page
    answer = browser.post(url("claim", customer.pk))
    page = browser.get(answer["Location"]).content.decode()
    assert "13800138000" in page and "秘密地址" in page


def test_the_sea_is_no_oracle_for_what_it_hides(rule, seller, browse):
    aged(5, phone="13800138000", address="秘密地址")
    for term in ("13800138000", "秘密地址"):
        page = browse(seller).get(url("changelist"), {"q": term})
        assert page.context["cl"].result_count == 0


def test_a_revealed_number_is_logged_with_who_looked(rule, seller, manager, browse):
    customer = aged(5, phone="13800138000")
    make(Contact, customer=customer, name="李雷", mobile="13900139000")
    assert browse(seller).post(url("reveal", customer.pk)).status_code == 404
    page = browse(manager).post(url("reveal", customer.pk)).content.decode()
    assert "13800138000" in page and "13900139000" in page
    entry = BusinessLog.objects.get(operation=Operation.REVEAL)
    assert (entry.user, entry.object_id) == (manager, customer.pk)
    assert browse(manager).get(url("reveal", customer.pk)).status_code == 404


def test_ticked_customers_are_claimed_and_those_taken_meanwhile_are_named(rule, seller, colleague, browse):
    free, taken = aged(5), aged(5)
    browser = browse(seller)
    pool.claim(taken, by=colleague)
    limit = aged(5)
    change(rule, owner_limit=1)
    ticked = {"action": "claim_selected", "_selected_action": [free.pk, taken.pk, limit.pk], "index": "0"}
    page = browser.post(url("changelist"), ticked, follow=True).content.decode()
    assert "认领了 1 个客户" in page and "上限 1 个" in page
    assert {stored(free).owner, stored(limit).owner} == {seller, None} and stored(taken).owner == colleague


def test_a_manager_assigns_from_the_sea_after_the_question_for_whom(rule, seller, manager, browse):
    customer = aged(5)
    ticked = {"action": "assign_selected", "_selected_action": [customer.pk], "index": "0"}
    page = browse(manager).post(url("changelist"), ticked)
    assert "张伟" in page.content.decode() and stored(customer).owner is None
    browse(manager).post(url("changelist"), {**ticked, "answered": "1", "owner": seller.pk, "reason": "分区"})
    assert stored(customer).owner == seller


def test_list_and_page_of_the_owner_say_when_and_why(rule, seller, browse):
    customer = aged(25, owner=seller, name="甲公司")
    aged(1, owner=seller, name="乙公司")
    words = "还有 5 天回收，因为已 25 天没有跟进"
    assert Rulebook().outlooks([customer])[customer.pk].brief == "还有 5 天"
    browser = browse(seller)
    page = browser.get(url("changelist", model="customer"), {"sea": "soon"})
    assert words in page.content.decode() and list(page.context["cl"].result_list) == [customer]
    assert words in browser.get(url("change", customer.pk, model="customer")).content.decode()
    home = browser.get(reverse("admin:index")).content.decode()
    assert "即将回收" in home and f"sea=soon&amp;owner={seller.pk}" in home


def test_an_owner_releases_and_protects_on_the_page(rule, seller, browse):
    customer, until = aged(25, owner=seller), timezone.localdate() + 3 * DAY
    browser = browse(seller)
    browser.post(url("protect", customer.pk, model="customer"), {"until": until.isoformat()})
    assert stored(customer).protected_until == until
    page = browser.post(url("protect", customer.pk, model="customer"), {"until": "2026-02-31"}, follow=True)
    assert "请填写日期" in page.content.decode()
    browser.post(url("protect", customer.pk, model="customer"), {"until": ""})
    assert stored(customer).protected_until is None
    answer = browser.post(url("release", customer.pk, model="customer"), {"reason": "没有需求"})
    assert answer["Location"] == url("changelist", model="customer") and stored(customer).owner is None
    assert browser.get(url("change", customer.pk, model="customer")).status_code == 404


def test_a_second_rule_for_the_same_customers_is_refused_until_the_first_is_removed(rule, person, browse):
    admin = browse(person("管理员"))
    given = {"warn_days": 7, "protect_days": 90, "wait_days": 7, "hold_hours": 0, "follow_days": 15}
    page = admin.post(url("add", model="poolrule"), given)
    assert "已有规则" in page.content.decode()
    admin.post(url("delete", rule.pk, model="poolrule"), {"post": "yes"})
    admin.post(url("add", model="poolrule"), given)
    assert PoolRule.objects.valid().get().follow_days == 15


# --- Several at once --------------------------------------------------------------------------------------------------

THREADS, ROUNDS = 16, 8


def together(work, threads=THREADS):
    """What ``work(n)`` gives in each of ``threads`` that start at the same moment; errors count as results."""
    barrier, results = Barrier(threads), []

    def body(number):
        try:
            connection.ensure_connection()
            barrier.wait()
            results.append(work(number))
        except Exception as error:
            results.append(error)
        finally:
            connection.close()

    started = [Thread(target=body, args=(number,)) for number in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    return results


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_of_many_who_claim_at_once_one_wins_and_the_others_are_told_who(rule, person):
    sellers = [person("销售").pk for _ in range(THREADS)]
    for _ in range(ROUNDS):
        customer = aged(5)
        results = together(lambda n, c=customer: pool.claim(c, by=User.objects.get(pk=sellers[n])))
        winners = [result for result in results if isinstance(result, Customer)]
        losers = [result for result in results if isinstance(result, pool.CustomerTaken)]
        assert (len(winners), len(losers)) == (1, THREADS - 1), results
        assert all(str(stored(customer).owner) in str(error) for error in losers)
        assert customer.ownership_periods.count() == 1
    assert not any(rows.exists() for rows in ownership.disagreements(Customer).values())


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_claims_of_one_person_at_once_exceed_neither_limit(rule, person):
    change(rule, owner_limit=5, daily_limit=3)
    seller, customers = person("销售"), [aged(5) for _ in range(THREADS)]
    results = together(lambda n: pool.claim(customers[n], by=User.objects.get(pk=seller.pk)))
    assert len([result for result in results if isinstance(result, Customer)]) == 3, results
    assert len([result for result in results if isinstance(result, pool.PoolError)]) == THREADS - 3, results
    assert Customer.objects.filter(owner=seller).count() == 3


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_without_the_lock_on_the_rule_a_limit_is_exceeded(rule, person, monkeypatch):
    """Negative control: the same claims, the rule read without being locked, all counting before any has written."""
    change(rule, daily_limit=3)
    seller, customers, counted = person("销售"), [aged(5) for _ in range(THREADS)], Barrier(THREADS)

    def check(*args):
        original(*args)
        counted.wait(timeout=20)

    original = pool._check_limits
    monkeypatch.setattr(pool, "_locked_rule", lambda book, customer: book.rule_of(customer))
    monkeypatch.setattr(pool, "_check_limits", check)
    results = together(lambda n: pool.claim(customers[n], by=User.objects.get(pk=seller.pk)))
    assert len([result for result in results if isinstance(result, Customer)]) > 3, results


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_without_the_lock_on_the_customer_several_win(rule, person):
    """Negative control."""
    sellers, customer, looked = [person("销售").pk for _ in range(THREADS)], aged(5), Barrier(THREADS)

    def claim(number):
        with transaction.atomic():
            free = Customer.objects.get(pk=customer.pk).owner_id is None
            looked.wait(timeout=20)
            if free:
                ownership.set_owner(customer, User.objects.get(pk=sellers[number]), by=None)
            return free

    assert together(claim).count(True) > 1


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_a_follow_up_in_the_night_saves_the_customer_or_comes_too_late(rule, seller):
    """Recycling looks again under the lock: never is a customer taken that was followed up before."""
    for _ in range(6):
        customer = aged(35, owner=seller)

        def follow(number, customer=customer):
            with transaction.atomic():
                locked = Customer.objects.select_for_update().get(pk=customer.pk)
                if locked.owner_id is None:
                    return "too late"
                locked.last_followed_at = locked.last_deal_at = timezone.now()
                locked.save(update_fields=["last_followed_at", "last_deal_at"])
                return "in time"

        def night(number, customer=customer):
            with transaction.atomic():
                batch = RecycleBatch.objects.create(day=timezone.localdate())
                return recycling.recycle([customer.pk], batch, timezone.localdate())

        results = together(lambda n: (follow if n else night)(n), threads=2)
        assert (1 in results) == ("too late" in results), results
        assert (stored(customer).owner is None) == ("too late" in results)
