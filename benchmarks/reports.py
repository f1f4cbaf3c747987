"""Every report over growing numbers, against the best SQL by hand for the same numbers on the same indexes.

``python -m benchmarks.reports [customers …]``, default 10,000; with it as many orders and three times as many
receipts. The reader sees everything, the slowest case. Processor time, the server's too.
"""

import sys
from datetime import date

from benchmarks import _common

RUNS = 3
TIMES = 2  # as long as by hand at most
SLOW = 1.0  # seconds from which on figures are kept (reports.summaries)


def cny(row, amount, day):
    """``amount`` of a row in CNY by the rate of its ``day``, as the reports value it."""
    rate = (
        f"(SELECT r.rate FROM crm_exchangerate r WHERE r.is_valid = 1 AND r.currency = {row}.currency"
        f" AND r.valid_from <= {row}.{day} ORDER BY r.valid_from DESC LIMIT 1)"
    )
    return f"CASE WHEN {row}.currency = 'CNY' THEN {row}.{amount} ELSE {row}.{amount} * {rate} END"


ORDER, RECEIPT = cny("o", "total_amount", "order_date"), cny("p", "amount", "date")
FREE = f"CASE WHEN o.contract_id IS NULL THEN {ORDER} END"
# what belongs to a removed record is not counted, so that the same numbers need the same joins
ORDERS = (
    "sales_order o JOIN customers_customer k ON k.id = o.customer_id AND k.is_valid = 1"
    " WHERE o.is_valid = 1 AND o.status = 'confirmed' AND o.order_date >= '{from}' AND o.order_date < '{after}'"
)
RECEIPTS = (
    "sales_paymentrecord p LEFT JOIN sales_contract h ON h.id = p.contract_id"
    " LEFT JOIN sales_order o ON o.id = p.order_id LEFT JOIN customers_customer k ON k.id = o.customer_id"
    " WHERE p.is_valid = 1 AND (h.is_valid = 1 OR (o.is_valid = 1 AND k.is_valid = 1)) AND p.status = 'valid'"
    " AND p.date >= '{from}' AND p.date < '{after}'"
)

# (what, report, filters, the same numbers by hand)
CASES = [
    (
        "客户构成，按等级",
        "composition",
        {"by": "level"},
        [
            "SELECT level_id, COUNT(*), SUM(review_status = 'approved'), SUM(deal_status = 'won'),"
            " SUM(deal_status = 'lost') FROM customers_customer WHERE is_valid = 1 GROUP BY level_id",
            "SELECT level_id, COUNT(*) FROM customers_customer WHERE is_valid = 1"
            " AND created_at >= '{from} 00:00:00' AND created_at < '{after} 00:00:00' GROUP BY level_id",
        ],
    ),
    (
        "客户贡献，前 20 名",
        "contribution",
        {"by": "customer"},
        [
            f"SELECT o.customer_id, COUNT(*), SUM({ORDER}) s, SUM({FREE}) FROM {ORDERS}"
            " GROUP BY o.customer_id ORDER BY s DESC LIMIT 20",
            f"SELECT COUNT(*), SUM({ORDER}), SUM({FREE}) FROM {ORDERS}",
            f"SELECT COUNT(*), SUM({RECEIPT}) FROM {RECEIPTS}",
        ],
    ),
    (
        "客户贡献，按月",
        "contribution",
        {"by": "time"},
        [
            f"SELECT EXTRACT(YEAR_MONTH FROM o.order_date) m, COUNT(*), SUM({ORDER}), SUM({FREE}) FROM {ORDERS}"
            " GROUP BY m",
            f"SELECT EXTRACT(YEAR_MONTH FROM p.date) m, COUNT(*), SUM({RECEIPT}) FROM {RECEIPTS} GROUP BY m",
        ],
    ),
    (
        "回款与开票，按月",
        "receipts",
        {"by": "time"},
        [f"SELECT EXTRACT(YEAR_MONTH FROM p.date) m, COUNT(*), SUM({RECEIPT}) FROM {RECEIPTS} GROUP BY m"],
    ),
    (
        "业绩排行，按人员",
        "ranking",
        {"by": "person"},
        [
            f"SELECT k.owner_id, SUM({FREE}) FROM {ORDERS} GROUP BY 1",
            f"SELECT COALESCE(h.owner_id, k.owner_id), SUM({RECEIPT}) FROM {RECEIPTS} GROUP BY 1",
        ],
    ),
]
PERIOD = {"period": "custom", "from": "2025-01-01", "to": "2025-12-31"}


def grow(total):
    """``total`` customers, an order for each and three receipts for each order; nine in ten in CNY."""
    from django.db import connection

    from benchmarks import data

    data.grow(total)
    quick = connection.vendor == "mysql"
    day = (
        "DATE_ADD('2025-01-01', INTERVAL (id * {0}) %% 365 DAY)"
        if quick
        else "DATE('2025-01-01', ((id*{0})%%365)||' days')"
    )
    kind = "CASE WHEN id %% 10 = 0 THEN 'USD' ELSE 'CNY' END"
    number = "CONCAT('{0}', id)" if quick else "'{0}'||id"
    stamp = "created_at, updated_at, lock_version, remark, is_closed, is_valid"
    with connection.cursor() as cursor:
        cursor.execute("SELECT COALESCE(MAX(id), 0) FROM sales_order")
        (done,) = cursor.fetchone()
        cursor.execute(
            f"INSERT INTO sales_order (id, number, customer_id, currency, total_amount, order_date, address, status,"
            f" cancel_reason, received_amount, paid_state, {stamp})"
            f" SELECT id, {number.format('DD')}, id, {kind}, (id * 37) %% 90000 + 100, {day.format(7)}, '',"
            f" 'confirmed', '', 0, 'unpaid', created_at, created_at, 1, '', 0, 1"
            f" FROM customers_customer WHERE id > {done}",
            [],
        )
        for part in (1, 2, 3):
            cursor.execute(
                f"INSERT INTO sales_paymentrecord (number, customer_id, order_id, amount, currency, date, bank_flow,"
                f" status, void_reason, {stamp}) SELECT {number.format(f'HK{part}-')}, customer_id, id, 30, currency,"
                f" {day.format(7 + part)}, '', 'valid', '', created_at, created_at, 1, '', 0, 1"
                f" FROM sales_order WHERE id > {done}",
                [],
            )
        if quick:
            cursor.execute("ANALYZE TABLE sales_order, sales_paymentrecord, customers_customer")


def measure():
    from reports.queries import REPORTS
    from reports.queries.core import table
    from reports.queries.filters import read
    from reports.summaries import everybody

    print("| 报表 | 处理器 s | 手写 SQL s | 倍数 | 时钟 s | 查询 | |\n|---|---|---|---|---|---|---|")
    worst = 0
    for what, name, given, by_hand in CASES:
        report = REPORTS[name]
        filters = read(report, {**given, **PERIOD})
        reader = everybody()
        ours, clock, queries = _timed(
            lambda report=report, reader=reader, filters=filters: table(report, reader, filters)
        )
        theirs, _, _ = _timed(lambda by_hand=by_hand: _run(by_hand))
        ratio = ours / max(theirs, 0.001)
        worst = max(worst, ratio)
        kept = "存为汇总" if clock > SLOW else ""
        print(f"| {what} | {ours:.2f} | {theirs:.2f} | {ratio:.1f} | {clock:.2f} | {queries} | {kept} |", flush=True)
    print()
    _common.aim("最慢的报表，为手写 SQL 的倍数", worst, TIMES)


def _timed(work):
    """Mean processor time, best time on the clock, and how many queries."""
    import time

    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as captured:
        work()
    clock = []
    with _common.Stopwatch() as watch:
        for _ in range(RUNS):
            started = time.perf_counter()
            work()
            clock.append(time.perf_counter() - started)
    return watch.processor / RUNS, min(clock), len(captured)


def _run(statements):
    from django.db import connection

    with connection.cursor() as cursor:
        for sql in statements:
            cursor.execute(sql.replace("{from}", "2025-01-01").replace("{after}", "2026-01-01"))
            cursor.fetchall()


def main(sizes):
    from crm.models import ExchangeRate

    ExchangeRate(currency="USD", valid_from=date(2020, 1, 1), rate="7.1").save()
    for size in sizes:
        grow(size)
        print(f"\n## 报表\n\n{size:,} 个客户与订单、{3 * size:,} 笔回款，{_common.machine()}\n")
        measure()


if __name__ == "__main__":
    _common.prepare("bench_reports")
    main([int(number) for number in sys.argv[1:]] or [10_000])
