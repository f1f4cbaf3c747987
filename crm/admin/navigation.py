"""What stands in the frame of every page: sidebar by domain, command palette, account menu, our style sheet.

An admin class places itself with ``nav_icon`` and ``nav_order``; ``nav_group`` moves it out of its app's group.
"""

from django.contrib import admin
from django.db.models import Count, Value
from django.templatetags.static import static
from django.urls import reverse
from unfold.dataclasses import SearchResult

from crm.admin import pages
from crm.policies import PersonalPolicy, policy_for

PALETTE_LIMIT = 8
GROUPS = ["客户", "销售", "营销", "服务", "报表", "操作跟踪", "数据与任务", "系统管理"]


def stylesheet(request):
    return static("crm/keyuan.css")


def script(request):
    return static("crm/keyuan.js")


def waiting(request) -> dict:
    """``{model: how many of its rows wait for the person}``: one query for the whole page, asked once."""
    if not hasattr(request, "_waiting"):
        found = [(model, model_admin.waiting_rows(request)) for model, model_admin in admin.site._registry.items()]
        counted = [(model, rows) for model, rows in found if rows is not None]
        counts = [
            rows.order_by().values(place=Value(at)).annotate(count=Count("pk")).values_list("place", "count")
            for at, (_, rows) in enumerate(counted)
        ]
        request._waiting = {counted[at][0]: count for at, count in counts[0].union(*counts[1:], all=True)}
    return request._waiting


def sidebar(request):
    groups: dict[str, list] = {}
    for model, model_admin in admin.site._registry.items():
        if not model_admin.nav_icon or not model_admin.has_module_permission(request):
            continue
        if not model_admin.has_view_or_change_permission(request):
            continue
        title = model_admin.nav_group or model_admin.opts.app_config.verbose_name
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"
        item = {
            "title": str(model._meta.verbose_name_plural),
            "icon": model_admin.nav_icon,
            "link": reverse(name),
            "order": model_admin.nav_order,
        }
        if count := waiting(request).get(model):
            item["badge"] = count
        groups.setdefault(title, []).append(item)
    for group, title, icon, link, order in pages.in_sidebar(request):
        groups.setdefault(group, []).append({"title": title, "icon": icon, "link": link, "order": order})
    home = {"title": "", "items": [{"title": "工作台", "icon": "home", "link": reverse("admin:index")}]}
    ordered = sorted(groups.items(), key=lambda group: (GROUPS.index(group[0]) if group[0] in GROUPS else 99, group[0]))
    return [home] + [
        {"title": title, "separator": True, "items": sorted(items, key=lambda item: item["order"])}
        for title, items in ordered
    ]


def search(request, term):
    """Pages and records for the command palette, a few per kind, within the reach of whoever asks."""
    results = [
        SearchResult(title=title, description=group, link=link, icon=icon)
        for group, title, icon, link, _ in pages.in_sidebar(request)
        if term.casefold() in title.casefold()
    ]
    for model, model_admin in sorted(admin.site._registry.items(), key=lambda entry: entry[1].nav_order):
        if not model_admin.in_palette or not model_admin.has_view_permission(request):
            continue
        if isinstance(policy_for(model), PersonalPolicy):
            continue
        rows, may_repeat = model_admin.get_search_results(request, model_admin.get_queryset(request), term)
        if model_admin.list_select_related:
            rows = rows.select_related(*model_admin.list_select_related)
        for obj in (rows.distinct() if may_repeat else rows)[:PALETTE_LIMIT]:
            link = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[obj.pk])
            results.append(
                SearchResult(
                    title=model_admin.palette_title(obj),
                    description=str(model._meta.verbose_name),
                    link=link,
                    icon=model_admin.nav_icon or "description",
                )
            )
    return results


def account(request):
    return [
        {"title": "我的通知", "link": reverse("admin:crm_notification_changelist")},
        {"title": "修改密码", "link": reverse("admin:password_change")},
    ]
