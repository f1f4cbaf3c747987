"""Apply and undo: what was previewed is written, only onto the version that was previewed, chunk by chunk.

Rows, versions, grants, log, outcomes and the job's checkpoint of one chunk commit together, so a worker that dies loses
nothing and applies nothing twice.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import accumulate

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import DO_NOTHING, Count, ExpressionWrapper, F, ForeignObjectRel, TextField
from django.utils import timezone

from crm import actor, audit, bulk
from crm.excel.check import count_kinds
from crm.excel.companion import PREFIX
from crm.excel.resource import registered, resource_for
from crm.excel.widgets import Context
from crm.models import BusinessLog, ImportBatch, ImportRow, Operation
from crm.policies import policy_for

CHUNK = 2000
TOGETHER = 200  # heads that are written, with all their lines, in one go
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
    key: str
    head: str


def to_write(batch):
    """The staged rows of ``batch`` that are still to be written."""
    return ImportRow.objects.filter(batch=batch, kind__in=[Kind.NEW, Kind.CHANGED], outcome=Outcome.PENDING)


def pending(batch, after=0) -> list[Staged]:
    """The next rows of ``batch`` that are to be written."""
    return staged(to_write(batch).filter(number__gt=after), CHUNK)


def staged(rows, limit=None) -> list[Staged]:
    texts = {f"{name}_text": ExpressionWrapper(F(name), TextField()) for name in ("values", "changes")}
    names = ("pk", "number", "kind", "target_id", "target_version", "values_text", "changes_text", "key", "head")
    return [Staged(*row) for row in rows.annotate(**texts).order_by("number").values_list(*names)[:limit]]


@dataclass
class Plan:
    """A chunk of rows with everything done that needs no database."""

    fresh: list[Staged]
    changed: list[Staged]
    insertion: bulk.Insertion | None = None
    stored: dict[int, dict] = field(default_factory=dict)  # what is to be changed, as it stands now, locked


def parsed(rows: list[Staged]) -> Plan:
    # one text for all: the names of the columns, which every row repeats, are made once
    for name in ("values", "changes"):
        texts = ",".join([getattr(row, name) for row in rows])
        for row, value in zip(rows, json.loads(f"[{texts}]"), strict=True):
            setattr(row, name, value)
    new, changed = ([row for row in rows if row.kind == kind] for kind in (Kind.NEW, Kind.CHANGED))
    return Plan(new, changed)


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
        plan = parsed(rows)
        plan.insertion = None if self.resource.one_by_one else self._insertion(plan.fresh)
        return plan

    def _insertion(self, staged):
        rows, many = [], []
        for row in staged:
            flat, related = self.resource.to_row(self.defaults | row.values)
            rows.append(flat)
            many.append(related)
        return bulk.Insertion(self.model, rows, many if any(many) else None) if rows else None

    def write(self, plan: Plan) -> None:
        """Write what was planned in the caller's transaction and note what became of each row."""
        refused = self.refusals(plan)
        refused |= self.store(plan, refused)
        if refused:
            self.note(plan, refused)
            return
        numbers = [row.number for row in plan.fresh + plan.changed]
        # those between are not to be written at all, and have other kinds
        chunk = ImportRow.objects.filter(batch=self.batch, kind__in=[Kind.NEW, Kind.CHANGED])
        chunk.filter(number__range=(min(numbers), max(numbers))).update(outcome=Outcome.APPLIED)

    def refusals(self, plan) -> dict[int, str]:
        """Why rows of ``plan`` cannot be written now; locks what the others change, then asks anew what the rules ask.

        Between two chunks others may have used up what was open to the rows of the file.
        """
        plan.stored = bulk.stored_rows(self.model, [row.target_id for row in plan.changed], lock=True)
        self.context.forget()
        return self._refused_new(plan.fresh) | self._refused_changes(plan)

    def store(self, plan, refused) -> dict[int, str]:
        """Write the rows that are not refused; gives those that their service refused."""
        late = self._insert(plan, refused)
        self._update(plan, refused)
        return late

    def note(self, plan, refused) -> None:
        applied = [row.pk for row in plan.fresh + plan.changed if row.pk not in refused]
        ImportRow.objects.filter(bulk.among("pk", applied)).update(outcome=Outcome.APPLIED)
        problems = [
            ImportRow(pk=pk, outcome=Outcome.REFUSED, problems=[{"index": None, "name": None, "text": text}])
            for pk, text in refused.items()
        ]
        ImportRow.objects.bulk_update(problems, ["outcome", "problems"])

    def _refused_new(self, staged) -> dict[int, str]:
        if not staged:
            return {}
        if not self.resource.policy.allows(self.user, "add"):
            return {row.pk: "没有新增权限。" for row in staged}
        keys = {row.pk: self.resource.key_of(row.values) for row in staged}
        taken = self.resource.find({key for key in keys.values() if key})
        refused = self._broken_rules((row, None) for row in staged)
        return refused | {
            row.pk: "检查之后已有同样的记录，请重新导入以更新它。" for row in staged if taken.get(keys[row.pk])
        }

    def _insert(self, plan, refused) -> dict[int, str]:
        staged = [row for row in plan.fresh if row.pk not in refused]
        if self.resource.one_by_one:
            return self._create_each(staged)
        insertion = plan.insertion if len(staged) == len(plan.fresh) else self._insertion(staged)
        if insertion is not None:
            insertion.complete(self.resource.fill_blanks)
            insertion.write()
            self._companions(zip(insertion.rows, staged, strict=True))
        return {}

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

    def _refused_changes(self, plan) -> dict[int, str]:
        if not plan.changed:
            return {}
        stored = plan.stored
        allowed = set(
            self.resource.policy.visible_to(self.user, "change")
            .filter(bulk.among("pk", stored))
            .values_list("pk", flat=True)
        )
        closed = self.resource.closed(stored.values())
        refused = self._broken_rules((row, stored[row.target_id]) for row in plan.changed if row.target_id in stored)
        for row in plan.changed:
            target = stored.get(row.target_id)
            if row.pk in refused:
                continue
            if target is not None and row.target_id in closed:
                refused[row.pk] = closed[row.target_id]
            elif target is None or row.target_id not in allowed:
                refused[row.pk] = "检查之后记录已被移交或删除，没有更新。"
            elif target["lock_version"] != row.target_version:
                refused[row.pk] = "检查之后记录已被他人修改，没有更新；请重新导入以核对差异。"
        return refused

    def _update(self, plan, refused) -> None:
        rows, changes, many, kept = [], [], [], []
        for row in plan.changed:
            if row.pk in refused:
                continue
            target = plan.stored[row.target_id]
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


class LineApplier(Applier):
    """Writes lines beside their heads, which are in the same transaction."""

    def prepare(self, rows):
        return parsed(rows)  # new lines wait for the ids of their heads

    def refusals(self, plan, new_heads=frozenset()):
        """``new_heads``: the keys of the heads that are about to be written."""
        refused = super().refusals(plan)
        heads, resource = self._heads(plan.fresh), self.resource.heads
        stored = bulk.stored_rows(resource.model, set(heads.values()), lock=True)
        change = resource.policy.visible_to(self.user, "change").filter(bulk.among("pk", stored))
        allowed, closed = set(change.values_list("pk", flat=True)), resource.closed(stored.values())
        for row in plan.fresh:
            head = heads.get(row.head)
            if row.pk in refused or (head is None and row.head in new_heads):
                continue
            if head in closed:
                refused[row.pk] = closed[head]
            elif head not in allowed:
                refused[row.pk] = "检查之后所属的单据已被移交或删除，没有导入。"
        return refused

    def store(self, plan, refused):
        self.heads = self._heads(plan.fresh)
        plan.insertion = None if refused else self._insertion(plan.fresh)
        return super().store(plan, refused)

    def _heads(self, staged) -> dict[str, int]:
        """``{key: id}`` of the stored heads of new lines."""
        keys = {row.head: self.resource.head_key(row.values) for row in staged}
        found = self.resource.heads.find(set(keys.values()))
        return {key: found[pair][0] for key, pair in keys.items() if pair in found and found[pair][0] > 0}

    def _insertion(self, staged):
        column = self.resource.head_column
        rows = [self.resource.to_row(row.values)[0] | {column: self.heads[row.head]} for row in staged]
        return bulk.Insertion(self.model, rows) if rows else None


def next_together(batch) -> tuple[list[Staged], list[Staged]]:
    """The next heads that are to be written and their lines; after those of the file, lines of stored heads alone."""
    lines = to_write(batch.lines)
    heads = staged(to_write(batch), TOGETHER)
    keys = [row.key for row in heads] or list(
        lines.order_by("head").values_list("head", flat=True).distinct()[:TOGETHER]
    )
    counts = dict(lines.filter(head__in=keys).order_by().values_list("head").annotate(n=Count("pk")))
    sizes = accumulate(counts.get(key, 0) for key in keys)
    keys = [key for place, (key, size) in enumerate(zip(keys, sizes, strict=True)) if not place or size <= CHUNK]
    return heads[: len(keys)], staged(lines.filter(head__in=keys).exclude(head=""))


def write_together(heads: Applier, lines: LineApplier, head_rows, line_rows) -> None:
    """Write heads with their lines in the caller's transaction; one that is refused stops all that belong to it."""
    above, below = heads.prepare(head_rows), lines.prepare(line_rows)
    refused = heads.refusals(above)
    refused |= lines.refusals(below, {row.key for row in above.fresh})
    stopped = {row.head or row.key for row in head_rows + line_rows if row.pk in refused} - {""}
    what = heads.resource.model._meta.verbose_name
    for row in head_rows + line_rows:
        if (row.head or row.key) in stopped:
            refused.setdefault(row.pk, f"同一{what}的表头或其他明细没有导入，这一行也没有导入。")
    for applier, plan in ((heads, above), (lines, below)):
        own = {row.pk: refused[row.pk] for row in plan.fresh + plan.changed if row.pk in refused}
        applier.store(plan, own)
        applier.note(plan, own)


def run_apply(run) -> dict:
    """Job handler: write the staged rows of the batch named in the job's parameters."""
    batch = ImportBatch.objects.get(pk=run.job.params["batch"])
    with actor.acting(run.user, batch=tag(batch), reason=f"Excel 导入：{batch.file_name}"[:100]):
        write = _apply_together if len(batch.parts) > 1 else _apply_rows
        done = write(run, batch)
    with run.chunk(done=done, checkpoint={}, message="导入完成"):
        _finish(batch, State.APPLIED)
    return {"batch": batch.pk}


def _apply_rows(run, batch) -> int:
    done, applier = run.checkpoint.get("done", 0), Applier(batch, run.user)
    with ThreadPoolExecutor(1) as ahead:
        rows = pending(batch, after=run.checkpoint.get("number", 0))
        planned = ahead.submit(applier.prepare, rows)
        while rows:
            plan, last, done = planned.result(), rows[-1].number, done + len(rows)
            rows = pending(batch, after=last)
            planned = ahead.submit(applier.prepare, rows)
            with run.chunk(done=done, checkpoint={"number": last, "done": done}, message=f"已导入 {done} 行"):
                applier.user = applier.context.user = run.user
                applier.write(plan)
    return done


def _apply_together(run, batch) -> int:
    done = run.checkpoint.get("done", 0)
    heads, lines = Applier(batch, run.user), LineApplier(batch.lines, run.user)
    while any(rows := next_together(batch)):
        done += sum(map(len, rows))
        with run.chunk(done=done, checkpoint={"done": done}, message=f"已导入 {done} 行"):
            for applier in (heads, lines):
                applier.user = applier.context.user = run.user
            write_together(heads, lines, *rows)
    return done


def _finish(batch, state):
    for part in batch.parts:
        counts = part.counts | count_kinds(part)
        for outcome in (Outcome.APPLIED, Outcome.REFUSED):
            counts[f"outcome_{outcome.name.lower()}"] = ImportRow.objects.filter(batch=part, outcome=outcome).count()
        counts["applied_new"] = ImportRow.objects.filter(batch=part, outcome=Outcome.APPLIED, kind=Kind.NEW).count()
        ImportBatch.objects.filter(pk=part.pk).update(state=state, counts=counts, finished_at=timezone.now())


# --- Undo ------------------------------------------------------------------------------------------------------------


def run_undo(run) -> dict:
    """Job handler: take back what the batch did to every record that nobody has touched since.

    New records and their grants go, changed ones get their former values again; history and log gain entries. Records
    changed in between, or with new records hanging on them, are left and listed in the batch's counts. A head and its
    lines are taken back together or not at all.
    """
    batch = ImportBatch.objects.get(pk=run.job.params["batch"])
    lines = resource_for(batch.resource).lines
    lines = lines and lines()
    step = run.checkpoint or {"before": None, "undone": 0, "kept": []}
    with actor.acting(run.user, batch=f"undo:{batch.pk}", reason=f"撤销导入：{batch.file_name}"[:100]):
        while (found := next_entries(batch, step["before"], lines))[0]:
            chunk, before = found
            step = {**step, "before": before}
            with run.chunk(done=step["undone"] + len(chunk), checkpoint=step, message="正在撤销"):
                kept = undo_entries(chunk, run.user, lines)
                step["undone"] += len(chunk) - len(kept)
                step["kept"] = (step["kept"] + kept)[:KEPT_LISTED]
    with run.chunk(done=step["undone"], checkpoint={}, message="撤销完成"):
        batch.counts |= {"undone": step["undone"], "kept": step["kept"]}
        _finish(batch, State.UNDONE)
    return {"batch": batch.pk, "undone": step["undone"]}


def entries_of(batch):
    """The log entries of what the batch wrote."""
    return BusinessLog.objects.filter(batch=tag(batch), operation__in=[Operation.CREATE, Operation.UPDATE])


def next_entries(batch, before=None, lines=None) -> tuple[list, int | None]:
    """The next entries to undo, newest first, and where those after them begin; with ``lines`` all those of a head."""
    entries = entries_of(batch).order_by("-pk")
    if lines is None:
        chunk = list((entries.filter(pk__lt=before) if before else entries)[:CHUNK])
        return chunk, chunk[-1].pk if chunk else before
    column = lines.head_column
    of_heads = entries.filter(content_type=audit.content_type_id(lines.heads.model))
    of_lines = entries.filter(content_type=audit.content_type_id(lines.model))
    rows = lines.model._base_manager.filter(pk__in=of_lines.order_by().values("object_id"))
    ids: set[int] = set()
    for found, name in ((of_heads, "object_id"), (rows, column)):
        found = found.filter(**{f"{name}__lt": before}) if before else found
        ids |= set(found.order_by(f"-{name}").values_list(name, flat=True).distinct()[:TOGETHER])
    heads = sorted(ids, reverse=True)[:TOGETHER]
    touched = rows.filter(**{f"{column}__in": heads}).values_list("pk", flat=True)
    chunk = [*of_lines.filter(object_id__in=list(touched)), *of_heads.filter(object_id__in=heads)]
    return chunk, heads[-1] if heads else before


def undo_entries(entries, user, lines=None) -> list[str]:
    """Undo log entries, newest first, in the caller's transaction; gives the names of what had to be left.

    ``lines``: the resource of the lines of these records, whose entries are all here.
    """
    groups: dict = {}
    for entry in entries:
        groups.setdefault((entry.record_model, entry.operation), []).append(entry)
    if lines is not None:  # the total that a line settles is not to be overwritten by the former state of its head
        below, above = lines.model, lines.heads.model
        updated, created = Operation.UPDATE, Operation.CREATE
        order = [(above, updated), (below, updated), (below, created), (above, created)]
        groups = {key: groups[key] for key in order if key in groups}
    stored, sound, going = {}, {}, {}
    for model, operation in sorted(groups, key=lambda key: lines is not None and key[0] is lines.model):
        ids = [entry.object_id for entry in groups[model, operation]]
        stored[model, operation] = bulk.stored_rows(model, ids, lock=True)
    for (model, operation), group in groups.items():
        sound[model, operation] = _undoable(model, operation, group, stored[model, operation], user, going)
        if operation == Operation.CREATE:
            going[model] = {entry.object_id for entry in sound[model, operation]}
    if lines is not None:
        _leave_together(lines, groups, stored, sound)
    kept = []
    for (model, operation), group in groups.items():
        rows, chosen = stored[model, operation], sound[model, operation]
        if operation == Operation.CREATE:
            bulk.delete(model, [rows[entry.object_id] for entry in chosen])
        else:
            _restore(model, [(rows[entry.object_id], entry.changes) for entry in chosen])
        left = {entry.pk for entry in group} - {entry.pk for entry in chosen}
        is_line = lines is not None and model is lines.model
        kept += [
            f"{entry.business_no} {entry.object_repr}" if is_line else entry.object_repr
            for entry in group
            if entry.pk in left
        ]
    return kept


def _undoable(model, operation, entries, stored, user, going) -> list:
    """Those of ``entries`` whose records nobody has touched since and ``user`` may write today."""
    rows = policy_for(model).visible_to(user, "change").filter(bulk.among("pk", stored))
    allowed = set(rows.values_list("pk", flat=True))
    found = [
        entry
        for entry in entries
        if entry.object_id in allowed and stored[entry.object_id]["lock_version"] == entry.version
    ]
    if operation == Operation.CREATE:
        hanging = _with_parts(model, [entry.object_id for entry in found], going)
        found = [entry for entry in found if entry.object_id not in hanging]
    return _restorable(model, operation, stored, found, user)


def _leave_together(lines, groups, stored, sound) -> None:
    """Where a head or one of its lines has to be left, the others are left too."""

    def head_of(model, operation, entry):
        row = stored[model, operation].get(entry.object_id)
        return row and row[lines.head_column if model is lines.model else "id"]

    left = {
        head_of(model, operation, entry)
        for (model, operation), group in groups.items()
        for entry in group
        if entry not in sound[model, operation]
    }
    for (model, operation), chosen in sound.items():
        sound[model, operation] = [entry for entry in chosen if head_of(model, operation, entry) not in left]


def _with_parts(model, ids, going) -> set[int]:
    """Those of ``ids`` on which other records hang, besides those that are ``going``: ``{model: ids}``."""
    hanging: set[int] = set()
    own = {field.remote_field.through for field in model._meta.many_to_many}
    grants = getattr(policy_for(model), "grants", None)
    for relation in model._meta.get_fields(include_hidden=True):
        if not isinstance(relation, ForeignObjectRel) or relation.related_model in own | {grants}:
            continue
        if relation.many_to_many or relation.on_delete is DO_NOTHING:
            continue
        column = relation.field.attname
        parts = relation.related_model._base_manager.filter(bulk.among(column, ids))
        gone = going.get(relation.related_model, ())
        hanging |= {root for pk, root in parts.values_list("pk", column) if pk not in gone}
    return hanging


def _restorable(model, operation, stored, entries, user) -> list:
    """Those of ``entries`` whose records a file may change, with former values that ``user`` could write today."""
    if model._meta.label not in registered():
        return entries
    resource, context = resource_for(model._meta.label), Context(user)
    closed = resource.closed([stored[entry.object_id] for entry in entries])
    entries = [entry for entry in entries if entry.object_id not in closed]
    if operation == Operation.CREATE:
        return entries
    return [entry for entry in entries if not resource.check_row(_former(entry), stored[entry.object_id], context)]


def _former(entry) -> dict:
    """The values before ``entry``, related ones by id."""
    model = entry.record_model
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
