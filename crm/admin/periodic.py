"""What the house does by itself: when each work is due next, how it went last time, a dry run, and a run right now."""

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Max
from django.http import Http404, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django_q.models import Schedule

from crm import jobs
from crm.admin.jobs import STATE_LABELS, spoken
from crm.jobs.registry import all_periodic
from crm.jobs.schedule import START
from crm.models import Job
from crm.policies import policy_for


def allowed(request) -> bool:
    return policy_for(Job).allows(request.user, "schedule")


def urls(site):
    return [
        path("periodic/", site.admin_view(overview), name="periodic"),
        path("periodic/<str:name>/", site.admin_view(work), name="periodic_work"),
    ]


def overview(request):
    _require(request)
    return _page(request, {"title": "定时任务", "works": works()})


def work(request, name):
    """A dry run of one work; by POST the work itself, as a job that never runs twice at once."""
    _require(request)
    registered = all_periodic()
    if name not in registered:
        raise Http404("没有这项定时任务。")
    if request.method == "POST":
        jobs.start(name)
        messages.success(request, f"“{registered[name].title}”已交给后台执行，稍后刷新本页查看结果。")
        return HttpResponseRedirect(reverse("admin:periodic"))
    dry = {"work": registered[name], "lines": list(registered[name].preview())}
    return _page(request, {"title": "定时任务", "works": works(), "dry": dry})


def works() -> list[dict]:
    """Every periodic work in words, with its schedule and its newest job."""
    registered = all_periodic()
    due = dict(Schedule.objects.filter(func=START).values_list("name", "next_run"))
    newest = Job.objects.filter(kind__in=registered, user=None).order_by().values("kind").annotate(last=Max("pk"))
    last = {job.kind: job for job in Job.objects.filter(pk__in=[row["last"] for row in newest])}
    return [
        {
            "name": name,
            "title": found.title,
            "when": f"每天 {found.daily:%H:%M}" if found.daily else f"每 {found.minutes} 分钟",
            "next": due.get(name),
            "job": last.get(name),
            "took": spoken(last[name].elapsed) if name in last else "",
            "variant": STATE_LABELS.get(last[name].get_state_display(), "") if name in last else "",
        }
        for name, found in sorted(registered.items(), key=lambda item: item[1].title)
    ]


def _require(request):
    if not allowed(request):
        raise PermissionDenied


def _page(request, context):
    return TemplateResponse(request, "crm/jobs/periodic.html", {**admin.site.each_context(request), **context})
