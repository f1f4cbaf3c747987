"""What tracking does by itself: delivering, counting and alerting, clearing."""

from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.utils import timezone

from crm.jobs import periodic
from customers.tracking.models import ApiCall, Delivery, Reply, Trace, UsedNonce
from customers.tracking.services import alerts, counting, delivery, lookup, signing

CHUNK = 5000
# what is counted late (after a long stop, the first time) is history, no alarm
ALERT_WITHIN = timedelta(days=1)


def _outbox() -> list[str]:
    return [f"{state} {count:,} 条" for state, count in delivery.waiting().items()] or ["没有待送的操作记录"]


@periodic("tracking.deliver", title="送达操作记录", minutes=1, preview=_outbox)
def deliver(run):
    """What waits goes to the wechat database; when it does not answer, the next run tries again."""
    sent, last = 0, 0
    try:
        if lookup.is_paused():
            raise lookup.Unavailable("刚刚没有响应")
        found = delivery.shape()
        delivery.release_held(found)
        while True:
            with run.chunk(done=sent):
                answer = delivery.deliver_batch(found, after=last)
            if answer is None:
                break
            sent, last = sent + answer[0], answer[1]
    except lookup.Unavailable as error:
        return {"message": f"企业微信库没有响应（{error}），已送 {sent} 条，其余下次再送"}
    return {"message": f"已送 {sent} 条"}


def _uncounted() -> list[str]:
    until = counting.counted_until()
    return [f"已统计至 {timezone.localtime(until):%Y-%m-%d %H:%M}" if until else "还没有统计过"]


@periodic("tracking.count", title="统计操作记录并检查告警", minutes=5, preview=_uncounted)
def count(run):
    now, first = timezone.now(), counting.start()
    hour, day, made = first, first, 0
    while hour is not None:
        with run.chunk(message=f"统计 {timezone.localtime(hour):%Y-%m-%d}"):
            hour = counting.count_from(hour, now)
    while day is not None:
        with run.chunk():
            day = counting.count_stale_day()
    with run.chunk():
        made = alerts.raise_alerts(max(first, now - ALERT_WITHIN))
    return {"message": f"统计至 {timezone.localtime(now):%H:%M}，新告警 {made} 条"}


def expired():
    """``[(rows, what they are)]`` that need not be kept any longer; a trace that was not delivered yet stays."""
    now = timezone.now()
    kept = now - timedelta(days=settings.TRACE_DAYS)
    settled = (Delivery.DELIVERED, Delivery.UNKNOWN, Delivery.LOCAL)
    return [
        (Trace.objects.filter(operated_at__lt=kept, delivery__in=settled), "条操作记录"),
        (ApiCall.objects.filter(called_at__lt=kept), "条接口调用日志"),
        (UsedNonce.objects.filter(used_at__lt=now - 2 * signing.SKEW), "个用过的随机数"),
        (Reply.objects.filter(created_at__lt=now - signing.REPLY_KEPT), "个幂等答复"),
    ]


@periodic(
    "tracking.clear",
    title="清理过期的操作记录",
    daily="03:40",
    preview=lambda: [f"{rows.count():,} {what}" for rows, what in expired()],
)
def clear(run):
    for rows, _ in expired():
        while keys := list(rows.order_by("pk").values_list("pk", flat=True)[:CHUNK]):
            with run.chunk(done=run.done + len(keys)):
                rows.model._base_manager.filter(pk__in=keys)._raw_delete(connection.alias)
    return {"message": f"清理了 {run.done} 行"}
