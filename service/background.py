"""Periodic work of the service room: targets of work orders, the churn scan."""

from django.utils import timezone

from crm.jobs import periodic
from service.services import retention, watch

CHUNK = 100


@periodic("service.watch", title="工单时限提醒与升级", minutes=10, preview=watch.preview)
def watch_targets(run):
    """Warn of targets that are near and escalate missed ones, each once."""
    now, warned, late = timezone.now(), 0, 0
    while orders := list(watch.near(now)[: watch.CHUNK]):
        with run.chunk(done=run.done + len(orders)):
            warned += watch.warn(orders, now)
    while orders := list(watch.missed(now)[: watch.CHUNK]):
        with run.chunk(done=run.done + len(orders)):
            late += watch.escalate(orders, now)
    return {"message": f"提醒 {warned} 张，升级 {late} 张"}


@periodic("service.churn", title="客户流失扫描", daily="02:20", preview=retention.preview)
def scan_churn(run):
    """Settle what came back, then warn, range by range; a second run on the same day finds nothing new."""
    today = timezone.localdate()
    state = {"recovered": 0, "back": 0, "after": 0, "found": 0} | run.checkpoint
    while losses := list(retention.recovered().filter(pk__gt=state["recovered"])[:CHUNK]):
        state |= {"recovered": losses[-1].pk, "back": state["back"] + len(losses)}
        with run.chunk(checkpoint=dict(state)):
            for loss in sorted(losses, key=lambda loss: loss.customer_id):
                retention.recover(loss)
    scan, last = retention.Scan(today), retention.last_key()
    while state["after"] < last and not scan.is_idle:
        until = min(state["after"] + retention.SPAN, last)
        with run.chunk(done=until, total=last):
            state |= {"found": state["found"] + retention.record(scan.find(state["after"], until), today)}
            state |= {"after": until}
            run.checkpoint = dict(state)
    with run.chunk():
        people = retention.tell_owners(today)
    return {"message": f"新预警 {state['found']} 个客户，挽回 {state['back']} 个，通知 {people} 人"}
