"""Who sees which targets: one's own and that of one's department; by data scope those of one's people."""

from django.db.models import Q

from crm.models import DataScope, Department, User
from crm.policies import Policy, members_in_scope


class TargetPolicy(Policy):
    """Targets of the people and departments within the data scope of the role."""

    def visible_to(self, user, action="view"):
        scope = self.scope(user, action)
        if scope is None:
            return self.model._default_manager.none()
        if scope == DataScope.ALL:
            return self.rows()
        within = self.holders(user, action)
        return self.rows().filter(Q(person__in=within["person"]) | Q(department__in=within["department"]))

    def holders(self, user, action) -> dict[str, set[int]]:
        """Ids of the people and departments whose targets ``user`` reaches."""
        scope = self.scope(user, action)
        if scope is None:
            return {"person": set(), "department": set()}
        if scope == DataScope.ALL:
            people, departments = User.objects.all(), Department.objects.valid()
            return {
                name: set(rows.values_list("pk", flat=True))
                for name, rows in (("person", people), ("department", departments))
            }
        if scope == DataScope.SELF:
            return {"person": {user.pk}, "department": set()}
        departments = {user.department_id} - {None}
        if scope == DataScope.DEPARTMENT_TREE and departments:
            below = Department.objects.descendants(user.department_id, include_self=True)
            departments = set(below.values_list("pk", flat=True))
        return {"person": set(members_in_scope(user, scope)), "department": departments}
