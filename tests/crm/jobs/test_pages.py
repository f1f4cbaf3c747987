"""Everybody sees the own jobs, their progress and their files, and nobody else's."""

import os
import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from crm import files, jobs
from crm.admin.jobs import spoken
from crm.models import Job, StoredFile, User
from tests.factories import make

pytestmark = pytest.mark.django_db
State = Job.State


@pytest.fixture(autouse=True)
def _own_folder(settings, tmp_path):
    settings.FILES_DIR = tmp_path / "files"


@pytest.fixture
def user():
    return make(User, is_staff=True)


@pytest.fixture
def browser(browse, user):
    return browse(user)


def url(page, job):
    return reverse(f"admin:crm_job_{page}", args=[job.pk])


def running(user, **values):
    return make(Job, user=user, state=State.RUNNING, started_at=timezone.now() - timedelta(seconds=60), **values)


def text(response):
    return response.content.decode()


def test_the_page_shows_how_far_the_job_is(browser, user):
    job = running(user, title="导入客户", done=250, total=1000, message="已导入 250 行")
    page = text(browser.get(url("change", job)))
    for words in ("导入客户", "进行中", "250 / 1000", "25%", "已导入 250 行", "3 分", "取消任务"):
        assert words in page
    assert re.search(r"1 分 \d+ 秒", page)
    assert "crm/jobs.js" in page


def test_what_the_page_asks_every_second(browser, user):
    job = running(user, done=250, total=1000, message="已导入 250 行")
    answer = browser.get(url("progress", job)).json()
    assert (answer["state"], answer["finished"], answer["percent"]) == ("进行中", False, 25)
    assert (answer["count"], answer["message"]) == ("250 / 1000", "已导入 250 行")
    assert answer["remaining"].startswith("3 分")


def test_a_finished_job_leads_to_its_result_and_stops_asking(browser, user):
    page = text(browser.get(url("change", make(Job, user=user, state=State.DONE, link="/imports/7/"))))
    assert "/imports/7/" in page and "100%" in page
    assert "crm/jobs.js" not in page and "取消任务" not in page


def test_a_failed_job_shows_its_message_and_never_the_traceback(browser, user):
    job = make(Job, user=user, state=State.FAILED, message="程序出错", error="Traceback secret")
    page, answer = browser.get(url("change", job)), browser.get(url("progress", job))
    assert "程序出错" in text(page) and answer.json()["message"] == "程序出错"
    assert "secret" not in text(page) + text(answer)


def test_a_job_that_nobody_takes_says_whom_to_ask(browser, user):
    job = make(Job, user=user, created_at=timezone.now() - timedelta(minutes=5))
    assert "联系管理员" in browser.get(url("progress", job)).json()["message"]


def test_cancelling_is_a_post(browser, user):
    job = running(user)
    assert browser.get(url("cancel", job)).status_code == 404
    assert browser.post(url("cancel", job)).status_code == 302
    job.refresh_from_db()
    assert job.cancel_requested
    assert "正在取消" in text(browser.get(url("change", job)))


@pytest.mark.parametrize("superuser", [False, True])
def test_other_peoples_jobs_do_not_exist(browse, user, superuser):
    job = running(user, title="别人的任务")
    stranger = browse(make(User, is_staff=True, is_superuser=superuser))
    for page in ("change", "progress", "cancel"):
        assert stranger.get(url(page, job)).status_code == 404
    assert stranger.post(url("cancel", job)).status_code == 404
    assert "别人的任务" not in text(stranger.get(reverse("admin:crm_job_changelist")))
    job.refresh_from_db()
    assert not job.cancel_requested


def test_the_list_shows_states_in_words(browser, user):
    running(user, title="导入客户", done=1, total=4)
    page = text(browser.get(reverse("admin:crm_job_changelist")))
    for words in ("导入客户", "进行中", "25%"):
        assert words in page


@pytest.mark.parametrize(
    ("seconds", "words"), [(None, ""), (7, "7 秒"), (130, "2 分 10 秒"), (3 * 3600 + 301, "3 小时 5 分")]
)
def test_durations_are_spoken(seconds, words):
    assert spoken(timedelta(seconds=seconds) if seconds is not None else None) == words


# --- Downloads -------------------------------------------------------------------------------------------------------


@pytest.fixture
def stored(user, tmp_path):
    path = tmp_path / "made.xlsx"
    path.write_bytes(b"PK workbook")
    return files.keep(path, user=user, name="客户 导出.xlsx", rows=3)


def test_a_kept_file_comes_back_as_an_attachment_under_its_name(browser, stored, tmp_path):
    response = browser.get(files.url_of(stored), headers={"Accept-Encoding": "gzip"})
    assert b"".join(response.streaming_content) == b"PK workbook"
    assert response["Content-Disposition"].startswith("attachment") and "%E5%AE%A2" in response["Content-Disposition"]
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Length"] == "11"
    assert "客户" not in stored.file and not (tmp_path / "made.xlsx").exists()


def test_a_job_offers_the_file_it_made(browser, user, stored):
    job = make(Job, user=user, state=State.DONE, result={"file": stored.pk})
    assert files.url_of(stored) in text(browser.get(url("change", job)))
    StoredFile.objects.update(expires_at=timezone.now())
    assert "已过期" in text(browser.get(url("change", job)))


@pytest.mark.parametrize("superuser", [False, True])
def test_other_peoples_files_do_not_exist(browse, stored, superuser):
    stranger = browse(make(User, is_staff=True, is_superuser=superuser))
    response = stranger.get(files.url_of(stored))
    assert response.status_code == 404
    assert "客户 导出" not in text(response)


def test_an_expired_file_is_refused_in_chinese_and_then_cleared(browser, stored):
    StoredFile.objects.update(expires_at=timezone.now())
    response = browser.get(files.url_of(stored))
    assert response.status_code == 404 and "保留期限" in text(response)
    assert [line.split("（")[0] for line in files.preview()] == ["客户 导出.xlsx"]


def test_clearing_removes_what_expired_with_its_file_and_leaves_the_rest(user, stored, tmp_path):
    (tmp_path / "old.xlsx").write_bytes(b"PK")
    old = files.keep(tmp_path / "old.xlsx", user=user, name="旧.xlsx")
    StoredFile.objects.filter(pk=old.pk).update(expires_at=timezone.now())
    orphan = files.folder() / "orphan"
    orphan.write_bytes(b"PK")
    fresh = files.folder() / "being-written"
    fresh.write_bytes(b"PK")
    os.utime(orphan, (0, 0))
    job = jobs.start("files.clear")
    jobs.execute(job.pk)
    job.refresh_from_db()
    assert (job.state, job.message) == (State.DONE, "清理了 1 个过期文件")
    assert list(StoredFile.objects.all()) == [stored]
    assert sorted(path.name for path in files.folder().iterdir()) == sorted([stored.file, "being-written"])
