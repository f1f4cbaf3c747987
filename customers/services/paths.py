"""Which company path a customer's document runs through."""

from crm.models import CompanyPath
from customers.models import CustomerPath


def default_path(customer, scenario: str) -> CompanyPath | None:
    """The default path of ``customer`` in ``scenario`` (code of the dictionary 业务场景); None if he has none there."""
    rows = CustomerPath.objects.valid().filter(default_of=customer, scenario__code=scenario)
    found = rows.select_related("path").first()
    return found.path if found else None
