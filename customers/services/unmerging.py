"""Parting what was merged: rows, values, grants and owners as they were before.

What somebody has changed since the merge is his work and stays where it is; ``changed_since`` lists it beforehand.
"""

from django.apps import apps
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from crm import actor, audit, ownership
from crm.models import Operation, User
from crm.policies import policy_for
from customers.models import Customer, CustomerMerge, OwnerChange
from customers.services import merging
from customers.services.merging import DERIVED, MergeError, iso


def changed_since(done) -> list[str]:
    """In words, what was changed after the merge and therefore stays with the survivor when it is undone."""
    lines = [f"{_named(row)}：合并之后又有修改，留在“{done.survivor}”" for row in done.moved if not _untouched(row)]
    for name, (_, after) in done.kept["values"].items():
        if audit.json_value(_raw(done.survivor, name)) != after:
            lines.append(f"{Customer._meta.get_field(name).verbose_name}：合并之后又有修改，保持现在的值")
    owner = User.objects.filter(pk=done.kept["loser"]["owner"]).first()
    if owner is not None and not owner.is_active:
        lines.append(f"原负责人“{owner}”已停用，恢复的客户在公海")
    return lines


def _untouched(row) -> bool:
    return apps.get_model(row["model"])._base_manager.filter(pk=row["id"], lock_version=row["version"]).exists()


def _named(row) -> str:
    model = apps.get_model(row["model"])
    return f"{model._meta.verbose_name}“{model._base_manager.filter(pk=row['id']).first() or row['id']}”"


def _raw(customer, name):
    return getattr(customer, Customer._meta.get_field(name).attname)


def undo(done, *, by) -> list[str]:
    """Part the two again: rows, values, grants, owner as they were; gives what stays because it was changed since.

    Raises PermissionDenied, MergeError: undone before, or the survivor is itself no more.
    """
    if not policy_for(CustomerMerge).may(by, "undo", done):
        raise PermissionDenied("没有撤销合并的权限。")
    with transaction.atomic(), actor.acting(by):
        ids = sorted([done.survivor_id, done.loser_id])
        merging.LOCKS.ask(ids)
        stored = {c.pk: c for c in Customer._base_manager.select_for_update().filter(pk__in=ids).order_by("pk")}
        done = CustomerMerge._base_manager.select_for_update().get(pk=done.pk)
        survivor, loser = stored[done.survivor_id], stored[done.loser_id]
        if done.reversed_at is not None:
            raise MergeError(f"这次合并已在 {timezone.localtime(done.reversed_at):%Y-%m-%d %H:%M} 撤销。")
        if not survivor.is_valid:
            raise MergeError(f"“{survivor}”后来又并入了别的客户或已被删除，请先撤销那一次。")
        if loser.is_valid or loser.lock_version != done.kept["loser"]["version"]:
            raise MergeError(f"“{done.loser_name}”在合并之后又有变化，不能撤销。")
        done.survivor, remark = survivor, f"撤销“{done.loser_name}”的合并"
        left, derived = changed_since(done), {name: iso(getattr(survivor, name)) for name in DERIVED}
        loser.is_valid = True
        loser.save(operation=Operation.MERGE, remark=remark)
        for row in reversed(done.moved):
            _put_back(row, remark)
        for name, move in merging.JOURNALS:
            move(survivor.pk, loser.pk, ids=done.kept.get("journals", {}).get(name, []))
        survivor = _restore_survivor(survivor, done, derived, remark)
        _restore_loser(loser, done, remark)
        audit.record(survivor, Operation.MERGE, remark=remark)
        done.reversed_at = timezone.now()
        done.save(remark=remark)
    return left


def _put_back(row, remark):
    model = apps.get_model(row["model"])
    obj = model._base_manager.select_for_update().filter(pk=row["id"], lock_version=row["version"]).first()
    if obj is None:
        return
    for name, value in row["old"].items():
        setattr(obj, name, model._meta.get_field(name.removesuffix("_id")).to_python(value))
    obj.save(remark=remark)


def _restore_survivor(survivor, done, derived, remark):
    people = User.objects.in_bulk(int(pk) for pk in done.kept["team"])
    for pk, (before, after) in done.kept["team"].items():
        person = people.get(int(pk))
        if person is None or ownership.collaborators(survivor).get(person.pk) != after:
            continue
        if before:
            ownership.add_collaborator(survivor, person, by=None, level=before)
        else:
            ownership.revoke(survivor, person, by=None)
    survivor.refresh_from_db()
    for name, (before, after) in done.kept["values"].items():
        column = Customer._meta.get_field(name)
        if audit.json_value(_raw(survivor, name)) == after:
            setattr(survivor, column.attname, column.to_python(before))
    for name, (before, after) in done.kept["derived"].items():
        if derived[name] == after:
            setattr(survivor, name, before and parse_datetime(before))
    many = {
        name: [item for item in getattr(survivor, name).all() if item.pk not in ids]
        for name, ids in done.kept["added"].items()
    }
    survivor.save(m2m=many, remark=remark, operation=Operation.MERGE)
    survivor.save(update_fields=list(DERIVED))
    return survivor


def _restore_loser(loser, done, remark):
    was = done.kept["loser"]
    owner = User.objects.filter(pk=was["owner"], is_active=True).first()
    if owner is not None:
        ownership.set_owner(loser, owner, by=None, reason=remark[:255], how=OwnerChange.UNMERGED)
        for person in User.objects.filter(pk__in=was["team"], is_active=True):
            ownership.add_collaborator(loser, person, by=None, level=was["team"][str(person.pk)])
    loser.refresh_from_db()
    if owner is not None or was["owner"] is None:
        loser.owned_since = parse_datetime(was["owned_since"])
        loser.protected_until = was["protected_until"] and parse_date(was["protected_until"])
    for name, value in was["derived"].items():
        setattr(loser, name, value and parse_datetime(value))
    names = ["owned_since", "protected_until", *DERIVED]
    loser.save(update_fields=names, remark=remark)
