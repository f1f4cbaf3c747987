"""What is particular about a table of an old system; all that is general follows from ``docs/field-map.csv``.

An app declares its tables in ``<app>/legacy.py``::

    @table("java-crm", "t_customer_linkman", order=30, links={"cus_id": "t_customer"})
    class Linkmen(Table):
        model = Contact
        required = ("customer", "name")
"""

from contextlib import nullcontext
from dataclasses import dataclass, field

from crm import bulk
from crm.legacy import convert, fieldmap
from crm.legacy.staging import SECRETS


@dataclass
class Item:
    """One old row on its way: ``values`` by field of the main model, ``parts`` by further model.

    ``refused`` says why it cannot go in; ``notes`` what of it could not be taken as it was; ``target`` is the record
    that it means, where the table itself recognises it. ``many`` are the ids of many-to-many fields,
    ``others`` those of its collaborators, ``limits`` credit by currency, ``files`` what was found of files, by column.
    """

    number: int
    key: str
    raw: dict[str, str | None]
    values: dict = field(default_factory=dict)
    parts: dict = field(default_factory=dict)
    many: dict[str, list[int]] = field(default_factory=dict)
    others: list[int] = field(default_factory=list)
    limits: dict = field(default_factory=dict)
    files: dict = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    refused: str = ""
    target: int | None = None

    def get(self, column) -> str:
        """The text of ``column``, by any spelling; blank where there is none."""
        return self.raw.get(fieldmap.plain(column)) or ""


class Table:
    """How rows of one old table become records of ``model``.

    ``links`` says which table a column points into, where the field map alone does not, and by which field unless by
    its key (``t_customer.code``); ``synonyms`` are other names
    of columns in the wild; ``required`` are fields without which there is no record; ``money`` the columns whose sums
    are reconciled; ``silent`` are values by column that say nothing; ``one_by_one`` models are saved, not inserted
    set-wise; ``by`` is the field that recognises a record of a small model that no import knows;
    rows of a table that is not ``is_recognised`` are new, whatever is there already. ``handled`` columns are read by
    the table itself; ``tree`` is the column that points to the row above in the same table, which is loaded whole, from
    the top down; without ``fills_blanks`` it is ``complete`` that fills what the model's resource would.
    ``closes`` is the table whose records ``close`` gets. Rows that ``blends`` say are one record are put together by
    ``finish``. ``chunk`` rows are one transaction. What is to be said of the columns ``tells_again`` is said of rows
    that have not changed too; without ``fills_known`` records that were there before stay as they are.
    """

    system = name = ""
    order = 0
    aliases: tuple[str, ...] = ()
    model: type = None
    key = "id"
    links: dict[str, str] = {}
    synonyms: dict[str, str] = {}
    required: tuple[str, ...] = ()
    money: dict[str, str] = {}
    silent: dict[str, tuple[str, ...]] = {}
    one_by_one = False
    by = ""
    is_recognised = True
    handled: tuple[str, ...] = ()
    tree = ""
    fills_blanks = True
    closes = ""
    blends = False
    chunk = 500
    tells_again: tuple[str, ...] = ()
    fills_known = True

    def recognises(self, item: Item) -> bool:
        """Whether ``item`` may be a record that is there already."""
        return True

    def prepare(self, items: list[Item], context) -> None:
        """Look up for a whole chunk what ``adjust`` needs of each, before the columns are read."""

    def adjust(self, item: Item, context) -> None:
        """Rules over several columns, before a record is looked for."""

    def complete(self, rows, items, context) -> None:
        """Columns of new rows that the model's own ``save`` would set and no resource derives."""

    def writing(self):
        """A context in which a chunk is written; sums that ``close`` or ``finish`` make need not follow every row."""
        return nullcontext()

    def insert(self, rows, items) -> list[int]:
        """Write the complete new ``rows``; gives their ids."""
        many = [item.many for item in items]
        return bulk.insert(self.model, rows, m2m=many if any(many) else None)

    def judge(self, items: list[Item], context) -> None:
        """Refuse rows over which those before them decide, once all columns of the chunk are read."""

    def arrived(self, pairs, context) -> None:
        """What follows for new and merged rows, ``[(item, id)]``, in the transaction of their chunk."""

    def foreseen(self, pairs, context) -> None:
        """Of a dry run: the new rows and the ids that stand for them, ``[(item, id)]``, and those that would change a
        record, with what they would change."""

    def came(self, pairs, context) -> dict[int, str]:
        """What follows for all rows of a chunk that mean a record, those that came before too, ``[(item, id)]``, in the
        transaction of the chunk; gives what there is to say, by number of the row."""
        return {}

    def close(self, ids, context) -> None:
        """What follows from all rows for some records of ``closes`` (default: this table), each piece in a transaction
        of its own. Done again, it changes nothing."""

    def worth(self, column, raw, money):
        """How much money ``raw`` in ``column`` is, as the field ``money`` keeps it. Raises Unreadable."""
        return convert.value_of(money, raw, {})

    def finish(self, context) -> None:
        """After the last row, in a transaction of its own: what follows from all of them."""


SPELLINGS = {  # other names of columns in all tables of a system
    "java-crm": {
        "create_time": "create_date",
        "crate_date": "create_date",
        "ceate_date": "create_date",
        "update_time": "update_date",
        "created_at": "create_date",
        "updated_at": "update_date",
        "gmt_create": "create_date",
        "gmt_modified": "update_date",
    },
}


def synonyms_of(table) -> dict[str, str]:
    """``{plain name: plain name in the field map}`` of other names that columns of ``table`` have in the wild."""
    spellings = SPELLINGS.get(table.system, {}) | table.synonyms
    return {fieldmap.plain(old): fieldmap.plain(new) for old, new in spellings.items()}


def names_of(table, columns) -> list[str]:
    """The plain names in the field map of ``columns``, however they are spelt."""
    ours, synonyms = fieldmap.columns(table.system, table.name), synonyms_of(table)
    names, found = [fieldmap.plain(column) for column in columns], []
    for name in names:
        known = synonyms.get(name, name)
        # a synonym stays what it is where the row has the column that it would mean, or another synonym of it
        found.append(name if name in ours or known in names or known in found else known)
    return found


def known_columns(table, columns) -> list[str]:
    """Those of ``columns``, however they are spelt, of which the field map or a synonym knows what they are."""
    known = {*fieldmap.columns(table.system, table.name), *synonyms_of(table)}
    return [column for column in columns if fieldmap.plain(column) in known | SECRETS]


def fits(*pairs) -> bool:
    """Whether the tables of ``pairs``, ``[(table, columns)]``, are of the system that they are named after: other
    systems have a ``customer`` too. Most of their columns are known, or nearly all that are known are there."""
    known = sum(len(known_columns(table, columns)) for table, columns in pairs)
    theirs = sum(len(columns) for _, columns in pairs)
    ours = sum(len(fieldmap.columns(table.system, table.name)) for table, _ in pairs)
    return bool(known) and (5 * known >= 3 * theirs or 10 * known >= 7 * ours)


_tables: dict[str, dict[str, type[Table]]] = {}
LABELS = {
    "java-crm": "Java CRM（t_customer 一族）",
    "fastapi-crm": "FastAPI CRM（crm_customer 一族）",
    "dms-customer": "DMS 客户管理",
    "eplus-crm": "ePlus 外贸客户管理",
    "information-tracking": "操作跟踪",
}


def table(system, name, *, order, **details):
    def register(cls):
        cls.system, cls.name, cls.order = system, name, order
        for key, value in details.items():
            setattr(cls, key, value)
        _tables.setdefault(system, {})[name] = cls
        return cls

    return register


def systems() -> dict[str, str]:
    """``{code: label}`` of the systems that somebody can load."""
    return {code: label for code, label in LABELS.items() if code in _tables}


def tables_of(system) -> list[Table]:
    """The tables of ``system`` in the order in which they are loaded."""
    return sorted((cls() for cls in _tables.get(system, {}).values()), key=lambda each: each.order)


def table_named(system, name) -> Table:
    return _tables[system][name]()


def table_of_model(system, model) -> Table | None:
    return next((each for each in tables_of(system) if each.model is model), None)
