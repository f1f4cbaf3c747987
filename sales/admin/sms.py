"""Text messages in the admin: templates, rules, who wants none, what became of each message."""

from django.contrib import admin

from crm.admin.base import ModelAdmin, ReadOnly, display
from crm.admin.filters import ChoiceFilter, RangeDateTimeFilter, SharedFilter
from sales.models import SmsDelivery, SmsOptOut, SmsRule, SmsTemplate
from sales.resources.sms import SmsDeliveryResource, SmsOptOutResource
from sales.sms import text as wording

STATE_COLORS = {
    "待发送": "info",
    "发送中": "warning",
    "成功": "success",
    "失败": "danger",
    "已跳过": "info",
    "结果未知": "warning",
}
GROUP = "营销"


@admin.register(SmsTemplate)
class SmsTemplateAdmin(ModelAdmin):
    nav_icon, nav_order, nav_group = "sms", 30, GROUP
    list_display = ["name", "type_name", "shown", "length", "provider_code", "is_active"]
    list_filter = [("type", ChoiceFilter), ("is_active", ChoiceFilter)]
    search_fields = ["name", "content"]
    search_help_text = "模板名称、短信内容"
    readonly_fields = ["sample", "length"]
    empty_hint = "先写一个模板，再用它建短信活动；变量写成 ${客户名称} 的样子。"
    fieldsets = [
        (None, {"fields": [("name", "type"), ("signature", "provider_code"), "content", "is_active", "remark"]}),
        ("预览", {"fields": ["sample", "length"]}),
    ]

    def get_fieldsets(self, request, obj=None):
        found = super().get_fieldsets(request, obj)
        return found if obj else found[:1]

    @display(description="类型", ordering="type", label={"营销": "warning", "通知": "info"})
    def type_name(self, obj):
        return obj.get_type_display()

    @display(description="短信内容")
    def shown(self, obj):
        return wording.signed(obj.signature, obj.content)

    @display(description="示例")
    def sample(self, obj):
        return wording.signed(obj.signature, wording.sample(obj.content))

    @display(description="长度")
    def length(self, obj):
        words = self.sample(obj)
        return f"约 {len(words)} 字，{wording.segments(words)} 条"


@admin.register(SmsRule)
class SmsRuleAdmin(ModelAdmin):
    nav_icon, nav_order, nav_group = "rule_settings", 60, GROUP
    list_display = ["type_name", "cap", "quiet"]
    list_display_links = ["type_name"]
    readonly_fields = ["type"]
    fieldsets = [
        (
            None,
            {
                "fields": ["type", ("cap_count", "cap_days"), ("quiet_from", "quiet_until"), "remark"],
                "description": "对所有短信活动有效，自动活动也一样。免打扰时段内不发送，时段结束后自动继续。",
            },
        )
    ]

    @display(description="模板类型", label={"营销": "warning", "通知": "info"})
    def type_name(self, obj):
        return obj.get_type_display()

    @display(description="频次")
    def cap(self, obj):
        return f"{obj.cap_days} 天内最多 {obj.cap_count} 条" if obj.cap_count else "不限"

    @display(description="免打扰")
    def quiet(self, obj):
        return quiet_hours(obj) or "不设"


def quiet_hours(rule) -> str:
    return f"{rule.quiet_from:%H:%M}–{rule.quiet_until:%H:%M}" if rule.quiet_from else ""


@admin.register(SmsOptOut)
class SmsOptOutAdmin(ModelAdmin):
    nav_icon, nav_order, nav_group = "unsubscribe", 50, GROUP
    resource_class = SmsOptOutResource
    list_display = ["phone", "source_name", "noted_at", "created_by", "remark"]
    list_select_related = ["created_by"]
    list_filter = [("source", ChoiceFilter), ("noted_at", RangeDateTimeFilter)]
    search_fields = ["phone"]
    search_help_text = "手机号"
    empty_hint = "回复退订的号码会自动进来；客户口头要求的在这里新建，成批的用“导入”。删除即恢复接收。"
    fieldsets = [(None, {"fields": ["phone", ("source", "noted_at"), "remark"]})]

    @display(description="退订方式", ordering="source", label=True)
    def source_name(self, obj):
        return obj.get_source_display()


@admin.register(SmsDelivery)
class SmsDeliveryAdmin(ReadOnly, ModelAdmin):
    nav_icon, nav_order, nav_group = "mark_email_read", 40, GROUP
    resource_class = SmsDeliveryResource
    list_display = ["customer", "contact", "phone", "campaign", "state_name", "why", "tried_at", "arrived_at"]
    list_select_related = ["customer", "contact", "campaign"]
    list_filter = [
        ("state", ChoiceFilter),
        ("skip_reason", ChoiceFilter),
        ("campaign", SharedFilter),
        ("tried_at", RangeDateTimeFilter),
    ]
    extra_lookups = ("customer",)
    search_fields = ["customer__name", "phone"]
    search_help_text = "客户名称、手机号"
    head_labels = ("state_name",)
    empty_hint = "短信活动开始发送后，每个收件人一条，记在这里。"
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("customer", "contact"),
                    ("campaign", "phone"),
                    "content",
                    ("state", "skip_reason"),
                    "error",
                    ("tried_at", "arrived_at"),
                    ("provider_number", "attempts"),
                ]
            },
        )
    ]

    @display(description="结果", ordering="state", label=STATE_COLORS)
    def state_name(self, obj):
        return obj.get_state_display()

    @display(description="原因")
    def why(self, obj):
        return "：".join(filter(None, [obj.get_skip_reason_display(), obj.error]))
