"""The panel 旧系统的值 on a record's page: what old rows said that has no home here or could not be taken as it was."""

from dataclasses import dataclass

from django.contrib.contenttypes.models import ContentType

from crm.legacy import fieldmap
from crm.legacy.tables import LABELS
from crm.models import LegacyRecord
from crm.policies import policy_for, registered

SHOWN = 20


@dataclass(frozen=True)
class OldRow:
    """``values`` is ``[(column, text)]``; ``at`` when the row came."""

    system: str
    table: str
    key: str
    at: object
    values: list
    notes: list


def of(model, user, obj) -> list[OldRow]:
    """The old rows of ``obj``, which ``user`` sees. Values of fields and of further records that he may not see stay
    out; rows that were merged into it come after the one that became it, no more than ``SHOWN`` in all."""
    kind = ContentType.objects.get_for_model(model, for_concrete_model=False)
    records = LegacyRecord.objects.filter(content_type=kind, object_id=obj.pk).select_related("load").order_by("pk")
    found = [_shown(record, model, user) for record in records[:SHOWN]]
    return [row for row in found if row.values or row.notes]


def _shown(record, model, user):
    columns = fieldmap.columns(record.system, record.table)
    hidden = {column for column in columns.values() if not _may_see(column, model, user)}
    prefixes = {word: column for column in columns.values() for word in _names(column, model)}
    notes, troubled = [], set()
    for note in record.notes:
        column = prefixes.get(fieldmap.plain(note.partition("：")[0]))
        said_as_value = column is None and fieldmap.plain(note.partition("：")[0]) in record.row
        if column not in hidden and not said_as_value:
            notes.append(note)
            troubled.add(column)
    values = []
    for name, value in record.row.items():
        column = columns.get(name)
        homeless = column is None or (column.model is None and not _is_key(record, value))
        if homeless or (column in troubled and column not in hidden):
            values.append((column.column if column else name, value))
    system = LABELS.get(record.system, record.system)
    return OldRow(system, record.table, record.key, record.load.created_at, values, notes)


def _is_key(record, value):
    return value == record.key


def _may_see(column, model, user):
    if column.model is None:
        return True
    if column.model is model:
        return column.name not in policy_for(model).hidden_fields(user)
    return column.model in registered() and policy_for(column.model).allows(user, "view")


def _names(column, model):
    """What a note about ``column`` may begin with."""
    yield fieldmap.plain(column.column)
    if column.model is not None:
        yield fieldmap.plain(column.name)
        yield fieldmap.plain(str(column.field.verbose_name))
