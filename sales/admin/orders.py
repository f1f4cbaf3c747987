from django.contrib import admin
from django.urls import reverse
from django.utils.http import urlencode

from crm.admin.base import ModelAdmin, TabularInline, display
from crm.admin.filters import ChoiceFilter, LinkedFilter, RangeDateFilter
from crm.exchange import money
from crm.policies import policy_for
from sales.admin.money import PAID_COLORS, MoneyFilter, ReceiptTab
from sales.models import Order, OrderItem, OrderStatus, PaymentRecord
from sales.resources.orders import OrderResource
from sales.services import exposure, orders

STATUS_COLORS = {"草稿": "info", "已确认": "success", "已取消": "danger"}


class OrderItemInline(TabularInline):
    model = OrderItem
    fields = ["product", "name", "specification", "quantity", "unit", "unit_price", "discount", "amount"]
    readonly_fields = ["amount"]
    autocomplete_fields = ["product"]
    empty_hint = "还没有明细。选了产品，品名、规格、单位和同币种的价格会自动带出。"


class UnpaidFilter(MoneyFilter):
    title = "欠款"
    options = {"open": "未付清的"}

    def rows(self, queryset, value, today):
        return queryset.filter(pk__in=exposure.unpaid_orders().order_by().values("pk"))


class OrderColumns:
    """What lists show of an order."""

    @display(description="金额")
    def amount(self, obj):
        return money(obj.total_amount, obj.currency)

    @display(description="状态", ordering="status", label=STATUS_COLORS)
    def status_name(self, obj):
        return obj.get_status_display()

    @display(description="回款", ordering="paid_state", label=PAID_COLORS | {"随合同": "info"})
    def paid_name(self, obj):
        if obj.contract_id:
            return "随合同"
        return obj.get_paid_state_display() if obj.status == OrderStatus.CONFIRMED else None

    @display(description="已回款")
    def received(self, obj):
        return money(obj.received_amount, obj.currency)


@admin.register(Order)
class OrderAdmin(OrderColumns, ModelAdmin):
    nav_icon, nav_order, in_palette = "shopping_cart", 55, True
    resource_class = OrderResource
    head_template = "sales/order_head.html"
    head_labels = ("status_name", "paid_name")
    empty_hint = "订单可以在客户页面上新建，也可以导入；确认时检查客户的信用额度，合同下的订单由合同担保。"
    list_display = ["number", "customer", "order_date", "amount", "status_name", "paid_name", "received", "address"]
    list_select_related = ["customer"]
    list_filter = [
        ("status", ChoiceFilter),
        ("paid_state", ChoiceFilter),
        UnpaidFilter,
        ("currency", ChoiceFilter),
        ("order_date", RangeDateFilter),
        ("customer", LinkedFilter),
        ("contract", LinkedFilter),
    ]
    search_fields = ["number", "customer__name"]
    search_help_text = "订单编号、客户名称"
    autocomplete_fields = ["customer", "contact", "contract"]
    readonly_fields = [
        "total",
        "received",
        "confirmed_at",
        "cancelled_at",
        "cancel_reason",
        "created_by",
        "created_at",
    ]
    inlines = [OrderItemInline, ReceiptTab]
    fieldsets = [
        (
            "订单",
            {
                "fields": [
                    ("customer", "contact"),
                    ("number", "currency"),
                    ("order_date", "order_time"),
                    ("contract", "company_path"),
                    "address",
                    "remark",
                ]
            },
        ),
        (
            "金额与进展",
            {
                "fields": [
                    ("total", "received"),
                    ("confirmed_at", "cancelled_at"),
                    "cancel_reason",
                    ("created_by", "created_at"),
                    "is_closed",
                ]
            },
        ),
    ]

    def get_fieldsets(self, request, obj=None):
        found = super().get_fieldsets(request, obj)
        return found if obj else found[:1]

    def get_inlines(self, request, obj):
        return self.inlines if obj and not obj.contract_id else self.inlines[:1]

    def save_model(self, request, obj, form, change):
        if change:
            return super().save_model(request, obj, form, change)
        orders.enter(obj, by=request.user)

    def run_transition(self, obj, name, *, by, reason):
        if name == "confirm":
            orders.confirm(obj, by=by)
        elif name == "cancel":
            orders.cancel(obj, by=by, reason=reason)
        else:
            super().run_transition(obj, name, by=by, reason=reason)

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        if change and obj is not None and self._may_receive(request.user, obj):
            context["receive_url"] = f"{reverse('admin:sales_paymentrecord_add')}?{urlencode({'order': obj.pk})}"
        return super().render_change_form(request, context, add, change, form_url, obj)

    def _may_receive(self, user, obj):
        is_open = obj.status == OrderStatus.CONFIRMED and not obj.contract_id and obj.open_amount > 0
        return is_open and policy_for(PaymentRecord).may_add_to(user, obj.customer)

    @display(description="总金额")
    def total(self, obj):
        return money(obj.total_amount, obj.currency)


@admin.register(OrderItem)
class OrderItemAdmin(ModelAdmin):
    list_display = ["order", "name", "specification", "quantity", "unit", "unit_price", "discount", "amount"]
    list_display_links = ["name"]
    list_select_related = ["order"]
    search_fields = ["name", "order__number"]
    search_help_text = "品名、订单编号"
    list_filter = [("product", LinkedFilter), ("order", LinkedFilter)]
    readonly_fields = ["amount"]
    autocomplete_fields = ["order", "product"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    "order",
                    ("product", "name"),
                    ("specification", "unit"),
                    ("quantity", "unit_price"),
                    ("discount", "amount"),
                    "remark",
                    "is_closed",
                ]
            },
        )
    ]
