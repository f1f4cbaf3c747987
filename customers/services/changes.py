"""客户变更: an approved customer changes only by an approved request, or by those with the right to revise it.

Source: eplus ``changeFlag``, ``changeStatus``, ``ver`` and ``getChangeEffect``.
"""

from crm import approvals
from crm.approvals import Effect
from crm.policies import policy_for
from crm.registries import Registry
from customers.models import ChangeStatus, Customer, ReviewStatus

UNDER_CONTROL = (ReviewStatus.APPROVED, ReviewStatus.SUSPENDED)
CHANGE, CREDIT, PATH = "customer.change", "customer.credit", "customer.path"
CHANGES = (CHANGE, CREDIT, PATH)

# 变更影响: what a request about a customer affects, ``provider(customer, values, user) -> [Effect]``;
# upper apps add the documents they know of
EFFECTS = Registry("effects of a request about a customer")


def is_controlled(review_status, user) -> bool:
    """Whether ``user`` must ask before customers in this review status change."""
    return review_status in UNDER_CONTROL and not policy_for(Customer).allows(user, "revise")


def mark(customer, status) -> None:
    """Note how the last change ended, unless another one is still open; no version, no lost update."""
    still_open = approvals.pending_about(customer).filter(kind__in=CHANGES).exists()
    customer.change_status = ChangeStatus.PENDING if still_open else status
    customer.save(update_fields=["change_status"])


def other_requests(customer, values, user) -> list[Effect]:
    """What else waits for approval about the same customer."""
    return [
        Effect(str(other), text=f"{other.applicant}提交", link=approvals.link(other))
        for other in approvals.pending_about(customer).select_related("applicant")
        if other.values != values
    ]


EFFECTS.add("approvals", other_requests)
