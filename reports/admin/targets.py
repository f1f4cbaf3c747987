from django.contrib import admin

from crm.admin.base import ModelAdmin, display
from crm.admin.filters import PersonFilter, RangeDateFilter, SharedFilter
from crm.exchange import money
from reports.models import SalesTarget
from reports.resources.targets import SalesTargetResource


@admin.register(SalesTarget)
class SalesTargetAdmin(ModelAdmin):
    nav_icon, nav_order = "flag", 90
    resource_class = SalesTargetResource
    list_display = ["month_name", "person", "department", "amount_text", "remark", "updated_at"]
    list_select_related = ["person", "department"]
    list_filter = [("month", RangeDateFilter), ("person", PersonFilter), ("department", SharedFilter)]
    fieldsets = [(None, {"fields": ["month", ("person", "department"), ("amount", "currency"), "remark", "is_closed"]})]
    empty_hint = "为员工或部门填写每月的业绩目标，“业绩排行”里就有完成率；很多条时可以从 Excel 导入。"

    def get_field_queryset(self, db, db_field, request):
        """People and departments within one's reach."""
        rows = super().get_field_queryset(db, db_field, request)
        if db_field.name not in ("person", "department"):
            return rows
        return rows.filter(pk__in=self.policy.holders(request.user, "add")[db_field.name])

    @display(description="月份", ordering="month")
    def month_name(self, obj):
        return f"{obj.month:%Y-%m}"

    @display(description="目标金额", ordering="amount")
    def amount_text(self, obj):
        return money(obj.amount, obj.currency)
