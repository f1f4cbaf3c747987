from urllib.parse import urlencode

from django.contrib import admin
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from crm.admin.base import ModelAdmin, display
from crm.admin.filters import ChoiceFilter, DictionaryFilter, PersonFilter, RangeDateTimeFilter
from crm.exchange import money
from crm.policies import policy_for
from sales.models import Lead, LeadStatus, MarketingActivity, Opportunity, OpportunityStatus, SmsCampaign
from sales.resources.marketing import MarketingActivityResource
from sales.services import marketing

STATUS_COLORS = {"策划中": "info", "进行中": "warning", "已结束": "success", "已取消": "danger"}


def rows_of(model, **filters) -> str:
    """The list of ``model`` narrowed to what a number counts."""
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"
    return f"{reverse(name)}?{urlencode(filters)}"


def percent(value) -> str:
    return "" if value is None else f"{value:.1%}"


@admin.register(MarketingActivity)
class MarketingActivityAdmin(ModelAdmin):
    nav_icon, nav_order, nav_group, in_palette = "campaign", 10, "营销", True
    resource_class = MarketingActivityResource
    head_template = "sales/activity_head.html"
    head_labels = ("status_name", "type_name")
    empty_hint = "展会、直播、促销等活动登记在这里；线索选了来源活动，转化、赢单和投入产出就自动算出来。"
    list_display = [
        "name",
        "status_name",
        "type_name",
        "days",
        "cost_money",
        "leads",
        "converted",
        "opportunities",
        "won_money",
        "roi",
        "manager",
    ]
    list_select_related = ["type", "manager"]
    list_filter = [
        ("status", ChoiceFilter),
        ("type", DictionaryFilter),
        ("manager", PersonFilter),
        ("start_time", RangeDateTimeFilter),
        ("end_time", RangeDateTimeFilter),
    ]
    search_fields = ["name"]
    search_help_text = "活动名称"
    autocomplete_fields = ["manager"]
    readonly_fields = ["cancel_reason", "created_by", "created_at"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("name", "type"),
                    "start_time",
                    "end_time",
                    ("manager", "currency"),
                    ("budget", "actual_cost"),
                    "description",
                    "remark",
                ]
            },
        ),
        ("状态", {"fields": [("cancel_reason", "is_closed"), ("created_by", "created_at")]}),
    ]

    def get_changelist_instance(self, request):
        """What came of the activities of the page is counted for all of them at once."""
        found = super().get_changelist_instance(request)
        found.result_list = list(found.result_list)
        results = marketing.results(found.result_list, request.user)
        for activity in found.result_list:
            activity.results = results[activity.pk]
        return found

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        if change and obj is not None:
            context["figures"] = self._figures(obj, request.user)
        return super().render_change_form(request, context, add, change, form_url, obj)

    def _figures(self, obj, user):
        """``(label, value, link, note)`` of what came of ``obj``; a number leads to the rows that it counts."""
        found = marketing.results([obj], user)[obj.pk]
        leads, deals = rows_of(Lead, activity=obj.pk), rows_of(Opportunity, activity=obj.pk)
        won = rows_of(Opportunity, activity=obj.pk, status=OpportunityStatus.WON)
        amount = found.problem or money(found.won_amount, obj.currency)
        cost = "" if obj.actual_cost is None else money(obj.actual_cost, obj.currency)
        if obj.actual_cost is not None and obj.budget:
            cost += f"，预算的 {obj.actual_cost / obj.budget:.0%}"
        figures = []
        if policy_for(Lead).allows(user, "view"):
            each = f"每条线索 {money(found.lead_cost, obj.currency)}" if found.lead_cost else ""
            converted = rows_of(Lead, activity=obj.pk, status=LeadStatus.CONVERTED)
            rate = f"转化率 {found.converted / found.leads:.0%}" if found.leads else ""
            figures += [("线索", found.leads, leads, each), ("转化", found.converted, converted, rate)]
        if policy_for(Opportunity).allows(user, "view"):
            figures += [
                ("商机", found.opportunities, deals, ""),
                ("赢单", found.won, won, ""),
                ("赢单金额", amount, won, ""),
                ("投资回报率", percent(found.roi) or "—", "", f"成本 {cost}" if cost else "填写实际成本后计算"),
            ]
        if policy_for(SmsCampaign).allows(user, "view"):
            campaigns = obj.sms_campaigns.filter(is_valid=True).count()
            figures.append(("短信活动", campaigns, rows_of(SmsCampaign, activity=obj.pk), ""))
        return figures

    @display(description="状态", ordering="status", label=STATUS_COLORS)
    def status_name(self, obj):
        return obj.get_status_display()

    @display(description="类型", ordering="type", label=True)
    def type_name(self, obj):
        return obj.type

    @display(description="日期", ordering="start_time")
    def days(self, obj):
        first, last = timezone.localdate(obj.start_time), timezone.localdate(obj.end_time)
        return f"{first}" if first == last else f"{first} 至 {last:%m-%d}"

    @display(description="实际成本", ordering="actual_cost")
    def cost_money(self, obj):
        return None if obj.actual_cost is None else money(obj.actual_cost, obj.currency)

    @display(description="线索")
    def leads(self, obj):
        return self._count(obj.results.leads, Lead, activity=obj.pk)

    @display(description="转化")
    def converted(self, obj):
        return self._count(obj.results.converted, Lead, activity=obj.pk, status=LeadStatus.CONVERTED)

    @display(description="商机")
    def opportunities(self, obj):
        return self._count(obj.results.opportunities, Opportunity, activity=obj.pk)

    @display(description="赢单金额")
    def won_money(self, obj):
        if obj.results.won_amount is None:
            return "缺汇率"
        words = money(obj.results.won_amount, obj.currency)
        return self._count(words, Opportunity, activity=obj.pk, status=OpportunityStatus.WON)

    @display(description="回报率")
    def roi(self, obj):
        return percent(obj.results.roi)

    def _count(self, number, model, **filters):
        return format_html('<a href="{}">{}</a>', rows_of(model, **filters), number)
