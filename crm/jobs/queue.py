"""From the request to the workers: a job is a row first, and a message in the queue second."""

from datetime import timedelta

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from django_q.tasks import async_task

from crm import actor
from crm.jobs.registry import handler_of
from crm.models import Job

State = Job.State
PATIENCE = 10


def lease() -> timedelta:
    """How long a sign of life counts: a little less than promised, so that the reaper keeps the promise."""
    return timedelta(seconds=settings.JOB_LEASE_SECONDS * 0.8)


def enqueue(kind, *, by, title="", params=None, total=0, link="", key=None) -> Job:
    """A new job of ``kind`` on behalf of ``by`` (None: the system); the workers hear of it when the caller commits.

    ``params`` is what JSON can hold. ``link`` leads to the result. As long as a job with the same ``key`` is
    unfinished, that one is given instead of a second. Raises KeyError for an unknown kind.
    """
    now = timezone.now()
    values = {
        "kind": kind,
        "title": (title or handler_of(kind).title)[:200],
        "user": by,
        "ip": actor.current().ip,
        "params": params or {},
        "total": total,
        "link": link,
        "created_at": now,
        "lease_until": now + lease(),
    }
    if key is None:
        job, created = Job.objects.create(**values), True
    else:
        job, created = Job.objects.get_or_create(key=key, defaults=values)
    if created:
        announce(job.pk)
    return job


def announce(job_id):
    """Tell the workers after the commit. A message that is lost or comes twice does no harm."""
    transaction.on_commit(lambda: async_task("crm.jobs.execute", job_id), robust=True)


def cancel(job):
    """A waiting job ends at once, a running one before its next chunk."""
    queued = Job.objects.filter(pk=job.pk, state=State.QUEUED)
    if not queued.update(state=State.CANCELLED, finished_at=timezone.now(), key=None):
        Job.objects.filter(pk=job.pk, state=State.RUNNING).update(cancel_requested=True)


def reap() -> int:
    """Announce again what nobody shows signs of working at; gives how many jobs that were.

    These are running jobs whose lease ran out and waiting ones whose message may be lost. A job in the middle of a
    chunk is locked and left alone: it is alive, however late.
    """
    now = timezone.now()
    due = Job.objects.filter(state__in=[State.QUEUED, State.RUNNING], lease_until__lt=now)
    if not due.exists():
        return 0
    with transaction.atomic():
        skip = connection.features.has_select_for_update_skip_locked
        jobs = list(due.select_for_update(skip_locked=skip).order_by("pk")[:100])
        for job in jobs:
            # ever rarer reminders: the workers may just be busy with other jobs
            waited = lease() if job.state == State.RUNNING else now - job.created_at
            pause = min(max(waited, lease()), PATIENCE * lease())
            Job.objects.filter(pk=job.pk).update(state=State.QUEUED, worker="", lease_until=now + pause)
            announce(job.pk)
    return len(jobs)


def abandon(worker):
    """The process that held its jobs as ``worker:…`` is dead: its leases end now."""
    Job.objects.filter(state=State.RUNNING, worker__startswith=f"{worker}:").update(lease_until=timezone.now())
