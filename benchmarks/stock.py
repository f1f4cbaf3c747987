"""For the record: the stock import of django-import-export over the same rows, dry run and then for real.

``python -m benchmarks.stock [rows]``, default 3,000; a plain ``ModelResource``, as its manual shows it.
"""

import sys
import time

from benchmarks import _common, imports


def main(rows):
    from import_export import resources
    from python_calamine import CalamineWorkbook
    from tablib import Dataset

    from crm import actor
    from crm.excel.resource import resource_for
    from crm.models import DictionaryItem
    from customers.models import Customer

    class Stock(resources.ModelResource):
        class Meta:
            model = Customer
            import_id_fields = ["code"]
            exclude = ["id"]

    own = resource_for("customers.Customer")
    columns = {field.column_name: name for name, field in own.fields.items()}
    names = [columns[title] for title in imports.TITLES]
    items = {item.label: item.pk for item in DictionaryItem.objects.all()}
    path = imports.book(0, rows)
    data = Dataset(headers=names)
    for cells in CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0).to_python()[1:]:
        row = dict(zip(names, cells, strict=True))
        # what its widgets do not understand: labels of choices and dictionaries
        row |= {name: items.get(row[name]) for name in names if own.model._meta.get_field(name).is_relation}
        row |= {"kind": "company", "currency": "CNY", "is_sinosure": "1", "satisfaction": "3", "business_types": ""}
        data.append([row[name] for name in names])
    used, started = time.process_time(), time.perf_counter()
    with actor.acting(_common.seller()):
        for dry_run in (True, False):
            result = Stock().import_data(data, dry_run=dry_run, raise_errors=True)
    seconds, processor = time.perf_counter() - started, time.process_time() - used
    assert result.totals["new"] == rows, result.totals
    print(f"## 现成的 django-import-export\n\n{_common.machine()}\n")
    print(
        f"- {rows:,} 行先试后导：{seconds:.1f} s（处理器 {processor:.1f} s），{rows / seconds:,.0f} 行/s；"
        "逐行保存，同样写版本、日志和行权限"
    )


if __name__ == "__main__":
    _common.prepare("bench_stock")
    main(int(sys.argv[1]) if sys.argv[1:] else 3000)
