"""Export: the rows of a list as a workbook, read by key in chunks and written in constant memory.

What goes in is decided when it is written: rows by the policy's "export" of whoever asked, columns without those hidden
from that person.
"""

from operator import itemgetter

from django.conf import settings
from django.db.models import F

from crm import audit
from crm.excel import writer
from crm.excel.columns import Column
from crm.excel.companion import PREFIX
from crm.excel.widgets import Context
from crm.models import Operation

CHUNK = 2000
FORMATS = {"xlsx": "Excel 工作簿（.xlsx）", "csv": "CSV（UTF-8）"}


class Exporter:
    """Reads ``queryset`` for ``user`` and turns it into rows of cells."""

    def __init__(self, resource, user, names=None):
        self.resource, self.user = resource, user
        self.context = Context(user)
        visible = resource.visible(user)
        self.fields = [field for name, field in visible.items() if not names or name in names]
        self.own = [field for field in self.fields if not field.name.startswith(PREFIX)]
        self.parts = [field for field in self.fields if field.name.startswith(PREFIX)]
        self.computed = set(getattr(resource._meta, "computed", ())) & {field.name for field in self.fields}
        self.columns = [
            Column(field.column_name, kind=field.widget.kind, max_length=field.widget.max_length)
            for field in self.fields
        ]

    def rows(self, queryset):
        """Cells of every row, newest first; one query per chunk and related model, whatever the number of rows."""
        model = self.resource.model
        single = [f.name for f in self.own if f.name not in self.resource.many and f.name not in self.computed]
        attnames = [model._meta.get_field(name).attname for name in single]
        last = None
        while True:
            page = queryset.order_by("-pk") if last is None else queryset.order_by("-pk").filter(pk__lt=last)
            chunk = list(page.values_list("pk", *attnames)[:CHUNK])
            if not chunk:
                return
            last = chunk[-1][0]
            yield from self._cells(model, chunk, single)

    def _cells(self, model, chunk, single):
        ids = [row[0] for row in chunk]
        for position, name in enumerate(single, 1):
            field = model._meta.get_field(name)
            if field.is_relation:
                self.context.load_labels(field.related_model, {row[position] for row in chunk})
        many = {
            field.name: self._many(model, field.name, ids) for field in self.own if field.name in self.resource.many
        }
        parts = self._parts(ids)
        computed = self.resource.compute(ids, self.user) if self.computed else {}
        where = {name: position for position, name in enumerate(single, 1)}
        readers = [
            (self._reader(field.name, where, many, parts, computed), field.widget.render) for field in self.fields
        ]
        for row in chunk:
            yield [render(read(row), context=self.context) for read, render in readers]

    def _reader(self, name, where, many, parts, computed):
        """The value of column ``name`` of a row that was read, its id first."""
        if name in where:
            return itemgetter(where[name])
        if name in many:
            return lambda row: many[name].get(row[0], ())
        if name in self.computed:
            return lambda row: computed.get(row[0], {}).get(name)
        return lambda row: parts.get(row[0], {}).get(name[len(PREFIX) :])

    def _many(self, model, name, ids):
        field = model._meta.get_field(name)
        near, far = field.m2m_column_name(), field.m2m_reverse_name()
        found: dict = {}
        rows = field.remote_field.through.objects.filter(**{f"{near}__in": ids})
        for owner, pk in rows.annotate(a=F(near), b=F(far)).values_list("a", "b"):
            found.setdefault(owner, []).append(pk)
        self.context.load_labels(field.related_model, {pk for pks in found.values() for pk in pks})
        return found

    def _parts(self, ids):
        """The default part (contact) of each record, for its columns."""
        if not self.parts:
            return {}
        companion = self.resource.companion
        names = [field.name[len(PREFIX) :] for field in self.parts]
        column = f"{companion.path}_id"
        rows = companion.model._base_manager.filter(**{f"{column}__in": ids}, is_valid=True, is_default=True)
        return {row[column]: row for row in rows.values(column, *names)}


def write(path, resource, user, queryset, *, kind="xlsx", names=None, total=None, on_progress=None) -> int:
    """Write what ``user`` may export of ``queryset`` to ``path``; gives the number of rows."""
    exporter = Exporter(resource, user, names)
    rows = resource.policy.limit(queryset, user, "export")
    if kind == "csv":
        return writer.write_csv(path, exporter.columns, exporter.rows(rows), on_progress=on_progress)
    return writer.write_xlsx(path, exporter.columns, exporter.rows(rows), total=total, on_progress=on_progress)


def record(user, resource, rows, file_name, where="") -> None:
    """Note in the business log who took how many rows out of the house."""
    audit.note(user, resource.model, Operation.EXPORT, remark=f"导出 {rows} 行：{file_name}{where}"[:255])


def in_background(count) -> bool:
    return count > settings.EXPORT_IN_BACKGROUND_ABOVE
