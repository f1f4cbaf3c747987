from django.contrib import admin
from django.db.models import Exists, OuterRef

from crm.admin.base import ModelAdmin, display
from crm.admin.filters import DictionaryFilter, RangeDateTimeFilter
from crm.admin.quick import QuickAddMixin
from crm.policies import policy_for
from sales.models import FollowUp, Lead, Opportunity
from sales.resources.followups import FollowUpResource


@admin.register(FollowUp)
class FollowUpAdmin(QuickAddMixin, ModelAdmin):
    nav_icon, nav_order = "history_edu", 15
    resource_class = FollowUpResource
    quick_fields = ("time", "type", "content", "next_time", "next_content")
    list_display = ["time", "about", "type", "content", "next_time", "next_content", "author"]
    list_display_links = ["time", "content"]
    list_select_related = ["lead__customer", "opportunity__customer", "customer", "type", "author"]
    list_filter = [
        ("type", DictionaryFilter),
        ("time", RangeDateTimeFilter),
        ("next_time", RangeDateTimeFilter),
    ]
    search_fields = ["content", "next_content"]
    search_help_text = "跟进内容、下次跟进内容"
    autocomplete_fields = ["lead", "customer", "opportunity"]
    readonly_fields = ["author"]
    empty_hint = "跟进一般在客户、线索、商机的列表或页面上点“写跟进”，也可以导入。"
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("lead", "customer"),
                    ("opportunity", "time"),
                    ("type", "author"),
                    "content",
                    "next_time",
                    "next_content",
                    "remark",
                    "is_closed",
                ]
            },
        )
    ]

    def get_queryset(self, request):
        """Leads and opportunities are named to those who may see them; to others the customer behind them."""
        seen = {
            f"{field}_is_seen": Exists(policy_for(model).visible_to(request.user).filter(pk=OuterRef(field)).order_by())
            for field, model in (("lead", Lead), ("opportunity", Opportunity))
        }
        return super().get_queryset(request).annotate(**seen)

    @display(description="线索/客户/商机")
    def about(self, obj):
        if obj.customer_id or (obj.lead_is_seen if obj.lead_id else obj.opportunity_is_seen):
            return obj.root
        return obj.root.customer
