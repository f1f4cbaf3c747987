"""Exports hold exactly what was put in, typed, and nothing in them comes to life."""

import csv
import random
import subprocess
import weakref
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import product
from shutil import which

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook
from python_calamine import CalamineWorkbook

from crm.excel import sheets as workbook
from crm.excel.columns import Column
from crm.excel.writer import CUT_MARK, neutralize, restore, write_csv, write_xlsx

SIGNS = "=+-@＝＋－＠"
BLANKS = ["", " ", "\t", "\u3000", "\xa0"]
PREFIXES = [blank + sign for blank, sign in product(BLANKS, SIGNS)]  # 40 of them
PAYLOADS = ["1+1", 'HYPERLINK("http://example.com","点我")', "cmd|' /C calc'!A0", "SUM(1,2)", "86-138-0013"]
PHONES = ["+8613800138000", "+86 138 0013 8000", "-5", "-5.25", "+1 202 555 0100"]

FAITHFUL = [
    "0001",
    "110101199001011234",
    "𠮷野家",
    "😀👨‍👩‍👧",
    " 前后空格 ",
    "第一行\n第二行\n",
    "制表\t符",
    "回\r车",
    "\x01控\x0b制\x1f",
    "_x0041_ 不是转义",
    "<a href='x'>&amp;</a>",
    "http://example.com/不是链接",
    "'=1+1",
    "''",
    '"',
    "1e5",
    "2024-03-15",
    "是",
    *(prefix + payload for prefix, payload in product(PREFIXES, PAYLOADS)),
    *PHONES,
]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "导出.xlsx"


def sheets(path):
    book = CalamineWorkbook.from_path(str(path))
    return {name: book.get_sheet_by_name(name).to_python() for name in book.sheet_names}


def cells(path):
    """The rows under the header of the only sheet."""
    (rows,) = sheets(path).values()
    return rows[1:]


def column_of(path, kind, values):
    """What comes back when `values` are written to one column (beside another, so that no row is blank)."""
    write_xlsx(path, [Column("值", kind), Column("号")], [(value, "x") for value in values])
    return [row[0] for row in cells(path)]


# --- text -------------------------------------------------------------------------------------------------------------


def test_text_of_every_kind_comes_back_letter_for_letter(path):
    assert column_of(path, "text", FAITHFUL) == FAITHFUL


def test_no_text_cell_is_a_formula_or_a_link_whatever_kind_its_column_has(path):
    kinds = ["text", "choice", "integer", "decimal", "date", "datetime"]
    write_xlsx(path, [Column(kind, kind) for kind in kinds], [[text] * len(kinds) for text in FAITHFUL])
    sheet = load_workbook(path).active
    body = [cell for row in sheet.iter_rows(min_row=2) for cell in row]
    assert {cell.data_type for cell in body} <= {"s", "inlineStr"}
    assert not any(cell.hyperlink for cell in body)


def test_text_cells_have_the_text_format_so_that_editing_one_does_not_turn_it_into_something_else(path):
    write_xlsx(path, [Column("编码"), Column("级别", "choice")], [("0001", "=A"), (None, "B")])
    sheet = load_workbook(path).active
    assert {sheet.cell(row, column).number_format for row, column in ((2, 1), (2, 2), (3, 2))} == {"@"}
    assert sheet.column_dimensions["A"].width >= 12


def test_text_of_the_longest_length_is_kept_and_longer_text_is_cut_with_a_mark(path):
    longest, rare = "长" * 32_767, "𠮷" * 16_383 + "!"
    back = column_of(path, "text", [longest, rare, longest + "!", rare + "!"])
    assert back[:2] == [longest, rare]
    for cut, whole in zip(back[2:], (longest, rare), strict=True):
        assert cut.endswith(CUT_MARK)
        assert whole.startswith(cut.removesuffix(CUT_MARK))
        assert 32_760 < len(cut.encode("utf-16-le")) // 2 <= 32_767


# --- types ------------------------------------------------------------------------------------------------------------


def test_numbers_dates_and_times_are_typed_and_formatted(path):
    columns = [
        Column("数量", "integer"),
        Column("金额", "decimal"),
        Column("税率", "percent"),
        Column("日期", "date"),
        Column("时间", "datetime"),
    ]
    row = (12, Decimal("1234.50"), Decimal("0.13"), date(2024, 2, 29), datetime(2024, 3, 15, 9, 30, 1, 999_999))
    write_xlsx(path, columns, [row])
    got = next(load_workbook(path).active.iter_rows(min_row=2))
    assert [cell.value for cell in got] == [12, 1234.5, 0.13, datetime(2024, 2, 29), datetime(2024, 3, 15, 9, 30, 1)]
    assert [cell.number_format for cell in got] == [
        "0",
        "#,##0.00####",
        "0.00%",
        "yyyy-mm-dd",
        "yyyy-mm-dd hh:mm:ss",
    ]


def test_every_amount_comes_back_to_the_last_digit(path):
    random.seed(1)
    amounts = [Decimal(random.randint(-(10**15), 10**15)).scaleb(-random.randint(0, 8)) for _ in range(500)]
    amounts += [
        Decimal(text) for text in ("0.00", "1E+3", "0.1", "99999999999999.99", "123456789012345678.99", "1E+20")
    ]
    back = column_of(path, "decimal", amounts)
    assert [Decimal(str(value)) for value in back] == amounts


def test_a_number_that_excel_would_round_is_written_as_text(path):
    digits15, digits16 = 999_999_999_999_999, 1_000_000_000_000_000
    assert column_of(path, "integer", [digits15, digits16, -digits16]) == [digits15, str(digits16), str(-digits16)]
    assert column_of(path, "decimal", [Decimal("12345678901234.56")]) == ["12345678901234.56"]


def test_dates_before_march_1900_are_text_since_programs_count_them_differently(path):
    days = [date(1899, 12, 31), date(1900, 2, 28), date(1900, 3, 1), date(9999, 12, 31)]
    assert column_of(path, "date", days) == ["1899-12-31", "1900-02-28", *days[2:]]


def test_a_date_column_drops_the_time_of_day(path):
    assert column_of(path, "date", [datetime(2024, 3, 15, 9, 30)]) == [date(2024, 3, 15)]


def test_booleans_read_yes_and_no_in_chinese_and_choices_are_joined(path):
    assert column_of(path, "boolean", [True, False, None]) == ["是", "否", ""]
    assert column_of(path, "multichoice", [["电商", "进口商"], (), "零售商"]) == ["电商,进口商", "", "零售商"]


def test_a_number_in_a_text_column_becomes_text(path):
    assert column_of(path, "text", [10, Decimal("1.50"), date(2024, 3, 15)]) == ["10", "1.50", "2024-03-15"]


# --- sheets and rows --------------------------------------------------------------------------------------------------


def test_the_header_is_bold_frozen_and_filterable_also_without_rows(path):
    columns = [Column("客户名称", required=True), Column("级别", "choice")]
    for rows, reference in (([("甲", "A"), ("乙", "B")], "A1:B3"), ([], "A1:B1")):
        assert write_xlsx(path, columns, rows, sheet="客户") == len(rows)
        sheet = load_workbook(path)["客户"]
        assert [cell.value for cell in sheet[1]] == ["客户名称", "级别"]
        assert all(cell.font.bold for cell in sheet[1])
        assert sheet.freeze_panes == "A2"
        assert sheet.auto_filter.ref == reference


def test_rows_beyond_one_sheet_continue_on_the_next_under_the_same_header(path, monkeypatch):
    monkeypatch.setattr(workbook, "SHEET_ROWS", 4)
    rows = [(str(number),) for number in range(10)]
    assert write_xlsx(path, [Column("号")], rows) == 10
    got = sheets(path)
    assert list(got) == ["数据", "数据 (2)", "数据 (3)"]
    assert [row[0] for row in got["数据 (3)"]] == ["号", "8", "9"]
    assert [row for sheet in got.values() for row in sheet[1:]] == [list(row) for row in rows]


def test_a_sheet_that_grows_too_large_for_other_programs_ends_early(path, monkeypatch):
    monkeypatch.setattr(workbook, "BYTES", 40_000)
    monkeypatch.setattr(workbook, "BLOCK", 100)
    rows = [(str(number), "长" * 10) for number in range(1000)]
    assert write_xlsx(path, [Column("号"), Column("文")], iter(rows)) == 1000
    got = sheets(path)
    assert len(got) > 2
    assert [tuple(row) for sheet in got.values() for row in sheet[1:]] == rows


def test_a_sheet_may_be_called_anything(path):
    write_xlsx(path, [Column("号")], [("1",)], sheet="客户/联系人[全部]:" + "长" * 40)
    (name,) = sheets(path)
    assert name.startswith("客户_联系人_全部__")
    assert len(name) == 31


def test_progress_is_reported_on_the_way_and_at_the_end(path):
    seen = []
    write_xlsx(path, [Column("号")], [("1",)] * 25, on_progress=seen.append, every=10)
    assert seen == [10, 20, 25]


@pytest.mark.parametrize("write", [write_xlsx, write_csv])
def test_rows_are_let_go_as_they_are_written(write, path):
    """Memory does not depend on the number of rows: of ten blocks, hardly more than two are alive."""

    class Day(date):
        pass

    alive, most = weakref.WeakSet(), 0

    def rows():
        nonlocal most
        for number in range(10 * workbook.BLOCK):
            day = Day.fromordinal(date(2024, 1, 1).toordinal() + number)
            alive.add(day)
            most = max(most, len(alive))
            yield (day,)

    assert write(path, [Column("日期", "date")], rows()) == 10 * workbook.BLOCK
    assert most < 3 * workbook.BLOCK


@pytest.mark.parametrize("write", [write_xlsx, write_csv])
def test_an_export_that_fails_leaves_the_old_file_and_nothing_else(write, path):
    def rows():
        yield ("新",)
        raise RuntimeError("数据库断开")

    path.write_text("旧")
    with pytest.raises(RuntimeError, match="数据库断开"):
        write(path, [Column("号")], rows())
    assert path.read_text() == "旧"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("write", [write_xlsx, write_csv])
def test_an_aware_time_is_refused_rather_than_shown_in_the_wrong_zone(write, path):
    with pytest.raises(ValueError, match="当地时间"):
        write(path, [Column("时间", "datetime")], [(datetime(2024, 3, 15, tzinfo=UTC),)])


@pytest.mark.parametrize("write", [write_xlsx, write_csv])
def test_a_row_of_another_length_is_refused(write, path):
    with pytest.raises(ValueError, match="zip"):
        write(path, [Column("甲"), Column("乙")], [("1", "2"), ("1",)])


def test_two_columns_of_one_name_are_refused(path):
    with pytest.raises(ValueError, match="表头重复：备注"):
        write_xlsx(path, [Column("备注"), Column("编码"), Column("备注")], [])


def test_columns_are_wide_enough_for_header_and_usual_contents():
    assert Column("统一社会信用代码", max_length=18).display_width >= 20
    assert Column("下次跟进时间", "datetime").display_width >= 19
    assert Column("备注", max_length=2000).display_width == 36
    assert Column("备注", width=60).display_width == 60


# --- csv --------------------------------------------------------------------------------------------------------------


def read_csv(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def test_a_csv_opens_in_excel_and_comes_back_letter_for_letter(path):
    texts = [*FAITHFUL, "长" * 40_000, "分号;=1+1", None]
    assert write_csv(path, [Column("编码"), Column("号")], [(text, "x") for text in texts]) == len(texts)
    assert path.read_bytes().startswith('\ufeff"编码","号"\r\n"0001","x"\r\n'.encode())
    assert [restore(row[0]) for row in read_csv(path)[1:]] == [text or "" for text in texts]


def test_values_in_a_csv_are_plain(path):
    kinds = ["integer", "decimal", "percent", "date", "datetime", "boolean", "multichoice"]
    row = (
        -5,
        Decimal("-1E+3"),
        Decimal("0.13"),
        date(2024, 3, 5),
        datetime(2024, 3, 5, 9, 3),
        True,
        ["电商", "进口商"],
    )
    write_csv(path, [Column(kind, kind) for kind in kinds], [row])
    assert read_csv(path)[1] == ["-5", "-1000", "0.13", "2024-03-05", "2024-03-05 09:03:00", "是", "电商,进口商"]


@given(st.text(st.sampled_from("'=+-@＝\t\r\n \u3000158a中") | st.characters(codec="utf-8"), max_size=12))
def test_restoring_undoes_neutralising_for_any_text(text):
    assert restore(neutralize(text, "csv")) == text
    assert neutralize(text, "xlsx") == text


@pytest.mark.parametrize("prefix", [*PREFIXES, "\r", "\n", "\u200b=", "\ufeff=", "\x01="])
def test_text_that_a_program_might_evaluate_is_escaped_in_csv(prefix):
    for payload in PAYLOADS:
        assert neutralize(prefix + payload, "csv") == f"'{prefix}{payload}"


@pytest.mark.parametrize("text", [*PHONES, "13800138000", "深圳=广州", "a@b.cn", "'", "'引用'", ""])
def test_phone_numbers_and_harmless_text_stay_as_they_are_in_csv(text):
    assert neutralize(text, "csv") == text
    assert restore(text) == text


def test_a_header_is_neutralised_too(path):
    write_csv(path, [Column("=1+1")], [])
    assert read_csv(path) == [["'=1+1"]]


# --- other programs ---------------------------------------------------------------------------------------------------

EVALUATE = "CSV:44,34,76,1,,0,false,true,false,false,false,0,true"  # UTF-8, formulas in the text are to be evaluated


def through_libreoffice(path, folder, *options):
    """The cells of the first column below the header, once LibreOffice has opened `path` and saved it as xlsx."""
    if not which("soffice"):
        pytest.skip("没有安装 LibreOffice（soffice）")
    profile = f"-env:UserInstallation={(folder / 'profile').as_uri()}"
    command = ["soffice", profile, "--headless", *options, "--convert-to", "xlsx", "--outdir", folder / "out", path]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    sheet = load_workbook(folder / "out" / f"{path.stem}.xlsx").active
    return [row[0] for row in sheet.iter_rows(min_row=2)]


DANGEROUS = [prefix + payload for prefix, payload in product(PREFIXES, PAYLOADS)]


@pytest.mark.full
def test_libreoffice_finds_only_text_in_an_exported_workbook(path, tmp_path):
    write_xlsx(path, [Column("文本"), Column("号")], [(text, "x") for text in DANGEROUS + PHONES])
    got = through_libreoffice(path, tmp_path)
    assert {cell.data_type for cell in got} == {"s"}
    assert [cell.value for cell in got] == DANGEROUS + PHONES


@pytest.mark.full
def test_libreoffice_evaluates_nothing_in_an_exported_csv(tmp_path):
    rows = [(text, "x") for text in DANGEROUS]
    path = tmp_path / "导出.csv"
    write_csv(path, [Column("文本"), Column("号")], rows)
    got = through_libreoffice(path, tmp_path, f"--infilter={EVALUATE}")
    assert {cell.data_type for cell in got} == {"s"}
    assert [restore(cell.value) for cell in got] == DANGEROUS


@pytest.mark.full
def test_the_same_csv_without_neutralising_is_live(tmp_path):
    """The negative control of the test above."""
    path = tmp_path / "裸.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([["文本", "号"], *([text, "x"] for text in DANGEROUS)])
    assert "f" in {cell.data_type for cell in through_libreoffice(path, tmp_path, f"--infilter={EVALUATE}")}
