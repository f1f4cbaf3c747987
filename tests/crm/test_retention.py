"""What is cleared at night, and what stays."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.urls import reverse
from django.utils import timezone

from crm import jobs
from crm.excel import files
from crm.models import ImportBatch, ImportRow, Job, User
from tests.factories import make

pytestmark = pytest.mark.django_db
State = ImportBatch.State
LONG_AGO = timedelta(days=31)


@pytest.fixture(autouse=True)
def folders(settings, tmp_path):
    settings.FILES_DIR, settings.IMPORT_DAYS, settings.JOB_DAYS = tmp_path, 30, 30


@pytest.fixture
def user():
    return make(User, is_superuser=True)


def batch(user, state, age=LONG_AGO, **values):
    """An import of three rows with its file."""
    name = f"{state}-{age.days}"
    (files.folder() / name).write_text("客户名称")
    made = ImportBatch.objects.create(
        resource="customers.Customer", user=user, state=state, file_name=f"{name}.csv", file=name, **values
    )
    ImportBatch.objects.filter(pk=made.pk).update(created_at=timezone.now() - age)
    ImportRow.objects.bulk_create(ImportRow(batch=made, number=n, kind=1, values={"name": "甲"}) for n in (2, 3, 4))
    return made


def cleared():
    job = jobs.start("data.clear")
    jobs.execute(job.pk)
    job.refresh_from_db()
    assert job.state == Job.State.DONE, job.error
    return job.message


def stored_files():
    return {path.name for path in files.folder().iterdir()}


def test_an_old_import_keeps_its_counts_and_loses_file_and_rows(user, browse):
    old = batch(user, State.APPLIED, counts={"new": 3, "outcome_applied": 3, "error": 1})
    assert cleared() == "清理了 0 个任务、1 次导入的文件"
    old.refresh_from_db()
    assert (old.counts["new"], old.file, old.rows.count(), stored_files()) == (3, "", 0, set())
    page = browse(user).get(reverse("admin:crm_importbatch_change", args=[old.pk])).content.decode()
    assert "只留有统计" in page and "下载错误行" not in page and "撤销这次导入" in page


def test_an_old_import_that_nobody_confirmed_goes_whole(user):
    batch(user, State.UPLOADED)
    batch(user, State.CHECKED)
    cleared()
    assert not ImportBatch.objects.exists() and not ImportRow.objects.exists() and not stored_files()


@pytest.mark.parametrize("state", [State.CHECKING, State.APPLYING, State.UNDOING])
def test_what_is_being_worked_on_is_left_however_old(user, state):
    working = batch(user, state)
    cleared()
    assert working.rows.count() == 3 and stored_files() == {working.file}


def test_what_is_younger_is_left(user):
    young = batch(user, State.APPLIED, age=timedelta(days=29))
    cleared()
    assert young.rows.count() == 3 and stored_files() == {young.file}


def test_finished_jobs_go_and_others_stay(user):
    ended = {
        state: Job.objects.create(kind="excel.check", title="检查", state=state, finished_at=timezone.now() - LONG_AGO)
        for state in (Job.State.DONE, Job.State.FAILED, Job.State.CANCELLED)
    }
    waiting = Job.objects.create(kind="excel.check", title="检查", created_at=timezone.now() - LONG_AGO)
    recent = Job.objects.create(kind="excel.check", title="检查", state="done", finished_at=timezone.now())
    kept = batch(user, State.APPLIED, age=timedelta(), job=ended[Job.State.DONE])
    assert cleared() == "清理了 3 个任务、0 次导入的文件"
    assert set(Job.objects.filter(kind="excel.check")) == {waiting, recent}
    kept.refresh_from_db()
    assert kept.job is None


def test_a_dry_run_names_what_would_go_and_removes_nothing(user):
    old = batch(user, State.APPLIED)
    out = StringIO()
    call_command("periodic", "data.clear", "--dry-run", stdout=out)
    assert "0 个 30 天以前结束的任务" in out.getvalue() and old.file_name in out.getvalue()
    assert old.rows.count() == 3 and stored_files() == {old.file}
