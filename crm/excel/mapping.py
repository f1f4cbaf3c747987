"""From any workbook to our columns: header row, matched columns, and what was matched last time."""

import hashlib
from dataclasses import dataclass, field

from crm.excel import layout, reader
from crm.excel.files import path_of
from crm.excel.resource import resource_for
from crm.models import ColumnMapping, ImportBatch

PEEK_ROWS = 40
SAMPLES = 3
MOST_SHEETS = 5  # are looked into for the one to import


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


def peek(batch, resource, user, *, sheet="", header_row=0, beside="") -> Peek:
    """Read the first rows of ``batch``. Raises WorkbookError when there is nothing to import.

    ``beside`` is the sheet with the lines: it is no candidate, and with it there may be heads or not.
    """
    path = path_of(batch)
    infos = sheets_of(batch)
    names = [info.name for info in infos]
    chosen = sheet if sheet in names else ""
    known = [word for words in resource.targets(user).values() for word in words]
    best = problem = None
    for info in [i for i in infos if (i.name == chosen if chosen else i.name != beside)]:
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
        rank = (bool(beside) or rows[-1].number > guess.row_number, hits)
        if best is None or rank > best[0]:
            best = (rank, info, rows, guess)
        if chosen or len(infos) > MOST_SHEETS:
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
    if not following and not beside and len(rows) < PEEK_ROWS:
        raise reader.WorkbookError(f"第 {number} 行表头的下面没有数据，请确认选择了正确的文件和工作表。")
    samples = [
        [shown for cells in following if index < len(cells) and (shown := _show(cells[index]))][:SAMPLES]
        for index in range(len(titles))
    ]
    return Peek(names, info.name, rows, number, titles, samples, total=info.rows or 0)


def sheets_of(batch) -> list:
    """The sheets of the file that its maker sees."""
    return [info for info in reader.sheets(path_of(batch), batch.file_name) if not info.hidden]


def find_lines(batch, resource, user) -> Peek | None:
    """The sheet with the lines of ``resource``: the one of their name, else one that says more of lines than of heads.

    None where the file has one sheet only (csv), or none that is like it.
    """
    lines = resource.lines and resource.lines()
    infos = sheets_of(batch) if lines else []
    if len(infos) < 2 or not lines.policy.allows(user, "view"):
        return None
    named = [info for info in infos if layout.normalize_title(info.name) == lines._meta.sheet]
    for info in named or infos[:MOST_SHEETS]:
        try:
            found = peek(batch, lines, user, sheet=info.name)
        except reader.WorkbookError:  # empty, or nothing below the header
            continue
        matched = layout.match_columns(found.titles, lines.targets(user))
        of_heads = layout.match_columns(found.titles, resource.targets(user))
        if named or ("head" in matched.values() and len(matched) > len(of_heads)):
            return found
    return None


def _show(cell) -> str:
    if cell is None:
        return ""
    return str(getattr(cell, "text", None) or getattr(cell, "code", None) or cell)[:60].strip()


def shape_of(titles) -> str:
    """The fingerprint of a file's header, by which a mapping is remembered."""
    words = "\x00".join(layout.normalize_title(title) for title in titles)
    return hashlib.sha256(words.encode()).hexdigest()


def take(batch, found, user) -> None:
    """Let ``batch`` be the sheet that was ``found``, its columns matched as far as they are known; not saved."""
    batch.sheet, batch.header_row, batch.titles = found.sheet, found.header_row, found.titles
    batch.counts = {"rows": found.total}
    batch.mapping, options = suggest(resource_for(batch.resource), user, found.titles)
    batch.options = options | batch.options


def take_lines(batch, found, user) -> None:
    """Let the sheet that was ``found`` be the one with the lines of ``batch``."""
    lines = resource_for(batch.resource).lines()
    part = getattr(batch, "lines", None) or ImportBatch(heads=batch, resource=lines.label, user=user)
    part.file_name, part.file, part.created_at = batch.file_name, batch.file, batch.created_at
    take(part, found, user)
    part.save()


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
