"""The faulty rows of an import as a workbook in the layout of the original file."""

from contextlib import ExitStack

from crm.excel import files
from crm.excel.error_workbook import write_errors
from crm.excel.resource import resource_for
from crm.models import ImportRow

FAULTY = (ImportRow.Kind.CONFLICT, ImportRow.Kind.ERROR)
BLOCK = 2000


def write(batch, path) -> int:
    """Write rows that were or would be refused to ``path``, in file order; gives how many. Reads the file again."""
    with ExitStack() as open_tables:
        (above, titles, rows), *beside = [
            _content(part, open_tables.enter_context(files.open_table(part))) for part in batch.parts
        ]
        sheets = [(resource_for(batch.lines.resource)._meta.sheet, *content) for content in beside]
        return write_errors(path, leading_rows=above, titles=titles, rows=rows, beside=sheets)


def _content(batch, table):
    """What stands above the rows of a sheet, its titles, its faulty rows."""
    above = []
    header = None
    for row in table.rows:
        if row.number < batch.header_row:
            above.append(row.cells)
        else:
            header = row
            break
    titles = list(header.cells) if header is not None and header.number == batch.header_row else batch.titles
    return above, titles, _faulty(batch, table.rows)


def _faulty(batch, rows):
    """``(row number, cells, reasons, bad columns)`` of the faulty rows, the problems fetched block by block."""
    wanted = _problems(batch)
    current = next(wanted, None)
    for row in rows:
        while current is not None and current[0] < row.number:
            current = next(wanted, None)
        if current is None:
            return
        if current[0] == row.number:
            problems = current[1]
            yield row.number, row.cells, [p["text"] for p in problems], {p["index"] for p in problems} - {None}


def _problems(batch):
    faulty = ImportRow.objects.filter(batch=batch).exclude(problems=[])
    last = 0
    while block := list(faulty.filter(number__gt=last).order_by("number").values_list("number", "problems")[:BLOCK]):
        last = block[-1][0]
        yield from block
