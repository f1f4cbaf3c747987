"""Who may do what to which rows: one policy object per model answers both questions.

``visible_to(user, action)`` gives the rows, ``may(user, action, obj)`` the single answer. Admin, imports, exports,
history, attachments, search, API and jobs ask here and nowhere else, always by *current* ownership.

A person needs two things: the model permission (from an active role) and the row. For owned records the row right is
the guardian grant of that person on that record, read from the model's direct-foreign-key permission table; a wider
data scope of the role that gives the permission (department, department and below, all) widens it through the owner.
What a role's scope adds may be narrowed by ``ROW_LIMITS`` (customers of certain categories); the grants never are.
"""

from collections import defaultdict
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from django.contrib.auth.models import Permission
from django.db.models import Q, QuerySet, Value

from crm.registries import Registry

SHARED_RIGHTS = ("view", "change")
GRANTED_ACTIONS = (*SHARED_RIGHTS, "delete")  # only owners hold "delete"
HIDDEN_LABEL = "（无权查看）"
MAX_LITERAL_IDS = 1000

# asked with (model, ids of roles): ``{role id: ids of the rows of model that its data scope may reach}`` or None
ROW_LIMITS = Registry("row limits of roles")

_registry: dict[type, "Policy"] = {}
# ``{(user id, data scope): what _shared found}`` within ``reading``, else None
_known_shares: ContextVar[dict | None] = ContextVar("known_shares", default=None)


@dataclass
class Access:
    """What one person's active roles allow, read once per user object.

    ``scopes`` is ``{"app.codename": widest data scope}``, ``roles`` says which role gives it (0: the person himself).
    """

    scopes: dict[str, int] = field(default_factory=dict)
    roles: dict[str, dict[int, int]] = field(default_factory=dict)
    people: dict[int, list] = field(default_factory=dict)
    row_limits: dict[type, dict[int, list]] = field(default_factory=dict)

    def add(self, permission, role, scope):
        self.scopes[permission] = max(scope, self.scopes.get(permission, 0))
        self.roles.setdefault(permission, {})[role] = scope


def access(user) -> Access:
    """The access of ``user``, remembered on the user object, which lives for one request or one chunk of a job."""
    from crm.models import DataScope, Role

    known = getattr(user, "_access", None)
    if known is not None:
        return known
    known = Access()
    if user.is_active and not user.is_anonymous:
        by_role = Role.objects.filter(user=user, is_active=True).values_list(
            "pk", "data_scope", "permissions__content_type__app_label", "permissions__codename"
        )
        own = user.user_permissions.order_by().values_list(
            Value(0), Value(int(DataScope.SELF)), "content_type__app_label", "codename"
        )
        for role, scope, app, codename in by_role.order_by().union(own, all=True):
            known.add(f"{app}.{codename}", role, scope)
    user._access = known
    return known


def row_limits(user, model) -> dict[int, list]:
    """``{role id: [ids of the rows that its scope may reach, …]}`` of those roles of ``user`` that are limited."""
    known = access(user)
    if model not in known.row_limits:
        roles = {role for given in known.roles.values() for role in given} - {0}
        found: dict[int, list] = {}
        for answer in ROW_LIMITS.ask(model, roles).values() if roles else ():
            for role, ids in answer.items():
                found.setdefault(role, []).append(ids)
        known.row_limits[model] = found
    return known.row_limits[model]


def unlimited_scopes(user) -> dict[str, int]:
    """``{"app.codename": data scope}`` that ``user`` may hand on: a role limited to some rows counts as 本人."""
    from crm.models import DataScope

    owned_models = [model for model, policy in _registry.items() if isinstance(policy, OwnedPolicy)]
    limited = {role for model in owned_models for role in row_limits(user, model)}
    return {
        name: max(DataScope.SELF if role in limited else scope for role, scope in roles.items())
        for name, roles in access(user).roles.items()
    }


def people_in_scope(user, scope) -> list:
    """The people whose records ``scope``, one narrower than all, reaches, ``user`` among them."""
    from crm.models import DataScope, Department, User

    if scope == DataScope.SELF or user.department_id is None:
        return [user]
    cache = access(user).people
    if scope not in cache:
        departments = [user.department_id]
        if scope == DataScope.DEPARTMENT_TREE:
            departments = Department.objects.descendants(user.department_id, include_self=True).values("pk")
        people = User.objects.filter(department__in=departments).order_by("-is_active", "full_name")
        cache[scope] = list(people.only("username", "full_name", "is_active"))
    return cache[scope]


def members_in_scope(user, scope) -> list[int]:
    """Their ids."""
    return [person.pk for person in people_in_scope(user, scope)]


@contextmanager
def reading():
    """Around a request that changes nothing: what was shared with a person is read once, for all kinds and rights.

    Nowhere else, and never beyond it, so that a right taken away is gone for the next who asks: people are objects that
    live for a whole job, and services check again once they have locked the row.
    """
    token = _known_shares.set({})
    try:
        yield
    finally:
        _known_shares.reset(token)


def forget_shares():
    """Row grants have changed."""
    if known := _known_shares.get():
        known.clear()


def _shared(user, owners, wanted) -> dict[tuple[type, str], list | None]:
    """``{(model, right): ids}`` of the records of others than ``owners`` that were shared with ``user``: one query.

    ``wanted`` are pairs of owned policy and right; None stands for too many.
    """
    parts = [
        policy.granted(user, right)
        .exclude(content_object__owner__in=owners)
        .annotate(place=Value(at))
        .values_list("place", "content_object_id")
        for at, (policy, right) in enumerate(wanted)
    ]
    most = MAX_LITERAL_IDS * len(parts)
    found = defaultdict(list)
    rows = list(parts[0].union(*parts[1:], all=True)[: most + 1])
    for place, pk in rows:
        found[place].append(pk)
    is_whole = len(rows) <= most
    return {
        (policy.model, right): found[at] if is_whole and len(found[at]) <= MAX_LITERAL_IDS else None
        for at, (policy, right) in enumerate(wanted)
    }


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


class AccountPolicy(SharedPolicy):
    """User accounts: a superuser's account is changed by superusers only."""

    def visible_to(self, user, action="view"):
        rows = super().visible_to(user, action)
        return rows if action in ("view", "export") or user.is_superuser else rows.exclude(is_superuser=True)


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


class ImportPolicy(PersonalPolicy):
    """An import is one, however many sheets of its file it takes in."""

    def rows(self):
        return super().rows().filter(heads=None)


class OwnedPolicy(Policy):
    """Records with an owner. ``grants`` is the model's direct-foreign-key guardian table.

    ``rights`` names the row right behind an action; whatever it does not list changes the record.
    """

    rights = {"view": "view", "export": "view", "delete": "delete", "assign": "delete", "share": "delete"}

    def __init__(self, model, *, grants, **options):
        super().__init__(model, **options)
        self.grants = grants

    def right(self, action) -> str:
        return self.rights.get(action, "change")

    def granted(self, user, right) -> QuerySet:
        """Ids of the records on which ``user`` holds the guardian grant ``right``: one indexed query."""
        permission = Permission.objects.filter(
            codename=f"{right}_{self.model._meta.model_name}", content_type__app_label=self.model._meta.app_label
        ).values("pk")[:1]
        return self.grants.objects.filter(user_id=user.pk, permission_id=permission).values("content_object_id")

    def shared(self, user, scope, right) -> list | None:
        """Ids of the records of people beyond ``scope`` that were shared with ``user``; None where they are too many to
        be listed in a query."""
        if right not in SHARED_RIGHTS:
            return []
        owners, known = members_in_scope(user, scope), _known_shares.get()
        if known is None:
            return _shared(user, owners, [(self, right)])[self.model, right]
        if (user.pk, scope) not in known:
            owned_policies = [policy for policy in _registry.values() if isinstance(policy, OwnedPolicy)]
            wanted = [(policy, each) for policy in owned_policies for each in SHARED_RIGHTS]
            known[user.pk, scope] = _shared(user, owners, wanted)
        return known[user.pk, scope][self.model, right]

    def reaches(self, user, action) -> tuple[int | None, list[tuple[int, list]]]:
        """The widest data scope that nothing narrows, and ``[(scope, ids of rows)]`` of limited roles that add to it.

        ``(None, [])`` without the model permission.
        """
        from crm.models import DataScope

        widest = self.scope(user, action)
        if widest in (None, DataScope.SELF) or user.is_superuser:
            return widest, []
        limits = row_limits(user, self.model)
        given = access(user).roles[self.permission(action)]
        free = max((scope for role, scope in given.items() if role not in limits), default=DataScope.SELF)
        return free, [(scope, limits[role]) for role, scope in given.items() if role in limits and scope > free]

    def restrict(self, rows, user, action, path="") -> QuerySet:
        """``rows`` reduced to those whose owned record (at ``path``) is within the reach of ``user``."""
        extent = self.extent(user, action, path)
        return rows.none() if extent is None else rows.filter(extent)

    def extent(self, user, action, path="") -> Q | None:
        """What makes a row one whose owned record (at ``path``) is within the reach of ``user``; None: nothing does."""
        from crm.models import DataScope

        free, narrowed = self.reaches(user, action)
        if free is None:
            return None
        if free == DataScope.ALL:
            return Q()
        reach = self.within(user, free, action, path)
        key, prefix = (f"{path}_id", f"{path}__") if path else ("pk", "")
        for scope, limits in narrowed:
            inside = Q()
            for ids in limits:
                inside &= Q(**{f"{key}__in": ids})
            if scope != DataScope.ALL:
                inside &= Q(**{f"{prefix}owner_id__in": members_in_scope(user, scope)})
            reach |= inside
        return reach

    def within(self, user, scope, action, path="") -> Q:
        """What ``scope``, one narrower than all, reaches. A subclass may let more people in."""
        from crm.models import DataScope

        right = self.right(action)
        key, prefix = (f"{path}_id", f"{path}__") if path else ("pk", "")
        if scope == DataScope.SELF:
            return Q(**{f"{key}__in": self.granted(user, right)})
        reach = Q(**{f"{prefix}owner_id__in": members_in_scope(user, scope)})
        shared = self.shared(user, scope, right)
        return reach | Q(**{f"{key}__in": self.granted(user, right) if shared is None else shared})

    def of_these(self, user, action, rows) -> set[int]:
        """Ids of those of ``rows``, valid ones in memory, that are within the reach of ``user``, whatever their state.

        Only rows of which the reach itself does not tell are asked for.
        """
        extent = self.extent(user, action)
        if extent is None:
            return set()
        told = {row.pk: _is_within(extent, row) for row in rows}
        unsure = [pk for pk, answer in told.items() if answer is None]
        asked = self.rows().filter(extent, pk__in=unsure).values_list("pk", flat=True) if unsure else ()
        return {pk for pk, answer in told.items() if answer}.union(asked)

    def visible_to(self, user, action="view"):
        return self.restrict(self.rows(), user, action)

    def limit(self, rows, user, action):
        return self.restrict(rows, user, action)

    def root_of(self, instance):
        return instance


def _is_within(extent, row) -> bool | None:
    """Whether ``row`` fulfils ``extent``, as far as lists of ids tell; None where only the database knows."""
    answers = set()
    for child in extent.children:
        if isinstance(child, Q):
            answers.add(_is_within(child, row))
            continue
        (path, _, lookup), ids = child[0].rpartition("__"), child[1]
        is_listed = lookup == "in" and "__" not in path and not isinstance(ids, QuerySet)
        answers.add(getattr(row, path) in ids if is_listed else None)
    decisive = extent.connector == Q.OR
    answer = decisive if decisive in answers else None if None in answers else not decisive or not answers
    return answer if answer is None else answer != extent.negated


class ChildPolicy(Policy):
    """Records that follow their root: to see one needs view on the root, everything else needs ``writes_with`` on it.

    ``writes_with="view"`` is for what others than the root's editors keep up: finance sets limits of customers whose
    data it may not change.
    """

    def __init__(self, model, *, of, writes_with="change", **options):
        super().__init__(model, **options)
        self.path, self.writes_with = of, writes_with

    @property
    def roots(self) -> dict[str, OwnedPolicy]:
        """``{path: policy}`` of the records that one of these may belong to."""
        return {self.path: self._policy_at(self.path)}

    @property
    def root_policy(self) -> OwnedPolicy:
        return self.roots[self.path]

    def _policy_at(self, path) -> OwnedPolicy:
        model = self.model
        for step in path.split("__"):
            model = model._meta.get_field(step).related_model
        return policy_for(model)

    def visible_to(self, user, action="view"):
        if not self.allows(user, action):
            return self.model._default_manager.none()
        root_action = "view" if action in ("view", "export") else self.writes_with
        rows = self.root_policy.restrict(self.rows(), user, root_action, self.path)
        return rows.filter(**{f"{self.path}__is_valid": True})

    def standing(self) -> QuerySet:
        """What somebody sees who sees everything, told by the removed roots and not by those that stand: they are few,
        so that millions of rows are counted without looking up the root of each."""
        step, _, rest = self.path.partition("__")
        return self.rows().exclude(**{f"{step}__in": _removed(self._policy_at(step).model, rest, each=False)})

    def may_add_to(self, user, root) -> bool:
        """Whether ``user`` may add one of these to ``root``."""
        return self.allows(user, "add") and policy_for(type(root)).may(user, self.writes_with, root)

    def root_of(self, instance):
        return walk(instance, self.path)

    def root_for(self, user, instance):
        """The record that ``instance`` belongs to as ``user`` may see it, or None."""
        return self.root_of(instance)


def _removed(model, path, *, each):
    """Ids of the rows of ``model`` from which ``path`` leads to a removed record; ``each``: or passes one."""
    step, _, rest = path.partition("__")
    found = Q(is_valid=False) if each or not step else Q(pk__in=[])
    if step:
        found |= Q(**{f"{step}__in": _removed(model._meta.get_field(step).related_model, rest, each=each)})
    return model._base_manager.filter(found).values("pk")


def walk(instance, path):
    """What ``path`` leads to from ``instance``, None where a step leads nowhere."""
    for step in filter(None, path.split("__")):
        instance = getattr(instance, step) if instance is not None else None
    return instance


class EitherPolicy(ChildPolicy):
    """Records that belong to one of several kinds of roots: exactly one of the paths ``of`` leads to one.

    ``also_read`` are paths to further records whose readers may read them: the customer that a lead has become.
    """

    def __init__(self, model, *, of, also_read=(), **options):
        super().__init__(model, of=of[0], **options)
        self.paths, self.also_read = tuple(of), tuple(also_read)

    @property
    def roots(self):
        return {path: self._policy_at(path) for path in self.paths}

    def visible_to(self, user, action="view"):
        if not self.allows(user, action):
            return self.model._default_manager.none()
        reads = action in ("view", "export")
        reach = Q(pk__in=[])
        for path in self.paths + (self.also_read if reads else ()):
            extent = self._policy_at(path).extent(user, "view" if reads else self.writes_with, path)
            if extent is not None:
                steps = path.split("__")
                stands = {f"{'__'.join(steps[:place])}__is_valid": True for place in range(1, len(steps) + 1)}
                reach |= Q(**stands) & extent
        return self.rows().filter(reach)

    def standing(self):
        reach = Q(pk__in=[])
        for path in self.paths:
            step, _, rest = path.partition("__")
            removed = _removed(self._policy_at(step).model, rest, each=True)
            reach |= Q(**{f"{step}__isnull": False}) & ~Q(**{f"{step}__in": removed})
        return self.rows().filter(reach)

    def root_of(self, instance):
        return next((root for path in self.paths if (root := walk(instance, path)) is not None), None)

    def root_for(self, user, instance):
        for path in self.paths + self.also_read:
            root = walk(instance, path)
            if root is not None and policy_for(type(root)).may(user, "view", root):
                return root
        return None


class ProjectionPolicy(Policy):
    """What people outside a record may see of it. ``model`` is a proxy of its model, with permissions of its own.

    ``fields`` are all that is read, those in ``masks`` shown through their mask; which rows, ``reach`` says.
    """

    def __init__(self, model, *, fields, masks=None, **options):
        super().__init__(model, **options)
        self.fields, self.masks = tuple(fields), masks or {}

    def reach(self, rows, user, action) -> QuerySet:
        raise NotImplementedError

    def visible_to(self, user, action="view"):
        if not self.allows(user, action):
            return self.model._default_manager.none()
        return self.reach(self.rows(), user, action).only(*self.fields)

    def shown(self, obj, name):
        """The value of field ``name`` as whoever sees the projection may read it."""
        value = getattr(obj, name)
        return self.masks[name](value) if name in self.masks else value


class LogPolicy(Policy):
    """The business log: entries about records that the reader may see now, and about shared data he may view.

    Who took the log itself out of the house, those read who read all of it.
    """

    def visible_to(self, user, action="view"):
        from crm import audit
        from crm.models import DataScope

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
        if self.scope(user, action) == DataScope.ALL:
            reach |= Q(content_type_id=audit.content_type_id(self.model))
        return rows.filter(reach)

    def _about_owned(self, policy, user) -> Q:
        """Entries about records of ``policy`` within reach and about those parts of them that the reader may see."""
        from crm import audit
        from crm.models import DataScope

        scope, _ = policy.reaches(user, "view")
        if scope is None:
            return Q(pk__in=[])
        parts = [
            audit.content_type_id(model)
            for model, part in _registry.items()
            if isinstance(part, ChildPolicy) and policy in part.roots.values() and part.allows(user, "view")
        ]
        root = audit.content_type_id(policy.model)
        about = Q(root_type_id=root, content_type_id__in=[root, *parts])
        if scope == DataScope.ALL:
            return about | Q(content_type_id__in=[root, *parts], root_type=None)
        return about & Q(root_id__in=policy.visible_to(user, "view").values("pk"))


def owned(model, *, grants, **options):
    return _register(model, OwnedPolicy(model, grants=grants, **options))


def child(model, *, of, writes_with="change", **options):
    return _register(model, ChildPolicy(model, of=of, writes_with=writes_with, **options))


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
