from django.contrib import admin

from crm.admin.base import ModelAdmin, display
from crm.admin.filters import ChoiceFilter, DictionaryFilter, RangeDateTimeFilter
from crm.admin.quick import QuickAddMixin
from customers.models import Interaction, VisitPlan
from customers.resources.interactions import InteractionResource, VisitPlanResource

VISIT_LABELS = {"计划中": "info", "已完成": "success", "已取消": "warning"}


@admin.register(Interaction)
class InteractionAdmin(QuickAddMixin, ModelAdmin):
    nav_icon, nav_order = "forum", 22
    resource_class = InteractionResource
    quick_fields = ("time", "type", "contact", "tag", "overview", "content")
    list_display = ["time", "customer", "contact", "type", "tag", "overview", "author"]
    list_display_links = ["time", "overview"]
    list_select_related = ["customer", "contact", "type", "tag", "author"]
    list_filter = [("type", DictionaryFilter), ("tag", DictionaryFilter), ("time", RangeDateTimeFilter)]
    search_fields = ["overview", "content", "customer__name"]
    search_help_text = "概要、内容、客户名称"
    autocomplete_fields = ["customer", "contact"]
    readonly_fields = ["author"]
    empty_hint = "和客户的电话、微信、邮件、面谈记在这里；一般在客户页面上添加，也可以导入。"
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("customer", "contact"),
                    "time",
                    ("type", "tag"),
                    "overview",
                    "content",
                    ("address", "author"),
                    "remark",
                    "is_closed",
                ]
            },
        )
    ]


@admin.register(VisitPlan)
class VisitPlanAdmin(QuickAddMixin, ModelAdmin):
    nav_icon, nav_order = "directions_walk", 24
    resource_class = VisitPlanResource
    quick_fields = ("time", "contact", "purpose", "address", "materials")
    head_labels = ("status_name",)
    list_display = ["time", "customer", "purpose", "address", "people", "status_name", "finished_at"]
    list_display_links = ["time", "purpose"]
    list_select_related = ["customer"]
    list_filter = [("status", ChoiceFilter), ("time", RangeDateTimeFilter)]
    search_fields = ["purpose", "address", "customer__name"]
    search_help_text = "目的、地点、客户名称"
    autocomplete_fields = ["customer", "contact", "participants"]
    readonly_fields = ["summary", "cancel_reason", "finished_at", "created_by", "created_at"]
    empty_hint = "计划去拜访哪位客户，在客户页面上点“安排拜访”，到期会提醒参与人。"
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("customer", "contact"),
                    "time",
                    "purpose",
                    "address",
                    "materials",
                    "participants",
                    "remark",
                    "is_closed",
                ]
            },
        ),
        (
            "办理",
            {"fields": ["summary", "cancel_reason", ("finished_at", "created_by"), "created_at"]},
        ),
    ]

    def get_queryset(self, request):
        return super().get_queryset(request).prefetch_related("participants")

    @display(description="参与人")
    def people(self, obj):
        return "、".join(map(str, obj.participants.all()))

    @display(description="状态", ordering="status", label=VISIT_LABELS)
    def status_name(self, obj):
        return obj.get_status_display()
