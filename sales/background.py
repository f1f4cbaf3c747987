"""Long and periodic work of the sales room."""

from django.utils import timezone

from crm.exchange import money
from crm.jobs import handler, periodic
from crm.notifications import notify
from customers.activity import change_url
from sales.models import PaymentPlan
from sales.services import contracts, quotations, sms, sms_sending

EVERY = 7  # days between two reminders of the same instalment
CHUNK = 100


def overdue():
    """Overdue instalments whose contract has an owner, the longest overdue first."""
    rows = PaymentPlan.objects.overdue().exclude(contract__owner=None)
    return rows.select_related("contract__owner", "contract__customer").order_by("date", "pk")


def preview() -> list[str]:
    return [f"{plan.contract.owner}：{_title(plan)}" for plan in overdue()]


@periodic("payments.overdue", title="催收逾期回款", daily="08:40", preview=preview)
def remind_overdue(run):
    """Remind the owner of each overdue instalment on its first day and every week from then on."""
    late, told = list(overdue()), 0
    for start in range(0, len(late), CHUNK):
        chunk = late[start : start + CHUNK]
        with run.chunk(done=start + len(chunk)):
            told += sum(
                notify(
                    [plan.contract.owner],
                    title=_title(plan)[:200],
                    body="，".join(filter(None, [str(plan), plan.term])),
                    key=f"overdue:{plan.pk}:{plan.date:%Y%m%d}:{(_days(plan) - 1) // EVERY}",
                    link=change_url(plan),
                    level="warning",
                    email=True,
                )
                for plan in chunk
            )
    return {"message": f"发出 {told} 条催收提醒"}


def _days(plan) -> int:
    return (timezone.localdate() - plan.date).days


def _title(plan) -> str:
    return f"{plan.contract.customer}的回款逾期 {_days(plan)} 天：{money(plan.open_amount, plan.contract.currency)}"


@handler("sms.send", title="发送短信")
def send(run):
    return {"message": sms_sending.send(run)}


@periodic("sms.dispatch", title="短信活动定时、自动与续发", minutes=5, preview=sms.preview_dispatch)
def dispatch(run):
    return {"message": sms.dispatch(run)}


@periodic("sms.collect", title="收取短信回执与退订", minutes=10, preview=sms.preview_collect)
def collect(run):
    """What the provider hands out it forgets: each page is stored at once, not when the job ends."""
    counts = sms.collect()
    return {
        "message": f"回执 {counts['reports']} 条，退订 {counts['opt_outs']} 个，弄清结果未知的 {counts['settled']} 条"
    }


@periodic("quotations.expire", title="报价单过期", daily="00:20", preview=quotations.preview)
def expire_quotations(run):
    """Offers whose last day has passed without an answer expire; missed nights are caught up."""
    while ids := list(quotations.late().order_by("pk").values_list("pk", flat=True)[:CHUNK]):
        with run.chunk():
            done = quotations.expire(ids)
            run.done += done
        if not done:
            break
    return {"message": f"{run.done} 张报价单过期"}


@periodic("contracts.expiring", title="合同到期提醒", daily="08:30", preview=contracts.preview)
def warn_of_ends(run):
    """Tell owners once that a contract ends within the days of warning."""
    ids, told = list(contracts.expiring().order_by("pk").values_list("pk", flat=True)), 0
    for start in range(0, len(ids), CHUNK):
        chunk = ids[start : start + CHUNK]
        with run.chunk(done=start + len(chunk)):
            told += contracts.warn(chunk)
    return {"message": f"发出 {told} 条到期提醒"}
