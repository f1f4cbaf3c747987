from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html

from crm.admin.base import ModelAdmin, TabularInline, display
from crm.admin.filters import RangeDateFilter
from customers.models import BankAccount, Contact, CustomerLink, ShippingMark
from customers.resources.contacts import ContactResource


class PartInline(TabularInline):
    """Parts of a customer: the usual columns here, the rest behind 更多."""

    fk_name = "customer"
    readonly_fields = ["more"]

    @display(description="")
    def more(self, obj):
        if not obj.pk:
            return ""
        page = f"admin:{self.opts.app_label}_{self.opts.model_name}_change"
        return format_html('<a class="ky-more" href="{}">更多</a>', reverse(page, args=[obj.pk]))


class ContactInline(PartInline):
    model = Contact
    fields = ["name", "position", "mobile", "telephone", "email", "wechat", "is_default", "is_key", "more"]
    verbose_name_plural = "联系人"
    empty_hint = "还没有联系人。第一个联系人会成为默认联系人。"


class BankAccountInline(PartInline):
    model = BankAccount
    fields = ["bank", "account", "bank_code", "bank_contact", "payee", "is_default", "more"]
    verbose_name_plural = "银行账户"
    empty_hint = "还没有银行账户。"


class ShippingMarkInline(TabularInline):
    model = ShippingMark
    fields = ["content", "remark"]
    verbose_name_plural = "唛头"
    empty_hint = "还没有唛头。唛头是印在外箱上的标记，一行一行照原样填写。"


class CustomerLinkInline(TabularInline):
    model = CustomerLink
    fk_name = "customer"
    fields = ["linked", "type", "remark"]
    autocomplete_fields = ["linked"]
    verbose_name_plural = "关联客户"
    empty_hint = "还没有关联客户。母公司、子公司、介绍人等关系可以登记在这里。"


@admin.register(Contact)
class ContactAdmin(ModelAdmin):
    nav_icon, nav_order, in_palette = "contacts", 20, True
    resource_class = ContactResource
    list_display = ["name", "customer", "position", "mobile", "telephone", "email", "key", "birthday"]
    list_filter = [("birthday", RangeDateFilter)]
    list_select_related = ["customer"]
    search_fields = ["name", "mobile", "email", "customer__name"]
    search_help_text = "姓名、手机、邮箱、客户名称"
    empty_hint = "联系人一般在客户页面的“联系人”页签里添加，也可以导入。"
    autocomplete_fields = ["customer"]
    ordering = ["-id"]
    fieldsets = [
        (None, {"fields": ["customer", ("name", "sex"), ("position", "birthday"), ("is_default", "is_key")]}),
        ("联系方式", {"fields": [("mobile", "telephone"), ("email", "wechat"), ("qq", "preference"), "address"]}),
        ("其他", {"fields": ["remark", "is_closed"]}),
    ]

    def palette_title(self, obj):
        return f"{obj.name}（{obj.customer}）"

    @display(description="决策人", label={"关键决策人": "warning"})
    def key(self, obj):
        return "关键决策人" if obj.is_key else None


@admin.register(BankAccount)
class BankAccountAdmin(ModelAdmin):
    list_display = ["customer", "bank", "account", "bank_code", "payee"]
    list_select_related = ["customer", "payee"]
    search_fields = ["account", "customer__name"]
    autocomplete_fields = ["customer"]
    ordering = ["-id"]
    fieldsets = [
        (None, {"fields": ["customer", ("bank", "account"), ("bank_code", "bank_contact"), "bank_address", "payee"]}),
        ("其他", {"fields": ["is_default", "remark", "is_closed"]}),
    ]


@admin.register(ShippingMark)
class ShippingMarkAdmin(ModelAdmin):
    list_display = ["customer", "content"]
    list_select_related = ["customer"]
    search_fields = ["customer__name", "content"]
    autocomplete_fields = ["customer"]
    ordering = ["-id"]
    fieldsets = [(None, {"fields": ["customer", "content", "remark", "is_closed"]})]


@admin.register(CustomerLink)
class CustomerLinkAdmin(ModelAdmin):
    list_display = ["customer", "type"]
    list_select_related = ["customer", "type"]
    search_fields = ["customer__name"]
    autocomplete_fields = ["customer", "linked"]
    ordering = ["-id"]
    fieldsets = [(None, {"fields": ["customer", "linked", "type", "remark"]})]
