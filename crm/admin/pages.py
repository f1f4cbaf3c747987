"""Pages of the site that belong to no model."""

from django.template.response import TemplateResponse
from django.urls import path, reverse

from crm import files
from crm.admin import agenda, handover, periodic
from crm.registries import Registry

# asked with the site: URL patterns of further pages; with the request: ``(group, title, icon, address, order)`` of
# those that stand in the sidebar
URLS = Registry("pages of the site")
SIDEBAR = Registry("entries of the sidebar")


def urls(site):
    return [
        path("downloads/<int:pk>/", site.admin_view(lambda request, pk: download(site, request, pk)), name="download"),
        *agenda.urls(site),
        *periodic.urls(site),
        *handover.urls(site),
        *(url for found in URLS.ask(site).values() for url in found),
    ]


def in_sidebar(request):
    """``(group, title, icon, address, order)`` of the pages that stand beside the lists."""
    yield from agenda.in_sidebar(request)
    yield from handover.in_sidebar(request)
    if periodic.allowed(request):
        yield "数据与任务", "定时任务", "schedule", reverse("admin:periodic"), 30
    for entries in SIDEBAR.ask(request).values():
        yield from entries


def download(site, request, pk):
    """One's own file; what is expired, somebody else's or never was looks the same."""
    stored = files.find(request.user, pk)
    if stored is None:
        context = {**site.each_context(request), "title": "文件不存在或已过期"}
        return TemplateResponse(request, "crm/jobs/expired.html", context, status=404)
    return files.response(stored)
