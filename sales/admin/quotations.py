from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Exists, OuterRef
from django.http import Http404, HttpResponseRedirect
from django.urls import path
from django.utils import timezone
from django.utils.html import format_html

from crm.admin.base import ReadOnly, TabularInline, display
from crm.admin.filters import (
    ChoiceFilter,
    LinkedFilter,
    RangeDateFilter,
    RangeDateTimeFilter,
    RangeNumericFilter,
)
from crm.policies import policy_for
from crm.transitions import TransitionRefused
from customers.activity import change_url
from sales.admin.documents import DocumentAdmin, DocumentColumns, LineAdmin, LineInline, line_fieldsets
from sales.models import Contract, Quotation, QuotationItem, QuotationStatus
from sales.resources.documents import QuotationResource
from sales.services import quotations

STATUS_COLORS = {
    "草稿": "info",
    "已发送": "primary",
    "已接受": "success",
    "已拒绝": "danger",
    "已过期": "warning",
    "已被修订": "warning",
}
HINTS = {
    QuotationStatus.SENT: "报价单已发给客户，内容不能再改；要改价或改数量请“新建修订版”，客户看到的这一版原样保留。",
    QuotationStatus.ACCEPTED: "客户已接受，内容不能再改；生成合同后在合同里继续。",
    QuotationStatus.REJECTED: "客户已拒绝，内容不能再改；重新报价请“新建修订版”。",
    QuotationStatus.EXPIRED: "报价已过期，内容不能再改；重新报价请“新建修订版”。",
}


class QuotationItemInline(LineInline):
    model = QuotationItem


class QuotationColumns(DocumentColumns):
    @display(description="状态", ordering="status", label=STATUS_COLORS)
    def status_name(self, obj):
        return "已被修订" if self._revised(obj) else obj.get_status_display()

    @display(description="有效期", ordering="valid_until")
    def until(self, obj):
        if obj.valid_until is None:
            return None
        left = (obj.valid_until - timezone.localdate()).days
        if obj.status != QuotationStatus.SENT or not 0 <= left <= 3:
            return obj.valid_until.isoformat()
        return format_html('{} <span class="ky-late">还剩 {} 天</span>', obj.valid_until.isoformat(), left)

    @display(description="版次", ordering="revision")
    def revision_name(self, obj):
        return f"第 {obj.revision} 版" if obj.revision > 1 else None

    def _revised(self, obj):
        known = getattr(obj, "is_revised", None)
        return obj.newer is not None if known is None else known


def with_revised(rows):
    newer = Quotation.objects.valid().filter(revision_of=OuterRef("pk")).order_by()
    return rows.annotate(is_revised=Exists(newer))


class QuotationTab(QuotationColumns, ReadOnly, TabularInline):
    """The quotations of a customer, on its page."""

    model = Quotation
    fields = readonly_fields = ["link", "amount", "until", "revision_name", "status_name"]
    verbose_name_plural = "报价"
    empty_hint = "还没有报价单。"

    def get_queryset(self, request):
        return with_revised(super().get_queryset(request)).order_by("-id")

    @display(description="单号")
    def link(self, obj):
        return format_html('<a href="{}">{}</a>', change_url(obj), obj.number)


def customer_tab():
    """Provider of ``customers.activity.TABS``."""
    return QuotationTab


@admin.register(Quotation)
class QuotationAdmin(QuotationColumns, DocumentAdmin):
    nav_icon, nav_order, in_palette = "request_quote", 65, True
    resource_class = QuotationResource
    head_template = "sales/quotation_head.html"
    head_labels = ("status_name", "revision_name")
    empty_hint = "报价单可以在这里、客户页面或商机页面上新建；客户接受后一键生成合同。"
    list_display = [
        "number",
        "customer",
        "amount",
        "status_name",
        "revision_name",
        "until",
        "sent_at",
        "created_by",
        "created_at",
    ]
    list_select_related = ["customer", "created_by"]
    list_filter = [
        ("status", ChoiceFilter),
        ("customer", LinkedFilter),
        ("opportunity", LinkedFilter),
        ("currency", ChoiceFilter),
        ("total_amount", RangeNumericFilter),
        ("valid_until", RangeDateFilter),
        ("created_at", RangeDateTimeFilter),
    ]
    search_fields = ["number", "customer__name"]
    search_help_text = "单号、客户名称"
    autocomplete_fields = ["customer", "contact", "opportunity"]
    inlines = [QuotationItemInline]
    readonly_fields = [
        "amount",
        "amount_in_words",
        "revision_of",
        "sent_at",
        "decided_at",
        "reject_reason",
        "created_by",
        "created_at",
    ]
    fieldsets = [
        (
            "报价单",
            {
                "fields": [
                    ("customer", "contact"),
                    ("number", "opportunity"),
                    ("currency", "valid_until"),
                    "company_path",
                    "terms",
                    "remark",
                ]
            },
        ),
        (
            "金额与进展",
            {
                "fields": [
                    ("amount", "amount_in_words"),
                    ("sent_at", "decided_at"),
                    ("revision_of", "reject_reason"),
                    ("created_by", "created_at"),
                    "is_closed",
                ]
            },
        ),
    ]

    def get_queryset(self, request):
        return with_revised(super().get_queryset(request))

    def enter(self, obj, *, by):
        quotations.enter(obj, by=by)

    def save_related(self, request, form, formsets, change):
        """A quotation for an opportunity that was entered without lines takes the products the customer wants."""
        super().save_related(request, form, formsets, change)
        if not change and (taken := quotations.take_interests(form.instance)):
            self.message_user(request, f"已带出商机里的 {taken} 种意向产品，请核对数量和单价。", messages.INFO)

    def run_transition(self, obj, name, *, by, reason):
        run = {"send": quotations.send, "accept": quotations.accept}.get(name)
        if run is None:
            return super().run_transition(obj, name, by=by, reason=reason)
        run(obj, by=by)

    def transition_view(self, request, object_id, transition):
        """What a customer accepts becomes a contract at once, where it may; otherwise its button stays."""
        response = super().transition_view(request, object_id, transition)
        obj = self.visible_object(request, object_id)
        if transition != "accept" or not self._may_draft(request, obj):
            return response
        return self._draft(request, obj)

    # --- Pages -------------------------------------------------------------------------------------------------------

    def get_urls(self):
        view, name = self.admin_site.admin_view, "sales_quotation"
        return [
            path("<path:object_id>/copy/", view(self.copy_view), name=f"{name}_copy"),
            path("<path:object_id>/revise/", view(self.revise_view), name=f"{name}_revise"),
            path("<path:object_id>/contract/", view(self.contract_view), name=f"{name}_contract"),
            *super().get_urls(),
        ]

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        if change and obj is not None:
            newer, may_add = obj.newer, policy_for(Quotation).may_add_to(request.user, obj.customer)
            context |= {
                "newer": newer,
                "hint": "" if newer else HINTS.get(obj.status, ""),
                "made": policy_for(Contract).visible_to(request.user).filter(quotation=obj).first(),
                "may_draft": self._may_draft(request, obj),
                "may_copy": may_add,
                "may_revise": may_add
                and newer is None
                and obj.status not in (QuotationStatus.DRAFT, QuotationStatus.ACCEPTED),
            }
        return super().render_change_form(request, context, add, change, form_url, obj)

    def _may_draft(self, request, obj):
        return (
            obj.status == QuotationStatus.ACCEPTED
            and self.policy.may(request.user, "decide", obj)
            and policy_for(Contract).allows(request.user, "add")
            and not obj.contracts.filter(is_valid=True).exists()
        )

    def copy_view(self, request, object_id):
        return self._make(request, object_id, quotations.copy, "已复制为草稿，请核对后发送。")

    def revise_view(self, request, object_id):
        return self._make(request, object_id, quotations.revise, "这是新的修订版草稿；发送后请客户以这一版为准。")

    def contract_view(self, request, object_id):
        obj = self.visible_object(request, object_id)
        if request.method != "POST":
            raise Http404
        return self._draft(request, obj)

    def _draft(self, request, obj):
        try:
            contract = quotations.draft_contract(obj, by=request.user)
        except ValidationError as error:
            self.message_user(request, "".join(error.messages), messages.WARNING)
            return HttpResponseRedirect(self._url("change", obj.pk))
        words = f"已由报价单 {obj} 生成合同草稿 {contract.number}，核对后请“提交审核”。"
        self.message_user(request, words, messages.SUCCESS)
        return HttpResponseRedirect(change_url(contract))

    def _make(self, request, object_id, verb, words):
        obj = self.visible_object(request, object_id)
        if request.method != "POST":
            raise Http404
        try:
            made = verb(obj, by=request.user)
        except PermissionDenied:
            raise
        except (ValidationError, TransitionRefused) as error:
            self.message_user(request, "".join(getattr(error, "messages", [str(error)])), messages.ERROR)
            return HttpResponseRedirect(self._url("change", obj.pk))
        self.message_user(request, f"{made}：{words}", messages.SUCCESS)
        return HttpResponseRedirect(self._url("change", made.pk))


@admin.register(QuotationItem)
class QuotationItemAdmin(LineAdmin):
    head_field = "quotation"
    fieldsets = line_fieldsets("quotation")
