"""The files of an old system, in a folder that somebody copied from its server."""

import os
import re
import unicodedata
from pathlib import Path, PurePosixPath

from crm.attachments import types, uploads
from crm.attachments.uploads import Refused


class Missing(ValueError):
    """There is no such file, or there are several; the message says which."""


class OldFiles:
    """Plain files below ``folder``. Links are passed over, and only what was found on the walk is ever opened: what an
    old row calls a path finds one of these or nothing."""

    def __init__(self, folder):
        self.places: dict[str, list[PurePosixPath]] = {}
        self.folder = Path(folder)
        for place, _, names in os.walk(self.folder):
            for name in names:
                path = Path(place) / name
                if path.is_file() and not path.is_symlink():
                    found = PurePosixPath(path.relative_to(self.folder).as_posix())
                    self.places.setdefault(_folded(name), []).append(found)

    def find(self, name, path="") -> Path:
        """The file that ``path`` of the old server means, else the one called ``name``. Of several of one name it is
        the one whose folders agree with ``path`` the furthest. Raises Missing."""
        asked = [_folded(part) for part in re.split(r"[\\/]+", path.split("?")[0]) if part not in ("", ".", "..")]
        for wanted in filter(None, [asked[-1:], [_folded(uploads.clean_name(name))]]):
            candidates = [(_shared(asked, place), place) for place in self.places.get(wanted[0], ())]
            if not candidates:
                continue
            most = max(shared for shared, _ in candidates)
            best = [place for shared, place in candidates if shared == most]
            if len(best) > 1:
                raise Missing(f"有 {len(best)} 个同名文件“{name or path}”，分不清是哪一个")
            return self.folder / best[0]
        raise Missing(f"文件夹里没有“{name or path}”")


def inspect(path, name) -> None:
    """What an upload of the file would say against it, without the scanner. Raises Refused."""
    name = uploads.clean_name(name)
    extension = uploads.check_outside(name, path.stat().st_size)
    try:
        types.verify(path, extension)
    except types.Mismatch as error:
        raise Refused(f"“{name}”没有上传：{error}") from error


def named(name, path) -> str:
    """``name`` with the extension of the file at ``path`` where it says none."""
    name = uploads.clean_name(name) or path.name
    return name if uploads.extension_of(name) else f"{name}{path.suffix}"


def _folded(name) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _shared(asked, place) -> int:
    """How many of the last parts of two paths are the same."""
    count = 0
    for ours, theirs in zip(reversed(asked), reversed([_folded(part) for part in place.parts]), strict=False):
        if ours != theirs:
            break
        count += 1
    return count
