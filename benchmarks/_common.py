"""What every benchmark needs: a scratch database, phases in processes of their own, a line about the machine."""

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import environ

SCRATCH = Path(tempfile.gettempdir()) / "keyuan-benchmarks"


def prepare(name="bench"):
    """Point Django at an empty scratch database beside that of ``DATABASE_URL`` (SQLite in a temporary folder)."""
    SCRATCH.mkdir(exist_ok=True)
    url = os.environ.get("DATABASE_URL", "")
    if url.startswith("mysql"):
        base, _, query = url.partition("?")
        os.environ["DATABASE_URL"] = f"{base}_{name}" + (f"?{query}" if query else "")
        _recreate(environ.Env.db_url_config(os.environ["DATABASE_URL"]), f"{base.rpartition('/')[2]}_{name}")
    else:
        for file in SCRATCH.glob(f"{name}.sqlite3*"):
            file.unlink()
        os.environ["DATABASE_URL"] = f"sqlite:///{SCRATCH / f'{name}.sqlite3'}"
    os.environ["VAR_DIR"] = str(SCRATCH)
    attach()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def attach():
    """Use the scratch database that the parent process prepared."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crm.settings")
    import django

    django.setup()


def _recreate(config, name):
    import MySQLdb

    server = MySQLdb.connect(
        host=config["HOST"] or "127.0.0.1",
        port=int(config["PORT"] or 3306),
        user=config["USER"],
        password=config["PASSWORD"] or "",
    )
    cursor = server.cursor()
    cursor.execute(f"DROP DATABASE IF EXISTS `{name}`")
    cursor.execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci")
    server.close()


def phase(module, *arguments) -> dict:
    """Run ``python -m benchmarks.<module> phase …``; gives seconds and peak MiB of it and of its children."""
    command = [sys.executable, "-m", f"benchmarks.{module}", "phase", *map(str, arguments)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise SystemExit(answer.stderr[-4000:])
    return json.loads(answer.stdout.splitlines()[-1])


class Stopwatch:
    """``with Stopwatch() as watch:`` … ``watch.seconds`` on the clock, ``watch.processor`` of every processor.

    The second counts this process, the children it waited for, and the thread of a MySQL server on this machine that
    serves it: on a busy machine it is the figure to go by.
    """

    def __enter__(self):
        self.used = self._used()
        self.started = time.perf_counter()
        return self

    def __exit__(self, *error):
        self.seconds = time.perf_counter() - self.started
        self.processor = self._used() - self.used

    def _used(self) -> float:
        usages = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
        return sum(usage.ru_utime + usage.ru_stime for usage in usages) + _server_seconds()


def _server_seconds() -> float:
    """Processor time of the server's thread behind the connection; 0 where there is none to be seen."""
    from django.db import connection

    if connection.vendor != "mysql":
        return 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT TID FROM information_schema.PROCESSLIST WHERE ID = CONNECTION_ID()")
        (thread,) = cursor.fetchone()
    for stat in Path("/proc").glob(f"*/task/{thread}/stat"):
        fields = stat.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0


def measured(watch, **more) -> str:
    """The last line of a phase."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    peaks = {"peak": own.ru_maxrss // 1024, "children": children.ru_maxrss // 1024}
    return json.dumps({"seconds": watch.seconds, "processor": watch.processor, **peaks, **more})


def machine() -> str:
    """Cores, memory, database and its buffer pool: without them a figure says nothing."""
    from django.db import connection

    cores, memory = os.cpu_count(), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**30
    database = connection.vendor
    if connection.vendor == "mysql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT @@version, @@innodb_buffer_pool_size")
            version, pool = cursor.fetchone()
        database = f"{version}，缓冲池 {pool // 2**20} MiB"
    load = os.getloadavg()[0]
    return f"{cores} 核、{memory} GiB、Python {platform.python_version()}、{database}；开始时的负载 {load:.1f}"


def aim(what, reached, limit):
    """One line of what was aimed at and what was reached."""
    print(f"- {'达到' if reached <= limit else '未达到'}：{what} {reached:.4g}，目标不超过 {limit:g}", flush=True)


def seller():
    """The person the benchmark acts as."""
    from crm.models import Role, User

    user, _ = User.objects.get_or_create(username="bench", defaults={"full_name": "测试员", "is_staff": True})
    user.groups.add(Role.objects.get(name="销售"))
    return User.objects.get(pk=user.pk)
