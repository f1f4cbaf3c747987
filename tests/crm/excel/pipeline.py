"""An import without its pages: checked and applied in memory, as the jobs do it."""

from django.db import transaction

from crm import actor
from crm.excel import apply, check
from crm.excel.reader import Row
from crm.excel.resource import resource_for
from crm.models import BusinessLog, ImportBatch, ImportRow

Kind = ImportRow.Kind


def start(user, titles, resource="customers.Customer", **options):
    """A batch whose columns are matched by their Chinese names."""
    by_title = {field.column_name: name for name, field in resource_for(resource).fields.items()}
    return ImportBatch.objects.create(
        resource=resource,
        user=user,
        file_name="客户.xlsx",
        header_row=1,
        titles=titles,
        mapping={str(index): by_title[title] for index, title in enumerate(titles)},
        options=options,
    )


def checked(user, titles, rows, merged=(), **options):
    batch = start(user, titles, **options)
    checker = check.Checker(batch, user)
    checker.merged = list(merged)
    check.stage(batch, checker.chunk([Row(number, cells) for number, cells in enumerate(rows, 2)]))
    return batch


def applied(batch):
    with transaction.atomic(), actor.acting(batch.user, ip="10.0.0.9", batch=apply.tag(batch), reason="Excel 导入"):
        if rows := apply.pending(batch):
            applier = apply.Applier(batch, batch.user)
            applier.write(applier.prepare(rows))
    return batch


def undone(batch):
    """The names of what was left."""
    entries = BusinessLog.objects.filter(batch=apply.tag(batch)).order_by("-pk")
    with transaction.atomic(), actor.acting(batch.user, batch=f"undo:{batch.pk}"):
        return apply.undo_entries(list(entries), batch.user)


def problems(batch):
    return {row.number: [p["text"] for p in row.problems] for row in batch.rows.exclude(problems=[])}


def kinds(batch):
    return [row.get_kind_display() for row in batch.rows.order_by("number")]
