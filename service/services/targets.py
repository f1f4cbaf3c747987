"""Working time and the targets that are counted in it.

A working day is what the calendar of China says: weekdays without the public holidays, and the weekend days made up for
them (调休). For a year whose arrangement is not published yet the statutory holidays are known and nothing is made up.
``SpecialDay`` overrules the calendar. Clock times are those of Asia/Shanghai.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cache

import holidays
from django.utils import timezone

from customers.models import Priority, StagePolicy
from customers.services.categories import terms
from service.models import ServiceTarget, SpecialDay, WorkingPeriod

SHIPPED_PERIODS = ((time(9), time(12)), (time(13, 30), time(18)))
SHIPPED_TARGETS = {  # hours to the response, to the solution, of warning; around the clock; service level
    Priority.URGENT: ("0.5", "4", "0.5", True, "dedicated"),
    Priority.HIGH: ("2", "8", "1", False, "priority"),
    Priority.NORMAL: ("4", "24", "2", False, None),
    Priority.LOW: ("8", "40", "4", False, None),
}
SEARCHED_DAYS = 366  # no working day for so long: the working hours are not set up


@cache
def _china():
    return holidays.country_holidays("CN")


class NoWorkingTime(ValueError):
    """There is no working time in which a target could be counted; the message says what to set up."""


@dataclass(frozen=True)
class WorkingTime:
    """The working hours as they stand now: ``periods`` of every working day, ``special`` days that differ."""

    periods: tuple[tuple[time, time], ...]
    special: dict[date, bool]

    @classmethod
    def load(cls) -> "WorkingTime":
        periods = tuple(WorkingPeriod.objects.valid().order_by("start").values_list("start", "end"))
        return cls(periods, dict(SpecialDay.objects.valid().values_list("date", "is_working")))

    def is_working_day(self, day) -> bool:
        known = self.special.get(day)
        return _china().is_working_day(day) if known is None else known

    def add(self, start, hours) -> datetime:
        """The moment at which ``hours`` of working time have passed since ``start``. Raises NoWorkingTime."""
        left = timedelta(seconds=int(Decimal(hours) * 3600))
        if not left:
            return start
        moment, idle = timezone.localtime(start), 0
        day = moment.date()
        while idle < SEARCHED_DAYS:
            if self.is_working_day(day):
                for begins, ends in self._stretches(day):
                    begins = max(begins, moment)
                    if begins >= ends:
                        continue
                    if left <= ends - begins:
                        return (begins + left).astimezone(start.tzinfo)
                    left -= ends - begins
                    idle = 0
            day += timedelta(days=1)
            idle += 1
        raise NoWorkingTime("没有可用的工作时间，请在“工作时段”里设定每天的上班时间。")

    def back(self, end, hours) -> datetime:
        """The moment at which ``hours`` of working time are left until ``end``; no earlier than a year before it."""
        left, moment = timedelta(seconds=int(Decimal(hours) * 3600)), timezone.localtime(end)
        day = moment.date()
        for _ in range(SEARCHED_DAYS):
            for begins, ends in reversed(list(self._stretches(day))) if self.is_working_day(day) else ():
                ends = min(ends, moment)
                if begins >= ends:
                    continue
                if left <= ends - begins:
                    return (ends - left).astimezone(end.tzinfo)
                left -= ends - begins
            day -= timedelta(days=1)
        return end

    def between(self, start, end) -> timedelta:
        """How much working time lies between two moments."""
        start, end = timezone.localtime(start), timezone.localtime(end)
        total, day = timedelta(0), start.date()
        while day <= end.date():
            if self.is_working_day(day):
                for begins, ends in self._stretches(day):
                    total += max(min(ends, end) - max(begins, start), timedelta(0))
            day += timedelta(days=1)
        return total

    def _stretches(self, day):
        for begins, ends in self.periods:
            yield _at(day, begins), _at(day, ends)


def _at(day, clock) -> datetime:
    return timezone.make_aware(datetime.combine(day, clock))


def target_of(priority) -> ServiceTarget:
    return ServiceTarget.objects.get(priority=priority)


def set_targets(order, *, since=None) -> None:
    """Give ``order`` (not saved here) the targets of its priority, counted from ``since`` (default: its creation).

    A response that was given keeps its target. Raises NoWorkingTime.
    """
    target, since = target_of(order.priority), since or order.created_at
    if order.responded_at is None:
        order.response_due = _after(target, since, target.response_hours)
    order.resolution_due = _after(target, since, target.resolution_hours)
    set_due(order, target)


def set_due(order, target=None) -> None:
    """The target that counts now; a new one is warned of and escalated anew."""
    due = None
    if order.solved_at is None:
        due = order.resolution_due if order.responded_at else order.response_due
    if due == order.due_at:
        return
    order.due_at, order.warn_at, order.warned_at, order.escalated_at = due, None, None, None
    if due is not None:
        order.warn_at = _before(target or target_of(order.priority), due)


def _after(target, since, hours):
    if target.is_continuous:
        return since + timedelta(seconds=int(hours * 3600))
    return WorkingTime.load().add(since, hours)


def _before(target, due):
    if target.is_continuous:
        return due - timedelta(seconds=int(target.warn_hours * 3600))
    return WorkingTime.load().back(due, target.warn_hours)


def default_priority(customer) -> str:
    """The higher of what the stage of ``customer`` and the service levels of its categories call for."""
    ranks = list(Priority.values)
    policy = StagePolicy.objects.filter(stage=customer.stage).first()
    found = [policy.priority if policy else Priority.NORMAL]
    levels = {term.service_level.pk for term in terms(customer) if term.service_level}
    if levels:
        found += ServiceTarget.objects.filter(service_level__in=levels).values_list("priority", flat=True)
    return max(found, key=ranks.index)


def load_targets() -> None:
    """Targets and working hours that an installation begins with; what users changed stays."""
    from crm.models import DictionaryItem

    known = set(ServiceTarget.objects.values_list("priority", flat=True))
    levels = {item.code: item for item in DictionaryItem.objects.filter(type="service_level")}
    for priority, (response, resolution, warning, is_continuous, level) in SHIPPED_TARGETS.items():
        if priority not in known:
            ServiceTarget.objects.create(
                priority=priority,
                response_hours=Decimal(response),
                resolution_hours=Decimal(resolution),
                warn_hours=Decimal(warning),
                is_continuous=is_continuous,
                reopen_at=2,
                service_level=levels.get(level),
            )
    if not WorkingPeriod.objects.exists():
        for start, end in SHIPPED_PERIODS:
            WorkingPeriod.objects.create(start=start, end=end)
