"""The home page 工作台: what waits for whoever opened it. Each domain adds its part to ``parts``."""

import json
from dataclasses import dataclass, field
from datetime import date, datetime

from django.contrib import admin
from django.urls import reverse
from django.utils import timezone

from crm.models import BusinessLog, ImportBatch, Job, Notification
from crm.policies import access, policy_for, registered
from crm.registries import Registry

parts = Registry("home page")

RECENT = 8
LOOK_BACK = 60
WEEKDAYS = "一二三四五六日"
OPEN_JOBS = (Job.State.QUEUED, Job.State.RUNNING)
OPEN_IMPORTS = (
    ImportBatch.State.UPLOADED,
    ImportBatch.State.CHECKING,
    ImportBatch.State.CHECKED,
    ImportBatch.State.APPLYING,
)


@dataclass(frozen=True)
class Figure:
    """A number and the list it counts.

    ``waits`` names the subject under which it waits for somebody to do something; empty: it says how things stand.
    ``is_late``: it should have been done by now.
    """

    label: str
    value: int
    link: str = ""
    note: str = ""
    waits: str = ""
    is_late: bool = False

    @property
    def text(self):
        return f"{self.value:,}"


@dataclass(frozen=True)
class Shares:
    """How a total divides up; each figure is drawn as a bar of its share."""

    title: str
    figures: list[Figure]

    def rows(self):
        top = max(figure.value for figure in self.figures)
        return [(figure, figure.value * 100 // top) for figure in self.figures]


@dataclass(frozen=True)
class Trend:
    """A number per day."""

    title: str
    days: list[date]
    values: list[int]
    link: str = ""

    @property
    def total(self):
        return sum(self.values)

    @property
    def chart(self):
        bars = {
            "label": self.title,
            "data": self.values,
            "backgroundColor": "var(--color-primary-500)",
            "borderRadius": 3,
            "borderSkipped": "bottom",
            "maxBarThickness": 18,
            "displayYAxis": True,
            "maxTicksXLimit": 10,
        }
        return json.dumps({"labels": [f"{day.month}/{day.day}" for day in self.days], "datasets": [bars]})


@dataclass(frozen=True)
class Table:
    """Figures per person: ``rows`` is ``(name, [figure, …])``."""

    title: str
    columns: list[str]
    rows: list[tuple[str, list[Figure]]]


@dataclass(frozen=True)
class Comparison:
    """A figure of this month beside that of the last, in words; ``change`` in percent, each with what it counts."""

    label: str
    now: str
    before: str
    unit: str = ""
    change: str = ""
    link: str = ""
    link_before: str = ""


@dataclass(frozen=True)
class Shortcut:
    label: str
    link: str
    icon: str


@dataclass
class Part:
    """What one domain puts on the page."""

    figures: list[Figure] = field(default_factory=list)
    shares: list[Shares] = field(default_factory=list)
    trends: list[Trend] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    shortcuts: list[Shortcut] = field(default_factory=list)
    compared: tuple[str, list[Comparison]] = ("", [])
    counted_at: datetime | None = None  # of figures that are kept: the oldest of them


def context(request) -> dict:
    now = timezone.localtime()
    unread = Notification.objects.filter(user=request.user, read_at=None)
    jobs = Job.objects.filter(user=request.user, state__in=OPEN_JOBS)
    imports = ImportBatch.objects.filter(user=request.user, heads=None, state__in=OPEN_IMPORTS)
    given = parts.ask(request).values()
    figures = [figure for part in given for figure in part.figures]
    return {
        "greeting": greeting(now.hour),
        "today": f"{now:%Y-%m-%d} 星期{WEEKDAYS[now.weekday()]}",
        "parts": given,
        "waiting": by_subject(figure for figure in figures if figure.waits and figure.value),
        "settled": [figure for figure in figures if figure.waits and not figure.value],
        "standing": [figure for figure in figures if not figure.waits],
        "shortcuts": [shortcut for part in given for shortcut in part.shortcuts],
        "notices": unread[:5],
        "jobs": jobs[:5],
        "imports": imports[:5],
        "recent": recent(request.user),
        "without_role": not request.user.is_superuser and not access(request.user).scopes,
        "title": "工作台",
    }


def by_subject(figures) -> list[tuple[str, list[Figure]]]:
    """What waits, subject by subject."""
    found: dict[str, list[Figure]] = {}
    for figure in figures:
        found.setdefault(figure.waits, []).append(figure)
    return list(found.items())


def greeting(hour: int) -> str:
    for until, words in ((6, "夜深了"), (9, "早上好"), (12, "上午好"), (14, "中午好"), (18, "下午好")):
        if hour < until:
            return words
    return "晚上好"


def recent(user) -> list[dict]:
    """The records ``user`` changed last by hand, without those out of sight by now."""
    touched = {}
    for entry in BusinessLog.objects.filter(user=user, batch="")[:LOOK_BACK]:
        touched.setdefault((entry.record_model, entry.object_id), entry)
    visible = {
        model: set(
            policy_for(model)
            .visible_to(user)
            .filter(pk__in=[pk for other, pk in touched if other is model])
            .values_list("pk", flat=True)
        )
        for model in {model for model, _ in touched}
        if model in registered() and model in admin.site._registry
    }
    return [
        {
            "label": entry.object_repr,
            "kind": model._meta.verbose_name,
            "operation": entry.get_operation_display(),
            "time": entry.created_at,
            "link": reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[pk]),
            "icon": admin.site._registry[model].nav_icon or "description",
        }
        for (model, pk), entry in touched.items()
        if pk in visible.get(model, ())
    ][:RECENT]
