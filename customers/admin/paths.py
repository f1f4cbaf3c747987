from django.contrib import admin

from crm.admin.base import ModelAdmin, display
from crm.admin.filters import DictionaryFilter, SharedFilter
from customers.admin.contacts import PartInline
from customers.models import CustomerPath
from customers.resources.paths import CustomerPathResource


class CustomerPathInline(PartInline):
    model = CustomerPath
    fields = ["scenario", "path", "is_default", "remark"]
    readonly_fields = []
    verbose_name = verbose_name_plural = "公司路径"
    empty_hint = "还没有公司路径。每个业务场景（进口、出口等）的第一条会成为默认路径；要换默认，勾选新的那一条即可。"


@admin.register(CustomerPath)
class CustomerPathAdmin(ModelAdmin):
    resource_class = CustomerPathResource
    list_display = ["customer", "scenario", "path", "default"]
    list_filter = [("scenario", DictionaryFilter), ("path", SharedFilter)]
    list_select_related = ["customer", "scenario", "path"]
    search_fields = ["customer__name", "path__name"]
    search_help_text = "客户名称、路径名称"
    autocomplete_fields = ["customer"]
    ordering = ["-id"]
    fieldsets = [(None, {"fields": ["customer", ("scenario", "path"), "is_default", "remark", "is_closed"]})]

    @display(description="默认", label={"默认": "success"})
    def default(self, obj):
        return "默认" if obj.is_default else None
