"""One attempt at a job: taking the lease, committing chunk by chunk, ending."""

import gc
import logging
import os
import secrets
import socket
import time
import traceback
from contextlib import contextmanager

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils import timezone

from crm import actor
from crm.jobs.queue import State, lease
from crm.jobs.registry import handler_of
from crm.models import Job, Notification, User
from crm.notifications import notify

logger = logging.getLogger(__name__)

BEAT_SECONDS = 1
WAY_SECONDS = 0.05
WORTH_TELLING_SECONDS = 10


class JobError(Exception):
    """Raised by a handler to end its job with a text for the person who started it."""


class Stopped(BaseException):
    """The attempt is over. Not an ``Exception``: a handler that collects errors must not swallow it."""


class LeaseLost(Stopped):
    """Another worker has the job now, or it is finished; this one may not apply anything any more."""


class Interrupted(Stopped):
    """The worker was told to shut down; another goes on from the checkpoint."""


class Cancelled(Stopped):
    """The person wants no more of it."""

    text = "已按要求取消；取消前已处理的部分保留。"


class UserDisabled(Cancelled):
    text = "发起人的账号已停用，任务已停止；之前已处理的部分保留。"


class Shutdown:
    """Set by the signal handler of a worker process, obeyed between chunks."""

    requested = False


def worker_name(pid=None) -> str:
    return f"{socket.gethostname()[:50]}:{pid or os.getpid()}"


def _give_way():
    """SQLite has one writer at a time and no queue: whoever waits looks ten times a second whether it is his turn.

    Without a pause between two chunks, people's changes would wait for the whole of a long job, until they give up.
    """
    if connection.vendor == "sqlite" and not connection.is_in_memory_db():
        time.sleep(WAY_SECONDS)


class Run:
    """What a handler works with.

    ``job`` (``job.params`` says what to do), ``user`` (read again at every chunk), and the state that every chunk
    commits: ``checkpoint`` (a dict), ``done``, ``total``, ``message``.
    """

    def __init__(self, job):
        self.job, self.user = job, job.user
        self.checkpoint, self.done, self.total, self.message = job.checkpoint, job.done, job.total, job.message
        self._beaten = time.monotonic()

    @classmethod
    def take(cls, job_id) -> "Run | None":
        """The lease on a waiting or abandoned job, by one conditional UPDATE; None when somebody else has it."""
        now, worker = timezone.now(), f"{worker_name()}:{secrets.token_hex(4)}"
        taken = (
            Job.objects.filter(Q(state=State.QUEUED) | Q(state=State.RUNNING, lease_until__lt=now), pk=job_id)
            .update(
                state=State.RUNNING,
                worker=worker,
                attempt=F("attempt") + 1,
                retries=F("retries") + 1,
                started_at=Coalesce("started_at", now),
                lease_until=now + lease(),
            )
        )  # fmt: skip
        job = Job.objects.select_related("user").get(pk=job_id) if taken else None
        return cls(job) if job and job.worker == worker else None

    @contextmanager
    def chunk(self, **progress):
        """One transaction for the handler's writes and the ``progress`` given here or set on the run inside the block.

        ``with run.chunk(done=2000, checkpoint={"last": 2000}, message="已导入 2000 行"):``. The job stays locked
        meanwhile, so nobody can take it over in the middle. Raises LeaseLost, Cancelled, UserDisabled, Interrupted.
        """
        before = self.checkpoint, self.done, self.total, self.message
        try:
            with transaction.atomic():
                self._hold()
                self._set(progress)
                with actor.acting(self.user):
                    yield self
                self._store(checkpoint=self.checkpoint, retries=0)
        except BaseException:
            self.checkpoint, self.done, self.total, self.message = before
            raise
        _give_way()

    def beat(self, done=None, total=None, message=None):
        """A sign of life while nothing is written, at most one a second. Raises what ``chunk`` raises."""
        self._set({"done": done, "total": total, "message": message})
        if time.monotonic() - self._beaten >= BEAT_SECONDS:
            with transaction.atomic():
                self._hold()
                self._store()

    def _set(self, progress):
        for name, value in progress.items():
            if name not in ("checkpoint", "done", "total", "message"):
                raise TypeError(f"unknown progress: {name}")
            if value is not None:
                setattr(self, name, value)

    def _mine(self):
        job = self.job
        return Job.objects.filter(pk=job.pk, attempt=job.attempt, worker=job.worker, state=State.RUNNING)

    def _hold(self):
        """Lock the row and make sure that it is still ours and still wanted."""
        wanted = self._mine().select_for_update().values_list("cancel_requested", flat=True).first()
        if wanted is None:
            raise LeaseLost
        if wanted:
            raise Cancelled
        if Shutdown.requested:
            raise Interrupted
        if self.user is not None:
            self.user = User.objects.get(pk=self.user.pk)
            if not self.user.is_active:
                raise UserDisabled

    def _store(self, **more):
        self._mine().update(
            done=self.done, total=self.total, message=self.message[:500], lease_until=timezone.now() + lease(), **more
        )
        self._beaten = time.monotonic()

    def finish(self, state, *, message=None, result=None, error=""):
        """End the job and tell its person. Raises LeaseLost."""
        message = self.message if message is None else message
        with transaction.atomic():
            now = timezone.now()
            changed = self._mine().update(
                state=state,
                message=message[:500],
                result=result or {},
                error=error[-20_000:],
                finished_at=now,
                lease_until=None,
                key=None,
            )
            if not changed:
                raise LeaseLost
            took = now - (self.job.started_at or now)
            if state == State.FAILED or (state == State.DONE and took.total_seconds() > WORTH_TELLING_SECONDS):
                self._tell(state == State.FAILED, message)

    def _tell(self, failed, message):
        """The person who started it; the administrators when the system's own work failed."""
        job = self.job
        people = [job.user] if job.user else User.objects.filter(is_superuser=True, is_active=True) if failed else []
        notify(
            people,
            title=f"{job.title[:180]}：{'失败' if failed else '已完成'}",
            body=message,
            key=f"job:{job.pk}",
            link=job.link or (reverse("admin:crm_job_change", args=[job.pk]) if job.user else ""),
            level=Notification.Level.DANGER if failed else Notification.Level.SUCCESS,
        )

    def give_back(self):
        """Leave the job to the next reaper."""
        self._mine().update(state=State.QUEUED, worker="", lease_until=timezone.now(), retries=0)


def execute(job_id):
    """Do the job, or go on with it, if nobody else does: what a message in the queue asks of a worker.

    Raises OperationalError and InterfaceError of the database; the job is then unfinished and will be taken over.
    """
    run = Run.take(job_id)
    if run is None:
        return
    try:
        with _rarely_collecting():
            _attempt(run)
    except LeaseLost:
        logger.warning("任务 %s 已由其他进程接手", job_id)


@contextmanager
def _rarely_collecting():
    """Chunks of rows are many containers without cycles: looking for cycles costs a quarter of the time of an import.

    What lives longer than the job is not looked at meanwhile.
    """
    usual = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()


def _attempt(run):
    job = run.job
    try:
        if job.retries > settings.JOB_MAX_ATTEMPTS:
            raise JobError(f"执行进程连续中断 {job.retries - 1} 次而没有进展，已停止。请联系管理员。")
        if run.user is not None and not run.user.is_active:
            raise UserDisabled
        with actor.acting(run.user, ip=job.ip, batch=f"job:{job.pk}"):
            result = handler_of(job.kind).function(run) or {}
        run.finish(State.DONE, message=result.get("message"), result=result)
    except Interrupted:
        run.give_back()
    except Cancelled as reason:
        run.finish(State.CANCELLED, message=reason.text)
    except JobError as error:
        run.finish(State.FAILED, message=str(error))
    except (OperationalError, InterfaceError):
        # deadlock, lock timeout, lost connection: this process ends, another goes on from the checkpoint
        raise
    except Exception:
        logger.exception("任务 %s 出错", job.pk)
        run.finish(
            State.FAILED,
            message=f"程序出错，任务已停止；之前已处理的部分保留。请把任务编号 {job.pk} 告诉管理员。",
            error=traceback.format_exc(),
        )
