"""Campaigns of text messages in the admin: from their recipients and a trial to their results."""

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponseRedirect
from django.urls import path
from django.utils import timezone
from django.utils.html import format_html

from crm.admin.base import ModelAdmin, display
from crm.admin.filters import ChoiceFilter, PersonFilter, RangeDateTimeFilter, SharedFilter
from crm.admin.media import ordered
from crm.admin.page_forms import field
from crm.models import Job
from crm.policies import policy_for
from crm.text import mask_phone
from crm.transitions import TransitionRefused
from customers.models import Contact
from sales import sms as gateways
from sales.admin.marketing import rows_of
from sales.admin.sms import GROUP, quiet_hours
from sales.models import DeliveryState, SmsCampaign, SmsDelivery
from sales.services import sms, sms_audience, sms_sending
from sales.sms import text as wording

CAMPAIGN_COLORS = {
    "草稿": "info",
    "已排期": "warning",
    "发送中": "primary",
    "运行中": "primary",
    "已暂停": "danger",
    "已完成": "success",
    "已取消": "danger",
}


class TryOutForm(forms.Form):
    phone = field(forms.CharField, "试发到手机号", required=True, max_length=40, help_text="变量按第一个收件人填写。")


@admin.register(SmsCampaign)
class SmsCampaignAdmin(ModelAdmin):
    nav_icon, nav_order, nav_group, in_palette = "forward_to_inbox", 20, GROUP, True
    head_template = "sales/campaign_head.html"
    head_labels = ("status_name",)
    empty_hint = "选一个模板和收件条件，看过收件人、试发一条，再正式发送。"
    list_display = [
        "name",
        "status_name",
        "template",
        "kind",
        "when",
        "total",
        "succeeded",
        "failed",
        "skipped",
        "sender",
        "activity",
    ]
    list_select_related = ["template", "sender", "activity"]
    list_filter = [
        ("status", ChoiceFilter),
        ("template", SharedFilter),
        ("activity", SharedFilter),
        ("trigger_stage", ChoiceFilter),
        ("sender", PersonFilter),
        ("send_time", RangeDateTimeFilter),
        ("created_at", RangeDateTimeFilter),
    ]
    search_fields = ["name"]
    search_help_text = "短信活动名称"
    readonly_fields = ["sender", "started_at", "finished_at", "created_by", "created_at"]
    fieldsets = [
        (None, {"fields": [("name", "template"), "activity", "send_time", "remark"]}),
        (
            "收件条件",
            {
                "fields": [("tags", "categories"), ("stages", "deals"), ("level", "industry"), ("area", "idle_days")],
                "description": "各条件都要满足；一个条件里选了几项，满足其一即可。留空的条件不限制。",
            },
        ),
        ("自动发送", {"fields": [("trigger_stage", "delay_days"), "includes_new"]}),
        ("经过", {"fields": [("sender", "created_by"), ("started_at", "finished_at"), ("created_at", "is_closed")]}),
    ]

    def get_fieldsets(self, request, obj=None):
        found = super().get_fieldsets(request, obj)
        return found if obj else found[:-1]

    def get_changelist_instance(self, request):
        """The deliveries of all campaigns of the page are counted by one query."""
        found = super().get_changelist_instance(request)
        found.result_list = list(found.result_list)
        counts = sms_sending.counts_of([campaign.pk for campaign in found.result_list])
        for campaign in found.result_list:
            campaign.counts = counts.get(campaign.pk, {})
        return found

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        if change and obj is not None:
            counts = sms_sending.counts_of([obj.pk]).get(obj.pk, {})
            context["figures"] = [
                (label, counts[state], rows_of(SmsDelivery, campaign=obj.pk, state=state), "")
                for state, label in DeliveryState.choices
                if counts.get(state)
            ]
            context["job"] = Job.objects.filter(key=f"sms:{obj.pk}", user=request.user).first()
        return super().render_change_form(request, context, add, change, form_url, obj)

    # --- Columns -----------------------------------------------------------------------------------------------------

    @display(description="状态", ordering="status", label=CAMPAIGN_COLORS)
    def status_name(self, obj):
        words = obj.get_status_display()
        return "运行中" if obj.is_automatic and words == "发送中" else words

    @display(description="方式", ordering="trigger_stage")
    def kind(self, obj):
        return f"进入“{obj.get_trigger_stage_display()}”时" if obj.is_automatic else "一次发送"

    @display(description="发送时间", ordering="send_time")
    def when(self, obj):
        return obj.started_at or obj.send_time

    @display(description="总数")
    def total(self, obj):
        return self._count(obj, *DeliveryState)

    @display(description="成功")
    def succeeded(self, obj):
        return self._count(obj, DeliveryState.SENT)

    @display(description="失败")
    def failed(self, obj):
        return self._count(obj, DeliveryState.FAILED)

    @display(description="跳过")
    def skipped(self, obj):
        return self._count(obj, DeliveryState.SKIPPED)

    def _count(self, obj, *states):
        only = {"state": states[0]} if len(states) == 1 else {}
        number = sum(obj.counts.get(state, 0) for state in states)
        return format_html('<a href="{}">{}</a>', rows_of(SmsDelivery, campaign=obj.pk, **only), number)

    # --- Pages -------------------------------------------------------------------------------------------------------

    def get_urls(self):
        view, name = self.admin_site.admin_view, "sales_smscampaign"
        return [
            path("<path:object_id>/recipients/", view(self.recipients_view), name=f"{name}_recipients"),
            path("<path:object_id>/try/", view(self.try_view), name=f"{name}_try"),
            *super().get_urls(),
        ]

    def _sendable(self, request, object_id):
        campaign = self.visible_object(request, object_id)
        if not self.policy.may(request.user, "send", campaign):
            raise PermissionDenied
        return campaign

    def recipients_view(self, request, object_id):
        """Who would get it, a trial, and the button that sends."""
        campaign = self._sendable(request, object_id)
        if request.method == "POST":
            return self._confirm(request, campaign)
        user, template = request.user, campaign.template
        found = sms_audience.preview(campaign, user)
        if not policy_for(Contact).allows(user, "view"):
            for one in found.shown:
                one.phone = mask_phone(one.phone)
        sample = wording.signed(template.signature, wording.sample(template.content))
        rule = sms_audience.rule_of(campaign)
        form = TryOutForm(initial={"phone": user.phone})
        context = {
            "title": f"收件人：{campaign}",
            "crumb": "收件人",
            "original": campaign,
            "preview": found,
            "figures": [
                ("符合条件的客户", found.total, "", ""),
                ("将收到短信", found.going, "", f"计费约 {found.segments} 条"),
                *((f"不发送：{label}", count, "", "") for label, count in found.skipped),
            ],
            "sample": sample,
            "sample_segments": wording.segments(sample),
            "hindrance": sms.hindrance(campaign),
            "automatic": campaign.is_automatic,
            "later": campaign.send_time is not None and campaign.send_time > timezone.now(),
            "quiet": quiet_hours(rule) if rule.is_quiet(timezone.now()) else "",
            "form": form,
            "media": ordered(self.media + form.media),
            "try_url": self._url("try", campaign.pk),
            "back": self._url("change", campaign.pk),
        }
        return self.page(request, "sales/recipients.html", context)

    def _confirm(self, request, campaign):
        try:
            campaign = sms.confirm(campaign, by=request.user)
        except (sms.SmsError, TransitionRefused) as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            words = (
                "已启动" if campaign.is_automatic else "已排期" if campaign.started_at is None else "已开始在后台发送"
            )
            self.message_user(request, f"“{campaign}”{words}。", messages.SUCCESS)
        return HttpResponseRedirect(self._url("change", campaign.pk))

    def try_view(self, request, object_id):
        campaign = self._sendable(request, object_id)
        if request.method != "POST":
            raise Http404
        phone = request.POST.get("phone", "")
        try:
            outcome = sms.try_out(campaign, phone, by=request.user)
        except sms.SmsError as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            if outcome.result == gateways.SENT:
                self.message_user(request, f"已试发到 {phone}，请查看手机。", messages.SUCCESS)
            else:
                self.message_user(request, f"试发没有成功：{outcome.error or '结果未知'}", messages.ERROR)
        return HttpResponseRedirect(self._url("recipients", campaign.pk))
