"""Export of customers beside the fastest bare write of the same cells; memory at growing numbers.

``python -m benchmarks.exports [customers …]``, default 10,000 and 100,000. The floor is the writer alone, with every
cell in memory already; beside it, what reading the bare columns adds.
"""

import sys

from benchmarks import _common

COLUMNS = [
    "code", "name", "short_name", "kind", "level", "industry", "scale", "source", "business_types", "phone", "email",
    "address", "currency", "licence_no", "owner", "review_status", "deal_status", "stage", "is_enabled", "is_closed",
    "created_at", "updated_at", "+name", "+mobile",
]  # fmt: skip


def export(size):
    """The file as a background job writes it."""
    from crm.excel import export as excel
    from crm.excel.resource import resource_for
    from crm.models import User
    from customers.models import Customer

    boss = User.objects.get(username="boss")
    path = _common.SCRATCH / "export.xlsx"
    with _common.Stopwatch() as watch:
        rows = excel.write(
            path, resource_for("customers.Customer"), boss, Customer.objects.filter(is_valid=True),
            names=COLUMNS,
        )  # fmt: skip
    assert rows == size, rows
    megabytes = path.stat().st_size / 2**20
    path.unlink()
    print(_common.measured(watch, megabytes=megabytes))


def floor(size):
    """The writer's own time for these cells, and that of a bare keyset read of as many columns."""
    import rustpy_xlsxwriter
    from django.db import connection

    from crm.excel.export import Exporter
    from crm.excel.resource import resource_for
    from crm.models import User
    from customers.models import Customer

    boss = User.objects.get(username="boss")
    exporter = Exporter(resource_for("customers.Customer"), boss, COLUMNS)
    names = [column.name for column in exporter.columns]
    records = [dict(zip(names, row, strict=True)) for row in exporter.rows(Customer.objects.filter(is_valid=True))]
    path = _common.SCRATCH / "floor.xlsx"
    with _common.Stopwatch() as watch:
        rustpy_xlsxwriter.write_worksheets([("数据", iter(records))], str(path))
    path.unlink()
    names = [field.column for field in Customer._meta.concrete_fields][: len(COLUMNS)]
    last = 1 << 62
    with _common.Stopwatch() as reading, connection.cursor() as cursor:
        while True:
            cursor.execute(
                f"SELECT id, {', '.join(names)} FROM customers_customer WHERE id < %s ORDER BY id DESC LIMIT 2000",
                [last],
            )
            rows = cursor.fetchall()
            if not rows:
                break
            last = rows[-1][0]
    print(_common.measured(watch, reading=reading.processor))


def measure(size):
    """The lines for this size, whose customers are there."""
    from crm.models import User

    User.objects.get_or_create(username="boss", defaults={"is_superuser": True, "is_staff": True})
    bare = _common.phase("exports", "floor", size) if size <= 200_000 else None
    done = _common.phase("exports", "export", size)
    print(
        f"- {size:,} 行、{len(COLUMNS)} 列：{done['seconds']:.1f} s（处理器 {done['processor']:.1f} s），"
        f"{size / done['seconds']:,.0f} 行/s，内存峰值 {done['peak']} MiB，文件 {done['megabytes']:.0f} MiB"
    )
    if bare:
        print(
            f"- 地板：写 {bare['seconds']:.1f} s（处理器 {bare['processor']:.1f} s），"
            f"只读这些列另需处理器 {bare['reading']:.1f} s"
        )
        _common.aim(f"导出 {size:,} 行，为只写的倍数（时钟）", done["seconds"] / bare["seconds"], 1.3)
        _common.aim(f"导出 {size:,} 行，为只写的倍数（处理器）", done["processor"] / bare["processor"], 1.3)


def main(sizes):
    from benchmarks import data

    for size in sizes:
        data.grow(size)
        data.analyze()
        measure(size)


if __name__ == "__main__":
    if sys.argv[1:2] == ["phase"]:
        _common.attach()
        {"export": export, "floor": floor}[sys.argv[2]](int(sys.argv[3]))
    else:
        _common.prepare("bench_exports")
        main([int(number) for number in sys.argv[1:]] or [10_000, 100_000])
