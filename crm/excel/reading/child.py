"""The guarded process that opens what users upload: ``python -m crm.excel.reading.child '{"path": …}'``.

It answers on standard output with the messages of `wire`, and dies rather than pass its limits of memory and processor
time. It imports no Django, writes no file and keeps no core dump.
"""

import gc
import json
import os
import resource
import struct
import sys
import traceback
import zipfile
import zlib
from itertools import chain, islice
from xml.parsers import expat

from crm.excel.reading import detect, wire
from crm.excel.reading.binary import open_xls, open_xlsb
from crm.excel.reading.delimited import Delimited
from crm.excel.reading.ods import Ods
from crm.excel.reading.values import DAMAGED, EMPTY, ENCRYPTED, MIB, TOO_MUCH_MEMORY, Limits, WorkbookError
from crm.excel.reading.xlsx import Xlsx

_BLOCK = 1 << 16
_LONGEST_ROW = 8 * MIB
_XML_NO_MEMORY = expat.errors.codes[expat.errors.XML_ERROR_NO_MEMORY]
_DAMAGE = zipfile.BadZipFile, zlib.error, expat.ExpatError, EOFError, UnicodeError, struct.error, NotImplementedError


def main(request):
    limits = Limits(**request["limits"])
    # Rows hold nothing that refers back to them: collecting cycles would cost a tenth of the time for nothing.
    gc.disable()
    _restrict(limits)
    # calamine says more about its troubles than anybody listens to.
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    try:
        for kind, payload in _reply(request, limits):
            wire.send(answer, kind, payload)
            _allow_seconds(limits)
        wire.send(answer, "end", None)
    except BrokenPipeError:
        os._exit(0)
    except BaseException as error:
        kind, payload = _explain(error)
        wire.send(answer, kind, payload)


def _reply(request, limits):
    source = _open(request["path"], request["filename"], limits)
    if request["want"] == "sheets":
        yield "sheets", [(sheet.name, sheet.rows, sheet.columns, sheet.hidden) for sheet in source.sheets()]
        return
    name, rows = _filled(source, request["sheet"])
    if request["want"] == "merged":
        yield "merged", source.merged(name)
    else:
        yield from _blocks(name, rows, request["limit"])


def _open(path, filename, limits):
    kind = detect.kind(path, limits)
    if kind == detect.TEXT:
        return Delimited(path, filename, limits)
    if kind == detect.COMPOUND:
        return open_xls(path, limits)
    archive = detect.open_archive(path, limits)
    match detect.archive_kind(archive):
        case "ods":
            return Ods(archive, limits)
        case "xlsb":
            return open_xlsb(path, archive, limits)
    return Xlsx(archive, limits)


def _blocks(name, rows, limit):
    """The name of the sheet, then its rows in messages of about 64 KiB."""
    yield "sheet", name
    block, size = [], 0
    for row in islice(rows, limit):
        packed = wire.pack(row)
        if len(packed) > _LONGEST_ROW:
            raise WorkbookError(f"第 {row.number} 行的内容过长，无法读取。请缩短这一行后再上传。")
        block.append(packed)
        size += len(packed)
        if size > _BLOCK:
            yield "rows", block
            block, size = [], 0
    yield "rows", block


def _filled(source, asked):
    """(name, rows) of the sheet asked for; else of the first a user sees (or any, if all are hidden) that has a row."""
    names = [name for name, hidden in source.hidden.items() if not hidden] or list(source.hidden)
    if asked is not None:
        if asked not in source.hidden:
            raise WorkbookError(f"找不到工作表“{asked}”。文件里有：{'、'.join(names[:10])}。")
        names = [asked]
    for name in names:
        rows = source.rows(name)
        if first := next(rows, None):
            return name, chain([first], rows)
    raise WorkbookError(EMPTY if asked is None else f"工作表“{asked}”里没有数据。请选择别的工作表。")


def _restrict(limits):
    for what, amount in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        _soft, hard = resource.getrlimit(what)
        amount = amount if hard == resource.RLIM_INFINITY else min(amount, hard)
        resource.setrlimit(what, (amount, amount))
    _allow_seconds(limits)


def _allow_seconds(limits):
    """Processor time until the next block: a long file may take long, one that gets nowhere may not."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + limits.seconds, hard))


def _explain(error):
    """The message for the parent: a sentence for the user, or the traceback of what nobody expected."""
    if isinstance(error, WorkbookError):
        return "error", str(error)
    out_of_memory = isinstance(error, expat.ExpatError) and error.code == _XML_NO_MEMORY
    if out_of_memory or isinstance(error, MemoryError):
        return "error", TOO_MUCH_MEMORY
    if type(error).__name__ == "PasswordError":
        return "error", ENCRYPTED
    foreign = type(error).__module__.partition(".")[0] in ("python_calamine", "pyo3_runtime")
    if foreign or isinstance(error, _DAMAGE):
        return "error", DAMAGED
    return "crash", "".join(traceback.format_exception(error))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
