"""A salesperson and 5,000 customers: template, preview, import, error workbook, and nothing the second time."""

import io
import itertools

import openpyxl
import pytest

from crm import jobs, records
from crm.models import BusinessLog, ImportRow, Job
from customers.models import Contact, Customer
from tests.crm.excel import realistic
from tests.crm.excel.browsing import LIST, confirmed, fetched, imported, kinds, saved, shown

pytestmark = pytest.mark.django_db
ROWS, SPOILT = 5000, len(realistic.SPOILT)


def test_five_thousand_rows_with_forty_faults(page, seller, colleague, monkeypatch, settings):
    """The whole of it in the order in which it happens to people."""
    settings.EXPORT_IN_BACKGROUND_ABOVE = 2 * ROWS
    own = [records.save(Customer(name=f"原有的公司{n}", code=f"OWN{n}"), by=seller).code for n in range(2)]
    foreign = [records.save(Customer(name=f"别人的公司{n}"), by=colleague).name for n in range(4)]
    for row in itertools.islice(realistic.rows(ROWS), 10):
        records.save(Customer(name=row["客户名称"], code=row["客户代码"], address="旧地址"), by=seller)

    book = openpyxl.load_workbook(fetched(page.get(f"{LIST}import/template/"), "模板.xlsx"))
    spoilt = realistic.fill(book["数据"], ROWS, own=own, foreign=foreign)
    workbook = saved(book).getvalue()

    # the preview: new, changed cell by cell, wrong with row and column
    batch = imported(page, named(workbook))
    found = {row.number: "".join(p["text"] for p in row.problems) for row in batch.rows.exclude(problems=[])}
    assert found.keys() == spoilt.keys()
    for number, kind in spoilt.items():
        assert realistic.REASONS[kind] in found[number], (number, kind, found[number])
    assert (kinds(batch)["new"], kinds(batch)["changed"]) == (ROWS - SPOILT - 10, 10)
    assert Customer.objects.count() == 16
    text = shown(page, batch)
    assert f"将新增 <b>{ROWS - SPOILT - 10}</b> 条、更新 <b>10</b> 条" in text
    assert f'<b class="ky-bad">{SPOILT}</b> 行有问题' in text
    assert "<b>地址</b><del>旧地址</del>" in shown(page, batch, "?kind=changed")
    wrong = shown(page, batch, "?kind=error") + shown(page, batch, "?kind=conflict")
    for number, reason in found.items():
        assert f'<td class="ky-num">{number}</td>' in wrong and reason.split("“")[0] in wrong

    # the import: in the background, with progress that moves
    moved = []
    monkeypatch.setattr(jobs.Run, "chunk", _watched(jobs.Run.chunk, moved))
    confirmed(page, batch)
    job = Job.objects.get(kind="excel.apply")
    assert job.total == job.done == ROWS - SPOILT and Job.objects.get(kind="excel.check").total == 1 + ROWS
    assert moved == sorted(moved) and len(set(moved)) > 2 and moved[-1] == ROWS - SPOILT
    assert Customer.objects.filter(owner=seller).count() == 2 + ROWS - SPOILT
    assert Contact.objects.filter(is_default=True).count() == ROWS - SPOILT
    assert f"成功 <b>{ROWS - SPOILT}</b> 条" in shown(page, batch)

    # the error workbook: their layout, a reason; corrected it goes in
    errors = openpyxl.load_workbook(fetched(page.get(f"/crm/importbatch/{batch.pk}/errors/"), "错误行.xlsx"))
    sheet = errors.active
    titles = [cell.value for cell in book["数据"][1]]
    assert [cell.value for cell in sheet[1]] == [*titles, "错误原因"]
    assert sheet.max_row == 1 + SPOILT
    realistic.mend(sheet, 1)
    again = confirmed(page, imported(page, saved(errors)))
    assert kinds(again) == {"new": SPOILT}, [(row.number, row.problems) for row in again.rows.exclude(problems=[])]
    assert Customer.objects.filter(owner=seller).count() == 2 + ROWS

    # the same file again: nothing left to do, and it says so
    before = BusinessLog.objects.count()
    once_more = imported(page, named(workbook))
    assert kinds(once_more)["unchanged"] == ROWS - SPOILT and not {"new", "changed"} & kinds(once_more).keys()
    assert f"其余 {ROWS - SPOILT} 行与系统中的数据一致，没有需要导入的变化" in shown(page, once_more)

    # an export read back changes nothing
    columns = [field.name for field in page.get(f"{LIST}export/").context["fields"]]
    for kind in ("xlsx", "csv"):
        file = fetched(page.post(f"{LIST}export/", {"format": kind, "columns": columns}), f"客户.{kind}")
        back = imported(page, file)
        assert kinds(back) == {"unchanged": 2 + ROWS}, [
            (row.changes, row.problems) for row in back.rows.exclude(kind=ImportRow.Kind.UNCHANGED)[:5]
        ]
        assert "文件内容与系统中的数据完全一致，没有需要导入的变化" in shown(page, back)
    assert BusinessLog.objects.count() == before + 2, "more was logged than the two exports"


def named(content):
    file = io.BytesIO(content)
    file.name = "客户资料.xlsx"
    return file


def _watched(chunk, moved):
    def watched(run, **progress):
        if run.job.kind == "excel.apply":
            moved.append(progress["done"])
        return chunk(run, **progress)

    return watched
