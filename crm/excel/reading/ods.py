"""OpenDocument spreadsheets, streamed; repeated rows and cells are laid out only where they hold something."""

import re
from datetime import datetime, timedelta
from html import unescape

from crm.excel.reading import markup
from crm.excel.reading.values import (
    DAMAGED,
    ENCRYPTED,
    CellError,
    Formula,
    Gauge,
    SheetInfo,
    WorkbookError,
    moment,
    number,
)

_DURATION = re.compile(r"P(?:(\d+)D)?T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:[.,](\d+))?S)?")
_TABLE_OR_STYLE = re.compile(rb"<(table:table|style:style|style:table-properties)\s([^<>]*)>")
_ATTRIBUTE = re.compile(r"""([\w:-]+)=["']([^"']*)["']""")
_SPACE = re.compile(r"[ \t\r\n]+")


class Ods:
    """A spreadsheet in an open, weighed ZipFile."""

    def __init__(self, archive, limits):
        self.limits = limits
        self._archive = archive
        names = archive.namelist()
        if "META-INF/manifest.xml" in names and b"encryption-data" in archive.read("META-INF/manifest.xml"):
            raise WorkbookError(ENCRYPTED)
        if "content.xml" not in names:
            raise WorkbookError(DAMAGED)

        self.hidden = self._tables()

    def sheets(self):
        return [SheetInfo(name, None, None, hidden) for name, hidden in self.hidden.items()]

    def _tables(self):
        """{name: hidden} of the tables. A glance at the text: a parser would take as long as reading all of them."""
        invisible, style, tables, tail = set(), None, {}, b""
        with self._archive.open("content.xml") as stream:
            for chunk in markup.chunks(stream):
                text, end, tail = (tail + chunk).rpartition(b">")
                for tag, inside in _TABLE_OR_STYLE.findall(text + end):
                    attributes = {key: unescape(value) for key, value in _ATTRIBUTE.findall(inside.decode())}
                    if tag == b"style:style":
                        style = attributes.get("style:name")
                    elif tag == b"table:table":
                        tables[attributes.get("table:name", "")] = attributes.get("table:style-name") in invisible
                    elif attributes.get("table:display") == "false":
                        invisible.add(style)
        return tables

    def rows(self, name):
        return self._read(_Table(name, Gauge(self.limits)))

    def merged(self, name):
        with self._archive.open("content.xml") as stream:
            if not any(b"-spanned=" in chunk for chunk in markup.chunks(stream)):
                return []
        table = _Table(name, Gauge(self.limits))
        for _row in self._read(table):
            pass
        return table.merged

    def _read(self, table):
        with self._archive.open("content.xml") as stream:
            yield from table.rows(stream)


class _Table:
    """Listens to the parser and makes rows of one table."""

    def __init__(self, name, gauge):
        self._name, self._gauge = name, gauge
        self._inside = self._paragraph = False
        self._nested = self._skip = 0
        self._row = self._column = 0
        self._repeat_row = 1
        self._cells, self._cell, self._text = [], None, None
        self._found, self._done = [], False
        self.merged = []

    def rows(self, stream):
        xml = markup.parser()
        xml.StartElementHandler, xml.EndElementHandler = self._start, self._end
        xml.CharacterDataHandler = self._data
        for repeat, row in markup.feed(xml, stream, self._found):
            yield row
            for further in range(1, repeat):
                yield self._gauge.row(row.number + further, row.cells.copy())

    def _start(self, name, attributes):
        if name == "table:table":
            if self._inside:
                self._nested += 1
            elif attributes.get("table:name", "") == self._name and not self._done:
                self._inside = True
        elif not self._inside or self._nested:
            return
        elif name == "table:table-row":
            self._cells, self._column = [], 0
            self._repeat_row = _count(attributes, "table:number-rows-repeated")
        elif name in ("table:table-cell", "table:covered-table-cell"):
            self._cell, self._text = attributes, []
            if "table:number-columns-spanned" in attributes or "table:number-rows-spanned" in attributes:
                self._note_merge(attributes)
        elif name == "office:annotation":
            self._skip += 1
        elif self._text is not None and not self._skip:
            if name == "text:p":
                self._paragraph = True
                if self._text:
                    self._text.append("\n")
            elif name == "text:s":
                self._text.append("\0" * _count(attributes, "text:c"))
            elif name == "text:tab":
                self._text.append("\t\0")
            elif name == "text:line-break":
                self._text.append("\n")

    def _data(self, text):
        if self._paragraph and not self._skip:
            self._text.append(_SPACE.sub(" ", text))

    def _end(self, name):
        if name == "table:table":
            if self._nested:
                self._nested -= 1
            elif self._inside:
                self._inside, self._done = False, True
        elif not self._inside or self._nested:
            return
        elif name in ("table:table-cell", "table:covered-table-cell"):
            value = self._value()
            repeat = _count(self._cell, "table:number-columns-repeated")
            if value is not None:
                self._gauge.column(self._row + 1, self._column + repeat - 1)
                if type(value) is str:
                    self._gauge.text(self._row + 1, self._column, value)
                self._cells += [None] * (self._column - len(self._cells)) + [value] * repeat
            self._column += repeat
            self._cell = self._text = None
            self._paragraph = False
        elif name == "text:p" and not self._skip:
            self._paragraph = False
        elif name == "office:annotation":
            self._skip -= 1
        elif name == "table:table-row":
            if row := self._gauge.row(self._row + 1, self._cells):
                self._found.append((self._repeat_row, row))
            self._row += self._repeat_row

    def _note_merge(self, attributes):
        rows, columns = (_count(attributes, f"table:number-{side}-spanned") for side in ("rows", "columns"))
        if rows > 1 or columns > 1:
            row, column = self._row + 1, self._column + 1
            self.merged.append((row, column, row + rows - 1, column + columns - 1))

    def _value(self):
        cell = self._cell
        kind = cell.get("office:value-type")
        text = "".join(self._text)
        if "\0" in text:
            text = text.replace("\t\0", "\t").replace("\0", " ")
        if cell.get("calcext:value-type") == "error":
            value = CellError(text)
        elif kind in ("float", "currency", "percentage"):
            value = number(cell.get("office:value", text))
        elif kind == "boolean":
            value = cell.get("office:boolean-value") == "true"
        elif kind == "date":
            value = moment(cell.get("office:date-value", text))
        elif kind == "time":
            value = _duration(cell.get("office:time-value", text))
        else:
            value = text or cell.get("office:string-value") or None
        formula = cell.get("table:formula")
        return Formula("=" + formula.partition("=")[2], value) if formula else value


def _count(attributes, name):
    if name not in attributes:
        return 1
    try:
        return max(int(attributes[name]), 1)
    except ValueError:
        raise WorkbookError(DAMAGED) from None


def _duration(raw):
    """A time of day; from 24 hours on a number of days, as Excel has it."""
    match = _DURATION.fullmatch(raw)
    if not match:
        return raw
    days, hours, minutes, seconds, fraction = match.groups()
    span = timedelta(int(days or 0), int(seconds or 0), 0, 0, int(minutes or 0), int(hours or 0))
    span += timedelta(seconds=float(f"0.{fraction or 0}"))
    return (datetime.min + span).time() if span < timedelta(days=1) else span / timedelta(days=1)
