"""Set-wise writing of tracked records: exactly what ``save()`` writes, at the speed of the database.

Rows go in with one multi-row statement per chunk; versions, row grants and many-to-many versions are derived from them
in SQL; the business log is written beside them. The only place besides ``save()`` that may write tracked models; a test
compares the two field by field.

A row is ``{attname: value}``; values may be given as the business log keeps them (ISO dates, decimals as text).
"""

import json
from datetime import date, datetime, time
from functools import cache, reduce
from operator import itemgetter, or_

from django.db import connection, models, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from crm import actor, audit, ownership, search
from crm.fields import KeyField, MultiChoiceField
from crm.models import BusinessLog, Operation, User
from crm.policies import ChildPolicy, OwnedPolicy, forget_shares, policy_for, walk

LONGEST_LIST = 1000
STATEMENT_BYTES = 2 * 1024 * 1024
STAMPS = {"created_at", "created_by_id", "updated_at", "updated_by_id", "lock_version"}


def insert(model, rows, *, m2m=None, remark="") -> list[int]:
    """Insert ``rows`` as new records by the current actor; gives their ids in the order of the rows.

    ``m2m`` is ``[{field: [ids]}, …]`` beside the rows. The rows are completed in place. Runs in a transaction, which
    the caller may widen.
    """
    return Insertion(model, rows, m2m).write(remark) if rows else []


class Insertion:
    """``rows`` on their way in. Making it asks no database and may be done ahead, in another thread; ``write`` writes.

    In between, rows are changed through ``complete`` alone.
    """

    def __init__(self, model, rows, m2m=None):
        self.model, self.rows, self.m2m = model, rows, m2m
        self.fields = [field for field in model._meta.concrete_fields if not field.primary_key]
        self._prepare()

    def _prepare(self):
        defaults, filled = _defaults(self.model), set().union(*self.rows)
        for row in self.rows:
            row.update(defaults | row)
        self.told = _creations(self.model, self.rows, filled, defaults)
        self.cells = {
            field.attname: _cells(field, self.rows)
            if field.attname in filled or isinstance(field, KeyField)
            else _cells(field, [defaults]) * len(self.rows)
            for field in self.fields
            if field.attname not in STAMPS
        }
        self.logged = None if self.m2m else _composed(self.told, len(self.rows))

    def complete(self, fill) -> None:
        """Let ``fill(rows)`` fill columns, such as numbers that the database gives out."""
        before = [row.copy() for row in self.rows]
        fill(self.rows)
        if self.rows != before:
            self._prepare()

    def write(self, remark="") -> list[int]:
        model, rows = self.model, self.rows
        user, now = actor.current().user, timezone.now()
        user_id = user.pk if user else None
        stamps = {"updated_at": now, "updated_by_id": user_id, "lock_version": 1}
        for row in rows:
            row.setdefault("created_at", now)
            row.setdefault("created_by_id", user_id)
            row |= stamps
        with transaction.atomic():
            self._log_m2m()
            before = _last_id(model)
            columns = [self.cells.get(field.attname) or _cells(field, rows) for field in self.fields]
            _write_cells(model, self.fields, columns)
            written = model._base_manager.filter(pk__gt=before, updated_at=now, updated_by_id=user_id)
            ids = list(written.order_by("pk").values_list("pk", flat=True))
            if len(ids) != len(rows):
                raise RuntimeError(f"{model._meta.label}: {len(rows)} rows written, {len(ids)} found")
            for row, pk in zip(rows, ids, strict=True):
                row["id"] = pk
            _write_m2m(model, rows, self.m2m)
            _derive_versions(model, ids, "+")
            _derive_grants(model, ids)
            _log(model, Operation.CREATE, rows, self.logged or _composed(self.told, len(self.rows)), remark)
            search.refresh(model, ids)
            _settle(model, rows)
        return ids

    def _log_m2m(self):
        """Many-to-many values are logged by their names."""
        for name in {name for values in self.m2m or () for name in values}:
            related = self.model._meta.get_field(name).related_model
            labels = _labels(related, [pk for values in self.m2m for pk in values.get(name, ())])
            self.told[name] = _pairs(name, [sorted(labels[pk] for pk in values.get(name) or ()) for values in self.m2m])


def update(
    model, rows, changes, *, m2m=None, operation=Operation.UPDATE, remark="", how="", keeps_stamps=False
) -> None:
    """Write full ``rows`` (each with id and the version that was read) over the stored ones.

    ``changes`` are their ``{field: [old, new]}``, as previewed and logged; ``how`` tells ``ownership.changing`` what
    kind of change an owner's is; with ``keeps_stamps`` it stays told who changed the records last, and when. The caller
    has locked the rows.
    """
    if not rows:
        return
    user, now = actor.current().user, timezone.now()
    for row in rows:
        row["lock_version"] += 1
        if keeps_stamps:
            continue
        row["updated_at"] = now
        if user is not None:
            row["updated_by_id"] = user.pk
    ids = [row["id"] for row in rows]
    with transaction.atomic():
        moved = _moved(model, rows, changes)
        _announce_owners(model, moved, remark, how)
        write_rows(model, list(model._meta.concrete_fields), rows, replace=True)
        _write_m2m(model, rows, m2m, replace=True)
        _move_grants(model, moved)
        _derive_versions(model, ids, "~")
        _log(model, operation, rows, _logged(changes), remark)
        search.refresh(model, ids)
        _settle(model, rows)


def rewrite(model, rows) -> None:
    """Write full ``rows`` of which only columns that nobody tracks have changed (sums, moments): no version, no log.

    The caller has locked them.
    """
    write_rows(model, list(model._meta.concrete_fields), rows, replace=True)


def delete(model, rows, *, remark="") -> None:
    """Delete ``rows`` (full, with id) for good, with their grants; versions and log keep what they were.

    Only for records that never counted, such as those of an import that is undone; the caller has locked them and made
    sure that nothing else hangs on them.
    """
    if not rows:
        return
    ids = [row["id"] for row in rows]
    with transaction.atomic():
        _derive_versions(model, ids, "-")
        _log(model, Operation.DELETE, rows, _logged([{}] * len(rows)), remark)
        policy = policy_for(model)
        if isinstance(policy, OwnedPolicy):
            policy.grants.objects.filter(among("content_object_id", ids))._raw_delete(connection.alias)
        for field in model._meta.many_to_many:
            through = field.remote_field.through
            through._base_manager.filter(among(f"{field.m2m_field_name()}_id", ids))._raw_delete(connection.alias)
        model._base_manager.filter(among("pk", ids))._raw_delete(connection.alias)
        search.forget(model, rows)
        _settle(model, rows)


def _settle(model, rows):
    """A model whose rows are summed up on other records says how, as its ``save`` does it: ``settle_rows(rows)``."""
    if settle := getattr(model, "settle_rows", None):
        settle(rows)


def stored_rows(model, ids, *, lock=False) -> dict[int, dict]:
    """``{id: {attname: value}}`` of stored records, locked for the caller's transaction if asked.

    A model whose rows share a sum names the records that are locked before them: ``lock_above(ids)``.
    """
    if lock and (lock_above := getattr(model, "lock_above", None)):
        lock_above(ids)
    query = model._base_manager.filter(among("pk", ids)).order_by("pk")
    query = query.select_for_update() if lock else query
    return {row["id"]: row for row in query.values(*[field.attname for field in model._meta.concrete_fields])}


def among(name, values) -> Q:
    """The condition that ``name`` is one of ``values``.

    Ids that were given out together are a range, which is much less to say and to read; of other values no list holds
    more than a thousand, since MariaDB makes a table of a longer one and reads what it should look up.
    """
    values = sorted(set(values) - {None})
    if values and isinstance(values[0], int) and values[-1] - values[0] == len(values) - 1:
        return Q(**{f"{name}__gte": values[0], f"{name}__lte": values[-1]})
    lists = [values[start : start + LONGEST_LIST] for start in range(0, len(values), LONGEST_LIST)] or [[]]
    return reduce(or_, (Q(**{f"{name}__in": each}) for each in lists))


def states(model, rows) -> list[dict]:
    """The tracked state of ``rows`` as ``crm.audit.state`` gives it for instances."""
    readers = _readers(model)
    return [{name: read(row.get(attname)) for name, attname, read in readers} for row in rows]


@cache
def _readers(model) -> list:
    """``(name, attname, function to the JSON value)`` of the tracked fields."""
    return [(field.name, field.attname, _reader(field)) for field in audit.tracked_fields(model)]


def _reader(field):
    """How the log keeps the values of ``field``; text and ids need no conversion."""
    return audit.json_value if _is_plain(field) else lambda value: audit.json_value(field.to_python(value))


def _is_plain(field) -> bool:
    plain = models.ForeignKey | models.CharField | models.TextField | models.BooleanField
    return isinstance(field, plain) and not isinstance(field, MultiChoiceField)


def _defaults(model) -> dict:
    """``{attname: value}`` of a new record nobody has filled in, without its stamps."""
    plain = [field for field in model._meta.concrete_fields if not field.primary_key and field.attname not in STAMPS]
    return {field.attname: field.get_default() for field in plain if not isinstance(field, KeyField)}


def _creations(model, rows, filled, defaults) -> dict[str, list[str]]:
    """Column by column what the log tells of new rows, which is what ``audit.diff(None, state)`` gives row by row.

    ``filled`` are the columns that differ from row to row.
    """
    told = {
        name: _pairs(name, [new]) * len(rows)
        for name, (_, new) in audit.diff(None, states(model, [defaults])[0]).items()
    }
    for field in audit.tracked_fields(model):
        if field.attname in filled and field.name != "is_valid":
            values = list(map(itemgetter(field.attname), rows))
            told[field.name] = _pairs(field.name, values if _is_plain(field) else list(map(_reader(field), values)))
    return told


def _pairs(name, values) -> list[str]:
    """``"name":[null,value],`` for each value, nothing for a value that says nothing."""
    start = f'"{name}":[null,'
    texts = _json_column(values)
    if all(values):
        return [f"{start}{text}]," for text in texts]
    return [
        "" if value is None or value is False or value == "" or value == [] else f"{start}{text}],"
        for value, text in zip(values, texts, strict=True)
    ]


def _composed(told, count) -> list:
    """The column of changes in the log as the statement takes it."""
    columns = [[""] * count, *(told[name] for name in sorted(told))]
    return _sql(["{" + "".join(parts)[:-1] + "}" for parts in zip(*columns, strict=True)])


def _labels(model, ids) -> dict[int, str]:
    return {row.pk: str(row) for row in model._base_manager.filter(pk__in=set(ids))}


# --- Statements ------------------------------------------------------------------------------------------------------


def _last_id(model) -> int:
    return model._base_manager.order_by("-pk").values_list("pk", flat=True).first() or 0


def write_rows(model, fields, rows, *, replace=False) -> None:
    """Write complete ``rows`` in multi-row statements; ``replace`` overwrites those whose id is stored."""
    if rows:
        _write_cells(model, fields, [_cells(field, rows) for field in fields], replace=replace)


def _cells(field, rows) -> list:
    """One column of ``rows`` as the statement takes it: SQL text for MySQL, else values."""
    return _sql(_column(field, rows))


def _sql(values) -> list:
    if connection.vendor != "mysql":
        return values
    kinds = set(map(type, values))
    if kinds == {str}:
        return _quoted(values)
    if kinds == {int}:
        return list(map(repr, values))
    texts = {value: _literal(value) for value in set(values)}
    return [texts[value] for value in values]


def _write_cells(model, fields, columns, *, replace=False):
    quote = connection.ops.quote_name
    names = ", ".join(quote(field.column) for field in fields)
    head = f"INSERT INTO {quote(model._meta.db_table)} ({names}) VALUES "
    tail = ""
    if replace:
        kept = [quote(field.column) for field in fields if not field.primary_key]
        if connection.vendor == "mysql":
            tail = " ON DUPLICATE KEY UPDATE " + ", ".join(f"{name} = VALUES({name})" for name in kept)
        else:
            tail = " ON CONFLICT (id) DO UPDATE SET " + ", ".join(f"{name} = excluded.{name}" for name in kept)
    with connection.cursor() as cursor:
        if connection.vendor == "mysql":
            for values in _pieces(columns):
                cursor.execute(head.encode() + values + tail.encode())
        else:
            marks = f"({', '.join(['%s'] * len(fields))})"
            cursor.executemany(head + marks + tail, list(zip(*columns, strict=True)))


def _pieces(columns):
    """The rows as SQL text, in pieces that a server takes in one packet."""
    piece, size = [], 0
    for text in map(",".join, zip(*columns, strict=True)):
        text = text.encode()
        piece.append(text)
        size += len(text)
        if size > STATEMENT_BYTES:
            yield b"(" + b"),(".join(piece) + b")"
            piece, size = [], 0
    if piece:
        yield b"(" + b"),(".join(piece) + b")"


def _literal(value) -> str:
    """SQL text of one of the few types that come here."""
    kind = type(value)
    if value is None:
        return "NULL"
    if kind is bool:
        return "1" if value else "0"
    if kind is int or kind is float:
        return repr(value)
    return _quoted([str(value)])[0]


def _quoted(values) -> list[str]:
    """SQL text of texts, a column at a time, which takes a tenth of what the driver's ``literal`` takes.

    Sound for utf8mb4 with backslash escapes, which the settings fix: no other byte ends or escapes anything.
    """
    texts = _escaped("\0".join(values)).split("\0")
    if len(texts) != len(values):
        texts = [_escaped(value).replace("\0", "\\0") for value in values]
    return [f"'{text}'" for text in texts]


def _escaped(text):
    return text.replace("\\", "\\\\").replace("'", "''")


def _column(field, rows) -> list:
    """What the database takes for ``field`` in each of ``rows``; derived keys are computed here."""
    name = field.attname
    if isinstance(field, KeyField) and field.source:
        source, normalize, limit = field.source, field.normalize, field.max_length
        return [normalize(row.get(source))[:limit] or None for row in rows]
    values = [row.get(name) for row in rows] if isinstance(field, KeyField) else list(map(itemgetter(name), rows))
    convert = _converter(field)
    return values if convert is None else [None if value is None else convert(value) for value in values]


def _converter(field):
    """How the database wants the values of ``field``; None: as they are."""
    ops = connection.ops
    if not type(field).get_prep_value.__module__.startswith("django."):
        return field.get_prep_value  # a field of our own, which knows
    if isinstance(field, models.DateTimeField):
        return cache(lambda value: ops.adapt_datetimefield_value(_moment(value)))
    if isinstance(field, models.DateField | models.TimeField):
        return lambda value: value.isoformat() if isinstance(value, date | time) else value
    if isinstance(field, models.DecimalField) and connection.vendor == "mysql":
        return str
    if isinstance(field, models.DecimalField):
        return lambda value: ops.adapt_decimalfield_value(
            field.to_python(value), field.max_digits, field.decimal_places
        )
    if isinstance(field, models.JSONField):
        return _json
    return None


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_encode_lines = json.JSONEncoder(ensure_ascii=False, separators=("\n", ":")).encode


def _json(value) -> str:
    return "{}" if value == {} else "[]" if value == [] else _encode(value)


def _json_column(values) -> list[str]:
    """The JSON of each value, by one call: a line break parts the values, and no text of JSON holds one."""
    texts = _encode_lines(values)[1:-1].split("\n")
    return texts if len(texts) == len(values) else list(map(_encode, values))


def _moment(value) -> datetime:
    return parse_datetime(value) if isinstance(value, str) else value


def _write_m2m(model, rows, m2m, *, replace=False):
    if not m2m:
        return
    quote = connection.ops.quote_name
    for name in sorted({name for values in m2m for name in values}):
        field = model._meta.get_field(name)
        through = field.remote_field.through
        near, far = field.m2m_column_name(), field.m2m_reverse_name()
        pairs = [(row["id"], pk) for row, values in zip(rows, m2m, strict=True) for pk in values.get(name, ())]
        touched = [row["id"] for row, values in zip(rows, m2m, strict=True) if name in values]
        with connection.cursor() as cursor:
            table = quote(through._meta.db_table)
            if replace and touched:
                marks = ", ".join(["%s"] * len(touched))
                cursor.execute(f"DELETE FROM {table} WHERE {quote(near)} IN ({marks})", touched)
            if pairs:
                cursor.executemany(f"INSERT INTO {table} ({quote(near)}, {quote(far)}) VALUES (%s, %s)", pairs)


def _derive_versions(model, ids, kind):
    """One version per record, copied from the stored rows."""
    manager = getattr(model, "history", None)
    if manager is None:
        return
    history = manager.model
    context, now = actor.current(), timezone.now()
    own = {field.column: field for field in model._meta.concrete_fields}
    copied = [field.column for field in history._meta.concrete_fields if field.column in own]
    stamps = {
        "history_date": connection.ops.adapt_datetimefield_value(now),
        "history_type": kind,
        "history_change_reason": context.reason[:100] or None,
        "history_user_id": context.user.pk if context.user else None,
        "ip": context.ip,
        "batch": context.batch,
    }
    quote = connection.ops.quote_name
    names = ", ".join(map(quote, [*copied, *stamps]))
    source = ", ".join([*map(quote, copied), *["%s"] * len(stamps)])
    table, target = quote(model._meta.db_table), quote(history._meta.db_table)
    where, ids = _among("r.id", ids)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {target} ({names}) SELECT {source} FROM {table} r WHERE {where} ORDER BY id",
            [*stamps.values(), *ids],
        )
        for field in history._history_m2m_fields:
            through = field.remote_field.through
            past = getattr(history, field.name).model
            near = quote(field.m2m_column_name())
            columns = ", ".join(quote(f.column) for f in through._meta.concrete_fields)
            values = ", ".join(f"t.{quote(f.column)}" for f in through._meta.concrete_fields)
            cursor.execute(
                f"INSERT INTO {quote(past._meta.db_table)} (history_id, {columns}) SELECT h.history_id, {values} "
                f"FROM {quote(through._meta.db_table)} t JOIN {table} r ON r.id = t.{near} "
                f"JOIN {target} h ON h.id = r.id AND h.lock_version = r.lock_version WHERE {where}",
                ids,
            )


def _among(column, ids) -> tuple[str, list]:
    """The condition that ``column`` is one of ``ids``; those written together are a range, which is less to say."""
    first, last = min(ids), max(ids)
    if last - first == len(ids) - 1:
        return f"{column} BETWEEN %s AND %s", [first, last]
    sizes = [len(ids[start : start + LONGEST_LIST]) for start in range(0, len(ids), LONGEST_LIST)]
    return "(" + " OR ".join(f"{column} IN ({', '.join(['%s'] * size)})" for size in sizes) + ")", ids


def _derive_grants(model, ids):
    """The rights of an owner, for the owners in the stored rows."""
    policy = policy_for(model)
    if not isinstance(policy, OwnedPolicy):
        return
    quote = connection.ops.quote_name
    table, target = quote(model._meta.db_table), quote(policy.grants._meta.db_table)
    where, ids = _among("id", ids)
    with connection.cursor() as cursor:
        for right in ownership.permission_ids(model).values():
            cursor.execute(
                f"INSERT INTO {target} (user_id, permission_id, content_object_id) "
                f"SELECT owner_id, %s, id FROM {table} WHERE {where} AND owner_id IS NOT NULL ORDER BY id",
                [right, *ids],
            )
    forget_shares()


def _moved(model, rows, changes) -> list:
    """``[(row, id of the former owner)]`` of the rows that change hands."""
    if not isinstance(policy_for(model), OwnedPolicy):
        return []
    return [(row, change["owner"][0]) for row, change in zip(rows, changes, strict=True) if "owner" in change]


def _announce_owners(model, moved, reason, how):
    """What ``ownership.set_owner`` does for one: hooks see the record with its former owner, and may set columns."""
    if not moved:
        return
    stored = model._base_manager.in_bulk([row["id"] for row, _ in moved])
    people = User.objects.in_bulk([row["owner_id"] for row, _ in moved if row["owner_id"]])
    for row, _ in moved:
        obj = stored[row["id"]]
        answers = ownership.changing.ask(obj, people.get(row["owner_id"]), reason=reason, how=how)
        for name in (name for names in answers.values() for name in names):
            attname = model._meta.get_field(name).attname
            row[attname] = getattr(obj, attname)


def _move_grants(model, moved):
    """The former owner keeps no right and the new one gets those of an owner."""
    if not moved:
        return
    policy = policy_for(model)
    for row, former in moved:
        policy.grants.objects.filter(content_object_id=row["id"], user_id__in=[former, row["owner_id"]]).delete()
    _derive_grants(model, [row["id"] for row, _ in moved])


def _logged(changes) -> list:
    """The column of ``changes`` in the log as the statement takes it."""
    return _cells(BusinessLog._meta.get_field("changes"), [{"changes": change} for change in changes])


def _log(model, operation, rows, logged, remark):
    """Log entries of the chunk. ``str()`` and ``business_no`` of the model are asked over the bare row."""
    context = actor.current()
    policy = policy_for(model)
    itself = (audit.content_type_id(model), True) if isinstance(policy, OwnedPolicy) else (None, False)
    links = [path.partition("__") for path in (policy.roots if isinstance(policy, ChildPolicy) else ())]
    linked = {step: _linked(model, step, beyond, rows) for step, _, beyond in links}
    names = {step: _linked(model, step, "", rows) for step in getattr(model, "named_by", ())}
    same = {
        "content_type_id": audit.content_type_id(model),
        "business_source": getattr(model, "business_source", 0),
        "operation": int(operation),
        "user_id": context.user.pk if context.user else None,
        "user_name": str(context.user or "系统")[:100],
        "ip": context.ip,
        "batch": context.batch,
        "remark": (remark or context.reason)[:255],
        "created_at": timezone.now(),
    }
    own = {name: [] for name in ("object_id", "object_repr", "business_no", "root_type_id", "root_id", "version")}
    for row in rows:
        bare, (root_type, is_root) = Bare(model, row), itself
        root_id = row["id"] if is_root else None
        for step in names:
            setattr(bare, step, names[step].get(row[f"{step}_id"]))
        for step, _, beyond in links:
            root = linked[step].get(row[f"{step}_id"])
            setattr(bare, step, root)
            if (root := walk(root, beyond)) is not None:
                root_type, root_id = audit.content_type_id(type(root)), root.pk
        own["object_id"].append(row["id"])
        own["object_repr"].append(str(model.__str__(bare))[:200])
        own["business_no"].append(str(getattr(bare, "business_no", "") or "")[:64])
        own["root_type_id"].append(root_type)
        own["root_id"].append(root_id)
        own["version"].append(row["lock_version"])
    fields = [field for field in BusinessLog._meta.concrete_fields if not field.primary_key]
    columns = {"changes": logged} | {name: _sql(values) for name, values in own.items()}
    columns |= {field.attname: _cells(field, [same]) * len(rows) for field in fields if field.attname in same}
    _write_cells(BusinessLog, fields, [columns[field.attname] for field in fields])


def _linked(model, step, beyond, rows) -> dict:
    """``{id: record}`` that the foreign key ``step`` of ``rows`` leads to, with what lies ``beyond`` on the way."""
    found = model._meta.get_field(step).related_model._base_manager.all()
    return (found.select_related(beyond) if beyond else found).in_bulk({row[f"{step}_id"] for row in rows} - {None})


class Bare:
    """A row of ``model`` with its columns as attributes, and the model's properties over them."""

    def __init__(self, model, row):
        self._model, self._row = model, row

    def __getattr__(self, name):
        if name in self._row:
            return self._row[name]
        found = getattr(self._model, name)
        return found.fget(self) if isinstance(found, property) else found
