"""A template guides whoever fills it in and can be imported as it is."""

import subprocess
from datetime import date
from shutil import which

import pytest
from openpyxl import load_workbook
from python_calamine import CalamineWorkbook

from crm.excel.columns import Column
from crm.excel.template import write_template

COUNTRIES = tuple(f"国家{number}" for number in range(300))
COLUMNS = [
    Column("客户编码", max_length=32, help="留空时自动编号。", example="C0001"),
    Column("客户名称", required=True, max_length=200, example="深圳市海纳贸易有限公司"),
    Column("级别", "choice", choices=("A", "B", "=C"), required=True),
    Column("业务类型", "multichoice", choices=("电商", "进口商")),
    Column("国家", "choice", choices=COUNTRIES),
    Column("重点", "boolean"),
    Column("员工数", "integer"),
    Column("注册资本", "decimal"),
    Column("税率", "percent"),
    Column("成立日期", "date", example="2015-06-01"),
    Column("下次跟进", "datetime"),
    Column("签约", "boolean"),
    Column("备注"),
]
NOTES = ["从第 2 行起填写。", "带 * 的列必填。" + "说明" * 120]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "客户导入模板.xlsx"
    write_template(path, COLUMNS, title="客户导入模板", notes=NOTES)
    return path


@pytest.fixture
def book(path):
    return load_workbook(path)


def header(book, name):
    return next(cell for cell in book["数据"][1] if cell.value.rstrip("*") == name)


def rule(book, name):
    """The validation of the first cell to fill in under a header, None where there is none."""
    cell = f"{header(book, name).column_letter}2"
    return next((rule for rule in book["数据"].data_validations.dataValidation if cell in rule.sqref), None)


def options(book, formula):
    """What a drop-down offers that reads its list from `formula`."""
    sheet, cells = formula.lstrip("=").split("!")
    return [cell.value for (cell,) in book[sheet.strip("'")][cells.replace("$", "")]]


def test_the_data_sheet_comes_first_and_holds_the_header_in_row_one_and_nothing_else(path):
    first = CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0)
    assert first.name == "数据"
    assert first.to_python() == [[column.template_header for column in COLUMNS]]


def test_required_columns_are_starred_and_red_and_only_they(book):
    required = [cell.value for cell in book["数据"][1] if cell.font.color and cell.font.color.rgb == "FFC00000"]
    assert required == ["客户名称*", "级别*"]
    assert [cell.value for cell in book["数据"][1] if cell.value.endswith("*")] == required


def test_each_header_is_explained_in_a_comment(book):
    assert header(book, "客户编码").comment.text == "选填\n格式：文本，最多 32 个字\n留空时自动编号。\n示例：C0001"
    assert header(book, "客户名称").comment.text.startswith("必填\n")
    assert all(cell.comment for cell in book["数据"][1])


def test_columns_are_formatted_so_that_what_is_typed_keeps_its_zeros_and_digits(path, book):
    """A column's style counts for cells that do not exist yet; openpyxl shows it on a cell only when it is made."""
    sheet = book["数据"]
    formats = [sheet.column_dimensions[cell.column_letter].number_format for cell in sheet[1]]
    assert formats == [column.number_format for column in COLUMNS]
    assert formats[:6] == ["@"] * 6
    assert formats[9] == "yyyy-mm-dd"


def test_a_choice_is_picked_from_a_list_of_any_length_down_to_the_last_row(book):
    for name, expected in (("级别", ["A", "B", "=C"]), ("国家", list(COUNTRIES)), ("重点", ["是", "否"])):
        found = rule(book, name)
        assert found.type == "list"
        assert found.showErrorMessage
        assert options(book, found.formula1) == expected
        assert f"{header(book, name).column_letter}1048576" in found.sqref
    assert book["选项"].sheet_state == "hidden"
    assert not any(cell.data_type == "f" for row in book["选项"] for cell in row)


def test_equal_lists_are_stored_once(book):
    assert rule(book, "重点").formula1 == rule(book, "签约").formula1


def test_a_multiple_choice_offers_the_list_but_accepts_several(book):
    found = rule(book, "业务类型")
    assert options(book, found.formula1) == ["电商", "进口商"]
    assert not found.showErrorMessage
    assert "逗号" in found.prompt


@pytest.mark.parametrize(
    ("name", "kind", "operator", "message"),
    [
        ("客户名称", "textLength", "lessThanOrEqual", "最多 200 个字"),
        ("员工数", "whole", None, "整数"),
        ("注册资本", "decimal", None, "数字"),
        ("税率", "decimal", None, "百分数"),
        ("成立日期", "date", None, "2024-03-15"),
        ("下次跟进", "date", None, "09:30"),
    ],
)
def test_what_cannot_be_right_is_refused_in_chinese_while_typing(book, name, kind, operator, message):
    found = rule(book, name)
    assert (found.type, found.operator) == (kind, operator)
    assert message in found.error
    assert found.errorTitle == "填写有误"


def test_free_text_is_not_checked(book):
    assert rule(book, "备注") is None


def test_the_guide_explains_every_column_in_a_line(book):
    rows = [[cell.value or "" for cell in row] for row in book["填写说明"]]
    assert rows[0][0] == "客户导入模板"
    assert [row[0] for row in rows[1:3]] == [f"1. {NOTES[0]}", f"2. {NOTES[1]}"]
    top = rows.index(["列名", "是否必填", "格式", "说明", "示例", "可选值"])
    lines = {row[0]: row[1:] for row in rows[top + 1 :]}
    assert list(lines) == [column.name for column in COLUMNS]
    assert lines["客户编码"] == ["选填", "文本，最多 32 个字", "留空时自动编号。", "C0001", ""]
    assert lines["级别"] == ["必填", "从下拉列表中选一项", "", "", "A、B、=C"]
    assert lines["国家"][-1].endswith("国家29 等 300 项，见下拉列表")


def test_long_notes_are_tall_enough_to_be_read(book):
    heights = book["填写说明"].row_dimensions
    assert heights[3].height >= 2 * heights[2].height - 5


@pytest.mark.full
def test_libreoffice_shows_the_template_and_imports_it_typed(path, tmp_path):
    """The guide is readable on paper, and a filled-in template that LibreOffice saved is typed as it was formatted."""
    if not which("soffice"):
        pytest.skip("没有安装 LibreOffice（soffice）")
    book = load_workbook(path)
    for index, value in enumerate(
        ["0001", "𠮷野家", "A", "电商,进口商", "国家1", "是", 5, 1.5, 0.13, date(2015, 6, 1)], 1
    ):
        book["数据"].cell(2, index, value)
    filled = tmp_path / "已填.xlsx"
    book.save(filled)
    for source, target in ((filled, "ods"), (path, "pdf")):
        profile = f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}"
        command = ["soffice", profile, "--headless", "--convert-to", target, "--outdir", tmp_path / "out", source]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    assert (tmp_path / "out" / f"{path.stem}.pdf").stat().st_size > 10_000
    row = CalamineWorkbook.from_path(str(tmp_path / "out" / "已填.ods")).get_sheet_by_index(0).to_python()[1]
    assert row[:10] == ["0001", "𠮷野家", "A", "电商,进口商", "国家1", "是", 5, 1.5, 0.13, date(2015, 6, 1)]
