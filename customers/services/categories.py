"""Categories of customers: their names, the terms they bring, and what roles limited to them reach."""

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal

from crm.models import DictionaryItem
from customers.models import Customer, CustomerCategory, RoleCategory


def category_names(ids) -> dict[int, str]:
    """``{id: name}`` of those of ``ids`` that exist, in one query. Source: eplus ``getCategoryNameMap``."""
    return dict(CustomerCategory.objects.filter(pk__in=set(ids)).values_list("pk", "name"))


@dataclass(frozen=True)
class Terms:
    """What a category gives its customers by default, blanks filled from above."""

    category: CustomerCategory
    credit_amount: Decimal | None
    credit_currency: str
    payment_days: int | None
    service_level: DictionaryItem | None


def terms(customer) -> list[Terms]:
    """The default terms of each category of ``customer``, in the order of the categories; two queries."""
    nodes = {node.pk: node for node in CustomerCategory.objects.valid().select_related("service_level")}
    own = customer.categories.order_by("sort", "pk").values_list("pk", flat=True)
    return [_terms(nodes[pk], nodes) for pk in own if pk in nodes]


def _terms(node, nodes) -> Terms:
    line, seen = [], set()
    above = node
    while above is not None and above.pk not in seen:
        seen.add(above.pk)
        line.append(above)
        above = nodes.get(above.parent_id)
    credit = next((one for one in line if one.credit_amount is not None), node)
    return Terms(
        category=node,
        credit_amount=credit.credit_amount,
        credit_currency=credit.credit_currency,
        payment_days=next((one.payment_days for one in line if one.payment_days is not None), None),
        service_level=next((one.service_level for one in line if one.service_level is not None), None),
    )


def subtree(ids) -> set[int]:
    """``ids`` and everything below them; one query."""
    return set().union(*subtrees(ids).values())


def subtrees(ids) -> dict[int, set[int]]:
    """``{id: itself and everything below it}`` of each of ``ids``; one query."""
    children = defaultdict(list)
    for pk, parent in CustomerCategory.objects.valid().values_list("pk", "parent_id") if ids else ():
        children[parent].append(pk)
    return {pk: _below(pk, children) for pk in ids}


def _below(top, children) -> set[int]:
    found, waiting = set(), [top]
    while waiting:
        pk = waiting.pop()
        if pk not in found:
            found.add(pk)
            waiting += children[pk]
    return found


def limits_of_roles(model, roles) -> dict | None:
    """Provider of ``crm.policies.ROW_LIMITS``: ids of the customers in the categories that each role is limited to."""
    if model is not Customer:
        return None
    chosen = defaultdict(set)
    for role, category in RoleCategory.objects.valid().filter(role__in=roles).values_list("role_id", "category_id"):
        chosen[role].add(category)
    through = Customer.categories.through.objects
    return {
        role: through.filter(customercategory_id__in=subtree(categories)).values("customer_id")
        for role, categories in chosen.items()
    }
