"""Real worker processes on a real database: they may be killed at any moment."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import environ
import pytest
from django.conf import settings

from tests.crm.jobs.workshop.background import CHUNK

ROOT = Path(settings.BASE_DIR)
LEASE_SECONDS = 3
DEATHS = 20
START = """
from crm import jobs
from crm.models import User
user = User.objects.create(username="worker", full_name="员工")
print(jobs.enqueue("workshop.rows", by=user, params={params}, total={params}["rows"]).pk)
"""
UNTIL_BEGUN = """
import time
from crm.models import Job
while not Job.objects.get(pk={pk}).done:
    time.sleep(0.05)
"""
# follows the job to its end; overdue is the longest time a row said "running" after its lease had run out
WATCH = """
import json, time
from django.utils import timezone
from crm.models import Job, Notification
overdue, give_up = 0, time.monotonic() + {patience}
while time.monotonic() < give_up:
    job = Job.objects.get(pk={pk})
    if job.is_finished:
        break
    if job.state == "running":
        overdue = max(overdue, (timezone.now() - job.lease_until).total_seconds())
    time.sleep(0.05)
bodies = sorted(map(int, Notification.objects.filter(title="行").values_list("body", flat=True)))
print(json.dumps([job.state, job.message, job.attempt, job.retries, bodies, overdue]))
"""


class Installation:
    """A database of its own with worker processes."""

    settings = "tests.crm.jobs.workshop.settings"

    def __init__(self, url, folder):
        self.environment = os.environ | {
            "DATABASE_URL": url,
            "VAR_DIR": str(folder),
            "DJANGO_SETTINGS_MODULE": self.settings,
            "JOB_LEASE_SECONDS": str(LEASE_SECONDS),
            "WORKERS": "2",
            "REDIS_URL": "",
        }
        self.process, self.groups = None, []
        self.call("migrate", "--verbosity", "0")

    def command(self, *args):
        return {"args": [sys.executable, "manage.py", *args], "cwd": ROOT, "env": self.environment, "text": True}

    def call(self, *args) -> str:
        done = subprocess.run(**self.command(*args), capture_output=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def enqueue(self, **params) -> int:
        return int(self.call("shell", "-v0", "-c", START.format(params=params)).strip())

    def watch(self, pk, patience=180):
        """Follows job ``pk`` in a process of its own."""
        script = WATCH.format(pk=pk, patience=patience)
        return subprocess.Popen(**self.command("shell", "-v0", "-c", script), stdout=subprocess.PIPE)

    def start(self):
        self.process = subprocess.Popen(**self.command("worker"), stderr=subprocess.DEVNULL, start_new_session=True)
        self.groups.append(self.process.pid)

    def workers(self) -> list[int]:
        """Their process ids, as soon as there are any."""
        parent = self.process.pid
        while self.process.poll() is None:
            if children := Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
                return [int(pid) for pid in children]
            time.sleep(0.05)
        raise AssertionError("the worker command ended by itself")

    def until_begun(self, pk):
        self.call("shell", "-v0", "-c", UNTIL_BEGUN.format(pk=pk))

    def kill_one(self):
        kill(random.choice(self.workers()))

    def kill_parent(self):
        """The workers are left alone in the world, and others come."""
        kill(self.process.pid)
        self.process.wait()
        self.start()

    def kill_all(self):
        self.end()
        self.start()

    def end(self):
        for group in self.groups:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        if self.process is not None:
            self.process.wait()


def kill(pid):
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def outcome(watcher):
    state, message, attempt, retries, bodies, overdue = json.loads(watcher.communicate()[0])
    print(f"{state}，第 {attempt} 次执行；租约过期后仍显示“进行中”最长 {overdue:.1f} 秒")
    return state, message, attempt, retries, bodies


@contextmanager
def database(vendor, folder):
    """The URL of an empty database."""
    if vendor == "sqlite":
        yield f"sqlite:///{folder / 'db.sqlite3'}"
        return
    if not os.environ.get("DATABASE_URL", "").startswith("mysql"):
        pytest.skip("没有 MySQL/MariaDB：用 make soak 运行")
    import MySQLdb

    url = os.environ["DATABASE_URL"]
    config = environ.Env.db_url_config(url)
    names = {"HOST": "host", "USER": "user", "PASSWORD": "password", "PORT": "port"}
    server = MySQLdb.connect(**{name: config[key] for key, name in names.items() if config[key]}).cursor()
    name = f"keyuan_jobs_{os.getpid()}"
    server.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci")
    try:
        yield url.rpartition("/")[0] + f"/{name}"
    finally:
        server.execute(f"DROP DATABASE {name}")


@pytest.fixture(params=["sqlite", pytest.param("mysql", marks=pytest.mark.mysql)])
def installation(request, tmp_path):
    with database(request.param, tmp_path) as url:
        made = Installation(url, tmp_path)
        yield made
        made.end()


def test_the_worker_command_does_a_job_and_stops_when_asked(installation):
    pk = installation.enqueue(rows=100, pause=0)
    installation.start()
    assert outcome(installation.watch(pk))[0] == "done"
    installation.process.terminate()
    assert installation.process.wait(60) == 0


def test_on_sqlite_others_write_between_the_chunks_of_a_long_job(tmp_path):
    """It has no queue of writers: one that writes chunk after chunk without a pause would keep everybody out."""
    with database("sqlite", tmp_path) as url:
        installation = Installation(url, tmp_path)
        try:
            pk = installation.enqueue(rows=40 * CHUNK, pause=0.2)
            installation.start()
            installation.until_begun(pk)
            other = sqlite3.connect(tmp_path / "db.sqlite3", timeout=60, isolation_level=None)
            for _ in range(3):
                other.execute("BEGIN IMMEDIATE")
                state, done = other.execute("SELECT state, done FROM crm_job WHERE id = ?", [pk]).fetchone()
                other.execute("COMMIT")
            assert state == "running" and done < 40 * CHUNK
            other.close()
        finally:
            installation.end()


@pytest.mark.soak
def test_killing_every_waiting_worker_leaves_a_pool_that_works(installation):
    """In django-q2's own pool a waiting worker dies with the lock of the common pipe in its hand."""
    installation.start()
    for _ in range(6):
        installation.kill_one()
        time.sleep(1)
    assert outcome(installation.watch(installation.enqueue(rows=100, pause=0)))[0] == "done"


@pytest.mark.soak
def test_a_stop_gives_the_job_back_and_the_next_start_goes_on(installation):
    """At once, long before its lease would have run out."""
    installation.environment["JOB_LEASE_SECONDS"] = "600"
    pk = installation.enqueue(rows=1000, pause=0.2)
    installation.start()
    installation.until_begun(pk)
    watcher = installation.watch(pk)
    installation.process.terminate()
    assert installation.process.wait(60) == 0
    installation.start()
    state, _, attempt, _, bodies = outcome(watcher)
    assert (state, attempt, bodies) == ("done", 2, list(range(1000)))


@pytest.mark.soak
def test_kill_9_at_random_moments_leaves_exactly_n_rows(installation):
    seed = random.randrange(10**6)
    random.seed(seed)
    print(f"seed {seed}")
    pk = installation.enqueue(rows=20_000, pause=0.05)
    installation.start()
    watcher = installation.watch(pk, patience=600)
    for _ in range(DEATHS):
        installation.workers()
        time.sleep(random.uniform(0.1, 3))
        random.choices([installation.kill_one, installation.kill_parent, installation.kill_all], [4, 1, 1])[0]()
    state, message, attempt, _, bodies = outcome(watcher)
    assert (state, message) == ("done", "已写入 20000 行")
    assert bodies == list(range(20_000))
    assert attempt > 1
