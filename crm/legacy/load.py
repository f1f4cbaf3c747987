"""From staged rows to records: chunk by chunk through the fast path, or tried without writing anything."""

from contextlib import nullcontext
from decimal import Decimal

from django.db import DataError, IntegrityError, connection, models, transaction

from crm import actor, audit, bulk, text
from crm.excel import resource as resources
from crm.legacy import convert, fieldmap
from crm.legacy.context import Context
from crm.legacy.tables import Item, Table, fits, names_of, table_named, table_of_model, tables_of
from crm.models import LegacyRecord, Stamped, User

CHUNK = 500
WHOLE = 1_000_000
Outcome = LegacyRecord.Outcome
UNCHANGED, UPDATED = "unchanged", "updated"
WORDS = {**dict(Outcome.choices), UNCHANGED: "无变化", UPDATED: "已更新"}
KEPT_BACK = {"appsecret", "apptoken"}
NOT_WRITTEN = {"lock_version", "password"}
LAST_CHANGE = ("updated_at", "updated_by_id")


class Loader:
    """One table of one load."""

    def __init__(self, table: Table, source_name: str, context: Context):
        self.table, self.source, self.context = table, source_name, context
        self.model = table.model
        self.columns = fieldmap.columns(table.system, table.name)
        self.resource = _resource(self.model)
        self.named = _names_of(table)
        self.links = {fieldmap.plain(column): name for column, name in table.links.items()}
        self._spelt: dict[tuple, list[str]] = {}

    # --- Reading -----------------------------------------------------------------------------------------------------

    def items(self, rows) -> list[Item]:
        found = []
        for number, row in rows:
            raw = dict(zip(self._names(tuple(row)), row.values(), strict=True))
            found.append(Item(number, self._key(number, raw), raw))
        linked = self._linked(found)
        self.table.prepare(found, self.context)
        for item in found:
            for name, raw in item.raw.items():
                column = self.columns.get(name)
                if column is None:
                    if name not in self.columns and not convert.is_blank(raw):
                        item.notes.append(f"{name}：没有对应的字段，保留原值")
                elif column.model is not None and not convert.is_blank(raw):
                    self._take(item, name, column, raw, linked)
            self.table.adjust(item, self.context)
            if not item.refused:
                self._require(item)
        self.table.judge(found, self.context)
        return found

    def _names(self, columns) -> list[str]:
        """The plain names of ``columns`` in the field map; rows of one table have the same ones."""
        if columns not in self._spelt:
            self._spelt[columns] = names_of(self.table, columns)
        return self._spelt[columns]

    def key_of(self, number, row) -> str:
        """The old key of a staged row, or where it stands in a table that has none."""
        return self._key(number, {fieldmap.plain(name): value for name, value in row.items()})

    def _key(self, number, raw):
        return (raw.get(fieldmap.plain(self.table.key)) or f"第 {number} 行")[:190]

    def _require(self, item):
        for name in self.table.required:
            if item.values.get(name) in (None, ""):
                item.refused = item.refused or self._why_missing(item, name)

    def _why_missing(self, item, name):
        label = self.model._meta.get_field(name).verbose_name
        for column in self.columns.values():
            said = item.get(column.column)
            if column.model is self.model and column.name == name and not convert.is_blank(said):
                return (
                    f"{column.column}：“{said[:50]}”对应的{label}{'不存在' if column.field.is_relation else '读不懂'}"
                )
        return f"缺少{label}"

    def _linked(self, items) -> dict[str, dict[str, int]]:
        """``{column: {old key: id}}`` of the columns that point into other tables."""
        found = {}
        for name, column in self.columns.items():
            target = self._target(name, column)
            if target is not None:
                words, (_, _, known_by) = {item.raw.get(name) for item in items}, self._link(name)
                found[name] = (
                    self.context.named(target, known_by, words) if known_by else self.context.targets(target, words)
                )
        return found

    def _link(self, name):
        return self.links.get(name, "").partition(".")

    def _target(self, name, column) -> Table | None:
        if name in self.links:
            return table_named(self.table.system, self._link(name)[0])
        if column.model is None or not isinstance(column.field, models.ForeignKey):
            return None
        if convert.is_dictionary(column.field):
            return None
        return table_of_model(self.table.system, column.field.related_model)

    def _take(self, item, name, column, raw, linked):
        if (
            column.name in NOT_WRITTEN
            or column.column in self.table.handled
            or raw.strip() in self.table.silent.get(column.column, ())
        ):
            return
        field = column.field
        try:
            if field.many_to_many:
                item.notes.append(f"{column.column}：“{raw}”请在新系统里设置{field.verbose_name}")
                return
            value = self._pointed(name, column, raw, linked) if field.many_to_one else None
            if value is None and field.many_to_one:
                item.notes.append(f"{column.column}：找不到“{raw}”对应的{field.verbose_name}")
                return
            if value is None:
                value = convert.value_of(field, raw, column.codes)
        except convert.Unreadable as problem:
            item.notes.append(f"{column.column}：“{raw[:100]}”{problem}，保留原值")
            return
        if isinstance(value, convert.Cut):
            item.notes.append(f"{column.column}：超过 {field.max_length} 个字，已截断，原文保留在旧值里")
            value = str(value)
        values = item.values if column.model is self.model else item.parts.setdefault(column.model, {})
        values[column.name] = value

    def _pointed(self, name, column, raw, linked):
        """The id that a foreign key of ours gets from ``raw``."""
        field, raw = column.field, text.clean_text(raw)
        if convert.is_dictionary(field):
            if convert.is_key(raw) and raw not in column.codes:
                return self.context.known_item(field.type, raw)
            return self.context.item(field.type, column.codes.get(raw, raw))
        if (found := linked.get(name, {}).get(raw)) is not None:
            return found
        if name in self.links:
            return None
        if field.related_model is User:
            return None if convert.is_key(raw) else self.context.person(raw)
        return None

    # --- Writing -----------------------------------------------------------------------------------------------------

    def load(self, rows) -> list[tuple[int, str, str, str]]:
        """Load staged ``rows``; gives ``[(number, key, outcome, what there is to say)]``.

        The caller holds a transaction that commits the checkpoint as well. Rows that the database refuses are found one
        by one and left out.
        """
        with self.table.writing():
            return [outcome for wave in self._waves(rows) for outcome in self._load_wave(wave)]

    def _load_wave(self, rows):
        if not self.context.write:
            return self._load(self.items(rows))
        try:
            with transaction.atomic():
                return self._load(self.items(rows))
        except (IntegrityError, DataError):
            self.context.forget()
            return [self._load_alone(row) for row in rows]

    def _waves(self, rows):
        """Rows of a tree from the top down; those of a ring come last, and find nobody above."""
        key, above = fieldmap.plain(self.table.key), fieldmap.plain(self.table.tree)
        waiting = [(row, {fieldmap.plain(name): value for name, value in row[1].items()}) for row in rows]
        while above and waiting:
            keys = {raw.get(key) for _, raw in waiting}
            ready = [row for row, raw in waiting if raw.get(above) not in keys]
            if not ready:
                break
            yield ready
            waiting = [(row, raw) for row, raw in waiting if raw.get(above) in keys]
        if waiting:
            yield [row for row, _ in waiting]

    def _load_alone(self, row):
        try:
            with transaction.atomic():
                return self._load(self.items([row]))[0]
        except (IntegrityError, DataError) as error:
            self.context.forget()
            (item,) = self.items([row])
            item.refused = f"与已有记录冲突，数据库不接受（{error.args[-1]}）"
            known = self._known([item])
            if (record := known.get(item.key)) and record.object_id is not None:  # its change alone is refused
                return item.number, item.key, str(Outcome.REFUSED), f"{item.refused}，保留此前迁入的"
            return self._first_time([item], known)[0]

    def _known(self, items) -> dict[str, LegacyRecord]:
        keys = [item.key for item in items]
        rows = LegacyRecord.objects.filter(system=self.table.system, table=self.table.name, key__in=keys)
        return {record.key: record for record in rows}

    def _load(self, items):
        known = self._known(items)
        again = [
            (item, known[item.key]) for item in items if item.key in known and known[item.key].object_id is not None
        ]
        seen = {item.key for item, _ in again}
        outcomes = self._again(again) + self._first_time([item for item in items if item.key not in seen], known)
        return self._came(items, outcomes) if self.context.write else outcomes

    def _came(self, items, outcomes):
        """Let the table do what follows, and hear what it has to say."""
        if type(self.table).came is Table.came:
            return outcomes
        ids = self.context.targets(self.table, {item.key for item in items})
        told = self.table.came([(item, ids[item.key]) for item in items if item.key in ids], self.context)
        return [
            (number, key, outcome, "；".join(filter(None, [reason, told.get(number)])))
            for number, key, outcome, reason in outcomes
        ]

    def _first_time(self, items, known):
        refused, waiting = [item for item in items if item.refused], [item for item in items if not item.refused]
        self._remember(refused, [None] * len(refused), Outcome.REFUSED, known)
        outcomes = [(item.number, item.key, str(Outcome.REFUSED), item.refused) for item in refused]
        while waiting:
            matched, later, taken = self._match(waiting), [], set()
            created, merged = [], []
            for item, word, target in matched:
                if target is not None:
                    merged.append((item, target))
                elif word is not None and word in taken:
                    later.append(item)
                else:
                    taken.add(word)
                    created.append(item)
            outcomes += self._create(created, known)
            outcomes += self._merge(merged, known)
            waiting = later
        return outcomes

    def _match(self, items) -> list[tuple[Item, object, int | None]]:
        """``[(item, what recognises it or None, id of the record that is already there or None)]``."""
        if not self._is_recognised:
            return [(item, None, item.target) for item in items]
        words = [self._word(item) if item.target is None else None for item in items]
        asked = {word for word in words if word is not None}
        found = self._find(asked) if asked else {}
        planned = {} if self.context.write else self.context.staging.seen(self._kind, {repr(word) for word in asked})
        matched = []
        for item, word in zip(items, words, strict=True):
            ids = [pk for pk in found.get(word, ()) if pk > 0]
            target = item.target or (ids[0] if ids else planned.get(repr(word)))
            matched.append((item, word, target))
        return matched

    @property
    def _is_recognised(self):
        return self.table.is_recognised and (self.resource is not None or bool(self.table.by))

    @property
    def _kind(self):
        """Under which a dry run remembers what would recognise a record."""
        return f"{self.model._meta.label}.word"

    def _word(self, item):
        """What recognises the record of ``item``."""
        if not self.table.recognises(item):
            return None
        if self.table.by:
            word = text.fold(item.values.get(self.table.by) or "")
            return (self.table.by, word) if word else None
        return self.resource.key_of({name: audit.json_value(value) for name, value in item.values.items()})

    def _find(self, words) -> dict:
        if not self.table.by:
            return self.resource.find(words)
        found, wanted, rows = {}, {word for _, word in words}, self.model._base_manager.order_by("pk")
        if self.model._meta.get_field(self.table.by).many_to_one:
            rows = rows.filter(**{f"{self.table.by}__in": wanted}, is_valid=True)
        for pk, value in rows.values_list("pk", self.table.by):
            if (word := text.fold(value)) in wanted:
                found.setdefault((self.table.by, word), []).append(pk)
        return found

    def _rows_of(self, items):
        attnames = {field.name: field.attname for field in self.model._meta.concrete_fields}
        rows = []
        for item in items:
            rows.append({attnames[name]: value for name, value in item.values.items() if name in attnames})
        return rows

    def _create(self, items, known):
        if items and self.context.write:
            rows = self._rows_of(items)
            stamps = [(row.pop("created_at", None), row.pop("created_by_id", None)) for row in rows]
            for row, (created_at, created_by) in zip(rows, stamps, strict=True):
                row |= {"created_at": created_at} if created_at else {}
                row |= {"created_by_id": created_by} if created_by else {}
            last_changes = [{name: row.pop(name) for name in LAST_CHANGE if name in row} for row in rows]
            given = [row.copy() for row in rows]
            rows = [_defaults(self.model) | row for row in rows]
            if self.resource is not None and self.table.fills_blanks:
                self.resource.fill_blanks(rows)
            for row, old in zip(rows, given, strict=True):
                row |= old
            self.table.complete(rows, items, self.context)
            ids = self._save_each(rows) if self.table.one_by_one else self.table.insert(rows, items)
            self._keep_last_changes(ids, last_changes)
            self._insert_parts(items, ids)
            self.table.arrived(list(zip(items, ids, strict=True)), self.context)
        else:
            ids = [self.context.plan() for _ in items]
            valid = [pair for pair in zip(items, ids, strict=True) if pair[0].values.get("is_valid", True)]
            if self._is_recognised:
                self.context.staging.saw(self._kind, {repr(self._word(item)): pk for item, pk in valid})
            self.table.foreseen(list(zip(items, ids, strict=True)), self.context)
            for name in self.named:
                self.context.remember(self.table, name, [(item.values.get(name), pk) for item, pk in valid])
        self._remember(items, ids, Outcome.CREATED, known)
        return [(item.number, item.key, str(Outcome.CREATED), _told(item)) for item in items]

    def _keep_last_changes(self, ids, last_changes):
        """New records were last changed when and by whom the old rows say; where they name nobody, nobody is named."""
        told = [(pk, change) for pk, change in zip(ids, last_changes, strict=True) if change]
        if not told:
            return
        key = connection.ops.quote_name(self.model._meta.pk.column)
        quote, adapt = connection.ops.quote_name, connection.ops.adapt_datetimefield_value
        sets, values = [], []
        for name in LAST_CHANGE:
            pairs = [(pk, change.get(name)) for pk, change in told]
            if name == "updated_at":
                pairs = [(pk, adapt(moment)) for pk, moment in pairs if moment is not None]
            if pairs:
                cases = "WHEN %s THEN %s " * len(pairs)
                sets.append(f"{quote(name)} = CASE {key} {cases}ELSE {quote(name)} END")
                values += [value for pair in pairs for value in pair]
        marks = ", ".join(["%s"] * len(told))
        table = quote(self.model._meta.db_table)
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {table} SET {', '.join(sets)} WHERE {key} IN ({marks})",  # noqa: S608  names of columns
                [*values, *(pk for pk, _ in told)],
            )

    def _save_each(self, rows):
        ids = []
        for row in rows:
            obj = self.model(**row)
            obj.save()
            ids.append(obj.pk)
        return ids

    def _insert_parts(self, items, ids):
        """Records of further models beside the new ones: the bank account in a customer's row."""
        for model in {model for item in items for model in item.parts}:
            path = next(f for f in model._meta.concrete_fields if f.related_model is self.model)
            rows = []
            for item, pk in zip(items, ids, strict=True):
                if values := item.parts.get(model):
                    attnames = {field.name: field.attname for field in model._meta.concrete_fields}
                    row = {attnames[name]: value for name, value in values.items()}
                    rows.append(_defaults(model) | row | {path.attname: pk})
            resource = _resource(model)
            if resource is not None:
                resource.fill_blanks(rows)
            elif rows and "is_default" in rows[0]:
                for row in rows:
                    row |= {"is_default": True, "default_of_id": row[path.attname]}
            bulk.insert(model, rows)

    def _merge(self, pairs, known):
        """The record is there already: what it leaves blank is filled, what it says otherwise is noted."""
        compares = self.table.fills_known and not self.table.blends
        if self.context.write and pairs:
            if compares:
                self._apply(pairs, only_blanks=True)
            self.table.arrived(pairs, self.context)
        elif compares:
            self._compare(pairs)
        self._remember([item for item, _ in pairs], [target for _, target in pairs], Outcome.MERGED, known)
        return [(item.number, item.key, str(Outcome.MERGED), _told(item)) for item, _ in pairs]

    def _again(self, pairs):
        """Rows that came before: columns that changed in the old system since are taken over."""
        outcomes, updated = [], []
        for item, record in pairs:
            if all(record.row.get(name) == value for name, value in _kept(item).items()):
                outcomes.append((item.number, item.key, UNCHANGED, self._told_again(item)))
            elif record.outcome == Outcome.MERGED and not self.table.fills_known:
                outcomes.append((item.number, item.key, UNCHANGED, "原来就有的，旧系统后来的改动没有写入"))
            else:
                updated.append((item, record))
        formers = self.items([(item.number, record.row) for item, record in updated])
        for (item, _), former in zip(updated, formers, strict=True):
            item.values = {name: value for name, value in item.values.items() if former.values.get(name) != value}
            for model, values in item.parts.items():
                for name, value in values.items():
                    is_secret = name in getattr(model, "audit_secrets", ())
                    if former.parts.get(model, {}).get(name) != value and not is_secret:
                        words = f"旧系统后来改为“{value}”，请在{model._meta.verbose_name}里修改"
                        item.notes.append(f"{model._meta.get_field(name).verbose_name}：{words}")
        if not self.context.write:
            self.table.foreseen([(item, record.object_id) for item, record in updated], self.context)
        elif updated:
            if issubclass(self.model, Stamped):  # a log stays as it was written
                self._apply([(item, record.object_id) for item, record in updated], only_blanks=False)
            for item, record in updated:
                record.row, record.notes, record.load = _kept(item), item.notes, self.context.load
            LegacyRecord.objects.bulk_update([record for _, record in updated], ["row", "notes", "load"])
        return outcomes + [(item.number, item.key, UPDATED, _told(item)) for item, _ in updated]

    def _told_again(self, item) -> str:
        again = tuple(f"{column}：" for column in self.table.tells_again)
        return "；".join(note for note in item.notes if note.startswith(again)) if again else ""

    def _apply(self, pairs, *, only_blanks):
        """Write items over the records that they mean, ``[(item, id)]``."""
        rows = bulk.stored_rows(self.model, {target for _, target in pairs}, lock=True)
        before = dict(zip(rows, bulk.states(self.model, list(rows.values())), strict=True))
        sums = {pk: self._sums(row) for pk, row in rows.items()}
        for item, target in pairs:
            if target in rows:
                self._fill(item, rows[target], only_blanks=only_blanks)
        changed = []
        for pk, row in rows.items():
            difference = audit.diff(before[pk], bulk.states(self.model, [row])[0])
            now = self._sums(row)
            difference |= {name: [old, now[name]] for name, old in sums[pk].items() if old != now[name]}
            changed.append((row, difference))
        changed = [(row, difference) for row, difference in changed if difference]
        for row, _ in changed:
            if self.resource is not None:
                self.resource.derive(row)
        bulk.update(self.model, [row for row, _ in changed], [difference for _, difference in changed])

    def _compare(self, pairs):
        """Note in a dry run what the items say otherwise than the records that are here already."""
        rows = bulk.stored_rows(self.model, {target for _, target in pairs if target > 0})
        for item, target in pairs:
            if target in rows:
                self._fill(item, rows[target], only_blanks=True)

    def _label(self, field, value):
        """What people call ``value`` of ``field``."""
        if not field.many_to_one:
            return dict(field.flatchoices or ()).get(value, value)
        if isinstance(value, int) and value < 0:
            return f"新建的{field.verbose_name}"  # which only a dry run meets
        key = "label", field.related_model, value
        if key not in self.context.found:
            self.context.found[key] = field.related_model._base_manager.filter(pk=value).first() or value
        return self.context.found[key]

    def _sums(self, row) -> dict[str, str]:
        """Money that is no column of a form: the total of a document, which ``close`` brings about in its lines."""
        tracked = {field.name for field in audit.tracked_fields(self.model)}
        names = {field.name for field in self.model._meta.concrete_fields} & set(self.table.money.values())
        return {name: audit.json_value(row[name]) for name in names - tracked}

    def _fill(self, item, row, *, only_blanks):
        now = bulk.states(self.model, [row])[0]
        tracked = {field.attname: field for field in audit.tracked_fields(self.model)}
        for attname, value in self._rows_of([item])[0].items():
            field = tracked.get(attname)
            if field is None and not only_blanks and attname in self._sums(row):
                row[attname] = value
            if field is None or field.name == "owner":
                continue
            old, new = now.get(field.name), audit.json_value(value)
            if old == new:
                continue
            if only_blanks and old not in (None, "", []):
                here, there = self._label(field, old), self._label(field, new)
                item.notes.append(f"{field.verbose_name}：已有“{here}”，旧系统是“{there}”，保留已有的")
                continue
            row[attname] = value

    def _remember(self, items, ids, outcome, known):
        if not self.context.write:
            kept = zip(items, ids, strict=True)
            self.context.staging.saw(f"{self.table.name}.key", {item.key: pk for item, pk in kept if pk is not None})
            return
        kind = self.context.type_of(self.model)
        fields = [field for field in LegacyRecord._meta.concrete_fields if not field.primary_key]
        new, old = [], []
        for item, pk in zip(items, ids, strict=True):
            values = {
                "load_id": self.context.load.pk,
                "outcome": outcome,
                "content_type_id": kind.pk if pk is not None else None,
                "object_id": pk,
                "row": _kept(item),
                "notes": [item.refused, *item.notes] if item.refused else item.notes,
            }
            if record := known.get(item.key):
                record.__dict__.update(values)
                old.append(record)
            else:
                new.append({"system": self.table.system, "table": self.table.name, "key": item.key, **values})
        bulk.write_rows(LegacyRecord, fields, new)
        if old:
            names = ["load", "outcome", "content_type", "object_id", "row", "notes"]
            LegacyRecord.objects.bulk_update(old, names)


def _names_of(table) -> set[str]:
    """The fields of ``table`` by which rows of other tables mean its records."""
    links = [link.partition(".") for each in tables_of(table.system) for link in each.links.values()]
    return {name for target, _, name in links if target == table.name and name}


def _told(item) -> str:
    return "；".join(item.notes)[:1000]


def _kept(item) -> dict:
    """What the old row said, secrets left out."""
    return {name: value for name, value in item.raw.items() if value is not None and name not in KEPT_BACK}


def _resource(model):
    return resources.registered()[model._meta.label]() if model._meta.label in resources.registered() else None


def _defaults(model):
    return {
        field.attname: field.get_default()
        for field in model._meta.concrete_fields
        if not field.primary_key and field.has_default() and field.attname not in bulk.STAMPS
    }


# --- The whole of it -------------------------------------------------------------------------------------------------


def namesakes(system, staging) -> list[tuple[Table, str]]:
    """``[(table, its name in the source)]`` of the tables of ``system`` that the source has by name."""
    names = {fieldmap.plain(name): name for name in staging.tables()}
    names |= {name.lower(): name for name in staging.tables()}
    found = []
    for table in tables_of(system):
        spelt = [each.lower() for each in (table.name, *table.aliases)]
        spelt += [fieldmap.plain(each) for each in spelt]  # t_customer_link_man
        name = next((names[each] for each in spelt if each in names), None)
        if name is not None:
            found.append((table, name))
    return found


def present(context) -> list[tuple[Table, str]]:
    """``[(table, its name in the source)]`` of the tables that the source has, in the order of loading."""
    pairs = namesakes(context.system, context.staging)
    return [(table, name) for table, name in pairs if fits((table, context.staging.columns(name)))]


def run(context, job=None, *, beat=lambda done, message: None) -> None:
    """Load, or try to load, all tables, from the checkpoint of ``job`` (a ``crm.jobs.run.Run``) on.

    Each chunk commits its records, their versions, grants, log and old keys together with the checkpoint. Without a
    job, ``beat`` hears how far it is.
    """
    tables = present(context)
    context.sources = {table.name: name for table, name in tables}
    start = dict(job.checkpoint) if job is not None else {}
    done = start.get("done", 0)
    context.made |= start.get("made", {})
    for position, (table, name) in enumerate(tables):
        if position < start.get("table", 0):
            continue
        loader = Loader(table, name, context)
        is_begun = position == start.get("table", 0)
        after, closed = (start.get("after", 0), start.get("closed", 0)) if is_begun else (0, 0)
        while rows := context.staging.chunk(name, after, WHOLE if table.tree else min(table.chunk, CHUNK)):
            after, done = rows[-1][0], done + len(rows)
            checkpoint = {"table": position, "after": after, "done": done, "made": context.made}
            message = f"{table.model._meta.verbose_name}：{done} 行"
            step = job.chunk(done=done, checkpoint=checkpoint, message=message) if job is not None else nullcontext()
            with step, actor.acting(reason=f"从 {context.system} 迁入"):
                context.staging.settle(name, loader.load(rows))  # a chunk that is done again settles again
            if job is None:
                beat(done=done, message=message)
        if context.write:
            checkpoint = {"table": position, "after": after, "done": done, "made": context.made}
            _close(context, table, tables, closed, checkpoint, job)
        checkpoint = {"table": position + 1, "after": 0, "done": done, "made": context.made}
        step = job.chunk(checkpoint=checkpoint) if job is not None else nullcontext()
        if context.write:
            with step, actor.acting(reason=f"从 {context.system} 迁入"):
                table.finish(context)


def _close(context, table, tables, after, checkpoint, job):
    """Let ``table`` close its records, or those of the table that it names, piece by piece."""
    if type(table).close is Table.close:
        return
    closed = table_named(table.system, table.closes) if table.closes else table
    name = next((name for each, name in tables if each.name == closed.name), None)
    loader = Loader(closed, name, context)
    while rows := context.staging.chunk(name, after, CHUNK) if name else ():
        after = rows[-1][0]
        step = job.chunk(checkpoint=checkpoint | {"closed": after}) if job is not None else nullcontext()
        with step, actor.acting(reason=f"从 {context.system} 迁入"), transaction.atomic():
            ids = context.targets(closed, {loader.key_of(number, row) for number, row in rows}).values()
            table.close(sorted(set(ids)), context)


def sums(context) -> list[dict]:
    """Money of every table: what the old rows say, refused ones apart, and what the records say now."""
    found = []
    for table, name in present(context):
        columns = fieldmap.columns(table.system, table.name)
        for column, field_name in table.money.items():
            field = columns[fieldmap.plain(column)].field
            old = _old_sums(context, table, name, column, field)
            new = None
            if context.write:
                ids = LegacyRecord.objects.filter(
                    system=table.system, table=table.name, outcome=Outcome.CREATED
                ).values("object_id")
                total = table.model._base_manager.filter(pk__in=ids).aggregate(total=models.Sum(field_name))["total"]
                new = f"{total or Decimal(0):.2f}"
            found.append({"table": name, "column": column, **old, "now": new})
    return found


def _old_sums(context, table, name, column, field):
    """Sums of the readable cells of ``column``: of rows that became records of their own, of others, and how many
    cells could not be read."""
    created, others, unreadable, after = Decimal(0), Decimal(0), 0, 0
    apart = (Outcome.REFUSED, Outcome.MERGED)
    merged = LegacyRecord.objects.filter(system=table.system, table=table.name, outcome=Outcome.MERGED)
    merged = set(merged.values_list("key", flat=True))
    while rows := context.staging.chunk(name, after, 5000):
        after = rows[-1][0]
        outcomes = context.staging.outcomes(name, rows[0][0], after)
        spelt = dict(zip(names_of(table, rows[0][1]), rows[0][1], strict=True))
        for number, row in rows:
            raw = row.get(spelt.get(fieldmap.plain(column)))
            if convert.is_blank(raw):
                continue
            try:
                value = table.worth(column, raw, field)
            except convert.Unreadable:
                unreadable += 1
                continue
            key, outcome = outcomes.get(number, ("", ""))
            if outcome in apart or key in merged:
                others += value
            else:
                created += value
    return {"then": f"{created:.2f}", "elsewhere": f"{others:.2f}", "unreadable": unreadable}
