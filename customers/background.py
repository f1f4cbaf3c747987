"""Long work of the customer room."""

from django.core.exceptions import PermissionDenied

from crm import transitions
from crm.jobs import handler
from customers.models import Customer

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
