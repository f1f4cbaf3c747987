from django.contrib import admin

from crm.admin.base import ModelAdmin, display
from crm.admin.filters import ChoiceFilter
from crm.models import DictionaryItem
from crm.models.dictionary import DictionaryType
from crm.resources.dictionary import DictionaryItemResource


@admin.register(DictionaryItem)
class DictionaryItemAdmin(ModelAdmin):
    nav_icon, nav_order = "list_alt", 40
    resource_class = DictionaryItemResource
    list_display = ["label", "type_name", "code", "aliases", "sort", "active"]
    list_filter = [("type", ChoiceFilter), ("is_active", ChoiceFilter)]
    list_before_template = "crm/dictionary_types.html"
    search_fields = ["label", "code", "aliases"]
    search_help_text = "字典值、代码、别名"
    types = DictionaryType.choices
    ordering = ["type", "sort", "id"]
    fieldsets = [(None, {"fields": [("type", "code"), ("label", "sort"), "aliases", "is_active", "remark"]})]

    def get_readonly_fields(self, request, obj=None):
        return ["type", "code"] if obj else []

    @display(description="字典名", ordering="type")
    def type_name(self, obj):
        return obj.get_type_display()

    @display(description="状态", ordering="is_active", label={"启用": "success", "停用": "danger"})
    def active(self, obj):
        return "启用" if obj.is_active else "停用"
