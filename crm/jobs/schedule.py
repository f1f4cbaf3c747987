"""Periodic work: the library's schedules in Asia/Shanghai, each run a job of its own."""

from datetime import datetime, timedelta

from django.utils import timezone
from django_q.models import Schedule

from crm.jobs.queue import enqueue
from crm.jobs.registry import Periodic, all_periodic
from crm.models import Job

START = "crm.jobs.start"


def start(name) -> Job:
    """Begin the periodic work ``name``; while the previous run is unfinished, that one is given."""
    return enqueue(name, by=None, key=f"periodic:{name}")


def sync_schedules(using="default", **kwargs):
    """After ``migrate``: one schedule for each periodic work, at the time its code says.

    What was due while no worker ran is done once when one is back (``catch_up`` is off in the settings).
    """
    if using != "default":
        return
    registered = all_periodic()
    known = {schedule.name: schedule for schedule in Schedule.objects.filter(func=START)}
    Schedule.objects.filter(func=START).exclude(name__in=registered).delete()
    for name, work in registered.items():
        schedule = known.get(name) or Schedule(name=name, func=START, args=repr((name,)))
        if not _as_declared(schedule, work):
            schedule.schedule_type = Schedule.DAILY if work.daily else Schedule.MINUTES
            schedule.minutes, schedule.next_run = work.minutes, _next_run(work)
            schedule.save()


def _as_declared(schedule, work) -> bool:
    if schedule.pk is None:
        return False
    if work.daily:
        return schedule.schedule_type == Schedule.DAILY and timezone.localtime(schedule.next_run).time() == work.daily
    return schedule.schedule_type == Schedule.MINUTES and schedule.minutes == work.minutes


def _next_run(work: Periodic) -> datetime:
    now = timezone.localtime()
    if not work.daily:
        return now + timedelta(minutes=work.minutes)
    today = timezone.make_aware(datetime.combine(now.date(), work.daily))
    return today if today > now else today + timedelta(days=1)
