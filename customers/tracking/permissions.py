"""Who reads traces, alerts and calls."""

from django.db.models import Q

from crm import policies
from crm.models import DataScope
from crm.policies import ChildPolicy, Policy, members_in_scope
from crm.roles import allow
from customers.tracking.models import Alert, AlertRule, ApiCall, Trace


class FollowsCustomer(ChildPolicy):
    """Rows about a customer are for those who may see it now; rows about none are for those whose data scope reaches
    the person who acted, or for those who see all where a program did. Rows about removed customers are for those who
    see all, customers and rows alike: what was done to a customer does not go with it.
    """

    def __init__(self, model, *, actor="", **options):
        super().__init__(model, of="customer", **options)
        self.actor = actor

    def visible_to(self, user, action="view"):
        scope = self.scope(user, action)
        if scope is None:
            return self.model._default_manager.none()
        if self.reaches_all(user, action):
            return self.rows()
        extent = self.root_policy.extent(user, "view", self.path)
        about = Q(pk__in=[]) if extent is None else Q(customer__is_valid=True) & extent
        return self.rows().filter(about | Q(customer=None) & self._acted_within(user, scope))

    def reaches_all(self, user, action) -> bool:
        """Whether ``user`` sees every row, those about removed customers among them."""
        reach, _ = self.root_policy.reaches(user, "view")
        return self.scope(user, action) == DataScope.ALL == reach

    def _acted_within(self, user, scope):
        if scope == DataScope.ALL:
            return Q()
        if not self.actor:
            return Q(pk__in=[])
        people = [user.pk] if scope == DataScope.SELF else members_in_scope(user, scope)
        return Q(**{f"{self.actor}_id__in": people})


class ActorPolicy(Policy):
    """Rows about a colleague, for those whose data scope reaches him; nobody decides on what is about himself."""

    def visible_to(self, user, action="view"):
        scope = self.scope(user, action)
        if scope is None or scope == DataScope.SELF:
            return self.model._default_manager.none()
        rows = self.rows() if action == "view" else self.rows().exclude(actor=user)
        return rows if scope == DataScope.ALL else rows.filter(actor_id__in=members_in_scope(user, scope))


policies.register(Trace, FollowsCustomer(Trace, actor="actor"))
policies.register(ApiCall, FollowsCustomer(ApiCall))
policies.register(Alert, ActorPolicy(Alert))
policies.shared(AlertRule)

allow("销售", Trace, "view")
allow("销售主管 销售总监 审计 管理员", Trace, "view export")
allow("销售主管 销售总监 审计 管理员", Alert, "view")
allow("销售总监 审计 管理员", Alert, "change")
allow("审计 管理员", AlertRule, "view")
allow("管理员", AlertRule, "add change delete")
allow("审计 管理员", ApiCall, "view export")
