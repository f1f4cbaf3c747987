from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.urls import path
from django.utils import timezone
from django.utils.html import format_html

from crm import audit, text
from crm.admin.base import ModelAdmin, ReadOnly, display
from crm.admin.filters import ChoiceFilter, PersonFilter, RangeDateTimeFilter
from crm.models import Operation, User
from crm.policies import policy_for
from crm.trails import Kind
from customers.activity import change_url
from customers.models import Customer
from customers.tracking.admin import statistics
from customers.tracking.admin.papers import TracePapers, customer_words
from customers.tracking.models import Trace
from customers.tracking.resources.traces import TraceResource

KIND_LABELS = {
    "查看": "info",
    "修改": "warning",
    "跟进": "success",
    "导出": "danger",
    "查看电话或密钥": "danger",
    "下载附件": "warning",
}
FOUND_MAX = 200


@admin.register(Trace)
class TraceAdmin(TracePapers, ReadOnly, ModelAdmin):
    nav_icon, nav_order = "visibility", 10
    resource_class = TraceResource
    head_template = None
    list_before_template = "tracking/list_head.html"
    list_display = [
        "time",
        "user_name",
        "kind_name",
        "event",
        "about",
        "rows",
        "department",
        "role",
        "foreign",
        "ip",
        "delivery_name",
    ]
    list_display_links = ["time"]
    list_select_related = ["customer"]
    list_filter = [
        ("actor", PersonFilter),
        ("kind", ChoiceFilter),
        ("operated_at", RangeDateTimeFilter),
        ("is_foreign", ChoiceFilter),
        ("delivery", ChoiceFilter),
    ]
    extra_lookups = ("customer__id__exact",)
    search_fields = ["event"]
    search_help_text = "客户名称、代码或电话，操作人，操作事件"
    empty_hint = "查看、修改、跟进、导出客户，都会自动记在这里。"
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("time", "ip"),
                    ("kind_name", "event"),
                    ("about", "phone"),
                    ("rows", "is_foreign"),
                    "event_type",
                ]
            },
        ),
        (
            "操作人当时的身份",
            {"fields": [("user_name", "role"), ("company", "department"), ("organization", "assistant"), "side"]},
        ),
        (
            "企业微信库",
            {"fields": [("source", "external_id"), ("delivery", "delivered_at"), "uuid"]},
        ),
    ]
    readonly_fields = ["time", "kind_name", "about", "uuid", "delivered_at"]

    def get_urls(self):
        view = self.admin_site.admin_view
        page = path("statistics/", view(self.statistics_view), name="tracking_trace_statistics")
        return [page, *super().get_urls()]

    def get_search_results(self, request, queryset, search_term):
        """Customers and people are looked up by their own indexes; what is neither is looked for in the event."""
        words = search_term.strip()
        if not words:
            return queryset, False
        customers = self._customers_named(request.user, words)
        people = list(User.objects.filter(full_name__startswith=words).values_list("pk", flat=True)[:FOUND_MAX])
        found = Q(customer_id__in=customers) | Q(actor_id__in=people)
        if text.is_phone(words):
            found |= Q(phone=text.phone_key(words))
        if not customers and not people and not text.is_phone(words):
            found = Q(event__contains=words)
        return queryset.filter(found), False

    def _customers_named(self, user, words) -> list[int]:
        """Removed customers, which search no longer knows, go by their code or the beginning of their name."""
        ids = list(Customer.search(Customer.objects.all(), words).values_list("pk", flat=True)[:FOUND_MAX])
        found = list(policy_for(Customer).visible_to(user).filter(pk__in=ids).values_list("pk", flat=True))
        if self.policy.reaches_all(user, "view"):
            key = text.fold(words)
            removed = Customer.objects.filter(Q(code_key=key) | Q(name_key__startswith=key), is_valid=False)
            found += removed.values_list("pk", flat=True)[:FOUND_MAX]
        return found

    def changelist_view(self, request, extra_context=None):
        """Who looks at what others did is logged himself."""
        if request.method == "GET" and self.has_view_permission(request):
            self._log(request, f"查看操作记录列表 {request.GET.urlencode()}")
        return super().changelist_view(request, extra_context)

    def change_view(self, request, object_id, form_url="", extra_context=None):
        response = super().change_view(request, object_id, form_url, extra_context)
        if request.method == "GET":
            self._log(request, f"查看操作记录 {object_id}")
        return response

    def statistics_view(self, request):
        if not self.has_view_permission(request):
            raise PermissionDenied
        self._log(request, f"查看操作统计 {request.GET.urlencode()}")
        return statistics.page(self, request)

    def _log(self, request, words, operation=Operation.REVEAL):
        audit.note(request.user, Trace, operation, remark=words.strip())

    @display(description="操作时间", ordering="operated_at")
    def time(self, obj):
        return timezone.localtime(obj.operated_at).strftime("%Y-%m-%d %H:%M:%S")

    @display(description="类型", label=KIND_LABELS)
    def kind_name(self, obj):
        return Kind(obj.kind).label if obj.kind in Kind.values else obj.kind

    @display(description="归属", label={"非本人客户": "warning"})
    def foreign(self, obj):
        return "非本人客户" if obj.is_foreign else ""

    @display(description="客户", ordering="customer")
    def about(self, obj):
        """Whoever sees the trace may open the customer, unless it has been removed."""
        customer = obj.customer
        if customer is None or not customer.is_valid:
            return customer_words(obj)
        return format_html('<a href="{}">{}</a>', change_url(customer), customer)

    @display(
        description="送达",
        label={"已送达": "success", "待送达": "info", "外键不允许": "danger", "查无此号": "warning"},
    )
    def delivery_name(self, obj):
        return obj.get_delivery_display()
