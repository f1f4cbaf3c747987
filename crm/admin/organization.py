from django.contrib import admin
from django.db.models import Count, Q

from crm.admin.base import ModelAdmin, TabularInline, display
from crm.admin.filters import ChoiceFilter
from crm.admin.trees import TreeAdmin
from crm.models import Company, CompanyPath, CompanyPathNode, Department, ExchangeRate
from crm.resources.organization import DepartmentResource


@admin.register(Department)
class DepartmentAdmin(TreeAdmin):
    nav_icon, nav_order = "account_tree", 20
    resource_class = DepartmentResource
    list_display = ["tree_name", "manager", "members_count", "sort", "remark"]
    list_select_related = ["manager"]
    empty_hint = "部门决定数据范围：角色的“本部门”“本部门及下级”按这里的上下级计算。"
    search_fields = ["name"]
    autocomplete_fields = ["manager"]
    fieldsets = [(None, {"fields": [("name", "parent"), ("manager", "sort"), "remark"]})]

    def get_queryset(self, request):
        rows = super().get_queryset(request)
        return rows.annotate(people=Count("members", filter=Q(members__is_active=True)))

    @display(description="在职人数")
    def members_count(self, obj):
        return obj.people


@admin.register(Company)
class CompanyAdmin(ModelAdmin):
    nav_icon, nav_order = "domain", 30
    list_display = ["name", "short_name", "tax_no", "phone"]
    search_fields = ["name", "short_name"]
    empty_hint = "签约、发货、收款的自己的公司登记在这里。"
    fieldsets = [
        (None, {"fields": [("name", "short_name"), ("tax_no", "phone"), "address", ("bank", "bank_account"), "remark"]})
    ]


class CompanyPathNodeInline(TabularInline):
    model = CompanyPathNode
    fields = ["position", "company"]
    verbose_name_plural = "经过的公司（按次序）"
    tab = False


@admin.register(CompanyPath)
class CompanyPathAdmin(ModelAdmin):
    nav_icon, nav_order = "route", 31
    list_display = ["name", "steps"]
    empty_hint = "一笔业务依次经过哪些自己的公司，例如：深圳 → 香港。"
    search_fields = ["name"]
    inlines = [CompanyPathNodeInline]
    fieldsets = [(None, {"fields": ["name", "remark"]})]

    def get_queryset(self, request):
        return super().get_queryset(request).prefetch_related("nodes__company")

    @display(description="经过的公司")
    def steps(self, obj):
        return " → ".join(str(node.company) for node in obj.nodes.all() if node.is_valid)


@admin.register(ExchangeRate)
class ExchangeRateAdmin(ModelAdmin):
    nav_icon, nav_order = "currency_exchange", 32
    list_display = ["currency_name", "valid_from", "rate_text", "remark"]
    empty_hint = "登记 1 单位外币折合多少人民币，从生效日期起使用，直到有更新的汇率。"
    list_filter = [("currency", ChoiceFilter)]
    fieldsets = [(None, {"fields": [("currency", "valid_from"), "rate", "remark"]})]

    @display(description="对人民币汇率", ordering="rate")
    def rate_text(self, obj):
        return format(obj.rate.normalize(), "f")

    @display(description="币种", ordering="currency")
    def currency_name(self, obj):
        return obj.get_currency_display()
