from django.contrib import admin
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import urlencode

from crm.admin.base import ModelAdmin, ReadOnly, display
from crm.admin.filters import ChoiceFilter, PersonFilter, RangeDateTimeFilter, SharedFilter
from customers.tracking.models import Alert, AlertRule
from customers.tracking.services import alerts


@admin.register(AlertRule)
class AlertRuleAdmin(ModelAdmin):
    nav_icon, nav_order = "rule", 30
    list_display = ["name", "watch", "limit", "by_email", "is_active", "updated_at"]
    list_filter = [("watch", ChoiceFilter), ("is_active", ChoiceFilter)]
    search_fields = ["name"]
    autocomplete_fields = ["recipients"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("name", "watch"),
                    ("limit", "is_active"),
                    ("night_from", "night_until"),
                    "recipients",
                    "by_email",
                    "remark",
                ]
            },
        )
    ]


@admin.register(Alert)
class AlertAdmin(ReadOnly, ModelAdmin):
    nav_icon, nav_order = "notification_important", 20
    head_labels = ("state_name",)
    list_display = ["hour", "actor", "rule", "count", "state_name", "finding", "updated_by", "updated_at"]
    list_display_links = ["hour", "actor"]
    list_select_related = ["actor", "rule", "updated_by"]
    list_filter = [
        ("state", ChoiceFilter),
        ("rule", SharedFilter),
        ("actor", PersonFilter),
        ("hour", RangeDateTimeFilter),
    ]
    empty_hint = "有人的操作超过告警规则时，会出现在这里并通知有权确认的人。"
    fieldsets = [(None, {"fields": [("actor", "rule"), ("hour", "count"), "traces", "finding", "created_at"]})]
    readonly_fields = ["traces", "created_at"]

    def waiting_rows(self, request):
        return alerts.open_alerts(request.user)

    @display(description="状态", label={"待确认": "danger", "已确认": "success"})
    def state_name(self, obj):
        return obj.get_state_display()

    @display(description="操作记录")
    def traces(self, obj):
        """The list of that person's day, from which the hour is seen."""
        day = timezone.localdate(obj.hour)
        query = urlencode({"actor": obj.actor_id, "operated_at_from": day, "operated_at_to": day})
        return format_html(
            '<a class="ky-more" href="{}?{}">当天的操作记录</a>', reverse("admin:tracking_trace_changelist"), query
        )
