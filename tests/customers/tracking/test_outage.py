"""A wechat database of its own, really killed, frozen and started again while people work (make soak)."""

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections import Counter

import MySQLdb
import pytest
from django.db import connections
from django.test import Client

from crm import jobs
from crm.models import Job, Side
from customers.models import Customer
from customers.tracking.models import Delivery, Trace
from customers.tracking.services import delivery, lookup
from customers.tracking.wechat.models import OperationTrace, WechatUser
from tests.factories import make

pytestmark = [
    pytest.mark.soak,
    pytest.mark.mysql,
    pytest.mark.django_db(transaction=True, databases=["default", "wechat"]),
    pytest.mark.skipif(
        not (shutil.which("mariadbd") and shutil.which("mariadb-install-db")),
        reason="没有安装 mariadbd、mariadb-install-db：请执行 apt-get install mariadb-server",
    ),
]
URL = "/api/information-tracking/record?isSupplySide=false"
WRITERS, WORKS, STAYS_AWAY, PATIENCE, A_PAGE_IN = 4, 4, 3, 60, 20
# what befalls the server, in turn; frozen, it takes connections and never answers
BLOWS = [signal.SIGKILL, signal.SIGKILL, signal.SIGSTOP, signal.SIGKILL, signal.SIGSTOP, signal.SIGKILL]
# two seconds for a connection, or five for an answer, are all that anybody ever waits (settings)
WAITS = 8
SEED_TABLE = """CREATE TABLE informationtra (
    id int AUTO_INCREMENT PRIMARY KEY, tracompany varchar(255), tradepartment varchar(255),
    traorganization varchar(255), trarole varchar(255), trauserName varchar(100), traassistant varchar(100),
    userId varchar(100) NOT NULL, operationEvent text, operationTime datetime, created_at datetime,
    updated_at datetime) CHARACTER SET utf8mb4"""


class Server:
    """A MariaDB server in ``folder``, on a port of its own."""

    def __init__(self, folder):
        self.folder, self.process = folder, None
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self.port = taken.getsockname()[1]
        user = ["--user=root"] if os.geteuid() == 0 else []
        self.options = ["--no-defaults", f"--datadir={folder}", *user]
        create = ["mariadb-install-db", *self.options, "--auth-root-authentication-method=normal", "--skip-test-db"]
        subprocess.run(create, check=True, capture_output=True)

    def start(self):
        listen = ["--bind-address=127.0.0.1", f"--port={self.port}", f"--socket={self.folder}/socket"]
        small = ["--innodb-buffer-pool-size=32M", "--skip-log-bin", "--skip-name-resolve"]
        command = ["mariadbd", *self.options, *listen, *small, f"--pid-file={self.folder}/pid"]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        ends = time.monotonic() + PATIENCE
        while time.monotonic() < ends and self.process.poll() is None:
            try:
                return self.connect().close()
            except MySQLdb.OperationalError:
                time.sleep(0.1)
        raise AssertionError((self.folder / "server.log").read_text()[-2000:])

    def connect(self):
        return MySQLdb.connect(host="127.0.0.1", port=self.port, user="root", connect_timeout=2)

    def suffer(self, blow):
        """Killed and started again, or frozen and awake again, with a while in between."""
        self.process.send_signal(blow)
        time.sleep(STAYS_AWAY)
        if blow == signal.SIGSTOP:
            time.sleep(STAYS_AWAY)  # longer than anybody waits for an answer
            self.process.send_signal(signal.SIGCONT)
        else:
            self.process.wait()
            self.start()

    def end(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def server(tmp_path, transactional_db):
    """The alias ``wechat`` leads to this server for the time of the test."""
    found, there = Server(tmp_path), connections["wechat"]
    kept = {name: there.settings_dict[name] for name in ("HOST", "PORT", "USER", "PASSWORD", "NAME")}
    try:
        found.start()
        with found.connect() as made:
            made.cursor().execute("CREATE DATABASE wechat CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci")
        there.close()
        there.settings_dict.update(HOST="127.0.0.1", PORT=found.port, USER="root", PASSWORD="", NAME="wechat")
        yield found
    finally:
        there.close()
        there.settings_dict.update(kept)
        found.end()


class Office:
    """People who work and the job that delivers, each in a thread, until ``stop``."""

    def __init__(self, people):
        self.stop, self.answers, self.sent, self.errors = threading.Event(), Counter(), [], []
        self.is_calm, self.times = True, []
        self.threads = [threading.Thread(target=self._guard, args=(self.write, *person)) for person in people]
        self.threads.append(threading.Thread(target=self._guard, args=(self.deliver,)))

    def _guard(self, work, *arguments):
        try:
            work(*arguments)
        except Exception as error:
            self.errors.append(error)
        finally:
            connections.close_all()

    def write(self, seller, customer):
        """The call of the old pages again and again, and now and then a look at the customer's page."""
        browser, number = Client(), 0
        browser.force_login(seller)
        while not self.stop.is_set():
            number += 1
            is_page, is_calm, began = number % A_PAGE_IN == 1, self.is_calm, time.monotonic()
            if is_page:
                event, answer = "查看客户", browser.get(f"/customers/customer/{customer.pk}/change/")
            else:
                event = f"操作 {seller.pk}-{number}"
                body = json.dumps({"phoneNumber": customer.phone, "operationEvent": event})
                answer = browser.post(URL, body, content_type="application/json")
            self.times.append((is_page, is_calm, time.monotonic() - began))
            self.answers[answer.status_code] += 1
            self.sent.append(event)
            time.sleep(0.02)

    def slowest(self, is_page, is_calm):
        return max(took for *kind, took in self.times if kind == [is_page, is_calm])

    def deliver(self):
        while not self.stop.is_set():
            jobs.execute(jobs.start("tracking.deliver").pk)
            time.sleep(0.2)


def everything_delivered():
    ends = time.monotonic() + PATIENCE
    while delivery.waiting() and time.monotonic() < ends:
        lookup.works_again()
        job = jobs.start("tracking.deliver")
        jobs.execute(job.pk)
        job.refresh_from_db()
        assert job.state == Job.State.DONE, job.error
    return not delivery.waiting()


@pytest.mark.parametrize("shape", ["ours", "seed"])
def test_a_database_that_is_killed_and_frozen_under_load_loses_and_doubles_nothing(
    shape, server, person, settings, monkeypatch, capsys
):
    settings.API_USER_LIMIT = 1_000_000
    monkeypatch.setattr(lookup, "PAUSE_SECONDS", 2)
    with connections["wechat"].schema_editor() as tables:
        tables.create_model(WechatUser)
        if shape == "ours":
            tables.create_model(OperationTrace)
        else:
            tables.execute(SEED_TABLE)
    people = []
    for place in range(WRITERS):
        seller = person("销售", side=Side.SALES)
        people.append((seller, make(Customer, owner=seller, phone=f"1380013800{place}")))
    WechatUser.objects.create(user_id="WX-1", phone="13800138000")  # the other customers go by their own number
    office = Office(people)
    for thread in office.threads:
        thread.start()
    try:
        while not office.errors and sum(is_page for is_page, *_ in office.times) < 2 * WRITERS:
            time.sleep(0.1)
        office.is_calm = False
        for blow in BLOWS:
            time.sleep(WORKS)
            server.suffer(blow)
        time.sleep(WORKS)
    finally:
        office.stop.set()
        for thread in office.threads:
            thread.join()
    assert not office.errors, office.errors
    connections["wechat"].close()  # the one that made the tables died with its server
    assert everything_delivered()

    sent = Counter(office.sent)
    assert set(office.answers) == {200}, office.answers
    assert Counter(Trace.objects.values_list("event", flat=True)) == sent
    assert not Trace.objects.exclude(delivery=Delivery.DELIVERED).exists()
    copies = Counter(OperationTrace.objects.values_list("event", flat=True))
    if shape == "ours":
        assert copies == sent
        numbers = {str(number) for number in Trace.objects.values_list("uuid", flat=True)}
        assert set(OperationTrace.objects.values_list("trace_uuid", flat=True)) == numbers
    else:  # without our columns, the same view within the same second is one copy
        views = sent.pop("查看客户"), copies.pop("查看客户")
        assert copies == sent and 0 < views[1] <= views[0]
    with capsys.disabled():
        found = f"{shape}：中断 {len(BLOWS)} 次，{len(office.times)} 个请求全部答复 200，记录不丢不重"
        for is_page, what in ((False, "记录接口"), (True, "客户页")):
            found += (
                f"；{what}最慢 {office.slowest(is_page, False):.1f} s（平时 {office.slowest(is_page, True):.1f} s）"
            )
        print(f"\n{found}")
    for is_page in (False, True):  # a machine that is busy makes both slow
        assert office.slowest(is_page, False) < 2 * office.slowest(is_page, True) + WAITS
