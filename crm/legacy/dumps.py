"""MySQL dump files, read row by row in the memory of one row: nothing in them is ever executed.

Navicat (a row an INSERT), SQLyog and mysqldump (many rows an INSERT), plain or gzipped, UTF-8, UTF-16 or GBK, with
comments anywhere; bodies of triggers and procedures are passed over. What plain strings and numbers say is read here,
what any other row says by ``sqlglot``.
"""

import codecs
import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import sqlglot
from sqlglot.tokens import TokenType

BLOCK = 1 << 20
ROWS = 200
ENOUGH = 10_000  # texts that say in which encoding a file is
LONGEST = 64 << 20  # a statement or row beyond this is no dump of a CRM
LONGEST_DELIMITER = 200


class DumpError(ValueError):
    """The file cannot be read as a dump; the message says where and why."""


@dataclass
class Chosen:
    """``USE``: what follows belongs to another database."""

    database: str


@dataclass
class Definition:
    """``CREATE TABLE``: the names of the columns in order; ``is_new`` unless it says IF NOT EXISTS."""

    table: str
    columns: list[str]
    is_new: bool = True


@dataclass
class Dropped:
    """``DROP TABLE``: what stood in the table before is gone."""

    table: str


@dataclass
class Emptied:
    """``TRUNCATE`` or ``DELETE`` of all rows: what stood in the table before is gone, its columns stay."""

    table: str


@dataclass
class Added:
    """``ALTER TABLE … ADD COLUMN``: a column more, behind the column ``after``; "" is behind all, None before all."""

    table: str
    column: str
    after: str | None = ""


@dataclass
class Rows:
    """Some rows of one ``INSERT``; ``columns`` is None where the statement names none."""

    table: str
    columns: list[str] | None
    rows: list[list[str | None]]


@dataclass
class Skipped:
    """A statement that would change data and is not understood (UPDATE, DELETE, LOAD DATA, INSERT … SELECT)."""

    text: str


_TOKEN = re.compile(
    r"""'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`(?:[^`]|``)*`"""
    r"""|/\*.*?\*/|--(?=[\s]|$)[^\n]*(?:\n|$)|\#[^\n]*(?:\n|$)|[(),;]""",
    re.S,
)
_OPENING = re.compile(r"""['"`(),;#]|/\*|--""")
_INSERT = re.compile(r"\s*(?:INSERT|REPLACE)\b", re.I)
_VALUES = re.compile(r"\bVALUES?\s*(?:ROW\s*)?$", re.I)
_NEXT_ROW = re.compile(r"[\s,]*(?:ROW\s*)?$", re.I)
_CHANGES = re.compile(r"\s*(?:INSERT|REPLACE|UPDATE|DELETE|LOAD)\b", re.I)
_CREATE = re.compile(r"\s*CREATE\s+(?:TEMPORARY\s+)?TABLE\s+(IF\s+NOT\s+EXISTS\s+)?", re.I)
_ALTER = re.compile(r"\s*ALTER\s+TABLE\s+", re.I)
_ADD = re.compile(r"\s*ADD\s+(?:COLUMN\s+)?(?:IF\s+NOT\s+EXISTS\s+)?", re.I)
_PLACE = re.compile(r"\b(?:(FIRST)|AFTER\s+(\S+))\s*$", re.I)
_DROP = re.compile(r"\s*DROP\s+TABLE\s+(?:IF\s+EXISTS\s+)?", re.I)
_INTO = re.compile(r"\s*(?:INSERT|REPLACE)\s+(?:(?:LOW_PRIORITY|DELAYED|HIGH_PRIORITY|IGNORE)\s+)*(?:INTO\s+)?", re.I)
_USE = re.compile(r"\s*USE\s+", re.I)
_EMPTY = re.compile(r"\s*(?:TRUNCATE\s+(?:TABLE\s+)?|DELETE\s+(?:(?:LOW_PRIORITY|QUICK|IGNORE)\s+)*FROM\s+)", re.I)
_SET = re.compile(r"SET\s+", re.I)
_EQUALS = re.compile(r"\s*=")
_PARTITION = re.compile(r"\s*PARTITION\s*\([^)]*\)", re.I)
_DELIMITER = re.compile(r"\s*DELIMITER[ \t]+(\S+)[^\n]*(?:\n|$)", re.I)
_DELIMITER_BACK = re.compile(r"(?:^|\n)[ \t]*DELIMITER[ \t]+;[^\n]*(?:\n|$)", re.I)
_NAME = re.compile(r'\s*(?:`((?:[^`]|``)+)`|"((?:[^"]|"")+)"|([^\s`"\'(),;.=]+))\s*')
_NO_COLUMN = re.compile(r"\s*(?:PRIMARY|UNIQUE|KEY|INDEX|FULLTEXT|SPATIAL|CONSTRAINT|FOREIGN|CHECK|PERIOD)\b", re.I)


def read(path) -> Iterator[Chosen | Definition | Dropped | Emptied | Added | Rows | Skipped]:
    """What the dump at ``path`` defines and holds, in its order. Raises DumpError."""
    for head, rows in _statements(_text(Path(path))):
        if rows is not None:
            yield _rows(head, rows)
        elif _CREATE.match(head):
            found = _definition(head)
            yield found or Skipped(" ".join(head.split())[:200])
        elif dropping := _DROP.match(head):
            yield from _dropped(head, dropping.end())
        elif altering := _ALTER.match(head):
            yield from _added(head, altering.end())
        elif using := _USE.match(head):
            yield Chosen(_name(head, using.end())[0])
        elif emptied := _emptied(head):
            yield emptied
        elif assigned := _assigned(head):
            yield assigned
        elif _CHANGES.match(head):
            yield Skipped(" ".join(head.split())[:200])


# --- Text ------------------------------------------------------------------------------------------------------------


def encoding_of(path) -> str:
    """UTF-16 if the file says so, UTF-8 if all of it is, else what most of its texts are: GB18030, of which GBK and
    GB2312 are parts, or UTF-8 with pictures or broken texts among it."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with _open(path) as file:
            if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
                return "utf-16"
            file.seek(0)
            if b"\x00" in file.read(1000):
                raise DumpError(
                    "这不是 MySQL 转储文件（.sql 或 .sql.gz）。Excel 表格请用各页面的“导入”，zip 请先解压。"
                )
            file.seek(0)
            while block := file.read(BLOCK):
                decoder.decode(block)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return _encoding_of_most(path)
    except (OSError, EOFError) as error:
        raise DumpError(f"文件无法读取：{error}") from error
    return "utf-8-sig"


def _encoding_of_most(path) -> str:
    """What most of the texts between quotes are; a quote is no part of a character in either encoding."""
    votes, rest = {"utf-8-sig": 0, "gb18030": 0}, b""
    with _open(path) as file:
        while (block := file.read(BLOCK)) and max(votes.values()) < ENOUGH:
            *texts, rest = (rest + block).split(b"'")
            rest = rest if len(rest) <= BLOCK else b""  # no text that anybody wrote
            for text in [*texts, rest] if len(block) < BLOCK else texts:
                if not text.isascii() and (encoding := next((each for each in votes if _is_in(text, each)), None)):
                    votes[encoding] += 1
    return max(reversed(votes), key=votes.get)


def _is_in(text, encoding) -> bool:
    try:
        text.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _open(path):
    with Path(path).open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if packed else Path(path).open("rb")


def _text(path) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding_of(path))("replace")
    with _open(path) as file:
        while block := file.read(BLOCK):
            yield decoder.decode(block)
        yield decoder.decode(b"", final=True)


# --- Statements ------------------------------------------------------------------------------------------------------


def _statements(blocks) -> Iterator[tuple[str, list[str] | None]]:
    """``(text before the rows, [texts of some rows])`` of INSERTs, ``(text, None)`` of others; comments are gone."""
    buffer, place = "", 0
    head, row, depth, rows, insert, is_insert, is_over, line = [], [], 0, [], "", False, False, 1
    is_body = False  # of a trigger or procedure: its statements belong to no data
    for block in _with_end(blocks):
        buffer, place = buffer[place:] + (block or ""), 0
        while True:
            if is_body:
                back = _DELIMITER_BACK.search(buffer, place)
                place = back.end() if back else max(place, len(buffer) - LONGEST_DELIMITER)
                if not back:
                    break
                is_body = False
            if not depth and not is_insert and not head:
                if block is not None and len(buffer) - place < LONGEST_DELIMITER:
                    break
                if other := _DELIMITER.match(buffer, place):
                    place, is_body = other.end(), other[1] != ";"
                    continue
            opening = _OPENING.search(buffer, place)
            if opening is None:
                # a comment mark may be cut in two by the end of the block
                end = len(buffer) if block is None else max(place, len(buffer) - 1)
                rest, place = buffer[place:end], end
                if depth or head or rest.strip():
                    (row if depth else head).append(rest)
                break
            token = _TOKEN.match(buffer, opening.start())
            if token is None and opening.group() == "--" and opening.end() < len(buffer):
                if not head and not depth and not buffer[place : opening.start()].strip():
                    # no comment to the server, but to whoever wrote it by hand
                    end = buffer.find("\n", place + len(buffer[place : opening.start()]))
                    if end < 0 and block is not None:
                        break
                    place = end + 1 or len(buffer)
                    continue
                (row if depth else head).append(buffer[place : opening.end()])
                place = opening.end()
                continue
            # a quoted text that ends with the block may go on in the next with a doubled quote
            if token is None or (token.end() == len(buffer) and block is not None and token.group()[0] not in "(),;"):
                if block is None and token is None:
                    raise DumpError(f"第 {line} 行附近：引号或注释没有结束，文件可能不完整。")
                if len(buffer) - place > LONGEST:
                    raise DumpError(f"第 {line} 行附近的内容超过 {LONGEST >> 20} MB，无法读取。")
                break
            before, mark = buffer[place : token.start()], token.group()
            line += before.count("\n") + mark.count("\n")
            place = token.end()
            is_comment = mark[0] in "#-" or mark.startswith("/*")
            if depth:
                row += (before, " " if is_comment else mark)
                depth += {"(": 1, ")": -1}.get(mark, 0)
                if not depth:
                    rows.append("".join(row))
                    if len(rows) >= ROWS:
                        yield insert, rows
                        rows = []
            elif mark == ";":
                head.append(before)
                text = "".join(head)
                if rows:
                    yield insert, rows
                elif not is_insert and text.strip():
                    yield text, None
                head, rows, is_insert, is_over = [], [], False, False
            elif is_comment:
                if head or before.strip():
                    head += (before, " ")
            elif is_insert:
                # behind the rows only ON DUPLICATE KEY UPDATE may follow, which has brackets of its own
                is_over = is_over or not _NEXT_ROW.match(before)
                if mark == "(" and not is_over:
                    row, depth = [mark], 1
            elif mark == "(" and _starts_rows([*head, before]):
                insert, is_insert = "".join([*head, before]), True
                row, depth = [mark], 1
            else:
                head += (before, mark)
    if rows:
        yield insert, rows
    elif not is_insert and "".join(head).strip():
        yield "".join(head), None
    if depth:
        raise DumpError(f"第 {line} 行附近：一行数据没有结束，文件可能不完整。")


def _with_end(blocks):
    yield from blocks
    yield None


def _starts_rows(head) -> bool:
    text = "".join(head)
    return bool(_INSERT.match(text) and _VALUES.search(text))


# --- What they say ---------------------------------------------------------------------------------------------------


def _name(text, place) -> tuple[str, int]:
    """The name at ``place``, without that of its database, and where it ends."""
    name = ""
    while match := _NAME.match(text, place):
        name, place = next(filter(None, match.groups())), match.end()
        if text[place : place + 1] != ".":
            break
        place += 1
    return name.replace("``", "`"), place


def _definition(text) -> Definition | None:
    """None where no column is named, as in CREATE TABLE … LIKE."""
    start = _CREATE.match(text)
    table, place = _name(text, start.end())
    if not table or text[place : place + 1] != "(":
        return None
    parts = _parts(text, place + 1)
    columns = [_name(part, 0)[0] for part in parts if not _NO_COLUMN.match(part)]
    return Definition(table, columns, not start[1]) if all(columns) and columns else None


def _parts(text, place) -> list[str]:
    """What stands between commas from ``place`` on, to the end or to the bracket that closes."""
    parts, depth, begin = [], 0, place
    for token in _TOKEN.finditer(text, place):
        mark = token.group()
        if mark == ")" and not depth:
            return [*parts, text[begin : token.start()]]
        depth += {"(": 1, ")": -1}.get(mark, 0)
        if mark == "," and not depth:
            parts.append(text[begin : token.start()])
            begin = token.end()
    return [*parts, text[begin:]]


def _added(text, place) -> Iterator[Added]:
    table, place = _name(text, place)
    for part in _parts(text, place):
        adding = _ADD.match(part)
        if adding and not _NO_COLUMN.match(part, adding.end()):
            name, _ = _name(part, adding.end())
            where = _PLACE.search(part)
            after = "" if where is None else None if where[1] else _name(where[2], 0)[0]
            if name:
                yield Added(table, name, after)


def _dropped(text, place) -> Iterator[Dropped]:
    while place < len(text):
        name, place = _name(text, place)
        if not name:
            return
        yield Dropped(name)
        place += 1


def _emptied(text) -> Emptied | None:
    """None of a DELETE of some rows only."""
    emptying = _EMPTY.match(text)
    if emptying is None:
        return None
    table, place = _name(text, emptying.end())
    return Emptied(table) if table and not text[place:].strip() else None


def _assigned(text) -> Rows | None:
    """The row of ``INSERT … SET a = 1, b = 2``; None of any other statement."""
    inserting = _INTO.match(text)
    if inserting is None:
        return None
    table, place = _name(text, inserting.end())
    if (setting := _SET.match(text, place)) is None:
        return None
    columns, values = [], []
    for part in _parts(text, setting.end()):
        name, place = _name(part, 0)
        equals = _EQUALS.match(part, place)
        if not name or equals is None:
            return None
        columns.append(name)
        values.append(part[equals.end() :])
    return Rows(table, columns, _values(f"({','.join(values)})"))


def _rows(head, rows) -> Rows:
    table, place = _name(head, _INTO.match(head).end())
    if partition := _PARTITION.match(head, place):
        place = partition.end()
    columns = None
    if head[place : place + 1] == "(":
        columns = []
        while head[place : place + 1] in ("(", ","):
            name, place = _name(head, place + 1)
            columns.append(name)
    return Rows(table, columns, [row for text in rows for row in _values(text)])


_CELL = re.compile(
    r"""\s*(?:'((?:[^'\\]|\\.|'')*)'|"((?:[^"\\]|\\.|"")*)"|([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)|(NULL|null))\s*([,)])""",
    re.S,
)
_ESCAPE = re.compile(r"""\\(.)|(''|"")""", re.S)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "0": "\x00", "b": "\b", "Z": "\x1a", "%": "\\%", "_": "\\_"}


def _plain(text, quote) -> str:
    """What the inside of a quoted text means."""
    if "\\" not in text and quote not in text:
        return text
    return _ESCAPE.sub(
        lambda match: _ESCAPED.get(match[1], match[1]) if match[1] else quote if match[2][0] == quote else match[2],
        text,
    )


def _values(text) -> list[list[str | None]]:
    """The values of the row ``text``. Strings, numbers and NULL are read here, anything else by the parser."""
    found, place, last = [], 1, ","
    while last == "," and (cell := _CELL.match(text, place)):
        single, double, number, _, last = cell.groups()
        if single is not None:
            found.append(_plain(single, "'"))
        elif double is not None:
            found.append(_plain(double, '"'))
        else:
            found.append(number and number.removeprefix("+"))
        place = cell.end()
    return [found] if last == ")" and place == len(text) else _parsed(text)


TEXTS = (TokenType.STRING, TokenType.NATIONAL_STRING)
CONVERSIONS = {"CAST", "CONVERT", "DATE", "TIMESTAMP", "STR_TO_DATE", "TO_DATE"}


def _parsed(text) -> list[list[str | None]]:
    """The values of one row as text; NULL is None. Bits and booleans are "0" and "1"; a conversion is its text."""
    found, row = [], None
    depth, sign, value, is_known, word = 0, "", None, False, ""
    try:
        tokens = sqlglot.tokenize(text, dialect="mysql")
    except sqlglot.errors.SqlglotError as error:
        raise DumpError(f"读不懂这行数据：{text[:120]}") from error
    for token in tokens:
        kind = token.token_type
        if kind == TokenType.L_PAREN:
            depth += 1
            if depth == 1:
                row, sign, value, is_known, word = [], "", None, False, ""
        elif kind == TokenType.R_PAREN:
            depth -= 1
            if not depth:
                row.append(value)
                found.append(row)
        elif depth > 1:
            if word in CONVERSIONS and not is_known and kind in TEXTS:
                value, is_known = token.text, True
        elif kind == TokenType.COMMA:
            if depth:
                row.append(value)
                sign, value, is_known, word = "", None, False, ""
        elif kind == TokenType.DASH:
            sign = "-"
        elif kind == TokenType.DOT:
            sign += "0."
        elif kind in TEXTS:
            value = (value or "") + token.text if is_known else token.text
            is_known = True
        elif kind == TokenType.NUMBER:
            value, is_known = sign + token.text, True
        elif kind == TokenType.BIT_STRING:
            value, is_known = str(int(token.text or "0", 2)), True
        elif kind == TokenType.HEX_STRING:
            value, is_known = _from_hex(token.text), True
        elif kind in (TokenType.TRUE, TokenType.FALSE):
            value, is_known = str(int(kind == TokenType.TRUE)), True
        elif token.text.isdigit():
            value, is_known = sign + token.text, True
        else:
            word = token.text.upper()
    return found


def _from_hex(digits) -> str:
    raw = bytes.fromhex(digits.zfill(len(digits) + len(digits) % 2))
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("gb18030", "replace")
