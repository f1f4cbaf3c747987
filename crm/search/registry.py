"""Which records are found by what. An app declares its models in a module ``search``."""

from collections.abc import Iterator
from dataclasses import dataclass

from crm import audit

_declarations: dict[type, "Declaration"] = {}


@dataclass(frozen=True)
class Part:
    """Records by whose text fields and phones the record at ``link`` is found too."""

    model: type
    link: str
    fields: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()

    @property
    def watched(self) -> set[str]:
        return {*self.fields, *self.phones, self.link, "is_valid"}


@dataclass(frozen=True)
class Declaration:
    model: type
    fields: tuple[str, ...]
    phones: tuple[str, ...]
    keys: tuple[str, ...]
    prefix: str
    parts: tuple[Part, ...]

    @property
    def watched(self) -> set[str]:
        return {*(name.partition("__")[0] for name in self.fields), *self.phones, "is_valid"}

    @property
    def parents(self) -> Iterator[tuple[type, str, str]]:
        """``(model, link, field)`` of what is shown of another record."""
        for path in self.fields:
            link, _, name = path.partition("__")
            if name:
                yield self.model._meta.get_field(link).related_model, link, name

    @property
    def base(self) -> int:
        """What is added to the id of a record to give that of its entry: entries of one model lie side by side."""
        return audit.content_type_id(self.model) << 40

    @property
    def range(self) -> tuple[int, int]:
        first = self.base
        return first, first + (1 << 40) - 1


def register(model, *, fields, phones=(), keys=(), prefix="", parts=()) -> None:
    """Make records of ``model`` searchable.

    ``fields``: names of text fields, ``link__field`` for one of a record it belongs to; ``phones``: phone fields, each
    with its ``<name>_key`` beside it; ``keys``: ``KeyField`` columns tried first with the whole term; ``prefix``: the
    ``KeyField`` of its name, by which ``matches`` puts first what begins with the term; ``parts``: ``Part`` of other
    models. The lists of the admin find the function as ``Model.search``.
    """
    from crm.search.find import search

    _declarations[model] = Declaration(model, tuple(fields), tuple(phones), tuple(keys), prefix, tuple(parts))
    model.search = staticmethod(search)


def declaration_of(model) -> Declaration:
    """Raises KeyError for a model that no app registered."""
    return _declarations[model]


def existing(rows):
    """Those of ``rows`` (a queryset or manager) that were not removed, in no order."""
    rows = rows.order_by()
    return rows.filter(is_valid=True) if hasattr(rows.model, "is_valid") else rows


def declarations() -> list[Declaration]:
    return list(_declarations.values())
