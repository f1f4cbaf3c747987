"""Who sees which leads, besides owners and their managers: the people of a pool."""

from django.db.models import Q

from crm.models import DataScope
from crm.policies import OwnedPolicy, ProjectionPolicy, SharedPolicy
from sales.models import OPEN, LeadPool

POOL_ADMINS_MAY = {"view", "assign", "release"}


def administered(user) -> list[int]:
    """Ids of the pools that ``user`` is an admin of, remembered on the user object."""
    if not hasattr(user, "_administered_lead_pools"):
        user._administered_lead_pools = list(
            LeadPool.objects.filter(admins=user.pk, is_valid=True).values_list("pk", flat=True)
        )
    return user._administered_lead_pools


def open_pools(user):
    """The pools whose leads ``user`` may work on: public ones and those he belongs to."""
    mine = Q(pk__in=LeadPool.members.through.objects.filter(user_id=user.pk).values("leadpool_id"))
    return LeadPool.objects.filter(Q(is_public=True) | mine | Q(pk__in=administered(user)), is_valid=True)


class LeadPolicy(OwnedPolicy):
    """Owners by their grants; the admins of a pool besides see all of its leads, assign them and take them back."""

    rights = OwnedPolicy.rights | {"release": "delete"}

    def within(self, user, scope, action, path=""):
        reach = super().within(user, scope, action, path)
        if action in POOL_ADMINS_MAY and (pools := administered(user)):
            reach |= Q(**{f"{path}__pool_id__in" if path else "pool_id__in": pools})
        return reach


class PooledLeadPolicy(ProjectionPolicy):
    """Open leads without owner in the pools open to a person; all pools are shown to whoever sees all data."""

    def reach(self, rows, user, action):
        rows = rows.filter(owner=None, status__in=OPEN, pool__is_valid=True)
        if user.is_superuser or (action == "view" and self.scope(user, "view") == DataScope.ALL):
            return rows
        return rows.filter(pool__in=open_pools(user).values("pk"))


class LeadPoolPolicy(SharedPolicy):
    """Names of pools are no secret; leads go only into pools open to a person, members are chosen by its admins."""

    def visible_to(self, user, action="view"):
        rows = super().visible_to(user, action)
        if action in ("change", "delete") and self.allows(user, action) and self.scope(user, action) != DataScope.ALL:
            return rows.filter(pk__in=administered(user))
        return rows

    def choices_for(self, user):
        rows = super().choices_for(user)
        if self.scope(user, "view") == DataScope.ALL:
            return rows
        return rows.filter(pk__in=open_pools(user).values("pk"))
