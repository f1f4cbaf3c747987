"""What pages of customers, contracts and orders show of the money: tabs, filters, columns."""

from django.contrib import admin
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import urlencode

from crm.admin.base import ReadOnly, TabularInline, display
from crm.exchange import money
from crm.policies import policy_for
from customers.activity import change_url
from sales.models import (
    ContractStatus,
    Invoice,
    Order,
    PaymentPlan,
    PaymentRecord,
)
from sales.services import payments

PAID_COLORS = {"未回款": "warning", "部分回款": "info", "全部回款": "success"}
RECEIPT_COLORS = {"有效": "success", "已作废": "danger"}
INVOICE_COLORS = {"已开票": "info", "已寄达": "primary", "已认证": "success", "已作废": "danger"}


class MoneyFilter(admin.SimpleListFilter):
    """One of ``options`` (``?money=…``), as ``rows`` reads it today."""

    parameter_name = lookup_kwarg = "money"
    template = "crm/filter_select.html"
    options: dict[str, str] = {}

    def lookups(self, request, model_admin):
        return list(self.options.items())

    def choices(self, changelist):
        values = ["", *(value for value, _ in self.lookup_choices)]
        for value, choice in zip(values, super().choices(changelist), strict=True):
            yield choice | {"value": value}

    def queryset(self, request, queryset):
        if self.value() not in self.options:
            return queryset
        return self.rows(queryset, self.value(), timezone.localdate())

    def rows(self, queryset, value, today):
        raise NotImplementedError


class Linked:
    """The first column of a tab: the record, leading to its page."""

    @display(description="单号")
    def link(self, obj):
        return format_html('<a href="{}">{}</a>', change_url(obj), obj.number)


class PlanColumns:
    @display(description="计划金额")
    def planned(self, obj):
        return money(obj.amount, obj.contract.currency)

    @display(description="已回款")
    def received(self, obj):
        return money(obj.received_amount, obj.contract.currency)

    @display(description="未回款")
    def open(self, obj):
        return money(obj.open_amount, obj.contract.currency)

    @display(description="计划回款日期", ordering="date")
    def due(self, obj):
        if not obj.is_overdue:
            return obj.date.isoformat()
        days = (timezone.localdate() - obj.date).days
        return format_html('<span>{} <span class="ky-late">逾期 {} 天</span></span>', obj.date.isoformat(), days)

    @display(description="状态", ordering="status", label=PAID_COLORS)
    def status_name(self, obj):
        return obj.get_status_display()


class PlanTab(PlanColumns, ReadOnly, TabularInline):
    """The instalments of a contract: changed on their own pages, since a signed contract itself is not edited."""

    model = PaymentPlan
    fields = readonly_fields = ["place", "due", "planned", "received", "open", "term", "status_name"]
    verbose_name_plural = "回款计划"
    empty_hint = "还没有回款计划。点“生成回款计划”，按比例和日期一次排好。"

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("contract").order_by("date", "position", "id")

    @display(description="期次")
    def place(self, obj):
        return format_html('<a href="{}">第 {} 期</a>', change_url(obj), obj.position)


class ReceiptColumns:
    @display(description="回款金额")
    def received(self, obj):
        return money(obj.amount, obj.currency)

    @display(description="状态", ordering="status", label=RECEIPT_COLORS)
    def status_name(self, obj):
        return obj.get_status_display()

    @display(description="期次")
    def instalment(self, obj):
        return f"第 {obj.plan.position} 期" if obj.plan_id else None


class ReceiptTab(Linked, ReceiptColumns, ReadOnly, TabularInline):
    """The receipts of a contract, an order or a customer."""

    model = PaymentRecord
    fields = readonly_fields = ["link", "date", "received", "instalment", "method", "bank_flow", "status_name"]
    verbose_name_plural = "回款记录"
    empty_hint = "还没有回款。"

    def get_queryset(self, request):
        rows = super().get_queryset(request).select_related("plan", "method")
        return rows.order_by("-date", "-id")


class InvoiceColumns:
    @display(description="发票金额")
    def sum(self, obj):
        return money(obj.amount, obj.currency)

    @display(description="状态", ordering="status", label=INVOICE_COLORS)
    def status_name(self, obj):
        return obj.get_status_display()


class InvoiceTab(Linked, InvoiceColumns, ReadOnly, TabularInline):
    model = Invoice
    fields = readonly_fields = ["link", "issue_date", "type", "title", "sum", "status_name"]
    verbose_name_plural = "发票"
    empty_hint = "还没有开发票。"

    def get_queryset(self, request):
        return super().get_queryset(request).order_by("-issue_date", "-id")


class OrderTab(Linked, ReadOnly, TabularInline):
    """订单查看 of the seed: the orders of a customer, on its page."""

    model = Order
    fields = readonly_fields = ["link", "order_date", "amount", "status_name", "paid_name", "address"]
    verbose_name_plural = "订单"
    empty_hint = "还没有订单。"

    def get_queryset(self, request):
        return super().get_queryset(request).order_by("-order_date", "-id")

    @display(description="金额")
    def amount(self, obj):
        return money(obj.total_amount, obj.currency)

    @display(description="状态")
    def status_name(self, obj):
        return obj.get_status_display()

    @display(description="回款")
    def paid_name(self, obj):
        return "随合同" if obj.contract_id else obj.get_paid_state_display()


def order_tab():
    """Provider of ``customers.activity.TABS``."""
    return OrderTab


def receipt_tab():
    """Provider of ``customers.activity.TABS``: 交易记录."""
    return ReceiptTab


class ContractMoneyMixin:
    """Mixin of the admin of contracts: how far each is paid, its instalments, receipts and invoices.

    The list shows ``received_share`` and ``instalments``; ``money_tabs`` come after the inlines of the class;
    ``money_links`` are the buttons of the page, for its head.
    """

    money_tabs = [PlanTab, ReceiptTab, InvoiceTab]

    def get_queryset(self, request):
        return payments.with_progress(super().get_queryset(request))

    def get_inlines(self, request, obj):
        own = super().get_inlines(request, obj)
        return [*own, *self.money_tabs] if obj is not None else own

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        if change and obj is not None:
            context["money_links"] = money_links(obj, request.user)
        return super().render_change_form(request, context, add, change, form_url, obj)

    @display(description="已回款")
    def received_share(self, obj):
        if obj.received_percent is None:
            return None
        return f"{int(obj.received_percent)}%"

    @display(description="期数")
    def instalments(self, obj):
        return f"{obj.plans_paid}/{obj.plans_total}" if obj.plans_total else None


def money_links(contract, user) -> list[tuple[str, str, str]]:
    """``(label, icon, address)`` of what ``user`` may do about the money of ``contract`` now."""
    found = []
    if contract.status != ContractStatus.TERMINATED and policy_for(PaymentPlan).may_add_to(user, contract):
        generate = reverse("admin:sales_paymentplan_generate", args=[contract.pk])
        found.append(("生成回款计划", "event_repeat", generate))
    if contract.status == ContractStatus.SIGNED:
        given = urlencode({"contract": contract.pk})
        if contract.open_amount > 0 and policy_for(PaymentRecord).may_add_to(user, contract):
            found.append(("登记回款", "payments", f"{reverse('admin:sales_paymentrecord_add')}?{given}"))
        if contract.invoiced_amount < contract.total_amount and policy_for(Invoice).may_add_to(user, contract):
            found.append(("开发票", "receipt_long", f"{reverse('admin:sales_invoice_add')}?{given}"))
    return found
