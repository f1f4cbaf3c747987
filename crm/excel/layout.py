"""Where a sheet that nobody here made has its header, and which of our columns its titles mean."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from statistics import median

from crm.excel.reading.values import Formula, Row

_LOOK_AT = 40
_LONGEST_TITLE = 40
_NOTE = re.compile(r"[(\[{<【〔「『][^)\]}>】〕」』]*[)\]}>】〕」』]")
_NOISE = re.compile(r"[\W_]+")
_REQUIRED = re.compile(r"[必选]填项?|(?:required|optional)\s*$")
_VALUE = re.compile(
    r"[-+\d.,%$¥￥/:\s年月日时分秒]*\d[-\d.,%/:\s年月日时分秒]*|\S+@\S+\.\S+|https?://\S+", re.IGNORECASE
)
# What may stand before or after a title without changing what it means.
_BEFORE = {"客户", "公司", "企业", "单位", "主要", "customer", "company", "client", "account"}
_AFTER = {"号", "号码", "名称", "姓名", "信息", "1", "no", "number", "name"}


@dataclass(frozen=True)
class HeaderGuess:
    """Where the header is: rows as numbered in `Row`, ``first_data_row`` None without data.

    ``titles`` go from column A on, "" where there is none. ``confidence`` is 0 to 1; below 0.5 ask the user.
    """

    row_number: int
    titles: list[str]
    confidence: float
    first_data_row: int | None


def normalize_title(title):
    """A title for comparison: width and case folded, without stars, blanks, punctuation, notes in brackets and 必填.

    ``＊客户名称（必填）`` → ``客户名称``; a title that is nothing but a note keeps its text.
    """
    text = unicodedata.normalize("NFKC", str(title)).casefold()
    bare = _NOISE.sub("", _REQUIRED.sub("", _NOTE.sub("", text)))
    return bare or _NOISE.sub("", text)


def find_header(rows: list[Row], known: Iterable[str] = ()) -> HeaderGuess:
    """The row that names the columns, judged from the first rows of a sheet.

    It is wide, holds different short texts and no values, and stands above rows that do; titles among ``known`` (our
    column names and their synonyms) speak for it. A header in two rows is joined (电话 under 联系人 is 联系人电话),
    unless the lower title is known by itself. Raises ValueError for no rows.
    """
    if not rows:
        raise ValueError("no rows")
    rows = rows[:_LOOK_AT]
    known = {normalize_title(title) for title in known}
    scores = [_score(rows, position, known) for position in range(len(rows))]
    top = bottom = scores.index(max(scores))
    for upper in (top, top - 1):
        if upper >= 0 and _two_rows(rows[upper : upper + 3]):
            top, bottom = upper, upper + 1
            break
    titles = _texts(rows[top])
    if bottom > top:
        titles = _joined(titles, _texts(rows[bottom]), known)
    data = rows[bottom + 1].number if bottom + 1 < len(rows) else None
    return HeaderGuess(rows[top].number, titles, round(max(scores), 2), data)


def match_columns(titles: list[str], targets: Mapping[str, Iterable[str]]) -> dict[int, str]:
    """{column: target} for the titles that mean one of the targets; each target at most once.

    ``targets``: name of a target → the titles it goes by. Equal titles (normalised) come first, the leftmost column
    wins; then titles that differ by a harmless word (客户, 号码) or a typing error. What may mean two is left out.
    """
    keys = {column: key for column, title in enumerate(titles) if (key := normalize_title(title))}
    names = {target: {normalize_title(name) for name in synonyms} for target, synonyms in targets.items()}
    matched = {}
    for same in (_equal, _alike):
        free = {target: keys for target, keys in names.items() if target not in matched.values()}
        for column, key in keys.items():
            meant = [target for target, synonyms in free.items() if any(same(key, name) for name in synonyms)]
            if len(meant) == 1 and column not in matched:
                matched[column] = meant[0]
                del free[meant[0]]
    return dict(sorted(matched.items()))


def _score(rows, position, known):
    """How much a row looks like a header, 0 to 1; of equals the upper one counts a little more."""
    cells = [cell for cell in _cells(rows[position]) if _text(cell)]
    if not cells:
        return 0
    below = rows[position + 1 : position + 21]
    keys = [normalize_title(_text(cell)) for cell in cells]
    width = median(sum(cell is not None for cell in row.cells) for row in below) if below else len(cells)
    # Some columns may go without a title; titles and instructions above the header fill far fewer.
    coverage = min(1, len(cells) / (0.7 * width))
    different = min(1, 1.2 * len(set(keys)) / len(keys))
    shape = coverage * different * sum(map(_like_title, cells)) / len(cells)
    values_below = any(not _like_title(cell) for row in below for cell in _cells(row) if _text(cell))
    recognised = coverage * sum(key in known for key in keys) / len(keys)
    return min(1, max(0, 0.6 * shape + 0.2 * shape * values_below + 0.6 * recognised - 0.005 * position))


def _two_rows(rows):
    """Do the first two rows together name every column, each filling gaps of the other, above a row that fills both?"""
    if len(rows) < 3:
        return False
    upper, lower, data = map(_texts, rows)
    width = max(len(upper), len(lower))
    upper, lower, data = ([*row, *[""] * (width - len(row))] for row in (upper, lower, data))
    titles = [cell for row in rows[:2] for cell in _cells(row) if _text(cell)]
    return (
        all(above or below for above, below in zip(upper, lower, strict=True))
        and any(below and not above for above, below in zip(upper, lower, strict=True))
        and any(value and not below for value, below in zip(data, lower, strict=False))
        and all(map(_like_title, titles))
    )


def _joined(upper, lower, known):
    width, group, titles = max(len(upper), len(lower)), "", []
    for above, below in zip_longest(upper, lower, fillvalue=""):
        group = above or group
        titles.append((below if normalize_title(below) in known else group + below) if below else above)
    return titles[:width]


def _cells(row):
    """The cells as shown: of a formula its value."""
    return [cell.value if isinstance(cell, Formula) else cell for cell in row.cells]


def _texts(row):
    return [_text(cell) for cell in _cells(row)]


def _text(cell):
    """The cell as a title in one line."""
    return "" if cell is None else " ".join(str(cell).split())


def _like_title(cell):
    return isinstance(cell, str) and len(cell) <= _LONGEST_TITLE and not _VALUE.fullmatch(cell.strip())


def _equal(key, name):
    return key == name


def _alike(key, name):
    short, long = sorted((key, name), key=len)
    if long.endswith(short) and long[: -len(short)] in _BEFORE:
        return True
    if long.startswith(short) and long[len(short) :] in _AFTER:
        return True
    # A typing error. Numbers in titles (电话1, 电话2) are never one.
    same_numbers = re.findall(r"\d+", key) == re.findall(r"\d+", name)
    return same_numbers and len(short) > 5 and SequenceMatcher(None, key, name).ratio() > 0.9
