"""What a customer may not do before it is approved. Source: dms ``customer_status``."""

from django.core.exceptions import ValidationError

from crm import approvals
from customers.models import Customer, ReviewStatus

REVIEW = "customer.review"


def require_usable(customer, what: str) -> None:
    """Refuse ``what`` (新建合同, 确认订单 …) for a customer that is not approved, suspended or switched off.

    Raises ValidationError.
    """
    if customer.review_status != ReviewStatus.APPROVED:
        raise ValidationError(
            f"客户“{customer}”{customer.get_review_status_display()}，不能{what}。请先让客户通过审核。"
        )
    if not customer.is_enabled:
        raise ValidationError(f"客户“{customer}”未启用，不能{what}。")


def submit_review(customer, *, by, reason="") -> object:
    """Ask for ``customer`` to be approved. Raises PermissionDenied, ApprovalRefused, ValidationError."""
    return approvals.submit(REVIEW, customer, by=by, values=review_values(customer), reason=reason)


def review_values(customer) -> dict:
    """What a reviewer looks at: who the customer is and where the money goes."""
    from crm import audit

    return {"fields": audit.state(customer, REVIEWED)}


REVIEWED = (
    "code",
    "name",
    "short_name",
    "kind",
    "country",
    "address",
    "phone",
    "email",
    "currency",
    "licence_no",
    "legal_representative",
    "registered_capital",
    "invoice_title",
    "tax_rate",
    "national_tax_no",
    "local_tax_no",
    "is_sinosure",
    "is_credit_enabled",
    "credit_rating",
)


def reviewed_directly(customer, transition, by) -> None:
    """Whoever reviews a customer by its button settles the request that waits for the same."""
    if isinstance(customer, Customer) and transition in ("approve", "reject"):
        approvals.supersede(customer, REVIEW, by=by, comment=f"客户已{customer.get_review_status_display()}")
