from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.http import urlencode

from crm import approvals
from crm.admin.attachments import AttachmentAdmin, AttachmentInline
from crm.admin.base import ModelAdmin, ReadOnly, TabularInline, display
from crm.admin.filters import ChoiceFilter, LinkedFilter, OwnerFilter, RangeDateFilter, RangeNumericFilter
from crm.admin.forms import RecordForm
from crm.admin.proposals import ProposesMixin
from crm.models import ApprovalRequest
from crm.policies import HIDDEN_LABEL, policy_for
from crm.transitions import TransitionRefused
from customers.activity import change_url
from customers.models import Customer
from customers.services.credit import OverLimit
from customers.services.reviews import require_usable
from sales.admin.buyers import BuyerColumn
from sales.admin.contract_forms import ContractReviewForm, SignForm
from sales.admin.documents import DocumentAdmin, DocumentColumns, LineAdmin, LineInline, line_fieldsets
from sales.admin.money import ContractMoneyMixin, MoneyFilter
from sales.approvals import AMENDMENT, NOTICE, REVIEW
from sales.models import Contract, ContractAttachment, ContractItem, ContractStatus, ContractVersion, OpportunityStatus
from sales.resources.documents import ContractResource
from sales.services import contracts, versions

STATUS_COLORS = {"草稿": "info", "审核中": "warning", "已审核": "primary", "已签约": "success", "已终止": "danger"}
SOON = 7  # days left from which on the day is shown in red


class ContractForm(RecordForm):
    def clean(self):
        cleaned = super().clean()
        customer = cleaned.get("customer")
        if self.instance._state.adding and customer is not None:
            try:
                require_usable(customer, "新建合同")
            except ValidationError as error:
                self.add_error("customer", error)
        return cleaned


class ContractItemInline(LineInline):
    model = ContractItem

    def _may_touch(self, request, action, obj):
        """The lines of a signed contract are open on the page on which an amendment is written."""
        if getattr(request, "amending", False):
            return self.policy.allows(request.user, action)
        if obj is not None and obj.pk and contracts.under_review(obj) is not None:
            return False
        return super()._may_touch(request, action, obj)


class ContractAttachmentInline(AttachmentInline):
    model = ContractAttachment


class ExpiringFilter(MoneyFilter):
    title, parameter_name, lookup_kwarg = "到期", "ending", "ending"
    options = {"soon": f"{settings.CONTRACT_WARN_DAYS} 天内到期", "over": "已过到期日"}

    def rows(self, queryset, value, today):
        if value == "soon":
            return queryset.filter(pk__in=contracts.expiring(today).order_by().values("pk"))
        return queryset.filter(status=ContractStatus.SIGNED, end_date__lt=today)


class ContractColumns(DocumentColumns):
    @display(description="状态", ordering="status", label=STATUS_COLORS)
    def status_name(self, obj):
        return "审核中" if contracts.under_review(obj) else obj.get_status_display()

    @display(description="状态", ordering="status", label=STATUS_COLORS)
    def state(self, obj):
        return obj.get_status_display()

    @display(description="到期日期", ordering="end_date")
    def ends(self, obj):
        if obj.end_date is None:
            return None
        left = obj.days_left
        if left is None or left > settings.CONTRACT_WARN_DAYS or obj.is_closed:
            return obj.end_date.isoformat()
        words = f"还剩 {left} 天" if left >= 0 else f"已到期 {-left} 天"
        style = "ky-late" if left <= SOON else "ky-muted"
        return format_html('{} <span class="{}">{}</span>', obj.end_date.isoformat(), style, words)


class ContractTab(ContractColumns, ReadOnly, TabularInline):
    """The contracts of a customer, on its page."""

    model = Contract
    fields = readonly_fields = ["link", "amount", "state", "sign_date", "ends", "owner"]
    verbose_name_plural = "合同"
    empty_hint = "还没有合同。"

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("owner").order_by("-id")

    @display(description="合同")
    def link(self, obj):
        return format_html('<a href="{}">{}</a> {}', change_url(obj), obj.name, obj.number)


def customer_tab():
    """Provider of ``customers.activity.TABS``."""
    return ContractTab


@admin.register(Contract)
class ContractAdmin(BuyerColumn, ProposesMixin, ContractMoneyMixin, ContractColumns, DocumentAdmin):
    nav_icon, nav_order, in_palette = "contract", 70, True
    resource_class = ContractResource
    form = ContractForm
    head_template = "sales/contract_head.html"
    head_labels = ("status_name",)
    empty_hint = "合同可以由客户接受的报价单生成，也可以直接新建；审核通过后签约。"
    list_display = [
        "number",
        "name",
        "buyer",
        "amount",
        "state",
        "received_share",
        "instalments",
        "sign_date",
        "ends",
        "owner",
        "created_at",
    ]
    list_display_links = ["number", "name"]
    list_select_related = ["customer", "owner"]
    list_filter = [
        ("status", ChoiceFilter),
        ExpiringFilter,
        ("owner", OwnerFilter),
        ("customer", LinkedFilter),
        ("opportunity", LinkedFilter),
        ("currency", ChoiceFilter),
        ("total_amount", RangeNumericFilter),
        ("sign_date", RangeDateFilter),
        ("end_date", RangeDateFilter),
        ("is_closed", ChoiceFilter),
    ]
    search_fields = ["number", "name", "customer__name"]
    search_help_text = "合同编号、名称、客户名称"
    autocomplete_fields = ["customer", "contact", "opportunity"]
    inlines = [ContractItemInline, ContractAttachmentInline]
    asks = {REVIEW.code: ContractReviewForm}
    readonly_fields = [
        "amount",
        "amount_in_words",
        "quotation",
        "sign_date",
        "version_no",
        "received_amount",
        "invoiced_amount",
        "terminate_reason",
        "terminated_at",
        "created_by",
        "created_at",
    ]
    fieldsets = [
        (
            "合同",
            {
                "fields": [
                    "name",
                    ("customer", "contact"),
                    ("number", "opportunity"),
                    ("currency", "company"),
                    ("start_date", "end_date"),
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
                    ("received_amount", "invoiced_amount"),
                    ("sign_date", "version_no"),
                    ("quotation", "terminated_at"),
                    "terminate_reason",
                    ("created_by", "created_at"),
                    "is_closed",
                ]
            },
        ),
    ]

    def get_inlines(self, request, obj):
        return super().get_inlines(request, obj) if obj is not None else self.inlines[:1]

    def enter(self, obj, *, by):
        contracts.enter(obj, by=by)

    def palette_title(self, obj):
        return f"{obj.name}（{obj.number}）"

    # --- Who may write -----------------------------------------------------------------------------------------------

    def has_change_permission(self, request, obj=None):
        """A draft under review is left alone; a signed contract is open where an amendment is written."""
        if obj is not None and getattr(request, "amending", False):
            return self.policy.may(request.user, AMENDMENT.action, obj)
        may = super().has_change_permission(request, obj)
        return may and (obj is None or contracts.under_review(obj) is None)

    def get_readonly_fields(self, request, obj=None):
        fixed = ["number", "currency", "opportunity", "is_closed"] if getattr(request, "amending", False) else []
        return [*super().get_readonly_fields(request, obj), *fixed]

    def change_kind(self, request, obj):
        return AMENDMENT if getattr(request, "amending", False) else None

    def may_ask(self, request, obj, code):
        if obj.status != ContractStatus.DRAFT or contracts.under_review(obj) is not None:
            return False
        return super().may_ask(request, obj, code)

    def run_transition(self, obj, name, *, by, reason):
        run = {"rework": contracts.rework, "terminate": contracts.terminate}.get(name)
        if run is None:
            return super().run_transition(obj, name, by=by, reason=reason)
        run(obj, by=by, reason=reason)

    # --- Pages -------------------------------------------------------------------------------------------------------

    def get_urls(self):
        view, name = self.admin_site.admin_view, "sales_contract"
        return [
            path("<path:object_id>/sign/", view(self.sign_view), name=f"{name}_sign"),
            path("<path:object_id>/amend/", view(self.amend_view), name=f"{name}_amend"),
            path("<path:object_id>/versions/", view(self.versions_view), name=f"{name}_versions"),
            *super().get_urls(),
        ]

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        if change and obj is not None:
            amending = getattr(request, "amending", False)
            signed = obj.status == ContractStatus.SIGNED
            context |= {
                "amending": amending,
                "may_amend": signed and not amending and self.policy.may(request.user, AMENDMENT.action, obj),
                "is_amended": bool(contracts.amendments(obj)),
                "kept": obj.versions_kept.count() > 1
                if policy_for(ContractVersion).allows(request.user, "view")
                else 0,
                "refused": self._refused(obj),
                "hint": self._hint(request, obj),
            }
        response = super().render_change_form(request, context, add, change, form_url, obj)
        if getattr(request, "amending", False):  # one thing at a time: what is written here is saved as a request
            response.context_data |= {"transitions": [], "money_links": [], "asks": [], "by_request": None}
            response.context_data |= {"show_save_and_continue": False, "show_save_and_add_another": False}
        return response

    def _hint(self, request, obj):
        if getattr(request, "amending", False):
            return ""
        if contracts.under_review(obj) is not None:
            return "合同正在审核，内容不能改；要修改请申请人先撤回审核。"
        return {
            ContractStatus.APPROVED: "审核已通过，内容不能再改，可以签约；要修改请“退回修改”，改好后重新提交审核。",
            ContractStatus.SIGNED: NOTICE,
            ContractStatus.TERMINATED: "合同已终止，内容不能再改。",
        }.get(obj.status, "")

    @staticmethod
    def _refused(obj):
        """How the last review ended, while the draft waits to be corrected."""
        if obj.status != ContractStatus.DRAFT or contracts.under_review(obj) is not None:
            return None
        last = versions.reviews(obj).first()
        if last is None or last.state != ApprovalRequest.State.REJECTED:
            return None
        return last.decisions.filter(action="reject").select_related("user", "request").last()

    def amend_view(self, request, object_id):
        """The form of a signed contract, which leads to the page of differences and from there to a request."""
        obj = self.visible_object(request, object_id)
        if not self.policy.may(request.user, AMENDMENT.action, obj):
            raise PermissionDenied
        if (waiting := contracts.amendments(obj).first()) is not None:
            self.message_user(request, f"{waiting}正在审批，办结之前不能再申请变更。", messages.WARNING)
            return HttpResponseRedirect(approvals.link(waiting))
        request.amending = True
        return self.changeform_view(request, object_id, extra_context={"title": f"申请变更：{obj}"})

    def sign_view(self, request, object_id):
        obj = self.visible_object(request, object_id)
        if not self.policy.may(request.user, "sign", obj):
            raise PermissionDenied
        form = SignForm(request.POST if request.method == "POST" else None)
        over = None
        if request.method == "POST" and form.is_valid():
            try:
                contracts.sign(obj, form.cleaned_data["sign_date"], by=request.user)
                return self._signed(request, obj)
            except OverLimit as error:
                over = error
            except TransitionRefused as error:
                form.add_error(None, str(error))
            except ValidationError as error:
                form.add_error(None, error.messages)
        context = {
            "title": f"签约：{obj}",
            "crumb": "签约",
            "original": obj,
            "form": form,
            "over": over,
            "temporary_url": self._temporary_url(request, over) if over else "",
            "amount": self.amount(obj),
            "customer": obj.customer if policy_for(Customer).may(request.user, "view", obj.customer) else HIDDEN_LABEL,
            "ready": obj.status == ContractStatus.APPROVED,
            "back": self._url("change", obj.pk),
        }
        return self.page(request, "sales/sign.html", context)

    def _signed(self, request, obj):
        self.message_user(request, f"“{obj}”已签约，客户记为成交。", messages.SUCCESS)
        deal = obj.opportunity
        if (
            deal is not None
            and deal.status == OpportunityStatus.OPEN
            and policy_for(type(deal)).may(request.user, "change", deal)
        ):
            words = format_html('商机“<a href="{}">{}</a>”还在进行中，可以“赢单”了。', change_url(deal), deal)
            self.message_user(request, words, messages.INFO)
        return HttpResponseRedirect(self._url("change", obj.pk))

    def _temporary_url(self, request, over):
        """Where more credit until a day is asked for, filled in with what is missing."""
        if not policy_for(Customer).may(request.user, "change", over.customer):
            return ""
        given = {"currency": over.line.currency, "amount": over.needed - over.headroom}
        page = reverse("admin:customers_customer_ask", args=[over.customer.pk, "customer.temporary_credit"])
        return f"{page}?{urlencode(given)}"

    def versions_view(self, request, object_id):
        """What two versions say, beside each other; the newest and the one before unless others are chosen."""
        obj = self.visible_object(request, object_id)
        rows = policy_for(ContractVersion).visible_to(request.user).filter(contract=obj)
        kept = {row.version_no: row for row in rows.select_related("created_by", "request").order_by("-version_no")}
        if not kept:
            raise Http404("这份合同还没有版本，签约后才有。")
        numbers = list(kept)
        new = versions.chosen(request.GET.get("new"), numbers, numbers[0])
        old = versions.chosen(request.GET.get("old"), numbers, next((n for n in numbers if n < new), new))
        context = {
            "title": f"合同版本：{obj}",
            "crumb": "合同版本",
            "original": obj,
            "kept": kept.values(),
            "old": kept[old],
            "new": kept[new],
            "comparison": versions.compare(kept[old], kept[new], request.user),
            "back": self._url("change", obj.pk),
        }
        return self.page(request, "sales/contract_versions.html", context)


@admin.register(ContractItem)
class ContractItemAdmin(LineAdmin):
    head_field = "contract"
    fieldsets = line_fieldsets("contract")


@admin.register(ContractVersion)
class ContractVersionAdmin(ReadOnly, ModelAdmin):
    list_display = ["contract", "version", "total_amount", "created_by", "created_at"]
    list_display_links = ["version"]
    list_select_related = ["contract", "created_by"]
    list_filter = [("contract", LinkedFilter)]
    search_fields = ["contract__number", "contract__name"]
    search_help_text = "合同编号、名称"
    fieldsets = [(None, {"fields": [("contract", "version"), ("total_amount", "request"), "said"]})]
    readonly_fields = ["version", "said"]

    @display(description="版本", ordering="version_no")
    def version(self, obj):
        return f"v{obj.version_no}"

    @display(description="内容")
    def said(self, obj):
        return versions.in_words(obj)


@admin.register(ContractAttachment)
class ContractAttachmentAdmin(AttachmentAdmin):
    nav_order = 90
    empty_hint = "附件在合同页面的“附件”页签里上传。"
