"""The only writer of owners and row grants: column, guardian rows, version and log change in one transaction."""

from contextlib import contextmanager
from contextvars import ContextVar

from django.contrib.auth.models import Permission
from django.core.exceptions import PermissionDenied
from django.db import models, transaction

from crm import actor, audit
from crm.models.audit import Operation
from crm.policies import GRANTED_ACTIONS, OwnedPolicy, forget_shares, policy_for, registered
from crm.registries import Registry

# told of every change of owner in its transaction, while ``obj`` still has the former one:
# ``hook(obj, owner, reason=, how=)`` gives the names of further fields that it has set on ``obj``, or None
changing = Registry("before a change of owner")

LEVELS = {"view": "只读", "change": "可编辑"}
_LEVEL_ACTIONS = {"view": ("view",), "change": ("view", "change")}
_writing: ContextVar[bool] = ContextVar("ownership_writing", default=False)


class OwnershipError(ValueError):
    """The requested change of ownership makes no sense; the message says why."""


def permission_ids(model) -> dict[str, int]:
    """``{"view": id, "change": id, "delete": id}`` of the row permissions of ``model``."""
    name = model._meta.model_name
    rows = Permission.objects.filter(
        content_type__app_label=model._meta.app_label, codename__in=[f"{action}_{name}" for action in GRANTED_ACTIONS]
    ).values_list("codename", "pk")
    return {codename.split("_")[0]: pk for codename, pk in rows}


def refuse_direct_change(obj):
    """Guard of ``OwnedRecord.save``: an owner assigned past this module is a programming error."""
    if _writing.get():
        return
    stored = type(obj)._base_manager.filter(pk=obj.pk).values_list("owner_id", flat=True).first()
    if stored != obj.owner_id:
        raise TypeError("负责人只能通过 crm.ownership 变更。")


@contextmanager
def _allowed():
    token = _writing.set(True)
    try:
        yield
    finally:
        _writing.reset(token)


def grant_owner(obj):
    """Give the owner of a record just created the rights of an owner."""
    if obj.owner_id:
        _grant(obj, obj.owner_id, GRANTED_ACTIONS)


def set_owner(obj, owner, *, by, reason="", how="") -> None:
    """Make ``owner`` (or nobody, None) the owner of ``obj``; the former owner keeps no right to it.

    ``by`` needs the permission "assign" on the record; None is the system. A disabled user cannot become owner.
    ``how`` is a word of the model for the kind of change, passed on to ``changing``.
    Raises PermissionDenied, OwnershipError.
    """
    policy = policy_for(type(obj))
    with transaction.atomic(), actor.acting(by):
        stored = type(obj)._base_manager.select_for_update().get(pk=obj.pk)
        if by is not None and not policy.may(by, "assign", stored):
            raise PermissionDenied("没有分配该记录的权限。")
        if owner is not None and not owner.is_active:
            raise OwnershipError(f"“{owner}”已停用，不能作为负责人。")
        if stored.owner_id == (owner.pk if owner else None):
            return
        answers = changing.ask(stored, owner, reason=reason, how=how).values()
        _take(stored, stored.owner_id)
        stored.owner = owner
        with _allowed():
            names = ["owner", *(name for names in answers for name in names)]
            stored.save(update_fields=names, operation=Operation.OWNERSHIP, remark=reason)
        if owner is not None:
            _take(stored, owner.pk)
            _grant(stored, owner.pk, GRANTED_ACTIONS)
    obj.owner, obj.lock_version, obj.updated_at = stored.owner, stored.lock_version, stored.updated_at


def add_collaborator(obj, user, *, by, level="change") -> None:
    """Let ``user`` work on ``obj`` beside its owner: ``view`` reads, ``change`` also edits. Raises PermissionDenied."""
    if level not in LEVELS:
        raise OwnershipError("协作级别只能是只读或可编辑。")
    policy = policy_for(type(obj))
    with transaction.atomic(), actor.acting(by):
        stored = type(obj)._base_manager.select_for_update().get(pk=obj.pk)
        if by is not None and not policy.may(by, "share", stored):
            raise PermissionDenied("没有共享该记录的权限。")
        if user.pk == stored.owner_id:
            raise OwnershipError(f"“{user}”已是负责人。")
        if not user.is_active:
            raise OwnershipError(f"“{user}”已停用，不能作为协作人。")
        before = collaborators(stored).get(user.pk)
        if before == level:
            return
        _take(stored, user.pk)
        _grant(stored, user.pk, _LEVEL_ACTIONS[level])
        label = LEVELS.get(before)
        audit.record(
            stored,
            Operation.OWNERSHIP,
            {"collaborators": [f"{user}（{label}）" if label else None, f"{user}（{LEVELS[level]}）"]},
        )


def grant_collaborators(model, pairs) -> None:
    """Let people edit records that were just written set-wise, ``[(id, user id)]``; none of them its owner."""
    ids = permission_ids(model)
    grants = policy_for(model).grants
    grants.objects.bulk_create(
        [
            grants(user_id=user, permission_id=ids[action], content_object_id=pk)
            for pk, user in pairs
            for action in _LEVEL_ACTIONS["change"]
        ]
    )
    forget_shares()


def revoke(obj, user, *, by) -> None:
    """Take a collaborator's rights to ``obj`` away; the owner's go only by a new owner. Raises PermissionDenied."""
    policy = policy_for(type(obj))
    with transaction.atomic(), actor.acting(by):
        stored = type(obj)._base_manager.select_for_update().get(pk=obj.pk)
        if by is not None and not policy.may(by, "share", stored):
            raise PermissionDenied("没有共享该记录的权限。")
        if user.pk == stored.owner_id:
            raise OwnershipError("负责人的权限不能移除，请改为分配给其他人。")
        level = collaborators(stored).get(user.pk)
        if level is None:
            return
        _take(stored, user.pk)
        audit.record(stored, Operation.OWNERSHIP, {"collaborators": [f"{user}（{LEVELS[level]}）", None]})


def collaborators(obj) -> dict[int, str]:
    """``{user id: level}`` of the people besides the owner who may work on ``obj``."""
    grants = policy_for(type(obj)).grants
    ids = permission_ids(type(obj))
    found: dict[int, str] = {}
    for user_id, permission_id in grants.objects.filter(content_object_id=obj.pk).values_list(
        "user_id", "permission_id"
    ):
        if user_id != obj.owner_id:
            found[user_id] = "change" if permission_id == ids["change"] else found.get(user_id, "view")
    return found


def _take(obj, user_id):
    policy_for(type(obj)).grants.objects.filter(content_object=obj, user_id=user_id).delete()
    forget_shares()


def _grant(obj, user_id, actions):
    ids = permission_ids(type(obj))
    policy_for(type(obj)).grants.objects.bulk_create(
        [
            policy_for(type(obj)).grants(user_id=user_id, permission_id=ids[action], content_object_id=obj.pk)
            for action in actions
        ]
    )
    forget_shares()


def disagreements(model) -> dict[str, models.QuerySet]:
    """Where owner column and grants of ``model`` disagree.

    ``missing``: records whose owner lacks a row right. ``stray``: grants that only owners hold (delete), in others'
    hands.
    """
    policy = policy_for(model)
    ids = permission_ids(model)
    owned = model._base_manager.exclude(owner=None)
    missing = model._base_manager.none()
    for action in GRANTED_ACTIONS:
        held = policy.grants.objects.filter(
            content_object_id=models.OuterRef("pk"), user_id=models.OuterRef("owner_id"), permission_id=ids[action]
        )
        missing = missing | owned.filter(~models.Exists(held))
    stray = policy.grants.objects.filter(permission_id=ids["delete"]).filter(
        models.Q(content_object__owner=None) | ~models.Q(content_object__owner_id=models.F("user_id"))
    )
    return {"missing": missing.order_by("pk"), "stray": stray.order_by("pk")}


def repair(model) -> tuple[int, int]:
    """Make the grants of ``model`` agree with its owner column; gives how many records and stray grants were mended."""
    found = disagreements(model)
    policy = policy_for(model)
    with transaction.atomic():
        stray = found["stray"].count()
        policy.grants.objects.filter(pk__in=list(found["stray"].values_list("pk", flat=True))).delete()
        missing = list(found["missing"])
        for obj in missing:
            _take(obj, obj.owner_id)
            _grant(obj, obj.owner_id, GRANTED_ACTIONS)
    return len(missing), stray


def owned_models() -> list[type]:
    return [model for model, policy in registered().items() if isinstance(policy, OwnedPolicy)]
