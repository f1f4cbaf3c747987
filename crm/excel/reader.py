"""Reading workbooks that strangers made.

A file is opened in a guarded process of its own (`crm.excel.reading.child`), which streams the rows back; whatever the
file does there, the caller gets rows or a WorkbookError whose text is fit for the user. Safe in web requests, threads
and workers: no temporary files, no state, and nothing of the file is interpreted in this process.
"""

import fcntl
import json
import logging
import os
import select
import signal
import subprocess
import sys
import time
import weakref
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from crm.excel.reading import wire
from crm.excel.reading.values import (
    DAMAGED,
    LIMITS,
    TOO_MUCH_MEMORY,
    TOO_SLOW,
    CellError,
    Formula,
    Limits,
    Row,
    SheetInfo,
    WorkbookError,
    column_letter,
)

__all__ = [
    "LIMITS",
    "CellError",
    "Formula",
    "Limits",
    "Row",
    "Rows",
    "SheetInfo",
    "WorkbookError",
    "column_letter",
    "merged_ranges",
    "open_rows",
    "sheets",
]

_AHEAD = 1 << 20
_ROOT = Path(__file__).resolve().parents[2]
_log = logging.getLogger(__name__)


def sheets(path, filename=None, limits=LIMITS):
    """The worksheets of a file as list[SheetInfo] (one, named after the file, for delimited text).

    ``filename`` is the name the user gave it. Raises WorkbookError.
    """
    with _Child(limits, want="sheets", path=path, filename=filename) as child:
        return [SheetInfo(*info) for info in child.expect("sheets")]


def merged_ranges(path, *, filename=None, sheet=None, limits=LIMITS):
    """(first row, first column, last row, last column), counted from 1, of each merged range of a sheet.

    ``sheet`` as in `open_rows`; text and xlsb have none. Reads the file once more. Raises WorkbookError.
    """
    with _Child(limits, want="merged", path=path, filename=filename, sheet=sheet) as child:
        return child.expect("merged")


def open_rows(path, *, filename=None, sheet=None, limit=None, limits=LIMITS):
    """The rows of a sheet that hold something, as a `Rows`: iterate once, in a ``with`` block if you may stop early.

    ``sheet`` None is the first visible sheet with a row. At most ``limit`` rows. Raises WorkbookError here for a file
    that cannot be opened or holds nothing, and while iterating for what comes up later.
    """
    return Rows(_Child(limits, want="rows", path=path, filename=filename, sheet=sheet, limit=limit))


class Rows:
    """An iterator of Row; ``sheet`` is the name of the sheet they come from. Closing it ends the child."""

    def __init__(self, child):
        self._child = child
        try:
            self.sheet = child.expect("sheet")
        except BaseException:
            child.close()
            raise
        self._rows = _unpacked(child)

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._rows)

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.close()

    def close(self):
        self._rows.close()
        self._child.close()


def _unpacked(child):
    # Not a method: holding the Rows would keep the child alive when they are dropped.
    with child:
        while block := child.expect("rows", "end"):
            yield from map(wire.unpack, block)


class _Child:
    """The guarded process and the messages it sends."""

    def __init__(self, limits, **request):
        if not os.path.isfile(request["path"]):
            raise WorkbookError("文件不存在，可能已被清理。请重新上传。")
        request = {"filename": None, "sheet": None, "limit": None, **request, "limits": asdict(limits)}
        request["path"] = os.path.abspath(request["path"])
        self._seconds = limits.seconds
        # None of our environment (database password, secret key) is any business of a process that meets hostile files.
        environment = {key: os.environ[key] for key in ("PATH", "LD_LIBRARY_PATH", "LANG") if key in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "crm.excel.reading.child", json.dumps(request)],
            env={**environment, "PYTHONPATH": str(_ROOT)},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        self.close = weakref.finalize(self, _end, self._process)
        _widen(self._process.stdout)
        self._ready = select.poll()
        self._ready.register(self._process.stdout, select.POLLIN | select.POLLHUP)

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.close()

    def expect(self, *kinds):
        """The payload of the next message, which must be one of ``kinds``; WorkbookError for everything else."""
        deadline = time.monotonic() + self._seconds
        length = int.from_bytes(self._read(4, deadline), "big")
        kind, payload = wire.loads(self._read(length, deadline))
        if kind in kinds:
            return payload
        if kind == "error":
            raise WorkbookError(payload)
        _log.error("Reading a workbook failed:\n%s", payload)
        raise WorkbookError(DAMAGED)

    def _read(self, size, deadline):
        received = bytearray()
        while len(received) < size:
            if not self._ready.poll(max(deadline - time.monotonic(), 0) * 1000):
                self._process.kill()
                raise WorkbookError(TOO_SLOW)
            piece = os.read(self._process.stdout.fileno(), size - len(received))
            if not piece:
                raise WorkbookError(self._cause_of_death())
            received += piece
        return received

    def _cause_of_death(self):
        match -self._process.wait():
            case signal.SIGXCPU:
                return TOO_SLOW
            case signal.SIGABRT | signal.SIGKILL | signal.SIGSEGV | signal.SIGBUS:
                return TOO_MUCH_MEMORY
        return DAMAGED


def _widen(pipe):
    """Let the child read on while this process is busy with what it has, where the system allows it."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _AHEAD)


def _end(process):
    """End a child, wherever it is, and leave nothing of it."""
    process.kill()
    process.wait()
    process.stdout.close()
