"""The engine of approvals, seen on the deletion and stage of customers, which need nothing but themselves."""

from threading import Barrier

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction

from crm import approvals, records
from crm.approvals import engine, kinds
from crm.models import (
    ApprovalLevel,
    ApprovalPolicy,
    ApprovalRequest,
    ApprovalTask,
    BusinessLog,
    Department,
    Notification,
    Operation,
    Role,
    User,
)
from crm.policies import policy_for
from customers.models import Customer, Stage
from tests.factories import make
from tests.races import run_together

STAGE, DELETION = "customer.stage", "customer.deletion"
UP = {"from": Stage.LEAD, "to": Stage.ORDINARY}
State = ApprovalRequest.State


@pytest.fixture
def team(person, db):
    """A salesperson with a manager, above him a director, and two reviewers."""

    class Team:
        top = make(Department, name="销售中心", parent=None, manager=None)
        unit = make(Department, name="华东", parent=top, manager=None)
        director = person("销售总监", department=top, full_name="总监")
        manager = person("销售主管", department=unit, full_name="主管")
        seller = person("销售", department=unit, full_name="销售")
        reviewer = person("审批人", full_name="审批一")
        second = person("审批人", full_name="审批二")
        stranger = person("销售", full_name="外人")

    Team.top.manager, Team.unit.manager = Team.director, Team.manager
    Team.top.save(), Team.unit.save()
    Team.customer = make(Customer, owner=Team.seller, name="前海云创")
    return Team


def ask(team, code=DELETION, values=None, by=None):
    return approvals.submit(code, team.customer, by=by or team.seller, values=values or {}, reason="重复录入")


def agree(request, by, comment=""):
    return approvals.approve(request, by=by, digest=request.digest, comment=comment)


def fresh(customer):
    return Customer._base_manager.get(pk=customer.pk)


def test_nothing_happens_before_the_last_level_agrees(team):
    """Two levels decide one after another; the live row changes with the last decision and not before."""
    request = ask(team)
    assert fresh(team.customer).is_valid and request.is_pending
    assert engine.waiting_for(request) == [team.manager]
    request = agree(request, team.manager)
    assert fresh(team.customer).is_valid
    assert set(engine.waiting_for(request)) == {team.reviewer, team.second}
    request = agree(request, team.second)
    assert request.state == State.APPROVED and not fresh(team.customer).is_valid


def test_one_decision_settles_the_level_for_all(team):
    request = agree(ask(team), team.manager)
    agree(request, team.second)
    states = dict(request.tasks.filter(level=2).values_list("user__full_name", "state"))
    assert states == {"审批二": ApprovalTask.State.DONE, "审批一": ApprovalTask.State.CLOSED}
    with pytest.raises(approvals.ApprovalRefused):
        agree(request, team.reviewer)


def test_nobody_decides_on_what_he_asked_for(team):
    """A manager's own request goes to the manager above him; even a transfer cannot bring it back to him."""
    request = ask(team, by=team.manager)
    assert engine.waiting_for(request) == [team.director]
    with pytest.raises(PermissionDenied):
        agree(request, team.manager)
    with pytest.raises(approvals.ApprovalRefused):
        approvals.transfer(request, team.manager, by=team.director)


def test_whoever_decided_once_does_not_decide_again_while_others_can(team):
    """Four eyes: a manager who is a reviewer too is not asked at the second level."""
    team.manager.groups.add(Role.objects.get(name="审批人"))
    request = agree(ask(team), team.manager)
    assert team.manager not in engine.waiting_for(request)


def test_only_those_it_waits_for_decide(team):
    request = ask(team)
    for other in (team.director, team.reviewer, team.stranger):
        with pytest.raises(PermissionDenied):
            agree(request, other)
    team.manager.is_active = False
    team.manager.save()
    with pytest.raises(PermissionDenied):
        agree(request, team.manager)


def test_what_is_approved_is_what_was_seen(team):
    with pytest.raises(approvals.ApprovalRefused, match="不一致"):
        approvals.approve(ask(team), by=team.manager, digest="0" * 64)


def test_a_rejection_needs_a_reason_and_changes_nothing(team):
    request = ask(team)
    with pytest.raises(approvals.ApprovalRefused, match="原因"):
        approvals.reject(request, by=team.manager, digest=request.digest, comment=" ")
    request = approvals.reject(request, by=team.manager, digest=request.digest, comment="还有欠款")
    assert request.state == State.REJECTED and fresh(team.customer).is_valid
    assert Notification.objects.filter(user=team.seller, body="还有欠款").exists()


def test_two_open_requests_never_touch_the_same(team):
    """The second names who is first and since when; once the first is withdrawn, the way is free."""
    first = ask(team)
    with pytest.raises(approvals.ApprovalRefused, match="销售于"):
        ask(team, by=team.manager)
    ask(team, STAGE, UP)
    approvals.withdraw(first, by=team.seller)
    assert ask(team, by=team.manager).is_pending


def test_only_the_applicant_withdraws_and_only_while_it_is_open(team):
    request = ask(team, STAGE, UP)
    with pytest.raises(PermissionDenied):
        approvals.withdraw(request, by=team.manager)
    agree(request, team.manager)
    with pytest.raises(approvals.ApprovalRefused, match="已通过"):
        approvals.withdraw(request, by=team.seller)
    assert fresh(team.customer).stage == Stage.ORDINARY


def test_a_stale_base_is_refused_and_shown(team):
    """What changed since the proposal stands in its way; the request stays open for a rejection."""
    from customers.services.lifecycle import change_stage

    request = ask(team, STAGE, UP)
    change_stage(team.customer, Stage.LAPSED, by=None)
    with pytest.raises(approvals.ApprovalConflict) as refused:
        agree(request, team.manager)
    assert refused.value.conflicts == ["客户阶段已变为“失效”"]
    assert ApprovalRequest.objects.get(pk=request.pk).is_pending
    assert not request.decisions.filter(action="approve").exists()


def test_without_an_active_policy_a_request_takes_effect_at_once(team):
    ApprovalPolicy.objects.filter(kind=STAGE).update(is_active=False)
    request = ask(team, STAGE, UP)
    assert request.state == State.APPROVED and fresh(team.customer).stage == Stage.ORDINARY


def test_a_transfer_moves_the_task_and_is_told(team, person):
    other = person("审批人", full_name="代办")
    request = ask(team)
    approvals.transfer(request, other, by=team.manager, comment="我在出差")
    assert engine.waiting_for(request) == [other]
    with pytest.raises(PermissionDenied):
        agree(request, team.manager)
    assert agree(request, other).level == 2
    assert Notification.objects.filter(user=other, link=engine.link(request)).exists()


def test_the_administrator_reassigns_what_a_leaver_holds(team, person):
    administrator, request = person("管理员"), ask(team)
    with pytest.raises(PermissionDenied):
        approvals.transfer(request, team.reviewer, by=team.director, task_of=team.manager)
    approvals.transfer(request, team.reviewer, by=administrator, task_of=team.manager)
    assert engine.waiting_for(request) == [team.reviewer]


def test_reminders_come_at_most_once_an_hour(team):
    request = ask(team)
    before = Notification.objects.filter(user=team.manager).count()
    assert approvals.remind(request, by=team.seller) == 1
    assert Notification.objects.filter(user=team.manager).count() == before + 1
    with pytest.raises(approvals.ApprovalRefused, match="一小时"):
        approvals.remind(request, by=team.seller)


def test_a_level_without_people_falls_to_whoever_may_reassign(team, person):
    """A customer without an owner has no department manager: the administrator is asked."""
    administrator = person("管理员")
    team.customer = make(Customer, owner=None)
    request = approvals.submit(DELETION, team.customer, by=person("管理员"), values={})
    assert administrator in engine.waiting_for(request)
    assert request.applicant not in engine.waiting_for(request)


def test_where_nobody_could_decide_nothing_is_submitted(team):
    ApprovalLevel.objects.filter(policy__kind=STAGE).update(approver="people")
    User.objects.filter(is_superuser=True).update(is_active=False)
    with pytest.raises(approvals.ApprovalRefused, match="没有可以审批的人"):
        ask(team, STAGE, UP)
    assert not ApprovalRequest.objects.exists()


def test_one_needs_the_right_to_the_record_to_ask(team):
    with pytest.raises(PermissionDenied):
        ask(team, by=team.stranger)


def test_a_senseless_proposal_is_refused_at_once(team):
    with pytest.raises(ValidationError, match="已经在"):
        ask(team, STAGE, {"from": Stage.LEAD, "to": Stage.LEAD})


def test_the_amount_chooses_the_policy(team, monkeypatch):
    """The policy with the highest threshold that the amount reaches applies."""
    big = ApprovalPolicy.objects.create(kind=STAGE, name="大额", min_amount=100)
    monkeypatch.setattr(kinds.get(STAGE), "amount", lambda target, values: values["amount"], raising=False)
    for amount, expected in ((99, "客户阶段变更审批"), (100, "大额"), (5000, "大额")):
        assert engine.policy_of(kinds.get(STAGE), team.customer, {"amount": amount}).name == expected
    big.is_active = False
    big.save()
    assert engine.policy_of(kinds.get(STAGE), team.customer, {"amount": 5000}).name == "客户阶段变更审批"


def test_a_request_keeps_the_levels_it_was_submitted_with(team):
    """Whoever changes a policy does not change what is on its way."""
    request = ask(team)
    ApprovalPolicy.objects.get(kind=DELETION).levels.all().delete()
    assert agree(request, team.manager).level == 2


def test_the_log_of_the_record_tells_the_story(team):
    agree(agree(ask(team), team.manager, "查过了"), team.reviewer)
    told = BusinessLog.objects.filter(object_id=team.customer.pk, operation=Operation.APPROVAL).order_by("id")
    assert [entry.user_name for entry in told] == ["销售", "主管", "审批一"]
    assert "重复录入" in told[0].remark and "查过了" in told[1].remark


def test_who_sees_a_request(team, person):
    """Those it waits for and those who may see the record now; an ex-owner no more."""
    from crm import ownership

    request = ask(team)
    policy = policy_for(ApprovalRequest)

    def sees(user):
        return policy.may(User.objects.get(pk=user.pk), "view", request)

    assert all(sees(user) for user in (team.seller, team.manager, team.director, team.reviewer))
    assert not sees(team.stranger)
    approvals.transfer(request, team.stranger, by=team.manager)
    assert sees(team.stranger)
    ownership.set_owner(team.customer, team.director, by=None)
    assert not sees(team.seller)


@pytest.mark.parametrize("gone_for_good", [False, True])
def test_a_request_about_a_removed_record_can_still_be_closed(team, browse, gone_for_good):
    """It takes no effect any more, but does not stay in anybody's hands for ever."""
    first, second = ask(team, STAGE, UP), ask(team)
    if gone_for_good:
        Customer._base_manager.filter(pk=team.customer.pk).delete()
    else:
        records.remove(team.customer, by=None)
    with pytest.raises(approvals.ApprovalRefused, match="已被删除"):
        agree(first, team.manager)
    page = browse(team.manager).get(f"/crm/approvalrequest/{first.pk}/change/")
    assert page.context["conflicts"] == ["这条记录已被删除"] and page.context["may_decide"]
    first = approvals.reject(first, by=team.manager, digest=first.digest, comment="客户已删除")
    second = approvals.withdraw(second, by=team.seller)
    assert (first.state, second.state) == (State.REJECTED, State.WITHDRAWN)
    assert not ApprovalTask.objects.filter(state=ApprovalTask.State.OPEN).exists()


def test_decisions_are_append_only(team):
    decision = ask(team).decisions.get()
    with pytest.raises(TypeError):
        decision.save()
    with pytest.raises(TypeError):
        decision.delete()


# --- Pages -----------------------------------------------------------------------------------------------------------


def test_my_approvals_open_with_what_waits_for_me(team, browse):
    ask(team)
    page = browse(team.manager).get("/crm/approvalrequest/")
    assert [row.target_repr for row in page.context["cl"].result_list] == ["前海云创"]
    assert page.context["boxes"][0] == ("waiting", "待我审批", 1, True)
    mine = browse(team.manager).get("/crm/approvalrequest/?box=mine")
    assert not mine.context["cl"].result_list


def test_the_page_decides(team, browse):
    """The approver agrees on the request's page; the form names the content he saw."""
    request = ask(team)
    browser = browse(team.manager)
    page = browser.get(f"/crm/approvalrequest/{request.pk}/change/")
    assert "前海云创" in page.content.decode()
    refused = browser.post(f"/crm/approvalrequest/{request.pk}/decide/", {"decision": "reject"}, follow=True)
    assert "请刷新后重新核对" in refused.content.decode() or "驳回需要写明原因" in refused.content.decode()
    browser.post(f"/crm/approvalrequest/{request.pk}/decide/", {"decision": "approve", "digest": request.digest})
    assert ApprovalRequest.objects.get(pk=request.pk).level == 2
    assert browser.get(f"/crm/approvalrequest/{request.pk}/decide/").status_code == 404


def test_a_policy_is_set_up_with_its_levels_and_people(person, browse):
    """Levels and the people of a level are saved from one page."""
    chosen = person("销售")
    data = {"name": "大客户", "kind": STAGE, "min_amount": "500", "is_active": "on"}
    data |= {f"levels-{name}": value for name, value in {"TOTAL_FORMS": 1, "INITIAL_FORMS": 0}.items()}
    data |= {"levels-0-position": 1, "levels-0-name": "专人", "levels-0-approver": "people"}
    data |= {"levels-0-people": [chosen.pk]}
    browse(person("管理员")).post("/crm/approvalpolicy/add/", data)
    level = ApprovalPolicy.objects.get(name="大客户").levels.get()
    assert list(level.people.all()) == [chosen]


# --- Races -----------------------------------------------------------------------------------------------------------


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_approve_reject_and_edit_have_one_outcome_each(person):
    """200 rounds: of approval and rejection exactly one wins; an edit meanwhile never gets lost under the change."""
    owner, manager, other = person("销售"), person("审批人"), person("审批人")
    policy = ApprovalPolicy.objects.get(kind=STAGE)
    policy.levels.all().delete()
    level = ApprovalLevel.objects.create(policy=policy, position=1, name="两人之一", approver="people")
    level.people.set([manager, other])
    for _ in range(200):
        customer = make(Customer, owner=owner)
        request = approvals.submit(STAGE, customer, by=owner, values=UP)

        def approve(request=request):
            approvals.approve(request, by=User.objects.get(pk=manager.pk), digest=request.digest)

        def refuse(request=request):
            approvals.reject(request, by=User.objects.get(pk=other.pk), digest=request.digest, comment="不行")

        def edit(customer=customer):
            with transaction.atomic():
                row = Customer._base_manager.select_for_update().get(pk=customer.pk)
                row.remark = "同时修改"
                row.save()

        works = (approve, refuse, edit)
        results = run_together(lambda n, works=works: works[n](), 3)
        raised = [type(error).__name__ for error in results if isinstance(error, Exception)]
        request.refresh_from_db()
        customer = Customer.objects.get(pk=customer.pk)
        assert raised == ["ApprovalRefused"]
        assert customer.remark == "同时修改"
        assert (customer.stage == Stage.ORDINARY) == (request.state == State.APPROVED)
        assert request.decisions.filter(action__in=["approve", "reject"]).count() == 1
        assert customer.stage_periods.count() == (request.state == State.APPROVED)


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_without_the_lock_nobody_is_told_that_he_was_late(person, monkeypatch):
    """Negative control: with the request read unlocked both decisions count, or the database kills one of them."""
    owner, manager, other = person("销售"), person("审批人"), person("审批人")
    policy = ApprovalPolicy.objects.get(kind=STAGE)
    policy.levels.all().delete()
    level = ApprovalLevel.objects.create(policy=policy, position=1, name="两人之一", approver="people")
    level.people.set([manager, other])
    gate = Barrier(2)

    def unlocked(request, **_):
        kind = kinds.get(request.kind)
        stored = ApprovalRequest.objects.select_related("applicant").get(pk=request.pk)
        gate.wait()
        return stored, kind, kind.model._base_manager.get(pk=request.target_id)

    monkeypatch.setattr(engine, "_lock", unlocked)
    customer = make(Customer, owner=owner)
    request = approvals.submit(STAGE, customer, by=owner, values=UP)
    works = (
        lambda: approvals.approve(request, by=User.objects.get(pk=manager.pk), digest=request.digest),
        lambda: approvals.reject(request, by=User.objects.get(pk=other.pk), digest=request.digest, comment="不行"),
    )
    results = run_together(lambda n: works[n](), 2)
    raised = [type(error).__name__ for error in results if isinstance(error, Exception)]
    decisions = request.decisions.filter(action__in=["approve", "reject"]).count()
    assert (decisions, raised) in [(2, []), (1, ["OperationalError"])]
