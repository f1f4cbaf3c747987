"""Uploaded files on disk: random names outside the web root, opened by the guarded reader."""

import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from crm.excel import reader
from crm.excel.writer import restore


@dataclass
class Table:
    """The rows of one sheet as a stream, with the merged ranges that concern them."""

    rows: object
    merged: list[tuple[int, int, int, int]]


def folder() -> Path:
    path = Path(settings.FILES_DIR) / "imports"
    path.mkdir(parents=True, exist_ok=True)
    return path


def keep_upload(upload) -> str:
    """Store an uploaded file; gives its name in ``folder``. Raises WorkbookError when it is too large."""
    if upload.size > settings.IMPORT_MAX_BYTES:
        limit = settings.IMPORT_MAX_BYTES // 1024 // 1024
        raise reader.WorkbookError(
            f"文件有 {upload.size // 1024 // 1024} MB，超过上限 {limit} MB，请拆成几个文件后再导入。"
        )
    name = secrets.token_hex(16)
    with (folder() / name).open("wb") as file:
        for chunk in upload.chunks():
            file.write(chunk)
    return name


def path_of(batch) -> Path:
    return folder() / batch.file


@contextmanager
def open_table(batch, *, limit=None):
    """The sheet of ``batch`` as a ``Table``; leaving the block ends the reading child. Raises WorkbookError."""
    path, options = path_of(batch), {"filename": batch.file_name, "sheet": batch.sheet or None}
    merged = reader.merged_ranges(path, **options) if limit is None else []
    with reader.open_rows(path, limit=limit, **options) as rows:
        yield Table(_plain(batch, rows), [area for area in merged if area[2] > batch.header_row])


def _plain(batch, rows):
    """Rows with the escapes that our own csv exports put before formulas taken off again."""
    if Path(batch.file_name).suffix.lower() not in {".csv", ".tsv", ".txt"}:
        return rows
    return (
        row._replace(cells=[restore(cell) if isinstance(cell, str) else cell for cell in row.cells]) for row in rows
    )


def discard(batch) -> None:
    if batch.file:
        path_of(batch).unlink(missing_ok=True)
