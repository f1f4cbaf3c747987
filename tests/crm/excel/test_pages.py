"""The pages of an import and of an export, through the browser's eyes (forms and links, no scripts)."""

import io
from pathlib import Path

import openpyxl
import pytest
from django.conf import settings

from crm import jobs, ownership, records
from crm.models import BusinessLog, ImportBatch, Job, Operation, StoredFile
from customers.models import Contact, Customer, Tag

pytestmark = pytest.mark.django_db
LIST = "/customers/customer/"


@pytest.fixture(autouse=True)
def own_folder(tmp_path, settings):
    settings.FILES_DIR = tmp_path


def workbook(rows, name="客户.xlsx"):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for cell in (cell for row in book.active.iter_rows() for cell in row if cell.data_type == "f"):
        cell.data_type = "s"  # a text that begins like a formula
    file = io.BytesIO()
    book.save(file)
    file.seek(0)
    file.name = name
    return file


def upload(page, rows, **options):
    """Upload, take the suggested mapping, let the workers check; gives the batch."""
    answer = page.post(LIST + "import/", {"file": workbook(rows)})
    assert answer.status_code == 302, answer.context and answer.context["problem"]
    batch = ImportBatch.objects.latest("pk")
    columns = {f"column-{index}": name for index, name in batch.mapping.items()}
    page.post(f"/crm/importbatch/{batch.pk}/map/", columns | {"existing": "update"} | options)
    work()
    batch.refresh_from_db()
    return batch


def work():
    for job in Job.objects.filter(state=Job.State.QUEUED):
        jobs.execute(job.pk)
        job.refresh_from_db()
        assert job.state == Job.State.DONE, job.error or job.message


def confirm(page, batch):
    page.post(f"/crm/importbatch/{batch.pk}/confirm/")
    work()
    batch.refresh_from_db()


ROWS = [["客户代码", "客户名称", "客户等级", "联系人", "手机"], ["0001", "甲公司", "A级", "王芳", "13800138000"]]


def test_a_file_goes_in_by_upload_mapping_check_and_confirmation(page, seller):
    batch = upload(page, ROWS)
    assert batch.state == "checked" and not Customer.objects.exists()
    assert "确认导入 1 条" in page.get(f"/crm/importbatch/{batch.pk}/change/").content.decode()
    confirm(page, batch)
    customer = Customer.objects.get()
    assert (customer.code, customer.owner, batch.state) == ("0001", seller, "applied")
    assert Contact.objects.get().mobile == "13800138000"


def test_the_preview_names_tags_and_whatever_else_is_chosen_from_a_list(page):
    Tag.objects.create(name="重点客户")
    rows = [["客户代码", "客户名称", "客户等级", "标签"], ["0001", "甲公司", "A级", "重点客户"]]
    batch = upload(page, rows)
    shown = page.get(f"/crm/importbatch/{batch.pk}/change/").content.decode()
    assert "<i>标签</i>重点客户" in shown and "<i>客户等级</i>A级" in shown
    confirm(page, batch)
    Tag.objects.create(name="展会")
    rows[1][3] = "展会"
    shown = page.get(f"/crm/importbatch/{upload(page, rows).pk}/change/").content.decode()
    assert "<b>标签</b><del>重点客户</del> → <ins>展会</ins>" in shown


def test_confirming_twice_applies_once(page):
    batch = upload(page, ROWS)
    for _ in range(2):
        page.post(f"/crm/importbatch/{batch.pk}/confirm/")
    work()
    assert Customer.objects.count() == 1 and Job.objects.filter(kind="excel.apply").count() == 1


def test_a_missing_required_column_is_named_and_nothing_starts(page):
    page.post(LIST + "import/", {"file": workbook([["客户等级"], ["A级"]])})
    batch = ImportBatch.objects.get()
    answer = page.post(f"/crm/importbatch/{batch.pk}/map/", {"column-0": "level"})
    assert "必填的“客户名称”还没有对应的列" in answer.content.decode()
    assert not Job.objects.exists()


def test_the_mapping_is_remembered_for_the_next_file_of_that_shape(page):
    rows = [["甲", "乙"], ["0001", "甲公司"]]
    page.post(LIST + "import/", {"file": workbook(rows)})
    first = ImportBatch.objects.get()
    page.post(f"/crm/importbatch/{first.pk}/map/", {"column-0": "code", "column-1": "name"})
    page.post(LIST + "import/", {"file": workbook(rows)})
    assert ImportBatch.objects.latest("pk").mapping == {"0": "code", "1": "name"}


def test_the_error_workbook_reimports_after_correction(page):
    batch = upload(page, [["客户资料"], *ROWS, ["0002", "乙公司", "超级VIP", "李雷", "13900139000"]])
    confirm(page, batch)
    answer = page.get(f"/crm/importbatch/{batch.pk}/errors/")
    book = openpyxl.load_workbook(io.BytesIO(b"".join(answer.streaming_content)))
    rows = [list(row) for row in book.active.iter_rows(values_only=True)]
    assert rows[0][0] == "客户资料" and rows[1][-1] == "错误原因" and "超级VIP" in rows[2][-1] and len(rows) == 3
    rows[2][2] = "A级"
    again = upload(page, rows)
    confirm(page, again)
    assert Customer.objects.get(code="0002").level.code == "A"


def test_an_export_reimported_changes_nothing(page, seller):
    confirm(page, upload(page, [*ROWS, ["00２", "𠮷祥😀公司", "B级", "=cmd", "+86 139 0013 9000"]]))
    answer = page.get(LIST + "export/")
    names = [field.name for field in answer.context["fields"]]
    for kind in ("xlsx", "csv"):
        answer = page.post(LIST + "export/", {"format": kind, "columns": names})
        file = io.BytesIO(b"".join(answer.streaming_content))
        file.name = f"客户.{kind}"
        page.post(LIST + "import/", {"file": file})
        batch = ImportBatch.objects.latest("pk")
        columns = {f"column-{index}": name for index, name in batch.mapping.items()}
        assert len(columns) > 40
        page.post(f"/crm/importbatch/{batch.pk}/map/", columns | {"existing": "update"})
        work()
        batch.refresh_from_db()
        assert {k: v for k, v in batch.counts.items() if k != "unknown"} == {"unchanged": 2}, [
            (row.label, row.changes, row.problems) for row in batch.rows.all()
        ]


def test_an_export_holds_the_listed_rows_and_is_logged(page, seller, colleague):
    records.save(Customer(name="甲公司", owner=seller), by=seller)
    records.save(Customer(name="乙公司", owner=seller), by=seller)
    records.save(Customer(name="别人的公司", owner=colleague), by=colleague)
    answer = page.post(LIST + "export/?q=甲", {"format": "xlsx", "columns": ["code", "name"]})
    rows = list(
        openpyxl.load_workbook(io.BytesIO(b"".join(answer.streaming_content))).active.iter_rows(values_only=True)
    )
    assert [row[1] for row in rows] == ["客户名称", "甲公司"]
    assert BusinessLog.objects.filter(operation=Operation.EXPORT, user=seller, remark__startswith="导出 1 行").exists()


def test_a_large_export_is_made_in_the_background_with_the_rights_at_that_time(page, seller, colleague, settings):
    settings.EXPORT_IN_BACKGROUND_ABOVE = 1
    records.save(Customer(name="甲公司", owner=seller), by=seller)
    lost = records.save(Customer(name="乙公司", owner=seller), by=seller)
    answer = page.post(LIST + "export/", {"format": "csv", "columns": ["name"]})
    assert "/crm/job/" in answer["Location"]
    ownership.set_owner(lost, colleague, by=None)
    work()
    stored = StoredFile.objects.get()
    content = b"".join(page.get(f"/downloads/{stored.pk}/").streaming_content).decode("utf-8-sig")
    assert "甲公司" in content and "乙公司" not in content


def test_nobody_without_the_permission_imports_or_exports(client, db):
    from crm.models import User

    client.force_login(
        User.objects.create(username="guest", full_name="访客", is_staff=True), backend="crm.auth.RoleBackend"
    )
    for path in ("import/", "import/template/", "export/"):
        assert client.get(LIST + path).status_code in (403, 404)
    assert client.post(LIST + "import/", {"file": workbook(ROWS)}).status_code in (403, 404)
    assert not ImportBatch.objects.exists()


def test_an_import_belongs_to_the_person_who_uploaded_it(page, client, colleague):
    batch = upload(page, ROWS)
    client.force_login(colleague, backend="crm.auth.RoleBackend")
    for step in ("change", "map", "errors"):
        assert client.get(f"/crm/importbatch/{batch.pk}/{step}/").status_code == 404
    for step in ("confirm", "undo", "cancel", "map"):
        assert client.post(f"/crm/importbatch/{batch.pk}/{step}/").status_code == 404
    assert not Customer.objects.exists()


def test_undo_from_the_result_page(page):
    batch = upload(page, ROWS)
    confirm(page, batch)
    page.post(f"/crm/importbatch/{batch.pk}/undo/")
    work()
    batch.refresh_from_db()
    assert batch.state == "undone" and not Customer.objects.exists()
    assert "已撤销" in page.get(f"/crm/importbatch/{batch.pk}/change/").content.decode()


def test_giving_up_leaves_nothing_behind(page):
    batch = upload(page, ROWS)
    page.post(f"/crm/importbatch/{batch.pk}/cancel/")
    assert not ImportBatch.objects.exists() and not list((Path(settings.FILES_DIR) / "imports").iterdir())


def test_what_is_no_workbook_is_refused_in_words(page):
    file = io.BytesIO(b"%PDF-1.4 nothing")
    file.name = "客户.xlsx"
    answer = page.post(LIST + "import/", {"file": file})
    assert answer.status_code == 200 and answer.context["problem"]
    assert not ImportBatch.objects.exists() and not list((Path(settings.FILES_DIR) / "imports").iterdir())


def test_the_template_can_be_filled_in_and_imported(page):
    answer = page.get(LIST + "import/template/")
    book = openpyxl.load_workbook(io.BytesIO(b"".join(answer.streaming_content)))
    sheet = book["数据"]
    titles = [cell.value for cell in sheet[1]]
    sheet.cell(2, titles.index("客户名称*") + 1, "甲公司")
    sheet.cell(2, titles.index("客户等级") + 1, "A级")
    file = io.BytesIO()
    book.save(file)
    file.seek(0)
    file.name = "模板.xlsx"
    page.post(LIST + "import/", {"file": file})
    batch = ImportBatch.objects.get()
    columns = {f"column-{index}": name for index, name in batch.mapping.items()}
    assert len(columns) == len(titles)
    page.post(f"/crm/importbatch/{batch.pk}/map/", columns)
    work()
    confirm(page, batch)
    assert Customer.objects.get().level.code == "A"
