"""Whatever somebody uploads ends in rows that say what Excel shows, or in a Chinese sentence that says what to do."""

import multiprocessing
import os
import random
import re
import struct
import subprocess
import sys
import threading
import zipfile
from datetime import date, datetime, time
from pathlib import Path

import pytest
import xlsxwriter
from python_calamine import load_workbook

from crm.excel.reader import (
    CellError,
    Formula,
    Limits,
    Row,
    SheetInfo,
    WorkbookError,
    merged_ranges,
    open_rows,
    sheets,
)
from crm.excel.reading import xlsx

ROOT = Path(__file__).parents[3]
CORPUS = ROOT.parent / "shared" / "data" / "excel_corpora"
needs_corpus = pytest.mark.skipif(not CORPUS.exists(), reason="没有测试语料 ../shared/data/excel_corpora")

RICH_ROWS = [
    Row(1, ["编码", "名称", "数量", "单价", "折扣", "启用", "日期", "时刻", "几点", "出错", "合计"]),
    Row(
        2,
        [
            "0001",
            "𠮷野家😀 & <b>\n第二行 ",
            3,
            0.1,
            0.13,
            True,
            date(2024, 2, 29),
            datetime(2024, 2, 29, 8, 30, 15),
            time(18, 45),
            Formula("=1/0", CellError("#DIV/0!")),
            Formula('=C2*D2&"元"', "0.3元"),
        ],
    ),
    Row(4, ["合并"]),
]


def rich_workbook(path, **options):
    """A workbook that reads as RICH_ROWS, with A4:C5 merged."""
    with xlsxwriter.Workbook(path, options) as book:
        sheet = book.add_worksheet("客户")
        day, moment, clock, percent = (
            book.add_format({"num_format": code}) for code in ("yyyy-mm-dd", 'yyyy"年"m"月"d"日" h:mm', "h:mm", "0%")
        )
        sheet.write_row(0, 0, RICH_ROWS[0].cells)
        cells = RICH_ROWS[1].cells
        sheet.write_string(1, 0, cells[0])
        sheet.write_row(1, 1, cells[1:4])
        sheet.write_number(1, 4, cells[4], percent)
        sheet.write_boolean(1, 5, cells[5])
        sheet.write_datetime(1, 6, cells[6], day)
        sheet.write_datetime(1, 7, cells[7], moment)
        sheet.write_datetime(1, 8, cells[8], clock)
        sheet.write_formula(1, 9, "=1/0", None, "#DIV/0!")
        sheet.write_formula(1, 10, '=C2*D2&"元"', None, "0.3元")
        sheet.merge_range(3, 0, 4, 2, "合并")
    return path


def repack(path, **changes):
    """The workbook with XML parts changed: name of the part → function of its text giving text or bytes."""
    target = path.with_name(f"repacked-{path.name}")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            data, change = old.read(name), changes.get(Path(name).stem)
            if change and name.endswith(".xml"):
                data = change(data.decode())
            new.writestr(name, data)
    return target


def with_rows(tmp_path, rows, strings=None, workbook=lambda xml: xml):
    """A workbook whose only sheet has this XML for its rows, and whose table of strings this XML inside."""
    plain = tmp_path / "plain.xlsx"
    with xlsxwriter.Workbook(plain) as book:
        book.add_worksheet().write(0, 0, "文本")
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    return repack(
        plain,
        sheet1=lambda _xml: f"{head}<worksheet {space}><sheetData>{rows}</sheetData></worksheet>",
        sharedStrings=lambda xml: xml if strings is None else f"{head}<sst {space}>{strings}</sst>",
        workbook=workbook,
    )


def refusal(path, **arguments):
    """The sentence with which a file is refused, here or while its rows are read."""
    with pytest.raises(WorkbookError) as caught, open_rows(path, **arguments) as rows:
        list(rows)
    sentence = str(caught.value)
    assert sentence.endswith("。"), "what is wrong and what to do, in whole sentences"
    return sentence


# --- xlsx


def test_cells_are_what_excel_shows(tmp_path):
    """Text stays text to the last blank, whole numbers are int, days are dates, errors and formulas say so."""
    path = rich_workbook(tmp_path / "a.xlsx")
    rows = list(open_rows(path))
    assert rows == RICH_ROWS
    assert [type(cell) for cell in rows[1].cells[:6]] == [str, str, int, float, float, bool]
    assert merged_ranges(path) == [(4, 1, 5, 3)]
    assert sheets(path) == [SheetInfo("客户", 5, 11, hidden=False)]


def test_both_epochs_give_the_same_dates(tmp_path):
    """A workbook of the Macintosh counts its days from 1904."""
    assert list(open_rows(rich_workbook(tmp_path / "mac.xlsx", date_1904=True))) == RICH_ROWS


REWRITINGS = {
    "prefix": lambda xml: (
        xml.replace("</", "</x:")
        .replace("<", "<x:")
        .replace("<x:/x:", "</x:")
        .replace("<x:?", "<?")
        .replace("xmlns=", "xmlns:x=")
    ),
    "utf-16": lambda xml: xml.replace("UTF-8", "UTF-16").encode("utf-16"),
    "single quotes": lambda xml: re.sub(r'="([^"]*)"', r"='\1'", xml),
    "comments": lambda xml: xml.replace("<c ", "<!-- cell --><c ").replace("<si>", "<!-- string --><si>"),
    "indented": lambda xml: xml.replace("><", ">\n  <"),
    "style before place": lambda xml: xml.replace("<c r=", '<c cm="0" r='),
}


@pytest.mark.parametrize("rewrite", REWRITINGS.values(), ids=REWRITINGS)
def test_the_same_xml_written_otherwise(tmp_path, rewrite):
    """Other programs write prefixes, comments, quotes and line breaks of their own: the rows are the same."""
    path = rich_workbook(tmp_path / "a.xlsx")
    changed = repack(path, sheet1=rewrite, sharedStrings=rewrite)
    assert list(open_rows(changed)) == RICH_ROWS
    assert merged_ranges(changed) == [(4, 1, 5, 3)]


def test_text_is_unescaped_as_excel_does(tmp_path):
    """Entities, runs of formatted text, phonetic notes, _x000D_, split surrogate pairs, CDATA: one text, exactly."""
    strings = (
        "<si><t>a&amp;b&#20013;</t></si>"
        "<si><r><rPr><b/></rPr><t>粗</t></r><r><t xml:space='preserve'> 细</t></r>"
        "<rPh sb='0' eb='1'><t>注音</t></rPh></si>"
        "<si><t>一_x000D__x005F_x000D_</t></si>"
        "<si><t>_xD83D__xDE00_</t></si>"
        "<si/>"
        "<si><t>末</t></si>"
    )
    cells = "".join(f'<c r="{letter}1" t="s"><v>{index}</v></c>' for index, letter in enumerate("ABCDEF"))
    inline = (
        '<c r="G1" t="inlineStr"><is><t> 内 </t></is></c>'
        '<c r="H1" t="inlineStr"><is><r><t>两</t></r><r><t>段</t></r></is></c>'
    )
    expected = ["a&b中", "粗 细", "一\r_x000D_", "😀", None, "末", " 内 ", "两段"]
    path = with_rows(tmp_path, f'<row r="1">{cells}{inline}</row>', strings)
    assert list(open_rows(path)) == [Row(1, expected)]
    path = with_rows(tmp_path, f'<row r="1">{cells}{inline}</row>', strings.replace("a&amp;b", "<![CDATA[a&b]]>"))
    assert list(open_rows(path)) == [Row(1, expected)]


def test_numbers_dates_and_what_only_looks_like_them(tmp_path):
    """Long numbers keep their digits, elapsed time and impossible days stay numbers, ISO dates are dates."""
    cells = (
        '<c r="A1"><v>123456789012345678</v></c><c r="B1"><v>1.3E+10</v></c><c r="C1"><v>19.899999999999999</v></c>'
        '<c r="D1" t="d"><v>2024-02-29T00:00:00</v></c><c r="E1"><v>无</v></c><c r="F1" t="b"><v>0</v></c>'
        '<c r="G1" t="e"><v>#N/A</v></c><c r="H1" s="1"/><c r="I1"><v>-0.5</v></c>'
    )
    expected = [123456789012345678, 13_000_000_000, 19.9, date(2024, 2, 29), "无", False, CellError("#N/A"), None, -0.5]
    assert list(open_rows(with_rows(tmp_path, f'<row r="1">{cells}</row>'))) == [Row(1, expected)]
    cells = """<c r="A1" t='s'><v>0</v></c><c r="B1"><v>&lt;3</v></c>"""
    assert list(open_rows(with_rows(tmp_path, f'<row r="1">{cells}</row>'))) == [Row(1, ["文本", "<3"])]

    path = tmp_path / "formats.xlsx"
    formats = [
        "[h]:mm",
        '0.00"days"',
        "yyyy/m/d;@",
        "[$-804]aaaa",
        '上午/下午h"时"',
        "#,##0.00_);[Red]",
        "G/通用格式",
        "mmm-yy",
    ]
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        for column, code in enumerate(formats):
            sheet.write_number(0, column, 45351.5, book.add_format({"num_format": code}))
    shown = [type(cell) for cell in next(open_rows(path)).cells]
    assert shown == [float, float, datetime, datetime, datetime, float, float, datetime]


def test_every_cell_of_a_shared_formula_is_a_formula(tmp_path):
    """Excel writes the text of a formula that was filled down only once."""
    cells = (
        '<row r="1"><c r="A1"><f t="shared" ref="A1:A2" si="0">B1&amp;"x"</f><v>1</v></c></row>'
        '<row r="2"><c r="A2"><f t="shared" si="0"/><v>2</v></c><c r="B2"><f>NOW()</f></c></row>'
    )
    assert list(open_rows(with_rows(tmp_path, cells))) == [
        Row(1, [Formula('=B1&"x"', 1)]),
        Row(2, [Formula('=B1&"x"', 2), Formula("=NOW()", None)]),
    ]


def test_rows_keep_the_numbers_excel_shows(tmp_path):
    """Blank rows are not delivered but counted, also where the file leaves all numbers out."""
    rows = '<row r="2"/><row r="3" spans="1:3"><c r="B3"><v>1</v></c><c r="C3" s="1"/></row>'
    rows += '<row r="9"><c r="A9" s="2"/></row>'
    assert list(open_rows(with_rows(tmp_path, rows))) == [Row(3, [None, 1])]
    rows = "<row/><row><c/><c><v>1</v></c></row><row><c><v>2</v></c></row>"
    assert list(open_rows(with_rows(tmp_path, rows))) == [Row(2, [None, 1]), Row(3, [2])]


def test_rows_of_one_shape_and_those_between_them_are_read_alike(tmp_path):
    """Rows that have the columns of the one before are read as a whole, others cell by cell."""

    def row(number, *cells):
        inside = {"A": '<c r="A{0}" t="inlineStr"><is><t>{1}</t></is></c>', "B": '<c r="B{0}"><v>{1}</v></c>'}
        inside |= {"C": '<c r="C{0}" t="b"><v>{1}</v></c>', "D": '<c r="D{0}"><f>A1</f><v>{1}</v></c>'}
        written = "".join(inside[column].format(number, value) for column, value in cells)
        return f'<row r="{number}">{written}</row>'

    rows = [
        row(1, ("A", "甲"), ("B", "1"), ("C", "1")),
        row(2, ("A", "a&amp;b"), ("B", "2.5"), ("C", "0")),
        row(3, ("A", "x_x0041_"), ("B", "3"), ("C", "1")),
        row(4, ("B", "4"), ("C", "1")),
        row(5, ("A", "乙"), ("B", ""), ("C", "1")),
        row(6, ("A", "丙"), ("B", "6"), ("C", "0")),
        row(7, ("A", "丁"), ("B", "7"), ("D", "8")),
    ]
    found = list(open_rows(with_rows(tmp_path, "".join(rows))))
    assert [cells for _, cells in found] == [
        ["甲", 1, True],
        ["a&b", 2.5, False],
        ["xA", 3, True],
        [None, 4, True],
        ["乙", None, True],
        ["丙", 6, False],
        ["丁", 7, None, Formula("=A1", 8)],
    ]


def test_irregular_xml_far_down_repeats_no_row(tmp_path):
    """Where the shape of the XML changes half-way, reading goes on behind the rows already delivered."""
    rows = "".join(f'<row r="{n}"><c r="A{n}"><v>{n}</v></c></row>' for n in range(1, 20_001))
    rows += "<row r='20001'><c r='A20001'><v>20001</v></c></row>"
    assert [row.cells for row in open_rows(with_rows(tmp_path, rows))] == [[n] for n in range(1, 20_002)]


def test_the_first_rows_do_not_wait_for_the_rest(tmp_path):
    """A page that shows the first rows need not read the file: damage further down does not even show."""
    path = tmp_path / "long.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        for row in range(20_000):
            sheet.write_row(row, 0, [random.random() for _ in range(5)])
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("xl/worksheets/sheet1.xml")
    data = bytearray(path.read_bytes())
    place = info.header_offset + info.compress_size - 1000
    data[place : place + 500] = bytes(500)
    path.write_bytes(data)
    with open_rows(path, limit=5) as rows:
        assert [row.number for row in rows] == [1, 2, 3, 4, 5]
    assert "损坏" in refusal(path)


def test_which_sheet_is_read(tmp_path):
    """Without being told: the first visible sheet that has a row. Charts are no sheets."""
    path = tmp_path / "sheets.xlsx"
    with xlsxwriter.Workbook(path) as book:
        book.add_worksheet("说明")
        book.add_worksheet("旧数据").write(0, 0, "旧")
        book.add_worksheet("新数据").write(0, 0, "新")
        book.get_worksheet_by_name("旧数据").hide()
        book.add_chartsheet("图表").set_chart(chart := book.add_chart({"type": "line"}))
        chart.add_series({"values": "=新数据!$A$1:$A$2"})
    assert [(info.name, info.hidden) for info in sheets(path)] == [("说明", False), ("旧数据", True), ("新数据", False)]
    with open_rows(path) as rows:
        assert (rows.sheet, next(rows).cells) == ("新数据", ["新"])
    assert next(open_rows(path, sheet="旧数据")).cells == ["旧"]
    assert "说明" in refusal(path, sheet="说明")
    assert "新数据" in refusal(path, sheet="没有")


def test_random_tables_read_as_written_and_as_calamine_reads_them(tmp_path):
    """Beyond the cases thought of: gaps, wide columns and text of all planes, against another reader."""
    rng = random.Random(7)
    path, written = tmp_path / "random.xlsx", {}
    alphabet = "aZ09 <>&\"'_x\t\n中文，𠮷😀é"
    with xlsxwriter.Workbook(path, {"strings_to_numbers": False}) as book:
        sheet = book.add_worksheet()
        for _ in range(4000):
            place = rng.randrange(900), rng.choice([*range(30), 200, 701])
            value = rng.choice(
                [rng.randrange(-(10**6), 10**15), round(rng.uniform(-1e6, 1e6), 3), rng.random() < 0.5]
                + ["".join(rng.choices(alphabet, k=rng.randrange(1, 30)))] * 4
            )
            writer = sheet.write_string if isinstance(value, str) else sheet.write
            if not (isinstance(value, str) and value.startswith("_x")):
                writer(*place, value)
                written[place] = value
    read = {
        (row.number - 1, column): cell
        for row in open_rows(path)
        for column, cell in enumerate(row.cells)
        if cell is not None
    }
    assert read == {place: value for place, value in written.items() if value != ""}
    theirs = load_workbook(path).get_sheet_by_index(0)
    for number, cells in enumerate(theirs.iter_rows()):
        for column, cell in enumerate(cells, theirs.start[1]):
            mine = read.get((number, column), "")
            assert mine == cell or mine.strip() == cell.strip()


# --- text


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(
            "客户,电话\n深圳贸易,0755\n".encode("gb18030"), [["客户", "电话"], ["深圳贸易", "0755"]], id="gbk"
        ),
        pytest.param("﻿客户,电话\r\n𠮷野,01\r\n".encode(), [["客户", "电话"], ["𠮷野", "01"]], id="utf-8-bom"),
        pytest.param("客户\t电话\n甲\t1\n".encode("utf-16"), [["客户", "电话"], ["甲", "1"]], id="utf-16"),
        pytest.param(
            "code,name\n1,a\n2,b\n".encode("utf-16-be"), [["code", "name"], ["1", "a"], ["2", "b"]], id="utf-16-no-mark"
        ),
        pytest.param(
            "公司名稱,電話\n台灣積體電路製造股份有限公司,09\n".encode("big5"),
            [["公司名稱", "電話"], ["台灣積體電路製造股份有限公司", "09"]],
            id="big5",
        ),
        pytest.param(
            "name,city\nJosé Núñez,São Paulo\n".encode("latin-1"),
            [["name", "city"], ["José Núñez", "São Paulo"]],
            id="latin-1",
        ),
        pytest.param(b"a;b\n1,5;2\n", [["a", "b"], ["1,5", "2"]], id="semicolon"),
        pytest.param(b"a|b|c\n1|2|3\n", [["a", "b", "c"], ["1", "2", "3"]], id="bar"),
        pytest.param(
            "编号 年龄 性别\nA1 54 男\nA2  16 女\n".encode(),
            [["编号", "年龄", "性别"], ["A1", "54", "男"], ["A2", "16", "女"]],
            id="blanks",
        ),
        pytest.param(
            "公司名称\nAcme Corp\nBeta Inc\n".encode(), [["公司名称"], ["Acme Corp"], ["Beta Inc"]], id="one-column"
        ),
        pytest.param(b'a,b\n"x ""y""\nz",2\n', [["a", "b"], ['x "y"\nz', "2"]], id="quotes-and-line-breaks"),
        pytest.param(b"a,b,,,\n1,2,,,\n3,,,,\n", [["a", "b"], ["1", "2"], ["3"]], id="trailing-blank-columns"),
        pytest.param(b"a,b\r1,\x002\r", [["a", "b"], ["1", "2"]], id="mac-line-ends-and-nul"),
        pytest.param(b"sep=;\na;b\n1;2\n", [["a", "b"], ["1", "2"]], id="separator-named"),
        pytest.param(b" 0001 ,=1+1\n", [[" 0001 ", "=1+1"]], id="text-as-it-is"),
    ],
)
def test_text_in_any_encoding_and_with_any_separator(tmp_path, content, expected):
    path = tmp_path / "客户.csv"
    path.write_bytes(content)
    assert [row.cells for row in open_rows(path)] == expected
    assert sheets(path) == [SheetInfo("客户", None, None, hidden=False)]
    assert merged_ranges(path) == []


def test_rows_of_text_are_counted_by_record(tmp_path):
    """A record over three lines is one row; a blank line is one that is not delivered."""
    path = tmp_path / "a.csv"
    path.write_bytes(b'a,b\n"1\n\n2",x\n\n3,y\n')
    assert [row.number for row in open_rows(path)] == [1, 2, 4]


# --- other formats


ODS = """<?xml version="1.0" encoding="UTF-8"?>
<office:document-content xmlns:office="o" xmlns:table="t" xmlns:text="x" xmlns:style="s" xmlns:calcext="c">
<office:automatic-styles>
<style:style style:name="ta2"><style:table-properties table:display="false"/></style:style>
</office:automatic-styles>
<office:body><office:spreadsheet><table:table table:name="客户" table:style-name="ta1">
<table:table-row table:number-rows-repeated="3">
<table:table-cell table:number-columns-repeated="16384"/>
</table:table-row>
<table:table-row><table:table-cell/>
<table:table-cell office:value-type="string" table:number-columns-spanned="2">
<office:annotation><text:p>批注</text:p></office:annotation>
<text:p>甲<text:s text:c="2"/>&amp;</text:p><text:p>乙</text:p></table:table-cell>
<table:covered-table-cell/>
<table:table-cell office:value-type="float" office:value="12" table:number-columns-repeated="2"/>
<table:table-cell office:value-type="date" office:date-value="2024-02-29"/>
<table:table-cell office:value-type="time" office:time-value="PT18H45M00S"/>
<table:table-cell office:value-type="percentage" office:value="0.13" table:formula="of:=[.B4]/2"/>
<table:table-cell office:value-type="string" calcext:value-type="error"><text:p>#N/A</text:p></table:table-cell>
<table:table-cell office:value-type="boolean" office:boolean-value="true"/>
</table:table-row>
<table:table-row table:number-rows-repeated="2">
<table:table-cell office:value-type="string"><text:p>0001</text:p></table:table-cell>
</table:table-row>
<table:table-row table:number-rows-repeated="1048570">
<table:table-cell table:number-columns-repeated="16384"/>
</table:table-row>
</table:table><table:table table:name="隐藏" table:style-name="ta2"/>
</office:spreadsheet></office:body></office:document-content>"""


def test_opendocument(tmp_path):
    """Repeated blanks cost nothing, repeated content is laid out, notes are no text."""
    path = tmp_path / "a.ods"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("content.xml", ODS)
    cells = [None, "甲  &\n乙", None, 12, 12, date(2024, 2, 29), time(18, 45)]
    cells += [Formula("=[.B4]/2", 0.13), CellError("#N/A"), True]
    assert list(open_rows(path)) == [Row(4, cells), Row(5, ["0001"]), Row(6, ["0001"])]
    assert merged_ranges(path) == [(4, 2, 4, 3)]
    assert [(info.name, info.hidden) for info in sheets(path)] == [("客户", False), ("隐藏", True)]


@needs_corpus
def test_xls_and_xlsb_show_formulas_errors_dates_and_merged_cells():
    """The library that reads them gives cached values only, and blanks for errors."""
    error = [Formula("=", CellError(code)) for code in ("#DIV/0!", "#NAME?", "#N/A", "#N/A")]
    assert list(open_rows(CORPUS / "tablib/errors.xls"))[1].cells == error
    assert next(open_rows(CORPUS / "readxl/dates-1904.xls")).cells == [date(2000, 1, 1)] * 5
    assert next(open_rows(CORPUS / "readxl/dates-1900.xls")).cells == [date(2000, 1, 1)] * 5
    assert merged_ranges(CORPUS / "tabulator/merged-cells.xls") == [(1, 1, 3, 2)]
    assert next(open_rows(CORPUS / "readxl/geometry.xls")) == Row(3, [None, "B3", "C3", "D3"])
    assert list(open_rows(CORPUS / "poi_xlsx/sample.xlsb"))[-1].cells[1] == Formula("=", 4995)


# --- bad input


def compound(*names):
    """A minimal compound file with empty streams of these names."""
    entries = b"".join(
        struct.pack(
            "<64sHBBIII36xIII",
            name.encode("utf-16-le"),
            2 * len(name) + 2,
            5 if place == 0 else 2,
            1,
            0xFFFFFFFF,
            place + 1 if 0 < place < len(names) else 0xFFFFFFFF,
            1 if place == 0 else 0xFFFFFFFF,
            0xFFFFFFFE,
            0,
            0,
        )
        for place, name in enumerate(["Root Entry", *names])
    )
    header = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(16)
    header += struct.pack("<HHHHH6xIIIIIIIIII", 62, 3, 0xFFFE, 9, 6, 0, 1, 1, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0, 0)[
        :52
    ]
    header += struct.pack("<I", 0) + b"\xff" * 432
    table = struct.pack("<II", 0xFFFFFFFD, 0xFFFFFFFE) + b"\xff" * 504
    return header + table + entries.ljust(512, b"\0")


def archive(path, **entries):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, data in entries.items():
            new.writestr(name.replace("__", "/").replace("_DOT_", "."), data)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("空.xlsx", b"", "没有数据"),
        ("空行.csv", b"\xef\xbb\xbf,,\r\n,,\r\n", "没有数据"),
        ("图.xlsx", b"\x89PNG\r\n\x1a\n" + bytes(100), "图片"),
        ("合同.xls", b"%PDF-1.7\n" + bytes(100), "PDF"),
        ("导出.xls", "<html><table><tr><td>客户</td></tr></table></html>".encode(), "网页"),
        ("导出2.xls", b'\xef\xbb\xbf<?xml version="1.0"?><Workbook/>', "XML"),
        ("旧.xls", b"\x09\x04\x06\x00\x00\x00\x10\x00" + bytes(100), "旧格式"),
        ("程序.csv", bytes(range(256)) * 20, "不是表格"),
        ("邮件.xls", compound("__properties_version1.0"), "不是表格"),
        ("报告.doc", compound("WordDocument", "1Table"), "Word"),
        ("密.xlsx", compound("EncryptionInfo", "EncryptedPackage"), "密码"),
        ("坏.xls", compound("Workbook")[:1000], "损坏"),
        ("坏编码.csv", ("客户\n" + "深圳\n" * 30).encode() + b"\xff\xff\n", "第 32 行"),
        ("引号.csv", b'a,b\n1,"' + b"x,y\n" * 200_000, "引号"),
    ],
)
def test_what_is_no_table_is_named(tmp_path, name, content, says):
    """The file is judged by what is in it, whatever it is called."""
    path = tmp_path / name
    path.write_bytes(content)
    assert says in refusal(path)


def test_archives_that_are_no_workbook(tmp_path):
    path = tmp_path / "a.xlsx"
    for entries, says in [
        ({"word__document_DOT_xml": "x"}, "Word"),
        ({"ppt__presentation_DOT_xml": "x"}, "演示文稿"),
        ({"Index__Document_DOT_iwa": "x"}, "Numbers"),
        ({"读我_DOT_txt": "x"}, "压缩包"),
        ({"mimetype": "application/vnd.oasis.opendocument.text", "content_DOT_xml": "x"}, "文档"),
    ]:
        archive(path, **entries)
        assert says in refusal(path)


def test_damaged_workbooks(tmp_path):
    """Cut off, without its parts, or with a directory that lies about sizes."""
    path = rich_workbook(tmp_path / "a.xlsx")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert "损坏" in refusal(path)
    archive(path, **{"xl__workbook_DOT_xml": "<workbook/>"})
    assert "没有数据" in refusal(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as lying:
        lying.writestr("xl/workbook.xml", "<workbook>" + " " * 1_000_000)
        lying.infolist()[0].file_size = 20
    assert "损坏" in refusal(path)


def test_one_cell_far_down_is_one_row(tmp_path):
    """A small file with a cell in row 200,000 costs what one cell costs."""
    path = with_rows(tmp_path, '<row r="200000"><c r="C200000"><v>1</v></c></row>')
    assert list(open_rows(path)) == [Row(200_000, [None, None, 1])]


def test_content_too_far_to_the_right_is_refused_but_not_empty_style(tmp_path):
    path = with_rows(tmp_path, '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>')
    assert "XFD" in refusal(path)
    path = with_rows(tmp_path, '<row r="1"><c r="A1"><v>1</v></c><c r="XFD1" s="1"/></row>')
    assert list(open_rows(path)) == [Row(1, [1])]


def test_a_bomb_is_not_unpacked(tmp_path):
    """64 MiB of nothing in 64 KiB, and ten thousand parts."""
    path = rich_workbook(tmp_path / "a.xlsx")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("xl/sharedStrings.xml.bak", bytes(64 << 20))
    assert "解压" in refusal(path)
    with zipfile.ZipFile(path, "w") as many:
        for number in range(10_001):
            many.writestr(str(number), b"")
    assert "解压" in refusal(path)


LAUGHS = (
    '<!DOCTYPE x [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "]>"
)


@pytest.mark.parametrize("part", ["sheet1", "sharedStrings", "workbook", "styles"])
def test_entities_are_refused_in_every_part(tmp_path, part):
    """A billion laughs: no document type gets as far as being expanded."""

    def laugh(xml):
        head, _end, rest = xml.partition("?>")
        return f"{head}?>\n{LAUGHS}{rest}"

    assert "DOCTYPE" in refusal(repack(rich_workbook(tmp_path / "a.xlsx"), **{part: laugh}))


def test_a_huge_text_is_refused(tmp_path):
    """No cell of a spreadsheet holds more than 32,767 characters."""
    cell = '<row r="1"><c r="A1" t="s"><v>0</v></c></row>'
    assert "32,767" in refusal(with_rows(tmp_path, cell, f"<si><t>{'长' * 32_768}</t></si>"))
    assert "32,767" in refusal(with_rows(tmp_path, cell, f"<si><t>{'x' * (20 << 20)}</t></si>"))
    assert next(open_rows(with_rows(tmp_path, cell, f"<si><t>{'长' * 32_767}</t></si>"))).cells == ["长" * 32_767]


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (Limits(max_bytes=1000), "上限"),
        (Limits(max_uncompressed=1000), "解压"),
        (Limits(max_rows=2), "超过 2 行"),
        (Limits(max_columns=5), "F 列"),
        (Limits(max_cells=12), "12 个单元格"),
        (Limits(max_cell_chars=5), "5 个字"),
    ],
)
def test_limits_are_limits(tmp_path, limits, says):
    assert says in refusal(rich_workbook(tmp_path / "a.xlsx"), limits=limits)


# --- the guarded process


def test_a_file_that_takes_too_long_is_given_up(tmp_path):
    """Cells that never end make the search for their ends take for ever."""
    path = with_rows(tmp_path, '<row r="1">' + '<c r="A1">' * 1_000_000 + "</row>")
    assert "用时过长" in refusal(path, limits=Limits(seconds=1))


def test_a_file_that_needs_too_much_memory_is_given_up(tmp_path):
    rng = random.Random(1)
    strings = "".join(f"<si><t>{rng.randbytes(20).hex()}</t></si>" for _ in range(300_000))
    path = with_rows(tmp_path, '<row r="1"><c r="A1" t="s"><v>299999</v></c></row>', strings)
    assert "内存" in refusal(path, limits=Limits(memory_bytes=28 << 20))
    assert len(next(open_rows(path)).cells[0]) == 40


@needs_corpus
def test_a_library_that_runs_out_of_memory_dies_alone():
    """calamine lays out the whole area: 65,536 rows by 256 columns with a cell at each end."""
    assert "内存" in refusal(CORPUS / "poi_xls/51535.xls")


def test_a_killed_child_is_an_error_not_the_end_of_the_rows(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n" * 100_000)
    rows = open_rows(path)
    next(rows)
    rows._child._process.kill()
    with pytest.raises(WorkbookError):
        list(rows)


def children():
    listed = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(os.getpid())], capture_output=True, text=True)
    return [line for line in listed.stdout.splitlines() if "excel" in line or "defunct" in line]


def test_stopping_early_leaves_no_process(tmp_path):
    """Closed, dropped half-way, or dropped unread: the child is gone and reaped."""
    path = tmp_path / "a.csv"
    path.write_text("a,b\n" * 100_000)
    with open_rows(path) as rows:
        next(rows)
    assert not children()
    rows = open_rows(path)
    next(rows)
    del rows
    open_rows(path)
    assert not children()


def _read_into(queue, path):
    queue.put([row.number for row in open_rows(path)])


def test_reading_works_in_threads_and_in_daemonic_workers(tmp_path):
    """Web servers run threads, job runners daemonic processes, which may not have children of their own kind."""
    path = rich_workbook(tmp_path / "a.xlsx")
    results = []
    threads = [threading.Thread(target=lambda: results.append(list(open_rows(path)))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [RICH_ROWS] * 3
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    worker = context.Process(target=_read_into, args=(queue, path), daemon=True)
    worker.start()
    assert queue.get(timeout=30) == [1, 2, 4]
    worker.join()


def test_the_child_knows_nothing_of_us():
    """It starts quickly because it imports no Django, and what is not in it cannot be stolen from it."""
    code = "import sys, crm.excel.reading.child; print('django' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"


# --- files of other people


def assert_rows_or_sentence(path):
    """Every sheet of a file: rows of plain cells, or a WorkbookError; a sheet that was listed can be asked for."""
    cells = (type(None), str, int, float, bool, date, time, CellError, Formula)
    try:
        with open_rows(path) as rows:
            for row in rows:
                assert row.cells
                assert row.cells[-1] is not None
                assert all(isinstance(cell, cells) for cell in row.cells)
        ranges = merged_ranges(path)
    except WorkbookError as error:
        assert str(error).endswith("。")
    else:
        assert all(top <= bottom and left <= right for top, left, bottom, right in ranges)


ALL = sorted(path for path in CORPUS.rglob("*") if path.is_file())


@needs_corpus
def test_a_sample_of_the_corpus():
    for path in ALL[::40]:
        assert_rows_or_sentence(path)


@needs_corpus
@pytest.mark.full
@pytest.mark.parametrize("folder", sorted({path.parent.name for path in ALL}))
def test_the_whole_corpus(folder):
    for path in ALL:
        if path.parent.name == folder:
            assert_rows_or_sentence(path)


def test_the_end_of_the_rows_is_found_however_the_file_comes_in_pieces():
    for size in range(1, 20):
        text = b"<row/></sheetData><mergeCells/>"
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        assert b"".join(xlsx._behind(b"</sheetData>", iter(pieces))) == b"<mergeCells/>"
