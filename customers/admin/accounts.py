from django.contrib import admin

from crm.admin.base import ModelAdmin, display
from crm.admin.filters import (
    ChoiceFilter,
    DictionaryFilter,
    MultiChoiceFilter,
    OwnerFilter,
    RangeDateTimeFilter,
    SharedFilter,
)
from crm.admin.trees import TreeAdmin
from customers.admin.contacts import BankAccountInline, ContactInline, CustomerLinkInline, ShippingMarkInline
from customers.models import Customer, CustomerCategory, RealCustomer, Tag
from customers.resources.accounts import CustomerResource, RealCustomerResource


@admin.register(Customer)
class CustomerAdmin(ModelAdmin):
    nav_icon, nav_order, in_palette = "apartment", 10, True
    head_labels = ("level_name", "stage_name", "review_name", "deal_name")
    empty_hint = "可以新建一个，也可以用右上角的“导入”把现有的 Excel 名单导进来。"
    resource_class = CustomerResource
    list_display = [
        "code",
        "name",
        "level_name",
        "stage_name",
        "review_name",
        "deal_name",
        "owner",
        "phone",
        "updated_at",
        "industry",
        "area",
    ]
    list_display_links = ["code", "name"]
    list_select_related = ["level", "industry", "area", "owner"]
    list_filter = [
        ("owner", OwnerFilter),
        ("review_status", ChoiceFilter),
        ("stage", ChoiceFilter),
        ("deal_status", ChoiceFilter),
        ("level", DictionaryFilter),
        ("industry", DictionaryFilter),
        ("area", DictionaryFilter),
        ("source", DictionaryFilter),
        ("tags", SharedFilter),
        ("categories", SharedFilter),
        ("business_types", MultiChoiceFilter),
        ("is_closed", ChoiceFilter),
        ("created_at", RangeDateTimeFilter),
    ]
    search_fields = ["name", "short_name", "code", "phone", "contacts__mobile"]
    search_help_text = "名称、简称、代码、电话、联系人手机"
    autocomplete_fields = ["real_customer"]
    inlines = [ContactInline, BankAccountInline, ShippingMarkInline, CustomerLinkInline]
    fieldsets = [
        (
            "基本资料",
            {
                "fields": [
                    ("name", "short_name"),
                    ("code", "kind"),
                    ("level", "source"),
                    ("industry", "scale"),
                    ("phone", "email"),
                    ("website", "fax"),
                    ("country", "area"),
                    ("address", "postcode"),
                    ("categories", "tags"),
                    "business_types",
                    "remark",
                ]
            },
        ),
        (
            "贸易与开票",
            {
                "classes": ["tab"],
                "fields": [
                    ("currency", "nature"),
                    ("trade_terms", "transport"),
                    ("invoice_title", "tax_rate"),
                    ("notify_email", "billing_email"),
                    "is_sinosure",
                ],
            },
        ),
        (
            "工商信息",
            {
                "classes": ["tab"],
                "fields": [
                    ("licence_no", "legal_representative"),
                    ("registered_capital", "annual_turnover"),
                    ("capital_currency", "real_customer"),
                    ("national_tax_no", "local_tax_no"),
                ],
            },
        ),
        (
            "评价与状态",
            {
                "classes": ["tab"],
                "fields": [
                    ("satisfaction", "credit_rating"),
                    ("is_enabled", "is_closed"),
                    ("created_by", "created_at"),
                    ("updated_by", "updated_at"),
                ],
            },
        ),
    ]
    readonly_fields = ["created_by", "created_at", "updated_by", "updated_at"]

    def palette_title(self, obj):
        return f"{obj.name}（{obj.code}）"

    @display(description="等级", ordering="level", label=True)
    def level_name(self, obj):
        return obj.level

    @display(
        description="审核",
        ordering="review_status",
        label={"待审核": "warning", "已通过": "success", "未通过": "danger"},
    )
    def review_name(self, obj):
        return obj.get_review_status_display()

    @display(description="阶段", ordering="stage", label={"线索": "info", "普通": "primary", "重要": "success"})
    def stage_name(self, obj):
        return obj.get_stage_display()

    @display(description="成交", ordering="deal_status", label={"潜在": "info", "成交": "success", "流失": "danger"})
    def deal_name(self, obj):
        return obj.get_deal_status_display()


@admin.register(RealCustomer)
class RealCustomerAdmin(ModelAdmin):
    nav_icon, nav_order = "badge", 30
    empty_hint = "多个客户代码背后是同一家公司时，在这里登记这家公司。"
    resource_class = RealCustomerResource
    list_display = ["code", "name", "remark", "updated_at"]
    search_fields = ["code", "name"]
    fieldsets = [(None, {"fields": [("code", "name"), "remark", "is_closed"]})]


@admin.register(CustomerCategory)
class CustomerCategoryAdmin(TreeAdmin):
    nav_icon, nav_order = "category", 40
    list_display = ["tree_name", "sort", "remark"]
    empty_hint = "可以分多级，例如“按渠道 / 线上渠道”；一个客户可以属于多个分类。"
    search_fields = ["name"]
    fieldsets = [(None, {"fields": [("name", "parent"), "sort", "remark"]})]


@admin.register(Tag)
class TagAdmin(ModelAdmin):
    nav_icon, nav_order = "sell", 50
    list_display = ["name", "color_name", "remark"]
    search_fields = ["name"]
    fieldsets = [(None, {"fields": [("name", "color"), "remark"]})]

    @display(
        description="颜色", label={"蓝": "info", "绿": "success", "黄": "warning", "红": "danger", "紫": "primary"}
    )
    def color_name(self, obj):
        return obj.get_color_display()
