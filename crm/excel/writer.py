"""Exports: rows to xlsx or csv, in constant memory, each value typed and exact."""

import csv
import os
import re
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import xlsxwriter

from . import sheets
from .columns import BOOLEAN

DATA_SHEET = "数据"
CELL_UNITS = 32_767  # UTF-16 units
CUT_MARK = "…（内容过长，已截断）"
FIRST_DATE = date(1900, 3, 1)  # for earlier ones programs disagree about the serial number
FIRST_MOMENT = datetime(FIRST_DATE.year, FIRST_DATE.month, FIRST_DATE.day)
EXACT_DIGITS = 15  # further digits of a number Excel rounds away
EXACT_LIMIT = 10**EXACT_DIGITS


def write_xlsx(path, columns, rows, *, sheet=DATA_SHEET, beside=(), on_progress=None, every=5000):
    """Write `rows` (sequences as long as `columns`) under a header row to `path`; return how many there were.

    Text stays text, numbers, dates and times are typed; True and False read 是 and 否, a list of choices is joined by
    commas. Datetimes must be naive local time and lose their microseconds. What Excel cannot hold exactly becomes
    text: numbers of more than 15 digits, dates before 1900-03-01. Text over 32,767 UTF-16 units is cut and ends with
    CUT_MARK, which an import must refuse.

    A sheet holds 1,048,575 rows; further ones go to 「数据 (2)」 and so on.

    `beside` are further tables, (sheet, columns, rows) each, on sheets of their own behind these rows.

    `on_progress` is called with the number of rows done, of each table, after each `every` rows and at the end.
    `path` appears only when it is complete.

    Raises ValueError for repeated headers, rows of another length and aware datetimes.
    """
    tables, counted = [], []
    for title, own, given in ((sheet, columns, rows), *beside):
        names = [column.name for column in own]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"表头重复：{'、'.join(sorted(repeated))}")
        counted.append(_Counted(given, on_progress, every))
        converters = [_XLSX_CELLS.get(column.kind, _text_cell) for column in own]
        tables.append((own, converters, counted[-1], partial(sheet_name, title)))
    with staged(path) as draft:
        sheets.write(draft, tables)
    return counted[0].total


def write_csv(path, columns, rows, *, on_progress=None, every=5000):
    """Write `rows` as UTF-8 with a byte order mark and CRLF line ends; return how many there were.

    Everything is quoted, so that a semicolon or tab inside a text starts no new cell, and text is neutralised.
    Numbers are plain (no separators, no exponent), dates 2024-03-15, times 2024-03-15 09:30:00. Nothing is cut.
    Progress, completeness and errors as in `write_xlsx`.
    """
    counted = _Counted(rows, on_progress, every)
    with staged(path) as draft, draft.open("w", encoding="utf-8-sig", newline="") as file:
        out = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
        out.writerow([neutralize(column.name, "csv") for column in columns])
        out.writerows(_plain(columns, counted))
    return counted.total


# --- formulas ---------------------------------------------------------------------------------------------------------

_DANGER = re.compile(
    r"[\t\r\n]|"
    r"[\s\x00-\x20\u00ad\u180e\u200b-\u200f\u2060\ufeff]*"  # blanks, seen and unseen
    r"[=+\-@＝＋－＠﹦﹢﹣﹫−]"
)
_SIGNED_DIGITS = re.compile(r"[+-][0-9]+(?: [0-9]+)*(?:\.[0-9]+)?")


def _is_live(text):
    text = text.lstrip("'")
    return _DANGER.match(text) is not None and not _SIGNED_DIGITS.fullmatch(text)


def neutralize(text, fmt):
    """`text` as it must be stored in a file of format `fmt` ("xlsx" or "csv") so that no program evaluates it.

    xlsx: unchanged. A string cell is not a formula, whatever it begins with, and the text format of our text columns
    keeps it a string when it is edited. A prefix would change data for nothing.

    csv: has no types, so text beginning with = + - @ (or a full-width or small form of them, also after blanks), a tab
    or a line break gets an apostrophe before it. Text that looks as if it had one already gets another, which makes
    `restore` exact. An apostrophe and not a tab, since programs that trim blanks would bring the formula back to life.
    A sign followed by nothing but digits and single blanks (-5, +86 138 0013 8000) is left alone: there is nothing in
    it to evaluate, and phone numbers stay usable to whatever reads the file. Hyphens do calculate: +86-138 is escaped.
    """
    return "'" + text if fmt == "csv" and _is_live(text) else text


def restore(text):
    """The text that `neutralize(text, "csv")` was given. Not for xlsx, where nothing was added."""
    return text[1:] if text.startswith("'") and _is_live(text[1:]) else text


# --- values -----------------------------------------------------------------------------------------------------------


class _Counted:
    """Rows on their way through, counted and reported."""

    def __init__(self, rows, report, every):
        self.rows, self.report, self.every = rows, report, every
        self.total = 0

    def __iter__(self):
        for row in self.rows:
            yield row
            self.total += 1
            if self.report and self.total % self.every == 0:
                self.report(self.total)
        if self.report and self.total % self.every:
            self.report(self.total)


def _plain(columns, rows):
    """Rows as csv takes them: None, str, int or float."""
    converters = [_CSV_CELLS.get(column.kind, _csv_cell) for column in columns]
    for row in rows:
        yield [
            value if value is None or (type(value) is str and value[:1].isalnum()) else convert(value)
            for convert, value in zip(converters, row, strict=True)
        ]


def _as_text(value):
    if isinstance(value, bool):
        return BOOLEAN[not value]
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value))
    return str(value)


def _as_date(value):
    return value.date() if isinstance(value, datetime) else value


def _as_datetime(value):
    if not isinstance(value, datetime):
        return value
    if value.tzinfo:
        raise ValueError(f"时间须先换成当地时间：{value.isoformat()}")
    return value.replace(microsecond=0) if value.microsecond else value


def fit(text):
    """`text` as a cell of a workbook holds it: cut when too long, and then ended by CUT_MARK."""
    if len(text) <= sheets.SHORT:
        return text
    units = text.encode("utf-16-le")
    if len(units) <= 2 * CELL_UNITS:
        return text
    return units[: 2 * (CELL_UNITS - len(CUT_MARK))].decode("utf-16-le", "ignore") + CUT_MARK


def _text_cell(value):
    return fit(value if type(value) is str else _as_text(value))


def _number_cell(value):
    if type(value) is Decimal:
        number = float(value)
        if abs(number) < EXACT_LIMIT and (len(str(value)) <= EXACT_DIGITS or _digits(value) <= EXACT_DIGITS):
            return number
        return format(value, "f")
    if type(value) in (int, float):
        return value if abs(value) < EXACT_LIMIT else str(value)
    return _text_cell(value)


def _digits(number):
    return len(number.normalize().as_tuple().digits)


def _date_cell(value):
    value = _as_date(value)
    return value if isinstance(value, date) and value >= FIRST_DATE else _text_cell(value)


def _datetime_cell(value):
    if type(value) is datetime and not value.tzinfo and not value.microsecond and value >= FIRST_MOMENT:
        return value
    value = _as_datetime(value)
    return value if isinstance(value, date) and _as_date(value) >= FIRST_DATE else _text_cell(value)


_XLSX_CELLS = {
    "integer": _number_cell,
    "decimal": _number_cell,
    "percent": _number_cell,
    "date": _date_cell,
    "datetime": _datetime_cell,
}


def _csv_cell(value):
    if isinstance(value, Decimal):
        return format(value, "f")
    return value if type(value) in (int, float) else neutralize(_as_text(value), "csv")


_CSV_CELLS = {
    "date": lambda value: _csv_cell(_as_date(value)),
    "datetime": lambda value: _csv_cell(_as_datetime(value)),
}


# --- files ------------------------------------------------------------------------------------------------------------


@contextmanager
def staged(path):
    """A draft in a scratch folder beside `path`, moved to `path` when the block succeeds; else nothing is left."""
    path = Path(path)
    with TemporaryDirectory(prefix=".draft-", dir=path.parent) as folder:
        draft = Path(folder) / path.name
        yield draft
        os.replace(draft, path)


def streaming_workbook(draft):
    """An xlsxwriter workbook in constant-memory mode whose temporary files share the scratch folder of `draft`."""
    return xlsxwriter.Workbook(draft, {"constant_memory": True, "tmpdir": draft.parent})


def sheet_name(sheet, index):
    suffix = f" ({index + 1})" if index else ""
    return re.sub(r"[\[\]:*?/\\']", "_", sheet)[: 31 - len(suffix)] + suffix
