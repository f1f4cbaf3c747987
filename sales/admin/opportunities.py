from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme, urlencode

from crm.admin import quick
from crm.admin.agenda import due
from crm.admin.base import ModelAdmin, ReadOnly, TabularInline, display
from crm.admin.filters import (
    ChoiceFilter,
    LinkedFilter,
    OwnerFilter,
    RangeDateFilter,
    RangeDateTimeFilter,
    RangeNumericFilter,
    SharedFilter,
)
from crm.exchange import money
from crm.policies import policy_for
from customers.activity import change_url
from sales import activity
from sales.admin.board import board
from sales.admin.buyers import BuyerColumn
from sales.models import (
    Contract,
    FollowUp,
    Opportunity,
    OpportunityItem,
    OpportunityStage,
    OpportunityStagePeriod,
    OpportunityStatus,
    Quotation,
)
from sales.resources.opportunities import OpportunityResource
from sales.services import opportunities

STATUS_COLORS = {"进行中": "info", "已赢单": "success", "已输单": "danger"}


class DealColumns:
    """What lists of opportunities show of each."""

    @display(description="预估金额", ordering="estimated_amount")
    def amount(self, obj):
        return money(obj.estimated_amount, obj.currency)

    @display(description="加权金额")
    def weighted(self, obj):
        return money(obj.weighted_amount, obj.currency)

    @display(description="状态", ordering="status", label=STATUS_COLORS)
    def status_name(self, obj):
        return obj.get_status_display()

    @display(description="在本阶段")
    def days(self, obj):
        if obj.status != OpportunityStatus.OPEN:
            return None
        words = f"{obj.days_in_stage} 天"
        return format_html('<span class="ky-late">{}，停滞</span>', words) if obj.is_stuck else words


class OpportunityItemInline(TabularInline):
    model = OpportunityItem
    fields = ["product", "quantity", "unit_price", "remark"]
    autocomplete_fields = ["product"]
    empty_hint = "还没有意向产品。写下客户想要什么、要多少，报价单就从这里来。"


class StagePeriodInline(ReadOnly, TabularInline):
    model = OpportunityStagePeriod
    fields = readonly_fields = ["stage", "started_at", "ended_at", "stayed", "after", "created_by"]
    verbose_name_plural = "阶段历程"
    empty_hint = "还没有离开过第一个阶段。"

    def get_queryset(self, request):
        rows = super().get_queryset(request).select_related("stage", "next_stage", "created_by", "opportunity")
        return rows.order_by("-ended_at", "-id")

    @display(description="停留")
    def stayed(self, obj):
        return f"{obj.days} 天"

    @display(description="之后")
    def after(self, obj):
        return obj.next_stage or "赢单或输单"


class OpportunityTab(DealColumns, ReadOnly, TabularInline):
    """The opportunities of a customer, on its page."""

    model = Opportunity
    fields = readonly_fields = ["title", "stage", "amount", "win_probability", "days", "status_name", "owner"]
    verbose_name_plural = "商机"
    empty_hint = "还没有商机。客户有了采购意向，点“新建商机”。"

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("stage", "owner")

    @display(description="商机")
    def title(self, obj):
        return format_html('<a href="{}">{}</a>', change_url(obj), obj)


def customer_tab():
    """Provider of ``customers.activity.TABS``."""
    return OpportunityTab


@admin.register(OpportunityStage)
class OpportunityStageAdmin(ModelAdmin):
    nav_icon, nav_order = "linear_scale", 90
    list_display = ["name", "probability", "stuck_days", "sort", "is_active"]
    search_fields = ["name"]
    empty_hint = "商机从第一个阶段走到签约。停用的阶段不再出现在看板上，已在其中的商机仍可移走。"
    fieldsets = [
        (None, {"fields": ["name", ("probability", "stuck_days"), ("sort", "is_active"), "remark"]}),
    ]


class StuckFilter(admin.SimpleListFilter):
    title, parameter_name = "停滞", "stuck"
    lookup_kwarg = parameter_name
    template = "crm/filter_select.html"

    def lookups(self, request, model_admin):
        return [("1", "停滞")]

    def choices(self, changelist):
        values = ["", *(value for value, _ in self.lookup_choices)]
        for value, choice in zip(values, super().choices(changelist), strict=True):
            yield choice | {"value": value}

    def queryset(self, request, queryset):
        return queryset.filter(opportunities.stuck()) if self.value() == "1" else queryset


@admin.register(Opportunity)
class OpportunityAdmin(BuyerColumn, DealColumns, ModelAdmin):
    nav_icon, nav_order, in_palette = "target", 45, True
    resource_class = OpportunityResource
    head_template = "sales/opportunity_page_head.html"
    head_labels = ("status_name",)
    change_list_template = "sales/opportunity_list.html"
    empty_hint = "可以在这里或客户页面上新建，转化线索时也可以一并建立。"
    list_display = [
        "number",
        "name",
        "quick",
        "buyer",
        "status_name",
        "stage",
        "days",
        "amount",
        "win_probability",
        "weighted",
        "expected_close",
        "owner",
        "next_step",
        "last_followed_at",
        "created_at",
    ]
    list_display_links = ["number", "name"]
    list_select_related = ["customer", "stage", "owner"]
    list_filter = [
        ("status", ChoiceFilter),
        ("stage", SharedFilter),
        ("owner", OwnerFilter),
        StuckFilter,
        ("expected_close_date", RangeDateFilter),
        ("estimated_amount", RangeNumericFilter),
        ("currency", ChoiceFilter),
        ("customer", LinkedFilter),
        ("activity", SharedFilter),
        ("next_follow_at", RangeDateTimeFilter),
        ("closed_at", RangeDateTimeFilter),
        ("created_at", RangeDateTimeFilter),
    ]
    search_fields = ["name", "number", "customer__name"]
    search_help_text = "商机名称、编号、客户名称"
    autocomplete_fields = ["customer", "contact"]
    inlines = [OpportunityItemInline, StagePeriodInline]
    readonly_fields = ["number", "lead", "lose_reason", "closed_at", "last_followed_at", "created_by", "created_at"]
    fieldsets = [
        (
            "基本资料",
            {
                "fields": [
                    "name",
                    ("customer", "contact"),
                    ("estimated_amount", "currency"),
                    ("stage", "win_probability"),
                    ("expected_close_date", "activity"),
                    "remark",
                ]
            },
        ),
        (
            "进展",
            {
                "fields": [
                    ("lead", "closed_at"),
                    "lose_reason",
                    ("last_followed_at", "is_closed"),
                    ("created_by", "created_at"),
                ]
            },
        ),
    ]

    def get_fieldsets(self, request, obj=None):
        """A new opportunity has no course yet."""
        found = super().get_fieldsets(request, obj)
        return found if obj is not None else found[:1]

    def get_readonly_fields(self, request, obj=None):
        """The customer is chosen once, the stage is moved by its buttons, a closed deal has no chances any more."""
        found = super().get_readonly_fields(request, obj)
        if obj is None:
            return found
        closed = [] if obj.status == OpportunityStatus.OPEN else ["win_probability"]
        return [*found, "customer", "stage", *closed]

    def get_inlines(self, request, obj):
        return self.inlines if obj else self.inlines[:1]

    def get_changeform_initial_data(self, request):
        first = OpportunityStage.objects.valid().filter(is_active=True).order_by("sort", "id").first()
        return {"stage": first, **super().get_changeform_initial_data(request)}

    def get_list_display(self, request):
        """The quick addition is for those who may add at all; whether to this row, the small form says."""
        shown = super().get_list_display(request)
        return (
            shown if policy_for(FollowUp).allows(request.user, "add") else [name for name in shown if name != "quick"]
        )

    def palette_title(self, obj):
        return f"{obj.name}（{obj.number}）"

    # --- Columns -----------------------------------------------------------------------------------------------------

    @display(description="预计成交", ordering="expected_close_date")
    def expected_close(self, obj):
        day = obj.expected_close_date
        if day is None or obj.status != OpportunityStatus.OPEN or day >= timezone.localdate():
            return day
        return format_html('<span class="ky-late" title="已过预计成交日期">{}</span>', f"{day:%Y-%m-%d}")

    @display(description="下次跟进", ordering="next_follow_at")
    def next_step(self, obj):
        return due(obj.next_follow_at) if obj.status == OpportunityStatus.OPEN else None

    @display(description="")
    def quick(self, obj):
        return format_html(quick.ROW_LINK, quick.link(FollowUp, obj, "opportunity"), "写跟进")

    # --- Pages -------------------------------------------------------------------------------------------------------

    def get_urls(self):
        view, name = self.admin_site.admin_view, "sales_opportunity"
        return [
            path("board/", view(self.board_view), name=f"{name}_board"),
            path("<path:object_id>/move/", view(self.move_view), name=f"{name}_move"),
            *super().get_urls(),
        ]

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        if change and obj is not None:
            context["activity"] = activity.of_opportunity(obj, request.user)
            context["steps"] = self._steps(request, obj)
            context["papers"] = self._papers(request, obj)
        return super().render_change_form(request, context, add, change, form_url, obj)

    def _steps(self, request, obj):
        """``(stage, days, whether it is the present one, whether it may be moved there)`` of every stage."""
        days, stages = opportunities.dwell(obj), opportunities.active_stages()
        if obj.stage not in stages:
            stages.append(obj.stage)
        may_move = obj.status == OpportunityStatus.OPEN and self.has_change_permission(request, obj)
        return [
            (stage, days.get(stage.pk), stage == obj.stage, may_move and stage != obj.stage and stage.is_active)
            for stage in stages
        ]

    def _papers(self, request, obj):
        """Documents that come next: ``(label, address)``."""
        following = {OpportunityStatus.OPEN: (Quotation, "新建报价单"), OpportunityStatus.WON: (Contract, "新建合同")}
        model, label = following.get(obj.status, (None, ""))
        if model is None or not policy_for(model).allows(request.user, "add"):
            return []
        given = {"opportunity": obj.pk, "customer": obj.customer_id}
        return [(label, f"{reverse(f'admin:sales_{model._meta.model_name}_add')}?{urlencode(given)}")]

    def board_view(self, request):
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            return board(self, request)
        except IncorrectLookupParameters:
            return HttpResponseRedirect(self._url("board"))

    def move_view(self, request, object_id):
        obj = self.visible_object(request, object_id)
        if request.method != "POST":
            raise Http404
        try:
            moved = opportunities.move(obj, self._stage(request), by=request.user)
            self.message_user(request, f"“{obj}”已进入阶段“{moved.stage}”。", messages.SUCCESS)
        except opportunities.OpportunityError as error:
            self.message_user(request, str(error), messages.ERROR)
        back = request.POST.get("next", "")
        if not url_has_allowed_host_and_scheme(back, allowed_hosts={request.get_host()}):
            back = self._url("change", obj.pk)
        return HttpResponseRedirect(back)

    def _stage(self, request):
        key = request.POST.get("stage", "")
        stage = OpportunityStage.objects.valid().filter(pk=key).first() if key.isdecimal() else None
        if stage is None:
            raise opportunities.OpportunityError("没有这个阶段，请刷新后重新选择。")
        return stage


@admin.register(OpportunityItem)
class OpportunityItemAdmin(ModelAdmin):
    list_display = ["opportunity", "product", "quantity", "unit_price"]
    list_select_related = ["opportunity", "product"]
    search_fields = ["product__name", "opportunity__name"]
    autocomplete_fields = ["opportunity", "product"]
    fieldsets = [(None, {"fields": ["opportunity", "product", ("quantity", "unit_price"), "remark", "is_closed"]})]


@admin.register(OpportunityStagePeriod)
class OpportunityStagePeriodAdmin(ReadOnly, ModelAdmin):
    list_display = ["opportunity", "stage", "started_at", "ended_at", "stayed", "next_stage"]
    list_select_related = ["opportunity", "stage", "next_stage"]
    list_filter = [("stage", SharedFilter), ("ended_at", RangeDateTimeFilter)]
    fieldsets = [(None, {"fields": ["opportunity", ("stage", "next_stage"), ("started_at", "ended_at")]})]

    @display(description="停留")
    def stayed(self, obj):
        return f"{obj.days} 天"
