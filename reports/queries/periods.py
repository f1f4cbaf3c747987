"""Periods of days in Asia/Shanghai: presets, and the steps in which a chart goes through one."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from django.utils import timezone

PRESETS = {
    "month": "本月",
    "last_month": "上月",
    "quarter": "本季度",
    "last_quarter": "上季度",
    "year": "本年",
    "last_year": "上年",
    "months12": "近 12 个月",
    "ahead": "今后 6 个月",
    "custom": "自选日期",
}
MOST_DAYS = 3 * 366
BY_DAY_UP_TO = 31


@dataclass(frozen=True)
class Period:
    """The days ``first`` to ``last``, both included."""

    first: date
    last: date

    def __str__(self):
        return f"{self.first} 至 {self.last}"

    @property
    def by_day(self) -> bool:
        return (self.last - self.first).days < BY_DAY_UP_TO

    def steps(self) -> list["Period"]:
        """Days of a short period, calendar months of a longer one (the first and last cut to the period)."""
        if self.by_day:
            days = (self.first + timedelta(days=number) for number in range((self.last - self.first).days + 1))
            return [Period(day, day) for day in days]
        found, day = [], self.first
        while day <= self.last:
            after = next_month(day)
            found.append(Period(day, min(after - timedelta(days=1), self.last)))
            day = after
        return found

    def label(self) -> str:
        """What a step is called on an axis."""
        return f"{self.first:%m-%d}" if self.first == self.last else f"{self.first:%Y-%m}"

    def condition(self, path, *, moment) -> dict:
        """What makes ``path`` fall within the period: a moment by midnights, so that an index serves."""
        if not moment:
            return {f"{path}__gte": self.first, **self.until(path, moment=False)}
        return {f"{path}__gte": midnight(self.first), **self.until(path, moment=True)}

    def until(self, path, *, moment) -> dict:
        """What makes ``path`` fall within the period or before it."""
        return {f"{path}__lt": midnight(self.last + timedelta(days=1))} if moment else {f"{path}__lte": self.last}


def midnight(day) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


def next_month(day) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def months_back(day, number) -> date:
    months = day.year * 12 + day.month - 1 - number
    return date(months // 12, months % 12 + 1, 1)


def preset(name, today) -> Period:
    """The period that ``name`` means on the day ``today``."""
    month = today.replace(day=1)
    quarter = months_back(month, (month.month - 1) % 3)
    year = today.replace(month=1, day=1)
    first, after = {
        "month": (month, next_month(month)),
        "last_month": (months_back(month, 1), month),
        "quarter": (quarter, months_back(quarter, -3)),
        "last_quarter": (months_back(quarter, 3), quarter),
        "year": (year, months_back(year, -12)),
        "last_year": (months_back(year, 12), year),
        "months12": (months_back(month, 11), next_month(month)),
        "ahead": (month, months_back(month, -6)),
    }[name]
    return Period(first, after - timedelta(days=1))
