from django.contrib import admin

from crm.admin.base import ModelAdmin
from crm.models import NumberSeries


@admin.register(NumberSeries)
class NumberSeriesAdmin(ModelAdmin):
    nav_icon, nav_order = "pin", 45
    list_display = ["name", "pattern", "remark"]
    fieldsets = [(None, {"fields": ["name", "pattern", "remark"]})]
    readonly_fields = ["name"]
