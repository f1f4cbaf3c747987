"""Who sees which work orders, besides the person they are assigned to, and what service staff see of a customer."""

from django.db.models import Q

from crm.policies import ChildPolicy, OwnedPolicy, ProjectionPolicy, policy_for
from customers.models import Customer
from service.models import OPEN, WorkOrder


class WorkOrderPolicy(OwnedPolicy):
    """The person in charge and whoever opened it by their grants; who sees a customer besides reads its work orders."""

    rights = OwnedPolicy.rights | {"process": "delete"}

    def within(self, user, scope, action, path=""):
        reach = super().within(user, scope, action, path)
        if action in ("view", "export"):
            customers = policy_for(Customer).extent(user, "view", f"{path}__customer" if path else "customer")
            if customers is not None:
                reach |= customers
        return reach


class ServedCustomerPolicy(ProjectionPolicy):
    """The customers of the open work orders that a person has been given."""

    def reach(self, rows, user, action):
        held = WorkOrder.objects.valid().filter(owner=user, status__in=OPEN)
        return rows.filter(Q(pk__in=held.values("customer_id")))


class ReturnVisitPolicy(ChildPolicy):
    """Visits follow their customer; the service desk (right "serve") visits every customer that it may see."""

    def root_action(self, user) -> str:
        """What ``user`` must be allowed to do to a customer in order to write its visits."""
        return "view" if self.allows(user, "serve") else self.writes_with

    def visible_to(self, user, action="view"):
        if action in ("view", "export") or not self.allows(user, action):
            return super().visible_to(user, action)
        rows = self.root_policy.restrict(self.rows(), user, self.root_action(user), self.path)
        return rows.filter(**{f"{self.path}__is_valid": True})

    def may_add_to(self, user, root):
        return self.allows(user, "add") and self.root_policy.may(user, self.root_action(user), root)
