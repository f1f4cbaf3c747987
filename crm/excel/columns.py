"""What a column of a workbook is, for writers, templates and readers alike."""

from dataclasses import dataclass
from math import ceil
from unicodedata import east_asian_width

BOOLEAN = ("是", "否")
REQUIRED_MARK = "*"

NUMBER_FORMATS = {
    "integer": "0",
    "decimal": "#,##0.00####",
    "percent": "0.00%",
    "date": "yyyy-mm-dd",
    "datetime": "yyyy-mm-dd hh:mm:ss",
}
# Under the text format a cell stays what was typed, also when somebody presses F2 and Enter on it:
# 0001 keeps its zeros, an 18-digit number its digits, and =1+1 stays a text.
TEXT_FORMAT = "@"

LINE_HEIGHT = 15  # points

_WIDTHS = {
    "integer": 12,
    "decimal": 16,
    "percent": 10,
    "date": 12,
    "datetime": 20,
    "choice": 14,
    "multichoice": 24,
    "boolean": 8,
}
_FILTER_BUTTON = 4
_WIDEST_TEXT = 36


def display_width(text):
    """Characters of a fixed-width font that `text`, a single line, takes: a Chinese character takes two."""
    return sum(2 if east_asian_width(char) in "WF" else 1 for char in text)


def row_height(texts, widths):
    """Height in points at which wrapped `texts` in columns of `widths` characters can be read, at most Excel's 409.

    Excel finds it by itself only where no cells are merged, LibreOffice not at all.
    """
    lines = [
        sum(max(1, ceil(display_width(line) / (width - 1))) for line in text.split("\n"))
        for text, width in zip(texts, widths, strict=True)
    ]
    return min(409, 4 + LINE_HEIGHT * max(lines))


@dataclass(frozen=True)
class Column:
    """One column: its Chinese header and what its cells hold.

    kind: text, integer, decimal, percent (a fraction: 0.13 reads 13%), date, datetime, choice, multichoice, boolean.
    width: in characters; left out, it follows from kind, `max_length` and header.
    """

    name: str
    kind: str = "text"
    required: bool = False
    help: str = ""
    example: str = ""
    choices: tuple[str, ...] = ()
    width: int | None = None
    max_length: int | None = None

    @property
    def number_format(self):
        return NUMBER_FORMATS.get(self.kind, TEXT_FORMAT)

    @property
    def is_text(self):
        return self.number_format == TEXT_FORMAT

    @property
    def options(self):
        """The values that a cell may take, empty where it may take any."""
        return BOOLEAN if self.kind == "boolean" else self.choices

    @property
    def template_header(self):
        """The header in a template: required columns carry a mark, which readers drop when they match headers."""
        return self.name + REQUIRED_MARK if self.required else self.name

    @property
    def display_width(self):
        """Width in characters at which header and usual contents are readable, without looking at any row."""
        if self.width:
            return self.width
        usual = _WIDTHS.get(self.kind) or min(_WIDEST_TEXT, 12 + (self.max_length or 40) // 5)
        return max(usual, display_width(self.template_header) + _FILTER_BUTTON)
