"""Sending a campaign so that nobody gets it twice, whenever the process dies (``docs/sms.md``).

A delivery is a row before it is a message. Rows are enrolled in chunks that commit with the progress; they are judged
in batches under the lock of the rule, so that two campaigns cannot both use the last message a number may get; each is
claimed by one conditional UPDATE (待发送 → 发送中) right before the gateway is called and gets its outcome right after.
What is found 发送中 with nobody at work on it may or may not have gone out: the gateway is asked, and what it cannot
tell becomes 结果未知 and is never sent again.
"""

import logging
from datetime import timedelta

from django.conf import settings
from django.db.models import Count, Q
from django.utils import timezone

from crm import actor, transitions
from crm.models import Operation
from crm.policies import policy_for
from sales import sms
from sales.models import CampaignStatus, DeliveryState, SkipReason, SmsCampaign, SmsDelivery, SmsRule
from sales.services import sms_audience

logger = logging.getLogger(__name__)

BATCH = 100
ATTEMPTS = 3
GIVE_UP_AFTER = 5  # refusals in a row, after which the gateway is taken to be out of order
State = DeliveryState


def settle_time() -> timedelta:
    return timedelta(seconds=settings.SMS_SETTLE_SECONDS)


def send(run) -> str:
    """Send what is due of the campaign of this job; gives what there is to say. Raises what ``run.chunk`` raises."""
    campaign = _campaign(run.job.params["campaign"])
    problem = obstacle(campaign)
    if problem:
        return halt(campaign, problem) if campaign.status == CampaignStatus.SENDING else problem
    if not campaign.is_automatic:
        _enroll_audience(run, campaign)
    settle(campaign)
    run.total = campaign.deliveries.count()
    if problem := _deliver(run, campaign):
        return problem
    settle(campaign)
    return _finish(run, campaign)


def obstacle(campaign) -> str:
    """Why nothing of ``campaign`` may go out at all; empty: nothing speaks against it."""
    if campaign.status != CampaignStatus.SENDING:
        return f"短信活动{campaign.get_status_display()}，没有发送。"
    sender = campaign.sender
    if not sender.is_active:
        return f"发送人“{sender}”的账号已停用，请由其他同事另建活动。"
    if not policy_for(SmsCampaign).allows(sender, "send"):
        return f"发送人“{sender}”已没有发送短信活动的权限，请由其他同事另建活动。"
    return ""


def halt(campaign, problem) -> str:
    """Pause ``campaign`` because of ``problem``; gives it."""
    transitions.run(campaign, "pause", by=None, reason=problem[:255])
    return problem


def _campaign(pk) -> SmsCampaign:
    return SmsCampaign.objects.select_related("template", "sender").get(pk=pk)


# --- Enrolling -------------------------------------------------------------------------------------------------------


def _enroll_audience(run, campaign):
    """A row for each customer of the audience, once; what was enrolled before a break stays."""
    while campaign.enrolled_at is None:
        with run.chunk(message="正在生成收件人名单"):
            rows = sms_audience.audience(campaign, campaign.sender)
            if customers := sms_audience.page(rows, campaign.enrolled_to):
                enroll(campaign, customers)
                campaign.enrolled_to = customers[-1].pk
            else:
                campaign.enrolled_at = timezone.now()
            campaign.save(update_fields=["enrolled_to", "enrolled_at"])


def enroll(campaign, customers, occasion_of=lambda customer: "") -> int:
    """Rows of those ``customers`` that have none for their occasion; gives how many. Runs in a transaction."""
    recipients = sms_audience.address(customers, campaign.sender)
    ids, keys = [r.customer.pk for r in recipients], [r.phone_key for r in recipients if r.phone_key]
    known = campaign.deliveries.filter(Q(customer__in=ids) | Q(phone_key__in=keys))
    known = list(known.values_list("customer_id", "phone_key", "occasion"))
    there, numbers = {(pk, day) for pk, _, day in known}, {(key, day) for _, key, day in known if key}
    rows = []
    for recipient in recipients:
        day = occasion_of(recipient.customer)
        if (recipient.customer.pk, day) in there:
            continue
        if not recipient.reason and (recipient.phone_key, day) in numbers:
            recipient.phone_key, recipient.reason = "", SkipReason.DUPLICATE
        numbers.add((recipient.phone_key, day))
        rows.append(
            SmsDelivery(
                campaign=campaign,
                customer=recipient.customer,
                contact=recipient.contact,
                occasion=day,
                phone=recipient.phone,
                phone_key=recipient.phone_key or None,
                state=State.SKIPPED if recipient.reason else State.PENDING,
                skip_reason=recipient.reason,
            )
        )
    SmsDelivery.objects.bulk_create(rows)
    return len(rows)


def enroll_entered(run, campaign) -> int:
    """Rows of the customers that entered the stage of an automatic ``campaign``; gives how many."""
    now, last, count = timezone.now(), 0, 0
    while True:
        with run.chunk():
            customers = sms_audience.page(sms_audience.entered(campaign, campaign.sender, now), last)
            if not customers:
                campaign.enrolled_at = now
                campaign.save(update_fields=["enrolled_at"])
                return count
            count += enroll(campaign, customers, lambda one: f"{timezone.localdate(one.stage_since):%Y-%m-%d}")
            last = customers[-1].pk


# --- Delivering ------------------------------------------------------------------------------------------------------


def _deliver(run, campaign) -> str:
    """Send what waits; gives why it stopped before the end, if it did."""
    gateway, refusals = sms.gateway(), 0
    if gateway.needs_template and not campaign.template.provider_code:
        return halt(campaign, "短信模板没有填写平台模板编号，短信平台不接受。")
    while True:
        campaign = _campaign(campaign.pk)
        if campaign.status != CampaignStatus.SENDING:
            return f"短信活动{campaign.get_status_display()}，其余的没有发送。"
        if sms_audience.rule_of(campaign).is_quiet(timezone.now()):
            return "已到免打扰时段，其余的到时自动继续发送。"
        left = campaign.deliveries.filter(state=State.PENDING).count()
        with run.chunk(done=run.total - left, message=f"还有 {left} 条待发送"):
            batch, more = _judge_batch(campaign)
        if not more:
            return ""
        for delivery in batch:
            run.beat()
            outcome = _send_one(gateway, campaign, delivery)
            refusals = refusals + 1 if outcome is not None and outcome.result == sms.RETRY else 0
            if refusals >= GIVE_UP_AFTER:
                return halt(campaign, f"短信平台连续拒绝，已暂停：{outcome.error}")


def _judge_batch(campaign) -> tuple[list[SmsDelivery], bool]:
    """The next rows that may go out, with their text, and whether there were any to judge. Runs in a transaction."""
    _hold_rule(campaign)
    waiting = campaign.deliveries.select_for_update().filter(state=State.PENDING)
    deliveries = list(waiting.select_related("contact").order_by("attempts", "pk")[:BATCH])
    now = timezone.now()
    visible = sms_audience.within_reach(campaign.sender).filter(pk__in=[one.customer_id for one in deliveries])
    customers = {customer.pk: customer for customer in visible.select_related("owner__company")}
    recipients = [_recipient(campaign, one, customers.get(one.customer_id)) for one in deliveries]
    sms_audience.judge(campaign, recipients, now=now, own=[one.pk for one in deliveries])
    going = []
    for delivery, recipient in zip(deliveries, recipients, strict=True):
        delivery.judged_at = now
        if recipient.reason:
            delivery.state, delivery.skip_reason = State.SKIPPED, recipient.reason
            delivery.error = recipient.missing
        else:
            delivery.content, delivery.parameters = recipient.content, recipient.parameters(campaign)
            going.append(delivery)
    SmsDelivery.objects.bulk_update(deliveries, ["state", "skip_reason", "error", "judged_at"], batch_size=BATCH)
    return going, bool(deliveries)


def _hold_rule(campaign):
    """Others that count the messages of a number wait until this transaction is over."""
    list(SmsRule.objects.select_for_update().filter(type=campaign.template.type))


def _recipient(campaign, delivery, customer):
    recipient = sms_audience.Recipient(customer, delivery.contact, delivery.phone, delivery.phone_key)
    if customer is None:
        recipient.reason = SkipReason.OUT_OF_REACH
    elif campaign.is_automatic and customer.stage != campaign.trigger_stage:
        recipient.reason = SkipReason.LEFT_STAGE
    return recipient


def _send_one(gateway, campaign, delivery) -> sms.Outcome | None:
    """Claim ``delivery``, send it, note what came of it; None when somebody else has it, or nobody wants it."""
    now = timezone.now()
    if not _claim(delivery, now):
        return None
    message = sms.Message(
        phone=delivery.phone_key,
        content=delivery.content,
        out_id=delivery.out_id.hex,
        signature=campaign.template.signature,
        template=campaign.template.provider_code,
        parameters=delivery.parameters,
        tried_at=now,
    )
    try:
        outcome = gateway.send(message)
    except Exception as error:
        logger.exception("短信 %s 的结果未知", delivery.pk)
        outcome = sms.Outcome(sms.UNKNOWN, error=f"{type(error).__name__}: {error}")
    note(delivery, outcome)
    return outcome


def _claim(delivery, now) -> bool:
    """Whether ``delivery`` is ours to send: it waits as it was judged, and now it does not any more."""
    mine = SmsDelivery.objects.filter(pk=delivery.pk, state=State.PENDING, judged_at=delivery.judged_at)
    return bool(mine.update(state=State.SENDING, tried_at=now, content=delivery.content))


def note(delivery, outcome) -> None:
    """Write what became of a claimed ``delivery``; an outcome that is known already stays."""
    states = {sms.SENT: State.SENT, sms.FAILED: State.FAILED, sms.UNKNOWN: State.UNKNOWN}
    values = {"error": outcome.error[:255], "provider_number": outcome.number[:64]}
    if outcome.result == sms.RETRY:
        values["attempts"] = delivery.attempts + 1
    if outcome.result == sms.RETRY and delivery.attempts + 1 >= ATTEMPTS:
        values["state"] = State.FAILED
    elif outcome.result in (sms.RETRY, sms.NOT_RECEIVED):
        values |= {"state": State.PENDING, "judged_at": None, "tried_at": None}
    else:
        values["state"] = states[outcome.result]
    SmsDelivery.objects.filter(pk=delivery.pk, state__in=[State.SENDING, State.UNKNOWN]).update(**values)


# --- What is uncertain -----------------------------------------------------------------------------------------------


def settle(campaign) -> None:
    """Ask the gateway about rows that somebody claimed and left; what it cannot tell is 结果未知 from now on.

    Rows claimed a moment ago are left alone: their message may still be on its way.
    """
    left = campaign.deliveries.filter(state=State.SENDING, tried_at__lt=timezone.now() - settle_time())
    ask(left, sms.Outcome(sms.UNKNOWN, error="发送时中断，短信平台无法确认是否收到；为免重复，不再发送。"))


def ask(deliveries, otherwise=None) -> int:
    """Note what the gateway knows of ``deliveries``, of others ``otherwise``; gives of how many it knew."""
    gateway, known = sms.gateway(), 0
    for delivery in deliveries.order_by("pk"):
        message = sms.Message(delivery.phone_key, delivery.content, delivery.out_id.hex, tried_at=delivery.tried_at)
        outcome = gateway.lookup(message)
        known += outcome is not None
        if outcome or otherwise:
            note(delivery, outcome or otherwise)
    return known


def _finish(run, campaign) -> str:
    """The campaign is done when nothing of it waits or is uncertain for the moment."""
    counts = counts_of([campaign.pk]).get(campaign.pk, {})
    summary = "，".join(f"{State(state).label} {count} 条" for state, count in counts.items() if count)
    if counts.get(State.PENDING) or counts.get(State.SENDING):
        return f"{summary}；其余的几分钟内自动继续"
    if not campaign.is_automatic:
        with run.chunk(done=run.total), actor.acting(None):
            stored = SmsCampaign._base_manager.select_for_update().get(pk=campaign.pk)
            if stored.status == CampaignStatus.SENDING:
                stored.finish()
                stored.save(operation=Operation.TRANSITION, remark=summary[:255] or "没有符合条件的收件人")
    return summary or "没有符合条件的收件人"


def counts_of(campaigns) -> dict[int, dict[str, int]]:
    """``{campaign: {state: how many}}``, derived from the deliveries by their index."""
    rows = SmsDelivery.objects.filter(campaign__in=campaigns).order_by().values_list("campaign", "state")
    found: dict = {}
    for campaign, state, count in rows.annotate(Count("pk")):
        found.setdefault(campaign, {})[state] = count
    return found
