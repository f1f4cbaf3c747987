"""Operation traces at growing numbers: a customer's timeline, lists and statistics, the roll-up behind these.

``python -m benchmarks.traces [traces …]``, default 10,000 and 1,000,000. A tenth of all is about one customer, whose
timeline is measured; the others spread over a thousand. 1,400 a day, so that more traces go further back, as they do in
use. Processor time, the server's too.
"""

import random
import sys
import time
from datetime import timedelta

from benchmarks import _common

RUNS = 10
TIMES = 2
A_DAY, PEOPLE, CUSTOMERS = 1400, 100, 1000
PATTERN = 10_000
BUSY = 2  # the customer that a tenth is about; the measured seller owns it


def fill(total):
    """``total`` traces in place of those there were, the newest last; copies of a pattern, each further back."""
    from django.db import connection
    from django.utils import timezone

    from customers.tracking.models import Rollup, Trace, TraceCount

    days = PATTERN / A_DAY
    for model in (Trace, TraceCount, Rollup):
        model.objects.all()._raw_delete(connection.alias)
    Trace.objects.bulk_create(_pattern(timezone.now() - timedelta(days=days)), batch_size=1000)
    if connection.vendor != "mysql":
        assert total == PATTERN, "larger sizes are made by the server: MySQL or MariaDB"
        return
    quote = connection.ops.quote_name
    columns = [quote(field.column) for field in Trace._meta.concrete_fields if not field.primary_key]
    first = Trace.objects.order_by("pk").values_list("pk", flat=True)[0]
    table = Trace._meta.db_table
    with connection.cursor() as cursor:
        for copy in range(total // PATTERN - 1, 0, -1):
            changed = {quote("uuid"): "REPLACE(UUID(), '-', '')"}
            changed[quote("operated_at")] = f"operated_at - INTERVAL {int(copy * days * 86400)} SECOND"
            values = ", ".join(changed.get(column, column) for column in columns)
            chosen = f"SELECT {values} FROM {table} WHERE id BETWEEN {first} AND {first + PATTERN - 1} ORDER BY id"
            cursor.execute(f"INSERT INTO {table} ({', '.join(columns)}) {chosen}")
            print(f"\r还差 {copy * PATTERN:,} 条 ", end="", file=sys.stderr, flush=True)
        cursor.execute(f"ANALYZE TABLE {table}")
        cursor.fetchall()


def _pattern(start):
    from crm.models import User
    from crm.trails import Kind
    from customers.tracking.models import Delivery, Trace

    pick = random.Random("traces")
    people = list(User.objects.filter(username__startswith="seller").order_by("pk")[:PEOPLE])
    kinds = [Kind.VIEW] * 6 + [Kind.EDIT, Kind.FOLLOW_UP, Kind.FOLLOW_UP, Kind.DOWNLOAD]
    for number in range(PATTERN):
        person, kind = pick.choice(people), pick.choice(kinds)
        yield Trace(
            kind=kind,
            event=f"{kind.label}客户",
            customer_id=BUSY if number % 10 == 0 else BUSY + 1 + pick.randrange(CUSTOMERS - BUSY),
            actor_id=person.pk,
            user_name=person.full_name,
            department="华东销售部",
            role="销售",
            operated_at=start + timedelta(days=number / A_DAY),
            delivery=Delivery.DELIVERED,
        )


def count() -> tuple[float, float]:
    """Processor seconds of counting everything for the first time, and of the run five minutes later."""
    from crm import jobs

    found = []
    for _ in range(2):
        job = jobs.start("tracking.count")
        with _common.Stopwatch() as watch:
            jobs.execute(job.pk)
        job.refresh_from_db()
        assert job.state == job.State.DONE, job.error
        found.append(watch.processor)
    return tuple(found)


def measure(known) -> dict[str, float]:
    """One line for each way of reading; gives how many times of the first size each took."""
    from django.test import Client
    from django.utils import timezone

    from crm.models import Role, User
    from customers.models import Customer
    from customers.tracking import timeline

    auditor, _ = User.objects.get_or_create(username="auditor", defaults={"full_name": "审计员", "is_staff": True})
    auditor.groups.add(Role.objects.get(name="审计"))
    seller, customer = _common.seller(), Customer.objects.get(pk=BUSY)
    assert customer.owner_id == seller.pk
    person = User.objects.filter(username__startswith="seller").order_by("pk").first().pk
    today = timezone.localdate()

    def page(user, address):
        browser = Client(SERVER_NAME="127.0.0.1")
        browser.force_login(user)
        expected = b"ky-home" if "statistics" in address else b"field-time"

        def look():
            answer = browser.get(f"/tracking/trace/{address}")
            assert answer.status_code == 200 and expected in answer.content, address

        return look

    ways = {
        "客户页上的时间线": lambda: timeline.panel(customer, seller),
        "一个客户的列表，负责人": page(seller, f"?customer__id__exact={BUSY}"),
        "一个客户的列表，审计": page(auditor, f"?customer__id__exact={BUSY}"),
        "全部，审计": page(auditor, ""),
        "一个人，审计": page(auditor, f"?actor={person}"),
        "一类，审计": page(auditor, "?kind=edit"),
        "最近三天，审计": page(auditor, f"?operated_at_from={today - timedelta(days=3)}&operated_at_to={today}"),
        "搜索客户名称，审计": page(auditor, f"?q={customer.name}"),
        "统计，近 30 天": page(auditor, "statistics/?days=30"),
    }
    print("| | 毫秒 | 处理器 | 倍数 |\n|---|---|---|---|", flush=True)
    ratios = {}
    for what, look in ways.items():
        look()
        clock = []
        with _common.Stopwatch() as watch:
            for _ in range(RUNS):
                started = time.perf_counter()
                look()
                clock.append(time.perf_counter() - started)
        processor = watch.processor / RUNS
        ratios[what] = processor / known.setdefault(what, processor)
        print(f"| {what} | {min(clock) * 1000:.0f} | {processor * 1000:.0f} | {ratios[what]:.2f} |", flush=True)
    print()
    return ratios


def main(sizes):
    from django.utils import timezone

    from benchmarks import data
    from customers.tracking.services.counting import counted_until

    data.grow(CUSTOMERS)
    data.analyze()
    print(f"## 操作记录\n\n{_common.machine()}", flush=True)
    known = {}
    for size in sizes:
        fill(size)
        print(f"\n### {size:,} 条\n", flush=True)
        first, again = count()
        ratios = measure(known)
        until = timezone.localtime(counted_until())
        print(f"- 汇总：第一次 {first:.1f} s，五分钟后 {again:.2f} s（处理器）；统计到 {until:%Y-%m-%d %H:%M}")
        if size != sizes[0]:
            for what in ("客户页上的时间线", "一个客户的列表，负责人", "统计，近 30 天"):
                _common.aim(f"{what}，是 {sizes[0]:,} 条时的倍数", ratios[what], TIMES)


if __name__ == "__main__":
    _common.prepare("bench_traces")
    main([int(number) for number in sys.argv[1:]] or [10_000, 1_000_000])
