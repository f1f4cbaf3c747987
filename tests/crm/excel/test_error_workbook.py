"""Faulty rows go back to whoever sent them in the layout they came in, and can be imported again once corrected."""

import subprocess
import weakref
from dataclasses import dataclass
from datetime import date, datetime, time
from shutil import which

import pytest
from openpyxl import load_workbook
from python_calamine import CalamineWorkbook

from crm.excel import error_workbook
from crm.excel.error_workbook import write_errors


@dataclass
class Formula:
    text: str
    value: object


@dataclass
class CellError:
    code: str


LEADING = [["客户导入说明：请按要求填写，不得改动表头"], ["制表人", "张三", None, datetime(2024, 1, 2)]]
TITLES = ["客户编码", "客户名称", "手机", "级别", "注册资本", "成立日期", None, "备注"]
ROWS = [
    (7, ["0001", "海纳贸易", 13000000000.0, "Z", 12.5, datetime(2024, 3, 5), None, "好"], ["级别「Z」不存在"], {3}),
    (9, ["0002", None, "+86 138", "A", Formula("=SUM(A1:A9)", 45), "2024/13/45"], ["名称必填", "日期不对"], {1, 5, 6}),
    (
        12,
        ["=1+1", "𠮷野家😀", 110101199001011000.0, CellError("#N/A"), None, None, True, "", "列外"],
        ["手机不对"],
        {2},
    ),
]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "错误.xlsx"


def write(path, rows=ROWS, **options):
    return write_errors(path, **{"leading_rows": LEADING, "titles": TITLES, **options}, rows=rows)


def read(path, index=0):
    return CalamineWorkbook.from_path(str(path)).get_sheet_by_index(index).to_python()


def test_the_layout_is_the_original_one_with_a_reason_at_the_far_right(path):
    assert write(path) == 3
    rows = read(path)
    assert rows[0][0] == LEADING[0][0]
    assert rows[1][:4] == ["制表人", "张三", "", date(2024, 1, 2)]
    assert rows[2] == [title or "" for title in TITLES] + ["错误原因", ""]
    assert [row[8] for row in rows[3:]] == [
        "原第 7 行：级别「Z」不存在",
        "原第 9 行：名称必填\n日期不对",
        "原第 12 行：手机不对",
    ]


def test_values_keep_their_types_so_that_the_corrected_file_imports_like_the_original(path):
    write(path)
    first, second, third = read(path)[3:]
    assert first[:8] == ["0001", "海纳贸易", 13000000000, "Z", 12.5, date(2024, 3, 5), "", "好"]
    assert second[:8] == ["0002", "", "+86 138", "A", "=SUM(A1:A9)", "2024/13/45", "", ""]
    assert third[:8] == ["=1+1", "𠮷野家😀", 110101199001011000.0, "#N/A", "", "", True, ""]


def test_a_cell_outside_the_titles_is_kept_beyond_the_reason(path):
    write(path)
    assert [row[9] for row in read(path)[3:]] == ["", "", "列外"]


def test_formulas_and_errors_appear_as_text_that_nothing_evaluates(path):
    write(path)
    cells = [cell for row in load_workbook(path).active for cell in row if cell.value is not None]
    assert not [cell for cell in cells if cell.data_type in "fe"]
    texts = {cell.value: cell.number_format for cell in cells if cell.value in ("=1+1", "=SUM(A1:A9)", "#N/A", "0001")}
    assert texts == dict.fromkeys(("=1+1", "=SUM(A1:A9)", "#N/A", "0001"), "@")


def test_long_numbers_show_all_their_digits(path):
    write(path)
    sheet = load_workbook(path).active
    assert (sheet["C6"].number_format, sheet["E4"].number_format) == ("0", "General")


@pytest.mark.parametrize(
    ("value", "back"),
    [
        (time(9, 30), time(9, 30)),
        (datetime(2024, 3, 5, 9, 30), datetime(2024, 3, 5, 9, 30)),
        (date(1899, 5, 1), "1899-05-01"),
        (float("inf"), "inf"),
        (False, False),
        ("\x0b控制符", "\x0b控制符"),
        ("长" * 32_768, "长" * 32_756 + "…（内容过长，已截断）"),
    ],
)
def test_whatever_a_reader_delivers_can_be_written(path, value, back):
    write(path, [(2, [value, "x"], ["错"], {0})], leading_rows=[], titles=["值", "号"])
    assert read(path)[1][0] == back


def test_the_cells_to_blame_and_only_they_are_light_red_with_the_reasons_as_a_comment(path):
    write(path)
    sheet = load_workbook(path).active
    red = {cell.coordinate for row in sheet.iter_rows(min_row=4) for cell in row if cell.fill.fgColor.rgb == "FFFFC7CE"}
    assert red == {"D4", "B5", "F5", "G5", "C6"}
    assert red == {cell.coordinate for row in sheet.iter_rows(min_row=4) for cell in row if cell.comment}
    assert sheet["B5"].comment.text == "名称必填\n日期不对"
    assert sheet["I3"].font.color.rgb == "FFC00000"
    assert sheet["I5"].alignment.wrap_text
    assert sheet.row_dimensions[5].height > sheet.row_dimensions[4].height
    assert sheet.freeze_panes == "A4"
    assert sheet.auto_filter.ref == "A3:I6"


def test_comments_stop_where_they_would_choke_excel_but_colour_and_reason_do_not(path, monkeypatch):
    monkeypatch.setattr(error_workbook, "DRESSED_ROWS", 2)
    write(path)
    last = load_workbook(path).active[6]
    assert last[2].comment is None
    assert last[2].fill.fgColor.rgb == "FFFFC7CE"
    assert last[8].value == "原第 12 行：手机不对"


def test_more_rows_than_a_sheet_holds_continue_on_the_next_under_the_same_header(path, monkeypatch):
    monkeypatch.setattr(error_workbook, "SHEET_ROWS", 5)
    monkeypatch.setattr(error_workbook, "DRESSED_ROWS", 2)
    rows = [(number, [f"{number:04}"], ["错"], {0}) for number in range(7)]
    assert write(path, rows, titles=["编码"]) == 7
    book = CalamineWorkbook.from_path(str(path))
    assert book.sheet_names == ["错误行", "错误行 (2)", "错误行 (3)"]
    assert [[row[0] for row in read(path, index)[2:]] for index in range(3)] == [
        ["编码", "0000", "0001", "0002"],
        ["编码", "0003", "0004", "0005"],
        ["编码", "0006"],
    ]


def test_no_faulty_rows_give_a_sheet_with_the_header_alone(path):
    assert write(path, []) == 0
    assert len(read(path)) == 3


def test_rows_are_streamed(path, monkeypatch):
    class Row(list):
        __hash__ = object.__hash__

    monkeypatch.setattr(error_workbook, "DRESSED_ROWS", 50)
    alive, most = weakref.WeakSet(), 0

    def rows():
        nonlocal most
        for number in range(2000):
            cells = Row([str(number)])
            alive.add(cells)
            most = max(most, len(alive))
            yield number, cells, ["错"], {0}

    assert write(path, rows()) == 2000
    assert most < 100


def test_a_failure_leaves_no_file(path):
    def rows():
        yield ROWS[0]
        raise RuntimeError("中断")

    with pytest.raises(RuntimeError, match="中断"):
        write(path, rows())
    assert list(path.parent.iterdir()) == []


@pytest.mark.full
def test_libreoffice_shows_it_and_keeps_values_and_types_when_it_saves_the_correction(path, tmp_path):
    if not which("soffice"):
        pytest.skip("没有安装 LibreOffice（soffice）")
    write(path)
    for target in ("ods", "pdf"):
        profile = f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}"
        command = ["soffice", profile, "--headless", "--convert-to", target, "--outdir", tmp_path / "out", path]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    assert (tmp_path / "out" / f"{path.stem}.pdf").stat().st_size > 5_000
    first, second, third = read(tmp_path / "out" / f"{path.stem}.ods")[3:]
    assert first[:8] == ["0001", "海纳贸易", 13000000000, "Z", 12.5, date(2024, 3, 5), "", "好"]
    assert second[4] == "=SUM(A1:A9)"
    assert third[:2] == ["=1+1", "𠮷野家😀"]
