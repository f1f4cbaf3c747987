"""What people upload by mistake or malice: a clear sentence on the page, and nothing half done behind it."""

import io
import zipfile
from html import unescape
from pathlib import Path

import pytest
import xlsxwriter

from crm.models import ImportBatch, Job
from customers.models import Customer
from tests.crm.excel.browsing import LIST, confirmed, imported, kinds
from tests.crm.excel.test_reader import compound, rich_workbook, with_rows

pytestmark = pytest.mark.django_db


def upload(page, content, name="客户.xlsx"):
    file = io.BytesIO(content)
    file.name = name
    return page.post(f"{LIST}import/", {"file": file})


def bomb(path):
    """64 MiB of nothing as a shared string table."""
    with zipfile.ZipFile(rich_workbook(path), "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/more.xml", bytes(64 << 20))
    return path.read_bytes()


@pytest.mark.parametrize(
    ("name", "make", "says"),
    [
        ("程序.xlsx", lambda path: bytes(range(256)) * 20, "不是表格"),
        ("合同.xlsx", lambda path: b"%PDF-1.7\n" + bytes(500), "PDF"),
        ("加密.xlsx", lambda path: compound("EncryptionInfo", "EncryptedPackage"), "密码"),
        ("炸弹.xlsx", bomb, "解压"),
        ("空.xlsx", lambda path: b"", "没有数据"),
        ("空.csv", lambda path: b"\r\n\r\n", "没有数据"),
        ("半个.xlsx", lambda path: rich_workbook(path).read_bytes()[:2000], "损坏"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words_and_leaves_nothing(page, settings, tmp_path, name, make, says):
    answer = upload(page, make(tmp_path / "made.xlsx"), name)
    assert answer.status_code == 200 and says in answer.context["problem"]
    assert answer.context["problem"] in unescape(answer.content.decode())
    assert not ImportBatch.objects.exists() and not Job.objects.exists()
    assert not list((Path(settings.FILES_DIR) / "imports").iterdir())


def test_a_file_over_the_limit_is_told_the_limit(page, settings):
    settings.IMPORT_MAX_BYTES = 1024 * 1024
    answer = upload(page, bytes(2 * 1024 * 1024))
    assert answer.context["problem"] == "文件有 2 MB，超过上限 1 MB，请拆成几个文件后再导入。"
    assert not ImportBatch.objects.exists()


def test_no_file_at_all(page):
    answer = page.post(f"{LIST}import/", {})
    assert "请选择要导入的文件" in unescape(answer.content.decode())


def test_one_cell_in_row_200000_is_a_file_with_one_cell(page, tmp_path):
    """1.4 KB that cost other readers minutes: here its only row is the header, and there is nothing below it."""
    path = with_rows(tmp_path, '<row r="200000"><c r="A200000" t="inlineStr"><is><t>客户名称</t></is></c></row>')
    answer = upload(page, path.read_bytes())
    assert answer.status_code == 200
    assert "没有数据" in answer.context["problem"]
    assert not ImportBatch.objects.exists()


def test_sixty_columns_with_the_header_in_row_three_come_in(page):
    file = io.BytesIO()
    with xlsxwriter.Workbook(file) as book:
        sheet = book.add_worksheet()
        sheet.merge_range(0, 0, 0, 59, "某某公司客户资料汇总表")
        sheet.write(1, 0, "制表人：张三")
        sheet.write_row(2, 0, ["公司名称", "客户编号", *(f"附加{n}" for n in range(57)), "联系电话"])
        for number in range(5):
            sheet.write_row(3 + number, 0, [f"公司{number}", f"{number:04}", *range(57), "0755-86012345"])
    file.seek(0)
    file.name = "汇总.xlsx"
    batch = imported(page, file)
    assert (batch.header_row, len(batch.titles), kinds(batch)) == (3, 60, {"new": 5})
    confirmed(page, batch)
    assert set(Customer.objects.values_list("code", flat=True)) == {f"{number:04}" for number in range(5)}


@pytest.mark.parametrize("encoding", ["gbk", "gb18030", "utf-8", "utf-8-sig", "utf-16"])
def test_a_csv_in_any_encoding_comes_in(page, encoding):
    text = "客户编号,公司名称,联系电话\n0001,深圳市前海云创科技有限公司,0755-86012345\n0002,上海汇通贸易有限公司,\n"
    file = io.BytesIO(text.encode(encoding))
    file.name = "客户.csv"
    batch = imported(page, file)
    confirmed(page, batch)
    assert dict(Customer.objects.values_list("code", "name")) == {
        "0001": "深圳市前海云创科技有限公司",
        "0002": "上海汇通贸易有限公司",
    }


def test_a_file_of_headers_alone_says_so(page):
    answer = upload(page, "客户名称,联系电话\n".encode(), "客户.csv")
    assert answer.context["problem"] == "第 1 行表头的下面没有数据，请确认选择了正确的文件和工作表。"


def test_an_empty_sheet_is_passed_over_and_choosing_it_says_so(page):
    file = io.BytesIO()
    with xlsxwriter.Workbook(file) as book:
        book.add_worksheet("空表")
        book.add_worksheet("表头").write_row(0, 0, ["客户名称", "客户代码", "联系电话"])
        book.add_worksheet("名单").write_column(0, 0, ["客户名称", "甲公司"])
    upload(page, file.getvalue())
    batch = ImportBatch.objects.get()
    assert batch.sheet == "名单"
    for sheet in ("空表", "表头"):
        answer = page.post(
            f"/crm/importbatch/{batch.pk}/map/", {"reread": 1, "sheet": sheet, "header_row": 1}, follow=True
        )
        assert "没有数据" in unescape(answer.content.decode()) and answer.context["found"].sheet == "名单"
