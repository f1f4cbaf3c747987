"""Moving in from fastapi-crm: read, try and load beside the floor (read the dump, insert the bare rows).

``python -m benchmarks.legacy [rows …]``, default 20,000.
"""

import sys
from itertools import pairwise
from pathlib import Path

from benchmarks import _common, fastapi

DDL = Path(__file__).resolve().parents[1] / "tests" / "crm" / "legacy" / "fastapi-crm.sql"


def source(rows):
    """The dump of about ``rows`` rows, made once."""
    path = _common.SCRATCH / f"fastapi-{rows}.sql"
    if not path.exists():
        fastapi.dump(path, rows, DDL.read_text(encoding="utf-8"))
    return path


def floor(path):
    """What nobody can save: read the dump, insert each row as it is, one transaction a thousand rows."""
    from django.db import connection, transaction

    from crm.legacy import dumps

    key = "id BIGINT AUTO_INCREMENT PRIMARY KEY" if connection.vendor == "mysql" else "id INTEGER PRIMARY KEY"
    made, waiting = set(), []
    with connection.cursor() as cursor, _common.Stopwatch() as watch:

        def write(table, width):
            names = ", ".join(f"c{index}" for index in range(width))
            if table not in made:
                made.add(table)
                columns = ", ".join(f"c{index} VARCHAR(500)" for index in range(width))
                cursor.execute(f"CREATE TABLE bare_{table} ({key}, {columns})")
            with transaction.atomic():
                marks = ", ".join(["%s"] * width)
                cursor.executemany(f"INSERT INTO bare_{table} ({names}) VALUES ({marks})", waiting)

        last = None
        for part in dumps.read(path):
            if not isinstance(part, dumps.Rows):
                continue
            if waiting and (part.table != last or len(waiting) >= 1000):
                write(last, len(waiting[0]))
                waiting = []
            last = part.table
            waiting += part.rows
        if waiting:
            write(last, len(waiting[0]))
    with connection.cursor() as cursor:
        for table in made:
            cursor.execute(f"DROP TABLE bare_{table}")
    print(_common.measured(watch))


def step(kind, load_id):
    """One job of the move, as a worker does it."""
    from crm import jobs
    from crm.models import Job, LegacyLoad

    load = LegacyLoad.objects.get(pk=load_id)
    with _common.Stopwatch() as watch:
        jobs.execute(load.job_id)
    job = Job.objects.get(pk=load.job_id)
    if job.state != Job.State.DONE:
        raise SystemExit(job.error or job.message)
    print(_common.measured(watch))


def main(sizes):
    from crm.legacy import moves
    from crm.models import LegacyLoad, LegacyRecord, User

    admin = User.objects.create(username="mover", full_name="迁入人", is_superuser=True)
    print(f"## 从旧系统迁入\n\nfastapi-crm 的 24 个表，含版本、行权限、日志、搜索、旧值。{_common.machine()}\n")
    print("| 行 | | 时钟 s | 处理器 s | 行/s | 内存峰值 MiB |")
    print("|---|---|---|---|---|---|", flush=True)
    results = {}
    for rows in sizes:
        path = source(rows)
        done = {"地板：读，写入裸行": _common.phase("legacy", "floor", path)}
        LegacyRecord.objects.all().delete()
        load = moves.begin(str(path), by=admin, system="fastapi-crm", name=path.name)
        done["读取并试运行"] = _common.phase("legacy", "step", "legacy.try", load.pk)
        load.refresh_from_db()
        moves.confirm(load, by=admin)
        done["迁入"] = _common.phase("legacy", "step", "legacy.load", load.pk)
        load = LegacyLoad.objects.get(pk=load.pk)
        total = sum(table["rows"] for table in load.report["tables"])
        assert not any(table["missing"] for table in load.report["tables"])
        assert all(each["then"] == each["now"] for each in load.report["sums"]), load.report["sums"]
        for name, part in done.items():
            print(
                f"| {total:,} | {name} | {part['seconds']:.1f} | {part['processor']:.1f} "
                f"| {total / part['seconds']:,.0f} | {part['peak']} |",
                flush=True,
            )
        results[rows] = done
    print()
    for rows, done in results.items():
        bare = done["地板：读，写入裸行"]
        for unit, name in (("seconds", "时钟"), ("processor", "处理器")):
            print(f"- {rows:,} 行的迁入，为地板的 {done['迁入'][unit] / bare[unit]:.1f} 倍（{name}）")
    for small, large in pairwise(sorted(results)):
        more = results[large]["迁入"]["peak"] - results[small]["迁入"]["peak"]
        _common.aim(f"内存峰值，{large:,} 行比 {small:,} 行多 MiB", more, 20)


if __name__ == "__main__":
    if sys.argv[1:2] == ["phase"]:
        _common.attach()
        if sys.argv[2] == "floor":
            floor(Path(sys.argv[3]))
        else:
            step(sys.argv[3], int(sys.argv[4]))
    else:
        _common.prepare()
        main([int(number) for number in sys.argv[1:]] or [20_000])
