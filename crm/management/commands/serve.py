import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import Error

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# gunicorn and the worker finish what they have in hand on SIGTERM; whoever takes longer is killed
GRACE_SECONDS = 30
PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


class Stop(Exception):
    """A stop signal came in."""


class Command(BaseCommand):
    help = "同时启动网页服务与后台任务进程；任一退出，或收到 Ctrl-C，则一起停止"
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("--host", default=os.environ.get("HOST", "127.0.0.1"))
        parser.add_argument("--port", type=int, default=os.environ.get("PORT", 8000))
        parser.add_argument("--prepare", action="store_true", help="先更新数据库结构，数据库为空时放入演示数据")

    def handle(self, *args, host, port, prepare, **options):
        ensure_free(host, port)
        if prepare:
            self.stdout.write("正在准备数据库……")
            call_command("migrate", verbosity=0)
            for alias in settings.DATABASE_APPS:
                self.prepare(alias)
            call_command("demo")
        self.check(databases=["default", *settings.DATABASE_APPS])
        children = {}
        try:
            for number in STOP_SIGNALS:
                signal.signal(number, stop)
            children["后台任务进程"] = start(manage("worker"))
            children["网页服务"] = start(web(host, port))
            self.watch(children, host, port)
        except Stop:
            self.stdout.write("正在停止……")
        finally:
            end(children.values())

    def prepare(self, alias):
        """Tables of another database, unless another product has made them; without it the house opens all the same."""
        try:
            call_command("migrate", settings.DATABASE_APPS[alias], database=alias, fake_initial=True, verbosity=0)
        except Error as error:
            self.stderr.write(self.style.WARNING(f"数据库 {alias} 暂时不能使用（{error}），其余功能不受影响。"))

    def watch(self, children, host, port):
        """Wait until a child ends (CommandError names it); print the address once the web server answers."""
        announced = False
        while True:
            for name, child in children.items():
                if child.poll() is not None:
                    raise CommandError(f"{name}意外退出（退出码 {child.returncode}），已全部停止。")
            if not announced and answers(host, port):
                self.stdout.write(self.style.SUCCESS(f"客源 CRM 已启动：{address(host, port)}（按 Ctrl-C 停止）"))
                announced = True
            time.sleep(0.2)


def stop(number, frame):
    # a second Ctrl-C must not interrupt the stopping
    for each in STOP_SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise Stop


def start(command):
    """In a process group of its own: the terminal's Ctrl-C reaches only us, and a kill reaches grandchildren too."""
    return subprocess.Popen(command, cwd=settings.BASE_DIR, process_group=0, preexec_fn=end_with_parent)


def end_with_parent():
    # who is killed cannot tell its children: the kernel does
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def manage(*arguments):
    return [sys.executable, "manage.py", *arguments]


def web(host, port):
    """Command line of the web server: gunicorn (WEB_CONCURRENCY processes), or runserver when debugging."""
    if settings.DEBUG:
        return manage("runserver", "--noreload", f"{host}:{port}")
    workers = os.environ.get("WEB_CONCURRENCY", "2")
    options = ["--workers", workers, "--threads", "4", "--preload", "--no-control-socket", "--log-level", "warning"]
    return [sys.executable, "-m", "gunicorn", "crm.wsgi", "--bind", f"{host}:{port}", *options]


def ensure_free(host, port):
    """CommandError when the address cannot be bound: said before anything is started."""
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        raise CommandError(f"无法监听 {host}:{port}，可能已被占用。换一个端口：make run PORT={port + 1}") from error


def reachable(host):
    return "127.0.0.1" if host in ("", "0.0.0.0") else host  # noqa: S104  (compared, not bound)


def answers(host, port):
    try:
        socket.create_connection((reachable(host), port), timeout=1).close()
    except OSError:
        return False
    return True


def address(host, port):
    return f"http://{reachable(host)}:{port}/"


def end(children):
    for child in children:
        child.terminate()
    deadline = time.monotonic() + GRACE_SECONDS
    for child in children:
        with suppress(subprocess.TimeoutExpired):
            child.wait(max(0, deadline - time.monotonic()))
        # the child itself when it took too long, and whatever a crashed one left behind
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
