"""Many workers at once, on a server that really runs them side by side."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from threading import Barrier, Event

import pytest
from django.db import Error, connection
from django.urls import reverse
from django.utils import timezone

from crm import jobs
from crm.jobs import queue, registry
from crm.jobs.run import Run
from crm.models import Job, User
from customers.models import Tag
from tests.factories import make

THREADS = 8

pytestmark = [pytest.mark.mysql, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def _server():
    if connection.vendor != "mysql":
        pytest.skip("SQLite 一次只有一个写者")


@pytest.fixture
def job(monkeypatch):
    def work(run):
        with run.chunk(done=1):
            Tag(name="一次").save()

    monkeypatch.setitem(registry._handlers, "work", registry.Handler("工作", work))
    return jobs.enqueue("work", by=make(User))


def together(function):
    """What ``THREADS`` threads give that call ``function`` at the same moment, each on its own connection."""
    barrier = Barrier(THREADS)

    def one(_):
        try:
            connection.ensure_connection()
            barrier.wait()
            return function()
        finally:
            connection.close()

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(one, range(THREADS)))


def take_by_looking_first(job):
    """What ``Run.take`` must not be: look, then write."""
    found = Job.objects.get(pk=job.pk)
    if found.state != Job.State.QUEUED:
        return None
    Job.objects.filter(pk=job.pk).update(state=Job.State.RUNNING)
    return found


def test_of_eight_workers_one_gets_the_lease(job):
    for _ in range(10):
        Job.objects.update(state=Job.State.QUEUED)
        assert len([run for run in together(lambda: Run.take(job.pk)) if run]) == 1


def test_looking_first_would_give_it_to_several(job):
    several = 0
    for _ in range(10):
        Job.objects.update(state=Job.State.QUEUED)
        several += len([found for found in together(lambda: take_by_looking_first(job)) if found]) > 1
    assert several


def test_eight_messages_for_one_job_do_it_once(job):
    together(lambda: jobs.execute(job.pk))
    assert Tag.objects.filter(name="一次").count() == 1
    assert Job.objects.get().attempt == 1


def test_eight_requests_with_one_key_make_one_job(job):
    user = job.user
    made = together(lambda: jobs.enqueue("work", by=user, key="import:7"))
    assert len({one.pk for one in made}) == 1


def test_eight_reapers_announce_a_dead_job_once(job):
    for _ in range(5):
        Job.objects.update(state=Job.State.RUNNING, lease_until=timezone.now() - timedelta(seconds=1))
        assert sum(together(queue.reap)) == 1


@contextmanager
def chunk_elsewhere(run, function):
    """Inside the block another connection is in the middle of a chunk of ``run`` that ends with ``function()``."""
    inside, go_on = Event(), Event()

    def slow():
        try:
            with run.chunk(done=1):
                inside.set()
                go_on.wait(30)
                function()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(slow)
        inside.wait(30)
        try:
            yield
        finally:
            go_on.set()
            late.result()


def test_a_job_in_the_middle_of_a_chunk_is_not_taken_over_however_late_it_is(job):
    run = Run.take(job.pk)
    Job.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    with chunk_elsewhere(run, lambda: Tag(name="慢").save()):
        assert queue.reap() == 0
    assert queue.reap() == 0
    assert Run.take(job.pk) is None
    assert Tag.objects.filter(name="慢").count() == 1


def test_cancelling_in_the_middle_of_a_long_chunk_is_told_to_try_again(job, browse):
    url = reverse("admin:crm_job_cancel", args=[job.pk])
    User.objects.filter(pk=job.user_id).update(is_staff=True)
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION innodb_lock_wait_timeout = 1")
    with chunk_elsewhere(Run.take(job.pk), lambda: None):
        page = browse(User.objects.get(pk=job.user_id)).post(url, follow=True)
    assert "请过几秒再取消" in page.content.decode()
    connection.close()


def test_what_a_dead_connection_had_not_committed_is_gone_and_its_job_free(job):
    """kill -9 closes the connection: the server rolls back the chunk and lets the row go."""
    run = Run.take(job.pk)

    def die():
        with pytest.raises(Error), run.chunk(done=1):
            Tag(name="未提交").save()
            connection.connection.close()
        connection.close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(die).result()
    assert not Tag.objects.filter(name="未提交").exists()
    Job.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert queue.reap() == 1
    jobs.execute(job.pk)
    assert Job.objects.get().state == Job.State.DONE
