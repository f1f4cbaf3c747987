from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpResponseRedirect
from django.urls import path
from django.utils.html import format_html

from crm import transitions
from crm.admin.agenda import due
from crm.admin.base import ModelAdmin, ReadOnly, TabularInline, display
from crm.admin.filters import ChoiceFilter, RangeDateTimeFilter
from crm.admin.media import ordered
from crm.admin.quick import QuickAddMixin
from customers.activity import change_url
from service.admin.forms import CompletionForm
from service.models import ReturnVisit, ReturnVisitRule, ReturnVisitStatus
from service.resources.visits import ReturnVisitResource
from service.services import visits

VISIT_LABELS = {"待执行": "info", "已完成": "success", "已取消": "warning"}


@admin.register(ReturnVisit)
class ReturnVisitAdmin(QuickAddMixin, ModelAdmin):
    nav_icon, nav_order = "call_log", 30
    resource_class = ReturnVisitResource
    quick_fields = ("planned_at", "method", "contact", "content")
    head_labels = ("status_name", "method_name")
    list_display = [
        "planned",
        "customer",
        "method_name",
        "content",
        "status_name",
        "visited_at",
        "satisfaction",
        "feedback",
    ]
    list_display_links = ["planned", "content"]
    list_select_related = ["customer"]
    list_filter = [
        ("status", ChoiceFilter),
        ("method", ChoiceFilter),
        ("satisfaction", ChoiceFilter),
        ("planned_at", RangeDateTimeFilter),
        ("visited_at", RangeDateTimeFilter),
    ]
    search_fields = ["content", "feedback", "customer__name"]
    search_help_text = "内容、反馈、客户名称"
    autocomplete_fields = ["customer", "contact", "contract", "work_order"]
    readonly_fields = ["cancel_reason", "created_by", "created_at"]
    empty_hint = "签约和工单归档之后，按“回访规则”自动安排；也可以在客户页面上点“安排回访”。"
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("customer", "contact"),
                    ("planned_at", "method"),
                    ("contract", "work_order"),
                    "content",
                    "remark",
                    "is_closed",
                ]
            },
        ),
        (
            "结果",
            {
                "fields": [
                    ("visited_at", "satisfaction"),
                    "feedback",
                    "cancel_reason",
                    ("created_by", "created_at"),
                ]
            },
        ),
    ]

    def get_field_queryset(self, db, db_field, request):
        """The service desk plans visits to every customer that it sees."""
        if db_field.name == "customer":
            return self.policy.root_policy.visible_to(request.user, self.policy.root_action(request.user))
        return super().get_field_queryset(db, db_field, request)

    @display(description="计划回访时间", ordering="planned_at")
    def planned(self, obj):
        if obj.status == ReturnVisitStatus.PLANNED:
            return due(obj.planned_at)
        return obj.planned_at

    @display(description="状态", ordering="status", label=VISIT_LABELS)
    def status_name(self, obj):
        return obj.get_status_display()

    @display(description="方式", label={"电话": "info", "上门": "primary", "问卷": "default"})
    def method_name(self, obj):
        return obj.get_method_display()

    def get_urls(self):
        view = self.admin_site.admin_view(self.complete_view)
        return [path("<path:object_id>/complete/", view, name="service_returnvisit_complete"), *super().get_urls()]

    def complete_view(self, request, object_id):
        obj = self.visible_object(request, object_id)
        if not self.policy.may(request.user, "change", obj):
            raise PermissionDenied
        form, back = CompletionForm(obj, request.POST or None), self._url("change", obj.pk)
        if request.method == "POST" and form.is_valid():
            try:
                visits.complete(obj, by=request.user, **form.cleaned_data)
                self.message_user(request, "回访已完成。", messages.SUCCESS)
                return HttpResponseRedirect(back)
            except transitions.TransitionRefused as error:
                self.message_user(request, str(error), messages.ERROR)
                return HttpResponseRedirect(back)
            except ValidationError as error:
                form.add_error(None, error.messages)
        context = {
            "title": f"完成回访：{obj.customer}",
            "submit": "完成",
            "form": form,
            "original": obj,
            "back": back,
            "media": ordered(self.media + form.media),
        }
        return self.page(request, "service/step.html", context)


@admin.register(ReturnVisitRule)
class ReturnVisitRuleAdmin(ModelAdmin):
    nav_icon, nav_order = "event_repeat", 68
    list_display = ["trigger", "days", "method", "state", "remark"]
    fieldsets = [(None, {"fields": ["trigger", ("days", "method"), "is_active", "remark"]})]
    empty_hint = "没有规则时，不自动安排回访。"

    @display(description="状态", label={"启用": "success", "停用": "warning"})
    def state(self, obj):
        return "启用" if obj.is_active else "停用"


class ReturnVisitInline(ReadOnly, TabularInline):
    """The tab on the page of a customer."""

    model = ReturnVisit
    fields = readonly_fields = ["planned_at", "link", "status", "visited_at", "content", "feedback", "satisfaction"]
    verbose_name_plural = "回访"
    ordering = ["-planned_at", "-id"]
    empty_hint = "还没有回访；上面的“安排回访”可以新建。"

    @display(description="回访")
    def link(self, obj):
        return format_html('<a href="{}">{}</a>', change_url(obj), str(obj))
