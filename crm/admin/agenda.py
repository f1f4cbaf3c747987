"""The pages 今天 and 日历, and what is due on the home page."""

import calendar
from datetime import date, timedelta
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html

from crm import agenda
from crm.admin.home import Figure, Part

VIEWS = {"month": "月", "week": "周", "day": "日"}
WHOSE = {"me": "我的", "team": "团队"}
IN_CELL = 4


def urls(site):
    return [
        path("today/", site.admin_view(lambda request: today(site, request)), name="today"),
        path("calendar/", site.admin_view(lambda request: month_week_day(site, request)), name="calendar"),
    ]


def in_sidebar(request):
    if agenda.allowed(request.user):
        yield "客户", "今天", "today", reverse("admin:today"), 1
        yield "客户", "日历", "calendar_month", reverse("admin:calendar"), 2


def part(request) -> Part | None:
    """One's own list of today in two numbers."""
    if not agenda.allowed(request.user):
        return None
    due = agenda.occasions(request.user, None, agenda.tomorrow())
    late = sum(one.is_overdue for one in due)
    more = f"至少 {agenda.MOST} 项" if len(due) == agenda.MOST else ""
    link = reverse("admin:today")
    return Part(
        figures=[
            Figure("今天要做", len(due), link, more or "跟进与拜访，含已逾期", waits="日程"),
            Figure("已逾期", late, f"{link}#overdue", "还没有做的跟进与拜访", waits="日程", is_late=True),
        ]
    )


def due(moment):
    """When something is due, in a list: red once it is past."""
    if moment is None:
        return None
    words = f"{timezone.localtime(moment):%Y-%m-%d %H:%M}"
    return format_html('<span class="ky-late">{}</span>', words) if moment < timezone.now() else words


def today(site, request):
    whose = _whose(request)
    due = agenda.occasions(request.user, None, agenda.tomorrow(), mine=whose == "me")
    return _page(
        site,
        request,
        "crm/agenda/today.html",
        whose,
        {
            "title": "今天",
            "overdue": [one for one in due if one.is_overdue],
            "coming": [one for one in due if not one.is_overdue],
            "bounded": len(due) == agenda.MOST,
            "most": agenda.MOST,
        },
    )


def month_week_day(site, request):
    whose, view = _whose(request), request.GET.get("view")
    view = view if view in VIEWS else "month"
    day = _day(request.GET.get("date", ""))
    days = DAYS[view](day)
    found = agenda.occasions(
        request.user,
        agenda.start_of(days[0]),
        agenda.start_of(days[-1] + timedelta(days=1)),
        mine=whose == "me",
        done=True,
    )
    by_day: dict = {}
    for one in found:
        by_day.setdefault(one.day, []).append(one)
    now = timezone.localdate()

    def cell(one):
        things = by_day.get(one, [])
        shown = things[:IN_CELL] if view == "month" else things
        return {
            "day": one,
            "is_today": one == now,
            "outside": view == "month" and one.month != day.month,
            "occasions": shown,
            "more": len(things) - len(shown),
            "url": _address(whose, "day", one),
        }

    return _page(
        site,
        request,
        "crm/agenda/calendar.html",
        whose,
        {
            "title": "日历",
            "view": view,
            "views": [(name, label, _address(whose, name, day)) for name, label in VIEWS.items()],
            "heading": HEADINGS[view](day, days),
            "weeks": [[cell(one) for one in days[start : start + 7]] for start in range(0, len(days), 7)],
            "weekdays": "一二三四五六日",
            "before": _address(whose, view, _step(view, day, -1)),
            "after": _address(whose, view, _step(view, day, 1)),
            "now": _address(whose, view, now),
            "bounded": len(found) == agenda.MOST,
            "most": agenda.MOST,
        },
    )


def _page(site, request, template, whose, context):
    if not agenda.allowed(request.user):
        raise PermissionDenied
    parameters = {name: request.GET[name] for name in ("view", "date") if name in request.GET}
    context = {
        **site.each_context(request),
        "whose": whose,
        "choices": [(name, label, f"?{urlencode({**parameters, 'whose': name})}") for name, label in WHOSE.items()],
        **context,
    }
    return TemplateResponse(request, template, context)


def _whose(request):
    whose = request.GET.get("whose")
    return whose if whose in WHOSE else "me"


def _day(word) -> date:
    """The day that the address names, if it is one that a calendar can show around; else today."""
    try:
        day = date.fromisoformat(word)
    except ValueError:
        return timezone.localdate()
    return day if 1970 <= day.year <= 2100 else timezone.localdate()


def _address(whose, view, day):
    return f"{reverse('admin:calendar')}?{urlencode({'whose': whose, 'view': view, 'date': day.isoformat()})}"


def _month(day):
    return [one for week in calendar.Calendar().monthdatescalendar(day.year, day.month) for one in week]


def _week(day):
    first = day - timedelta(days=day.weekday())
    return [first + timedelta(days=number) for number in range(7)]


def _step(view, day, way):
    if view != "month":
        return day + timedelta(days=way * (7 if view == "week" else 1))
    first = day.replace(day=1)
    return (first - timedelta(days=1)).replace(day=1) if way < 0 else (first + timedelta(days=32)).replace(day=1)


DAYS = {"month": _month, "week": _week, "day": lambda day: [day]}
HEADINGS = {
    "month": lambda day, days: f"{day.year} 年 {day.month} 月",
    "week": lambda day, days: f"{days[0]:%Y-%m-%d} 至 {days[-1]:%m-%d}",
    "day": lambda day, days: f"{day:%Y-%m-%d} 星期{'一二三四五六日'[day.weekday()]}",
}
