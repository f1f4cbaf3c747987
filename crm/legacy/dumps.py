"""MySQL dump files, read row by row in the memory of one row: nothing in them is ever executed.

Navicat (a row an INSERT), SQLyog and mysqldump (many rows an INSERT), plain or gzipped, UTF-8 or GBK, with comments
anywhere. This module only finds where statements and rows begin and end; what a row says is read by ``sqlglot``.
"""

import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import sqlglot
from sqlglot import exp
from sqlglot.tokens import TokenType

BLOCK = 1 << 20
ROWS = 200
LONGEST = 64 << 20  # a statement or row beyond this is no dump of a CRM


class DumpError(ValueError):
    """The file cannot be read as a dump; the message says where and why."""


@dataclass
class Definition:
    """``CREATE TABLE``: the names of the columns in order, and of the key."""

    table: str
    columns: list[str]
    key: list[str]


@dataclass
class Rows:
    """Some rows of one ``INSERT``; ``columns`` is None where the statement names none."""

    table: str
    columns: list[str] | None
    rows: list[list[str | None]]


@dataclass
class Skipped:
    """A statement that would change data and is not understood (UPDATE, DELETE, LOAD DATA)."""

    text: str


_TOKEN = re.compile(
    r"""'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`(?:[^`]|``)*`"""
    r"""|/\*.*?\*/|--(?=[\s]|$)[^\n]*(?:\n|$)|\#[^\n]*(?:\n|$)|[(),;]""",
    re.S,
)
_OPENING = re.compile(r"""['"`(),;#]|/\*|--""")
_INSERT = re.compile(r"\s*(?:INSERT|REPLACE)\b", re.I)
_VALUES = re.compile(r"\bVALUES?\s*$", re.I)
_CHANGES = re.compile(r"\s*(?:UPDATE|DELETE|LOAD)\b", re.I)
_CREATE = re.compile(r"\s*CREATE\s+(?:TEMPORARY\s+)?TABLE\b", re.I)


def read(path) -> Iterator[Definition | Rows | Skipped]:
    """What the dump at ``path`` defines and holds, in its order. Raises DumpError."""
    for head, rows in _statements(_text(Path(path))):
        if rows is not None:
            yield _rows(head, rows)
        elif _CREATE.match(head):
            yield _definition(head)
        elif _CHANGES.match(head):
            yield Skipped(" ".join(head.split())[:200])


# --- Text ------------------------------------------------------------------------------------------------------------


def encoding_of(path) -> str:
    """UTF-8 if all of the file is, else GB18030, of which GBK and GB2312 are parts."""
    import codecs

    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with _open(path) as file:
            while block := file.read(BLOCK):
                decoder.decode(block)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "gb18030"
    except (OSError, EOFError) as error:
        raise DumpError(f"文件无法读取：{error}") from error
    return "utf-8-sig"


def _open(path):
    with Path(path).open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if packed else Path(path).open("rb")


def _text(path) -> Iterator[str]:
    import codecs

    decoder = codecs.getincrementaldecoder(encoding_of(path))("replace")
    with _open(path) as file:
        while block := file.read(BLOCK):
            yield decoder.decode(block)
        yield decoder.decode(b"", final=True)


# --- Statements ------------------------------------------------------------------------------------------------------


def _statements(blocks) -> Iterator[tuple[str, list[str] | None]]:
    """``(text before the rows, [texts of some rows])`` of INSERTs, ``(text, None)`` of others; comments are gone."""
    buffer, place = "", 0
    head, row, depth, rows, insert, is_insert, line = [], [], 0, [], "", False, 1
    for block in _with_end(blocks):
        buffer, place = buffer[place:] + (block or ""), 0
        while True:
            opening = _OPENING.search(buffer, place)
            if opening is None:
                # a comment mark may be cut in two by the end of the block
                end = len(buffer) if block is None else max(place, len(buffer) - 1)
                (row if depth else head).append(buffer[place:end])
                place = end
                break
            token = _TOKEN.match(buffer, opening.start())
            if token is None and opening.group() == "--" and opening.end() < len(buffer):
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
            (row if depth else head).append(before)
            if mark[0] in "#-" or mark.startswith("/*"):
                (row if depth else head).append(" ")
            elif mark == ";" and not depth:
                text = "".join(head)
                if rows:
                    yield insert, rows
                elif text.strip():
                    yield text, None
                head, rows, is_insert = [], [], False
            elif not depth and mark == "(" and (is_insert or _starts_rows(head)):
                if not is_insert:
                    insert, is_insert = "".join(head), True
                row, depth = [mark], 1
            elif depth:
                row.append(mark)
                depth += {"(": 1, ")": -1}.get(mark, 0)
                if not depth:
                    rows.append("".join(row))
                    if len(rows) >= ROWS:
                        yield insert, rows
                        rows = []
            elif not is_insert:
                head.append(mark)
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


def _parsed(text):
    try:
        return sqlglot.parse_one(text, dialect="mysql")
    except sqlglot.errors.SqlglotError as error:
        raise DumpError(f"读不懂这条语句：{' '.join(text.split())[:120]}") from error


def _definition(text) -> Definition:
    table = _parsed(text).this
    if not isinstance(table, exp.Schema):
        raise DumpError(f"读不懂这条语句：{' '.join(text.split())[:120]}")
    columns = [column.name for column in table.expressions if isinstance(column, exp.ColumnDef)]
    keys = [part for part in table.expressions if isinstance(part, exp.PrimaryKey)]
    key = [part.name for part in keys[0].expressions] if keys else []
    for column in table.find_all(exp.ColumnDef):
        if any(isinstance(c.kind, exp.PrimaryKeyColumnConstraint) for c in column.constraints):
            key = [column.name]
    return Definition(table.this.name, columns, key)


def _rows(head, rows) -> Rows:
    statement = _parsed(f"{head} (1)")
    table = statement.this
    columns = None
    if isinstance(table, exp.Schema):
        columns, table = [column.name for column in table.expressions], table.this
    return Rows(table.name, columns, _values(rows))


def _values(rows) -> list[list[str | None]]:
    """The values of ``rows`` as text; NULL is None. Bits and booleans are "0" and "1"."""
    found, row = [], None
    depth, sign, value, is_known = 0, "", None, False
    try:
        tokens = sqlglot.tokenize(",".join(rows), dialect="mysql")
    except sqlglot.errors.SqlglotError as error:
        raise DumpError(f"读不懂这行数据：{rows[0][:120]}") from error
    for token in tokens:
        kind = token.token_type
        if kind == TokenType.L_PAREN:
            depth += 1
            if depth == 1:
                row, sign, value, is_known = [], "", None, False
        elif kind == TokenType.R_PAREN:
            depth -= 1
            if not depth:
                row.append(value)
                found.append(row)
        elif depth > 1:
            continue
        elif kind == TokenType.COMMA:
            if depth:
                row.append(value)
                sign, value, is_known = "", None, False
        elif kind == TokenType.DASH:
            sign = "-"
        elif kind in (TokenType.STRING, TokenType.NATIONAL_STRING):
            value = (value or "") + token.text if is_known else token.text
            is_known = True
        elif kind == TokenType.NUMBER:
            value, is_known = sign + token.text, True
        elif kind == TokenType.BIT_STRING:
            value, is_known = str(int(token.text or "0", 2)), True
        elif kind == TokenType.HEX_STRING:
            value, is_known = bytes.fromhex(token.text).decode("utf-8", "replace"), True
        elif kind in (TokenType.TRUE, TokenType.FALSE):
            value, is_known = str(int(kind == TokenType.TRUE)), True
        elif token.text.isdigit():
            value, is_known = sign + token.text, True
    return found
