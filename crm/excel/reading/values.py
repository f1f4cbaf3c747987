"""What a workbook is made of once it is read, and how much of it we are willing to read."""

from dataclasses import dataclass
from datetime import datetime, time
from math import isfinite
from typing import NamedTuple

MIB = 1 << 20


class WorkbookError(ValueError):
    """The file cannot be read. ``str()`` says in Chinese why and what to do, fit to be shown as it is."""


class Row(NamedTuple):
    """A row that holds something.

    ``number`` counts from 1 as Excel shows it (records, for delimited text). ``cells`` starts at column A and ends with
    the last filled cell; blanks in between are None. A cell is str, int, float, bool, date, datetime, time, CellError
    or Formula; a date format gives a date where the time is midnight; text of delimited files is always str.
    """

    number: int
    cells: list


@dataclass(frozen=True, slots=True)
class CellError:
    """An error value such as ``#N/A``."""

    code: str


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula with the value it had when the file was saved (None if the program that wrote it did not calculate).

    ``text`` begins with ``=``. Members of a shared formula carry the text of its first cell; xls and xlsb give no more
    than ``=``.
    """

    text: str
    value: object


@dataclass(frozen=True, slots=True)
class SheetInfo:
    """A sheet as the file declares it; rows and columns are a hint, never proof, and None where not declared."""

    name: str
    rows: int | None
    columns: int | None
    hidden: bool


@dataclass(frozen=True, slots=True)
class Limits:
    """How far reading goes before it gives up with a WorkbookError.

    ``max_ratio`` is unpacked to packed size; ``memory_bytes`` is the address space of the child; ``seconds`` is how
    long the child may take, in processor time and by the clock, until it delivers the next block of rows.
    """

    max_bytes: int = 100 * MIB
    max_uncompressed: int = 1024 * MIB
    max_ratio: int = 200
    max_rows: int = 1_048_576
    max_columns: int = 1_000
    max_cells: int = 40_000_000
    max_cell_chars: int = 32_767
    memory_bytes: int = 256 * MIB
    seconds: int = 9


LIMITS = Limits()


def column_letter(index):
    """The letter of a column counted from 0: 0 → A, 27 → AB."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def number(raw):
    """int where the number is whole (and a float still tells whole numbers apart), else float; text if it is none."""
    try:
        value = float(raw)
    except ValueError:
        return raw
    if not value.is_integer():
        return value if isfinite(value) else raw
    if abs(value) >= 1e22:
        return value
    return int(raw) if raw.strip().lstrip("-").isdecimal() else int(value)


def moment(raw):
    """ISO text as datetime, date (where the time is midnight) or time; text if it is none of them."""
    try:
        value = datetime.fromisoformat(raw).replace(tzinfo=None)
        return value.date() if value.time() == time.min else value
    except ValueError:
        pass
    try:
        return time.fromisoformat(raw)
    except ValueError:
        return raw


class Gauge:
    """Counts what one sheet delivers and raises WorkbookError as soon as a limit is passed."""

    def __init__(self, limits):
        self.limits = limits
        self.rows = self.cells = 0

    def row(self, number, cells):
        """The finished row without trailing blanks, or None if nothing is left of it."""
        while cells and cells[-1] is None:
            cells.pop()
        if not cells:
            return None
        self.rows += 1
        self.cells += len(cells)
        if self.rows > self.limits.max_rows:
            raise WorkbookError(f"数据超过 {self.limits.max_rows:,} 行。请拆成几个文件分别上传。")
        if self.cells > self.limits.max_cells:
            raise WorkbookError(f"数据超过 {self.limits.max_cells:,} 个单元格。请拆成几个文件分别上传。")
        return Row(number, cells)

    def column(self, number, index):
        """Refuse content too far to the right, before anything is laid out up to there."""
        limit = self.limits.max_columns
        if index >= limit:
            place = f"第 {number} 行的 {column_letter(index)} 列"
            raise WorkbookError(f"{place}有内容，超出了 {limit} 列的上限。请删除右侧多余的内容后再上传。")

    def text(self, number, index, text):
        """The text as a cell value (None if empty); refuses what no spreadsheet cell can hold."""
        limit = self.limits.max_cell_chars
        if len(text) > limit:
            place = f"第 {number} 行 {column_letter(index)} 列"
            raise WorkbookError(f"{place}的内容超过 {limit:,} 个字。请检查这个单元格（文本文件请检查引号是否成对）。")
        return text or None


DAMAGED = "文件已损坏或不完整，无法读取。请用 Excel 或 WPS 打开后另存为 xlsx，再上传。"
ENCRYPTED = "文件有密码，请去掉密码后再上传。"
EMPTY = "文件里没有数据。请确认选对了文件，并且数据已经保存。"
TOO_MUCH_MEMORY = (
    "文件内容过大或过于分散，读取它需要的内存超过了上限。请只保留要导入的数据，另存为 xlsx 或 CSV 后再上传。"
)
TOO_SLOW = "读取文件用时过长，已停止。请只保留要导入的数据，另存为 xlsx 或 CSV 后再上传。"
