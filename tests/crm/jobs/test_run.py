"""A job is done exactly once, whatever happens to the process that does it."""

from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone
from django_q.models import OrmQ

from crm import actor, jobs
from crm.jobs import queue, registry
from crm.jobs.run import Run, Shutdown, worker_name
from crm.models import BusinessLog, Job, Notification, Role, User
from crm.policies import policy_for
from customers.models import Customer, Tag
from tests.factories import make

pytestmark = pytest.mark.django_db
State = Job.State


class Killed(BaseException):
    """The process ends here; nothing after it runs."""


@pytest.fixture
def user():
    return make(User)


@pytest.fixture
def handler(monkeypatch):
    """``handler(function)`` registers ``function`` for jobs of kind ``work``."""

    def register(function):
        monkeypatch.setitem(registry._handlers, "work", registry.Handler("工作", function))

    return register


def enqueue(user, **values):
    return jobs.enqueue("work", by=user, **values)


def perform(job):
    jobs.execute(job.pk)
    job.refresh_from_db()
    return job


def die(job):
    """The process that does ``job`` is killed, and its lease runs out."""
    with pytest.raises(Killed):
        jobs.execute(job.pk)
    expire(job)


def expire(job):
    Job.objects.filter(pk=job.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


def tags():
    return sorted(Tag.objects.values_list("name", flat=True))


def ten_tags(*, killed_at=()):
    """A handler that makes ten tags, two a chunk, and dies once in each chunk of ``killed_at``."""
    deaths = set(killed_at)

    def work(run):
        for start in range(run.checkpoint.get("next", 0), 10, 2):
            with run.chunk(done=start + 2, checkpoint={"next": start + 2}, message=f"已建 {start + 2} 个"):
                Tag(name=f"标签{start}").save()
                if start in deaths:
                    deaths.remove(start)
                    raise Killed
                Tag(name=f"标签{start + 1}").save()
        return {"rows": run.done}

    return work


ALL_TAGS = [f"标签{n}" for n in range(10)]


# --- From the request to the queue -----------------------------------------------------------------------------------


def test_workers_hear_of_a_job_only_when_its_request_commits(user, handler, django_capture_on_commit_callbacks):
    handler(ten_tags())
    with django_capture_on_commit_callbacks(execute=True):
        job = enqueue(user, params={"batch": 7}, link="/x/")
        assert not OrmQ.objects.exists()
    assert [entry.task["func"] for entry in OrmQ.objects.all()] == ["crm.jobs.execute"]
    assert (job.state, job.title, job.params, job.link) == (State.QUEUED, "工作", {"batch": 7}, "/x/")


def test_a_job_works_as_the_person_who_started_it_from_the_same_address(user, handler):
    handler(lambda run: ten_tags()(run))
    with actor.acting(user, ip="10.1.2.3"):
        job = enqueue(user)
    perform(job)
    assert Tag.objects.get(name="标签3").created_by == user
    log = BusinessLog.objects.filter(object_repr="标签3").get()
    assert (log.user, log.ip, log.batch) == (user, "10.1.2.3", f"job:{job.pk}")


def test_one_unfinished_job_holds_a_key(user, handler):
    handler(ten_tags())
    first = enqueue(user, key="import:7")
    assert enqueue(user, key="import:7") == first
    perform(first)
    assert enqueue(user, key="import:7") != first


@pytest.mark.django_db(transaction=True)
def test_a_queue_that_is_away_does_not_break_the_request_that_asked(user, handler, monkeypatch):
    """The reaper announces the job when the queue is back."""

    def away(*args):
        raise ConnectionError

    handler(ten_tags())
    with monkeypatch.context() as patch:
        patch.setattr(queue, "async_task", away)
        job = enqueue(user)
    expire(job)
    assert queue.reap() == 1
    assert messages() == [job.pk]


def test_an_unknown_kind_is_refused_where_it_is_asked_for(user):
    with pytest.raises(KeyError):
        jobs.enqueue("no.such.kind", by=user)


# --- Doing it --------------------------------------------------------------------------------------------------------


def test_a_finished_job_tells_what_it_did(user, handler):
    handler(ten_tags())
    job = perform(enqueue(user, total=10))
    assert (job.state, job.done, job.percent, job.attempt) == (State.DONE, 10, 100, 1)
    assert (job.result, job.message, job.checkpoint) == ({"rows": 10}, "已建 10 个", {"next": 10})
    assert tags() == ALL_TAGS


def test_a_second_message_for_the_same_job_does_nothing(user, handler):
    handler(ten_tags())
    job = perform(enqueue(user))
    assert perform(job).attempt == 1
    assert tags() == ALL_TAGS


def test_nobody_takes_a_job_while_its_worker_shows_signs_of_life(user, handler):
    handler(ten_tags())
    job = enqueue(user)
    assert Run.take(job.pk) is not None
    assert Run.take(job.pk) is None


def test_an_error_in_a_chunk_takes_back_rows_and_progress_together(user, handler):
    seen = {}

    def work(run):
        with run.chunk(done=1, checkpoint={"next": 1}, message="一"):
            Tag(name="留下").save()
        try:
            with run.chunk(done=2, checkpoint={"next": 2}, message="二"):
                Tag(name="撤回").save()
                raise ValueError
        except ValueError:
            seen.update(done=run.done, checkpoint=run.checkpoint, message=run.message)

    handler(work)
    job = perform(enqueue(user))
    assert tags() == ["留下"]
    assert (job.done, job.checkpoint) == (1, {"next": 1})
    assert seen == {"done": 1, "checkpoint": {"next": 1}, "message": "一"}


@pytest.mark.parametrize("killed_at", [[0], [8], [0, 2, 4, 6, 8]])
def test_after_every_death_another_goes_on_and_the_result_is_exact(user, handler, killed_at):
    handler(ten_tags(killed_at=killed_at))
    job = enqueue(user)
    for _ in killed_at:
        die(job)
        assert queue.reap() == 1
    job = perform(job)
    assert (job.state, job.attempt) == (State.DONE, len(killed_at) + 1)
    assert tags() == ALL_TAGS


def test_who_lost_the_lease_applies_nothing_any_more(user, handler):
    """A worker that was asleep while another took over finds its next chunk refused, even if it catches every error."""
    outcome = {}

    def asleep(run):
        expire(run.job)
        outcome["successor"] = Run.take(run.job.pk)
        try:
            with run.chunk(done=10, checkpoint={"next": 10}):
                Tag(name="太晚").save()
        except Exception:
            outcome["swallowed"] = True

    handler(asleep)
    job = perform(enqueue(user))
    assert outcome["successor"] and "swallowed" not in outcome
    assert tags() == []
    assert (job.state, job.attempt, job.done) == (State.RUNNING, 2, 0)
    with outcome["successor"].chunk(done=3):
        Tag(name="接手").save()
    assert tags() == ["接手"]


def test_who_lost_the_lease_does_not_end_the_job(user, handler):
    def asleep(run):
        expire(run.job)
        Run.take(run.job.pk)

    handler(asleep)
    assert perform(enqueue(user)).state == State.RUNNING


def test_a_sign_of_life_renews_the_lease_at_most_once_a_second(user, handler, django_assert_num_queries):
    handler(ten_tags())
    run = Run.take(enqueue(user).pk)
    with django_assert_num_queries(0):
        run.beat(5, 10, "读到第 5 行")
    expire(run.job)
    run._beaten -= 2
    run.beat(6)
    job = Job.objects.get(pk=run.job.pk)
    assert (job.done, job.total, job.message) == (6, 10, "读到第 5 行")
    assert job.lease_until > timezone.now()
    Job.objects.filter(pk=job.pk).update(worker="another")
    run._beaten -= 2
    with pytest.raises(jobs.LeaseLost):
        run.beat(7)


# --- People ----------------------------------------------------------------------------------------------------------


def test_the_job_of_a_person_who_is_disabled_meanwhile_stops(user, handler):
    def work(run):
        with run.chunk(done=1):
            Tag(name="之前").save()
        User.objects.filter(pk=user.pk).update(is_active=False)
        with run.chunk(done=2):
            Tag(name="之后").save()

    handler(work)
    job = perform(enqueue(user))
    assert (job.state, job.done, tags()) == (State.CANCELLED, 1, ["之前"])
    assert "停用" in job.message


def test_a_waiting_job_of_a_disabled_person_does_not_begin(user, handler):
    handler(ten_tags())
    job = enqueue(user)
    User.objects.filter(pk=user.pk).update(is_active=False)
    assert perform(job).state == State.CANCELLED
    assert tags() == []


def test_rights_taken_away_meanwhile_are_gone_in_the_next_chunk(handler):
    role = Role.objects.get(name="销售")
    user = make(User)
    user.groups.add(role)
    seen = []

    def work(run):
        for n in range(2):
            with run.chunk(done=n):
                seen.append(policy_for(Customer).allows(run.user, "add"))
            Role.objects.filter(pk=role.pk).update(is_active=False)

    handler(work)
    perform(enqueue(user))
    assert seen == [True, False]


def test_cancelling_a_waiting_job_ends_it_at_once(user, handler):
    handler(ten_tags())
    job = enqueue(user, key="k")
    jobs.cancel(job)
    assert perform(job).state == State.CANCELLED
    assert tags() == []
    assert enqueue(user, key="k") != job


def test_cancelling_a_running_job_ends_it_before_the_next_chunk(user, handler):
    def work(run):
        with run.chunk(done=1):
            Tag(name="之前").save()
        jobs.cancel(run.job)
        with run.chunk(done=2):
            Tag(name="之后").save()

    handler(work)
    job = perform(enqueue(user))
    assert (job.state, job.done, tags()) == (State.CANCELLED, 1, ["之前"])
    assert not Notification.objects.exists()


# --- What goes wrong -------------------------------------------------------------------------------------------------


def test_an_expected_error_is_told_in_its_own_words(user, handler):
    def work(run):
        raise jobs.JobError("文件已过期，请重新上传。")

    handler(work)
    job = perform(enqueue(user, link="/imports/7/"))
    assert (job.state, job.message, job.error) == (State.FAILED, "文件已过期，请重新上传。", "")
    told = Notification.objects.get()
    assert (told.user, told.level, told.link, told.body) == (user, "danger", "/imports/7/", job.message)


def test_an_unexpected_error_is_kept_for_the_administrator_and_not_shown(user, handler):
    def work(run):
        raise ValueError("secret detail")

    handler(work)
    job = perform(enqueue(user))
    assert job.state == State.FAILED
    assert "secret detail" in job.error
    assert "secret" not in job.message + Notification.objects.get().body
    assert str(job.pk) in job.message


def test_a_lock_conflict_is_not_the_end(user, handler):
    conflicts = [OperationalError("Deadlock found")]

    def work(run):
        with run.chunk(done=1, checkpoint={"next": 1}):
            Tag(name=f"第{run.job.attempt}次").save()
        if conflicts:
            raise conflicts.pop()

    handler(work)
    job = enqueue(user)
    with pytest.raises(OperationalError):
        jobs.execute(job.pk)
    queue.abandon(worker_name())
    assert queue.reap() == 1
    job = perform(job)
    assert (job.state, job.checkpoint) == (State.DONE, {"next": 1})
    assert tags() == ["第1次", "第2次"]


def test_a_job_that_kills_its_worker_again_and_again_is_given_up(user, handler, settings):
    settings.JOB_MAX_ATTEMPTS = 3

    def work(run):
        raise Killed

    handler(work)
    job = enqueue(user)
    for _ in range(3):
        die(job)
    job = perform(job)
    assert job.state == State.FAILED
    assert "连续中断 3 次" in job.message
    assert Notification.objects.get().user == user


def test_a_job_that_gets_on_a_little_every_time_is_never_given_up(user, handler, settings):
    settings.JOB_MAX_ATTEMPTS = 2
    handler(ten_tags(killed_at=[2, 4, 6, 8]))
    job = enqueue(user)
    for _ in range(4):
        die(job)
    assert perform(job).state == State.DONE
    assert tags() == ALL_TAGS


def test_a_worker_that_shuts_down_gives_its_job_back(user, handler, monkeypatch):
    def work(run):
        for start in range(run.checkpoint.get("next", 0), 2):
            with run.chunk(done=start + 1, checkpoint={"next": start + 1}):
                Tag(name=f"标签{start}").save()
            monkeypatch.setattr(Shutdown, "requested", start == 0)

    handler(work)
    job = perform(enqueue(user))
    assert (job.state, job.done, job.retries) == (State.QUEUED, 1, 0)
    monkeypatch.setattr(Shutdown, "requested", False)
    assert queue.reap() == 1
    assert perform(job).state == State.DONE
    assert tags() == ["标签0", "标签1"]


# --- Telling people --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "told"), [(0, 0), (9, 0), (11, 1)])
def test_success_is_told_only_when_it_took_a_while(user, handler, seconds, told):
    handler(ten_tags())
    job = enqueue(user)
    Job.objects.filter(pk=job.pk).update(started_at=timezone.now() - timedelta(seconds=seconds))
    perform(job)
    assert Notification.objects.filter(user=user, level="success").count() == told


def test_failed_work_of_the_system_is_told_to_the_administrators(handler):
    def work(run):
        raise ValueError

    admin = make(User, is_superuser=True)
    make(User)
    handler(work)
    perform(enqueue(None))
    assert [note.user for note in Notification.objects.all()] == [admin]


# --- Reaper ----------------------------------------------------------------------------------------------------------


def messages():
    return [entry.task["args"][0] for entry in OrmQ.objects.order_by("pk")]


def test_only_what_nobody_works_at_is_announced_again(user, handler, django_capture_on_commit_callbacks):
    handler(ten_tags())
    lost, dead, _fresh, alive, finished = (enqueue(user) for _ in range(5))
    for job in (dead, alive):
        Run.take(job.pk)
    perform(finished)
    for job in (lost, dead):
        expire(job)
    with django_capture_on_commit_callbacks(execute=True):
        assert queue.reap() == 2
        assert queue.reap() == 0
    assert messages() == [lost.pk, dead.pk]
    assert Job.objects.get(pk=dead.pk).state == State.QUEUED
    assert Job.objects.get(pk=alive.pk).state == State.RUNNING


def test_reminders_of_a_job_that_waits_behind_others_become_rarer(user, handler):
    handler(ten_tags())
    job = enqueue(user)
    pauses = []
    for minutes in (1, 5, 60):
        Job.objects.filter(pk=job.pk).update(created_at=timezone.now() - timedelta(minutes=minutes))
        expire(job)
        queue.reap()
        job.refresh_from_db()
        pauses.append(job.lease_until - timezone.now())
    assert pauses[0] < pauses[1] < pauses[2] <= queue.PATIENCE * queue.lease()


def test_the_leases_of_a_dead_process_end_at_once(user, handler):
    handler(ten_tags())
    Run.take(enqueue(user).pk)
    queue.abandon(worker_name(1))
    assert queue.reap() == 0
    queue.abandon(worker_name())
    assert queue.reap() == 1


def test_looking_for_abandoned_jobs_costs_one_query_when_there_are_none(user, handler, django_assert_num_queries):
    handler(ten_tags())
    enqueue(user)
    with django_assert_num_queries(1):
        queue.reap()
