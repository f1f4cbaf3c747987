from django.contrib import admin, messages
from django.http import HttpResponseRedirect
from django.urls import reverse

from crm import approvals, jobs
from crm.admin.agenda import due
from crm.admin.base import ModelAdmin, display
from crm.admin.filters import (
    ChoiceFilter,
    DictionaryFilter,
    MultiChoiceFilter,
    OwnerFilter,
    RangeDateTimeFilter,
    SharedFilter,
)
from crm.admin.proposals import ProposesMixin, ReasonForm
from crm.admin.quick import mark_changeable
from crm.admin.trees import TreeAdmin
from crm.exchange import money
from customers import activity
from customers.admin.attachments import CustomerAttachmentInline
from customers.admin.contacts import BankAccountInline, ContactInline, CustomerLinkInline, ShippingMarkInline
from customers.admin.credentials import ApiCredentialInline, CancelKeyInline
from customers.admin.credit import CreditLimitInline, CreditPages, TemporaryRequestForm
from customers.admin.duplicates import DuplicatePages
from customers.admin.lifecycle import STAGE_LABELS, StageForm, StagePeriodInline
from customers.admin.merging import MergePages
from customers.admin.paths import CustomerPathInline
from customers.admin.pool import OwnershipPeriodInline, SeaFilter, SeaPages
from customers.approvals import CHANGE, DELETION, REVIEW, STAGE, TEMPORARY, change_kind
from customers.models import Customer, CustomerCategory, RealCustomer, ReviewStatus, Tag
from customers.resources.accounts import CustomerResource, RealCustomerResource
from customers.services import changes, credit, lifecycle, reviews


class ReviewForm(ReasonForm):
    """A review needs no reason, but the reviewer may be told something."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["reason"].required = False

    def values(self):
        return reviews.review_values(self.target)


@admin.register(Customer)
class CustomerAdmin(DuplicatePages, MergePages, CreditPages, SeaPages, ProposesMixin, ModelAdmin):
    nav_icon, nav_order, in_palette = "apartment", 10, True
    head_template = "customers/customer_head.html"
    head_labels = ("level_name", "stage_name", "review_name", "deal_name")
    empty_hint = "可以新建一个，也可以用右上角的“导入”把现有的 Excel 名单导进来。"
    resource_class = CustomerResource
    list_display = [
        "code",
        "name",
        "quick",
        "level_name",
        "stage_name",
        "owner",
        "next_step",
        "last_followed_at",
        "phone",
        "review_name",
        "deal_name",
        "sea_outlook",
        "industry",
        "area",
        "updated_at",
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
        SeaFilter,
        ("last_followed_at", RangeDateTimeFilter),
        ("next_follow_at", RangeDateTimeFilter),
        ("created_at", RangeDateTimeFilter),
    ]
    search_fields = ["name", "short_name", "code", "phone", "contacts__mobile"]
    search_help_text = "名称、简称、代码、电话、联系人手机"
    autocomplete_fields = ["real_customer"]
    inlines = [
        ContactInline,
        CreditLimitInline,
        CustomerPathInline,
        BankAccountInline,
        ShippingMarkInline,
        CustomerLinkInline,
        CustomerAttachmentInline,
        ApiCredentialInline,
        CancelKeyInline,
        StagePeriodInline,
        OwnershipPeriodInline,
    ]
    asks = {
        REVIEW.code: ReviewForm,
        STAGE.code: StageForm,
        TEMPORARY.code: TemporaryRequestForm,
        DELETION.code: ReasonForm,
    }
    restore_kind = CHANGE
    actions = ["approve_selected", "release_selected", "merge_selected"]
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
                    ("is_sinosure", "is_credit_enabled"),
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
                    ("stage_since", "change_status"),
                    ("version_no", "dwell"),
                    ("owned_since", "protected_until"),
                    ("last_followed_at", "last_deal_at"),
                    ("created_by", "created_at"),
                    ("updated_by", "updated_at"),
                ],
            },
        ),
    ]
    readonly_fields = [
        "stage_since",
        "change_status",
        "version_no",
        "dwell",
        "owned_since",
        "protected_until",
        "last_followed_at",
        "last_deal_at",
        "created_by",
        "created_at",
        "updated_by",
        "updated_at",
    ]

    # --- Requests ----------------------------------------------------------------------------------------------------

    def change_kind(self, request, obj):
        return CHANGE if changes.is_controlled(obj.review_status, request.user) else None

    def kind_of(self, kind, values):
        return change_kind(values)

    def may_ask(self, request, obj, code):
        open_for_review = obj.review_status in (ReviewStatus.PENDING, ReviewStatus.REJECTED)
        if open_for_review != (code == REVIEW.code):
            return False
        if code == TEMPORARY.code and (not obj.is_credit_enabled or credit.may_manage(request.user, obj)):
            return False
        waiting = any(other.kind == code for other in approvals.pending_about(obj))
        return not waiting and super().may_ask(request, obj, code)

    def save_related(self, request, form, formsets, change):
        super().save_related(request, form, formsets, change)
        if not change and not self.policy.allows(request.user, "review"):
            self._submit_new(request, form.instance)

    def _submit_new(self, request, customer):
        """What a salesperson enters goes to review at once; where nobody could review, it waits for its button."""
        try:
            made = reviews.submit_review(customer, by=request.user)
        except approvals.ApprovalRefused as error:
            self.message_user(request, f"客户已保存，但没有提交审核：{error}", messages.WARNING)
            return
        if made.is_pending:
            self.message_user(request, f"{made}已提交，通过之前不能用于合同和订单。", messages.INFO)

    def delete_view(self, request, object_id, extra_context=None):
        """An approved customer is removed by request alone."""
        obj = self.visible_object(request, object_id)
        if obj.review_status in changes.UNDER_CONTROL:
            return HttpResponseRedirect(self._url("ask", obj.pk, DELETION.code))
        return super().delete_view(request, object_id, extra_context)

    @admin.action(description="审核通过", permissions=["review"])
    def approve_selected(self, request, queryset):
        """Those of the chosen that wait for review, in the background: what cannot be approved is listed there."""
        waiting = self.policy.limit(queryset, request.user, "review").filter(review_status=ReviewStatus.PENDING)
        ids = list(waiting.order_by("pk").values_list("pk", flat=True))
        if not ids:
            self.message_user(request, "所选客户中没有待审核的。", messages.WARNING)
            return None
        job = jobs.enqueue("customers.approve", by=request.user, params={"ids": ids}, total=len(ids))
        return HttpResponseRedirect(reverse("admin:crm_job_change", args=[job.pk]))

    def has_review_permission(self, request):
        return self.policy.allows(request.user, "review")

    @display(description="各阶段停留")
    def dwell(self, obj):
        return "，".join(f"{stage} {days} 天" for stage, days in lifecycle.dwell(obj))

    def get_inlines(self, request, obj):
        """What upper apps keep about a customer comes first."""
        own = super().get_inlines(request, obj)
        return [*activity.TABS.ask().values(), *own] if obj is not None else own

    # --- Activity ----------------------------------------------------------------------------------------------------

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        if change and obj is not None:
            context["activity"] = activity.of_customer(obj, request.user)
            context["panels"] = activity.PANELS.ask(obj, request.user).values()
            context["origins"] = activity.origins(obj, request.user)
        return super().render_change_form(request, context, add, change, form_url, obj)

    @display(description="下次跟进", ordering="next_follow_at")
    def next_step(self, obj):
        return due(obj.next_follow_at)

    @display(description="")
    def quick(self, obj):
        return activity.row_links(obj) if obj.may_change else ""

    def get_changelist_instance(self, request):
        """To which of the customers of the page something may be added is asked for all of them at once."""
        found = super().get_changelist_instance(request)
        mark_changeable(self.policy, request.user, found.result_list)
        return found

    def get_list_display(self, request):
        """The quick additions are for those who may add at all."""
        shown = super().get_list_display(request)
        return shown if activity.has_row_links(request.user) else [name for name in shown if name != "quick"]

    # --- Columns -----------------------------------------------------------------------------------------------------

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

    @display(description="阶段", ordering="stage", label=STAGE_LABELS)
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
    list_display = ["tree_name", "credit", "payment_days", "service_level", "sort", "remark"]
    list_select_related = ["service_level"]
    empty_hint = "可以分多级，例如“按渠道 / 线上渠道”；一个客户可以属于多个分类。"
    search_fields = ["name"]
    fieldsets = [
        (None, {"fields": [("name", "parent"), "sort", "remark"]}),
        (
            "客户待遇",
            {
                "fields": [("credit_amount", "credit_currency"), ("payment_days", "service_level")],
                "description": "该分类客户的默认值；留空的沿用上级分类。",
            },
        ),
    ]

    @display(description="默认信用额度")
    def credit(self, obj):
        return None if obj.credit_amount is None else money(obj.credit_amount, obj.credit_currency)


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
