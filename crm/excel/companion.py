"""Columns of a second record written beside the first: the contact of a customer in the customer's own row."""

from crm import audit, bulk, text
from crm.excel.resource import Field
from crm.excel.widgets import widget_for

PREFIX = "+"


class Companion:
    """``model`` is a part of the main record through ``path``; ``names`` gives its fields and column names.

    The record is recognised among the main record's parts by phone, else by name; if none fits, it is added. Blank
    cells change nothing.
    """

    model = None
    path = ""
    names: dict[str, str] = {}
    synonyms: dict[str, tuple] = {}

    def columns(self) -> list[Field]:
        return [
            Field(
                PREFIX + name,
                title,
                widget_for(self.model._meta.get_field(name)),
                synonyms=self.synonyms.get(name, ()),
            )
            for name, title in self.names.items()
        ]

    @staticmethod
    def given(values) -> dict:
        """The companion's part of a row: its filled cells by field."""
        return {
            name[len(PREFIX) :]: value
            for name, value in values.items()
            if name.startswith(PREFIX) and value not in (None, "", [])
        }

    def stored(self, parents, *, lock=False) -> dict[int, list[dict]]:
        """``{parent id: [rows of its valid parts]}``."""
        column = f"{self.path}_id"
        query = self.model._base_manager.filter(**{f"{column}__in": parents}, is_valid=True).order_by(
            "-is_default", "pk"
        )
        query = query.select_for_update() if lock else query
        found: dict[int, list[dict]] = {}
        for row in query.values(*[field.attname for field in self.model._meta.concrete_fields]):
            found.setdefault(row[column], []).append(row)
        return found

    def match(self, given, parts) -> dict | None:
        phone = text.phone_key(given.get("mobile") or "")
        for part in parts:
            if phone and part["mobile_key"] == phone:
                return part
        name = text.fold(given.get("name") or "")
        for part in parts:
            if name and text.fold(part["name"]) == name and not (phone and part["mobile_key"]):
                return part
        return None

    def changes(self, given, part) -> dict:
        """``{"+field": [old, new]}`` of what the row would change."""
        before = bulk.states(self.model, [part])[0] if part else {}
        after = {name: audit.json_value(value) for name, value in given.items()}
        return {PREFIX + name: change for name, change in audit.diff({n: before.get(n) for n in after}, after).items()}

    def write(self, items) -> None:
        """Write ``[(parent row, given values), …]`` after their parents, in the parents' transaction."""
        parts = self.stored([parent["id"] for parent, _ in items], lock=True)
        fresh, changed, differences = [], [], []
        for parent, given in items:
            own = parts.get(parent["id"], [])
            part = self.match(given, own)
            row = {self.model._meta.get_field(name).attname: value for name, value in given.items()}
            if part is None:
                fresh.append(self.new_row(parent, row, is_first=not own))
            elif difference := self.changes(given, part):
                part |= row
                changed.append(self.prepare(parent, part))
                differences.append({name[len(PREFIX) :]: change for name, change in difference.items()})
        bulk.insert(self.model, fresh)
        bulk.update(self.model, changed, differences)

    def new_row(self, parent, row, *, is_first) -> dict:
        row.setdefault("name", str(parent["name"])[:100])
        row |= {f"{self.path}_id": parent["id"], "is_default": is_first}
        row["default_of_id"] = parent["id"] if is_first else None
        return self.prepare(parent, row)

    def prepare(self, parent, row) -> dict:
        """Derived columns that the model's own ``save`` would set, and what ``str`` and the log read."""
        raise NotImplementedError
