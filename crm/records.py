"""The two verbs every record knows: save and remove."""

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import PROTECT, ForeignObjectRel

from crm import actor, audit
from crm.models import OwnedRecord
from crm.models.audit import Operation
from crm.policies import policy_for


class InUse(ValidationError):
    """The record cannot be removed because valid records point to it."""


def save(obj, *, by, m2m=None, reason=""):
    """Save ``obj`` (new or changed) as ``by``: one version, one log entry. Raises StaleRecord.

    A new record that has an owner belongs to whoever enters it, unless it says whose it is.
    """
    if isinstance(obj, OwnedRecord) and obj._state.adding and obj.owner_id is None:
        obj.owner = by
    with actor.acting(by):
        obj.save(m2m=m2m, remark=reason)
    return obj


def remove(obj, *, by, reason=""):
    """Take ``obj`` out of use: a soft delete, or for good where the model knows none (roles).

    Raises PermissionDenied, InUse naming what still points to it.
    """
    with transaction.atomic(), actor.acting(by):
        stored = type(obj)._base_manager.select_for_update().get(pk=obj.pk)
        if by is not None and not policy_for(type(obj)).may(by, "delete", stored):
            raise PermissionDenied("没有删除该记录的权限。")
        users = usage(stored)
        if users:
            listed = "、".join(f"{count} 条{name}" for name, count in users.items())
            raise InUse(f"“{stored}”还被{listed}使用，不能删除；可先停用或改掉这些引用。")
        if not hasattr(stored, "is_valid"):
            audit.record(stored, Operation.DELETE, audit.diff(audit.state(stored), None), remark=reason)
            stored.delete()
            return stored
        stored.is_valid = False
        if hasattr(stored, "release_keys"):
            stored.release_keys()
        stored.save(operation=Operation.DELETE, remark=reason)
    return stored


def usage(obj) -> dict[str, int]:
    """``{verbose name: count}`` of valid records that protect ``obj`` from removal, or carry it (a tag, a role)."""
    found: dict[str, int] = {}
    for relation in obj._meta.get_fields(include_hidden=True):
        if not isinstance(relation, ForeignObjectRel):
            continue
        if relation.on_delete is not PROTECT and not relation.many_to_many:
            continue
        field, model = relation.field, relation.related_model
        if field.name in {"created_by", "updated_by"}:
            continue
        rows = model._base_manager.filter(**{field.name: obj})
        if hasattr(model, "is_valid"):
            rows = rows.filter(is_valid=True)
        if count := rows.count():
            name = str(model._meta.verbose_name)
            found[name] = found.get(name, 0) + count
    return found
