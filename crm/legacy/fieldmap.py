"""``docs/field-map.csv`` as the loaders read it: where a column of an old system lives now, how its codes translate."""

import csv
import re
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache

from django.apps import apps
from django.conf import settings

CODE = re.compile(r"([^\s;，；（）]+)=([^\s;，；（）]+)")


@lru_cache(maxsize=4096)
def plain(name) -> str:
    """``cus_manager``, ``cusManager`` and ``CUS_MANAGER`` are one name; so is ``(cusManager)``, which the map says of a
    column that the source describes without naming it."""
    return name.strip("()").replace("_", "").lower()


@dataclass(frozen=True)
class Column:
    """``model`` and ``name`` are None for a column that was replaced by something else."""

    column: str
    model: type | None
    name: str | None
    codes: dict[str, str] = field(hash=False)

    @cached_property
    def field(self):
        return self.model._meta.get_field(self.name)


@cache
def _lines() -> dict[tuple[str, str], list[Column]]:
    found: dict = {}
    with (settings.BASE_DIR / "docs" / "field-map.csv").open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            app, model, name = (line["target"].split(".") + [None] * 3)[:3]
            column = Column(
                line["column"],
                apps.get_model(app, model) if model else None,
                name,
                dict(CODE.findall(line["note"])) if model else {},
            )
            found.setdefault((line["system"], line["table"]), []).append(column)
    return found


def columns(system, table) -> dict[str, Column]:
    """``{plain name: column}`` of ``table``; empty for a table that the map does not know."""
    return {plain(column.column): column for column in _lines().get((system, table), ())}


def columns_in_order(table) -> list[str]:
    """The columns of the first system that has a table of this name, as its document lists them."""
    for (_, name), columns in _lines().items():
        if name.lower() == table.lower():
            return [column.column.strip("()") for column in columns]
    return []


def tables(system) -> list[str]:
    return [table for name, table in _lines() if name == system]


def systems() -> list[str]:
    return list(dict.fromkeys(system for system, _ in _lines()))
