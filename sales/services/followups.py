"""Follow-ups: what becomes of them when a lead becomes a customer."""

from sales.models.followups import settle


def carry_over(lead, customer, *, by):
    """At a conversion the customer takes over when the lead was last followed up and what is due next."""
    settle("customer_id", [customer])
