"""What a row of Excel means for a model: import-export resources as declarations, read by our pipeline.

A resource names its fields and its natural keys; column names are the Chinese names of the model's fields. Virtual
columns (``Companion``) write a second record beside the first, e.g. the default contact of a customer.
"""

from functools import cached_property

from django.core.validators import MinValueValidator
from django.db import models
from import_export import fields, resources

from crm import audit, bulk
from crm.excel.widgets import CellWidget, widget_for
from crm.fields import KeyField
from crm.policies import OwnedPolicy, policy_for

PLACE_WORDS = ("序号", "项次", "行次", "line", "line no", "item no")
PLACE_HELP = "明细在单据里的第几行：已有的行按行号更新，新的行接着往下编；新单据的可以留空，按文件里的先后。"
_resources: dict[str, type["Resource"]] = {}


class Field(fields.Field):
    """One column. ``importable`` off: exported, but ignored when it comes back (states, stamps)."""

    def __init__(
        self, attribute, column_name, widget, *, synonyms=(), importable=True, required=False, help="", example=""
    ):
        super().__init__(attribute=attribute, column_name=column_name, widget=widget)
        self.synonyms, self.importable, self.required = tuple(synonyms), importable, required
        self.help, self.example = help, example
        self.name = attribute

    def column(self, context):
        return self.widget.column(
            self.column_name, context, required=self.required, help=self.help, example=self.example
        )


class Resource(resources.ModelResource):
    """Base of all resources; ``register`` makes it known to the import pages.

    Meta: ``model``, ``fields`` in the order of the template, ``readonly`` (exported only), ``computed`` (exported only,
    ``{name: header}`` of what ``compute`` works out), ``keys`` as pairs of field and stored key in the order in which
    they are tried, ``fixed`` (what a stored record keeps, however the file writes it), ``notes`` (more lines above the
    template), ``synonyms``, ``examples``, ``titles`` and ``cells`` (another header or widget for a field), ``guard`` (a
    field that must not differ when a record is recognised by another key, so that a wrong code does not overwrite
    another customer). ``lines`` names the resource of its lines, which fill the second sheet of the workbook.
    """

    companion = None
    lines: type["LineResource"] | None = None
    one_by_one = False  # new records are few and have rules that only their service knows: ``create`` writes each

    class Meta:
        fields = ()
        readonly = ()
        computed = {}
        keys = ()
        fixed = ()
        notes = ()
        synonyms = {}
        examples = {}
        titles = {}
        cells = {}
        guard = ""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        meta = self._meta
        names = [*meta.fields, *getattr(meta, "readonly", ())]
        self.fields = {name: self.field_from_django_field(name, meta.model._meta.get_field(name)) for name in names}
        for name, title in getattr(meta, "computed", {}).items():
            cell = getattr(meta, "cells", {}).get(name, CellWidget)
            self.fields[name] = Field(name, title, cell(), importable=False)
        if self.companion is not None:
            self.fields |= {field.name: field for field in self.companion.columns()}

    @classmethod
    def field_from_django_field(cls, field_name, django_field, readonly=False):
        """The column of a model field: import-export's own hook, with our names and widgets."""
        meta = cls._meta
        optional = django_field.blank or django_field.has_default() or django_field.many_to_many
        cell = getattr(meta, "cells", {}).get(field_name, widget_for)
        return Field(
            field_name,
            getattr(meta, "titles", {}).get(field_name, str(django_field.verbose_name)),
            cell(django_field),
            synonyms=getattr(meta, "synonyms", {}).get(field_name, ()),
            importable=field_name not in getattr(meta, "readonly", ()),
            required=not optional,
            help=str(django_field.help_text),
            example=getattr(meta, "examples", {}).get(field_name, ""),
        )

    @property
    def model(self):
        return self._meta.model

    @property
    def policy(self):
        return policy_for(self.model)

    @property
    def label(self):
        return self.model._meta.label

    def visible(self, user, *, importing=False) -> dict[str, Field]:
        """The columns that ``user`` may see (and, importing, may fill)."""
        hidden = self.policy.hidden_fields(user)
        chosen = {}
        for name, field in self.fields.items():
            if name in hidden or (importing and not field.importable):
                continue
            if name == "owner" and importing and not self.policy.allows(user, "assign"):
                continue
            chosen[name] = field
        return chosen

    def targets(self, user) -> dict[str, list[str]]:
        """``{column: [its name and synonyms]}`` for matching the headers of a file."""
        return {
            name: [field.column_name, *field.synonyms] for name, field in self.visible(user, importing=True).items()
        }

    # --- Recognising records -----------------------------------------------------------------------------------------

    @cached_property
    def key_fields(self) -> list[tuple[str, KeyField]]:
        return [(name, self.model._meta.get_field(key)) for name, key in self._meta.keys]

    def key_of(self, values) -> tuple[str, ...] | None:
        """``(stored key column, normal form)`` of the first key that the row fills; None if there is none."""
        for name, field in self.key_fields:
            if word := field.normalize(values.get(name) or "")[: field.max_length]:
                return field.name, word
        return None

    def find(self, keys) -> dict[tuple[str, str], list[int]]:
        """``{key: [ids of valid records]}``; one query per key column, over all records whoever owns them."""
        found: dict = {}
        for _, field in self.key_fields:
            words = {word for name, word in keys if name == field.name}
            if words:
                rows = self.model._base_manager.filter(bulk.among(field.name, words))
                for word, pk, valid in rows.values_list(field.name, "pk", "is_valid"):
                    found.setdefault((field.name, word), []).append(pk if valid else -pk)
        return found

    # --- Writing -----------------------------------------------------------------------------------------------------

    @cached_property
    def many(self) -> set[str]:
        return {field.name for field in self.model._meta.many_to_many}

    @cached_property
    def attnames(self) -> dict[str, str]:
        return {field.name: field.attname for field in self.model._meta.concrete_fields}

    def to_row(self, values) -> tuple[dict, dict]:
        """``values`` as a row of ``crm.bulk`` and its many-to-many ids."""
        row, many, attnames = {}, {}, self.attnames
        for name, value in values.items():
            if name in attnames:
                row[attnames[name]] = value
            elif name in self.many:
                many[name] = value
        return row, many

    def new_defaults(self, user) -> dict:
        """What a new record gets by rule, whatever the file says."""
        return {"owner": user.pk} if isinstance(self.policy, OwnedPolicy) else {}

    def create(self, values, *, by) -> None:
        """Write one new record through its service, for a resource that is ``one_by_one``; what is refused is told."""
        raise NotImplementedError

    def fill_blanks(self, rows) -> None:
        """Numbers and the like for new rows, in the transaction that writes them."""

    def derive(self, row) -> None:
        """Derived columns of a changed row that the model's own ``save`` would set."""

    def check_row(self, values, stored, context) -> list[tuple[str | None, str]]:
        """Rules over several columns: ``[(column or None, problem), …]``.

        Asked at the check and again when the row is written, with ``stored`` (None for a new record) as it is then.
        """
        return []

    def refuse_changes(self, changes, stored, context) -> str | None:
        """Why this person may not make these ``{column: [old, new]}`` to a stored record here; None: he may."""
        return None

    def closed(self, rows) -> dict[int, str]:
        """``{id: why}`` of those of the stored ``rows`` that are in no state to be changed by a file, by whomever."""
        return {}

    def empty_value(self, name):
        """What a blank cell means: the default of a new record, no change of a stored one."""
        field = self.model._meta.get_field(name)
        if field.many_to_many:
            return []
        if field.has_default():
            return audit.json_value(field.get_default())
        return None if field.null else ""

    # --- Exporting ---------------------------------------------------------------------------------------------------

    def compute(self, ids, user) -> dict[int, dict]:
        """``{id: {computed column: cell}}`` of the records ``ids`` as ``user`` may read them."""
        return {}

    def describe(self, values) -> str:
        return str(values.get("name") or values.get("code") or "")[:200]


class LineResource(Resource):
    """The lines of a head, on a sheet of their own: each names its head by number and its place in it (行号).

    Declared as ``lines`` of the head's resource. Lines have no key of their own: 行号 counts the valid lines of a head
    from 1 in the order in which they were entered. Lines that a file does not name stay as they are.
    Meta besides: ``head`` (the field that leads to the head), ``sheet`` (the name of the sheet).
    """

    class Meta(Resource.Meta):
        head = sheet = ""
        computed = {"head": "", "position": "行号"}
        keys = (("position", "position"),)
        fixed = ("head", "position")

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        number = self.heads.fields[self.number]
        place = widget_for(models.PositiveIntegerField(validators=[MinValueValidator(1)]))
        head = Field(
            "head",
            number.column_name,
            number.widget,
            synonyms=number.synonyms,
            required=True,
            help=f"本文件里的，或系统里已有的、您可以修改的{self.heads.model._meta.verbose_name}。",
            example=number.example or "",
        )
        position = Field("position", "行号", place, synonyms=PLACE_WORDS, help=PLACE_HELP, example="1")
        self.fields = {"head": head, "position": position} | {
            name: field for name, field in self.fields.items() if name not in ("head", "position")
        }

    @cached_property
    def heads(self) -> Resource:
        return resource_for(self.model._meta.get_field(self._meta.head).related_model._meta.label)

    @property
    def number(self) -> str:
        """The field of the head by which its lines name it."""
        return self.heads._meta.keys[0][0]

    @property
    def head_column(self) -> str:
        return self.model._meta.get_field(self._meta.head).attname

    def head_key(self, values) -> tuple[str, ...] | None:
        return self.heads.key_of({self.number: values.get("head")})

    def key_of(self, values):
        key, position = self.head_key(values), values.get("position")
        return ("position", *key, str(position)) if key and position else None

    def find(self, keys):
        stored = self.heads.find({key[1:-1] for key in keys})
        heads = {ids[0]: key for key, ids in stored.items() if len(ids) == 1 and ids[0] > 0}
        found = {
            ("position", *heads[head], str(place)): [pk]
            for head, lines in self.placed(heads).items()
            for place, pk in enumerate(lines, 1)
        }
        return {key: found[key] for key in keys & found.keys()}

    def placed(self, heads) -> dict[int, list[int]]:
        """``{id of a head: [ids of its valid lines in their order]}``."""
        rows = self.model._base_manager.filter(**{f"{self.head_column}__in": heads}, is_valid=True).order_by("pk")
        found: dict[int, list[int]] = {}
        for head, pk in rows.values_list(self.head_column, "pk"):
            found.setdefault(head, []).append(pk)
        return found

    def compute(self, ids, user):
        heads = dict(self.model._base_manager.filter(pk__in=ids).values_list("pk", self.head_column))
        rows = self.heads.model._base_manager.filter(pk__in=set(heads.values()))
        numbers = dict(rows.values_list("pk", self.number))
        places = {pk: at for lines in self.placed(numbers).values() for at, pk in enumerate(lines, 1)}
        return {pk: {"head": numbers[head], "position": places[pk]} for pk, head in heads.items()}

    def closed(self, rows):
        heads = {row["id"]: row[self.head_column] for row in rows}
        closed = self.heads.closed(bulk.stored_rows(self.heads.model, set(heads.values())).values())
        return {pk: closed[head] for pk, head in heads.items() if head in closed}

    def derived(self, values, stored, head, context) -> dict:
        """Values that follow from ``values`` over the ``stored`` line (None: a new one) of ``head``, a dict of fields,
        as the model's own ``save`` derives them."""
        return {}

    def describe(self, values):
        place = f" 第 {values['position']} 行" if values.get("position") else ""
        return f"{values.get('head') or ''}{place}"[:200]


def register(cls):
    """Class decorator: the import pages find the resource by its model's label."""
    _resources[cls._meta.model._meta.label] = cls
    return cls


def resource_for(label) -> Resource:
    return _resources[label]()


def registered() -> dict[str, type[Resource]]:
    return dict(_resources)
