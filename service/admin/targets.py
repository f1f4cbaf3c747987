from django.contrib import admin

from crm.admin.base import ModelAdmin, display
from crm.admin.filters import ChoiceFilter, RangeDateFilter
from service.models import ServiceTarget, SpecialDay, WorkingPeriod


@admin.register(ServiceTarget)
class ServiceTargetAdmin(ModelAdmin):
    nav_icon, nav_order = "timer", 62
    list_display = [
        "priority",
        "response_hours",
        "resolution_hours",
        "warn_hours",
        "clock",
        "reopen_at",
        "service_level",
    ]
    list_select_related = ["service_level"]
    readonly_fields = ["priority"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    "priority",
                    ("response_hours", "resolution_hours"),
                    ("warn_hours", "is_continuous"),
                    ("reopen_at", "service_level"),
                    "remark",
                ],
                "description": "修改后对新建、改优先级和重开的工单生效，已有的时限不变。",
            },
        )
    ]

    @display(description="计时", label={"全天": "warning", "工作时间": "info"})
    def clock(self, obj):
        return "全天" if obj.is_continuous else "工作时间"


@admin.register(WorkingPeriod)
class WorkingPeriodAdmin(ModelAdmin):
    nav_icon, nav_order = "schedule", 64
    list_display = ["start", "end", "remark"]
    fieldsets = [(None, {"fields": [("start", "end"), "remark"]})]
    empty_hint = "每个工作日的上班时段；没有时段就无法计算工单时限。"


@admin.register(SpecialDay)
class SpecialDayAdmin(ModelAdmin):
    nav_icon, nav_order = "event_busy", 66
    list_display = ["date", "kind", "name"]
    list_filter = [("is_working", ChoiceFilter), ("date", RangeDateFilter)]
    search_fields = ["name"]
    fieldsets = [(None, {"fields": [("date", "is_working"), "name", "remark"]})]
    empty_hint = (
        "法定节假日和调休已经内置，只有公司自己的安排才需要登记；国务院尚未公布的年份按法定节日计算，没有调休。"
    )

    @display(description="安排", label={"上班": "success", "放假": "warning"})
    def kind(self, obj):
        return "上班" if obj.is_working else "放假"
