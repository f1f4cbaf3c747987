"""What people do to records in the admin, noted while a request is answered and passed on when it has been.

The kernel notes views, edits, exports, reveals and downloads; who keeps them joins ``RECORDERS``. Whatever goes wrong
there is logged and never reaches the person.
"""

import logging
from dataclasses import dataclass

from django.db import models

from crm.registries import Registry

logger = logging.getLogger(__name__)

# asked with (user, ip, deeds) once a request has been answered
RECORDERS = Registry("what people do to records")


class Kind(models.TextChoices):
    VIEW = "view", "查看"
    EDIT = "edit", "修改"
    FOLLOW_UP = "follow_up", "跟进"
    EXPORT = "export", "导出"
    REVEAL = "reveal", "查看电话或密钥"
    DOWNLOAD = "download", "下载附件"
    OTHER = "other", "其他"


@dataclass(frozen=True)
class Deed:
    """``words`` say it in full; ``rows`` is how many records were taken out at once, ``obj`` None where it was many."""

    kind: str
    words: str
    model: type
    obj: models.Model | None = None
    rows: int = 1


def note(request, kind, words, *, obj=None, model=None, rows=1) -> None:
    """Remember that ``request.user`` did this; recorded if the request is answered without an error."""
    request.__dict__.setdefault("_deeds", []).append(Deed(kind, words, model or type(obj), obj, rows))


def pass_on(request, ip) -> None:
    """Hand what was noted to the recorders, each on its own."""
    deeds = request.__dict__.pop("_deeds", [])
    if not deeds or not request.user.is_authenticated:
        return
    for name, record in RECORDERS:
        try:
            record(request.user, ip, deeds)
        except Exception:
            logger.exception("%s did not record %s", name, [deed.words for deed in deeds])
