"""Export: the rows of a list as a workbook, read by key in chunks and written in constant memory.

What goes in is decided when it is written: rows by the policy's "export" of whoever asked, columns without those hidden
from that person.
"""

from itertools import islice

from django.conf import settings
from django.db.models import BooleanField, DateTimeField, ExpressionWrapper, F, TextField
from django.db.models.functions import Cast

from crm import audit
from crm.excel import writer
from crm.excel.columns import Column
from crm.excel.companion import PREFIX
from crm.excel.widgets import CellWidget, Context
from crm.fields import MultiChoiceField
from crm.models import Operation

CHUNK = 1000  # longer lists of ids MariaDB turns into temporary tables
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
        columns = [_stored(model._meta.get_field(name)) for name in single]
        last = None
        while True:
            chunk = list(_page(queryset, last).values_list("pk", *columns)[:CHUNK])
            if not chunk:
                return
            last = chunk[-1][0]
            yield from self._cells(model, chunk, single)

    def _cells(self, model, chunk, single):
        ids, *values = zip(*chunk, strict=True)
        found = dict(zip(single, values, strict=True))
        for name, column in found.items():
            field = model._meta.get_field(name)
            if field.is_relation:
                self.context.load_labels(field.related_model, set(column))
        for field in self.own:
            if field.name in self.resource.many:
                linked = self._many(model, field.name, ids)
                found[field.name] = [tuple(linked.get(pk, ())) for pk in ids]
        if self.parts:
            found |= self._parts(ids)
        computed = self.resource.compute(ids, self.user) if self.computed else {}
        for name in self.computed:
            found[name] = [computed.get(pk, {}).get(name) for pk in ids]
        return zip(*[self._rendered(field, found[field.name]) for field in self.fields], strict=True)

    def _rendered(self, field, values) -> list:
        """A column in the words of its widget; what repeats is asked once."""
        render, context = field.widget.render, self.context
        if type(field.widget).render is CellWidget.render:
            return ["" if value is None else value for value in values]
        try:
            distinct = set(values)
        except TypeError:  # lists
            values = [tuple(value) for value in values]
            distinct = set(values)
        words = {value: render(value, context=context) for value in distinct}
        return [words[value] for value in values]

    def _many(self, model, name, ids):
        field = model._meta.get_field(name)
        near, far = field.m2m_column_name(), field.m2m_reverse_name()
        found: dict = {}
        rows = field.remote_field.through.objects.filter(**_around(near, ids))
        for owner, pk in rows.annotate(a=F(near), b=F(far)).values_list("a", "b"):
            found.setdefault(owner, []).append(pk)
        self.context.load_labels(field.related_model, {pk for pks in found.values() for pk in pks})
        return found

    def _parts(self, ids) -> dict[str, tuple]:
        """The columns of the default part (contact) of each record."""
        companion = self.resource.companion
        names = [field.name[len(PREFIX) :] for field in self.parts]
        column = f"{companion.path}_id"
        rows = companion.model._base_manager.filter(**_around(column, ids), is_valid=True, is_default=True)
        parts = {pk: values for pk, *values in rows.values_list(column, *names)}
        blank = [None] * len(names)
        columns = zip(*[parts.get(pk, blank) for pk in ids], strict=True)
        return {field.name: values for field, values in zip(self.parts, columns, strict=True)}


def _around(column, ids) -> dict:
    """The filter for ``ids``, which descend; where they lie close together, all between are less to say and to find."""
    if ids[0] - ids[-1] < 2 * len(ids):
        return {f"{column}__gte": ids[-1], f"{column}__lte": ids[0]}
    return {f"{column}__in": ids}


def _stored(field):
    """The column of ``field`` as the database has it, where a value is worth making only once for all that repeat it:
    widgets render it as well."""
    if isinstance(field, DateTimeField):
        return Cast(field.attname, TextField())
    if isinstance(field, BooleanField | MultiChoiceField):
        return ExpressionWrapper(F(field.attname), TextField())
    return field.attname


class LineExporter(Exporter):
    """Reads the lines of heads, a page of heads at a time."""

    def rows(self, heads):
        """Cells of the lines of ``heads`` that the person may see: newest head first, its lines in their order."""
        model, head = self.resource.model, self.resource.head_column
        visible = self.resource.policy.visible_to(self.user, "view")
        single = [field.name for field in self.own if field.name not in self.computed]
        columns = [_stored(model._meta.get_field(name)) for name in single]
        last = None
        while ids := list(_page(heads, last).values_list("pk", flat=True)[:CHUNK]):
            last = ids[-1]
            rows = visible.filter(**{f"{head}__in": ids}).order_by(f"-{head}", "pk")
            lines = rows.values_list("pk", *columns).iterator(CHUNK)
            while chunk := list(islice(lines, CHUNK)):
                yield from self._cells(model, chunk, single)


def _page(rows, last):
    rows = rows.order_by("-pk")
    return rows if last is None else rows.filter(pk__lt=last)


def lines_of(resource, user) -> LineExporter | None:
    """What reads the lines of the records of ``resource`` for ``user``; None where there are none to be seen."""
    lines = resource.lines and resource.lines()
    return LineExporter(lines, user) if lines and lines.policy.allows(user, "view") else None


def write(path, resource, user, queryset, *, kind="xlsx", names=None, with_lines=True, on_progress=None) -> int:
    """Write what ``user`` may export of ``queryset`` to ``path``; gives the number of rows.

    A workbook has the lines on a second sheet unless they are not wanted; csv has no sheets and leaves them out.
    """
    exporter = Exporter(resource, user, names)
    rows = resource.policy.limit(queryset, user, "export")
    if kind == "csv":
        return writer.write_csv(path, exporter.columns, exporter.rows(rows), on_progress=on_progress)
    lines = lines_of(resource, user) if with_lines else None
    beside = [(lines.resource._meta.sheet, lines.columns, lines.rows(rows))] if lines else []
    return writer.write_xlsx(path, exporter.columns, exporter.rows(rows), beside=beside, on_progress=on_progress)


def record(user, resource, rows, file_name, where="") -> None:
    """Note in the business log who took how many rows out of the house."""
    audit.note(user, resource.model, Operation.EXPORT, remark=f"导出 {rows} 行：{file_name}{where}"[:255])


def in_background(count) -> bool:
    return count > settings.EXPORT_IN_BACKGROUND_ABOVE
