"""Who may do what to which rows: one policy object per model answers both questions.

``visible_to(user, action)`` gives the rows, ``may(user, action, obj)`` the single answer. Admin, imports, exports,
history, attachments, search, API and jobs ask here and nowhere else, always by *current* ownership.

A person needs two things: the model permission (from an active role) and the row. For owned records the row right is
the guardian grant of that person on that record, read from the model's direct-foreign-key permission table; a wider
data scope of the role that gives the permission (department, department and below, all) widens it through the owner.
"""

from dataclasses import dataclass, field

from django.contrib.auth.models import Permission
from django.db.models import Q, QuerySet, Value

GRANTED_ACTIONS = ("view", "change", "delete")
# the row right that an action needs; whatever is not listed changes the record, and only owners hold "delete"
_GRANT_BEHIND = {"view": "view", "export": "view", "delete": "delete", "assign": "delete", "share": "delete"}
HIDDEN_LABEL = "（无权查看）"
MAX_LITERAL_IDS = 1000

_registry: dict[type, "Policy"] = {}


@dataclass
class Access:
    """What one person's active roles allow: ``{"app.codename": widest data scope}``; read once per user object."""

    scopes: dict[str, int] = field(default_factory=dict)
    department_members: dict[int, list[int]] = field(default_factory=dict)


def access(user) -> Access:
    """The access of ``user``, remembered on the user object, which lives for one request or one chunk of a job."""
    from crm.models import DataScope, Role

    known = getattr(user, "_access", None)
    if known is not None:
        return known
    known = Access()
    if user.is_active and not user.is_anonymous:
        by_role = Role.objects.filter(user=user, is_active=True).values_list(
            "data_scope", "permissions__content_type__app_label", "permissions__codename"
        )
        own = user.user_permissions.order_by().values_list(
            Value(int(DataScope.SELF)), "content_type__app_label", "codename"
        )
        for scope, app, codename in by_role.order_by().union(own, all=True):
            name = f"{app}.{codename}"
            known.scopes[name] = max(scope, known.scopes.get(name, 0))
    user._access = known
    return known


def members_in_scope(user, scope) -> list[int]:
    """Ids of the people whose records a department scope reaches, ``user`` among them."""
    from crm.models import DataScope, Department, User

    cache = access(user).department_members
    if scope not in cache:
        if user.department_id is None:
            cache[scope] = [user.pk]
        else:
            departments = [user.department_id]
            if scope == DataScope.DEPARTMENT_TREE:
                departments = list(
                    Department.objects.descendants(user.department_id, include_self=True).values_list("pk", flat=True)
                )
            cache[scope] = list(User.objects.filter(department__in=departments).values_list("pk", flat=True))
    return cache[scope]


class Policy:
    """The rule of one model. ``hidden`` maps fields to the permission without which nobody sees them."""

    def __init__(self, model, *, hidden: dict[str, str] | None = None):
        self.model = model
        self.hidden = hidden or {}

    def permission(self, action) -> str:
        return f"{self.model._meta.app_label}.{action}_{self.model._meta.model_name}"

    def allows(self, user, action) -> bool:
        """Whether ``user`` may do ``action`` to this kind of record at all."""
        return self.scope(user, action) is not None

    def provides(self, action) -> bool:
        """Whether ``action`` is meant to be done to this kind of record at all, by whomever."""
        options = self.model._meta
        own = {codename for codename, _ in options.permissions}
        return action in options.default_permissions or f"{action}_{options.model_name}" in own

    def scope(self, user, action) -> int | None:
        from crm.models import DataScope

        if not user.is_active or user.is_anonymous:
            return None
        if user.is_superuser:
            return DataScope.ALL if self.provides(action) else None
        return access(user).scopes.get(self.permission(action))

    def rows(self) -> QuerySet:
        """All rows that exist for people: not the removed ones."""
        rows = self.model._default_manager.all()
        return rows.filter(is_valid=True) if hasattr(self.model, "is_valid") else rows

    def visible_to(self, user, action="view") -> QuerySet:
        raise NotImplementedError

    def may(self, user, action, obj=None) -> bool:
        if not self.allows(user, action):
            return False
        return obj is None or self.visible_to(user, action).filter(pk=obj.pk).exists()

    def limit(self, rows, user, action) -> QuerySet:
        """``rows`` reduced to those on which ``user`` may do ``action``."""
        return rows.filter(pk__in=self.visible_to(user, action).values("pk"))

    def choices_for(self, user) -> QuerySet:
        """Rows that may be picked in a drop-down, a filter or an import."""
        return self.visible_to(user, "view")

    def hidden_fields(self, user) -> set[str]:
        """Fields that ``user`` sees nowhere: not in forms, lists, exports, versions or the log."""
        if user.is_superuser or not self.hidden:
            return set()
        granted = access(user).scopes
        return {name for name, permission in self.hidden.items() if permission not in granted}

    def root_of(self, instance):
        """The owned record that ``instance`` belongs to, or None for shared data."""
        return None


class SharedPolicy(Policy):
    """Reference data: whoever has the model permission sees every row, and everybody may pick from it."""

    def visible_to(self, user, action="view"):
        return self.rows() if self.allows(user, action) else self.model._default_manager.none()

    def choices_for(self, user):
        rows = self.rows() if user.is_active else self.model._default_manager.none()
        return rows.filter(is_active=True) if hasattr(self.model, "is_active") else rows


class PersonalPolicy(Policy):
    """Rows that belong to the person they were made for (jobs, imports, notifications); nobody else sees them.

    No model permission is needed to see one's own.
    """

    def __init__(self, model, *, user_field="user", **options):
        super().__init__(model, **options)
        self.user_field = user_field

    def allows(self, user, action):
        return user.is_active and not user.is_anonymous and (action == "view" or super().allows(user, action))

    def visible_to(self, user, action="view"):
        if not self.allows(user, action):
            return self.model._default_manager.none()
        return self.rows().filter(**{f"{self.user_field}_id": user.pk})


class OwnedPolicy(Policy):
    """Records with an owner. ``grants`` is the model's direct-foreign-key guardian table."""

    def __init__(self, model, *, grants, **options):
        super().__init__(model, **options)
        self.grants = grants

    def granted(self, user, action) -> QuerySet:
        """Ids of the records on which ``user`` holds the guardian grant behind ``action``: one indexed query."""
        right = _GRANT_BEHIND.get(action, "change")
        permission = Permission.objects.filter(
            codename=f"{right}_{self.model._meta.model_name}", content_type__app_label=self.model._meta.app_label
        ).values("pk")[:1]
        return self.grants.objects.filter(user_id=user.pk, permission_id=permission).values("content_object_id")

    def restrict(self, rows, user, action, path="") -> QuerySet:
        """``rows`` reduced to those whose owned record (at ``path``) is within the reach of ``user``."""
        from crm.models import DataScope

        scope = self.scope(user, action)
        if scope is None:
            return rows.none()
        if scope == DataScope.ALL:
            return rows
        granted = self.granted(user, action)
        key = f"{path}_id" if path else "pk"
        if scope == DataScope.SELF:
            return rows.filter(**{f"{key}__in": granted})
        owners = members_in_scope(user, scope)
        prefix = f"{path}__" if path else ""
        shared = list(
            granted.exclude(content_object__owner__in=owners).values_list("content_object_id", flat=True)[
                : MAX_LITERAL_IDS + 1
            ]
        )
        reach = shared if len(shared) <= MAX_LITERAL_IDS else granted
        return rows.filter(Q(**{f"{prefix}owner_id__in": owners}) | Q(**{f"{key}__in": reach}))

    def visible_to(self, user, action="view"):
        return self.restrict(self.rows(), user, action)

    def limit(self, rows, user, action):
        return self.restrict(rows, user, action)

    def root_of(self, instance):
        return instance


class ChildPolicy(Policy):
    """Records that follow their root: to see one needs view on the root, everything else needs change on it."""

    def __init__(self, model, *, of, **options):
        super().__init__(model, **options)
        self.path = of

    @property
    def root_policy(self) -> OwnedPolicy:
        model = self.model
        for step in self.path.split("__"):
            model = model._meta.get_field(step).related_model
        return policy_for(model)

    def visible_to(self, user, action="view"):
        if not self.allows(user, action):
            return self.model._default_manager.none()
        root_action = action if action in ("view", "export") else "change"
        rows = self.root_policy.restrict(
            self.rows(), user, "view" if root_action == "export" else root_action, self.path
        )
        return rows.filter(**{f"{self.path}__is_valid": True})

    def may_add_to(self, user, root) -> bool:
        """Whether ``user`` may add one of these to ``root``."""
        return self.allows(user, "add") and self.root_policy.may(user, "change", root)

    def root_of(self, instance):
        for step in self.path.split("__"):
            instance = getattr(instance, step)
        return instance


class LogPolicy(Policy):
    """The business log: entries about records that the reader may see now, and about shared data he may view."""

    def visible_to(self, user, action="view"):
        from crm import audit

        if not self.allows(user, action):
            return self.model._default_manager.none()
        rows = self.model._default_manager.all()
        if user.is_superuser:
            return rows
        reach = Q(pk__in=[])
        for model, policy in _registry.items():
            if isinstance(policy, OwnedPolicy):
                reach |= self._about_owned(policy, user)
            elif isinstance(policy, SharedPolicy) and policy.allows(user, "view"):
                reach |= Q(content_type_id=audit.content_type_id(model), root_type=None)
        return rows.filter(reach)

    def _about_owned(self, policy, user) -> Q:
        """Entries about records of ``policy`` within reach and about those parts of them that the reader may see."""
        from crm import audit
        from crm.models import DataScope

        scope = policy.scope(user, "view")
        if scope is None:
            return Q(pk__in=[])
        parts = [
            audit.content_type_id(model)
            for model, part in _registry.items()
            if isinstance(part, ChildPolicy) and part.root_policy is policy and part.allows(user, "view")
        ]
        root = audit.content_type_id(policy.model)
        about = Q(root_type_id=root, content_type_id__in=[root, *parts])
        if scope == DataScope.ALL:
            return about | Q(content_type_id__in=[root, *parts], root_type=None)
        return about & Q(root_id__in=policy.visible_to(user, "view").values("pk"))


def owned(model, *, grants, **options):
    return _register(model, OwnedPolicy(model, grants=grants, **options))


def child(model, *, of, **options):
    return _register(model, ChildPolicy(model, of=of, **options))


def shared(model, **options):
    return _register(model, SharedPolicy(model, **options))


def personal(model, **options):
    return _register(model, PersonalPolicy(model, **options))


def register(model, policy):
    return _register(model, policy)


def _register(model, policy):
    _registry[model] = policy
    return policy


def policy_for(model) -> Policy:
    """The policy of ``model``; a system check makes sure that every business model has one."""
    return _registry[model]


def registered() -> dict[type, Policy]:
    return dict(_registry)


def name_for(user, obj) -> str:
    """What ``user`` reads where ``obj`` stands in another record: its name, unless it is somebody else's."""
    policy = _registry.get(type(obj))
    if policy is None or isinstance(policy, SharedPolicy) or policy.may(user, "view", obj):
        return str(obj)
    return HIDDEN_LABEL
