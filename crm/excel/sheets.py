"""Tables as an xlsx workbook, written as they come: each block of rows becomes XML column by column.

Whole columns are joined, wrapped and cut again, which is several times as fast as a call for each cell. The cells have
the shape that our own reader cuts without a parser. Memory holds one block, whatever the number of rows.
"""

import re
from datetime import date, datetime, timedelta
from itertools import chain, islice, repeat
from zipfile import ZIP_DEFLATED, ZipFile

from xlsxwriter.utility import xl_col_to_name

SHEET_ROWS = 1_048_575  # of a sheet, beside the header
BYTES = 1 << 30  # of a sheet, which ends there too: programs shy at the zip64 extension that larger parts need
BLOCK = 500
LEVEL = 1  # compressing better takes longer than all the rest
HEADER_FILL = "#E8EEF7"
SHORT = 32_767 // 2  # so many characters fit in a cell, whatever they are

_EPOCH, _DAY = datetime(1899, 12, 30), timedelta(days=1)
_ROW = "\0"  # stands for the number of the row; no XML can hold it
_HEADER = 1  # the style of the header
_ODD = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff&<>]|_(?=x[0-9A-Fa-f]{4}_)")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"


def write(path, tables) -> None:
    """Write ``tables``, ``(columns, converters, rows, name)`` each, to ``path``, one after the other.

    ``rows`` are sequences of values, as long as ``columns``. ``converters``, one for each column, make of a value what
    a cell holds: str, int, float, date or naive datetime, None where it is blank. Strings of at most ``SHORT``
    characters and None they would leave alone, and are not asked.
    ``name(index)`` names the sheets: as many as the rows need, and one where there are none.
    Raises ValueError for a row of another length.
    """
    formats = list(dict.fromkeys(column.number_format for columns, *_ in tables for column in columns))
    sheets = []
    with ZipFile(path, "w", ZIP_DEFLATED, compresslevel=LEVEL) as book:
        book.writestr("_rels/.rels", _relations([("officeDocument", "xl/workbook.xml")]))
        for columns, converters, given, name in tables:
            table, rows, before = _Table(columns, converters, formats), iter(given), len(sheets)
            following = list(islice(rows, 1))
            while following or len(sheets) == before:
                with book.open(f"xl/worksheets/sheet{len(sheets) + 1}.xml", "w") as part:
                    area = table.write(part, chain(following, rows), is_first=not sheets)
                sheets.append((name(len(sheets) - before), area))
                following = list(islice(rows, 1))
        for place, xml in _parts(sheets, formats):
            book.writestr(place, xml)


class _Table:
    """The columns, and how their cells are written."""

    def __init__(self, columns, converters, formats):
        self.columns = columns
        self.styles = [_HEADER + 1 + formats.index(column.number_format) for column in columns]
        self.letters = [xl_col_to_name(index) for index in range(len(columns))]
        self.cells = [_Cells(*cells) for cells in zip(self.letters, self.styles, converters, strict=True)]

    def write(self, part, rows, *, is_first) -> str:
        """A sheet of as many of ``rows`` as it takes; gives its area."""
        size, last = part.write(self._head(is_first).encode()), 1
        while size < BYTES and (block := list(islice(rows, min(BLOCK, SHEET_ROWS + 1 - last)))):
            columns = zip(*block, strict=True)
            cells = [cells.written(values) for cells, values in zip(self.cells, columns, strict=True)]
            texts = map(b"".join, zip(repeat(_BEGIN, len(block)), *cells, repeat(b"</row>", len(block)), strict=True))
            size += part.write(b"".join([text.replace(b"\0", b"%d" % n) for n, text in enumerate(texts, last + 1)]))
            last += len(block)
        part.write(self._tail(last).encode())
        return f"A1:{self.letters[-1]}{last}"

    def _head(self, is_first) -> str:
        widths = [
            f'<col min="{at}" max="{at}" width="{column.display_width}" style="{style}" customWidth="1"/>'
            for at, (column, style) in enumerate(zip(self.columns, self.styles, strict=True), 1)
        ]
        titles = [_text(letter, _HEADER, c.name) for letter, c in zip(self.letters, self.columns, strict=True)]
        selected = ' tabSelected="1"' if is_first else ""
        return (
            f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<worksheet xmlns="{_MAIN}">'
            f'<sheetViews><sheetView{selected} workbookViewId="0">'
            '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>'
            f'<sheetFormatPr defaultRowHeight="15"/><cols>{"".join(widths)}</cols>'
            f'<sheetData><row r="1">{"".join(titles).replace(_ROW, "1")}</row>'
        )

    def _tail(self, last) -> str:
        texts = [f"{name}2:{name}{last}" for name, c in zip(self.letters, self.columns, strict=True) if c.is_text]
        ignored = f'<ignoredErrors><ignoredError sqref="{" ".join(texts)}" numberStoredAsText="1"/></ignoredErrors>'
        return (
            f'</sheetData><autoFilter ref="A1:{self.letters[-1]}{last}"/>'
            f"{ignored if texts and last > 1 else ''}</worksheet>"
        )


_BEGIN = b'<row r="\0">'


class _Cells:
    """The cells of one column, as XML with ``_ROW`` for the number of the row; nothing for blank ones."""

    def __init__(self, letter, style, convert):
        self.letter, self.style, self.convert = letter, style, convert
        self.head, self.end = _text(letter, style, "|").split("|")
        self.typed = f'<c r="{letter}{_ROW}" s="{style}"><v>'

    def written(self, values) -> list[bytes]:
        if None in values:
            values = ["" if value is None else value for value in values]
        try:
            letters = "".join(values)
        except TypeError:
            return list(map(self._cell, values))
        plain = letters.isprintable() and not ("&" in letters or "<" in letters or ">" in letters or "_x" in letters)
        joined = "\n".join(values)
        if not plain or self._is_edged(joined) or (len(letters) > SHORT and max(map(len, values)) > SHORT):
            return list(map(self._cell, values))
        head, end = self.head, self.end
        xml = head + joined.replace("\n", f"{end}\n{head}") + end
        return xml.replace(head + end, "").encode().split(b"\n")

    def _is_edged(self, joined) -> bool:
        """Whether a value begins or ends with a blank, which XML would lose."""
        return "\n " in joined or " \n" in joined or joined[:1] == " " or joined[-1:] == " "

    def _cell(self, value) -> bytes:
        if type(value) is not str or len(value) > SHORT:
            value = self.convert(value)
        if isinstance(value, datetime):
            value = (value - _EPOCH) / _DAY
        elif value is None or value == "":
            return b""
        elif isinstance(value, str):
            return _text(self.letter, self.style, value).encode()
        elif isinstance(value, date):
            value = (datetime(value.year, value.month, value.day) - _EPOCH).days
        return f"{self.typed}{value!r}</v></c>".encode()


def _text(letter, style, text) -> str:
    space = ' xml:space="preserve"' if text != text.strip() else ""
    return f'<c r="{letter}{_ROW}" s="{style}" t="inlineStr"><is><t{space}>{_escaped(text)}</t></is></c>'


def _escaped(text) -> str:
    return _ODD.sub(lambda odd: _ENTITIES.get(odd[0]) or f"_x{ord(odd[0]):04X}_", text)


# --- The parts around the sheets --------------------------------------------------------------------------------------


def _relations(targets) -> str:
    links = [
        f'<Relationship Id="rId{at}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for at, (kind, target) in enumerate(targets, 1)
    ]
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{"".join(links)}</Relationships>'


def _parts(sheets, formats):
    """``(name, XML)`` of the parts that say which sheets there are and what their styles look like."""
    numbers = range(1, len(sheets) + 1)
    worksheets = [
        f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{_TYPE}.worksheet+xml"/>' for n in numbers
    ]
    yield (
        "[Content_Types].xml",
        f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
        f'<Override PartName="/xl/styles.xml" ContentType="{_TYPE}.styles+xml"/>{"".join(worksheets)}</Types>',
    )
    targets = [("worksheet", f"worksheets/sheet{n}.xml") for n in numbers]
    yield "xl/_rels/workbook.xml.rels", _relations([*targets, ("styles", "styles.xml")])
    names = [_escaped(title).replace('"', "&quot;") for title, _ in sheets]
    listed = [f'<sheet name="{name}" sheetId="{n}" r:id="rId{n}"/>' for n, name in zip(numbers, names, strict=True)]
    filters = [
        f'<definedName name="_xlnm._FilterDatabase" localSheetId="{n - 1}" hidden="1">'
        f"'{name}'!{re.sub('[A-Z]+|[0-9]+', '$' + chr(92) + 'g<0>', area)}</definedName>"
        for n, name, (_, area) in zip(numbers, names, sheets, strict=True)
    ]
    yield (
        "xl/workbook.xml",
        f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><bookViews><workbookView/></bookViews>'
        f"<sheets>{''.join(listed)}</sheets><definedNames>{''.join(filters)}</definedNames></workbook>",
    )
    yield "xl/styles.xml", _styles(formats)


def _styles(formats) -> str:
    """The usual font, a header in bold on ``HEADER_FILL``, and a style for each of ``formats``."""
    codes = [f'<numFmt numFmtId="{n}" formatCode="{code}"/>' for n, code in enumerate(formats, 164)]
    styles = [f'<xf numFmtId="{n}" xfId="0" applyNumberFormat="1"/>' for n, _ in enumerate(formats, 164)]
    font = '<sz val="11"/><name val="Calibri"/><family val="2"/>'
    fill = f'<patternFill patternType="solid"><fgColor rgb="FF{HEADER_FILL[1:]}"/></patternFill>'
    return (
        f'<styleSheet xmlns="{_MAIN}"><numFmts count="{len(codes)}">{"".join(codes)}</numFmts>'
        f'<fonts count="2"><font>{font}</font><font><b/>{font}</font></fonts>'
        '<fills count="3"><fill><patternFill patternType="none"/></fill>'
        f'<fill><patternFill patternType="gray125"/></fill><fill>{fill}</fill></fills>'
        '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
        '<cellStyleXfs count="1"><xf numFmtId="0"/></cellStyleXfs>'
        f'<cellXfs count="{len(styles) + 2}"><xf numFmtId="0" xfId="0"/>'
        f'<xf numFmtId="0" fontId="1" fillId="2" xfId="0" applyFont="1" applyFill="1"/>{"".join(styles)}</cellXfs>'
        '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
    )
