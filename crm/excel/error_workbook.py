"""The faulty rows of an import, in the layout they came in, with what is wrong beside them."""

from datetime import date, datetime, time, timedelta
from itertools import chain, count, islice
from math import isfinite

from .columns import TEXT_FORMAT, display_width, row_height
from .sheets import HEADER_FILL, SHEET_ROWS
from .writer import FIRST_DATE, fit, sheet_name, staged, streaming_workbook

SHEET = "错误行"
DRESSED_ROWS = 1000  # with comments and a height of their own; more would slow Excel down and wait in memory

_BAD_FILL, _RED = "#FFC7CE", "#C00000"
_REASON_WIDTH = 48
_NARROWEST, _WIDEST = 10, 36
_GENERAL_LIMIT = 10**11  # from here on the general format shows 1.38E+11 instead of a phone number


def write_errors(path, *, leading_rows, titles, rows, beside=(), reason_title="错误原因"):
    """Write the faulty `rows` of a file to `path`, to be corrected there and imported again; return how many.

    leading_rows: the rows above the header; titles: the header row; each a sequence of cells as they were read.
    rows: (row_number, cells, reasons, bad_columns) each: the number of the row in the original file, its cells, what is
    wrong with it (list of str) and the indexes, from 0, of the cells to blame. May be a generator: memory stays flat.

    What stood above, the header, the order of columns and the values with their types stay. Formulas (anything with
    `.text`) and error values (anything with `.code`) appear as text that nothing evaluates. Behind the last title comes
    the column `reason_title`; cells further right than the titles move one to the right of it. Cells to blame are light
    red; in the first 1,000 rows they carry the reasons as a comment. What exceeds a sheet continues on the next one,
    under the same header.

    `beside`: further sheets of the file, (sheet, leading_rows, titles, rows) each; the count is that of all sheets.

    `path` appears only when it is complete.
    """
    with staged(path) as draft, streaming_workbook(draft) as book:
        looks, written = _Looks(book), 0
        for sheet, *content in ((SHEET, leading_rows, titles, rows), *beside):
            written += _write_sheets(book, looks, sheet, *content, reason_title)
        return written


def _write_sheets(book, looks, name, leading_rows, titles, rows, reason_title):
    rows = iter(rows)
    header = len(leading_rows)
    written = 0
    for index in count():
        sample = list(islice(rows, DRESSED_ROWS))
        if index and not sample:
            return written
        sheet = book.add_worksheet(sheet_name(name, index))
        sheet.freeze_panes(header + 1, 0)
        sheet.set_landscape()
        sheet.fit_to_pages(1, 0)
        _set_widths(sheet, titles, sample)
        _write_top(sheet, looks, leading_rows, titles, reason_title)
        last = header
        for last, row in enumerate(chain(sample, islice(rows, SHEET_ROWS - header - len(sample))), header + 1):
            _write_row(sheet, looks, last, row, len(titles), dressed=written < DRESSED_ROWS)
            written += 1
        sheet.autofilter(header, 0, last, len(titles))


class _Looks(dict):
    """Cell formats of a book by number format and look, made when first asked for."""

    PROPERTIES = {
        "plain": {"valign": "top"},
        "bad": {"valign": "top", "bg_color": _BAD_FILL},
        "header": {"bold": True, "bg_color": HEADER_FILL},
        "reason": {"valign": "top", "font_color": _RED, "text_wrap": True},
        "reason header": {"bold": True, "bg_color": _BAD_FILL, "font_color": _RED},
    }

    def __init__(self, book):
        super().__init__()
        self.book = book

    def __missing__(self, key):
        number_format, look = key
        self[key] = self.book.add_format({"num_format": number_format, **self.PROPERTIES[look]})
        return self[key]


def _set_widths(sheet, titles, sample):
    for index, title in enumerate(titles):
        column = (cells[index] for _, cells, _, _ in sample if index < len(cells))
        texts = ["" if cell is None else str(_displayed(cell)[0])[:_WIDEST] for cell in column]
        usual = max(map(display_width, texts), default=0)
        header = display_width(str(title or "")) + 4  # room for the filter button
        sheet.set_column(index, index, min(_WIDEST, max(_NARROWEST, usual + 1, header)))
    sheet.set_column(len(titles), len(titles), _REASON_WIDTH)


def _write_top(sheet, looks, leading_rows, titles, reason_title):
    for row, cells in enumerate(leading_rows):
        for index, cell in enumerate(cells):
            _put(sheet, looks, row, index, cell, "plain")
    row = len(leading_rows)
    for index, title in enumerate(titles):
        _put(sheet, looks, row, index, title, "header")
    _put(sheet, looks, row, len(titles), reason_title, "reason header")


def _write_row(sheet, looks, at, row, reason_at, *, dressed):
    number, cells, reasons, bad_columns = row
    reason = f"原第 {number} 行：" + "\n".join(reasons)
    if dressed:
        sheet.set_row(at, row_height([reason], [_REASON_WIDTH]))
    missing = max(bad_columns, default=-1) + 1 - len(cells)
    for index, cell in enumerate([*cells, *[None] * missing]):
        column = index if index < reason_at else index + 1
        bad = index in bad_columns
        _put(sheet, looks, at, column, cell, "bad" if bad else "plain")
        if bad and dressed:
            sheet.write_comment(at, column, "\n".join(reasons), {"x_scale": 1.6})
    _put(sheet, looks, at, reason_at, reason, "reason")


def _put(sheet, looks, row, column, cell, look):
    if cell is None and look == "plain":
        return
    value, number_format = _displayed(cell)
    cell_format = looks[number_format, look]
    if value is None:
        sheet.write_blank(row, column, None, cell_format)
    elif isinstance(value, str):
        sheet.write_string(row, column, value, cell_format)
    elif isinstance(value, bool):
        sheet.write_boolean(row, column, value, cell_format)
    elif isinstance(value, (date, time, timedelta)):
        sheet.write_datetime(row, column, value, cell_format)
    else:
        sheet.write_number(row, column, value, cell_format)


def _displayed(cell):
    """What a workbook shows for a cell as it was read: its value, and the number format to show it in."""
    value = getattr(cell, "text", getattr(cell, "code", cell))
    if isinstance(value, str):
        return fit(value), TEXT_FORMAT
    if value is None or isinstance(value, bool):
        return value, "General"
    if isinstance(value, date):
        day, clock = (value.date(), value.time()) if isinstance(value, datetime) else (value, time())
        if day < FIRST_DATE:
            return str(value), TEXT_FORMAT
        return value, "yyyy-mm-dd hh:mm:ss" if clock != time() else "yyyy-mm-dd"
    if isinstance(value, time):
        return value, "hh:mm:ss"
    if isinstance(value, timedelta):
        return value, "[h]:mm:ss"
    if not isfinite(value):
        return str(value), TEXT_FORMAT
    return value, "0" if abs(value) >= _GENERAL_LIMIT and value == int(value) else "General"
