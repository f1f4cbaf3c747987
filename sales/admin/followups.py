from django.contrib import admin
from django.db.models import Exists, OuterRef

from crm.admin.base import ModelAdmin, display
from crm.admin.filters import DictionaryFilter, RangeDateTimeFilter
from crm.admin.quick import QuickAddMixin
from crm.policies import policy_for
from sales.models import FollowUp, Lead
from sales.resources.followups import FollowUpResource


@admin.register(FollowUp)
class FollowUpAdmin(QuickAddMixin, ModelAdmin):
    nav_icon, nav_order = "history_edu", 15
    resource_class = FollowUpResource
    quick_fields = ("time", "type", "content", "next_time", "next_content")
    list_display = ["time", "about", "type", "content", "next_time", "next_content", "author"]
    list_display_links = ["time", "content"]
    list_select_related = ["lead__customer", "customer", "type", "author"]
    list_filter = [
        ("type", DictionaryFilter),
        ("time", RangeDateTimeFilter),
        ("next_time", RangeDateTimeFilter),
    ]
    search_fields = ["content", "next_content"]
    search_help_text = "跟进内容、下次跟进内容"
    autocomplete_fields = ["lead", "customer"]
    readonly_fields = ["author"]
    empty_hint = "跟进一般在客户、线索的列表或页面上点“写跟进”，也可以导入。"
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("lead", "customer"),
                    "time",
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
        """A lead is named to those who may see it; to others the customer that it has become."""
        seen = policy_for(Lead).visible_to(request.user).filter(pk=OuterRef("lead_id")).order_by()
        return super().get_queryset(request).annotate(lead_is_seen=Exists(seen))

    @display(description="线索/客户")
    def about(self, obj):
        return obj.root if obj.customer_id or obj.lead_is_seen else obj.lead.customer
