"""移交: all that somebody works on goes to others as it stands, once, by whoever may assign it."""

from datetime import timedelta

import pytest
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.urls import reverse
from django.utils import timezone

from crm import bulk, handover, jobs, ownership
from crm.models import ApprovalRequest, ApprovalTask, BusinessLog, Job, Notification, Operation, Role
from crm.policies import policy_for
from customers.models import Customer, OwnershipPeriod, PoolRule, VisitPlan
from sales.models import FollowUp, Lead, LeadPool
from tests.factories import make

pytestmark = pytest.mark.django_db
ALL = ["customers", "leads"]
KEPT = ["stage", "deal_status", "review_status", "last_followed_at", "next_follow_at", "last_deal_at"]
KEPT += ["protected_until", "stage_since", "level_id", "name"]


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def leaver(person):
    PoolRule.objects.all().delete()
    return person("销售", full_name="张伟")


@pytest.fixture
def manager(person, leaver):
    return person("销售主管", full_name="黄强", department=leaver.department)


@pytest.fixture
def heirs(person, leaver):
    return [person("销售", full_name=name, department=leaver.department) for name in ("王芳", "李娜")]


@pytest.fixture(autouse=True)
def _owners_and_grants_agree(db):
    yield
    for model in (Customer, Lead):
        assert not any(rows.exists() for rows in ownership.disagreements(model).values())


def done(job):
    jobs.execute(job.pk)
    job.refresh_from_db()
    assert job.state == Job.State.DONE, job.error
    return job


def hand_over(leaver, heirs, manager, names=ALL, **values):
    return done(handover.start(leaver, heirs, names, by=manager, **{"reason": "离职", **values}))


def states(model, names):
    return {row.pop("id"): row for row in model.objects.values("id", *names)}


def test_nothing_but_the_owner_changes(leaver, heirs, manager):
    now = timezone.now()
    for number in range(3):
        customer = make(
            Customer,
            owner=leaver,
            stage="key",
            last_deal_at=now - timedelta(days=number),
            protected_until=timezone.localdate() + timedelta(days=9),
        )
        make(FollowUp, customer=customer, author=leaver)
    lead = make(Lead, owner=leaver, status="working", next_follow_at=now)
    before, of_leads = states(Customer, KEPT), states(Lead, ["status", "next_follow_at", "pool_id"])
    job = hand_over(leaver, heirs[:1], manager)
    assert states(Customer, KEPT) == before
    assert states(Lead, ["status", "next_follow_at", "pool_id"]) == of_leads
    assert Customer.objects.filter(owner=heirs[0]).count() == 3 and Lead.objects.get(pk=lead.pk).owner == heirs[0]
    assert "3 个客户、1 条线索" in job.result["message"]
    period = OwnershipPeriod.objects.first()
    assert (period.owner, period.next_owner, period.ended) == (leaver, heirs[0], "transferred")
    assert period.reason == "移交：离职"
    entry = BusinessLog.objects.filter(operation=Operation.OWNERSHIP, remark="移交：离职").first()
    assert entry.user == manager and entry.changes["owner"] == [leaver.pk, heirs[0].pk]
    assert Customer.objects.first().history.first().history_user == manager
    assert Notification.objects.get(user=heirs[0]).title == "黄强把“张伟”的3 个客户、1 条线索移交给您"


def test_the_leaver_sees_nothing_of_it_at_the_next_request(leaver, heirs, manager, browse):
    customer, lead = make(Customer, owner=leaver), make(Lead, owner=leaver)
    pages = [
        reverse("admin:customers_customer_change", args=[customer.pk]),
        reverse("admin:customers_customer_history", args=[customer.pk]),
        reverse("admin:customers_customer_version", args=[customer.pk, 1]),
        reverse("admin:sales_lead_change", args=[lead.pk]),
    ]
    browser = browse(leaver)
    assert {browser.get(page).status_code for page in pages} == {200}
    hand_over(leaver, heirs[:1], manager)
    assert {browser.get(page).status_code for page in pages} == {404}
    assert {browse(heirs[0]).get(page).status_code for page in pages} == {200}


def test_several_take_over_in_turns(leaver, heirs, manager):
    for _ in range(5):
        make(Customer, owner=leaver)
    hand_over(leaver, heirs, manager)
    held = list(Customer.objects.order_by("pk").values_list("owner", flat=True))
    assert held == [heirs[number % 2].pk for number in range(5)]


def test_planned_visits_go_along_and_past_ones_stay(leaver, heirs, manager, person):
    customer, other = make(Customer, owner=leaver), person("销售")
    plan = make(VisitPlan, customer=customer, participants=[leaver, other])
    past = make(VisitPlan, customer=customer, participants=[leaver], status="done")
    hand_over(leaver, heirs[:1], manager)
    assert set(plan.participants.all()) == {heirs[0], other} and set(past.participants.all()) == {leaver}


def test_who_worked_beside_the_leaver_becomes_owner_and_others_stay_beside(leaver, heirs, manager):
    customer = make(Customer, owner=leaver)
    ownership.add_collaborator(customer, heirs[0], by=None, level="view")
    ownership.add_collaborator(customer, heirs[1], by=None, level="view")
    hand_over(leaver, heirs[:1], manager)
    assert ownership.collaborators(Customer.objects.get(pk=customer.pk)) == {heirs[1].pk: "view"}


def test_only_the_chosen_kinds_are_moved(leaver, heirs, manager):
    make(Customer, owner=leaver), make(Lead, owner=leaver)
    hand_over(leaver, heirs[:1], manager, ["leads"])
    assert Customer.objects.filter(owner=leaver).count() == 1 and not Lead.objects.filter(owner=leaver).exists()


def test_what_the_manager_may_not_assign_stays(leaver, heirs, manager, person):
    """Only rows within the reach of the right "assign"; a colleague elsewhere is not even offered."""
    make(Customer, owner=leaver)
    stranger = person("销售")
    make(Customer, owner=stranger)
    assert not handover.leavers(manager).filter(pk=stranger.pk).exists()
    with pytest.raises(PermissionDenied):
        handover.start(stranger, heirs, ALL, by=manager, reason="离职")
    with pytest.raises(PermissionDenied):
        handover.start(leaver, heirs, ALL, by=leaver, reason="离职")
    job = handover.start(leaver, heirs, ALL, by=manager, reason="离职")
    manager.groups.clear()
    done(job)
    assert Customer.objects.filter(owner=leaver).count() == 1, "任务按现在的权限办理"


def test_a_lead_of_a_private_pool_stays_unless_a_successor_is_a_member(leaver, heirs, manager):
    pool = make(LeadPool, name="重点池", is_public=False, members=[leaver])
    lead, closed = make(Lead, owner=leaver, pool=pool), make(Lead, owner=leaver, pool=pool, status="invalid")
    job = hand_over(leaver, heirs, manager, ["leads"])
    assert Lead.objects.get(pk=lead.pk).owner == leaver and Lead.objects.get(pk=closed.pk).owner in heirs
    assert "1 条没有移交" in job.result["message"] and "重点池" in job.result["message"]
    pool.members.add(heirs[1])
    hand_over(leaver, heirs, manager, ["leads"])
    assert Lead.objects.get(pk=lead.pk).owner == heirs[1]


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        ({"owners": []}, "请选择接手"),
        ({"names": []}, "至少选择一类"),
        ({"reason": " "}, "原因"),
        ({"owners": "leaver"}, "本人"),
        ({"owners": "disabled"}, "已停用"),
        ({"names": ["leads"]}, "没有您可以移交"),
    ],
)
def test_a_senseless_handover_is_refused(leaver, heirs, manager, person, problem, message):
    make(Customer, owner=leaver)
    people = {"leaver": [leaver], "disabled": [person("销售", is_active=False)]}
    owners = problem.get("owners", heirs)
    with pytest.raises(handover.HandoverError, match=message):
        handover.start(
            leaver,
            people.get(owners, []) if isinstance(owners, str) else owners,
            problem.get("names", ALL),
            by=manager,
            reason=problem.get("reason", "离职"),
        )


def test_three_thousand_customers_arrive_although_the_worker_is_killed_halfway(leaver, heirs, manager, monkeypatch):
    model = make(Customer, owner=leaver)
    row = bulk.stored_rows(Customer, [model.pk])[model.pk]
    rows = [row | {"code": f"C{n}", "name": f"公司{n}"} for n in range(2999)]
    for one in rows:
        del one["id"]
    bulk.insert(Customer, rows)
    leaver.is_active = False
    leaver.save()
    job = handover.start(leaver, heirs, ALL, by=manager, reason="离职")
    original, calls = bulk.update, []

    def update(*args, **kwargs):
        original(*args, **kwargs)
        calls.append(1)
        if len(calls) == 15:
            raise Killed

    monkeypatch.setattr(bulk, "update", update)
    with pytest.raises(Killed):
        jobs.execute(job.pk)
    assert Customer.objects.filter(owner=leaver).count() == 3000 - 14 * handover.CHUNK, "被打断的一批整批没有发生"
    Job.objects.filter(pk=job.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    done(job)
    assert [Customer.objects.filter(owner=person).count() for person in (leaver, *heirs)] == [0, 1500, 1500]
    assert OwnershipPeriod.objects.filter(owner=leaver).count() == 3000
    assert OwnershipPeriod.objects.values("customer").distinct().count() == 3000
    assert policy_for(Customer).visible_to(heirs[0]).count() == 1500
    assert job.result["moved"]["customers"] == {str(person.pk): 1500 for person in heirs}


def test_approvals_that_wait_for_the_leaver_go_to_another(leaver, heirs, manager, person):
    administrator = person("管理员")
    customer = make(Customer, owner=heirs[0])
    request = make(
        ApprovalRequest,
        target_type=ContentType.objects.get_for_model(Customer),
        target_id=customer.pk,
        applicant=heirs[0],
    )
    own = make(ApprovalRequest, target_id=make(Customer).pk, applicant=heirs[1])
    for one in (request, own):
        make(ApprovalTask, request=one, user=leaver)
    with pytest.raises(PermissionDenied):
        handover.start(leaver, [], [], by=manager, reason="离职", approver=heirs[1])
    job = hand_over(leaver, [], administrator, [], approver=heirs[1])
    assert request.tasks.get().user == heirs[1] and request.decisions.get().to_user == heirs[1]
    assert own.tasks.get().user == leaver, "不能改派给申请人本人"
    assert "改派了 1 份审批" in job.result["message"]


def test_the_page_asks_shows_numbers_and_starts_one_job(leaver, heirs, manager, browse):
    for _ in range(3):
        make(Customer, owner=leaver)
    page, browser = reverse("admin:handover"), browse(manager)
    assert "张伟" in browser.get(page).content.decode()
    asked = browser.get(page, {"leaver": leaver.pk})
    customers, *others = [row[2] for row in asked.context["kinds"]]
    assert customers == 3 and not any(others)
    answers = {"leaver": leaver.pk, "kinds": ["customers"], "owners": [p.pk for p in heirs], "reason": "离职"}
    preview = browser.post(page, answers)
    assert preview.context["plan"]["total"] == 3 and not Job.objects.exists()
    assert "接手" in browser.post(page, {**answers, "owners": []}).content.decode()
    for _ in range(2):
        answer = browser.post(page, {**answers, "confirmed": "1"})
        assert answer.url == reverse("admin:crm_job_change", args=[Job.objects.get().pk])
    done(Job.objects.get())
    assert Customer.objects.filter(owner__in=heirs).count() == 3


def test_without_the_right_there_is_no_page(leaver, manager, browse, person):
    assert browse(leaver).get(reverse("admin:handover")).status_code == 403
    outsider = person("销售主管")
    answer = browse(outsider).get(reverse("admin:handover"), {"leaver": leaver.pk})
    assert "kinds" not in answer.context and leaver.full_name not in answer.content.decode()


def test_a_role_may_be_narrowed_between_start_and_work(leaver, heirs, manager):
    make(Customer, owner=leaver)
    job = handover.start(leaver, heirs, ALL, by=manager, reason="离职")
    Role.objects.filter(name="销售主管").update(is_active=False)
    done(job)
    assert Customer.objects.get().owner == leaver
