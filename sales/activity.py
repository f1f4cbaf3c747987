"""Follow-ups on the pages of customers and leads."""

from django.utils import timezone

from crm.policies import policy_for
from customers.activity import MOST, Event, buttons_for, change_url, context
from sales.models import FollowUp
from sales.models.followups import of_customers


def _events(rows, user, most):
    visible = policy_for(FollowUp).visible_to(user).filter(pk__in=rows.values("pk"))
    found = visible.select_related("type", "author").order_by("-time", "-id")[:most]
    return [
        Event(
            time=row.time,
            kind="跟进" if row.customer_id else "线索跟进",
            icon="history_edu",
            link=change_url(row),
            text=row.content,
            facts=(str(row.type),) if row.type else (),
            by=row.author,
            next=_next(row),
        )
        for row in found
    ]


def _next(row) -> str:
    return f"{timezone.localtime(row.next_time):%Y-%m-%d %H:%M} {row.next_content}".strip() if row.next_time else ""


def of_customer(customer, user, most):
    return _events(of_customers([customer.pk]), user, most)


def of_lead(lead, user) -> dict:
    """The panel on the lead's page."""
    rows = FollowUp.objects.valid().filter(lead=lead)
    return context(_events(rows, user, MOST), buttons_for(FollowUp, lead, "lead", user, "写跟进", "history_edu"))


def customer_buttons(customer, user):
    return buttons_for(FollowUp, customer, "customer", user, "写跟进", "history_edu")


def row_link():
    return FollowUp, "写跟进"
