"""Text with columns: comma, tab, semicolon, bar or blanks between them, in whatever encoding."""

import codecs
import csv
import re
from collections import Counter
from pathlib import Path

from crm.excel.reading.values import EMPTY, MIB, Gauge, SheetInfo, WorkbookError

_SAMPLE = 1 << 16
_SAMPLE_LINES = 200
_BOMS = [
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
]
_BLANKS = "blanks"
_DOUBLE_BYTE = re.compile(rb"[\x81-\xfe][\x40-\xfe]")
_ADJACENT = re.compile(rb"[\x80-\xff]{2}")
_COMMON_HAN = re.compile(rb"[\xa1-\xfe][\xa1-\xfe]")


class Delimited:
    """A csv, tsv or txt file. Values are text, exactly as written (NUL bytes aside)."""

    def __init__(self, path, filename, limits):
        self.limits = limits
        self._path = path
        self.hidden = {Path(filename or path).stem: False}
        with open(path, "rb") as file:
            self._encoding = _encoding(file)
            file.seek(0)
            sample = file.read(_SAMPLE)
        self._sample = codecs.getincrementaldecoder(self._encoding)("replace").decode(sample)
        if not self._sample.strip("\0 \t\r\n,;|"):
            raise WorkbookError(EMPTY)
        self._separator = _separator(self._sample, complete=len(sample) < _SAMPLE)

    def sheets(self):
        return [SheetInfo(name, None, None, hidden) for name, hidden in self.hidden.items()]

    def merged(self, _name):
        return []

    def rows(self, _name):
        gauge, longest = Gauge(self.limits), self.limits.max_cell_chars
        csv.field_size_limit(16 * longest)
        with open(self._path, encoding=self._encoding, newline="") as file:
            for number, record in enumerate(self._records(file), 1):
                row = gauge.row(number, [value or None for value in record])
                if not row:
                    continue
                gauge.column(number, len(row.cells) - 1)
                if len(max(record, key=len)) > longest:
                    for index, value in enumerate(record):
                        gauge.text(number, index, value)
                yield row

    def _records(self, file):
        lines = (line.replace("\0", "") if "\0" in line else line for line in file)
        if self._separator == _BLANKS:
            return (line.split() for line in lines)
        spaced = re.search(re.escape(self._separator) + ' +"', self._sample) is not None
        return self._parsed(lines, csv.reader(lines, delimiter=self._separator, skipinitialspace=spaced))

    def _parsed(self, lines, reader):
        if re.match(r"sep=.\r?\n", self._sample):
            next(lines)
            yield []
        try:
            yield from reader
        except csv.Error:
            raise WorkbookError(
                f"第 {reader.line_num} 行附近有引号没有成对，后面的内容连成了一格。请补上引号，或另存为 xlsx 后再上传。"
            ) from None


def _encoding(file):
    """The name of a codec that decodes the whole file; WorkbookError naming the line where there is none."""
    sample = file.read(_SAMPLE)
    for bom, name in _BOMS:
        if sample.startswith(bom):
            _check(file, name)
            return name
    if wide := _wide(sample):
        _check(file, wide)
        return wide
    if (valid := _decodable(file, "utf-8")) is True:
        return "utf-8"
    nearly_utf8, line = valid
    if nearly_utf8:
        raise WorkbookError(
            f"第 {line} 行有无法识别的字符：文件是 UTF-8 编码，但这里已损坏。请改正后另存为“CSV UTF-8”，再上传。"
        )
    if _looks_chinese(sample) and _decodable(file, "gb18030") is True:
        return "gb18030"
    return _guess(file, sample)


def _looks_chinese(sample):
    """Common Han characters fill a corner of the double-byte table that Latin letters with accents hardly ever hit."""
    pairs = _DOUBLE_BYTE.findall(sample)
    return bool(pairs) and sum(map(bool, map(_COMMON_HAN.match, pairs))) >= 0.6 * len(pairs)


def _wide(sample):
    """UTF-16 without a mark: its digits, commas and line ends leave NULs at every other byte."""
    if sample.count(0) < max(3, len(sample) // 20):
        return None
    odd, even = sample[1::2].count(0), sample[::2].count(0)
    if min(odd, even) * 10 > max(odd, even):
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def _decodable(file, encoding):
    """True, or where decoding first fails: (was there plenty beyond ASCII that fitted, line)."""
    decoder, fitted, line = codecs.getincrementaldecoder(encoding)(), False, 1
    file.seek(0)
    while True:
        block = file.read(MIB)
        try:
            text = decoder.decode(block, not block)
        except UnicodeDecodeError as error:
            good = error.object[: error.start].decode(encoding)
            return fitted or sum(char > "\x7f" for char in good) > 20, line + good.count("\n")
        if not block:
            return True
        fitted = fitted or not text.isascii()
        line += text.count("\n")


def _check(file, encoding):
    if (valid := _decodable(file, encoding)) is not True:
        raise WorkbookError(
            f"第 {valid[1]} 行有无法识别的字符，文件可能已损坏。请在 Excel 里打开后另存为 xlsx，再上传。"
        )


def _guess(file, sample):
    # Single bytes beyond ASCII among Latin letters are accents; in the East they come in pairs.
    candidates = ["gb18030", "cp1252"] if _ADJACENT.search(sample) else ["cp1252", "gb18030"]
    if candidates[0] == "gb18030":
        # Needed by few files, and slow to load.
        from charset_normalizer import from_bytes

        best = from_bytes(sample, cp_isolation=["gb18030", "big5", "cp932", "cp949", "cp1251", "cp1252"]).best()
        candidates = [best.encoding, *candidates] if best else candidates
    for encoding in candidates:
        if _decodable(file, encoding) is True:
            return encoding
    raise WorkbookError("无法识别文件的文字编码。请在 Excel 或 WPS 里打开后另存为 xlsx 或“CSV UTF-8”，再上传。")


def _separator(sample, *, complete):
    """The separator under which most rows of the sample have the same number (> 1) of columns."""
    if named := re.match(r"sep=(.)\r?\n", sample):
        return named[1]
    lines = sample.replace("\0", "").splitlines(keepends=True)
    if not complete and len(lines) > 1:
        lines.pop()
    best, best_score = ",", (0, 0)
    for separator in ",\t;|":
        try:
            records = [record for record in csv.reader(lines[:_SAMPLE_LINES], delimiter=separator) if any(record)]
        except csv.Error:
            continue
        score = _score(list(map(len, records)))
        if score > best_score:
            best, best_score = separator, score
    if best_score == (0, 0):
        records = [line.split() for line in lines[:_SAMPLE_LINES] if line.strip()]
        share, width = _score(list(map(len, records)))
        if len(records) > 1 and share > 0.9 and (width > 2 or _has_numbers(records[1:])):
            return _BLANKS
    return best


def _score(widths):
    """(share of rows with the commonest width, that width); nothing for one column."""
    width, times = Counter(widths).most_common(1)[0] if widths else (1, 0)
    return (round(times / len(widths), 1), width) if width > 1 else (0, 0)


def _has_numbers(records):
    """Two words a line are two columns only if one of them is numbers: otherwise they may well be names."""
    return any(all(re.fullmatch(r"[\d.,/:+-]+", record[i]) for record in records if len(record) == 2) for i in (0, 1))
