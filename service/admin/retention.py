from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpResponseRedirect
from django.urls import path
from django.utils.html import format_html

from crm.admin.base import ModelAdmin, ReadOnly, TabularInline, display
from crm.admin.filters import ChoiceFilter, DictionaryFilter, RangeDateFilter
from crm.admin.media import ordered
from crm.policies import policy_for
from customers.activity import change_url
from service.admin.forms import LossForm, MeasureForm
from service.models import PENDING, ChurnRule, CustomerLoss, LossStatus, RetentionMeasure
from service.resources.retention import CustomerLossResource
from service.services import retention

LOSS_LABELS = {"流失预警": "warning", "暂缓流失": "info", "确认流失": "danger", "已挽回": "success"}


class RetentionMeasureInline(ReadOnly, TabularInline):
    model = RetentionMeasure
    fields = readonly_fields = ["date", "link", "effect", "author"]
    verbose_name_plural = "暂缓措施"
    ordering = ["-date", "-id"]
    empty_hint = "还没有采取措施。联系客户以后，点上面的“写措施”记下来。"

    @display(description="措施")
    def link(self, obj):
        return format_html('<a href="{}">{}</a>', change_url(obj), obj.content)


@admin.register(CustomerLoss)
class CustomerLossAdmin(ModelAdmin):
    nav_icon, nav_order = "trending_down", 40
    resource_class = CustomerLossResource
    head_template = "service/loss_head.html"
    head_labels = ("status_name",)
    list_display = [
        "customer",
        "status_name",
        "owner",
        "last_order_date",
        "warning",
        "warned_on",
        "confirmed_on",
        "reason_type",
        "recovered_on",
        "measure_link",
    ]
    list_select_related = ["customer__owner", "reason_type"]
    list_filter = [
        ("status", ChoiceFilter),
        ("warned_on", RangeDateFilter),
        ("confirmed_on", RangeDateFilter),
        ("reason_type", DictionaryFilter),
        ("last_order_date", RangeDateFilter),
    ]
    search_fields = ["customer__name", "customer__code"]
    search_help_text = "客户名称、代码"
    inlines = [RetentionMeasureInline]
    empty_hint = "没有流失预警。每天夜里按“流失规则”检查长时间没有下单的客户，符合的出现在这里。"
    readonly_fields = [
        "customer",
        "last_order_date",
        "warned_on",
        "warning",
        "reason_type",
        "reason",
        "confirmed_on",
        "recovered_on",
        "recovered_by",
    ]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("customer", "warned_on"),
                    ("last_order_date", "warning"),
                    ("confirmed_on", "reason_type"),
                    "reason",
                    ("recovered_on", "recovered_by"),
                    "remark",
                    "is_closed",
                ]
            },
        )
    ]

    def has_add_permission(self, request, obj=None):
        return False

    def has_import_permission(self, request):
        return False

    @display(description="流失状态", ordering="status", label=LOSS_LABELS)
    def status_name(self, obj):
        return obj.get_status_display()

    @display(description="负责人")
    def owner(self, obj):
        return obj.customer.owner

    @display(description="")
    def measure_link(self, obj):
        if obj.status not in PENDING:
            return None
        return format_html('<a class="ky-button ky-small" href="{}">写措施</a>', self._url("measure", obj.pk))

    def get_list_display(self, request):
        """Measures are for those who may add any; whether to this customer, their page says."""
        shown = super().get_list_display(request)
        may_add = policy_for(RetentionMeasure).allows(request.user, "add")
        return shown if may_add else [name for name in shown if name != "measure_link"]

    def get_urls(self):
        view, name = self.admin_site.admin_view, "service_customerloss"
        return [
            path("<path:object_id>/confirm/", view(self.confirm_view), name=f"{name}_confirm"),
            path("<path:object_id>/measure/", view(self.measure_view), name=f"{name}_measure"),
            *super().get_urls(),
        ]

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        if change and obj is not None and obj.status in PENDING:
            context["may_measure"] = policy_for(RetentionMeasure).may_add_to(request.user, obj.customer)
        return super().render_change_form(request, context, add, change, form_url, obj)

    def measure_view(self, request, object_id):
        obj = self.visible_object(request, object_id)
        if not policy_for(RetentionMeasure).may_add_to(request.user, obj.customer):
            raise PermissionDenied
        form, back = MeasureForm(request.POST or None), self._url("change", obj.pk)
        if request.method == "POST" and form.is_valid():
            try:
                retention.add_measure(obj, by=request.user, **form.cleaned_data)
                self.message_user(request, "措施已记下。", messages.SUCCESS)
                return HttpResponseRedirect(back)
            except (retention.LossError, ValidationError) as error:
                form.add_error(None, getattr(error, "messages", None) or str(error))
        words = {"title": f"写措施：{obj.customer}", "lead": obj.warning, "submit": "保存"}
        return self._step(request, obj, form, back, words)

    def confirm_view(self, request, object_id):
        obj = self.visible_object(request, object_id)
        if not self.policy.may(request.user, "confirm", obj):
            raise PermissionDenied
        form, back = LossForm(request.POST or None), self._url("change", obj.pk)
        if request.method == "POST" and form.is_valid():
            try:
                done = retention.confirm(obj, by=request.user, **form.cleaned_data)
                self._tell(request, done)
                seen = self.policy.may(request.user, "view", done)
                return HttpResponseRedirect(back if seen else self._url("changelist"))
            except (retention.LossError, ValidationError) as error:
                form.add_error(None, getattr(error, "messages", None) or str(error))
        words = {
            "title": f"确认流失：{obj.customer}",
            "lead": "客户进入“失效”阶段，成交状态改为“流失”；规则要求的，客户退回公海。以后有新订单会自动挽回。",
            "submit": "确认流失",
        }
        return self._step(request, obj, form, back, words)

    def _step(self, request, obj, form, back, words):
        media = ordered(self.media + form.media)
        return self.page(
            request, "service/step.html", words | {"form": form, "original": obj, "back": back, "media": media}
        )

    def _tell(self, request, loss):
        if loss.status == LossStatus.RECOVERED:
            words = f"没有确认流失：预警之后客户有新的{loss.recovered_by}，已改为“已挽回”。"
            self.message_user(request, words, messages.WARNING)
        else:
            self.message_user(request, f"“{loss.customer}”已确认流失。", messages.SUCCESS)


@admin.register(RetentionMeasure)
class RetentionMeasureAdmin(ModelAdmin):
    list_display = ["date", "customer", "content", "effect", "author"]
    list_display_links = ["date", "content"]
    list_select_related = ["loss__customer", "author"]
    list_filter = [("date", RangeDateFilter)]
    search_fields = ["content", "loss__customer__name"]
    search_help_text = "措施、客户名称"
    autocomplete_fields = ["loss"]
    readonly_fields = ["author"]
    fieldsets = [(None, {"fields": ["loss", ("date", "author"), "content", "effect", "remark"]})]

    @display(description="客户")
    def customer(self, obj):
        return obj.loss.customer

    def save_model(self, request, obj, form, change):
        retention.save_measure(obj, by=request.user)
        request.__dict__.pop("_answers", None)


@admin.register(ChurnRule)
class ChurnRuleAdmin(ModelAdmin):
    nav_icon, nav_order = "rule", 70
    list_display = ["name", "idle_months", "never_months", "release", "remark"]
    list_select_related = ["level"]
    fieldsets = [(None, {"fields": ["level", ("idle_months", "never_months"), "releases", "remark"]})]
    empty_hint = "没有规则时，不产生流失预警。"

    @display(description="客户等级")
    def name(self, obj):
        return str(obj)

    @display(description="确认流失后", label={"退回公海": "warning", "保留负责人": "info"})
    def release(self, obj):
        return "退回公海" if obj.releases else "保留负责人"


class CustomerLossInline(ReadOnly, TabularInline):
    """The tab on the page of a customer."""

    model = CustomerLoss
    fields = readonly_fields = [
        "link",
        "warning",
        "confirmed_on",
        "reason_type",
        "reason",
        "recovered_on",
        "recovered_by",
    ]
    verbose_name_plural = "流失"
    ordering = ["-id"]
    empty_hint = "没有流失预警。"

    @display(description="预警")
    def link(self, obj):
        return format_html('<a href="{}">{} {}</a>', change_url(obj), obj.warned_on, obj.get_status_display())
