"""Traces reach the wechat database exactly once, whatever breaks in between and whoever made its tables."""

import threading
import time
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import OperationalError, connection, connections, transaction
from django.utils import timezone

from crm import jobs
from crm.models import Job
from customers.models import Contact, Customer
from customers.tracking.checks import check_wechat
from customers.tracking.models import Delivery, Source, Trace
from customers.tracking.services import delivery, lookup
from customers.tracking.wechat.models import OperationTrace, WechatUser
from tests.factories import make
from tests.races import run_together

pytestmark = pytest.mark.django_db(databases=["default", "wechat"])
ON_MYSQL = settings.DATABASES["wechat"]["ENGINE"].endswith("mysql")
SEED_USERS = "CREATE TABLE users (userId varchar(100) NOT NULL PRIMARY KEY, phoneNumber varchar(40))"
SEED_TABLE = """CREATE TABLE informationtra (
    id INTEGER PRIMARY KEY AUTOINCREMENT, tracompany varchar(255), tradepartment varchar(255),
    traorganization varchar(255),
    trarole varchar(255), trauserName varchar(100), traassistant varchar(100), userId varchar(100) NOT NULL,
    operationEvent text, operationTime datetime, created_at datetime, updated_at datetime{constraint})"""
FOREIGN_KEY = ", CONSTRAINT fk_informationtra_userId FOREIGN KEY (userId) REFERENCES users (userId) ON DELETE CASCADE"


def deliver():
    """One run of the periodic work."""
    lookup.works_again()
    job = jobs.start("tracking.deliver")
    jobs.execute(job.pk)
    job.refresh_from_db()
    assert job.state == Job.State.DONE, job.error
    return job.result["message"]


def trace(phone="13800138000", **values):
    customer = values.pop("customer", None) or make(Customer, phone=phone)
    return make(Trace, customer=customer, phone=customer.phone_key, **values)


def copies():
    return OperationTrace.objects.order_by("id")


@contextmanager
def table_of_the_seed(constraint=""):
    """The tables as the other product made them, in place of ours."""
    other = connections["wechat"]
    with other.cursor() as cursor:
        for table in ("informationtra", "users"):
            cursor.execute(f"DROP TABLE IF EXISTS {table}")
        cursor.execute(SEED_USERS)
        cursor.execute(SEED_TABLE.format(constraint=constraint))
    try:
        yield
    finally:
        with other.cursor() as cursor:
            for table in ("informationtra", "users"):
                cursor.execute(f"DROP TABLE IF EXISTS {table}")


def test_a_copy_has_the_shape_of_the_seed_and_local_time():
    moment = timezone.now().replace(microsecond=0)
    made = trace(operated_at=moment, company="深圳客源", department="一部", role="销售", assistant="小助")
    WechatUser.objects.create(user_id="wx-1", phone="13800138000")
    assert deliver() == "已送 1 条"
    with connections["wechat"].cursor() as cursor:
        cursor.execute(
            "SELECT tracompany, tradepartment, trarole, traassistant, userId, traSource, operationTime"
            " FROM informationtra"
        )
        *words, stored = cursor.fetchone()
    assert words == ["深圳客源", "一部", "销售", "小助", "wx-1", "wechat"]
    assert str(stored)[:19] == f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S}"
    made.refresh_from_db()
    assert (made.delivery, made.source, made.external_id) == (Delivery.DELIVERED, Source.WECHAT, "wx-1")


def test_who_is_no_wechat_user_goes_by_contact_or_customer_and_export_of_many_stays_here():
    contact = make(Contact, mobile="13900139000", customer=make(Customer, phone="13900139000"))
    by_contact = trace(customer=contact.customer)
    by_customer, of_many = trace("13600136000"), make(Trace, customer=None, kind="export")
    deliver()
    assert [(copy.source, copy.user_id) for copy in copies()] == [
        ("contact", str(contact.pk)),
        ("customer", str(by_customer.customer_id)),
    ]
    by_contact.refresh_from_db()
    of_many.refresh_from_db()
    assert (by_contact.delivery, of_many.delivery) == (Delivery.DELIVERED, Delivery.LOCAL)


def test_delivering_again_changes_nothing():
    trace()
    deliver()
    assert deliver() == "已送 0 条"
    assert copies().count() == 1


def test_a_mark_that_was_lost_makes_no_second_copy():
    """The batch was written there, and the process died before it was marked here."""
    made = [trace() for _ in range(3)]
    found = delivery.shape()
    with pytest.raises(RuntimeError), transaction.atomic():
        assert delivery.deliver_batch(found) == (3, made[-1].pk)
        raise RuntimeError("killed")
    assert copies().count() == 3 and delivery.waiting() == {"待送达": 3}
    assert deliver() == "已送 3 条"
    assert copies().count() == 3 and not delivery.waiting()


@pytest.mark.django_db(databases=["default", "wechat"], transaction=True)
def test_while_the_database_is_down_everything_waits(monkeypatch):
    """No try for a while after a failure, then all of it, once. Committed: the connection is closed meanwhile."""
    for _ in range(3):
        trace()

    def refused(*args, **kwargs):
        raise OperationalError("(2002, connection refused)")

    with monkeypatch.context() as broken:
        broken.setattr(connections["wechat"], "cursor", refused)
        assert "没有响应" in deliver()
        with pytest.raises(lookup.Unavailable):
            lookup.wechat_users(["+8613800138000"])
    assert lookup.is_paused() and delivery.waiting() == {"待送达": 3}
    assert deliver() == "已送 3 条" and copies().count() == 3
    assert cache.get("tracking.wechat.failed") is None


def test_more_than_a_batch_is_delivered_in_one_run(monkeypatch):
    monkeypatch.setattr(delivery, "BATCH", 4)
    customer = make(Customer, phone="13800138000")
    for _ in range(10):
        trace(customer=customer)
    assert deliver() == "已送 10 条"
    assert len(set(copies().values_list("trace_uuid", flat=True))) == 10


@pytest.mark.parametrize(
    "written", ["13800138000", "+8613800138000", "8613800138000", "86-13800138000", "138-0013-8000", "138 0013 8000"]
)
def test_a_number_is_found_however_it_is_written_there(written):
    WechatUser.objects.create(user_id="wx", phone=written)
    assert lookup.wechat_users(["+8613800138000", "+8613900139000"]) == {"+8613800138000": "wx"}


# --- Tables of another product ----------------------------------------------------------------------------------------


def warnings():
    return [warning.id for warning in check_wechat(None, databases=["wechat"])]


@pytest.mark.skipif(ON_MYSQL, reason="DDL ends the transaction of the test there")
def test_the_tables_of_the_seed_hold_back_whom_their_foreign_key_refuses():
    """Said in a check, kept in the outbox, delivered once the key is gone."""
    with table_of_the_seed(FOREIGN_KEY):
        WechatUser.objects.create(user_id="wx-1", phone="13800138000")
        known, stranger = trace(), trace("13600136000")
        assert warnings() == ["tracking.W002", "tracking.W003"]
        assert deliver() == "已送 1 条"
        known.refresh_from_db()
        stranger.refresh_from_db()
        assert (known.delivery, stranger.delivery) == (Delivery.DELIVERED, Delivery.HELD)
        assert delivery.waiting() == {"外键不允许": 1}
    with table_of_the_seed():
        assert warnings() == ["tracking.W003"]
        assert deliver() == "已送 1 条"
        assert not delivery.waiting()


@pytest.mark.skipif(ON_MYSQL, reason="DDL ends the transaction of the test there")
def test_without_our_columns_the_same_operation_in_the_same_second_is_one_copy():
    with table_of_the_seed():
        made = trace()
        with pytest.raises(RuntimeError), transaction.atomic():
            delivery.deliver_batch(delivery.shape())
            raise RuntimeError("killed")
        trace(customer=made.customer, operated_at=made.operated_at + timedelta(seconds=5))
        deliver()
        with connections["wechat"].cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM informationtra")
            assert cursor.fetchone() == (2,)


def test_a_database_without_tables_is_said_and_waited_for(monkeypatch):
    monkeypatch.setattr(OperationTrace._meta, "db_table", "not_there")
    assert warnings() == ["tracking.W001"]


# --- Several at once --------------------------------------------------------------------------------------------------


@pytest.mark.mysql
@pytest.mark.django_db(databases=["default", "wechat"], transaction=True)
def test_many_deliverers_and_many_writers_lose_and_double_nothing():
    customer = make(Customer, phone="13800138000")
    actor = customer.owner
    stop = threading.Event()

    def work(number):
        if number < 6:
            for _ in range(30):
                make(Trace, customer=customer, actor=actor, phone=customer.phone_key)
            return 0
        found, ends = delivery.shape(), time.monotonic() + 60
        while not stop.is_set() and time.monotonic() < ends:
            if delivery.deliver_batch(found) is None and Trace.objects.count() >= 180:
                stop.set()
        connections["wechat"].close()
        return 0

    results = run_together(work, threads=10)
    assert not [error for error in results if isinstance(error, Exception)], results
    found = delivery.shape()
    while delivery.deliver_batch(found):
        pass
    assert copies().count() == 180 == len(set(copies().values_list("trace_uuid", flat=True)))
    assert not delivery.waiting()


@pytest.mark.mysql
@pytest.mark.django_db(databases=["default", "wechat"], transaction=True)
def test_without_lock_and_number_deliverers_would_double():
    """Negative control: the copy alone, written by whoever sees the trace waiting."""
    made = trace()

    def work(number):
        if Trace.objects.filter(pk=made.pk, delivery=Delivery.PENDING).exists():
            OperationTrace.objects.create(user_id="1", event=made.event, operated_at=made.operated_at)
        Trace.objects.filter(pk=made.pk).update(delivery=Delivery.DELIVERED)
        connections["wechat"].close()

    run_together(work, threads=8)
    assert copies().count() > 1
    assert connection.vendor == "mysql"
