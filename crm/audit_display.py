"""Business log and versions in words: labels instead of names, choices and ids, within the rights of the reader."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from django.core.exceptions import FieldDoesNotExist
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from crm.fields import MultiChoiceField
from crm.policies import HIDDEN_LABEL, ChildPolicy, SharedPolicy, policy_for, registered

# in an import: no record on purpose, where leaving the cell blank would mean the usual one
NOBODY, NOBODY_LABEL = 0, "（无）"
EXTRA_LABELS = {"collaborators": "协作人"}


@dataclass(frozen=True)
class Change:
    field: str
    label: str
    old: str
    new: str


@dataclass(frozen=True)
class Entry:
    id: int
    time: datetime
    user_name: str
    ip: str
    operation: str
    kind: str
    record: str
    business_no: str
    version: int | None
    remark: str
    changes: list[Change]


def describe(entries, user) -> list[Entry]:
    """The log entries in words. One query per related model, whatever the number of entries."""
    entries = list(entries)
    words = Words(user)
    for entry in entries:
        model = entry.record_model
        for name, (old, new) in entry.changes.items():
            words.want(model, name, old, new)
    return [
        Entry(
            id=entry.pk,
            time=timezone.localtime(entry.created_at),
            user_name=entry.user_name,
            ip=entry.ip or "",
            operation=entry.get_operation_display(),
            kind=str(entry.record_model._meta.verbose_name),
            record=entry.object_repr,
            business_no=entry.business_no,
            version=entry.version,
            remark=entry.remark,
            changes=words.changes(entry.record_model, entry.changes),
        )
        for entry in entries
    ]


class Words:
    """Turns raw values of fields into words; ``want`` collects the related ids first so that they load together."""

    def __init__(self, user):
        self.user = user
        self._wanted = defaultdict(set)
        self._names: dict = {}

    def want(self, model, name, *values):
        field = _field(model, name)
        if field is not None and field.many_to_one:
            self._wanted[field.related_model] |= {value for value in values if value not in (None, "")}
        elif field is not None and field.many_to_many:  # ids in a preview, names in the log
            self._wanted[field.related_model] |= {pk for pks in values for pk in pks or () if isinstance(pk, int)}

    def _related(self, model, pk):
        if model not in self._names:
            self._names[model] = self._load(model)
        return self._names[model].get(pk, HIDDEN_LABEL)

    def _load(self, model):
        rows = model._base_manager.filter(pk__in=self._wanted[model])
        policy = registered().get(model)
        if policy is not None and not isinstance(policy, SharedPolicy) and self.user is not None:
            rows = policy.choices_for(self.user).filter(pk__in=self._wanted[model])
        if isinstance(policy, ChildPolicy):  # whose name they carry
            rows = rows.select_related(*policy.roots)
        return {row.pk: str(row) for row in rows}

    def text(self, model, name, value) -> str:
        field = _field(model, name)
        if value in (None, "", []):
            return ""
        if field is None:
            return "、".join(map(str, value)) if isinstance(value, list) else str(value)
        if field.many_to_one:
            return NOBODY_LABEL if value == NOBODY else self._related(field.related_model, value)
        if field.many_to_many:
            return "、".join(self._related(field.related_model, v) if isinstance(v, int) else str(v) for v in value)
        if isinstance(field, MultiChoiceField):
            return "、".join(field.labels(value))
        if field.choices:
            return str(dict(field.flatchoices).get(value, value))
        if isinstance(value, bool):
            return "是" if value else "否"
        if field.get_internal_type() == "DateTimeField":
            moment = parse_datetime(str(value))
            return timezone.localtime(moment).strftime("%Y-%m-%d %H:%M") if moment and moment.tzinfo else str(value)
        return "、".join(map(str, value)) if isinstance(value, list) else str(value)

    def changes(self, model, changes) -> list[Change]:
        hidden = (
            policy_for(model).hidden_fields(self.user) if self.user is not None and model in registered() else set()
        )
        return [
            Change(name, label_of(model, name), self.text(model, name, old), self.text(model, name, new))
            for name, (old, new) in changes.items()
            if name not in hidden
        ]


def label_of(model, name) -> str:
    field = _field(model, name)
    return str(field.verbose_name) if field is not None else EXTRA_LABELS.get(name, name)


def _field(model, name):
    try:
        return model._meta.get_field(name)
    except FieldDoesNotExist:
        return None
