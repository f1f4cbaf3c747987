"""Changes of a record and its parts as one proposal: collected, shown, checked and applied field by field.

``values`` of such a request::

    {"fields": {"name": [old, new], "tags": [[1, 2], [2]]},
     "parts": [{"model": "customers.BankAccount", "op": "change", "id": 5, "label": "招商银行 …", "fields": {…}}]}

Values are as the business log keeps them; many-to-many values are sorted ids. ``op`` is add, change or remove.
"""

from dataclasses import dataclass, field

from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import transaction

from crm import audit, records
from crm.approvals.kinds import Kind, Line, Section
from crm.audit_display import Words, label_of
from crm.models import Operation
from crm.policies import policy_for

OPERATIONS = {"add": "新增", "change": "修改", "remove": "删除"}


@dataclass
class RecordChange(Kind):
    """A change of ``model`` and of its parts. ``parts`` names the child models that may travel along, by the field
    that leads to the record; a change of those in ``free`` alone needs no request."""

    parts: dict[type, str] = field(default_factory=dict)
    free: tuple[type, ...] = ()

    def needs_request(self, values) -> bool:
        """Whether ``values`` change anything that may not be changed directly."""
        free = {model._meta.label for model in self.free}
        return bool(values["fields"]) or any(part["model"] not in free for part in values["parts"])

    def check(self, target, values, *, by):
        """What the application would refuse is refused at once: it is rehearsed and rolled back."""
        if not values["fields"] and not values["parts"]:
            raise ValidationError("没有任何改动，不需要提交。")
        with transaction.atomic():
            self._write(type(target)._base_manager.get(pk=target.pk), values, remark="")
            transaction.set_rollback(True)

    def touches(self, values):
        parts = {f"{part['model']}:{part['id']}" for part in values["parts"] if part["id"]}
        return set(values["fields"]) | parts

    def sections(self, target, values, user):
        words, present = Words(user), self._present(target, values)
        self._want(words, values, present)
        own = self._lines(words, type(target), values["fields"], present[None], user)
        sections = [Section(str(self.model._meta.verbose_name), own)] if own else []
        for position, part in enumerate(values["parts"]):
            model = apps.get_model(part["model"])
            title = f"{model._meta.verbose_name}：{OPERATIONS[part['op']]}"
            title += f"“{part['label']}”" if part["label"] and part["op"] != "add" else ""
            sections.append(Section(title, self._lines(words, model, part["fields"], present[position], user)))
        return sections

    def conflicts(self, target, values):
        words, present = Words(None), self._present(target, values)
        self._want(words, values, present)
        found = _changed(words, type(target), values["fields"], present[None])
        for position, part in enumerate(values["parts"]):
            model = apps.get_model(part["model"])
            if present[position] is None:
                found.append(f"{model._meta.verbose_name}“{part['label']}”已被删除")
            elif part["op"] != "add":
                found += _changed(words, model, part["fields"], present[position])
        return found

    def apply(self, target, values, request):
        self._write(target, values, remark=str(request))

    # --- Reading -----------------------------------------------------------------------------------------------------

    def _present(self, target, values) -> dict:
        """The present values of what is to be changed, by position of the part (None: the record itself); None for a
        part that is gone."""
        found = {None: state_of(target, values["fields"])}
        for position, part in enumerate(values["parts"]):
            if part["op"] == "add":
                found[position] = {}
                continue
            row = self._part(part, target)
            found[position] = None if row is None else state_of(row, part["fields"])
        return found

    def _part(self, part, target, *, lock=False):
        model = apps.get_model(part["model"])
        rows = model._base_manager.filter(pk=part["id"], is_valid=True, **{self.parts[model]: target})
        return (rows.select_for_update() if lock else rows).first()

    def _want(self, words, values, present):
        chosen = [(self.model, values["fields"], present[None])]
        chosen += [(apps.get_model(p["model"]), p["fields"], present[i]) for i, p in enumerate(values["parts"])]
        for model, fields, now in chosen:
            for name, (old, new) in fields.items():
                words.want(model, name, old, new, (now or {}).get(name))

    def _lines(self, words, model, fields, present, user):
        hidden = policy_for(model).hidden_fields(user)
        lines = []
        for name in sorted(fields.keys() - hidden, key=_places(model).index):
            old, new = fields[name]
            current = (present or {}).get(name, old)
            moved = current not in (old, new) and not (_blank(current) and _blank(old))
            lines.append(
                Line(
                    label_of(model, name),
                    word(words, model, name, old),
                    word(words, model, name, new),
                    word(words, model, name, current) if moved else None,
                )
            )
        return lines

    # --- Writing -----------------------------------------------------------------------------------------------------

    def _write(self, target, values, *, remark):
        m2m = set_values(target, values["fields"])
        if hasattr(target, "version_no"):
            target.version_no += 1
        validate(target, values["fields"])
        target.save(m2m=m2m, operation=Operation.UPDATE, remark=remark)
        for part in values["parts"]:
            self._write_part(part, target, remark)

    def _write_part(self, part, target, remark):
        model = apps.get_model(part["model"])
        if part["op"] == "add":
            row = model(**{self.parts[model]: target})
        else:
            row = self._part(part, target, lock=True)
            if row is None:
                raise ValidationError(f"{model._meta.verbose_name}“{part['label']}”已被删除，请撤回后重新提交。")
        if part["op"] == "remove":
            records.remove(row, by=None, reason=remark)
            return
        m2m = set_values(row, part["fields"])
        validate(row, part["fields"] if row.pk else None)
        row.save(m2m=m2m, remark=remark)


def _places(model) -> list[str]:
    """The fields in the order in which people know them."""
    return [column.name for column in model._meta.get_fields() if hasattr(column, "verbose_name")]


def state_of(row, names) -> dict:
    """The present values of ``names`` as a proposal keeps them."""
    many = {item.name for item in row._meta.many_to_many}
    found = audit.state(row, {name for name in names if name not in many})
    for name in many & set(names):
        found[name] = sorted(getattr(row, name).values_list("pk", flat=True)) if row.pk else []
    return found


def set_values(row, fields) -> dict:
    """Put the new values of a proposal on ``row``; gives its many-to-many values for ``save(m2m=…)``."""
    m2m = {}
    for name, (_, new) in fields.items():
        column = row._meta.get_field(name)
        if column.many_to_many:
            m2m[name] = list(column.related_model._base_manager.filter(pk__in=new or []))
        elif new is None and not column.null:
            setattr(row, column.attname, column.get_default() if column.has_default() else "")
        else:
            setattr(row, column.attname, column.to_python(new))
    return m2m


def validate(row, fields) -> None:
    """The rules of the model on what the proposal touches (None: everything), and those that hold in any state."""
    names = [column.name for column in row._meta.concrete_fields]
    row.full_clean(exclude=[name for name in names if fields is not None and name not in fields])


def word(words, model, name, value) -> str:
    column = model._meta.get_field(name)
    if not column.many_to_many:
        return words.text(model, name, value)
    labels = {row.pk: str(row) for row in column.related_model._base_manager.filter(pk__in=value or [])}
    return "、".join(labels.get(pk, "") for pk in value or [])


def _changed(words, model, fields, present) -> list[str]:
    found = []
    for name, (old, new) in fields.items():
        now = present.get(name)
        if now not in (old, new) and not (_blank(now) and _blank(old)):
            found.append(f"{label_of(model, name)}已变为“{word(words, model, name, now) or '空'}”")
    return found


def _blank(value) -> bool:
    return value in (None, "", [])
