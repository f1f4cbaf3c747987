"""How rows travel from the guarded child to its parent.

marshal carries plain values at a tenth of the cost of parsing; dates, errors and formulas are spelled out beside the
row as plain values and put back by the parent.
"""

import marshal
from datetime import date, datetime, time
from types import NoneType

from crm.excel.reading.values import CellError, Formula, Row

PLAIN = frozenset({NoneType, str, int, float, bool})
# Version 2 has no back references: twice as fast, and nothing in a row refers to anything.
VERSION = 2
# Only what our own child wrote is loaded, and never run.
loads = marshal.loads


def pack(row):
    """Bytes of a row."""
    number, cells = row
    special = []
    if not PLAIN.issuperset(map(type, cells)):
        special = [(index, _flatten(cell)) for index, cell in enumerate(cells) if type(cell) not in PLAIN]
        cells = cells.copy()
        for index, _flat in special:
            cells[index] = None
    return marshal.dumps((number, cells, special), VERSION)


def unpack(data):
    """The row that ``pack`` was given."""
    number, cells, special = loads(data)
    for index, flat in special:
        cells[index] = _restore(flat)
    return Row(number, cells)


def _flatten(cell):
    if type(cell) in PLAIN:
        return cell
    if isinstance(cell, Formula):
        return "formula", cell.text, _flatten(cell.value)
    if isinstance(cell, CellError):
        return "error", cell.code
    return type(cell).__name__, cell.isoformat()


def _restore(flat):
    if type(flat) is not tuple:
        return flat
    match flat:
        case "formula", text, value:
            return Formula(text, _restore(value))
        case "error", code:
            return CellError(code)
        case "date", text:
            return date.fromisoformat(text)
        case "datetime", text:
            return datetime.fromisoformat(text)
        case "time", text:
            return time.fromisoformat(text)
    raise ValueError(flat)


def send(stream, kind, payload):
    """Write one message: its length in four bytes, then the message."""
    message = marshal.dumps((kind, payload), VERSION)
    stream.write(len(message).to_bytes(4, "big") + message)
    stream.flush()
