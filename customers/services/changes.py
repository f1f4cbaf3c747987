"""客户变更: an approved customer changes only by an approved request, or by those with the right to revise it.

Source: eplus ``changeFlag``, ``changeStatus``, ``ver`` and ``getChangeEffect``.
"""

from crm import approvals
from crm.policies import policy_for
from customers.models import ChangeStatus, Customer, ReviewStatus

UNDER_CONTROL = (ReviewStatus.APPROVED, ReviewStatus.SUSPENDED)
CHANGE, CREDIT, PATH = "customer.change", "customer.credit", "customer.path"
CHANGES = (CHANGE, CREDIT, PATH)


def is_controlled(review_status, user) -> bool:
    """Whether ``user`` must ask before customers in this review status change."""
    return review_status in UNDER_CONTROL and not policy_for(Customer).allows(user, "revise")


def mark(customer, status) -> None:
    """Note how the last change ended, unless another one is still open; no version, no lost update."""
    still_open = approvals.pending_about(customer).filter(kind__in=CHANGES).exists()
    customer.change_status = ChangeStatus.PENDING if still_open else status
    customer.save(update_fields=["change_status"])
