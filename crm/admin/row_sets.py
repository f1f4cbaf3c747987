"""Lists that show exactly the rows behind a number: ``?_rows=<words>`` on any of our lists.

Who shows numbers registers in ``ROW_SETS`` what its words mean. Whatever they mean, a list shows no other rows than
those that its policy gives the viewer, so that nobody learns anything from inventing words.
"""

from dataclasses import dataclass

from django.contrib import admin
from django.db.models import QuerySet

from crm.registries import Registry

PARAMETER = "_rows"

# asked with (user, model, words): the ``RowSet`` that the words name among rows of ``model``, or None
ROW_SETS = Registry("rows behind a number")


@dataclass(frozen=True)
class RowSet:
    title: str
    rows: QuerySet


class RowSetFilter(admin.SimpleListFilter):
    """The rows behind one number; words that mean nothing (any more) select nothing."""

    title = "数字"
    parameter_name = PARAMETER
    template = "crm/filter_hidden.html"

    def __init__(self, request, params, model, model_admin):
        super().__init__(request, params, model, model_admin)
        self.found = None
        if self.value():
            self.found = next(iter(ROW_SETS.ask(request.user, model, self.value()).values()), None)

    def lookups(self, request, model_admin):
        return ()

    def has_output(self):
        return bool(self.value())

    def choices(self, changelist):
        yield {
            "selected": True,
            "value": self.value(),
            "display": self.found.title if self.found else "没有这个数字",
            "query_string": changelist.get_query_string(remove=[self.parameter_name]),
        }

    def queryset(self, request, queryset):
        if self.found is None:
            return queryset.none()
        return queryset.filter(pk__in=self.found.rows.order_by().values("pk"))
