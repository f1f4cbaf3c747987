"""List pages while an import of 50,000 customers runs, beside those of an idle system.

``python -m benchmarks.busy [rows]``, default 50,000. The import runs in worker processes of its own, as in an
installation; the pages are asked for one after another, for as long as it takes.
"""

import os
import subprocess
import sys
import time

from benchmarks import _common, imports, lists

BASE = 10_000  # customers that are there before
PAGES = ("", "p=20", "o={name}", "stage=key")
IDLE = 60


def answer_times(client, addresses, goes_on) -> list[float]:
    times = []
    while goes_on():
        for address in addresses:
            started = time.perf_counter()
            assert client.get(address).status_code == 200
            times.append(time.perf_counter() - started)
    return times


def p95(times) -> float:
    return sorted(times)[int(len(times) * 0.95)] * 1000


def main(rows):
    from django.test import Client
    from django.urls import reverse

    from benchmarks import data
    from crm import jobs
    from crm.models import ImportBatch, Job, User

    data.grow(BASE)
    data.analyze()
    boss = User.objects.create(username="boss", is_superuser=True, is_staff=True)
    client = Client(SERVER_NAME="127.0.0.1")
    client.force_login(boss)
    name = lists.columns().index("name")
    address = reverse("admin:customers_customer_changelist")
    addresses = [f"{address}?{query.format(name=name)}" for query in PAGES]
    rounds = iter(range(IDLE // len(PAGES)))
    answer_times(client, addresses, lambda: next(rounds, None) is not None)
    rounds = iter(range(IDLE // len(PAGES)))
    idle = answer_times(client, addresses, lambda: next(rounds, None) is not None)
    print(f"## 导入 {rows:,} 行时的列表页\n\n{_common.machine()}\n")
    print(f"- 空闲：p50 {p50(idle):.0f} ms，p95 {p95(idle):.0f} ms（{len(idle)} 页）", flush=True)

    batch = imports.batch_for(imports.book(0, rows))
    workers = subprocess.Popen(
        [sys.executable, "manage.py", "worker"], env=os.environ, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        for kind, name in (("excel.check", "检查"), ("excel.apply", "写入")):
            job = jobs.enqueue(kind, by=batch.user, params={"batch": batch.pk})

            def goes_on(job=job):
                job.refresh_from_db()
                return not job.is_finished

            while not Job.objects.filter(pk=job.pk, done__gt=0).exists():
                time.sleep(0.05)
            times = answer_times(client, addresses, goes_on)
            assert job.state == Job.State.DONE, job.error or job.message
            print(f"- {name}时：p50 {p50(times):.0f} ms，p95 {p95(times):.0f} ms（{len(times)} 页）")
            _common.aim(f"{name}时列表页 p95，为空闲时的倍数", p95(times) / p95(idle), 2)
        assert ImportBatch.objects.get(pk=batch.pk).counts["applied_new"] == rows
    finally:
        workers.terminate()
        workers.wait()


def p50(times) -> float:
    return sorted(times)[len(times) // 2] * 1000


if __name__ == "__main__":
    _common.prepare("bench_busy")
    main(int(sys.argv[1]) if sys.argv[1:] else 50_000)
