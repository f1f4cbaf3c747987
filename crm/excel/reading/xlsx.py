"""xlsx and xlsm, streamed.

Sheets are cut into rows and cells by regular expressions that know the shape every common program writes. That is not
much slower than a compiled reader that loads the sheet as a whole, but memory stays flat, formulas and error values are
seen, and the first rows are there at once, however long the sheet is. XML of any other shape is rewritten into that
shape by a real parser first (`_Canonical`).
"""

import codecs
import re
import zlib
from array import array
from datetime import datetime, time, timedelta
from functools import lru_cache, partial
from itertools import accumulate, islice
from zipfile import BadZipFile

from crm.excel.reading import markup
from crm.excel.reading.package import Package
from crm.excel.reading.values import (
    DAMAGED,
    CellError,
    Formula,
    Gauge,
    SheetInfo,
    WorkbookError,
    column_letter,
    moment,
    number,
)

# --- the shape of XML that needs no parser

# column, attributes, then the value alone or whatever else is inside
_CELL = re.compile(
    r'<c r="([A-Z]++)\d++"([^<>/]*+)'
    r'(?:><(?:v|is><t(?: xml:space="preserve")?+)>([^<]*+)</(?:v|t></is)></c>|/>|>(.*?)</c>)',
    re.DOTALL,
)
_ROW_NUMBER = re.compile(r'\sr="(\d{1,7})"')
_ATTRIBUTE = re.compile(r'(\w+)="([^"]*)"')
_FORMULA = re.compile(r"<f(?:\s([^<>]*?))?(?:/>|>([^<]*)</f>)")
_VALUE = re.compile(r"<v(?:\s[^<>]*)?>([^<]*)</v>")
_TEXT = re.compile(r"<t(?:\s[^<>]*)?>([^<]*)</t>")
_PHONETIC = re.compile(r"<rPh[\s>].*?</rPh>", re.DOTALL)
_MERGE = re.compile(r'<mergeCell\s[^<>]*?ref="([A-Z]+)(\d+)(?::([A-Z]+)(\d+))?"')
_DIMENSION = re.compile(rb'<(?:\w+:)?dimension\s[^<>]*?ref="(?:[A-Z]+\d+:)?([A-Z]+)(\d+)"')
_LONGEST_ROW = 1 << 24
_MOST_MERGES = 200_000

_PLAIN_STRING = re.compile(rb'<si><t(?: xml:space="preserve")?>([^<]*)</t></si>')
_STRING = re.compile(rb"<si(?:\s[^<>]*)?(?:/>|>(.*?)</si>)", re.DOTALL)
_STRING_TEXT = re.compile(rb"<t(?:\s[^<>]*)?>([^<]*)</t>")
_STRING_PHONETIC = re.compile(rb"<rPh[\s>].*?</rPh>", re.DOTALL)

# --- text

_ESCAPE = re.compile(r"&(#x[0-9a-fA-F]{1,6}|#\d{1,7}|\w{2,4});|_x([0-9a-fA-F]{4})_")
_ENTITIES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_SURROGATE = re.compile("[\ud800-\udfff]")

# --- kinds of cell

NUMBER, SHARED, DATE, TEXT, BOOLEAN, ERROR, ISO_DATE = range(7)
_TYPES = {"s": SHARED, "str": TEXT, "inlineStr": TEXT, "b": BOOLEAN, "e": ERROR, "d": ISO_DATE}

# Built-in formats that show a date or a time of day, those of the East Asian and Thai editions included.
_DATE_FORMATS = {*range(14, 23), *range(27, 37), 45, 47, *range(50, 59), *range(71, 82)} - {46}
_NO_DATE = re.compile(r'"[^"]*"?|\\.|[_*].|\[[^\]]*\]|general|standard', re.IGNORECASE | re.DOTALL)
_ELAPSED = re.compile(r"\[(h+|m+|s+)\]", re.IGNORECASE)


class _Irregular(Exception):
    """The XML is not of the common shape."""


class Xlsx:
    """A workbook in an open, weighed ZipFile."""

    def __init__(self, archive, limits):
        self.limits = limits
        self._package = package = Package(archive)
        main = package.main("xl/workbook.xml")
        relations = package.relations(main)
        self._parts, self.hidden = {}, {}
        epoch_1904 = False
        for tag, attributes in package.tags(main):
            if tag == "workbookPr":
                epoch_1904 |= attributes.get("date1904") in ("1", "true")
            elif tag == "sheet":
                kind, part = relations.get(attributes.get("id"), (None, None))
                if kind == "worksheet" and part in package:
                    self._parts[attributes["name"]] = part
                    self.hidden[attributes["name"]] = attributes.get("state", "visible") != "visible"
        self._epoch = datetime(1904, 1, 1) if epoch_1904 else None
        by_kind = dict(relations.values())
        self._date_styles = _date_styles(package.tags(by_kind.get("styles")))
        # Dates repeat far more than they differ.
        self._serial_date = lru_cache(1 << 12)(partial(self._value, DATE))
        self._strings = _Strings(lambda: package.open(by_kind.get("sharedStrings")), limits)

    def sheets(self):
        return [SheetInfo(name, *self._size(name), hidden) for name, hidden in self.hidden.items()]

    def _size(self, name):
        """(rows, columns) as the head of the sheet declares them."""
        try:
            with self._package.open(self._parts[name]) as stream:
                match = _DIMENSION.search(stream.read(1 << 16))
        except (BadZipFile, zlib.error):
            # It will be said when somebody asks for this sheet; the others may be whole.
            match = None
        return (int(match[2]), _column(match[1].decode()) + 1) if match else (None, None)

    def rows(self, name):
        done = 0
        try:
            for row in self._rows(self._xml(name)):
                yield row
                done += 1
        except _Irregular:
            yield from islice(self._rows(self._canonical_xml(name)), done, None)

    def merged(self, name):
        """(first row, first column, last row, last column) of each merged range, counted from 1."""
        try:
            return list(self._merged(self._xml(name, after=b"</sheetData>")))
        except _Irregular:
            return list(self._merged(self._canonical_xml(name)))

    def _xml(self, name, after=b""):
        """The sheet as text, chunk by chunk; _Irregular as soon as it is more than the fast path understands.

        With ``after``, only what comes behind these bytes.
        """
        decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        with self._package.open(self._parts[name]) as stream:
            chunks = _regular(stream, b"<worksheet")
            for chunk in _behind(after, chunks) if after else chunks:
                try:
                    yield decode(chunk)
                except UnicodeDecodeError:
                    raise _Irregular from None

    def _canonical_xml(self, name):
        with self._package.open(self._parts[name]) as stream:
            yield from _Canonical().rewrite(stream)

    # --- rows

    def _rows(self, xml):
        gauge, kinds, columns, shared_formulas = Gauge(self.limits), {}, {}, {}
        strings, first_strings, column_limit = self._strings, self._strings.first, self.limits.max_columns
        longest, row_number, tail, shape, worked = self.limits.max_cell_chars, 0, "", None, None
        for chunk in xml:
            *parts, tail = (tail + chunk).split("</row>")
            for part in parts:
                # What stands before the last row tag are empty rows, or the head of the sheet.
                start = part.rfind("<row ")
                found = _CELL.findall(part, start)
                if start < 0 or len(found) != part.count("<c", start):
                    raise _Irregular
                end = part.find(">", start)
                match = _ROW_NUMBER.search(part, start, end)
                if not match or part[end - 1] == "/":
                    raise _Irregular
                row_number = int(match[1])
                # Most rows have the same columns of the same kinds, filled, with no cell that needs a closer look.
                letters, attributes, raws, _ = zip(*found, strict=True) if found else ((),) * 4
                if (letters, attributes) != shape:
                    shape = letters, attributes
                    worked = self._worked(letters, attributes, kinds)
                if worked is not None and all(raws) and _is_plain(part, longest):
                    cells, found = list(raws), ()
                    for index, kind in worked:
                        raw = cells[index]
                        if kind is SHARED:
                            place = int(raw)
                            cells[index] = first_strings[place] if place < len(first_strings) else strings[place]
                        elif kind is NUMBER and raw.isdecimal() and len(raw) < 16:
                            cells[index] = int(raw)
                        else:
                            cells[index] = self._serial_date(raw) if kind is DATE else self._value(kind, raw)
                else:
                    cells = []
                for letters, attributes, raw, inner in found:
                    if not (raw or inner):
                        continue
                    index = columns.get(letters)
                    if index is None:
                        index = columns[letters] = _column(letters)
                    if index >= column_limit:
                        gauge.column(row_number, index)
                    kind = kinds.get(attributes)
                    if kind is None:
                        kind = kinds[attributes] = self._kind(attributes)
                    if inner:
                        value = self._complex(kind, inner, shared_formulas, gauge, row_number, index)
                    elif kind is SHARED:
                        place = int(raw)
                        value = first_strings[place] if place < len(first_strings) else strings[place]
                    elif kind is NUMBER and raw.isdecimal() and len(raw) < 16:
                        value = int(raw)
                    else:
                        value = self._serial_date(raw) if kind is DATE else self._value(kind, raw)
                        if type(value) is str:
                            value = gauge.text(row_number, index, value)
                    if index == len(cells):
                        cells.append(value)
                    else:
                        cells.extend([None] * (index + 1 - len(cells)))
                        cells[index] = value
                if row := gauge.row(row_number, cells):
                    yield row
            if "</sheetData>" in tail:
                return
            if len(tail) > _LONGEST_ROW:
                raise WorkbookError(
                    f"第 {row_number} 行之后的一行过长，无法读取。请检查这一行，或另存为 CSV 后再上传。"
                )
            tail = tail[max(tail.rfind("<row"), 0) :]

    def _worked(self, letters, attributes, kinds):
        """[(index, kind)] of the cells of a row whose text is not yet their value; None if it skips columns."""
        if len(letters) > self.limits.max_columns or any(index != _column(word) for index, word in enumerate(letters)):
            return None
        kinds |= {each: self._kind(each) for each in set(attributes) - kinds.keys()}
        return [(index, kinds[each]) for index, each in enumerate(attributes) if kinds[each] is not TEXT]

    def _kind(self, attributes):
        if "'" in attributes:
            raise _Irregular
        given = dict(_ATTRIBUTE.findall(attributes))
        kind = _TYPES.get(given.get("t"), NUMBER)
        return DATE if kind is NUMBER and given.get("s") in self._date_styles else kind

    def _value(self, kind, raw):
        """The value of a ``<v>``; what does not look like its type is kept as text."""
        if kind is SHARED:
            return self._strings[int(raw)]
        raw = _unescape(raw)
        if kind is TEXT:
            return raw
        if kind is BOOLEAN:
            return raw.strip() in ("1", "true")
        if kind is ERROR:
            return CellError(raw)
        if kind is ISO_DATE:
            return moment(raw)
        value = number(raw)
        return self._date(value) if kind is DATE and type(value) is not str else value

    def _complex(self, kind, inner, shared_formulas, gauge, row_number, index):
        """The value of a cell that holds a formula, text in runs, or anything else beside a plain value."""
        if "<is" in inner:
            value = "".join(map(_unescape, _TEXT.findall(_PHONETIC.sub("", inner))))
        else:
            value = _VALUE.search(inner)
            value = self._value(kind, value[1]) if value and value[1] else None
        if type(value) is str:
            value = gauge.text(row_number, index, value)
        formula = _FORMULA.search(inner)
        if not formula:
            return value
        text, group = _unescape(formula[2] or ""), dict(_ATTRIBUTE.findall(formula[1] or "")).get("si")
        if group and text:
            shared_formulas[group] = text
        return Formula("=" + (text or shared_formulas.get(group, "")), value)

    def _date(self, serial):
        """A serial number as date, datetime (to the millisecond) or time; as it is where the calendar does not reach.

        Days of the 1900 system before its invented 29 February 1900 count from one day later.
        """
        if not 0 <= serial < 2_958_466:
            return serial
        span = timedelta(milliseconds=round(serial * 86_400_000))
        if span < timedelta(days=1) and not (serial == 0 and self._epoch):
            return (datetime.min + span).time()
        epoch = self._epoch or (datetime(1899, 12, 31) if serial < 60 else datetime(1899, 12, 30))
        try:
            shown = epoch + span
        except OverflowError:
            return serial
        return shown.date() if shown.time() == time.min else shown

    def _merged(self, xml):
        tail, count = "", 0
        for chunk in xml:
            text, end, tail = (tail + chunk).rpartition(">")
            text += end
            found = _MERGE.findall(text)
            if len(found) != text.count("<mergeCell "):
                raise _Irregular
            count += len(found)
            if count > _MOST_MERGES:
                raise WorkbookError(f"合并单元格超过 {_MOST_MERGES:,} 处。请取消合并后再上传。")
            for left, top, right, bottom in found:
                yield int(top), _column(left) + 1, int(bottom or top), _column(right or left) + 1


class _Strings:
    """The shared strings, read no further than they are asked for.

    All but the first are kept as one run of bytes with the places where each begins: a third of the memory of str.
    """

    _FIRST = 1 << 15

    def __init__(self, open_part, limits):
        self._limits = limits
        self._open_part = open_part
        self._more = self._load()
        self.first = []
        self._bytes = bytearray()
        self._starts = array("L", [0])

    def __getitem__(self, index):
        first, starts = self.first, self._starts
        while index >= len(first) + len(starts) - 1:
            if not next(self._more, False):
                raise WorkbookError(DAMAGED)
        if index < len(first):
            return first[index]
        index -= len(first)
        return self._bytes[starts[index] : starts[index + 1]].decode() or None

    def _load(self):
        try:
            with self._open_part() as stream:
                yield from self._take(_regular(stream, b"<sst"))
        except _Irregular:
            del self.first[:], self._bytes[:], self._starts[1:]
            with self._open_part() as stream:
                yield from self._take(text.encode() for text in _Canonical().rewrite(stream))

    def _take(self, chunks):
        tail = b""
        for chunk in chunks:
            xml, end, tail = (tail + chunk).rpartition(b"</si>")
            xml += end
            texts = _PLAIN_STRING.findall(xml)
            count = xml.count(b"<si")
            if len(texts) != count:
                texts = [b"".join(_STRING_TEXT.findall(_STRING_PHONETIC.sub(b"", si))) for si in _STRING.findall(xml)]
                if len(texts) != count:
                    raise _Irregular
            if b"&" in xml or b"_x" in xml or b"\r" in xml:
                texts = [_unescape(text.decode()).encode() for text in texts]
            limit = self._limits.max_cell_chars
            longest = max(texts, key=len, default=b"")
            if len(tail) > _LONGEST_ROW or (len(longest) > limit and any(len(text.decode()) > limit for text in texts)):
                raise WorkbookError(f"有单元格的内容超过 {limit:,} 个字。请找到并缩短它，再上传。")
            if missing := self._FIRST - len(self.first):
                self.first += [text.decode() or None for text in texts[:missing]]
                texts = texts[missing:]
            self._bytes += b"".join(texts)
            self._starts.extend(accumulate(map(len, texts), initial=self._starts.pop()))
            yield True


class _Canonical:
    """Rewrites a sheet or the table of strings the way Excel writes it, keeping only what is read here."""

    def __init__(self):
        self._out = []
        self._text = None
        self._skip = self._row = self._column = 0

    def rewrite(self, stream):
        xml = markup.parser()
        xml.StartElementHandler, xml.EndElementHandler = self._start, self._end
        xml.CharacterDataHandler = self._data
        for chunk in markup.chunks(stream):
            xml.Parse(chunk, False)
            yield self._taken()
        xml.Parse(b"", True)
        yield self._taken()

    def _taken(self):
        text = "".join(self._out)
        self._out.clear()
        return text

    def _start(self, name, attributes):
        name, write = markup.local(name), self._out.append
        if name == "row":
            self._row, self._column = int(attributes.get("r", self._row + 1)), -1
            write(f'<row r="{self._row}">')
        elif name == "c":
            match = re.match("[A-Z]+", attributes.get("r", ""))
            self._column = _column(match[0]) if match else self._column + 1
            kept = "".join(f' {key}="{_escape(attributes[key])}"' for key in ("s", "t") if key in attributes)
            write(f'<c r="{column_letter(self._column)}{self._row}"{kept}>')
        elif name == "f":
            kept = "".join(f' {key}="{_escape(attributes[key])}"' for key in ("t", "si") if key in attributes)
            write(f"<f{kept}>")
            self._text = []
        elif name == "v":
            write("<v>")
            self._text = []
        elif name == "is":
            write("<is><t>")
        elif name == "si":
            write("<si><t>")
        elif name == "rPh":
            self._skip += 1
        elif name == "t" and not self._skip:
            self._text = []
        elif name == "mergeCell":
            write(f'<mergeCell ref="{_escape(attributes.get("ref", ""))}"/>')

    def _data(self, text):
        if self._text is not None:
            self._text.append(text)

    def _end(self, name):
        name, write = markup.local(name), self._out.append
        if self._text is not None and name in ("f", "v", "t"):
            write(_escape("".join(self._text)))
            self._text = None
        if name in ("f", "v", "c", "row", "sheetData"):
            write(f"</{name}>")
        elif name in ("is", "si"):
            write(f"</t></{name}>")
        elif name == "rPh":
            self._skip -= 1


def _regular(stream, root):
    """The chunks of a part; _Irregular if its root has a prefix, or for comments, CDATA and document types."""
    first, last = True, b""
    for chunk in markup.chunks(stream):
        if (first and root not in chunk) or b"<!" in last + chunk:
            raise _Irregular
        first, last = False, chunk[-1:]
        yield chunk


def _behind(mark, chunks):
    """What stands behind ``mark`` in the chunks."""
    tail = b""
    for chunk in chunks:
        tail, found, rest = (tail + chunk).partition(mark)
        if found:
            yield rest
            yield from chunks
            return
        tail = tail[-len(mark) :]


def _is_plain(row, longest):
    """Whether the texts of a row are what they say, and none can be longer than ``longest``."""
    return len(row) < longest and "&" not in row and "_x" not in row and "\r" not in row and "\0" not in row


def _column(letters):
    """The column counted from 0: A → 0."""
    index = 0
    for letter in letters:
        index = index * 26 + ord(letter) - 64
    return index - 1


def _date_styles(tags):
    """The cell styles (as written in the attribute ``s``) that show a date or a time of day."""
    formats, section, styles, position = {}, None, set(), 0
    for tag, attributes in tags:
        if tag in ("numFmts", "cellStyleXfs", "cellXfs", "cellStyles", "dxfs"):
            section = tag
        elif tag == "numFmt" and section == "numFmts":
            formats[attributes.get("numFmtId")] = attributes.get("formatCode", "")
        elif tag == "xf" and section == "cellXfs":
            format_id = attributes.get("numFmtId", "0")
            if _shows_date(formats[format_id]) if format_id in formats else int(format_id) in _DATE_FORMATS:
                styles.add(str(position))
            position += 1
    return styles


def _shows_date(code):
    code = code.partition(";")[0]
    return not _ELAPSED.search(code) and bool(re.search("[ymdhs]|aaa", _NO_DATE.sub("", code), re.IGNORECASE))


def _escape(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def _unescape(text):
    """Text as Excel shows it: entities and ``_x000D_`` resolved, without NUL, split surrogate pairs joined."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "&" in text or "_x" in text:
        text = _ESCAPE.sub(_character, text)
        if _SURROGATE.search(text):
            text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.replace("\0", "") if "\0" in text else text


def _character(match):
    entity, code = match.groups()
    if code:
        return chr(int(code, 16))
    if entity in _ENTITIES:
        return _ENTITIES[entity]
    try:
        return chr(int(entity[2:], 16) if entity[1] == "x" else int(entity[1:]))
    except (ValueError, OverflowError):
        raise WorkbookError(DAMAGED) from None
