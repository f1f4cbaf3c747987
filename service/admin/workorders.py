from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpResponseRedirect
from django.urls import path
from django.utils import timezone
from django.utils.html import format_html

from crm import transitions
from crm.admin.actions import answered, ask
from crm.admin.attachments import AttachmentAdmin, AttachmentInline
from crm.admin.base import ModelAdmin, ReadOnly, TabularInline, action, display
from crm.admin.filters import ChoiceFilter, DictionaryFilter, OwnerFilter, RangeDateTimeFilter
from crm.admin.media import ordered
from crm.admin.page_forms import OwnerForm
from crm.admin.quick import QuickAddMixin
from crm.policies import policy_for
from customers.models import Customer
from service import activity
from service.admin.forms import AnswerForm
from service.models import (
    OPEN,
    UNSOLVED,
    EntryKind,
    ServedCustomer,
    WorkOrder,
    WorkOrderAttachment,
    WorkOrderEntry,
    WorkOrderStatus,
)
from service.resources.workorders import WorkOrderResource
from service.services import dispatch, workorders

STATUS_LABELS = {"创建": "warning", "分配": "info", "处理": "primary", "反馈": "warning", "归档": "success"}
PRIORITY_LABELS = {"紧急": "danger", "高": "warning", "中": "info", "低": "default"}
TARGET_LABELS = {"已超时": "danger", "即将超时": "warning"}
SERVED_FACTS = ("code", "level", "area", "address", "phone")
STEP_TIMES = ("created_at", "assigned_at", "responded_at", "answered_at", "archived_at")
CUSTOMER_ROW, NUMBER_ROW = ("customer", "contact"), ("number", "contract")
SHOWN_PROBLEMS = 5


class WorkOrderAttachmentInline(AttachmentInline):
    model = WorkOrderAttachment


class SelectFilter(admin.SimpleListFilter):
    """One of a few conditions, chosen like the values of a field."""

    template = "crm/filter_select.html"

    @property
    def lookup_kwarg(self):
        return self.parameter_name

    def choices(self, changelist):
        values = ["", *(value for value, _ in self.lookup_choices)]
        for value, choice in zip(values, super().choices(changelist), strict=True):
            yield choice | {"value": value}


class TargetFilter(SelectFilter):
    title, parameter_name = "时限", "target"

    def lookups(self, request, model_admin):
        return [("late", "已超时"), ("near", "即将超时")]

    def queryset(self, request, queryset):
        now = timezone.now()
        if self.value() == "late":
            return queryset.filter(due_at__lt=now)
        return queryset.filter(due_at__gte=now, warn_at__lte=now) if self.value() == "near" else queryset


class ProgressFilter(SelectFilter):
    title, parameter_name = "进度", "progress"

    def lookups(self, request, model_admin):
        return [("unsolved", "未完成"), ("open", "未归档")]

    def queryset(self, request, queryset):
        states = {"unsolved": UNSOLVED, "open": OPEN}.get(self.value())
        return queryset.filter(status__in=states) if states else queryset


@admin.register(WorkOrder)
class WorkOrderAdmin(ModelAdmin):
    nav_icon, nav_order, in_palette = "support_agent", 10, True
    head_template = "service/workorder_head.html"
    head_labels = ("status_name", "priority_name", "target_name", "origin_name")
    empty_hint = "客户的售后问题、咨询和投诉记在这里：创建、分配、处理、反馈、归档。"
    resource_class = WorkOrderResource
    list_display = [
        "number",
        "title",
        "customer_name",
        "type",
        "priority_name",
        "status_name",
        "due",
        "owner",
        "satisfaction",
        "created_at",
    ]
    list_display_links = ["number", "title"]
    list_select_related = ["customer", "type", "owner"]
    list_filter = [
        ("owner", OwnerFilter),
        ("status", ChoiceFilter),
        ProgressFilter,
        TargetFilter,
        ("priority", ChoiceFilter),
        ("type", DictionaryFilter),
        ("origin", ChoiceFilter),
        ("satisfaction", ChoiceFilter),
        ("created_at", RangeDateTimeFilter),
    ]
    search_fields = ["number", "title"]
    search_help_text = "工单号、概要"
    autocomplete_fields = ["customer", "contact", "contract"]
    inlines = [WorkOrderAttachmentInline]
    actions = ["assign_selected", "dispatch_selected"]
    readonly_fields = [
        "solution",
        "feedback",
        "satisfaction",
        "reopen_reason",
        "archive_reason",
        "reopened_count",
        "response_due",
        "resolution_due",
        "assigned_at",
        "responded_at",
        "solved_at",
        "answered_at",
        "archived_at",
        "created_by",
        "created_at",
    ]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    CUSTOMER_ROW,
                    ("type", "priority"),
                    "title",
                    "content",
                    NUMBER_ROW,
                    "remark",
                    "is_closed",
                ]
            },
        ),
        (
            "结果与反馈",
            {
                "classes": ["tab"],
                "fields": [
                    "solution",
                    ("satisfaction", "feedback"),
                    ("reopened_count", "reopen_reason"),
                    "archive_reason",
                ],
            },
        ),
        (
            "时间",
            {
                "classes": ["tab"],
                "fields": [
                    ("response_due", "resolution_due"),
                    ("assigned_at", "responded_at"),
                    ("solved_at", "answered_at"),
                    ("archived_at", "created_at"),
                    "created_by",
                ],
            },
        ),
    ]

    def get_fieldsets(self, request, obj=None):
        """Who does not see customers reads what he needs of this one above the form (``_served``)."""
        found = super().get_fieldsets(request, obj)
        if obj is None:
            return found[:1]
        if policy_for(Customer).allows(request.user, "view"):
            return found
        (title, options), *others = found
        fields = [row for row in options["fields"] if row not in (CUSTOMER_ROW, NUMBER_ROW)]
        return [(title, {**options, "fields": [NUMBER_ROW[0], *fields]}), *others]

    def get_inlines(self, request, obj):
        return self.inlines if obj else []

    def palette_title(self, obj):
        return f"{obj.title}（{obj.number}）"

    # --- Columns -----------------------------------------------------------------------------------------------------

    @display(description="客户", ordering="customer")
    def customer_name(self, obj):
        return str(obj.customer)

    @display(description="状态", ordering="status", label=STATUS_LABELS)
    def status_name(self, obj):
        return obj.get_status_display()

    @display(description="优先级", ordering="priority", label=PRIORITY_LABELS)
    def priority_name(self, obj):
        return obj.get_priority_display()

    @display(description="来源", label={"客户提交": "info"})
    def origin_name(self, obj):
        return obj.get_origin_display()

    @display(description="时限", label=TARGET_LABELS)
    def target_name(self, obj):
        return "已超时" if obj.is_overdue else "即将超时" if obj.is_due_soon else None

    @display(description="当前时限", ordering="due_at")
    def due(self, obj):
        if obj.due_at is None:
            return None
        words = f"{timezone.localtime(obj.due_at):%m-%d %H:%M} {obj.next_target}"
        if mark := self.target_name(obj):
            return format_html('<span class="{}">{} {}</span>', "ky-late" if obj.is_overdue else "ky-near", words, mark)
        return words

    # --- Saving and owners -------------------------------------------------------------------------------------------

    def save_model(self, request, obj, form, change):
        if change:
            workorders.revise(obj, by=request.user, m2m=form.m2m_values())
        else:
            workorders.open_order(obj, by=request.user)
        request.__dict__.pop("_answers", None)

    def assignees(self, request, obj):
        return workorders.assignees(request.user)

    def change_owner(self, obj, owner, *, by, reason):
        workorders.assign(obj, owner, by=by, reason=reason)

    # --- Many at once ------------------------------------------------------------------------------------------------

    def get_actions(self, request):
        found = super().get_actions(request)
        if not self.policy.allows(request.user, "assign"):
            for name in self.actions:
                found.pop(name, None)
        return found

    @action(description="分配处理人")
    def assign_selected(self, request, queryset):
        form = OwnerForm(workorders.assignees(request.user), request.POST if answered(request) else None)
        if not form.is_valid():
            lead = "选中的工单将由这位同事处理。"
            return ask(
                self, request, queryset, action="assign_selected", title="分配工单", lead=lead, form=form, submit="分配"
            )
        owner, reason = form.cleaned_data["owner"], form.cleaned_data["reason"]
        return self._each(request, queryset, lambda o: workorders.assign(o, owner, by=request.user, reason=reason))

    @action(description="按规则自动分配")
    def dispatch_selected(self, request, queryset):
        return self._each(request, queryset, lambda order: dispatch.dispatch(order, by=request.user))

    def _each(self, request, queryset, work):
        done, problems = 0, []
        for order in queryset.select_related("type").order_by("pk"):
            try:
                work(order)
                done += 1
            except (workorders.WorkOrderError, PermissionDenied) as error:
                problems.append(f"“{order}”没有分配：{error}")
        if done:
            self.message_user(request, f"已分配 {done} 张工单。", messages.SUCCESS)
        if problems:
            self.message_user(request, "".join(problems[:SHOWN_PROBLEMS]), messages.WARNING)
        return HttpResponseRedirect(request.get_full_path())

    # --- Pages -------------------------------------------------------------------------------------------------------

    def get_urls(self):
        view, name = self.admin_site.admin_view, "service_workorder"
        return [
            path("<path:object_id>/dispatch/", view(self.dispatch_view), name=f"{name}_dispatch"),
            path("<path:object_id>/answer/", view(self.answer_view), name=f"{name}_answer"),
            path("<path:object_id>/reveal/", view(self.reveal_view), name=f"{name}_reveal"),
            *super().get_urls(),
        ]

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        if change and obj is not None:
            context["activity"] = activity.of_work_order(obj, request.user)
            context["steps"] = _steps(obj)
            context["served"] = self._served(request, obj)
        response = super().render_change_form(request, context, add, change, form_url, obj)
        if change and obj is not None and obj.status not in UNSOLVED:
            response.context_data["may_assign"] = False
        return response

    def _served(self, request, obj):
        """What of the customer is shown to whoever works on the order without the right to see the customer."""
        policy = policy_for(ServedCustomer)
        served = policy.visible_to(request.user).select_related("level", "area").filter(pk=obj.customer_id).first()
        if served is None:
            return None
        facts = [(served._meta.get_field(name).verbose_name, policy.shown(served, name)) for name in SERVED_FACTS]
        contact = [("联系人", obj.contact.name)] if obj.contact_id else []
        return {
            "name": served.name,
            "facts": [(label, value) for label, value in facts + contact if value],
            "may_reveal": policy.allows(request.user, "reveal"),
        }

    def dispatch_view(self, request, object_id):
        obj = self.visible_object(request, object_id)
        if not self.policy.may(request.user, "assign", obj):
            raise PermissionDenied
        back = self._url("change", obj.pk)
        if request.method == "POST":
            try:
                obj = dispatch.dispatch(obj, by=request.user)
                self.message_user(request, f"已按规则分配给{obj.owner}。", messages.SUCCESS)
            except workorders.WorkOrderError as error:
                self.message_user(request, str(error), messages.ERROR)
            return HttpResponseRedirect(back)
        rule = dispatch.rule_of(obj)
        person = dispatch.least_busy(rule) if rule else None
        context = {"title": "自动分配", "original": obj, "rule": rule, "person": person, "back": back}
        return self.page(request, "service/dispatch.html", context)

    def answer_view(self, request, object_id):
        obj = self.visible_object(request, object_id)
        if not self.policy.may(request.user, "feedback", obj):
            raise PermissionDenied
        form, back = AnswerForm(request.POST or None), self._url("change", obj.pk)
        if request.method == "POST" and form.is_valid():
            try:
                done = workorders.answer(obj, by=request.user, **form.cleaned_data)
                reopened = done.status == WorkOrderStatus.PROCESSING
                words = "客户不满意，工单已自动重开并通知处理人。" if reopened else "客户反馈已登记，可以归档了。"
                self.message_user(request, words, messages.WARNING if reopened else messages.SUCCESS)
                return HttpResponseRedirect(back)
            except transitions.TransitionRefused as error:
                self.message_user(request, str(error), messages.ERROR)
                return HttpResponseRedirect(back)
            except ValidationError as error:
                form.add_error(None, error.messages)
        context = {
            "title": f"登记反馈：{obj}",
            "lead": f"处理结果：{obj.solution}",
            "submit": "登记",
            "form": form,
            "original": obj,
            "back": back,
            "media": ordered(self.media + form.media),
        }
        return self.page(request, "service/step.html", context)

    def reveal_view(self, request, object_id):
        obj = self.visible_object(request, object_id)
        if request.method != "POST":
            raise Http404
        context = {
            "title": f"联系方式：{obj.customer}",
            "numbers": workorders.reveal(obj, by=request.user),
            "original": obj,
            "back": self._url("change", obj.pk),
        }
        return self.page(request, "service/numbers.html", context)


def _steps(order):
    """The five steps with when each was reached; the one that it is at now."""
    reached = WorkOrderStatus.values.index(order.status)
    return [
        {"label": label, "time": getattr(order, STEP_TIMES[place]), "done": place < reached, "now": place == reached}
        for place, label in enumerate(WorkOrderStatus.labels)
    ]


@admin.register(WorkOrderEntry)
class WorkOrderEntryAdmin(QuickAddMixin, ModelAdmin):
    quick_fields = ("time", "content")
    list_display = ["time", "work_order", "kind", "content", "author"]
    list_display_links = ["time", "content"]
    list_select_related = ["work_order", "author"]
    list_filter = [("kind", ChoiceFilter), ("time", RangeDateTimeFilter)]
    search_fields = ["content"]
    autocomplete_fields = ["work_order"]
    readonly_fields = ["kind", "author", "satisfaction"]
    fieldsets = [(None, {"fields": ["work_order", "time", "content", ("kind", "author"), "satisfaction", "remark"]})]

    def has_change_permission(self, request, obj=None):
        """What the services wrote down stays as it is."""
        return super().has_change_permission(request, obj) and (obj is None or obj.kind == EntryKind.NOTE)

    def has_delete_permission(self, request, obj=None):
        return super().has_delete_permission(request, obj) and (obj is None or obj.kind == EntryKind.NOTE)


@admin.register(WorkOrderAttachment)
class WorkOrderAttachmentAdmin(AttachmentAdmin):
    nav_order = 15
    empty_hint = "附件在工单页面的“附件”页签里上传，可以一次上传多个。"


class WorkOrderInline(ReadOnly, TabularInline):
    """The tab on the page of a customer."""

    model = WorkOrder
    fields = readonly_fields = ["number", "link", "type", "priority", "status", "owner", "satisfaction", "created_at"]
    verbose_name_plural = "工单"
    ordering = ["-id"]
    empty_hint = "还没有工单；上面的“建工单”可以新建。"

    @display(description="概要")
    def link(self, obj):
        return format_html('<a href="{}">{}</a>', workorders.link_to(obj), obj.title)
