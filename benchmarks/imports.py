"""Import of customers: check and apply beside the floor (read the file, insert the bare rows) of the same run.

On MySQL there is a second floor, what nobody can save who keeps this schema: the file read, and the customers that
were written inserted into a copy of their table with its columns and indexes. The aim is told against both.

``python -m benchmarks.imports [rows …]``, default 10,000 and 100,000; 1,000,000 rows are ten
workbooks.
"""

import random
import sys
from itertools import pairwise

from benchmarks import _common

TITLES = [
    "客户代码", "客户名称", "客户简称", "客户类型", "客户等级", "所属行业", "企业规模", "来源渠道", "经营类型",
    "联系电话", "传真", "联系邮箱", "账单邮箱", "公司网址", "国家/地区", "所属地区", "地址", "邮编", "结算币种",
    "价格条款", "开票抬头", "税率（%）", "中信保客户", "营业执照注册号", "法人代表", "注册资金（元）",
    "年营业额（元）", "国税登记号", "满意度", "备注",
]  # fmt: skip


BOOK = 100_000  # rows
BARE, INDEXED = "地板：读，写入裸列", "地板：读，写入有全部索引的客户表"


def cells(number):
    pick = random.Random(number)
    name = f"深圳市{pick.choice('宏盛达信远诚华')}{pick.choice('科创联通汇智')}第{number}科技有限公司"
    return [
        f"B{number:08d}", name, name[3:7], "企业", pick.choice("ABC") + "级", "制造业", "20-99人", "官网",
        "进口商、电商", f"0755-{20000000 + number}", f"0755-{30000000 + number}", f"a{number}@example.com",
        f"b{number}@example.com", f"http://www.x{number}.example.com", "中国", "华南",
        f"深圳市南山区科技园{number}号", "518000", "人民币 CNY", "FOB", name, "13", "是",
        f"91440300MA{number:08d}", f"李{number}", number * 10, number * 100.5, f"44{number:013d}", "★★★",
        "长期合作，按月结算",
    ]  # fmt: skip


def books(rows) -> list:
    """The workbooks of ``rows`` rows, of at most 100,000 each since an upload has its limit, made once."""
    return [book(start, min(BOOK, rows - start)) for start in range(0, rows, BOOK)]


def book(start, rows):
    from crm.excel import writer
    from crm.excel.columns import Column

    path = _common.SCRATCH / f"customers-{start}-{rows}.xlsx"
    if not path.exists():
        generated = (cells(number) for number in range(start, start + rows))
        writer.write_xlsx(path, [Column(title) for title in TITLES], generated)
    return path


def floor(path):
    """What nobody can save: read the cells, insert the bare columns, one transaction a thousand rows."""
    from django.db import connection

    names = ", ".join(f"c{index} VARCHAR(200)" for index in range(len(TITLES)))
    key = "id BIGINT AUTO_INCREMENT PRIMARY KEY" if connection.vendor == "mysql" else "id INTEGER PRIMARY KEY"
    columns = ", ".join(f"c{index}" for index in range(len(TITLES)))
    sql = f"INSERT INTO bare ({columns}) VALUES ({', '.join(['%s'] * len(TITLES))})"
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS bare")
        cursor.execute(f"CREATE TABLE bare ({key}, {names}, UNIQUE (c0))")
        with _common.Stopwatch() as watch:
            _fill(cursor, sql, [[str(cell) for cell in row] for row in read(path)])
        cursor.execute("DROP TABLE bare")
    print(_common.measured(watch))


def read(path):
    from python_calamine import CalamineWorkbook

    return CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0).to_python()[1:]


def _fill(cursor, sql, rows):
    from django.db import transaction

    for start in range(0, len(rows), 1000):
        with transaction.atomic():
            cursor.executemany(sql, rows[start : start + 1000])


def indexed_floor(path, batch_id):
    """The same with the customers that batch ``batch_id`` wrote, into a copy of their table with its indexes."""
    from django.db import connection

    from customers.models import Customer

    columns = ", ".join(f"`{field.column}`" for field in Customer._meta.concrete_fields)
    marks = ", ".join(["%s"] * len(Customer._meta.concrete_fields))
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {columns} FROM customers_customer WHERE id IN"
            " (SELECT object_id FROM crm_businesslog WHERE batch = %s)",
            [f"import:{batch_id}"],
        )
        rows = cursor.fetchall()
        cursor.execute("DROP TABLE IF EXISTS bare")
        cursor.execute("CREATE TABLE bare LIKE customers_customer")
        with _common.Stopwatch() as watch:
            read(path)
            _fill(cursor, f"INSERT INTO bare ({columns}) VALUES ({marks})", rows)
        cursor.execute("DROP TABLE bare")
    print(_common.measured(watch))


def batch_for(path):
    from crm.excel import files, mapping
    from crm.excel.resource import resource_for
    from crm.models import ImportBatch

    user = _common.seller()
    resource = resource_for("customers.Customer")
    stored = files.folder() / path.name
    if not stored.exists():
        stored.symlink_to(path)
    batch = ImportBatch(resource=resource.label, user=user, file_name=path.name, file=path.name)
    found = mapping.peek(batch, resource, user)
    batch.sheet, batch.header_row, batch.titles = found.sheet, found.header_row, found.titles
    batch.mapping, batch.options = mapping.suggest(resource, user, found.titles)
    assert len(batch.mapping) == len(TITLES), batch.mapping
    batch.save()
    return batch


def step(kind, batch_id):
    """One step of the import, as a worker does it."""
    from crm import jobs
    from crm.models import Job

    job = jobs.enqueue(kind, by=_common.seller(), params={"batch": batch_id})
    with _common.Stopwatch() as watch:
        jobs.execute(job.pk)
    job.refresh_from_db()
    if job.state != Job.State.DONE:
        raise SystemExit(job.error or job.message)
    print(_common.measured(watch))


def together(phases) -> dict:
    """What several phases took one after another."""
    phases = list(phases)
    sums = {unit: sum(each[unit] for each in phases) for unit in ("seconds", "processor")}
    return sums | {peak: max(each[peak] for each in phases) for peak in ("peak", "children")}


def main(sizes):
    from django.db import connection

    from crm.models import BusinessLog
    from customers.models import Customer, CustomerUserObjectPermission

    _common.seller()
    print(f"## 导入\n\n客户，30 列，含版本、行权限、日志、搜索。{_common.machine()}\n")
    print("| 行 | | 时钟 s | 处理器 s | 行/s | 内存峰值 MiB（读文件的子进程） |")
    print("|---|---|---|---|---|---|", flush=True)
    per_row, results = {}, {}
    for rows in sizes:
        paths = books(rows)
        done = {BARE: together(_common.phase("imports", "floor", path) for path in paths)}
        before = [model.objects.count() for model in (Customer, BusinessLog, CustomerUserObjectPermission)]
        steps = {"检查": [], "写入": []}
        for path in paths:
            batch = batch_for(path)
            steps["检查"].append(_common.phase("imports", "step", "excel.check", batch.pk))
            steps["写入"].append(_common.phase("imports", "step", "excel.apply", batch.pk))
        done |= {name: together(each) for name, each in steps.items()}
        after = [model.objects.count() for model in (Customer, BusinessLog, CustomerUserObjectPermission)]
        grown = [now - then for now, then in zip(after, before, strict=True)]
        assert grown == [rows, rows, 3 * rows], grown
        if rows <= BOOK and connection.vendor == "mysql":
            done[INDEXED] = _common.phase("imports", "indexed_floor", path, batch.pk)
        if rows <= BOOK:
            done["撤销"] = _common.phase("imports", "step", "excel.undo", batch.pk)
            assert Customer.objects.count() == before[0]
        for name, step in done.items():
            print(
                f"| {rows:,} | {name} | {step['seconds']:.1f} | {step['processor']:.1f} "
                f"| {rows / step['seconds']:,.0f} | {step['peak']}（{step['children']}） |",
                flush=True,
            )
        results[rows] = done
        per_row[rows] = [(done["检查"][unit] + done["写入"][unit]) / rows for unit in ("seconds", "processor")]
    print()
    for rows, done in results.items():
        for floor_name in (BARE, INDEXED):
            for unit, name in (("seconds", "时钟"), ("processor", "处理器")):
                if floor_name in done:
                    times = (done["检查"][unit] + done["写入"][unit]) / done[floor_name][unit]
                    _common.aim(f"{rows:,} 行检查加写入，为“{floor_name}”的倍数（{name}）", times, 3)
    sizes = sorted(results)
    for small, large in pairwise(sizes):
        peaks = [max(results[rows][step]["peak"] for step in ("检查", "写入")) for rows in (small, large)]
        _common.aim(f"内存峰值，{large:,} 行比 {small:,} 行多 MiB", peaks[1] - peaks[0], 20)
        if large == 10 * small and small >= 100_000:
            for at, name in enumerate(("时钟", "处理器")):
                times = 10 * per_row[large][at] / per_row[small][at]
                _common.aim(f"{large:,} 行的用时，为 {small:,} 行的倍数（{name}）", times, 12)


if __name__ == "__main__":
    if sys.argv[1:2] == ["phase"]:
        from pathlib import Path

        _common.attach()
        if sys.argv[2] == "floor":
            floor(Path(sys.argv[3]))
        elif sys.argv[2] == "indexed_floor":
            indexed_floor(Path(sys.argv[3]), int(sys.argv[4]))
        else:
            step(sys.argv[3], int(sys.argv[4]))
    else:
        _common.prepare()
        main([int(number) for number in sys.argv[1:]] or [10_000, 100_000])
