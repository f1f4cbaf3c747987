from django.contrib import admin
from django.contrib.contenttypes.models import ContentType
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join

from crm.admin.base import ChangeList, ModelAdmin, ReadOnly, display
from crm.admin.filters import ChoiceFilter, PersonFilter, RangeDateTimeFilter
from crm.audit_display import describe
from crm.models import BusinessLog
from crm.models.audit import Operation
from crm.policies import PersonalPolicy, registered
from crm.resources.audit import BusinessLogResource


class LogList(ChangeList):
    """Puts the page's changes into words with one query per related model."""

    def get_results(self, request):
        super().get_results(request)
        entries = list(self.result_list)
        words = {entry.id: entry for entry in describe(entries, request.user)}
        for entry in entries:
            entry.words = words[entry.pk]
        self.result_list = entries


class KindFilter(admin.SimpleListFilter):
    title, parameter_name = "记录类型", "kind"
    lookup_kwarg = parameter_name
    template = "crm/filter_select.html"

    def lookups(self, request, model_admin):
        models = [
            model
            for model, policy in registered().items()
            if policy.allows(request.user, "view") and not isinstance(policy, PersonalPolicy)
        ]
        types = ContentType.objects.get_for_models(*models)
        return [(str(types[model].pk), str(model._meta.verbose_name)) for model in models]

    def choices(self, changelist):
        values = ["", *(value for value, _ in self.lookup_choices)]
        for value, choice in zip(values, super().choices(changelist), strict=True):
            yield choice | {"value": value}

    def queryset(self, request, queryset):
        return queryset.filter(content_type_id=self.value()) if (self.value() or "").isdigit() else queryset


@admin.register(BusinessLog)
class BusinessLogAdmin(ReadOnly, ModelAdmin):
    nav_icon, nav_order = "history", 60
    resource_class = BusinessLogResource
    list_display = [
        "time",
        "user_name",
        "operation_name",
        "kind",
        "business_no",
        "record",
        "difference",
        "ip",
        "remark",
    ]
    list_filter = [
        ("user", PersonFilter),
        ("created_at", RangeDateTimeFilter),
        KindFilter,
        ("operation", ChoiceFilter),
    ]
    list_display_links = ["time"]
    search_fields = ["=business_no", "user_name__startswith", "object_repr__startswith"]
    search_help_text = "业务单号、操作人或记录名称开头"
    empty_hint = "新建、修改、分配、审核和导入都会自动记在这里。"
    head_template = None
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("time", "ip"),
                    ("user_name", "operation_name"),
                    ("kind", "record"),
                    ("business_no", "business_source"),
                    "difference",
                    "remark",
                ]
            },
        )
    ]
    readonly_fields = ["time", "operation_name", "kind", "record", "difference"]

    def get_changelist(self, request, **kwargs):
        return LogList

    def get_object(self, request, object_id, from_field=None):
        entry = super().get_object(request, object_id, from_field)
        entry.words = describe([entry], request.user)[0]
        return entry

    @display(description="操作时间", ordering="id")
    def time(self, obj):
        return timezone.localtime(obj.created_at).strftime("%Y-%m-%d %H:%M:%S")

    @display(description="操作", label={"创建": "success", "更新": "info", "删除": "danger", "归属变更": "warning"})
    def operation_name(self, obj):
        return obj.get_operation_display()

    @display(description="记录类型")
    def kind(self, obj):
        return obj.words.kind

    @display(description="记录")
    def record(self, obj):
        model = obj.record_model
        if model not in self.admin_site._registry or obj.operation == Operation.DELETE or not obj.object_id:
            return obj.object_repr
        page = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
        return format_html('<a href="{}">{}</a>', reverse(page, args=[obj.object_id]), obj.object_repr)

    @display(description="变更内容")
    def difference(self, obj):
        created = obj.operation == Operation.CREATE
        lines = format_html_join(
            "",
            "<li><b>{}</b> {}</li>",
            ((change.label, _words(change, created)) for change in obj.words.changes),
        )
        return format_html('<ul class="ky-changes">{}</ul>', lines) if obj.words.changes else ""


def _words(change, created):
    new = format_html("<ins>{}</ins>", change.new) if change.new else "空"
    old = format_html("<del>{}</del>", change.old) if change.old else "空"
    return new if created else format_html("{} → {}", old, new)
