"""What a row of Excel means for a model: import-export resources as declarations, read by our pipeline.

A resource names its fields and its natural keys; column names are the Chinese names of the model's fields. Virtual
columns (``Companion``) write a second record beside the first, e.g. the default contact of a customer.
"""

from functools import cached_property

from import_export import fields, resources

from crm import audit
from crm.excel.widgets import CellWidget, widget_for
from crm.fields import KeyField
from crm.policies import OwnedPolicy, policy_for

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
    another customer).
    """

    companion = None
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
            self.fields[name] = Field(name, title, CellWidget(), importable=False)
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
                rows = self.model._base_manager.filter(**{f"{field.name}__in": words})
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


def register(cls):
    """Class decorator: the import pages find the resource by its model's label."""
    _resources[cls._meta.model._meta.label] = cls
    return cls


def resource_for(label) -> Resource:
    return _resources[label]()


def registered() -> dict[str, type[Resource]]:
    return dict(_resources)
