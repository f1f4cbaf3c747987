import signal
import socket
import sys

import pytest
from django.core.management import CommandError, call_command

from crm.management.commands import serve

pytestmark = pytest.mark.django_db(databases=["default", "wechat"])


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture
def children(monkeypatch):
    """The processes that were started, in order; signal handlers are put back afterwards."""
    started = []
    start = serve.start

    def recording(command):
        started.append(start(command))
        return started[-1]

    monkeypatch.setattr(serve, "start", recording)
    handlers = {number: signal.getsignal(number) for number in serve.STOP_SIGNALS}
    yield started
    for number, handler in handlers.items():
        signal.signal(number, handler)


def python(source):
    return [sys.executable, "-c", source]


def test_a_worker_that_ends_takes_the_web_server_with_it(monkeypatch, children, port):
    monkeypatch.setattr(serve, "manage", lambda *arguments: python("raise SystemExit(3)"))
    monkeypatch.setattr(serve, "web", lambda host, port: python("import time; time.sleep(60)"))
    with pytest.raises(CommandError, match="后台任务进程意外退出（退出码 3）"):
        call_command("serve", port=port)
    _worker, web = children
    assert web.returncode == -signal.SIGTERM


def test_a_stop_signal_ends_both_and_is_no_error(monkeypatch, children, port):
    stop_us = "import os, signal, time; os.kill(os.getppid(), signal.SIGINT); time.sleep(60)"
    monkeypatch.setattr(serve, "manage", lambda *arguments: python("import time; time.sleep(60)"))
    monkeypatch.setattr(serve, "web", lambda host, port: python(stop_us))
    call_command("serve", port=port)
    assert [child.returncode for child in children] == [-signal.SIGTERM, -signal.SIGTERM]


def test_a_port_in_use_is_said_before_anything_starts(children):
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        with pytest.raises(CommandError, match=f"PORT={port + 1}"):
            call_command("serve", port=port)
    assert children == []
