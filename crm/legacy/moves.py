"""Moving in as a person does it: stage and try, look at what would happen, load, look at what happened."""

import shutil
from pathlib import Path
from uuid import uuid4

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.utils import timezone

from crm import files, jobs
from crm.excel.columns import Column
from crm.excel.writer import write_xlsx
from crm.jobs import JobError
from crm.legacy import fieldmap, report, sources, tables
from crm.legacy.context import Context
from crm.legacy.load import KEPT_BACK, WORDS, run
from crm.legacy.staging import Staging
from crm.models import LegacyLoad
from crm.policies import policy_for
from crm.secrets import Secret

State = LegacyLoad.State
DONE = (State.CHECKED, State.LOADED)
LONGEST_CELL = 5000


class MoveRefused(ValueError):
    """The step makes no sense now; the message says why."""


def folder() -> Path:
    """Where staged rows wait: nobody else on the machine may read them, there are keys among them."""
    path = settings.FILES_DIR / "legacy"
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def begin(source, *, by, system="", name="", files="", strangers=False) -> LegacyLoad:
    """Stage ``source`` (a file that is ours from now on, a folder, or a ``mysql://`` address) and try it.

    ``system`` is found by the names of the tables unless it is given; ``files`` is the folder of its attachments; with
    ``strangers``, services of customers whom nobody knows make a customer of that name. Raises PermissionDenied,
    MoveRefused.
    """
    _require(by)
    if files and not Path(files).is_dir():
        raise MoveRefused(f"附件文件夹“{Path(files).name}”不存在，或不是文件夹。")
    options = {"files": str(Path(files).resolve()) if files else "", "strangers": strangers}
    load = LegacyLoad(system=system, source=name or sources.shown(source), user=by, options=options)
    load.staging = f"{uuid4().hex}.db"
    load.save()
    params = {"load": load.pk, "source": Secret.seal(str(source)).token}
    load.job = jobs.enqueue("legacy.try", by=by, title=f"试运行迁入：{load.source}"[:200], params=params)
    load.save()
    return load


def confirm(load, *, by) -> LegacyLoad:
    """Load what was tried. Raises PermissionDenied, MoveRefused."""
    _require(by)
    changed = LegacyLoad.objects.filter(pk=load.pk, state__in=DONE).update(state=State.LOADING)
    if not changed:
        raise MoveRefused("这次迁入还没有试运行完，或正在进行中。")
    load.refresh_from_db()
    load.job = jobs.enqueue(
        "legacy.load", by=by, title=f"迁入：{load.source}"[:200], params={"load": load.pk}, key=f"legacy:{load.pk}"
    )
    load.save()
    return load


def _require(by):
    if not policy_for(LegacyLoad).allows(by, "add"):
        raise PermissionDenied("没有从旧系统迁入的权限。")


def staging_of(load) -> Staging:
    return Staging(str(folder() / load.staging))


def run_try(job):
    """Job ``legacy.try``: read the source into the staging file, then try all of it without writing a record."""
    load = LegacyLoad.objects.get(pk=job.job.params["load"])
    source = Secret(job.job.params["source"]).open()
    path = folder() / load.staging
    for part in path.parent.glob(f"{path.name}*"):
        part.unlink()
    try:
        with staging_of(load) as staging:
            _update(load, state=State.STAGING, message="")
            sources.fill(staging, source, beat=lambda rows: job.beat(message=f"已读取 {rows} 行"))
            system = report.system_of(staging, load.system)
            _update(load, state=State.CHECKING, system=system)
            context = Context(load, staging, write=False)
            run(context, beat=job.beat)
            found = report.of(context)
            _update(load, state=State.CHECKED, report=found, workbook=_workbook(load, staging, job.user))
    except sources.SourceError as error:
        _update(load, state=State.FAILED, message=str(error)[:500])
        raise JobError(str(error)) from error
    finally:
        _discard(source)
    return {"message": "试运行完成，没有改动任何数据。", "link": _link(load), "file": load.workbook.pk}


def run_load(job):
    """Job ``legacy.load``: load the staged rows, from the checkpoint on, and reconcile."""
    load = LegacyLoad.objects.get(pk=job.job.params["load"])
    with staging_of(load) as staging:
        if not job.checkpoint:
            staging.forget_outcomes()
        context = Context(load, staging, write=True)
        run(context, job)
        found = report.of(context)
        workbook = _workbook(load, staging, job.user)
        _update(load, state=State.LOADED, report=found, workbook=workbook, finished_at=timezone.now())
    return {"message": "迁入完成，请核对对账表。", "link": _link(load), "file": workbook.pk}


def _workbook(load, staging, user):
    """Every row of which there is something to say, with what it said."""
    path = folder() / f"{uuid4().hex}.xlsx"
    columns = [Column(title, kind="text") for title in ("表", "行", "旧主键", "结果", "说明", "旧值")]
    rows = (
        [table, str(n), key, WORDS[outcome], reason, _told(row)]
        for table, n, key, outcome, reason, row in staging.told()
    )
    count = write_xlsx(path, columns, rows, sheet="对账明细")
    what = "试运行明细" if load.state == State.CHECKING else "对账明细"
    return files.keep(path, user=user, name=f"{what}-{load.pk}.xlsx", rows=count or 0)


def _told(row) -> str:
    """An old row as text, secrets left out."""
    values = {name: value for name, value in row.items() if value and fieldmap.plain(name) not in KEPT_BACK}
    return "；".join(f"{name}：{value}" for name, value in values.items())[:LONGEST_CELL]


def _discard(source):
    """An uploaded file is read once."""
    path = Path(source)
    if not source.startswith("mysql://") and path.parent == folder():
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _update(load, **values):
    LegacyLoad.objects.filter(pk=load.pk).update(**values)
    for name, value in values.items():
        setattr(load, name, value)


def _link(load):
    from django.urls import reverse

    return reverse("admin:crm_legacyload_change", args=[load.pk])


def file_folders() -> list[tuple[str, str]]:
    """The folders of old files that the page offers: those right below ``LEGACY_FILES_DIR``, links passed over."""
    root = settings.LEGACY_FILES_DIR
    found = (
        sorted(each.name for each in root.iterdir() if each.is_dir() and not each.is_symlink()) if root.is_dir() else []
    )
    return [("", "没有"), *((name, name) for name in found)]


def folder_named(name) -> str:
    """The path of one of ``file_folders``; blank for blank."""
    return str(settings.LEGACY_FILES_DIR / name) if name else ""


def systems() -> list[tuple[str, str]]:
    return [("", "自动识别"), *tables.systems().items()]
