from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpResponseRedirect
from django.urls import path, reverse

from crm.admin.attachments import AttachmentAdmin, AttachmentInline
from crm.admin.base import ModelAdmin, display
from crm.admin.filters import ChoiceFilter, DictionaryFilter, LinkedFilter, OwnerFilter, RangeDateFilter
from crm.admin.media import ordered
from crm.exchange import money
from crm.policies import policy_for
from sales.admin.buyers import BuyerColumn
from sales.admin.money import InvoiceColumns, MoneyFilter, PlanColumns, ReceiptColumns
from sales.admin.open_amounts import OpenAmountsMixin, billing_values
from sales.admin.payment_forms import InvoiceForm, PlanForm, ReceiptForm, ScheduleForm
from sales.models import (
    Contract,
    Invoice,
    InvoiceAttachment,
    PaymentAttachment,
    PaymentPlan,
    PaymentRecord,
)
from sales.resources.payments import InvoiceResource, PaymentPlanResource, PaymentRecordResource
from sales.services import payments


class DueFilter(MoneyFilter):
    title = "到期"
    options = {"overdue": "已逾期", "week": "七天内到期", "open": "未付清的"}

    def rows(self, queryset, value, today):
        return queryset.filter(pk__in=payments.due(value, today).order_by().values("pk"))


@admin.register(PaymentPlan)
class PaymentPlanAdmin(BuyerColumn, PlanColumns, ModelAdmin):
    nav_icon, nav_order = "event_repeat", 56
    resource_class = PaymentPlanResource
    form = PlanForm
    buyer_path = "contract__customer"
    head_labels = ("status_name",)
    empty_hint = "回款计划在合同页面上生成：按比例分期，到期前提醒负责人。"
    list_display = [
        "due",
        "status_name",
        "contract",
        "buyer",
        "place",
        "planned",
        "received",
        "open",
        "term",
        "owner",
    ]
    list_display_links = ["due", "place"]
    list_select_related = ["contract__customer", "contract__owner"]
    list_filter = [
        DueFilter,
        ("status", ChoiceFilter),
        ("date", RangeDateFilter),
        ("contract__owner", OwnerFilter),
        ("contract__customer", LinkedFilter),
        ("contract", LinkedFilter),
    ]
    search_fields = ["contract__number", "contract__name", "contract__customer__name"]
    search_help_text = "合同编号、合同名称、客户名称"
    autocomplete_fields = ["contract"]
    readonly_fields = ["received", "open"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    "contract",
                    ("position", "date"),
                    ("amount", "term"),
                    ("received", "open"),
                    "remark",
                    "is_closed",
                ]
            },
        )
    ]

    def get_readonly_fields(self, request, obj=None):
        return [*self.readonly_fields, "contract"] if obj else []

    def get_fieldsets(self, request, obj=None):
        (title, options), *others = super().get_fieldsets(request, obj)
        shown = [row for row in options["fields"] if obj or row != ("received", "open")]
        return [(title, {**options, "fields": shown}), *others]

    def save_model(self, request, obj, form, change):
        payments.save_plan(obj, by=request.user)

    @display(description="期次")
    def place(self, obj):
        return f"第 {obj.position} 期"

    @display(description="负责人")
    def owner(self, obj):
        return obj.contract.owner

    # --- Making them all at once -------------------------------------------------------------------------------------

    def get_urls(self):
        view = self.admin_site.admin_view(self.generate_view)
        return [path("generate/<int:contract>/", view, name="sales_paymentplan_generate"), *super().get_urls()]

    def generate_view(self, request, contract):
        contract = policy_for(Contract).visible_to(request.user).filter(pk=contract).first()
        if contract is None:
            raise Http404("合同不存在，或您无权查看。")
        if not self.policy.may_add_to(request.user, contract):
            raise PermissionDenied
        back = f"{reverse('admin:sales_contract_change', args=[contract.pk])}#plans"
        form = ScheduleForm(contract, request.POST or None)
        proposal = []
        if request.method == "POST" and form.is_valid():
            asked = {"start": form.cleaned_data["start"], "replace": form.cleaned_data["replace"]}
            try:
                if "generate" in request.POST:
                    made = payments.generate(contract, form.shares, by=request.user, **asked)
                    self.message_user(request, f"已生成 {len(made)} 期回款计划。", messages.SUCCESS)
                    return HttpResponseRedirect(back)
                proposal = payments.propose(contract, form.shares, **asked)
            except ValidationError as error:
                form.add_error(None, error.messages)
        context = {
            "title": f"生成回款计划：{contract.number}",
            "crumb": "生成回款计划",
            "contract": contract,
            "total": money(contract.total_amount, contract.currency),
            "unplanned": money(payments.unplanned(contract), contract.currency),
            "form": form,
            "proposal": [(place, one, money(one.amount, contract.currency)) for place, one in enumerate(proposal, 1)],
            "sum": money(sum(one.amount for one in proposal), contract.currency) if proposal else "",
            "back": back,
            "media": ordered(self.media + form.media),
        }
        return self.page(request, "sales/schedule.html", context)


class PaymentAttachmentInline(AttachmentInline):
    model = PaymentAttachment
    verbose_name_plural = "银行回单"


@admin.register(PaymentRecord)
class PaymentRecordAdmin(OpenAmountsMixin, BuyerColumn, ReceiptColumns, ModelAdmin):
    nav_icon, nav_order, in_palette = "payments", 57, True
    resource_class = PaymentRecordResource
    form = ReceiptForm
    head_labels = ("status_name",)
    roots = ("contract", "order")
    empty_hint = "到账后在合同或订单页面上点“登记回款”，也可以导入银行流水。登记错了请作废，再重新登记。"
    list_display = [
        "number",
        "date",
        "buyer",
        "contract_no",
        "order",
        "instalment",
        "received",
        "method",
        "bank_flow",
        "status_name",
    ]
    list_select_related = ["customer", "contract", "order", "plan", "method"]
    list_filter = [
        ("status", ChoiceFilter),
        ("date", RangeDateFilter),
        ("method", DictionaryFilter),
        ("currency", ChoiceFilter),
        ("customer", LinkedFilter),
        ("contract", LinkedFilter),
        ("order", LinkedFilter),
    ]
    search_fields = ["number", "bank_flow", "customer__name", "contract__number", "order__number"]
    search_help_text = "回款单号、银行流水号、客户、合同编号、订单编号"
    autocomplete_fields = ["contract", "order"]
    inlines = [PaymentAttachmentInline]
    fixed = ["contract", "order", "plan", "received", "number", "buyer", "void_reason", "created_by", "created_at"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("contract", "order"),
                    ("plan", "amount"),
                    ("date", "method"),
                    "bank_flow",
                    "remark",
                ]
            },
        ),
    ]

    def get_fieldsets(self, request, obj=None):
        """What was received for what stays as it was entered: it is voided and entered anew."""
        found = super().get_fieldsets(request, obj)
        if obj is None:
            return found
        (title, options), *others = found
        fields = [name for name in options["fields"] if name != ("plan", "amount")]
        course = {"fields": [("number", "buyer"), "void_reason", ("created_by", "created_at"), "is_closed"]}
        fields.insert(1, ("plan", "received"))
        return [(title, {**options, "fields": fields}), (None, course), *others]

    def get_readonly_fields(self, request, obj=None):
        return self.fixed if obj else []

    def get_inlines(self, request, obj):
        return self.inlines if obj else []

    def refused(self, root):
        return payments.closed_to_receipts(root)

    def open_values(self, root, user):
        """The next open instalment and what it asks for; without any, all that is open."""
        plan = payments.open_plans(root).first()
        amount = min(root.open_amount, plan.open_amount) if plan else root.open_amount
        values = {"contract" if isinstance(root, Contract) else "order": root}
        if amount > 0:
            values |= {"plan": plan, "amount": amount} if plan else {"amount": amount}
        return values

    def formfield_for_foreignkey(self, db_field, request, **kwargs):
        if db_field.name == "plan":
            kwargs["queryset"] = payments.open_plans(self._root_of(request, request.POST or request.GET))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(self, request, obj, form, change):
        if change:
            return super().save_model(request, obj, form, change)
        made = payments.receive(obj, by=request.user)
        if len(made) > 1:
            parts = "、".join(
                f"{part}（{f'第 {part.plan.position} 期' if part.plan_id else '未排期'} "
                f"{money(part.amount, part.currency)}）"
                for part in made
            )
            self.message_user(request, f"这笔款按期次分成 {len(made)} 条回款记录：{parts}。", messages.INFO)

    def run_transition(self, obj, name, *, by, reason):
        payments.void(obj, by=by, reason=reason)

    @display(description="合同编号")
    def contract_no(self, obj):
        return obj.contract.number if obj.contract_id else None


class InvoiceAttachmentInline(AttachmentInline):
    model = InvoiceAttachment
    verbose_name_plural = "扫描件"


@admin.register(Invoice)
class InvoiceAdmin(OpenAmountsMixin, BuyerColumn, InvoiceColumns, ModelAdmin):
    nav_icon, nav_order, in_palette = "receipt_long", 58, True
    resource_class = InvoiceResource
    form = InvoiceForm
    head_labels = ("status_name",)
    empty_hint = "在已签约的合同页面上点“开发票”；一份合同的发票合计不超过合同金额。"
    list_display = ["number", "issue_date", "buyer", "contract_no", "type", "title", "sum", "status_name"]
    list_select_related = ["customer", "contract"]
    list_filter = [
        ("status", ChoiceFilter),
        ("type", ChoiceFilter),
        ("issue_date", RangeDateFilter),
        ("customer", LinkedFilter),
        ("contract", LinkedFilter),
    ]
    search_fields = ["number", "title", "customer__name", "contract__number"]
    search_help_text = "发票号码、抬头、客户、合同编号"
    autocomplete_fields = ["contract", "payment"]
    inlines = [InvoiceAttachmentInline]
    fixed = ["contract", "payment", "sum", "buyer", "void_reason", "created_by", "created_at"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("contract", "payment"),
                    ("number", "type"),
                    ("amount", "issue_date"),
                    ("title", "tax_no"),
                    "remark",
                ]
            },
        ),
    ]

    def get_fieldsets(self, request, obj=None):
        found = super().get_fieldsets(request, obj)
        if obj is None:
            return found
        (title, options), *others = found
        fields = [("sum", "issue_date") if row == ("amount", "issue_date") else row for row in options["fields"]]
        course = {"fields": [("buyer", "void_reason"), ("created_by", "created_at"), "is_closed"]}
        return [(title, {**options, "fields": fields}), (None, course), *others]

    def get_readonly_fields(self, request, obj=None):
        return self.fixed if obj else []

    def get_inlines(self, request, obj):
        return self.inlines if obj else []

    def refused(self, root):
        return payments.closed_to_invoices(root)

    def open_values(self, root, user):
        """All that is still to be invoiced, and whom to."""
        left = root.total_amount - root.invoiced_amount
        amount = {"amount": left} if left > 0 else {}
        return {"contract": root} | amount | billing_values(root.customer, user)

    def save_model(self, request, obj, form, change):
        if change:
            return super().save_model(request, obj, form, change)
        payments.issue(obj, by=request.user)

    def run_transition(self, obj, name, *, by, reason):
        if name == "void":
            payments.void_invoice(obj, by=by, reason=reason)
        else:
            super().run_transition(obj, name, by=by, reason=reason)

    @display(description="合同编号")
    def contract_no(self, obj):
        return obj.contract.number


@admin.register(PaymentAttachment)
class PaymentAttachmentAdmin(AttachmentAdmin):
    nav_icon = ""  # reached from the receipt


@admin.register(InvoiceAttachment)
class InvoiceAttachmentAdmin(AttachmentAdmin):
    nav_icon = ""  # reached from the invoice
