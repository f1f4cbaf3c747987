"""From any workbook to our columns: header row, matched columns, and what was matched last time."""

import hashlib
from dataclasses import dataclass, field

from crm.excel import layout, reader
from crm.excel.files import path_of
from crm.models import ColumnMapping

PEEK_ROWS = 40
SAMPLES = 3


@dataclass
class Peek:
    """The top of a file: its sheets, the guessed header and the rows that follow it."""

    sheets: list
    sheet: str
    rows: list
    header_row: int
    titles: list[str]
    samples: list[list[str]] = field(default_factory=list)
    total: int = 0


def peek(batch, resource, user, *, sheet="", header_row=0) -> Peek:
    """Read the first rows of ``batch``. Raises WorkbookError when there is nothing to import."""
    path = path_of(batch)
    infos = [info for info in reader.sheets(path, batch.file_name) if not info.hidden]
    names = [info.name for info in infos]
    chosen = sheet if sheet in names else ""
    known = [word for words in resource.targets(user).values() for word in words]
    best = problem = None
    for info in infos if not chosen else [i for i in infos if i.name == chosen]:
        try:
            with reader.open_rows(path, filename=batch.file_name, sheet=info.name, limit=PEEK_ROWS) as stream:
                rows = list(stream)
        except reader.WorkbookError as error:  # another sheet may be sound
            problem = error
            continue
        if not rows:
            continue
        guess = layout.find_header(rows, known)
        hits = len(layout.match_columns(guess.titles, resource.targets(user)))
        rank = (rows[-1].number > guess.row_number, hits)
        if best is None or rank > best[0]:
            best = (rank, info, rows, guess)
        if chosen or len(infos) > 5:
            break
    if best is None:
        raise problem or reader.WorkbookError("文件里没有数据，请确认选择了正确的文件和工作表。")
    _, info, rows, guess = best
    number, titles = guess.row_number, list(guess.titles)
    if header_row and header_row != number:
        row = next((row for row in rows if row.number == header_row), None)
        if row is not None:
            number, titles = header_row, [_show(cell) for cell in row.cells]
    width = max((len(row.cells) for row in rows if row.number >= number), default=0)
    titles += [""] * (width - len(titles))
    following = [row.cells for row in rows if row.number > number]
    if not following and len(rows) < PEEK_ROWS:
        raise reader.WorkbookError(f"第 {number} 行表头的下面没有数据，请确认选择了正确的文件和工作表。")
    samples = [
        [shown for cells in following if index < len(cells) and (shown := _show(cells[index]))][:SAMPLES]
        for index in range(len(titles))
    ]
    return Peek(names, info.name, rows, number, titles, samples, total=info.rows or 0)


def _show(cell) -> str:
    if cell is None:
        return ""
    return str(getattr(cell, "text", None) or getattr(cell, "code", None) or cell)[:60].strip()


def shape_of(titles) -> str:
    """The fingerprint of a file's header, by which a mapping is remembered."""
    words = "\x00".join(layout.normalize_title(title) for title in titles)
    return hashlib.sha256(words.encode()).hexdigest()


def suggest(resource, user, titles) -> tuple[dict[str, str], dict]:
    """``{column index: field}`` and options: as the person matched this shape before, else by the words."""
    known = ColumnMapping.objects.filter(user=user, resource=resource.label, shape=shape_of(titles)).first()
    targets = resource.targets(user)
    if known is not None:
        return {index: name for index, name in known.mapping.items() if name in targets}, known.options
    return {str(index): name for index, name in layout.match_columns(titles, targets).items()}, {}


def remember(resource, user, titles, mapping, options) -> None:
    ColumnMapping.objects.update_or_create(
        user=user,
        resource=resource.label,
        shape=shape_of(titles),
        defaults={"mapping": mapping, "options": options},
    )
