from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Count, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.http import Http404, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.html import format_html, format_html_join

from crm import actor
from crm.admin import quick
from crm.admin.actions import answered, ask
from crm.admin.agenda import due
from crm.admin.base import ModelAdmin, TabularInline, action, display
from crm.admin.filters import (
    ChoiceFilter,
    DictionaryFilter,
    OwnerFilter,
    RangeDateFilter,
    RangeDateTimeFilter,
    SharedFilter,
)
from crm.admin.media import ordered
from crm.admin.page_forms import OwnerForm, ReasonForm
from crm.admin.projections import ProjectionAdmin
from crm.ownership import OwnershipError
from crm.policies import HIDDEN_LABEL, policy_for
from crm.transitions import TransitionRefused
from customers.activity import change_url
from customers.models import Customer
from sales import activity
from sales.admin.forms import ConversionForm, EnquiryForm, LeadForm
from sales.models import OPEN, DevelopmentPlan, FollowUp, Lead, LeadEnquiry, LeadPool, Opportunity, PooledLead
from sales.resources.leads import LeadResource
from sales.services import leads

STATUS_COLORS = {"新增": "info", "跟进中": "warning", "已转化": "success", "失效": "danger"}
INTENT_COLORS = {"高": "success", "中": "info", "意向高": "success", "意向中": "info"}
RESULT_COLORS = {"未执行": "info", "有进展": "success", "无进展": "warning"}


def _count(rows):
    """How many ``rows``, grouped by the record of the list, there are."""
    return Coalesce(Subquery(rows.annotate(number=Count("*")).values("number")), 0)


@admin.register(LeadPool)
class LeadPoolAdmin(ModelAdmin):
    nav_icon, nav_order = "inventory_2", 40
    list_display = ["name", "openness", "waiting", "total", "people", "description"]
    search_fields = ["name"]
    autocomplete_fields = ["members", "admins"]
    empty_hint = "线索都放在某个线索池里：公共池人人可领，私有池只对成员开放。"
    fieldsets = [
        (None, {"fields": [("name", "is_public"), "description"]}),
        ("成员", {"fields": ["members", "admins", "remark"]}),
    ]

    def get_queryset(self, request):
        leads_of = Lead.objects.valid().filter(pool=OuterRef("pk")).order_by().values("pool")
        members = LeadPool.members.through.objects.filter(leadpool=OuterRef("pk")).values("leadpool")
        return (
            super()
            .get_queryset(request)
            .annotate(
                _total=_count(leads_of),
                _waiting=_count(leads_of.filter(owner=None, status__in=OPEN)),
                _people=_count(members),
            )
        )

    @display(description="类型", ordering="is_public", label={"公共": "success", "私有": "warning"})
    def openness(self, obj):
        return "公共" if obj.is_public else "私有"

    @display(description="待领", ordering="_waiting")
    def waiting(self, obj):
        return obj._waiting

    @display(description="线索数", ordering="_total")
    def total(self, obj):
        return obj._total

    @display(description="成员数", ordering="_people")
    def people(self, obj):
        return obj._people


class DevelopmentPlanInline(TabularInline):
    model = DevelopmentPlan
    fields = ["date", "content", "effect", "result"]
    verbose_name_plural = "开发计划"
    empty_hint = "还没有开发计划。写下第一步打算做什么、哪天做，线索就进入“跟进中”。"


class LeadEnquiryInline(TabularInline):
    model = LeadEnquiry
    fields = readonly_fields = ["enquired_at", "name", "company", "source", "content", "created_by"]
    verbose_name_plural = "咨询记录"
    empty_hint = "同一号码再次来电、来访时，用列表上的“登记咨询”记到这里。"


@admin.register(Lead)
class LeadAdmin(ModelAdmin):
    nav_icon, nav_order, in_palette = "person_search", 10, True
    resource_class = LeadResource
    head_template = "sales/lead_page_head.html"
    head_labels = ("status_name", "intent_words")
    empty_hint = "可以新建、登记咨询，或者导入名单；别人还没有领取的线索在“待领线索”里。"
    list_display = [
        "name",
        "quick",
        "company",
        "phone",
        "status_name",
        "intent_name",
        "owner",
        "next_step",
        "last_followed_at",
        "pool",
        "source",
        "enquiry_count",
        "created_at",
    ]
    list_select_related = ["owner", "pool", "source"]
    list_filter = [
        ("status", ChoiceFilter),
        ("pool", SharedFilter),
        ("owner", OwnerFilter),
        ("source", DictionaryFilter),
        ("activity", SharedFilter),
        ("intent_level", ChoiceFilter),
        ("next_follow_at", RangeDateTimeFilter),
        ("created_at", RangeDateTimeFilter),
        ("converted_at", RangeDateTimeFilter),
    ]
    search_fields = ["name", "company", "phone"]
    search_help_text = "线索名称、公司、电话"
    inlines = [DevelopmentPlanInline, LeadEnquiryInline]
    actions = ["assign_selected", "release_selected"]
    change_list_template = "sales/lead_list.html"
    readonly_fields = [
        "customer",
        "opportunity_links",
        "invalid_reason",
        "assigned_at",
        "converted_at",
        "enquiry_count",
        "last_enquiry_at",
        "created_by",
        "created_at",
    ]

    fieldsets = [
        (
            "基本资料",
            {
                "fields": [
                    ("name", "phone"),
                    ("company", "position"),
                    ("pool", "source"),
                    "activity",
                    ("intent_product", "intent_level"),
                    "success_probability",
                    "overview",
                    "description",
                    "remark",
                ]
            },
        ),
        (
            "进展",
            {
                "fields": [
                    ("customer", "converted_at"),
                    "opportunity_links",
                    ("assigned_at", "invalid_reason"),
                    ("enquiry_count", "last_enquiry_at"),
                    ("created_by", "created_at"),
                    "is_closed",
                ],
            },
        ),
    ]

    def get_fieldsets(self, request, obj=None):
        """A new lead has no course yet, but a question: who keeps it."""
        found = super().get_fieldsets(request, obj)
        if obj is not None:
            return found
        title, options = found[0]
        return [(title, {**options, "fields": [*options["fields"], "to_pool"]})]

    def get_form(self, request, obj=None, change=False, **kwargs):
        return super().get_form(request, obj, change=change, **({} if change else {"form": LeadForm}) | kwargs)

    def get_inlines(self, request, obj):
        return self.inlines if obj else []

    def palette_title(self, obj):
        return f"{obj.name}（{obj.company}）" if obj.company else obj.name

    @display(description="状态", ordering="status", label=STATUS_COLORS)
    def status_name(self, obj):
        return obj.get_status_display()

    @display(description="意向", ordering="intent_level", label=INTENT_COLORS)
    def intent_name(self, obj):
        return obj.get_intent_level_display()

    @display(description="意向度", label=INTENT_COLORS)
    def intent_words(self, obj):
        return f"意向{obj.get_intent_level_display()}" if obj.intent_level else None

    @display(description="商机")
    def opportunity_links(self, obj):
        """Those begun at its conversion, named to those who may see them."""
        user, found = actor.current().user, Opportunity.objects.valid().filter(lead=obj).order_by("pk")
        seen = set(policy_for(Opportunity).visible_to(user).filter(lead=obj).values_list("pk", flat=True))
        named = [format_html('<a href="{}">{}</a>', change_url(one), one) for one in found if one.pk in seen]
        return format_html_join("、", "{}", ((one,) for one in named or [HIDDEN_LABEL])) if found else None

    @display(description="下次跟进", ordering="next_follow_at")
    def next_step(self, obj):
        return due(obj.next_follow_at)

    @display(description="")
    def quick(self, obj):
        return format_html(quick.ROW_LINK, quick.link(FollowUp, obj, "lead"), "写跟进") if obj.may_change else ""

    def get_changelist_instance(self, request):
        found = super().get_changelist_instance(request)
        found.result_list = list(found.result_list)
        quick.mark_changeable(self.policy, request.user, found.result_list)
        return found

    def get_list_display(self, request):
        """The quick addition is for those who may add at all."""
        shown = super().get_list_display(request)
        return shown if policy_for(FollowUp).allows(request.user, "add") else [n for n in shown if n != "quick"]

    # --- Saving and owners -------------------------------------------------------------------------------------------

    def save_model(self, request, obj, form, change):
        if change:
            return super().save_model(request, obj, form, change)
        leads.enter(obj, by=request.user, to_pool=form.cleaned_data.get("to_pool", False))

    def response_add(self, request, obj, post_url_continue=None):
        """A lead put into a pool is out of sight for most."""
        if self.policy.may(request.user, "view", obj):
            return super().response_add(request, obj, post_url_continue)
        self.message_user(request, f"“{obj}”已放入线索池“{obj.pool}”。", messages.SUCCESS)
        return HttpResponseRedirect(self._url("changelist"))

    def assignees(self, request, obj):
        return leads.assignees(request.user)

    def change_owner(self, obj, owner, *, by, reason):
        if owner is None:
            leads.release(obj, by=by, reason=reason)
        else:
            leads.assign(obj, owner, by=by, reason=reason)

    # --- Many at once ------------------------------------------------------------------------------------------------

    def get_actions(self, request):
        found = super().get_actions(request)
        for name, right in (("assign_selected", "assign"), ("release_selected", "release")):
            if not self.policy.allows(request.user, right):
                found.pop(name, None)
        return found

    @action(description="分配负责人")
    def assign_selected(self, request, queryset):
        form = OwnerForm(leads.assignees(request.user), request.POST if answered(request) else None)
        if not form.is_valid():
            lead = "选中的线索将由这位同事负责，原负责人不再看得到它们。"
            return ask(
                self, request, queryset, action="assign_selected", title="分配线索", lead=lead, form=form, submit="分配"
            )
        owner = form.cleaned_data["owner"]
        return self._perform(
            request,
            lambda: leads.assign(queryset, owner, by=request.user, reason=form.cleaned_data["reason"]),
            f"{{}} 条线索已分配给{owner}。",
        )

    @action(description="退回线索池")
    def release_selected(self, request, queryset):
        form = ReasonForm(request.POST if answered(request) else None)
        if not form.is_valid():
            lead = "选中的线索回到各自的线索池，不再有负责人。"
            return ask(
                self,
                request,
                queryset,
                action="release_selected",
                title="退回线索池",
                lead=lead,
                form=form,
                submit="退回",
            )
        return self._perform(
            request,
            lambda: leads.release(queryset, by=request.user, reason=form.cleaned_data["reason"]),
            "{} 条线索已退回线索池。",
        )

    def _perform(self, request, work, done):
        try:
            self.message_user(request, done.format(work()), messages.SUCCESS)
        except (leads.LeadError, OwnershipError, PermissionDenied) as error:
            self.message_user(request, f"没有改动：{error}", messages.ERROR)
        return HttpResponseRedirect(request.get_full_path())

    # --- Pages -------------------------------------------------------------------------------------------------------

    def get_urls(self):
        view, name = self.admin_site.admin_view, "sales_lead"
        return [
            path("enquiry/", view(self.enquiry_view), name=f"{name}_enquiry"),
            path("<path:object_id>/convert/", view(self.convert_view), name=f"{name}_convert"),
            path("<path:object_id>/release/", view(self.release_view), name=f"{name}_release"),
            *super().get_urls(),
        ]

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        if change and obj is not None:
            context["activity"] = activity.of_lead(obj, request.user)
            context["may_release"] = (
                obj.owner_id is not None and obj.status in OPEN and self.policy.may(request.user, "release", obj)
            )
        return super().render_change_form(request, context, add, change, form_url, obj)

    def release_view(self, request, object_id):
        obj = self.visible_object(request, object_id)
        if request.method != "POST":
            raise Http404
        try:
            leads.release(obj, by=request.user, reason=request.POST.get("reason", ""))
            self.message_user(request, f"“{obj}”已退回线索池“{obj.pool}”。", messages.SUCCESS)
        except leads.LeadError as error:
            self.message_user(request, str(error), messages.ERROR)
        still_there = self.policy.may(request.user, "view", obj)
        return HttpResponseRedirect(self._url("change", obj.pk) if still_there else self._url("changelist"))

    def enquiry_view(self, request):
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = EnquiryForm(request.user, request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                return self._tell_enquiry(request, leads.register_enquiry(by=request.user, **form.cleaned_data))
            except leads.LeadError as error:
                form.add_error(None, str(error))
        context = {"title": "登记咨询", "form": form, "list_url": self._url("changelist")}
        context["media"] = ordered(self.media + form.media)
        return self.page(request, "sales/enquiry.html", context)

    def _tell_enquiry(self, request, enquired):
        lead = enquired.lead
        if enquired.is_new:
            words = f"新线索“{lead}”已放入线索池“{lead.pool}”。"
        else:
            told = "，已通知负责人" if lead.owner_id and lead.owner != request.user else ""
            words = f"这个号码已有线索（{lead.whereabouts}），已记为第 {lead.enquiry_count} 次咨询{told}。"
        self.message_user(request, words, messages.SUCCESS)
        seen = self.policy.may(request.user, "view", lead)
        return HttpResponseRedirect(self._url("change", lead.pk) if seen else self._url("changelist"))

    def convert_view(self, request, object_id):
        obj = self.visible_object(request, object_id)
        if not self.policy.may(request.user, "convert", obj):
            raise PermissionDenied
        if problem := leads.obstacle(obj):
            self.message_user(request, problem, messages.ERROR)
            return HttpResponseRedirect(self._url("change", obj.pk))
        found = leads.candidates(obj, by=request.user)
        allowed = policy_for(Customer).visible_to(request.user, "change")
        offered = allowed.filter(pk__in=[customer.pk for customer in found.visible])
        form = ConversionForm(request.user, offered, request.POST or None, initial=leads.proposal(obj))
        if request.method == "POST" and form.is_valid():
            try:
                return self._convert(request, obj, form)
            except (leads.LeadError, TransitionRefused) as error:
                self.message_user(request, str(error), messages.ERROR)
                return HttpResponseRedirect(self._url("change", obj.pk))
            except ValidationError as error:
                form.add_error(None, error.messages)
        changeable = set(offered.values_list("pk", flat=True))
        context = {
            "title": f"转为客户：{obj}",
            "crumb": "转为客户",
            "original": obj,
            "form": form,
            "found": [(customer, customer.pk in changeable) for customer in found.visible],
            "elsewhere": found.elsewhere,
            "chosen": str(form["customer"].value() or ""),
            "media": ordered(self.media + form.media),
            "back": self._url("change", obj.pk),
        }
        return self.page(request, "sales/convert.html", context)

    def _convert(self, request, obj, form):
        given = form.cleaned_data
        customer = leads.convert(
            obj,
            by=request.user,
            customer=given["customer"],
            values=form.values,
            contact_name=given["contact_name"],
            contact_position=given["contact_position"],
            opportunity=form.opportunity_values,
        )
        begun = f"，商机“{given['opportunity_name']}”也已建立" if form.opportunity_values else ""
        self.message_user(request, f"“{obj}”已转为客户“{customer}”{begun}。", messages.SUCCESS)
        if policy_for(Customer).may(request.user, "view", customer):
            return HttpResponseRedirect(reverse("admin:customers_customer_change", args=[customer.pk]))
        return HttpResponseRedirect(self._url("change", obj.pk))


@admin.register(PooledLead)
class PooledLeadAdmin(ProjectionAdmin):
    nav_icon, nav_order = "pan_tool", 20
    list_display = ["name", "phone", "source", "overview", "pool", "created_at", "claim_button"]
    list_select_related = ["source", "pool"]
    list_filter = [
        ("pool", SharedFilter),
        ("source", DictionaryFilter),
        ("created_at", RangeDateTimeFilter),
    ]
    search_fields = ["name", "overview"]
    search_help_text = "线索名称、概要"
    actions = ["claim_selected"]
    empty_hint = "线索池里没有等待领取的线索。"

    def get_list_display(self, request):
        shown = super().get_list_display(request)
        return shown if self.policy.allows(request.user, "claim") else shown[:-1]

    def get_actions(self, request):
        found = super().get_actions(request)
        if not self.policy.allows(request.user, "claim"):
            found.pop("claim_selected", None)
        return found

    @display(description="")
    def claim_button(self, obj):
        return format_html(
            '<button class="ky-button ky-small" formmethod="post" formaction="{}">领取</button>',
            self._url("claim", obj.pk),
        )

    def get_urls(self):
        view = self.admin_site.admin_view(self.claim_view)
        return [path("<path:object_id>/claim/", view, name="sales_pooledlead_claim"), *super().get_urls()]

    def claim_view(self, request, object_id):
        lead = leads.offered(object_id, by=request.user) if object_id.isdecimal() else None
        if lead is None or request.method != "POST":
            raise Http404("线索不存在，或不在您可以领取的线索池里。")
        try:
            leads.claim(lead, by=request.user)
        except leads.LeadError as error:
            self.message_user(request, str(error), messages.WARNING)
            return HttpResponseRedirect(self._url("changelist"))
        self.message_user(request, f"“{lead}”归您负责了，现在可以看到全部资料。", messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:sales_lead_change", args=[lead.pk]))

    @action(description="领取")
    def claim_selected(self, request, queryset):
        claimed, problems = 0, []
        for lead in queryset.order_by("pk"):
            try:
                leads.claim(lead, by=request.user)
                claimed += 1
            except (leads.LeadError, PermissionDenied) as error:
                problems.append(str(error))
        if claimed:
            self.message_user(request, f"领取了 {claimed} 条线索，都在“线索”列表里。", messages.SUCCESS)
        if problems:
            self.message_user(request, "".join(problems[:5]), messages.WARNING)


@admin.register(DevelopmentPlan)
class DevelopmentPlanAdmin(ModelAdmin):
    nav_icon, nav_order = "checklist", 30
    list_display = ["date", "lead", "content", "effect", "result_name"]
    list_display_links = ["date", "content"]
    list_select_related = ["lead"]
    list_filter = [("date", RangeDateFilter), ("result", ChoiceFilter)]
    search_fields = ["content", "lead__name"]
    search_help_text = "计划内容、线索名称"
    autocomplete_fields = ["lead"]
    ordering = ["-date", "-id"]
    empty_hint = "开发计划一般在线索页面的“开发计划”页签里添加。"
    fieldsets = [(None, {"fields": ["lead", ("date", "result"), "content", "effect", "remark", "is_closed"]})]

    @display(description="开发结果", ordering="result", label=RESULT_COLORS)
    def result_name(self, obj):
        return obj.get_result_display()


@admin.register(LeadEnquiry)
class LeadEnquiryAdmin(ModelAdmin):
    list_display = ["enquired_at", "lead", "name", "company", "source", "created_by"]
    list_select_related = ["lead", "source", "created_by"]
    list_filter = [("source", DictionaryFilter), ("enquired_at", RangeDateTimeFilter)]
    search_fields = ["name", "company"]
    fieldsets = [(None, {"fields": ["lead", ("enquired_at", "source"), ("name", "company"), "content", "created_by"]})]
