"""Long work of the customer room."""

from django.core.exceptions import PermissionDenied
from django.utils import timezone

from crm import transitions
from crm.jobs import handler, periodic
from customers.models import Customer, RecycleBatch
from customers.services import recycling
from customers.services.rulebook import Rulebook

CHUNK = 100


@handler("customers.approve", title="批量审核客户")
def approve(run):
    """Approve the customers in ``ids`` one by one, by the rules of the button; gives how many were and were not."""
    ids = run.job.params["ids"]
    counts = run.checkpoint or {"at": 0, "approved": 0, "refused": 0}
    while chosen := ids[counts["at"] : counts["at"] + CHUNK]:
        result = dict(counts, at=counts["at"] + len(chosen))
        with run.chunk(done=result["at"], checkpoint=result, message=f"已处理 {result['at']} 个"):
            for customer in Customer.objects.valid().filter(pk__in=chosen).order_by("pk"):
                try:
                    transitions.run(customer, "approve", by=run.user)
                    result["approved"] += 1
                except (transitions.TransitionRefused, PermissionDenied):
                    result["refused"] += 1
        counts = result
    return {"approved": counts["approved"], "refused": counts["refused"]}


@periodic("customers.recycle", title="公海回收与预警", daily="01:30", preview=recycling.preview)
def recycle(run):
    """Take what is due, in chunks that commit with the batch; then warn of what is next."""
    today, last, batch = timezone.localdate(), run.checkpoint.get("last", 0), None
    if "batch" in run.checkpoint:
        batch = RecycleBatch.objects.get(pk=run.checkpoint["batch"])
    while ids := list(Rulebook().due(today).filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:CHUNK]):
        with run.chunk():
            batch = batch or RecycleBatch.objects.create(day=today)
            run.done += recycling.recycle(ids, batch, today)
            last = ids[-1]
            run.checkpoint = {"batch": batch.pk, "last": last}
    with run.chunk():
        warned = recycling.warn(today)
    return {"message": f"回收了 {run.done} 个客户，预警 {warned} 个"}


@handler("customers.recycle_undo", title="撤销公海回收")
def undo_recycling(run):
    """Give the customers of a batch back, each to whom it was taken from."""
    batch, counts = RecycleBatch.objects.get(pk=run.job.params["batch"]), run.checkpoint
    counts = counts or {"last": 0, "restored": 0, "kept": 0}
    while periods := list(recycling.periods_of(batch).filter(pk__gt=counts["last"])[:CHUNK]):
        result = dict(counts, last=periods[-1].pk)
        with run.chunk(done=run.done + len(periods), checkpoint=result):
            for period in sorted(periods, key=lambda period: period.customer_id):
                result["restored" if recycling.restore(period) else "kept"] += 1
        counts = result
    kept = f"；{counts['kept']} 个已被认领、分配或原负责人已停用，没有改动" if counts["kept"] else ""
    return {"message": f"已恢复 {counts['restored']} 个客户的负责人和协作人{kept}"}
