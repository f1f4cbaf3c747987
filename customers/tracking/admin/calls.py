from django.contrib import admin

from crm.admin.base import ModelAdmin, ReadOnly, display
from crm.admin.filters import RangeDateTimeFilter
from customers.tracking.models import ApiCall
from customers.tracking.resources.traces import ApiCallResource


@admin.register(ApiCall)
class ApiCallAdmin(ReadOnly, ModelAdmin):
    nav_icon, nav_order = "api", 40
    resource_class = ApiCallResource
    head_template = None
    list_display = [
        "called_at",
        "method",
        "path",
        "customer",
        "app_key",
        "status_name",
        "code",
        "is_repeated",
        "ip",
        "milliseconds",
    ]
    list_display_links = ["called_at", "path"]
    list_select_related = ["customer"]
    list_filter = [("called_at", RangeDateTimeFilter)]
    extra_lookups = ("customer__id__exact",)
    search_fields = ["app_key__startswith", "path__startswith", "=code"]
    search_help_text = "密钥标识、地址开头，或结果（如 replayed）"
    empty_hint = "客户的程序调用接口时，每一次都记在这里，成功的和被拒绝的。"
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("called_at", "ip"),
                    ("method", "path"),
                    ("customer", "app_key"),
                    ("status", "code"),
                    ("idempotency_key", "is_repeated"),
                    "milliseconds",
                ]
            },
        )
    ]

    @display(description="状态码", label={"成功": "success", "拒绝": "warning", "出错": "danger"})
    def status_name(self, obj):
        return "成功" if obj.status < 400 else "拒绝" if obj.status < 500 else "出错"
