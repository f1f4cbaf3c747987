"""What was only needed on the way goes after some days: finished jobs, uploaded files, the rows staged from them.

Records, versions and the business log stay, and so does the line of an import that wrote something, with its counts;
an import can be undone from the log as before. Downloads expire by themselves (``crm.files``).
"""

import time
from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.utils import timezone

from crm.excel import files
from crm.jobs import periodic
from crm.models import ImportBatch, ImportRow, Job, SubmittedForm

CHUNK = 5000
FORM_DAYS = 2  # so long a form of a new record may lie open and still make one only
State = ImportBatch.State
ABANDONED = (State.UPLOADED, State.CHECKED)
ENDED = (State.APPLIED, State.UNDONE, State.FAILED)


def old_jobs():
    """Finished jobs older than ``JOB_DAYS``."""
    finished = (Job.State.DONE, Job.State.FAILED, Job.State.CANCELLED)
    return Job.objects.filter(state__in=finished, finished_at__lt=_days_ago(settings.JOB_DAYS)).order_by("pk")


def old_imports():
    """Imports older than ``IMPORT_DAYS`` that still keep their file: ended ones, and those nobody confirmed."""
    batches = ImportBatch.objects.filter(
        created_at__lt=_days_ago(settings.IMPORT_DAYS), state__in=ABANDONED + ENDED, heads=None
    )
    return batches.filter(heads=None).exclude(state__in=ENDED, file="").order_by("pk")


def _days_ago(days):
    return timezone.now() - timedelta(days=days)


def preview() -> list[str]:
    lines = [f"{old_jobs().count()} 个 {settings.JOB_DAYS} 天以前结束的任务"]
    for batch in old_imports():
        what = "没有确认的导入" if batch.state in ABANDONED else "导入的原文件与逐行内容"
        lines.append(f"{what}：{batch.file_name}（{timezone.localtime(batch.created_at):%Y-%m-%d}）")
    return lines


@periodic("data.clear", title="清理旧任务与导入文件", daily="03:20", preview=preview)
def clear(run):
    """In small transactions, so that nobody waits; what is not done when it is stopped is due again the next day."""
    imports = 0
    for batch in old_imports():
        _clear_rows(run, batch)
        with run.chunk(done=run.done + 1):
            if batch.state in ABANDONED:
                batch.delete()
            else:
                ImportBatch.objects.filter(pk__in=[part.pk for part in batch.parts]).update(file="")
        files.discard(batch)
        imports += 1
    jobs = 0
    while keys := list(old_jobs().values_list("pk", flat=True)[:CHUNK]):
        with run.chunk(done=run.done + len(keys)):
            Job.objects.filter(pk__in=keys).delete()
        jobs += len(keys)
    _clear_stray_files()
    SubmittedForm.objects.filter(created_at__lt=_days_ago(FORM_DAYS)).delete()
    return {"message": f"清理了 {jobs} 个任务、{imports} 次导入的文件"}


def _clear_rows(run, batch):
    rows = ImportRow.objects.filter(batch__in=batch.parts).order_by("pk")
    while keys := list(rows.values_list("pk", flat=True)[:CHUNK]):
        with run.chunk(done=run.done):
            ImportRow.objects.filter(pk__in=keys)._raw_delete(connection.alias)


def _clear_stray_files():
    """Files whose upload died before it got a row."""
    known = set(ImportBatch.objects.exclude(file="").values_list("file", flat=True))
    for path in files.folder().iterdir():
        if path.name not in known and path.stat().st_mtime < time.time() - timedelta(days=1).total_seconds():
            path.unlink(missing_ok=True)
