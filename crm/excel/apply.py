"""Apply and undo: what was previewed is written, only onto the version that was previewed, chunk by chunk.

Rows, versions, grants, log, outcomes and the job's checkpoint of one chunk commit together, so a worker that dies loses
nothing and applies nothing twice.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import DO_NOTHING, ExpressionWrapper, F, ForeignObjectRel, TextField
from django.utils import timezone

from crm import actor, bulk
from crm.excel.check import count_kinds
from crm.excel.companion import PREFIX
from crm.excel.resource import registered, resource_for
from crm.excel.widgets import Context
from crm.models import BusinessLog, ImportBatch, ImportRow, Operation
from crm.policies import policy_for

CHUNK = 2000
KEPT_LISTED = 500
Kind, Outcome, State = ImportRow.Kind, ImportRow.Outcome, ImportBatch.State


def tag(batch) -> str:
    """What marks the log entries and versions of a batch."""
    return f"import:{batch.pk}"


@dataclass(slots=True)
class Staged:
    """What a staged row says, on its way into the database."""

    pk: int
    number: int
    kind: int
    target_id: int | None
    target_version: int | None
    values: dict | str  # JSON until it is prepared
    changes: dict | str


def pending(batch, after=0) -> list[Staged]:
    """The next rows of ``batch`` that are to be written."""
    rows = ImportRow.objects.filter(
        batch=batch, kind__in=[Kind.NEW, Kind.CHANGED], outcome=Outcome.PENDING, number__gt=after
    )
    texts = {f"{name}_text": ExpressionWrapper(F(name), TextField()) for name in ("values", "changes")}
    names = ("pk", "number", "kind", "target_id", "target_version", "values_text", "changes_text")
    return [Staged(*row) for row in rows.annotate(**texts).order_by("number").values_list(*names)[:CHUNK]]


@dataclass
class Plan:
    """A chunk of rows with everything done that needs no database."""

    fresh: list[Staged]
    changed: list[Staged]
    insertion: bulk.Insertion | None


class Applier:
    def __init__(self, batch, user):
        self.batch, self.user = batch, user
        self.resource = resource_for(batch.resource)
        self.model = self.resource.model
        self.context = Context(user)
        self.defaults = self.resource.new_defaults(user)
        self.companion = self.resource.companion
        filled = (*batch.mapping.values(), *batch.options.get("defaults", ()))
        self.has_parts = any(name.startswith(PREFIX) for name in filled)

    def prepare(self, rows: list[Staged]) -> Plan:
        """Asks no database: the next chunk is prepared by a second thread while the database writes this one."""
        for row in rows:
            row.values, row.changes = json.loads(row.values), json.loads(row.changes)
        fresh = [row for row in rows if row.kind == Kind.NEW]
        insertion = None if self.resource.one_by_one else self._insertion(fresh)
        return Plan(fresh, [row for row in rows if row.kind == Kind.CHANGED], insertion)

    def _insertion(self, staged):
        rows, many = [], []
        for row in staged:
            flat, related = self.resource.to_row(self.defaults | row.values)
            rows.append(flat)
            many.append(related)
        return bulk.Insertion(self.model, rows, many if any(many) else None) if rows else None

    def write(self, plan: Plan) -> None:
        """Write what was planned in the caller's transaction and note what became of each row."""
        refused = self._insert(plan) | self._update(plan.changed)
        rows = sorted(plan.fresh + plan.changed, key=lambda row: row.number)
        if not refused:
            # those between are not to be written at all, and have other kinds
            chunk = ImportRow.objects.filter(batch=self.batch, kind__in=[Kind.NEW, Kind.CHANGED])
            chunk.filter(number__range=(rows[0].number, rows[-1].number)).update(outcome=Outcome.APPLIED)
            return
        applied = [row.pk for row in rows if row.pk not in refused]
        ImportRow.objects.filter(pk__in=applied).update(outcome=Outcome.APPLIED)
        problems = [
            ImportRow(pk=pk, outcome=Outcome.REFUSED, problems=[{"index": None, "name": None, "text": text}])
            for pk, text in refused.items()
        ]
        ImportRow.objects.bulk_update(problems, ["outcome", "problems"])

    def _insert(self, plan) -> dict[int, str]:
        staged, insertion = plan.fresh, plan.insertion
        if not staged:
            return {}
        if not self.resource.policy.allows(self.user, "add"):
            return {row.pk: "没有新增权限。" for row in staged}
        keys = {row.pk: self.resource.key_of(row.values) for row in staged}
        taken = self.resource.find({key for key in keys.values() if key})
        refused = self._broken_rules((row, None) for row in staged)
        refused |= {row.pk: "检查之后已有同样的记录，请重新导入以更新它。" for row in staged if taken.get(keys[row.pk])}
        if refused:
            staged = [row for row in staged if row.pk not in refused]
            insertion = self._insertion(staged) if not self.resource.one_by_one else None
        if self.resource.one_by_one:
            return refused | self._create_each(staged)
        if insertion is not None:
            insertion.complete(self.resource.fill_blanks)
            insertion.write()
            self._companions(zip(insertion.rows, staged, strict=True))
        return refused

    def _create_each(self, staged) -> dict[int, str]:
        refused = {}
        for row in staged:
            try:
                with transaction.atomic():
                    self.resource.create(row.values, by=self.user)
            except ValidationError as error:
                refused[row.pk] = "；".join(error.messages)
            except PermissionDenied as error:
                refused[row.pk] = str(error) or "没有权限。"
        return refused

    def _update(self, staged) -> dict[int, str]:
        if not staged:
            return {}
        stored = bulk.stored_rows(self.model, [row.target_id for row in staged], lock=True)
        allowed = set(
            self.resource.policy.visible_to(self.user, "change")
            .filter(pk__in=stored.keys())
            .values_list("pk", flat=True)
        )
        refused = self._broken_rules((row, stored[row.target_id]) for row in staged if row.target_id in stored)
        rows, changes, many, kept = [], [], [], []
        for row in staged:
            target = stored.get(row.target_id)
            if row.pk in refused:
                continue
            if target is None or row.target_id not in allowed:
                refused[row.pk] = "检查之后记录已被移交或删除，没有更新。"
            elif target["lock_version"] != row.target_version:
                refused[row.pk] = "检查之后记录已被他人修改，没有更新；请重新导入以核对差异。"
            else:
                flat, related = self.resource.to_row(row.values)
                own = {name: change for name, change in row.changes.items() if not name.startswith(PREFIX)}
                kept.append((target, row))
                if own:
                    target |= flat
                    self.resource.derive(target)
                    rows.append(target)
                    changes.append(self._log_words(own))
                    many.append({name: ids for name, ids in related.items() if name in own})
        bulk.update(self.model, rows, changes, m2m=many if any(many) else None)
        self._companions(kept)
        return refused

    def _broken_rules(self, pairs) -> dict[int, str]:
        """What the rules over several columns say of the rows now, in the transaction that writes them."""
        found = ((row.pk, self.resource.check_row(row.values, stored, self.context)) for row, stored in pairs)
        return {
            pk: "；".join(self._worded(name, text) for name, text in problems) for pk, problems in found if problems
        }

    def _worded(self, name, text):
        return f"{self.resource.fields[name].column_name}{text}" if name else text

    def _log_words(self, changes):
        """Many-to-many values are logged by their names, as ``save`` logs them."""
        worded = dict(changes)
        for name in self.resource.many & changes.keys():
            model = self.model._meta.get_field(name).related_model
            old, new = changes[name]
            names = {row.pk: str(row) for row in model._base_manager.filter(pk__in={*(old or ()), *(new or ())})}
            worded[name] = [sorted(names[pk] for pk in ids or ()) for ids in (old, new)]
        return worded

    def _companions(self, pairs):
        if self.companion is None or not self.has_parts:
            return
        items = [(row, given) for row, staged in pairs if (given := self.companion.given(staged.values))]
        if items and policy_for(self.companion.model).allows(self.user, "add"):
            self.companion.write(items)


def run_apply(run) -> dict:
    """Job handler: write the staged rows of the batch named in the job's parameters."""
    batch = ImportBatch.objects.get(pk=run.job.params["batch"])
    done = run.checkpoint.get("done", 0)
    applier = Applier(batch, run.user)
    with (
        actor.acting(run.user, batch=tag(batch), reason=f"Excel 导入：{batch.file_name}"[:100]),
        ThreadPoolExecutor(1) as ahead,
    ):
        rows = pending(batch, after=run.checkpoint.get("number", 0))
        planned = ahead.submit(applier.prepare, rows)
        while rows:
            plan, last, done = planned.result(), rows[-1].number, done + len(rows)
            rows = pending(batch, after=last)
            planned = ahead.submit(applier.prepare, rows)
            with run.chunk(done=done, checkpoint={"number": last, "done": done}, message=f"已导入 {done} 行"):
                applier.user = applier.context.user = run.user
                applier.write(plan)
    with run.chunk(done=done, checkpoint={}, message="导入完成"):
        _finish(batch, State.APPLIED)
    return {"batch": batch.pk}


def _finish(batch, state):
    counts = batch.counts | count_kinds(batch)
    for outcome in (Outcome.APPLIED, Outcome.REFUSED):
        counts[f"outcome_{outcome.name.lower()}"] = ImportRow.objects.filter(batch=batch, outcome=outcome).count()
    counts["applied_new"] = ImportRow.objects.filter(batch=batch, outcome=Outcome.APPLIED, kind=Kind.NEW).count()
    ImportBatch.objects.filter(pk=batch.pk).update(state=state, counts=counts, finished_at=timezone.now())


# --- Undo ------------------------------------------------------------------------------------------------------------


def run_undo(run) -> dict:
    """Job handler: take back what the batch did to every record that nobody has touched since.

    New records and their grants go, changed ones get their former values again; history and log gain entries. Records
    changed in between, or with new records hanging on them, are left and listed in the batch's counts.
    """
    batch = ImportBatch.objects.get(pk=run.job.params["batch"])
    entries = entries_of(batch)
    last = entries.order_by("-pk").values_list("pk", flat=True).first() or 0
    step = run.checkpoint or {"before": last + 1, "undone": 0, "kept": []}
    with actor.acting(run.user, batch=f"undo:{batch.pk}", reason=f"撤销导入：{batch.file_name}"[:100]):
        while chunk := list(
            entries.filter(pk__lt=step["before"]).select_related("content_type").order_by("-pk")[:CHUNK]
        ):
            step = {**step, "before": chunk[-1].pk}
            with run.chunk(done=step["undone"] + len(chunk), checkpoint=step, message="正在撤销"):
                kept = undo_entries(chunk, run.user)
                step["undone"] += len(chunk) - len(kept)
                step["kept"] = (step["kept"] + kept)[:KEPT_LISTED]
    with run.chunk(done=step["undone"], checkpoint={}, message="撤销完成"):
        batch.counts |= {"undone": step["undone"], "kept": step["kept"]}
        _finish(batch, State.UNDONE)
    return {"batch": batch.pk, "undone": step["undone"]}


def entries_of(batch):
    """The log entries of what the batch wrote."""
    return BusinessLog.objects.filter(batch=tag(batch), operation__in=[Operation.CREATE, Operation.UPDATE])


def undo_entries(entries, user) -> list[str]:
    """Undo log entries, newest first, in the caller's transaction; gives the names of what had to be left."""
    groups: dict = {}
    for entry in entries:
        groups.setdefault((entry.content_type.model_class(), entry.operation), []).append(entry)
    kept = []
    for (model, operation), group in groups.items():
        stored = bulk.stored_rows(model, [entry.object_id for entry in group], lock=True)
        allowed = set(policy_for(model).visible_to(user, "change").filter(pk__in=stored).values_list("pk", flat=True))
        untouched = [
            entry
            for entry in group
            if entry.object_id in allowed and stored[entry.object_id]["lock_version"] == entry.version
        ]
        if operation == Operation.CREATE:
            hanging = _with_parts(model, [entry.object_id for entry in untouched])
            untouched = [entry for entry in untouched if entry.object_id not in hanging]
            bulk.delete(model, [stored[entry.object_id] for entry in untouched])
        else:
            untouched = _restorable(model, stored, untouched, user)
            _restore(model, [(stored[entry.object_id], entry.changes) for entry in untouched])
        left = {entry.pk for entry in group} - {entry.pk for entry in untouched}
        kept += [entry.object_repr for entry in group if entry.pk in left]
    return kept


def _with_parts(model, ids) -> set[int]:
    """Those of ``ids`` on which other records hang."""
    hanging: set[int] = set()
    own = {field.remote_field.through for field in model._meta.many_to_many}
    grants = getattr(policy_for(model), "grants", None)
    for relation in model._meta.get_fields(include_hidden=True):
        if not isinstance(relation, ForeignObjectRel) or relation.related_model in own | {grants}:
            continue
        if relation.many_to_many or relation.on_delete is DO_NOTHING:
            continue
        column = relation.field.attname
        hanging |= set(
            relation.related_model._base_manager.filter(**{f"{column}__in": ids}).values_list(column, flat=True)
        )
    return hanging


def _restorable(model, stored, entries, user) -> list:
    """Those of ``entries`` whose former values ``user`` could write today."""
    if model._meta.label not in registered():
        return entries
    resource, context = resource_for(model._meta.label), Context(user)
    return [entry for entry in entries if not resource.check_row(_former(entry), stored[entry.object_id], context)]


def _former(entry) -> dict:
    """The values before ``entry``, related ones by id."""
    model = entry.content_type.model_class()
    return {
        name: _ids_by_label(model._meta.get_field(name).related_model, old)
        if model._meta.get_field(name).many_to_many
        else old
        for name, (old, _) in entry.changes.items()
    }


def _restore(model, items) -> None:
    """Write the former values of ``[(stored row, {field: [old, new]}), …]``."""
    rows, changes, many = [], [], []
    for row, difference in items:
        own, m2m = {}, {}
        for name, (old, new) in difference.items():
            field = model._meta.get_field(name)
            own[name] = [new, old]
            if field.many_to_many:
                m2m[name] = _ids_by_label(field.related_model, old)
            else:
                row[field.attname] = old if old is not None or field.null else field.get_default()
        rows.append(row)
        changes.append(own)
        many.append(m2m)
    bulk.update(model, rows, changes, m2m=many if any(many) else None, remark="撤销导入")


def _ids_by_label(model, labels) -> list[int]:
    return [row.pk for row in model._base_manager.all() if str(row) in set(labels or ())] if labels else []
