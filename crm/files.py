"""Files made for one person to download: kept under random names outside the web root, gone after some days."""

import secrets
import shutil
import time
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.http import FileResponse
from django.urls import reverse
from django.utils import timezone

from crm.jobs import periodic
from crm.models import StoredFile
from crm.policies import policy_for

DAY = timedelta(days=1).total_seconds()


def folder() -> Path:
    path = Path(settings.FILES_DIR) / "downloads"
    path.mkdir(parents=True, exist_ok=True)
    return path


def path_of(stored) -> Path:
    return folder() / stored.file


def keep(path, *, user, name, rows=0) -> StoredFile:
    """Move the finished file at ``path`` to where ``user`` may download it as ``name`` for ``DOWNLOAD_DAYS`` days."""
    random_name = secrets.token_hex(16)
    target = Path(shutil.move(path, folder() / random_name))
    target.chmod(0o600)
    return StoredFile.objects.create(
        user=user,
        name=name,
        file=random_name,
        size=target.stat().st_size,
        rows=rows,
        expires_at=timezone.now() + timedelta(days=settings.DOWNLOAD_DAYS),
    )


def url_of(stored) -> str:
    return reverse("admin:download", args=[stored.pk])


def find(user, pk) -> StoredFile | None:
    """The file if it is this person's and still there."""
    stored = policy_for(StoredFile).visible_to(user).filter(pk=pk, expires_at__gt=timezone.now()).first()
    return stored if stored is not None and path_of(stored).is_file() else None


def response(stored) -> FileResponse:
    """The file as an attachment, streamed."""
    answer = FileResponse(path_of(stored).open("rb"), as_attachment=True, filename=stored.name)
    # keeps the compressing middleware away: workbooks are compressed, and the browser wants the length
    answer["Content-Encoding"] = "identity"
    return answer


def expired():
    return StoredFile.objects.filter(expires_at__lte=timezone.now()).order_by("pk")


def preview() -> list[str]:
    return [
        f"{stored.name}（{stored.size} 字节，{timezone.localtime(stored.expires_at):%Y-%m-%d} 到期）"
        for stored in expired()
    ]


@periodic("files.clear", title="清理过期的下载文件", daily="03:10", preview=preview)
def clear(run):
    """Rows and files that expired, and files that never got a row because their job died."""
    removed = 0
    while batch := list(expired()[:500]):
        with run.chunk(done=run.done + len(batch)):
            StoredFile.objects.filter(pk__in=[stored.pk for stored in batch]).delete()
        for stored in batch:
            path_of(stored).unlink(missing_ok=True)
        removed += len(batch)
    known = set(StoredFile.objects.values_list("file", flat=True))
    for path in folder().iterdir():
        if path.name not in known and path.stat().st_mtime < time.time() - DAY:
            path.unlink(missing_ok=True)
    return {"message": f"清理了 {removed} 个过期文件"}
