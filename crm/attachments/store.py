"""Where the files lie: ``FILES_DIR/attachments``, under random names in 256 folders, readable by the server alone.

``incoming`` holds uploads that are being checked, ``lost`` what no record names any more.
"""

import os
import secrets
import time
from datetime import timedelta
from pathlib import Path

from django.apps import apps
from django.conf import settings

DAY = timedelta(days=1).total_seconds()
LOST_DAYS = 30
PREVIEW, THUMBNAIL = ".preview", ".thumbnail"
INCOMING, LOST = "incoming", "lost"


def folder(name="") -> Path:
    root = Path(settings.FILES_DIR) / "attachments"
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    (root / name).mkdir(exist_ok=True)
    return root / name


def path_of(attachment, part="") -> Path:
    """The file of ``attachment``, or its ``PREVIEW`` or ``THUMBNAIL``; it may be missing after a bad restore."""
    return Path(settings.FILES_DIR) / "attachments" / attachment.file[:2] / (attachment.file + part)


def incoming() -> Path:
    """A path for an upload nobody has checked yet."""
    return folder(INCOMING) / secrets.token_hex(16)


def parts(path) -> list[Path]:
    """The file at ``path`` and the pictures made of it, as far as they exist."""
    return [part for part in (path.with_name(path.name + end) for end in ("", PREVIEW, THUMBNAIL)) if part.is_file()]


def place(path) -> str:
    """Move a checked upload to its place for good; gives the name to remember. Durable before it returns."""
    target = folder(path.name[:2])
    for part in parts(path):
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.chmod(0o600)
        part.rename(target / part.name)
    return path.name


def discard(path) -> None:
    for part in parts(path):
        part.unlink(missing_ok=True)


def models() -> list[type]:
    from crm.models import AttachmentBase

    return [model for model in apps.get_models() if issubclass(model, AttachmentBase)]


def half_done() -> list[Path]:
    """Uploads that were never finished: their process died more than a day ago."""
    return [path for path in folder(INCOMING).iterdir() if _older_than(path, DAY)]


def orphans() -> list[Path]:
    """Files that no record names, removed records included; a day old, so that no upload in progress is meant."""
    found = []
    for place in folder().iterdir():
        if not place.is_dir() or place.name in (INCOMING, LOST):
            continue
        old = [path for path in place.iterdir() if _older_than(path, DAY)]
        names = {path.name.partition(".")[0] for path in old}
        for model in models() if names else ():
            names -= set(model._base_manager.filter(file__in=names).values_list("file", flat=True))
        found += [path for path in old if path.name.partition(".")[0] in names]
    return found


def lose(path) -> None:
    """Put ``path`` aside for ``LOST_DAYS``: after the restore of an older database, it may be wanted back."""
    os.utime(path)
    path.rename(folder(LOST) / path.name)


def expired() -> list[Path]:
    return [path for path in folder(LOST).iterdir() if _older_than(path, LOST_DAYS * DAY)]


def _older_than(path, seconds) -> bool:
    try:
        return path.stat().st_mtime < time.time() - seconds
    except FileNotFoundError:
        return False
