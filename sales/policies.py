"""Who sees which leads, besides owners and their managers: the people of a pool."""

from django.db.models import Q

from crm.models import DataScope
from crm.policies import ChildPolicy, OwnedPolicy, ProjectionPolicy, SharedPolicy
from sales.models import OPEN, CampaignStatus, ContractStatus, LeadPool
from sales.models.documents import DocumentFields

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


EDITING = ("change", "delete", "import")
KEEP = "keep"  # what hangs on a contract and goes on after it was signed: files, instalments


class DraftsOnly:
    """Documents, and by ``status_path`` their lines, are edited and removed while they are drafts."""

    status_path = "status"

    def visible_to(self, user, action="view"):
        rows = super().visible_to(user, action)
        return rows.filter(**{self.status_path: DocumentFields.DRAFT}) if action in EDITING else rows


class DocumentPolicy(DraftsOnly, ChildPolicy):
    """Quotations and orders follow their customer."""


class ContractPolicy(DraftsOnly, OwnedPolicy):
    """Contracts have owners of their own. ``KEEP`` is the right to change one without asking for its state."""

    rights = OwnedPolicy.rights | {"terminate": "delete"}

    def permission(self, action):
        return super().permission("change" if action == KEEP else action)

    def provides(self, action):
        return super().provides("change" if action == KEEP else action)

    def visible_to(self, user, action="view"):
        return self._in_state(super().visible_to(user, action), action)

    def limit(self, rows, user, action):
        rows = super().limit(rows, user, action)
        return self._in_state(rows.filter(status=DocumentFields.DRAFT) if action in EDITING else rows, action)

    def _in_state(self, rows, action):
        return rows.filter(status=ContractStatus.SIGNED) if action == "amend" else rows


class LinePolicy(DraftsOnly, ChildPolicy):
    """Lines follow the record that their document follows (``of``) and the state of the document (``document``)."""

    def __init__(self, model, *, of, document, **options):
        super().__init__(model, of=of, **options)
        self.document, self.status_path = document, f"{document}__status"

    def visible_to(self, user, action="view"):
        return super().visible_to(user, action).filter(**{f"{self.document}__is_valid": True})


class SmsCampaignPolicy(SharedPolicy):
    """What is scheduled, sent or over is changed by transitions alone."""

    def visible_to(self, user, action="view"):
        rows = super().visible_to(user, action)
        return rows.filter(status=CampaignStatus.DRAFT) if action in ("change", "delete") else rows
