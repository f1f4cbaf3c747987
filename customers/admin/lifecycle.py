from django import forms
from django.contrib import admin

from crm.admin.base import ModelAdmin, ReadOnly, TabularInline, display
from crm.admin.filters import ChoiceFilter, RangeDateTimeFilter
from crm.admin.proposals import ReasonForm
from customers.models import Stage, StagePeriod, StagePolicy
from customers.services import lifecycle

STAGE_LABELS = {"线索": "info", "普通": "primary", "重要": "success", "失效": "danger"}


class StageForm(ReasonForm):
    """Which stage to move a customer to, with what the rules suggest."""

    stage = forms.ChoiceField(label="变更为")
    field_order = ["stage", "reason"]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        present = self.target.stage
        self.fields["stage"].choices = [(value, label) for value, label in Stage.choices if value != present]
        self.fields["stage"].help_text = f"现在是“{self.target.get_stage_display()}”。"
        if (found := lifecycle.suggestion(self.target)) is not None:
            self.fields["stage"].initial = found.stage
            self.fields["stage"].help_text += f"系统建议“{found.label}”：{found.reason}。"

    def values(self):
        return {"from": self.target.stage, "to": self.cleaned_data["stage"]}


class StagePeriodInline(ReadOnly, TabularInline):
    model = StagePeriod
    fields = ["stage", "started_at", "ended_at", "stayed", "next_stage", "reason", "request"]
    readonly_fields = fields
    verbose_name_plural = "阶段"
    ordering = ["-id"]
    empty_hint = "还没有变更过阶段。"

    @display(description="停留")
    def stayed(self, obj):
        return f"{obj.days} 天"


@admin.register(StagePeriod)
class StagePeriodAdmin(ReadOnly, ModelAdmin):
    list_display = ["customer", "stage_name", "started_at", "ended_at", "stayed", "next_name", "reason"]
    list_select_related = ["customer"]
    list_filter = [("stage", ChoiceFilter), ("next_stage", ChoiceFilter), ("ended_at", RangeDateTimeFilter)]
    search_fields = ["customer__name"]
    fieldsets = [
        (None, {"fields": ["customer", ("stage", "next_stage"), ("started_at", "ended_at"), "reason", "request"]})
    ]

    @display(description="停留")
    def stayed(self, obj):
        return f"{obj.days} 天"

    @display(description="阶段", ordering="stage", label=STAGE_LABELS)
    def stage_name(self, obj):
        return obj.get_stage_display()

    @display(description="转入", ordering="next_stage", label=STAGE_LABELS)
    def next_name(self, obj):
        return obj.get_next_stage_display()


@admin.register(StagePolicy)
class StagePolicyAdmin(ModelAdmin):
    nav_icon, nav_order = "stairs", 60
    list_display = ["stage", "priority", "credit_amount", "credit_currency", "needs_manager", "yearly_amount"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    "stage",
                    ("priority", "needs_manager"),
                    ("credit_amount", "credit_currency"),
                    "yearly_amount",
                    "remark",
                ]
            },
        )
    ]
    readonly_fields = ["stage"]

    def has_add_permission(self, request):
        return False

    def has_delete_permission(self, request, obj=None):
        return False
