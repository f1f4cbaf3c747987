from django.contrib import admin

from crm.admin.base import ModelAdmin, display
from service.models import DispatchRule
from service.services import workorders


@admin.register(DispatchRule)
class DispatchRuleAdmin(ModelAdmin):
    nav_icon, nav_order = "alt_route", 60
    list_display = ["name", "who", "automatic", "updated_at"]
    list_select_related = ["type"]
    empty_hint = "按工单类型指定处理人，工单就能一键或自动分给其中最空闲的一位。"
    fieldsets = [(None, {"fields": ["type", "people", "is_automatic", "remark"]})]

    def get_queryset(self, request):
        return super().get_queryset(request).prefetch_related("people")

    def get_field_queryset(self, db, db_field, request):
        """Only those who may process work orders."""
        if db_field.name == "people":
            return workorders.holders("process").order_by("full_name")
        return super().get_field_queryset(db, db_field, request)

    @display(description="工单类型")
    def name(self, obj):
        return str(obj)

    @display(description="处理人")
    def who(self, obj):
        return "、".join(map(str, obj.people.all()))

    @display(description="创建后", label={"立即分配": "success", "等待分配": "info"})
    def automatic(self, obj):
        return "立即分配" if obj.is_automatic else "等待分配"
