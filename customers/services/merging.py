"""Merge 合并 of customers that are one and the same.

Everything that points to the loser goes to the survivor: ``relations`` finds the foreign keys, so that a new model is
moved without anybody thinking of it; where moving all is not it, an app says so in ``MERGES`` (``merge_parts``). Every
change of a row is written down (``Ledger``), so that ``unmerging`` can take it back.
"""

from dataclasses import dataclass, field
from functools import partial

from django.apps import apps
from django.core.exceptions import PermissionDenied
from django.db import models, transaction
from django_fsm import FSMFieldMixin

from crm import actor, approvals, audit, ownership
from crm.fields import KeyField
from crm.models import Operation, User
from crm.policies import policy_for
from crm.registries import Registry
from customers.models import Customer, CustomerMerge, OwnerChange
from customers.services import changes, pool
from customers.services.merge_ledger import MERGES, Ledger, relations, version_of

# ``{"app.Model": move(customer id, other customer id, ids=None)}`` of what is no record: the rows (or those of ``ids``)
# go from one to the other; gives the ids of those that did
JOURNALS = Registry("journals of merged customers")
# ``provider(customer ids)`` locks what is always locked before customers are
LOCKS = Registry("locks before those of customers")

MOST = 5
NOT_CHOSEN = {"code", "is_enabled", "is_closed"}
DERIVED = ("last_followed_at", "next_follow_at", "last_deal_at")


class MergeError(ValueError):
    """These customers cannot be merged, or parted, now; the message says why and what to do."""


# --- Merging ---------------------------------------------------------------------------------------------------------


def fields_for(user) -> list[models.Field]:
    """The columns of which one customer's value survives, as far as ``user`` sees them."""
    hidden = policy_for(Customer).hidden_fields(user) | NOT_CHOSEN
    return [
        column
        for column in Customer._meta.concrete_fields
        if column.editable and column.name not in hidden and not isinstance(column, KeyField | FSMFieldMixin)
        if not column.primary_key
    ]


def check(customers, survivor, *, by) -> None:
    """Refuse what cannot be merged now. Raises PermissionDenied, MergeError."""
    if not 2 <= len(customers) <= MOST:
        raise MergeError(f"请选择 2 到 {MOST} 个客户合并。")
    policy, ids = policy_for(Customer), [customer.pk for customer in customers]
    for action in ("merge", "change"):
        if policy.visible_to(by, action).filter(pk__in=ids).count() < len(ids):
            raise PermissionDenied("选中的客户里有您无权合并的。")
    if changes.is_controlled(survivor.review_status, by):
        raise MergeError(
            f"“{survivor}”已审核，合并会直接改动它的资料：请由有“直接修改已审核客户”权限的人办理，例如管理员。"
        )
    for loser in customers:
        if loser.pk == survivor.pk:
            continue
        if waiting := approvals.pending_about(loser).first():
            raise MergeError(f"“{loser}”还有审批在途（{waiting}），请先办结或撤回，再合并。")
        if survivor.owner_id is None and loser.owner_id is not None:
            raise MergeError(f"“{survivor}”在公海，“{loser}”由{loser.owner}负责：请保留有负责人的那一个，或先认领。")


@dataclass
class Outcome:
    merges: list[CustomerMerge] = field(default_factory=list)

    @property
    def moved(self) -> dict[str, int]:
        """``{kind: how many records change}``."""
        found: dict[str, int] = {}
        for row in (row for merge in self.merges for row in merge.moved):
            name = str(apps.get_model(row["model"])._meta.verbose_name)
            found[name] = found.get(name, 0) + 1
        return found

    @property
    def left(self) -> list[str]:
        return [line for merge in self.merges for line in merge.left]


def merge(customers, survivor, *, by, choices=None, reason="", rehearse=False) -> Outcome:
    """Make one of ``customers``: ``survivor`` gets everything of the others, which are removed.

    ``choices`` is ``{field: customer whose value survives}``; what it leaves out stays the survivor's. One transaction,
    which ``rehearse`` takes back at its end, so that a preview says exactly what would happen.
    Raises PermissionDenied, MergeError.
    """
    ids, allowed = sorted(customer.pk for customer in customers), {column.name for column in fields_for(by)}
    with transaction.atomic(), actor.acting(by):
        LOCKS.ask(ids)
        stored = {c.pk: c for c in Customer.objects.valid().select_for_update().filter(pk__in=ids).order_by("pk")}
        if len(stored) < len(ids) or survivor.pk not in stored:
            raise MergeError("选中的客户里有已被删除或合并的，请刷新后重选。")
        kept = stored[survivor.pk]
        check(list(stored.values()), kept, by=by)
        chosen = {name: pk.pk for name, pk in (choices or {}).items() if name in allowed and pk.pk in stored}
        outcome = Outcome()
        for pk in ids:
            if pk != kept.pk:
                names = [name for name, source in chosen.items() if source == pk]
                outcome.merges.append(_merge_one(kept, stored[pk], names, by, reason))
        if rehearse:
            transaction.set_rollback(True)
    return outcome


def _merge_one(survivor, loser, names, by, reason) -> CustomerMerge:
    ledger = Ledger(f"“{loser}”（{loser.code}）并入 {survivor.code}")
    derived = {name: [getattr(survivor, name), getattr(loser, name)] for name in DERIVED}
    was, special = _state_of(loser), dict(MERGES)
    for key, column in _ordered(relations()):
        rows = column.model._base_manager.filter(**{column.name: loser}).order_by("pk")
        rows = rows.filter(is_valid=True) if hasattr(column.model, "is_valid") else rows
        special.get(key, partial(_move, column=column.attname))(ledger, list(rows), survivor)
    team = _join_teams(survivor, loser)
    survivor.refresh_from_db()
    values = _take_values(survivor, loser, names)
    added = _take_labels(survivor, loser, ledger.remark)
    audit.record(survivor, Operation.MERGE, remark=f"并入“{loser}”（{loser.code}）{f'：{reason}' if reason else ''}")
    _retire(loser, survivor, reason)
    done = CustomerMerge(
        survivor=survivor,
        loser=loser,
        loser_name=f"{loser.name}（{loser.code}）"[:250],
        moved=ledger.written(),
        left=ledger.left,
        reason=reason.strip()[:255],
        kept={
            "values": values,
            "derived": _settle_derived(survivor, derived),
            "added": added,
            "team": team,
            "journals": JOURNALS.ask(loser.pk, survivor.pk),
            "loser": {**was, "version": version_of("customers.Customer", loser.pk)},
        },
    )
    done.save()
    return done


def _ordered(found):
    """Contacts first, since conversations and visits name them; then in the order of their names."""
    return sorted(found.items(), key=lambda item: (not item[0].startswith("customers.Contact."), item[0]))


def _move(ledger, rows, survivor, *, column):
    for row in rows:
        ledger.change(row, **{column: survivor.pk})


def _state_of(customer) -> dict:
    return {
        "owner": customer.owner_id,
        "team": {str(pk): level for pk, level in ownership.collaborators(customer).items()},
        "owned_since": customer.owned_since.isoformat(),
        "protected_until": customer.protected_until and customer.protected_until.isoformat(),
        "derived": {name: iso(getattr(customer, name)) for name in DERIVED},
    }


def _join_teams(survivor, loser) -> dict:
    """Whoever worked on the loser goes on working, beside the survivor's owner."""
    if survivor.owner_id is None:
        return {}
    present, wanted = ownership.collaborators(survivor), ownership.collaborators(loser)
    if loser.owner_id:
        wanted[loser.owner_id] = "change"
    joined = {}
    for person in User.objects.filter(pk__in=wanted, is_active=True).exclude(pk=survivor.owner_id):
        before, level = present.get(person.pk, ""), wanted[person.pk]
        if before != level and before != "change":
            ownership.add_collaborator(survivor, person, by=None, level=level)
            joined[str(person.pk)] = [before, level]
    return joined


def _take_values(survivor, loser, names) -> dict:
    values = {}
    for name in names:
        column = Customer._meta.get_field(name)
        before, after = getattr(survivor, column.attname), getattr(loser, column.attname)
        if before != after:
            values[name] = [audit.json_value(before), audit.json_value(after)]
            setattr(survivor, column.attname, after)
    return values


def _take_labels(survivor, loser, remark) -> dict:
    """Saves the survivor with the chosen values, and with the tags and categories of both."""
    many, added = {}, {}
    for name in ("tags", "categories"):
        own, other = list(getattr(survivor, name).all()), list(getattr(loser, name).all())
        if new := [item for item in other if item not in own]:
            many[name], added[name] = [*own, *new], [item.pk for item in new]
    survivor.save(m2m=many, remark=remark, operation=Operation.MERGE)
    return added


def _settle_derived(survivor, derived) -> dict:
    """The later of both follow-ups and deals; the next step of the loser where the survivor has none."""
    survivor.refresh_from_db()
    found = {}
    for name, (own, other) in derived.items():
        times = [time for time in (own, other, getattr(survivor, name)) if time is not None]
        value = max(times, default=None) if name != "next_follow_at" else getattr(survivor, name) or own or other
        setattr(survivor, name, value)
        found[name] = [iso(own), iso(value)]
    survivor.save(update_fields=list(DERIVED))
    return found


def _retire(loser, survivor, reason):
    """Owner and collaborators go with a period that says why; then the customer is removed."""
    words = f"已并入 {survivor.code}" + (f"：{reason}" if reason else "")
    if loser.owner_id is not None:
        pool.drop(loser, OwnerChange.MERGED, reason=words)
    loser.refresh_from_db()
    loser.is_valid = False
    loser.save(operation=Operation.MERGE, remark=words[:255])


def iso(moment):
    return moment and moment.isoformat()


# --- Where it went ---------------------------------------------------------------------------------------------------


def successor(pk) -> Customer | None:
    """The customer that the removed one ``pk`` is now a part of."""
    seen, found = set(), None
    while pk not in seen:
        seen.add(pk)
        merges = CustomerMerge.objects.filter(loser=pk, loser__is_valid=False, reversed_at=None)
        if (done := merges.select_related("survivor").first()) is None:
            break
        found, pk = done.survivor, done.survivor_id
    return found
