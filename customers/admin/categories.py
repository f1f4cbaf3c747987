from django.contrib import admin

from crm.admin.base import ModelAdmin
from crm.admin.filters import SharedFilter
from customers.models import RoleCategory


@admin.register(RoleCategory)
class RoleCategoryAdmin(ModelAdmin):
    nav_icon, nav_order, nav_group = "filter_alt", 12, "系统管理"
    empty_hint = (
        "没有限定的角色按数据范围看客户。限定之后，数据范围只包括所选分类（含下级分类）的客户；"
        "自己负责的和别人共享给自己的客户不受影响。"
    )
    list_display = ["role", "category", "remark"]
    list_filter = [("role", SharedFilter)]
    list_select_related = ["role", "category"]
    search_fields = ["role__name", "category__name"]
    fieldsets = [(None, {"fields": [("role", "category"), "remark"], "description": empty_hint})]
