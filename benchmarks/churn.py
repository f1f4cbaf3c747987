"""The churn scan over many customers and three times as many orders, against the bare SQL that finds the same.

``python -m benchmarks.churn [customers …]``, default 1,000,000: seconds, memory, ratio to one INSERT … SELECT, and a
second run that finds nothing.
"""

import sys
import time

from benchmarks import _common

BARE = """
INSERT INTO {losses} (customer_id, last_order_date)
SELECT c.id, MAX(o.order_date) FROM customers_customer c
LEFT JOIN sales_order o ON o.customer_id = c.id AND o.status = 'confirmed' AND o.is_valid = 1
WHERE c.is_valid = 1 AND c.is_enabled = 1 AND c.is_closed = 0 AND c.deal_status <> 'lost'
GROUP BY c.id, c.created_at
HAVING MAX(o.order_date) <= %s OR (MAX(o.order_date) IS NULL AND c.created_at < %s)
"""


def fill(customers):
    """Customers that entered two years ago; of their orders (three each, none for one in fifty) a tenth are old alone.

    Written by the server alone, without history and log.
    """
    from datetime import timedelta

    from django.db import connection
    from django.utils import timezone

    from benchmarks import data
    from sales.models import Order

    data.grow(customers)
    entered = timezone.now() - timedelta(days=730)
    newest = "CASE WHEN s.id %% 10 = 0 THEN 200 + s.id %% 300 ELSE s.id %% 150 END"
    with connection.cursor() as cursor:
        cursor.execute("UPDATE customers_customer SET created_at = %s, deal_status = 'won'", [entered])
    for place in range(3):
        values = {
            "number": data.word("DD", f"(s.id * 10 + {place})"),
            "customer_id": "s.id",
            "total_amount": "100",
            "order_date": data.day(f"-({newest}) - {40 * place}", since=f"'{timezone.localdate()}'"),
            "status": "'confirmed'",
        }
        data.insert_from(Order, "customers_customer", values, where="s.id %% 50 > 0")
    with connection.cursor() as cursor:
        if connection.vendor == "mysql":
            cursor.execute("ANALYZE TABLE customers_customer, sales_order")
    print(f"- {customers:,} 个客户，{Order.objects.count():,} 张订单", flush=True)


def bare() -> tuple[float, int]:
    from datetime import datetime
    from datetime import time as clock

    from django.db import connection
    from django.utils import timezone

    from service.services.retention import months_before

    today = timezone.localdate()
    never = timezone.make_aware(datetime.combine(months_before(today, 12), clock.max))
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE bench_losses (customer_id BIGINT PRIMARY KEY, last_order_date DATE)")
        started = time.perf_counter()
        cursor.execute(BARE.format(losses="bench_losses"), [months_before(today, 6), never])
        seconds = time.perf_counter() - started
        cursor.execute("SELECT COUNT(*) FROM bench_losses")
        return seconds, cursor.fetchone()[0]


def scan() -> dict:
    """One run of the periodic job in a process of its own."""
    return _common.phase("churn")


def phase():
    from crm import jobs

    job = jobs.start("service.churn")
    with _common.Stopwatch() as watch:
        jobs.execute(job.pk)
    job.refresh_from_db()
    print(_common.measured(watch, message=job.result["message"]))


def main(sizes):
    for customers in sizes:
        _common.prepare("bench_churn")
        print(f"## 流失扫描\n\n{_common.machine()}\n", flush=True)
        fill(customers)
        seconds, found = bare()
        print(f"- 同样条件的一句 SQL：{seconds:.1f} s，{found:,} 个", flush=True)
        for word in ("第一次", "第二次"):
            run = scan()
            print(
                f"- {word}扫描：{run['seconds']:.1f} s（处理器 {run['processor']:.1f} s，峰值 {run['peak']} MiB），"
                f"是 SQL 的 {run['seconds'] / seconds:.1f} 倍；{run['message']}",
                flush=True,
            )


if __name__ == "__main__":
    if sys.argv[1:] == ["phase"]:
        _common.attach()
        phase()
    else:
        main([int(size) for size in sys.argv[1:]] or [1_000_000])
