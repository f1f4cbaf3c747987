"""Periodic work begins at its time in Asia/Shanghai, once after a standstill, and never twice at once."""

from datetime import datetime, timedelta
from html import unescape
from io import StringIO
from zoneinfo import ZoneInfo

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from django_q.models import OrmQ, Schedule
from django_q.scheduler import scheduler

from crm import jobs
from crm.jobs import registry, schedule
from crm.jobs.run import Run
from crm.models import Job
from customers.models import Tag

pytestmark = pytest.mark.django_db


@pytest.fixture
def night(monkeypatch):
    """Work that makes a tag every night at 02:05, the only periodic work there is."""
    monkeypatch.setattr(registry, "_periodic", {})
    monkeypatch.setattr(registry, "_handlers", {})

    @jobs.periodic("night", title="夜间工作", daily="02:05", preview=lambda: ["将新建 1 个标签"])
    def night(run):
        with run.chunk(done=1):
            Tag(name=f"标签{Tag.objects.count()}").save()
        return {"message": "新建 1 个标签"}

    schedule.sync_schedules()


def planned():
    return Schedule.objects.get(name="night")


def call(*args):
    out = StringIO()
    call_command("periodic", *args, stdout=out)
    return out.getvalue()


def test_daily_work_is_due_next_at_its_local_time(night):
    due = planned().next_run.astimezone(ZoneInfo("Asia/Shanghai"))
    assert (due.hour, due.minute, due.second) == (2, 5, 0)
    assert timedelta() < due - timezone.now() <= timedelta(days=1)


def test_migrating_again_leaves_the_schedule_alone(night):
    Schedule.objects.update(next_run=planned().next_run - timedelta(days=3))
    before = planned().next_run
    schedule.sync_schedules()
    assert planned().next_run == before


def test_a_new_time_in_the_code_moves_the_schedule_and_work_that_is_gone_leaves_it(night):
    jobs.periodic("night", title="夜间工作", daily="23:30", preview=list)(print)
    jobs.periodic("often", title="常做", minutes=5, preview=list)(print)
    schedule.sync_schedules()
    assert timezone.localtime(planned().next_run).strftime("%H:%M") == "23:30"
    assert Schedule.objects.get(name="often").minutes == 5
    del registry._periodic["night"]
    schedule.sync_schedules()
    assert list(Schedule.objects.filter(func=schedule.START).values_list("name", flat=True)) == ["often"]


@pytest.mark.django_db(transaction=True)
def test_what_came_due_during_a_standstill_is_done_once(night):
    Schedule.objects.update(next_run=planned().next_run - timedelta(days=10))
    scheduler()
    scheduler()
    (message,) = [entry.task for entry in OrmQ.objects.all()]
    assert (message["func"], message["args"]) == ("crm.jobs.start", ("night",))
    assert planned().next_run > timezone.now()
    assert timezone.localtime(planned().next_run).strftime("%H:%M") == "02:05"


def test_a_run_that_is_not_over_is_not_begun_again(night):
    first = jobs.start("night")
    Run.take(first.pk)
    assert jobs.start("night") == first
    Job.objects.filter(pk=first.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    jobs.execute(first.pk)
    assert jobs.start("night") != first


def test_the_command_does_the_work_now(night):
    assert "新建 1 个标签" in call("night")
    assert Tag.objects.count() == 1


def test_the_dry_run_says_what_would_be_done_and_changes_nothing(night):
    assert call("night", "--dry-run").strip() == "将新建 1 个标签"
    assert not Tag.objects.exists() and not Job.objects.exists()


def test_the_command_lists_what_there_is(night):
    assert call().split() == ["night", "每天", "02:05", "夜间工作"]
    with pytest.raises(CommandError, match="没有定时任务“other”，可选：night"):
        call("other")


def test_the_command_fails_when_the_work_does(night, monkeypatch):
    def fail(run):
        raise jobs.JobError("磁盘已满。")

    monkeypatch.setitem(registry._handlers, "night", registry.Handler("夜间工作", fail))
    with pytest.raises(CommandError, match="磁盘已满"):
        call("night")


def test_every_registered_work_has_a_dry_run_that_changes_nothing():
    for work in registry.all_periodic().values():
        before = Job.objects.count()
        assert all(isinstance(line, str) for line in work.preview())
        assert Job.objects.count() == before


def test_a_time_that_has_passed_today_means_tomorrow(night):
    work = registry.all_periodic()["night"]
    due = schedule._next_run(work)
    assert due.date() in {timezone.localdate(), timezone.localdate() + timedelta(days=1)}
    assert due.time() == work.daily and due > datetime.now(due.tzinfo)


# --- The administrator's page -----------------------------------------------------------------------------------------


def page(browser, path=""):
    return unescape(browser.get(f"/periodic/{path}").content.decode())


def test_the_administrator_sees_when_each_work_is_due_and_how_it_went(night, person, browse):
    browser = browse(person("管理员"))
    assert "夜间工作" in page(browser) and "每天 02:05" in page(browser) and "还没有执行过" in page(browser)
    assert timezone.localtime(planned().next_run).strftime("%Y-%m-%d 02:05") in page(browser)
    call("night")
    assert "已完成" in page(browser) and "新建 1 个标签" in page(browser)


def test_a_failure_is_shown_without_the_inner_workings(night, person, browse, monkeypatch):
    def fail(run):
        raise ZeroDivisionError("secret detail")

    monkeypatch.setitem(registry._handlers, "night", registry.Handler("夜间工作", fail))
    jobs.execute(jobs.start("night").pk)
    shown = page(browse(person("管理员")))
    assert "失败" in shown and "secret detail" not in shown


def test_a_dry_run_is_read_before_the_work_is_begun_by_hand(night, person, browse):
    browser = browse(person("管理员"))
    assert "将新建 1 个标签" in page(browser, "night/")
    assert not Job.objects.exists()
    assert "已交给后台执行" in unescape(browser.post("/periodic/night/", follow=True).content.decode())
    browser.post("/periodic/night/")
    jobs.execute(Job.objects.get().pk)
    assert Tag.objects.count() == 1


def test_nobody_else_sees_or_begins_it(night, person, browse):
    for role in ("销售总监", "审计", "财务"):
        browser = browse(person(role))
        assert "/periodic/" not in browser.get("/").content.decode()
        for path in ("/periodic/", "/periodic/night/"):
            assert browser.get(path).status_code == 403
        assert browser.post("/periodic/night/").status_code == 403
    assert "/login/" in browse().get("/periodic/")["Location"]
    assert not Job.objects.exists()
    assert browse(person("管理员")).get("/periodic/other/").status_code == 404


def test_the_page_stands_in_the_administrators_sidebar(person, browse):
    assert 'href="/periodic/"' in browse(person("管理员")).get("/").content.decode()
