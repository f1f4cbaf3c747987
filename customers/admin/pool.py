"""The public sea in the admin: its list, its rules, who owned what when, and the sea on a customer's own page."""

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.html import format_html

from crm import trails
from crm.admin.actions import answered, ask
from crm.admin.base import ModelAdmin, TabularInline, action, display
from crm.admin.filters import ChoiceFilter, DictionaryFilter, PersonFilter, RangeDateTimeFilter
from crm.admin.page_forms import OwnerForm, ReasonForm
from crm.admin.projections import ProjectionAdmin
from crm.ownership import OwnershipError
from crm.policies import policy_for
from customers.models import Customer, OwnershipPeriod, PoolRule, RecycleBatch, SeaCustomer
from customers.services import pool, recycling
from customers.services.rulebook import Rulebook

ENDED_LABELS = {"认领": "success", "分配": "info", "移交": "info", "退回公海": "warning", "自动回收": "danger"}
SHOWN_PROBLEMS = 5
BUTTONS = {"claim_button": "claim", "reveal_button": "reveal"}


@admin.register(SeaCustomer)
class SeaCustomerAdmin(ProjectionAdmin):
    nav_icon, nav_order = "waves", 20
    list_display = ["name", "phone", "industry", "area", "level", "in_sea_since", "claim_button", "reveal_button"]
    list_select_related = ["industry", "area", "level"]
    list_filter = [
        ("level", DictionaryFilter),
        ("industry", DictionaryFilter),
        ("area", DictionaryFilter),
        ("owned_since", RangeDateTimeFilter),
    ]
    search_fields = ["name", "short_name"]
    search_help_text = "客户名称、简称"
    actions = ["claim_selected", "assign_selected"]
    empty_hint = "公海里没有对您开放的客户。没有负责人的客户会出现在这里；长期无人跟进的客户每晚按“公海规则”自动回收。"

    def get_list_display(self, request):
        shown = super().get_list_display(request)
        return [name for name in shown if name not in BUTTONS or self.policy.allows(request.user, BUTTONS[name])]

    @display(description="")
    def claim_button(self, obj):
        return self._button("claim", obj, "认领")

    @display(description="")
    def reveal_button(self, obj):
        return self._button("reveal", obj, "查看电话")

    def _button(self, page, obj, label):
        html = '<button class="ky-button ky-small" formmethod="post" formaction="{}">{}</button>'
        return format_html(html, self._url(page, obj.pk), label)

    @display(description="进入公海", ordering="owned_since")
    def in_sea_since(self, obj):
        day = timezone.localdate(obj.owned_since)
        days = (timezone.localdate() - day).days
        return f"{day:%Y-%m-%d}（{f'{days} 天前' if days else '今天'}）"

    def get_actions(self, request):
        found = super().get_actions(request)
        for name, right in (("claim_selected", "claim"), ("assign_selected", "assign")):
            if not self.policy.allows(request.user, right):
                found.pop(name, None)
        return found

    def get_urls(self):
        view, name = self.admin_site.admin_view, "customers_seacustomer"
        return [
            path("<path:object_id>/claim/", view(self.claim_view), name=f"{name}_claim"),
            path("<path:object_id>/reveal/", view(self.reveal_view), name=f"{name}_reveal"),
            *super().get_urls(),
        ]

    def claim_view(self, request, object_id):
        customer = pool.offered(object_id, by=request.user) if object_id.isdecimal() else None
        if customer is None or request.method != "POST":
            raise Http404("客户不存在，或不在对您开放的公海里。")
        try:
            pool.claim(customer, by=request.user)
        except pool.PoolError as error:
            self.message_user(request, str(error), messages.WARNING)
            return HttpResponseRedirect(self._url("changelist"))
        self.message_user(request, f"“{customer}”归您负责了，现在可以看到全部资料。", messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:customers_customer_change", args=[customer.pk]))

    def reveal_view(self, request, object_id):
        open_to = self.policy.visible_to(request.user, "reveal")
        customer = open_to.filter(pk=object_id).first() if object_id.isdecimal() else None
        if customer is None or request.method != "POST":
            raise Http404("客户不存在，或您无权查看它的联系方式。")
        numbers = pool.reveal(customer, by=request.user)
        trails.note(request, trails.Kind.REVEAL, "查看公海客户的电话", obj=Customer.objects.get(pk=customer.pk))
        context = {
            "title": f"联系方式：{customer}",
            "numbers": numbers,
            "customer": customer,
            "claim_url": self._url("claim", customer.pk) if self.policy.allows(request.user, "claim") else "",
            "back": self._url("changelist"),
        }
        return self.page(request, "customers/sea_numbers.html", context)

    @action(description="认领")
    def claim_selected(self, request, queryset):
        claimed, problems = 0, []
        for customer in queryset.order_by("pk"):
            try:
                pool.claim(customer, by=request.user)
                claimed += 1
            except (pool.PoolError, PermissionDenied) as error:
                problems.append(str(error))
        if claimed:
            self.message_user(request, f"认领了 {claimed} 个客户，都在“客户”列表里。", messages.SUCCESS)
        if problems:
            rest = f"另有 {len(problems) - SHOWN_PROBLEMS} 个。" if len(problems) > SHOWN_PROBLEMS else ""
            self.message_user(request, "".join(problems[:SHOWN_PROBLEMS]) + rest, messages.WARNING)

    @action(description="分配负责人")
    def assign_selected(self, request, queryset):
        form = OwnerForm(pool.assignees(request.user), request.POST if answered(request) else None)
        if not form.is_valid():
            lead = "选中的公海客户将由这位同事负责；分配不受认领上限和等待时间的限制。"
            return ask(
                self, request, queryset, action="assign_selected", title="分配客户", lead=lead, form=form, submit="分配"
            )
        owner, reason = form.cleaned_data["owner"], form.cleaned_data["reason"]
        return perform(
            self,
            request,
            lambda: pool.assign(queryset, owner, by=request.user, reason=reason),
            f"{{}} 个客户已分配给{owner}。",
        )


def perform(model_admin, request, work, done):
    """Run ``work`` on many records and tell what came of it, on the list it was asked from."""
    try:
        model_admin.message_user(request, done.format(work()), messages.SUCCESS)
    except (pool.PoolError, OwnershipError, PermissionDenied) as error:
        model_admin.message_user(request, f"没有改动：{error}", messages.ERROR)
    return HttpResponseRedirect(request.get_full_path())


# --- On the customer -------------------------------------------------------------------------------------------------


class SeaFilter(admin.SimpleListFilter):
    title, parameter_name = "公海", "sea"
    lookup_kwarg = parameter_name
    template = "crm/filter_select.html"

    def lookups(self, request, model_admin):
        return [("soon", "即将回收"), ("protected", "保护中"), ("in", "在公海")]

    def choices(self, changelist):
        values = ["", *(value for value, _ in self.lookup_choices)]
        for value, choice in zip(values, super().choices(changelist), strict=True):
            yield choice | {"value": value}

    def queryset(self, request, queryset):
        today = timezone.localdate()
        if self.value() == "soon":
            return queryset.filter(pk__in=Rulebook().due(today, ahead=True).order_by().values("pk"))
        if self.value() == "protected":
            return queryset.filter(protected_until__gte=today)
        return queryset.filter(owner=None) if self.value() == "in" else queryset


class SeaPages:
    """Mixin of the customer's admin: when it goes back to the sea and why, giving it up, protecting it."""

    head_template = "customers/customer_head.html"

    def get_changelist_instance(self, request):
        """What awaits the customers of the page is looked up for all of them at once."""
        found = super().get_changelist_instance(request)
        found.result_list = list(found.result_list)
        outlooks = Rulebook().outlooks(found.result_list)
        for customer in found.result_list:
            customer.outlook = outlooks.get(customer.pk)
        return found

    @display(description="公海回收")
    def sea_outlook(self, obj):
        if obj.owner_id is None:
            return "在公海"
        if obj.outlook.is_near:
            return format_html('<b class="ky-late">{}</b>', obj.outlook.text)
        return format_html('<span title="{}">{}</span>', obj.outlook.text, obj.outlook.brief)

    def get_actions(self, request):
        found = super().get_actions(request)
        if not self.policy.allows(request.user, "release"):
            found.pop("release_selected", None)
        return found

    @action(description="退回公海")
    def release_selected(self, request, queryset):
        form = ReasonForm(request.POST if answered(request) else None)
        if not form.is_valid():
            lead = "选中的客户进入公海，不再有负责人和协作人，其他同事可以认领。"
            return ask(
                self,
                request,
                queryset,
                action="release_selected",
                title="退回公海",
                lead=lead,
                form=form,
                submit="退回",
            )
        reason = form.cleaned_data["reason"]
        return perform(
            self, request, lambda: pool.release(queryset, by=request.user, reason=reason), "{} 个客户已退回公海。"
        )

    def change_owner(self, obj, owner, *, by, reason):
        if owner is None:
            pool.release(obj, by=by, reason=reason)
        else:
            super().change_owner(obj, owner, by=by, reason=reason)

    def get_urls(self):
        view, name = self.admin_site.admin_view, f"{self.opts.app_label}_{self.opts.model_name}"
        return [
            path("<path:object_id>/release/", view(self.release_view), name=f"{name}_release"),
            path("<path:object_id>/protect/", view(self.protect_view), name=f"{name}_protect"),
            *super().get_urls(),
        ]

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        if change and obj is not None and obj.owner_id is not None:
            today, user = timezone.localdate(), request.user
            context["outlook"] = Rulebook().outlooks([obj]).get(obj.pk)
            context["may_release"] = self.policy.may(user, "release", obj)
            context["may_protect"] = self.policy.may(user, "protect", obj)
            context["protected_until"] = obj.protected_until if (obj.protected_until or today) > today else None
            context["today"] = today
        return super().render_change_form(request, context, add, change, form_url, obj)

    def release_view(self, request, object_id):
        def work(customer):
            pool.release(customer, by=request.user, reason=request.POST.get("reason", ""))

        return self._on_page(request, object_id, work, "“{}”已退回公海。")

    def protect_view(self, request, object_id):
        given, reason = request.POST.get("until", ""), request.POST.get("reason", "").strip()

        def work(customer):
            if not given:
                pool.unprotect(customer, by=request.user, reason=reason)
                return
            try:
                until = parse_date(given)
            except ValueError:
                until = None
            if until is None:
                raise pool.PoolError("保护至：请填写日期，例如 2026-12-31。")
            pool.protect(customer, until, by=request.user, reason=reason)

        return self._on_page(request, object_id, work, f"“{{}}”{'已受保护' if given else '不再受保护'}。")

    def _on_page(self, request, object_id, work, done):
        customer = self.visible_object(request, object_id)
        if request.method != "POST":
            raise Http404
        try:
            work(customer)
            self.message_user(request, done.format(customer), messages.SUCCESS)
        except pool.PoolError as error:
            self.message_user(request, str(error), messages.ERROR)
        still_there = self.policy.may(request.user, "view", customer)
        return HttpResponseRedirect(self._url("change", customer.pk) if still_there else self._url("changelist"))


# --- Who owned when --------------------------------------------------------------------------------------------------


class ReadOnly:
    """Rows that services write."""

    def has_add_permission(self, request, obj=None):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False


class PeriodColumns:
    @display(description="负责人", ordering="owner")
    def holder(self, obj):
        return obj.holder

    @display(description="历时")
    def stayed(self, obj):
        return f"{obj.days} 天"

    @display(description="结束方式", label=ENDED_LABELS)
    def ended_name(self, obj):
        return obj.get_ended_display()


class OwnershipPeriodInline(PeriodColumns, ReadOnly, TabularInline):
    model = OwnershipPeriod
    fields = ["holder", "began", "started_at", "ended_at", "stayed", "ended", "next_owner", "reason"]
    readonly_fields = fields
    verbose_name_plural = "归属"
    ordering = ["-id"]
    empty_hint = "负责人还没有变更过。"

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("owner", "next_owner")


@admin.register(OwnershipPeriod)
class OwnershipPeriodAdmin(PeriodColumns, ReadOnly, ModelAdmin):
    nav_icon, nav_order = "swap_horiz", 22
    list_display = [
        "customer",
        "holder",
        "started_at",
        "ended_at",
        "stayed",
        "ended_name",
        "former_owner",
        "next_owner",
        "reason",
    ]
    list_select_related = ["customer", "owner", "former_owner", "next_owner"]
    list_filter = [
        ("ended", ChoiceFilter),
        ("next_owner", PersonFilter),
        ("former_owner", PersonFilter),
        ("owner", PersonFilter),
        ("ended_at", RangeDateTimeFilter),
    ]
    extra_lookups = ("batch",)
    search_fields = ["customer__name"]
    search_help_text = "客户名称"
    empty_hint = "客户换了负责人、进出公海，都记在这里；“认领”的原负责人是进入公海之前的负责人。"
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("customer", "owner"),
                    ("started_at", "ended_at"),
                    ("began", "ended"),
                    ("former_owner", "next_owner"),
                    ("reason", "batch"),
                ]
            },
        )
    ]


@admin.register(RecycleBatch)
class RecycleBatchAdmin(ReadOnly, ModelAdmin):
    nav_icon, nav_order = "restore", 24
    list_display = ["day", "count", "created_at", "undone_at", "customers"]
    head_template = "customers/recycle_head.html"
    empty_hint = "每晚 01:30 按公海规则回收；没有客户到期的夜晚不产生批次。"
    fieldsets = [(None, {"fields": [("day", "count"), ("created_at", "undone_at")]})]

    @display(description="")
    def customers(self, obj):
        address = reverse("admin:customers_ownershipperiod_changelist")
        return format_html('<a href="{}?batch={}">查看客户</a>', address, obj.pk)

    def get_urls(self):
        view = self.admin_site.admin_view(self.undo_view)
        return [path("<path:object_id>/undo/", view, name="customers_recyclebatch_undo"), *super().get_urls()]

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        context["may_undo"] = obj is not None and obj.undone_at is None and self.policy.may(request.user, "undo", obj)
        return super().render_change_form(request, context, add, change, form_url, obj)

    def undo_view(self, request, object_id):
        batch = self.visible_object(request, object_id)
        if request.method != "POST":
            raise Http404
        try:
            job = recycling.undo(batch, by=request.user)
        except pool.PoolError as error:
            self.message_user(request, str(error), messages.ERROR)
            return HttpResponseRedirect(self._url("change", batch.pk))
        return HttpResponseRedirect(reverse("admin:crm_job_change", args=[job.pk]))


@admin.register(PoolRule)
class PoolRuleAdmin(ModelAdmin):
    nav_icon, nav_order = "rule", 62
    list_display = [
        "scope",
        "follow_days",
        "deal_days",
        "owner_limit",
        "daily_limit",
        "wait_days",
        "protect_limit",
        "claim_stage",
    ]
    list_display_links = ["scope"]
    list_select_related = ["level", "category"]
    empty_hint = "没有规则，客户就不会被回收，认领也没有限制。"
    fieldsets = [
        (
            None,
            {
                "fields": [("level", "category"), "remark"],
                "description": "同时指定等级和分类的规则优先，其次是分类（下级分类优先），再次是等级，最后是全部客户。",
            },
        ),
        (
            "回收",
            {"fields": [("follow_days", "deal_days"), "warn_days", ("protect_limit", "protect_days")]},
        ),
        (
            "认领",
            {
                "fields": [
                    ("owner_limit", "daily_limit"),
                    ("wait_days", "hold_hours"),
                    ("claim_stage", "departments"),
                ]
            },
        ),
    ]

    @display(description="适用客户")
    def scope(self, obj):
        return str(obj)


def sea_of(user):
    """How many customers of the sea ``user`` may see; None without the right."""
    policy = policy_for(SeaCustomer)
    return policy.visible_to(user).order_by().count() if policy.allows(user, "view") else None


def warned_of(user, **only):
    """How many customers in sight of ``user`` go back to the sea within the days of warning."""
    rows = Rulebook().due(timezone.localdate(), ahead=True).filter(**only)
    return policy_for(Customer).limit(rows, user, "view").order_by().count()
