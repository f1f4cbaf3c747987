"""The list page of customers at growing numbers, as superuser and as the owner of 5,000: time, queries, plans.

``python -m benchmarks.lists [customers …]``, default 10,000 and 100,000. A page is the whole answer of the admin with
its 50 rows, filters and navigation, through Django's test client; on the clock the best of six, of the processors
(the server's too) their mean, which the ratios are made of.
"""

import sys
import time

from benchmarks import _common

RUNS = 6
QUERIES = 12
WHOLE_TABLE = 50_000  # rows: who reads or sorts no more does not go through the table; 10,000 are counted

PAGES = {
    "第一页": "",
    "第 100 页": "p=100",
    "按名称排序": "o={name}",
    "按名称倒序，第 50 页": "o=-{name}&p=50",
    "按更新时间倒序": "o=-{updated_at}",
    "阶段：重要": "stage=key",
    "成交：流失": "deal_status=lost",
    "等级：A级": "level={level}",
    "行业与阶段": "industry={industry}&stage=lead",
    "已完结": "is_closed=1",
    "经营类型：邮购商": "business_types=mailorder",
    "创建时间：一周": "created_at_from=2025-03-03&created_at_to=2025-03-09",
    "创建时间：一周，按名称": "created_at_from=2025-03-03&created_at_to=2025-03-09&o={name}",
}


def measure(size, known):
    """One table for this size, whose customers are there; ``known`` keeps what the first took, for the ratios."""
    from benchmarks import data
    from crm.models import DictionaryItem, User

    chosen = {
        name: DictionaryItem.objects.filter(type=name).order_by("pk").first().pk for name in ("level", "industry")
    }
    chosen |= {name: columns().index(name) for name in ("name", "updated_at")}
    boss, _ = User.objects.get_or_create(username="boss", defaults={"is_superuser": True, "is_staff": True})
    print("| 页面 | 超级用户：毫秒 | 处理器 | 倍数 | 负责 5,000 个的人：毫秒 | 处理器 | 倍数 | 查询 |")
    print("|---|---|---|---|---|---|---|---|")
    worst, most, read, ordered = 0, 0, {}, {}
    for what, query in PAGES.items():
        cells, counts = [], []
        for who, user in (("superuser", boss), ("owner", data.seller())):
            clock, processor, statements = _page(user, query.format(**chosen))
            first = known.setdefault((who, what), processor)
            worst, most = max(worst, processor / first), max(most, len(statements))
            counts.append(str(len(statements)))
            cells += [f"{clock * 1000:.0f}", f"{processor * 1000:.0f}", f"{processor / first:.2f}"]
            read[what, who], ordered[what, who] = _work(statements)
        print(f"| {what} | {' | '.join(cells)} | {'/'.join(counts)} |", flush=True)
    print()
    _common.aim("列表页最多的查询数", most, QUERIES)
    if worst > 1:
        _common.aim("列表页最慢的一种，是 10,000 个客户时的倍数", worst, 1.3)
    for work, counts in (("读", read), ("排序", ordered)):
        (what, who), rows = max(counts.items(), key=lambda item: item[1])
        _common.aim(f"一次查询{work}的行数（{what}，{who}）", rows, WHOLE_TABLE)


def columns() -> list[str]:
    """The columns of the list, as its addresses count them."""
    from django.contrib import admin
    from django.test import RequestFactory

    from crm.models import User
    from customers.models import Customer

    request = RequestFactory().get("/")
    request.user = User(is_superuser=True, is_active=True)
    return admin.site._registry[Customer].get_changelist_instance(request).list_display


def _page(user, query):
    """Best time on the clock, mean of the processors, and the statements of one page."""
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext
    from django.urls import reverse

    client = Client(SERVER_NAME="127.0.0.1")
    client.force_login(user)
    address = f"{reverse('admin:customers_customer_changelist')}?{query}"
    with CaptureQueriesContext(connection) as captured:
        page = client.get(address)
    statements = [item["sql"] for item in captured.captured_queries]
    assert page.status_code == 200, (page.status_code, address)
    assert b'class="field-code' in page.content, address
    clock = []
    with _common.Stopwatch() as watch:
        for _ in range(RUNS):
            started = time.perf_counter()
            client.get(address)
            clock.append(time.perf_counter() - started)
    return min(clock), watch.processor / RUNS, statements


def _work(statements) -> tuple[int, int]:
    """The most rows that one of these statements reads, and the most that one sorts, as the server counts them."""
    from django.db import connection

    if connection.vendor != "mysql":
        return 0, 0
    read, ordered = 0, 0
    with connection.cursor() as cursor:
        for sql in statements:
            if not sql.startswith("SELECT"):
                continue
            cursor.execute("FLUSH STATUS")
            cursor.execute(sql)
            cursor.fetchall()
            cursor.execute(
                "SHOW SESSION STATUS WHERE Variable_name LIKE 'Handler_read%' OR Variable_name = 'Sort_rows'"
            )
            status = {name: int(value) for name, value in cursor.fetchall()}
            ordered = max(ordered, status.pop("Sort_rows"))
            read = max(read, sum(status.values()))
    return read, ordered


def main(sizes):
    from benchmarks import data

    known = {}
    for size in sizes:
        data.grow(size)
        data.analyze()
        print(f"\n{size:,} 个客户，{_common.machine()}\n")
        measure(size, known)


if __name__ == "__main__":
    _common.prepare("bench_lists")
    main([int(number) for number in sys.argv[1:]] or [10_000, 100_000])
