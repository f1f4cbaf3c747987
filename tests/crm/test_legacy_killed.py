"""A load whose process is killed goes on where it stood: what is there in the end is what an unkilled one leaves."""

import os
import re
import subprocess
import sys

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from crm import jobs
from crm.legacy import moves
from crm.models import BusinessLog, Job, LegacyLoad, LegacyRecord, User
from customers.models import BankAccount, Contact, Customer, CustomerUserObjectPermission
from sales.models import Order, OrderItem, PaymentRecord
from service.models import CustomerLoss, WorkOrder, WorkOrderEntry
from tests.factories import make

CUSTOMERS, CHUNK = 260, 100
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT")
DEATHS = [  # what has just been done when the process dies, for the so-and-so-many-th time
    ("crm.legacy.load.Loader", "load", 3),
    ("crm.legacy.staging.Staging", "settle", 2),
    ("crm.jobs.run.Run", "_store", 4),
    ("crm.jobs.run.Run", "_store", 3),
    ("crm.bulk.Insertion", "write", 6),
    ("service.legacy.java.JavaLosses", "finish", 1),
    ("crm.legacy.report", "of", 1),
]
SCRIPT = """
import os, signal
from pathlib import Path
from django.conf import settings
from crm.legacy import load
settings.FILES_DIR, load.CHUNK, settings.ENCRYPTION_KEYS = Path({files!r}), {chunk}, {keys!r}
from django.utils.module_loading import import_string
from crm import jobs
place, name, count = {place!r}, {name!r}, {count}
if place:
    owner = __import__(place, fromlist=["x"]) if place.islower() else import_string(place)
    real = getattr(owner, name)
    def deadly(*args, **options):
        global count
        result = real(*args, **options)
        count -= 1
        if count == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(owner, name, deadly)
jobs.execute({job})
"""


def dump() -> str:
    """Customers of which every 50th repeats a number, with contacts, orders, lines, services and churn."""
    tables = {
        "t_customer (id int, khno text, name text, cusManager text, khyh text, khzh text, zczj text)": [
            f"({n},'KH{n - n % 50 // 49}','客户{n}','经理{n % 7}','中国银行','62{n}','{n}')"
            for n in range(1, CUSTOMERS)
        ],
        "t_customer_linkman (id int, cusId int, linkName text, phone text)": [
            f"({n},{n},'联系人{n}','139{n:08}')" for n in range(1, CUSTOMERS)
        ],
        "t_customer_order (id int, cusId int, orderNo text, orderDate text, state int)": [
            f"({n},{n},'DD{n // 2}','2014-03-02 10:20:30',{n % 2})" for n in range(1, CUSTOMERS)
        ],
        "t_order_details (id int, orderId int, goodsName text, goodsNum int, price text, sum text)": [
            f"({n},{n},'笔记本',2,'{n}.5','{2 * n + 1}')" for n in range(1, CUSTOMERS)
        ],
        "t_customer_service (id int, serveType text, overview text, customer text, state text, createPeople text,"
        " createTime text)": [
            f"({n},'咨询{n % 3}','概要{n}','客户{n}','新创建','创建人{n % 5}','2015-06-03 00:00:00')"
            for n in range(1, 200)
        ],
        "t_customer_loss (id int, cusNo text, lastOrderTime text, confirmLossTime text, state int, lossreason text)": [
            f"({n},'KH{n % 120}','2014-01-{n % 28 + 1:02}','2015-01-{n % 28 + 1:02}',{n % 2},'原因{n}')"
            for n in range(1, 300)
        ],
    }
    return "".join(
        f"CREATE TABLE {table};\nINSERT INTO {table.split()[0]} VALUES\n" + ",\n".join(rows) + ";\n"
        for table, rows in tables.items()
    )


def begun(folder) -> LegacyLoad:
    (folder / "dump.sql").write_text(dump(), encoding="utf-8")
    load = moves.begin(folder / "dump.sql", by=User.objects.get(username="loader"), system="java-crm")
    jobs.execute(load.job_id)
    return moves.confirm(LegacyLoad.objects.get(pk=load.pk), by=User.objects.get(username="loader"))


OURS = {
    Customer: ["code", "name", "owner__full_name", "deal_status", "last_deal_at", "lock_version"],
    Contact: ["customer__code", "name", "mobile", "is_default"],
    BankAccount: ["customer__code", "bank", "account", "is_default"],
    Order: ["number", "customer__code", "total_amount", "received_amount", "paid_state", "lock_version"],
    OrderItem: ["order__number", "name", "quantity", "amount"],
    PaymentRecord: ["number", "order__number", "amount"],
    WorkOrder: ["number", "title", "customer__code", "type__label", "status", "created_by__full_name"],
    WorkOrderEntry: ["work_order__title", "kind", "content", "time"],
    CustomerLoss: ["customer__code", "status", "reason", "last_order_date", "confirmed_on", "lock_version"],
    CustomerUserObjectPermission: ["content_object__code", "user__full_name", "permission__codename"],
    Customer.history.model: ["code", "name", "lock_version", "history_type", "deal_status"],
    BusinessLog: ["content_type__model", "operation", "object_repr", "business_no", "user_name"],
    LegacyRecord: ["table", "key", "outcome", "row", "notes", "content_type__model"],
    User: ["username", "full_name", "is_active"],
}


def left(load, ours=None) -> dict:
    """All that a load leaves behind in ``{model: fields}``, without ids and moments of the load itself."""
    load.refresh_from_db()
    since = {BusinessLog: {"created_at__gte": load.created_at}}
    rows = {
        model.__name__: sorted(map(repr, model._default_manager.filter(**since.get(model, {})).values_list(*fields)))
        for model, fields in (ours or OURS).items()
    }
    logged = BusinessLog.objects.filter(created_at__gte=load.created_at)
    since = load.created_at.isoformat()[:10]
    rows["changes"] = sorted(repr(lasting(changes, since)) for changes in logged.values_list("changes", flat=True))
    return rows | {"report": load.report, "state": load.state}


def die(job, deaths, chunk) -> None:
    """Do ``job`` in processes of which each but the last dies as ``deaths`` say."""
    address, _, _ = os.environ["DATABASE_URL"].rpartition("/")
    environment = os.environ | {"DATABASE_URL": f"{address}/{connection.settings_dict['NAME']}"}
    for place, what, count in [*deaths, ("", "", 0)]:
        values = {"place": place, "name": what, "count": count, "job": job, "chunk": chunk}
        values |= {"files": str(settings.FILES_DIR), "keys": settings.ENCRYPTION_KEYS}
        done = subprocess.run(
            [sys.executable, "manage.py", "shell", "-v0", "-c", SCRIPT.format(**values)],
            cwd=settings.BASE_DIR,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == (-9 if place else 0), (place, what, done.stderr[-2000:])
        Job.objects.filter(pk=job).exclude(lease_until=None).update(lease_until=timezone.now())


def lasting(changes, since) -> dict:
    """``changes`` without ids and without moments of the load or after it."""

    def kept(value):
        if isinstance(value, dict):
            return {name: kept(each) for name, each in value.items()}
        if isinstance(value, list):
            return [kept(each) for each in value]
        is_moment = isinstance(value, str) and MOMENT.match(value) and value >= since
        return None if type(value) is int or is_moment else value

    return {name: [kept(value) for value in pair] for name, pair in changes.items()}


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_a_load_that_is_killed_again_and_again_ends_as_one_that_was_not(tmp_path, monkeypatch):
    monkeypatch.setattr("crm.legacy.load.CHUNK", CHUNK)
    make(User, username="loader", is_superuser=True)
    with transaction.atomic():
        load = begun(tmp_path)
        jobs.execute(load.job_id)
        whole = left(load)
        transaction.set_rollback(True)
    assert whole["state"] == LegacyLoad.State.LOADED and len(whole["Customer"]) > 200

    load = begun(tmp_path)
    die(load.job_id, DEATHS, CHUNK)
    assert Job.objects.get(pk=load.job_id).attempt == len(DEATHS) + 1
    killed = left(load)
    for what in whole:
        assert killed[what] == whole[what], what
