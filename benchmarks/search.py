"""Search among growing numbers of customers: rare, common and too common words, telephone numbers.

``python -m benchmarks.search [customers …]``, default 10,000 and 100,000. Figures are the best of ten runs, in which
what else the machine does shows least, as a multiple of looking up one customer by his code in the same minute.
"""

import sys

from benchmarks import _common

RUNS = 10


def millis(work) -> float:
    times = []
    for _ in range(RUNS):
        with _common.Stopwatch() as watch:
            work()
        times.append(watch.seconds * 1000)
    return min(times)


def page(rows):
    return list(rows.order_by("-pk").values_list("pk", flat=True)[:50])


def count(rows) -> int:
    """The bounded count of a list page."""
    from crm.admin.base import COUNT_LIMIT

    return rows.order_by()[: getattr(rows, "count_limit", COUNT_LIMIT) + 1].count()


def terms(numbers):
    """``{what: term}``, as they stand in the records of a customer in the middle."""
    from customers.models import Customer

    customer = Customer.objects.get(pk=numbers // 2 + 3)
    mobile = customer.contacts.get().mobile
    brand = max(customer.short_name.split("集团"), key=len)[:4]
    return {
        "整个电话": mobile,
        "电话中间七位": mobile[2:9],
        "电话中间四位": mobile[4:8],
        "代码的一段": customer.code[4:],
        "罕见的词": brand,
        "两个词": f"{customer.name[:2]} {brand[:3]}",
        "查无此词": "魑魅魍魉",
        "常见的词": "深圳",
        "太常见的词": "科技",
        "处处都有的词": "有限公司",
        "一个常见的字": "恒",
        "一个罕见的字": "魑",
    }


def measure(numbers):
    from benchmarks import data
    from crm import search
    from crm.policies import policy_for
    from customers.models import Customer

    every, own = Customer.objects.filter(is_valid=True), policy_for(Customer).visible_to(data.seller())
    code = Customer.objects.get(pk=numbers // 2).code_key

    def exact():
        return millis(lambda: page(Customer.objects.filter(code_key=code)))

    print(f"- 按代码取一个 {exact():.2f} ms，下表为其倍数；找到的个数按列表页的上限计\n")
    print("| 搜索 | 找到 | 第一页 | 计数 | 只看自己的：第一页 | 计数 | 逐行读（LIKE）的计数 |")
    print("|---|---|---|---|---|---|---|")
    for what, term in terms(numbers).items():
        unit = exact()
        times = [
            millis(lambda term=term, rows=rows, ask=ask: ask(search.search(rows, term)))
            for rows in (every, own)
            for ask in (page, count)
        ]
        with _common.Stopwatch() as scan:
            count(every.filter(name__contains=term))
        found = count(search.search(every, term))
        cells = " | ".join(f"{time / unit:.0f}" for time in [*times, scan.seconds * 1000])
        print(f"| {what}“{term}” | {found:,} | {cells} |", flush=True)


def write_and_settle(numbers):
    """What the search adds to the writing of customers, and what is done afterwards."""
    from django.db import transaction

    from benchmarks import data
    from crm import search
    from crm.models import SearchEntry
    from crm.search.registry import declaration_of
    from customers.models import Customer

    some = min(numbers, 20_000)
    ids = list(Customer.objects.order_by("-pk").values_list("pk", flat=True)[:some])
    base = declaration_of(Customer).base
    SearchEntry.objects.filter(pk__in=[base + pk for pk in ids], is_settled=False).delete()
    with _common.Stopwatch() as writing, transaction.atomic():
        search.refresh(Customer, ids)
    with _common.Stopwatch() as settling:
        entries = SearchEntry.objects.filter(is_settled=False).count()
        data.settle()
    print(
        f"- 写入索引 {some / writing.seconds:,.0f} 个/s，"
        f"编入全文 {entries / settling.seconds:,.0f} 条/s（客户与联系人，{entries:,} 条）"
    )


def main(sizes):
    from benchmarks import data

    print(f"搜索。{_common.machine()}")
    for numbers in sizes:
        data.grow(numbers)
        write_and_settle(numbers)
        measure(numbers)


if __name__ == "__main__":
    _common.prepare("bench_search")
    main([int(number) for number in sys.argv[1:]] or [10_000, 100_000])
