"""Nobody hands out more than he has: which roles a person may give, on pages and in imports alike."""

from crm.models import Role
from crm.policies import unlimited_scopes


def beyond(user, roles) -> list[int]:
    """Ids of those ``roles`` that hold a right, or reach rows, which ``user`` has not himself."""
    if user.is_superuser:
        return []
    scopes = unlimited_scopes(user)
    return [
        role.pk
        for role in roles.prefetch_related("permissions__content_type")
        if any(
            scopes.get(f"{p.content_type.app_label}.{p.codename}", 0) < role.data_scope for p in role.permissions.all()
        )
    ]


def grantable_roles(user):
    """The active roles ``user`` may give: all for a superuser, else those with nothing beyond his own rights."""
    roles = Role.objects.filter(is_active=True)
    return roles.exclude(pk__in=beyond(user, roles))
