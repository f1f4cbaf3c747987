"""xls and xlsb through calamine.

calamine gives cached values only: formulas and error values (which it turns into blanks) are found by walking the
records of the sheet beside it.
"""

import struct
from array import array
from bisect import bisect_left
from datetime import timedelta

from python_calamine import SheetTypeEnum, SheetVisibleEnum, load_workbook

from crm.excel.reading.ole import Compound
from crm.excel.reading.package import Package
from crm.excel.reading.values import ENCRYPTED, CellError, Formula, Gauge, SheetInfo, WorkbookError

_ERRORS = {0: "#NULL!", 7: "#DIV/0!", 15: "#VALUE!", 23: "#REF!", 29: "#NAME?", 36: "#NUM!", 42: "#N/A"}
# A mark is one number, so that a million of them cost little: row, 16 bits of column, what it is, 8 bits of error code.
_FORMULA, _ERROR = 1 << 9, 1 << 8

_ENCRYPTION, _SHEET, _END, _START = 0x2F, 0x85, 0x0A, 0x09
_FORMULA_RECORDS, _ERROR_RECORD = {0x06, 0x0206, 0x0406}, 0x0205
_BINARY_SHEET, _BINARY_ROW, _BINARY_ERROR, _BINARY_FORMULA_ERROR = 156, 0, 3, 11
_BINARY_FORMULAS = range(8, 12)


class Binary:
    """A workbook that calamine opens; ``marks(index)`` yields the marks of the sheet at a place of the workbook."""

    def __init__(self, path, limits, marks):
        self.limits = limits
        self._marks = marks
        self._book = load_workbook(path)

        self.hidden = {
            sheet.name: sheet.visible != SheetVisibleEnum.Visible
            for sheet in self._book.sheets_metadata
            if sheet.typ == SheetTypeEnum.WorkSheet
        }

    def sheets(self):
        return [SheetInfo(name, None, None, hidden) for name, hidden in self.hidden.items()]

    def rows(self, name):
        marks = array("Q", sorted(self._marks(self._book.sheet_names.index(name))))
        sheet, gauge = self._book.get_sheet_by_name(name), Gauge(self.limits)
        left, position = sheet.start[1] if sheet.start else 0, 0
        for number, values in enumerate(sheet.iter_rows(), 1):
            cells = [None] * left + [_plain(value) for value in values]
            end = bisect_left(marks, number << 32, position)
            for mark in marks[position:end]:
                _apply(mark, cells)
            position = end
            if row := gauge.row(number, cells):
                gauge.column(number, len(cells) - 1)
                for index, cell in enumerate(cells):
                    if type(cell) is str:
                        gauge.text(number, index, cell)
                yield row

    def merged(self, name):
        ranges = self._book.get_sheet_by_name(name).merged_cell_ranges or []
        return [(top + 1, left + 1, bottom + 1, right + 1) for (top, left), (bottom, right) in ranges]


def open_xls(path, limits):
    """An xls workbook; WorkbookError for other things in the same container (encrypted xlsx, Word, mail …)."""
    with open(path, "rb") as file:
        data = file.read()
    compound = Compound(data)
    if "encryptedpackage" in compound.streams or "encryptioninfo" in compound.streams:
        raise WorkbookError(ENCRYPTED)
    if "worddocument" in compound.streams:
        raise WorkbookError("这是 Word 文档，不是表格。请把数据放进 Excel 后再上传。")
    if "powerpoint document" in compound.streams:
        raise WorkbookError("这是演示文稿，不是表格。请把数据放进 Excel 后再上传。")
    stream = compound.stream("workbook") or compound.stream("book")
    if not stream:
        raise WorkbookError("这不是表格文件。请上传 Excel（xlsx、xls）或 CSV 文件。")
    del data, compound
    starts = []
    for kind, offset, size in _records(stream, 0):
        if kind == _ENCRYPTION:
            raise WorkbookError(ENCRYPTED)
        if kind == _SHEET and size >= 4:
            starts.append(struct.unpack_from("<I", stream, offset)[0])
        elif kind == _END:
            break
    return Binary(path, limits, lambda index: _xls_marks(stream, starts[index]) if index < len(starts) else ())


def open_xlsb(path, archive, limits):
    """An xlsb workbook in an archive that was weighed."""
    package = Package(archive)
    main = package.main("xl/workbook.bin")
    relations, parts = package.relations(main), []
    with package.open(main) as stream:
        for kind, data in _binary_records(stream.read()):
            if kind == _BINARY_SHEET:
                length = struct.unpack_from("<I", data, 8)[0]
                parts.append(relations.get(data[12 : 12 + 2 * length].decode("utf-16-le"), (None, None))[1])
    return Binary(path, limits, lambda index: _xlsb_marks(package, parts[index]) if index < len(parts) else ())


def _records(stream, offset):
    """(kind, place of its data, size) of the records of an xls stream."""
    while offset + 4 <= len(stream):
        kind, size = struct.unpack_from("<HH", stream, offset)
        yield kind, offset + 4, size
        offset += 4 + size


def _xls_marks(stream, start):
    depth = 0
    for kind, offset, size in _records(stream, start):
        if kind & 0xFF == _START:
            depth += 1
        elif kind == _END:
            depth -= 1
            if depth <= 0:
                return
        elif depth == 1 and kind in _FORMULA_RECORDS and size >= 14:
            row, column, _style, what, code, tag = struct.unpack_from("<HHHBxBxxxH", stream, offset)
            error = _ERROR | code if what == 2 and tag == 0xFFFF else 0
            yield row << 32 | column << 16 | _FORMULA | error
        elif depth == 1 and kind == _ERROR_RECORD and size >= 8 and stream[offset + 7]:
            row, column = struct.unpack_from("<HH", stream, offset)
            yield row << 32 | column << 16 | _ERROR | stream[offset + 6]


def _binary_records(data):
    """(kind, data) of the records of an xlsb part; numbers are written seven bits a byte."""
    place = 0
    while place < len(data):
        kind, place = _packed(data, place, 2)
        size, place = _packed(data, place, 4)
        yield kind, data[place : place + size]
        place += size


def _packed(data, place, most):
    value = 0
    for shift in range(0, 7 * most, 7):
        byte = data[place] if place < len(data) else 0
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
    return value, place


def _xlsb_marks(package, part):
    if part not in package:
        return
    with package.open(part) as stream:
        content = stream.read()
    row = 0
    for kind, data in _binary_records(content):
        if kind == _BINARY_ROW:
            row = struct.unpack_from("<I", data)[0]
        elif kind in _BINARY_FORMULAS or kind == _BINARY_ERROR:
            column = struct.unpack_from("<I", data)[0]
            error = _ERROR | data[8] if kind in (_BINARY_ERROR, _BINARY_FORMULA_ERROR) else 0
            yield row << 32 | column << 16 | (_FORMULA if kind in _BINARY_FORMULAS else 0) | error


def _plain(value):
    """calamine's value as a cell: '' is a blank, whole floats are int, a span of time is a number of days."""
    if type(value) is str:
        return (value.replace("\0", "") if "\0" in value else value) or None
    if type(value) is float:
        return int(value) if value.is_integer() and abs(value) < 1e22 else value
    if type(value) is timedelta:
        return value / timedelta(days=1)
    return value


def _apply(mark, cells):
    index = mark >> 16 & 0xFFFF
    cells += [None] * (index + 1 - len(cells))
    if mark & _ERROR:
        cells[index] = CellError(_ERRORS.get(mark & 0xFF, "#N/A"))
    if mark & _FORMULA:
        cells[index] = Formula("=", cells[index])
