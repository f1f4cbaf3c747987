"""Keeping the entries right.

Whoever writes records writes their entries in the same transaction, as text only: that is cheap, seen at once, also by
the writer himself, and undone with the rest. Entering the tokens into the full-text table costs the database a hundred
times as much and is nobody's wait: ``settle`` does it afterwards. A search reads both.
"""

from collections.abc import Iterator

from django.db import connection, transaction

from crm import bulk, jobs
from crm.models import SearchEntry
from crm.search.registry import Declaration, declaration_of, declarations, existing
from crm.search.tokens import dialled, squeeze, tokens

TOKENS = "crm_searchtokens"
CHUNK = 1000
SETTLE_CHUNK = 500
MANY = 500  # from so many records at once, settling does not wait for its hour
JOB = "search.settle"


def follow(instance, changes=None) -> None:
    """After ``instance`` was saved, renew what shows it. ``changes``: ``{field: [old, new]}``, None if it is new."""
    model, created = instance._meta.concrete_model, changes is None
    for declared in declarations():
        if declared.model is model and (created or declared.watched & changes.keys()):
            _renew(declared, [instance.pk])
        for part in declared.parts:
            if part.model is model and (created or part.watched & changes.keys()):
                former = [] if created else changes.get(part.link, [])
                _renew(declared, {getattr(instance, f"{part.link}_id"), *former} - {None})
        for parent, link, name in declared.parents:
            if parent is model and not created and {name, "is_valid"} & changes.keys():
                _renew(declared, _linked(declared.model, link, [instance.pk], "pk"))


def refresh(model, ids) -> None:
    """After the records ``ids`` of ``model`` were written set-wise: renew their entries and those that show them."""
    for declared in declarations():
        if declared.model is model:
            _renew(declared, ids)
        for part in declared.parts:
            if part.model is model:
                _renew(declared, _linked(model, "pk", ids, f"{part.link}_id"))
        for parent, link, _ in declared.parents:
            if parent is model:
                _renew(declared, _linked(declared.model, link, ids, "pk"))


def forget(model, rows) -> None:
    """After ``rows`` (``{attname: value}``, with id) of ``model`` were deleted for good."""
    for declared in declarations():
        if declared.model is model:
            _drop([declared.base + row["id"] for row in rows])
        for part in declared.parts:
            if part.model is model:
                _renew(declared, {row[f"{part.link}_id"] for row in rows})


def _linked(model, name, ids, wanted) -> set[int]:
    found = set()
    for chunk in _chunked(ids):
        found.update(model._base_manager.filter(bulk.among(name, chunk)).order_by().values_list(wanted, flat=True))
    return found - {None}


def _chunked(ids) -> Iterator[list[int]]:
    ids = sorted(set(ids))
    for start in range(0, len(ids), CHUNK):
        yield ids[start : start + CHUNK]


def _renew(declared: Declaration, ids, *, anew=False) -> None:
    """Write the entries of the records ``ids`` as they should be; ``anew``, also those that already are."""
    many = 0
    for chunk in _chunked(ids):
        base = declared.base
        with transaction.atomic(savepoint=False):
            # locked before the records are read: two contacts saved at once would each leave the other one out
            entries = SearchEntry.objects.select_for_update().filter(bulk.among("pk", [base + pk for pk in chunk]))
            known = dict(entries.order_by("pk").values_list("pk", "text"))
            texts = {base + pk: text for pk, text in _texts(declared, chunk).items()}
            _drop(known.keys() - texts.keys())
            changed = [
                {"id": key, "text": text, "is_settled": False}
                for key, text in texts.items()
                if anew or known.get(key) != text
            ]
            bulk.write_rows(SearchEntry, SearchEntry._meta.concrete_fields, changed, replace=True)
        many += len(changed)
    if many >= MANY and not anew:
        transaction.on_commit(_settle_soon, robust=True)


def _settle_soon():
    jobs.enqueue(JOB, by=None, key=JOB)


def _texts(declared: Declaration, ids) -> dict[int, str]:
    """``{record id: text}`` of those of the records ``ids`` that were not removed."""
    names = ["pk", *declared.fields, *(f"{name}_key" for name in declared.phones)]
    records = existing(declared.model._base_manager).filter(bulk.among("pk", ids)).values_list(*names)
    lines = {pk: _lines(values, len(declared.fields)) for pk, *values in records}
    for part in declared.parts:
        names = [f"{part.link}_id", *part.fields, *(f"{name}_key" for name in part.phones)]
        parts = existing(part.model._base_manager).filter(bulk.among(part.link, ids)).order_by("pk")
        for pk, *values in parts.values_list(*names):
            if pk in lines:
                lines[pk] += _lines(values, len(part.fields))
    return {pk: _joined(found) for pk, found in lines.items()}


def _lines(values, fields) -> list[str]:
    return [squeeze(value) for value in values[:fields]] + [dialled(key) for key in values[fields:] if key]


def _joined(lines) -> str:
    """The lines in their order, without what another line says already."""
    text = ""
    for line in lines:
        if line not in text:
            text = f"{text}\n{line}" if text else line
    return text


def _drop(keys) -> None:
    for chunk in _chunked(keys):
        marks = ", ".join(["%s"] * len(chunk))
        with connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {TOKENS} WHERE rowid IN ({marks})", chunk)  # noqa: S608
        SearchEntry.objects.filter(bulk.among("pk", chunk))._raw_delete(connection.alias)


def settle() -> int:
    """Enter the tokens of the next entries that lack them; gives how many these were, 0 when there is nothing left."""
    with transaction.atomic():
        skip = connection.features.has_select_for_update_skip_locked
        waiting = SearchEntry.objects.select_for_update(skip_locked=skip).filter(is_settled=False).order_by("pk")
        rows = list(waiting.values_list("pk", "text")[:SETTLE_CHUNK])
        if rows:
            with connection.cursor() as cursor:
                cursor.executemany(
                    f"REPLACE INTO {TOKENS} (rowid, tokens) VALUES (%s, %s)",  # noqa: S608
                    [(pk, " ".join(tokens(text))) for pk, text in rows],
                )
            SearchEntry.objects.filter(bulk.among("pk", [pk for pk, _ in rows])).update(is_settled=True)
    return len(rows)


def rebuild(model) -> int:
    """Write all entries of ``model`` anew, chunk by chunk, and drop those without a record; gives how many are left.

    The search goes on meanwhile. ``settle`` and ``tidy`` are left to the caller.
    """
    declared = declaration_of(model)
    for chunk in _by_key(model._base_manager):
        _renew(declared, chunk, anew=True)
    entries = SearchEntry.objects.filter(pk__range=declared.range)
    for chunk in _by_key(entries):
        ids = {pk - declared.base for pk in chunk}
        known = model._base_manager.filter(bulk.among("pk", sorted(ids))).order_by().values_list("pk", flat=True)
        _drop([declared.base + pk for pk in ids.difference(known)])
    return entries.count()


def _by_key(rows) -> Iterator[list[int]]:
    """The primary keys of ``rows`` in chunks."""
    keys = rows.order_by("pk").values_list("pk", flat=True)
    chunk = list(keys[:CHUNK])
    while chunk:
        yield chunk
        chunk = list(keys.filter(pk__gt=chunk[-1])[:CHUNK])


def tidy() -> None:
    """Rid the full-text table of what was replaced and deleted. Reading goes on meanwhile, settling waits."""
    with connection.cursor() as cursor:
        if connection.vendor == "mysql":
            cursor.execute(f"OPTIMIZE TABLE {TOKENS}")
        else:
            cursor.execute(f"INSERT INTO {TOKENS} ({TOKENS}) VALUES ('optimize')")  # noqa: S608
