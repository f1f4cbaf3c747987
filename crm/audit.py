"""The business log: what changed, field by field, from which value to which.

One ``diff`` serves single saves, set-wise writes, import previews, version comparison and change requests, so that
they can never disagree. Values are stored raw (codes, ids, ISO dates) and turned into words when they are read
(``crm.audit_display``), by whoever reads them and with that person's rights.
Source: dms ``dms_business_log`` (old_value, new_value, change_fields).
"""

from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache

from crm import actor
from crm.fields import KeyField

_PLAIN = frozenset({str, int, bool, float, type(None)})
BOOKKEEPING = {"created_at", "created_by", "updated_at", "updated_by", "lock_version"}


@cache
def tracked_fields(model) -> tuple:
    """The columns whose changes count: everything a person can mean, no bookkeeping, no derived keys, no secrets."""
    excluded = BOOKKEEPING | {*getattr(model, "audit_exclude", ()), *getattr(model, "audit_secrets", ())}
    return tuple(
        field
        for field in model._meta.concrete_fields
        if not field.primary_key and field.name not in excluded and not isinstance(field, KeyField)
    )


def json_value(value):
    """``value`` as JSON keeps it; equal values give equal results whatever they were typed as."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Decimal):
        return format(value.normalize(), "f") if value else "0"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="seconds") if value.tzinfo else value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple | set):
        return [json_value(item) for item in value]
    return value if isinstance(value, str | int | float | dict) else str(value)


def state(instance, names=None) -> dict:
    """``{field name: JSON value}`` of the tracked columns as they stand in memory."""
    return {
        field.name: json_value(field.to_python(getattr(instance, field.attname)))
        for field in tracked_fields(type(instance))
        if names is None or field.name in names
    }


def diff(before: dict | None, after: dict | None) -> dict:
    """``{field: [old, new]}`` of what differs; for a new record, of everything that says something."""
    created = not before
    before, after = before or {}, after or {}
    changes = {}
    for name in before.keys() | after.keys():
        old, new = before.get(name), after.get(name)
        if old == new or (_blank(old) and _blank(new)) or (created and (new is False or name == "is_valid")):
            continue
        changes[name] = [old, new]
    return dict(sorted(changes.items()))


def _blank(value) -> bool:
    return value is None or value == "" or value == []


def entry(instance, operation, changes, *, remark="") -> "object":
    """An unsaved log entry about ``instance`` in the current context; bulk paths collect these."""
    from crm.models.audit import BusinessLog
    from crm.policies import policy_for

    context = actor.current()
    root = policy_for(type(instance)).root_of(instance)
    return BusinessLog(
        content_type_id=content_type_id(type(instance)),
        object_id=instance.pk,
        object_repr=str(instance)[:200],
        business_no=str(getattr(instance, "business_no", "") or "")[:64],
        business_source=getattr(instance, "business_source", 0),
        root_type_id=content_type_id(type(root)) if root is not None else None,
        root_id=root.pk if root is not None else None,
        version=getattr(instance, "lock_version", None),
        operation=operation,
        changes=changes,
        user=context.user,
        user_name=str(context.user or "系统")[:100],
        ip=context.ip,
        batch=context.batch,
        remark=(remark or context.reason)[:255],
    )


def record(instance, operation, changes=None, *, remark=""):
    """Write one log entry about ``instance``."""
    log = entry(instance, operation, changes or {}, remark=remark)
    log.save()
    return log


def note(user, model, operation, *, remark) -> None:
    """Log something done to many records of ``model`` at once (an export), which belongs to none of them."""
    from crm.models.audit import BusinessLog

    context = actor.current()
    BusinessLog(
        content_type_id=content_type_id(model),
        object_id=0,
        object_repr=str(model._meta.verbose_name),
        business_source=0 if model is BusinessLog else getattr(model, "business_source", 0),
        operation=operation,
        user=user,
        user_name=str(user),
        ip=context.ip,
        batch=context.batch,
        remark=remark[:255],
    ).save()


def content_type_id(model) -> int:
    from django.contrib.contenttypes.models import ContentType

    return ContentType.objects.get_for_model(model).pk
