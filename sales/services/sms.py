"""What is done with text messages: start, schedule, try out, opt out, and what the provider tells later."""

from datetime import timedelta

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from crm import actor, audit, jobs, records, text, transitions
from crm.models import Operation
from crm.policies import policy_for
from customers.models import Customer
from sales import sms
from sales.models import (
    CampaignStatus,
    DeliveryState,
    OptOutSource,
    SkipReason,
    SmsCampaign,
    SmsDelivery,
    SmsOptOut,
    SmsRule,
    TemplateType,
)
from sales.services import sms_audience, sms_sending
from sales.sms import text as wording

STOP_WORDS = ("R", "T", "TD", "N", "退订", "拒收", "取消")
UNCERTAIN_FOR = timedelta(days=3)  # so long a provider's report may take


class SmsError(ValueError):
    """What was asked for makes no sense now; the message says why and what to do."""


def confirm(campaign, *, by) -> SmsCampaign:
    """Send ``campaign`` at its time, or now when that is past or not given; ``by`` is its sender from now on.

    Raises PermissionDenied, SmsError, TransitionRefused.
    """
    if problem := hindrance(campaign):
        raise SmsError(problem)
    later = campaign.send_time is not None and campaign.send_time > timezone.now()
    return transitions.run(campaign, "schedule" if later else "start", by=by, sender=by)


def hindrance(campaign) -> str:
    """What has to be put right before ``campaign`` can be sent; empty: nothing."""
    template = campaign.template
    if not template.is_active or not template.is_valid:
        return f"短信模板“{template}”已停用，请换一个模板。"
    if sms.gateway().needs_template and not template.provider_code:
        return f"短信模板“{template}”没有填写平台模板编号，短信平台不接受。"
    if not (campaign.is_automatic or has_conditions(campaign)):
        return "请至少选择一个收件条件；要发给全部客户，请勾选全部客户阶段。"
    return ""


def has_conditions(campaign) -> bool:
    plain = (campaign.stages, campaign.deals, campaign.level_id, campaign.industry_id, campaign.area_id)
    return any(plain) or bool(campaign.idle_days) or campaign.tags.exists() or campaign.categories.exists()


def follow(campaign, name, by) -> None:
    """After a transition: sending goes on in the background, a cancelled campaign sends nothing more."""
    if not isinstance(campaign, SmsCampaign):
        return
    if campaign.status == CampaignStatus.SENDING and not campaign.is_automatic:
        work(campaign)
    elif campaign.status == CampaignStatus.CANCELLED:
        waiting = campaign.deliveries.filter(state=DeliveryState.PENDING)
        waiting.update(state=DeliveryState.SKIPPED, skip_reason=SkipReason.CANCELLED)


def dispatch(run) -> str:
    """Start what is due, look who entered the stages of automatic campaigns, go on with what was left.

    Gives what was done. A campaign whose sender may not send any more is paused.
    """
    for campaign in due():
        with run.chunk():
            transitions.run(campaign, "start", by=None, sender=campaign.sender)
    for campaign in (
        SmsCampaign.objects.valid().filter(status=CampaignStatus.SENDING).select_related("sender", "template")
    ):
        if problem := sms_sending.obstacle(campaign):
            with run.chunk():
                sms_sending.halt(campaign, problem)
            continue
        if campaign.is_automatic:
            run.done += sms_sending.enroll_entered(run, campaign)
        quiet = sms_audience.rule_of(campaign).is_quiet(timezone.now())
        if not quiet and (campaign.enrolled_at is None or unfinished(campaign).exists()):
            with run.chunk():
                work(campaign)
    return f"自动活动新增 {run.done} 个收件人"


def due():
    """Campaigns whose time has come."""
    waiting = SmsCampaign.objects.valid().filter(status=CampaignStatus.SCHEDULED, send_time__lte=timezone.now())
    return waiting.select_related("sender").order_by("send_time", "pk")


def unfinished(campaign):
    return campaign.deliveries.filter(state__in=[DeliveryState.PENDING, DeliveryState.SENDING])


def preview_dispatch() -> list[str]:
    """What a run would do now."""
    going = SmsCampaign.objects.valid().filter(status=CampaignStatus.SENDING).order_by("pk")
    return [f"开始发送：{campaign}" for campaign in due()] + [
        f"{'检查' if campaign.is_automatic else '继续发送'}：{campaign}，待发送 {unfinished(campaign).count()} 条"
        for campaign in going
    ]


def work(campaign):
    """The job that sends ``campaign``: one at a time, its progress shown to the sender."""
    return jobs.enqueue(
        "sms.send",
        by=campaign.sender,
        title=f"发送短信：{campaign}",
        params={"campaign": campaign.pk},
        link=reverse("admin:sales_smscampaign_change", args=[campaign.pk]),
        key=f"sms:{campaign.pk}",
    )


def try_out(campaign, phone, *, by) -> sms.Outcome:
    """Send the text of ``campaign`` to ``phone`` of a colleague, filled with its first recipient's or sample values.

    Counts nowhere but in the log. Raises PermissionDenied, SmsError.
    """
    if not policy_for(SmsCampaign).may(by, "send", campaign):
        raise PermissionDenied("没有发送短信活动的权限。")
    key = text.phone_key(phone)
    if not sms_audience.is_mobile(key):
        raise SmsError("请填写国内手机号。")
    values = {variable.key: variable.sample for variable in wording.VARIABLES}
    if customers := sms_audience.page(sms_audience.audience(campaign, by), 0)[:1]:
        first = sms_audience.address(customers, by)[0]
        values |= {name: value for name, value in sms_audience.values_of(first).items() if value}
    template, delivery = campaign.template, SmsDelivery(campaign=campaign)
    message = sms.Message(
        phone=key,
        content=wording.signed(template.signature, wording.fill(template.content, values)),
        out_id=delivery.out_id.hex,
        signature=template.signature,
        template=template.provider_code,
        parameters=tuple(values[variable.key] for variable in wording.variables(template.content)),
    )
    outcome = sms.gateway().send(message)
    words = f"试发到 {text.mask_phone(phone)}：{'成功' if outcome.result == sms.SENT else outcome.error or '结果未知'}"
    with actor.acting(by):
        audit.record(campaign, Operation.UPDATE, {}, remark=words[:255])
    return outcome


# --- Opting out ------------------------------------------------------------------------------------------------------


def opt_out(phone, *, source, at=None, by=None) -> SmsOptOut | None:
    """Send ``phone`` no more messages; None when it gets none already."""
    with transaction.atomic():
        key = text.phone_key(phone)
        if not key or SmsOptOut._base_manager.select_for_update().filter(phone_key=key).exists():
            return None
        return records.save(SmsOptOut(phone=phone, source=source, noted_at=at or timezone.now()), by=by)


# --- What the provider tells later -----------------------------------------------------------------------------------


def collect() -> dict[str, int]:
    """Take over reports and replies, and ask again about what is uncertain; gives how many of each."""
    gateway, counts = sms.gateway(), {"reports": 0, "opt_outs": 0, "settled": 0}
    while reports := gateway.reports():
        counts["reports"] += sum(_report(report) for report in reports)
    while replies := gateway.replies():
        stops = [reply for reply in replies if reply.content.strip().upper() in STOP_WORDS]
        counts["opt_outs"] += sum(
            opt_out(reply.phone, source=OptOutSource.REPLY, at=reply.at) is not None for reply in stops
        )
    since = timezone.now() - UNCERTAIN_FOR
    uncertain = SmsDelivery.objects.filter(state=DeliveryState.UNKNOWN, tried_at__gt=since)
    counts["settled"] = sms_sending.ask(uncertain)
    return counts


def preview_collect() -> list[str]:
    """What is uncertain now; what the provider has to tell nobody knows beforehand."""
    uncertain = SmsDelivery.objects.filter(state=DeliveryState.UNKNOWN, tried_at__gt=timezone.now() - UNCERTAIN_FOR)
    return [f"核对 {uncertain.count()} 条结果未知的短信，并收取回执和退订回复"]


def _report(report) -> int:
    rows = SmsDelivery.objects.filter(provider_number=report.number, state=DeliveryState.SENT)
    if report.arrived:
        return rows.filter(arrived_at=None).update(arrived_at=report.at)
    return rows.update(state=DeliveryState.FAILED, error=report.error[:255])


# --- A new installation ----------------------------------------------------------------------------------------------


def load_rules() -> None:
    """A rule for each type of message; what users changed stays."""
    from datetime import time

    quiet = {"quiet_from": time(21), "quiet_until": time(8)}
    shipped = {TemplateType.MARKETING: {"cap_count": 2, "cap_days": 30, **quiet}, TemplateType.NOTICE: quiet}
    known = set(SmsRule.objects.values_list("type", flat=True))
    for kind, values in shipped.items():
        if kind not in known:
            SmsRule.objects.create(type=kind, **values)


# --- On the customer -------------------------------------------------------------------------------------------------


def went_to(customer: Customer, user, most) -> list[SmsDelivery]:
    """The newest messages that ``customer`` got, as far as ``user`` may see them."""
    rows = policy_for(SmsDelivery).visible_to(user).filter(customer=customer, tried_at__isnull=False)
    return list(rows.select_related("campaign__sender").order_by("-tried_at")[:most])


def go_with(former, new, ids=None) -> list[int]:
    """The messages of customer ``former`` are those of ``new``: provider of ``JOURNALS`` of merged customers.

    Where both got one of the same campaign, each keeps its own. Gives the ids of those that moved.
    """
    rows = SmsDelivery.objects.select_for_update().filter(customer=former)
    rows = (rows if ids is None else rows.filter(pk__in=ids)).values_list("pk", "campaign", "occasion")
    known = set(SmsDelivery.objects.filter(customer=new).values_list("campaign", "occasion"))
    moved = [pk for pk, *same in rows if tuple(same) not in known]
    SmsDelivery.objects.filter(pk__in=moved).update(customer=new)
    return moved
