"""List filters that show only what the viewer may see and cost a bounded number of queries."""

from datetime import datetime, time, timedelta

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import ValidationError
from django.db.models import BooleanField, CharField, ExpressionWrapper, F, Q, Value, Window
from django.db.models.functions import RowNumber
from django.utils import timezone
from unfold.contrib.filters.admin import RangeDateFilter, RangeNumericFilter
from unfold.utils import parse_date_str

from crm.models import DataScope, User
from crm.policies import people_in_scope, policy_for

__all__ = [
    "ChoiceFilter",
    "DictionaryFilter",
    "LinkedFilter",
    "MultiChoiceFilter",
    "OwnerFilter",
    "PersonFilter",
    "RangeDateFilter",
    "RangeDateTimeFilter",
    "RangeNumericFilter",
]

EMPTY = "-"
LONGEST = 300  # options of a filter, on an average


class RangeDateTimeFilter(RangeDateFilter):
    """Whole days of a moment, first and last one included, by ``?field_from=2025-06-01&field_to=2025-06-30``."""

    def queryset(self, request, queryset):
        first, last = (parse_date_str(self.used_parameters.get(f"{self.field_path}_{end}")) for end in ("from", "to"))
        if first:
            queryset = queryset.filter(**{f"{self.field_path}__gte": _midnight(first)})
        if last:
            queryset = queryset.filter(**{f"{self.field_path}__lt": _midnight(last + timedelta(days=1))})
        return queryset


def _midnight(day):
    return timezone.make_aware(datetime.combine(day, time.min))


class FieldFilter(admin.FieldListFilter):
    """One value of one field by a plain ``?field=value``; ``-`` is empty."""

    template = "crm/filter_select.html"

    def __init__(self, field, request, params, model, model_admin, field_path):
        self.lookup_kwarg = field_path
        super().__init__(field, request, params, model, model_admin, field_path)
        values = self.used_parameters.get(self.lookup_kwarg)
        self.value = values[-1] if isinstance(values, list) else values
        self.options = self.load_options(field, request)

    def load_options(self, field, request):
        raise NotImplementedError

    def expected_parameters(self):
        return [self.lookup_kwarg]

    def has_output(self):
        return bool(self.options)

    def choices(self, changelist):
        yield {
            "selected": self.value in (None, ""),
            "query_string": changelist.get_query_string(remove=[self.lookup_kwarg]),
            "display": "全部",
            "value": "",
        }
        for value, label in self.options:
            yield {
                "selected": str(value) == self.value,
                "query_string": changelist.get_query_string({self.lookup_kwarg: value}),
                "display": label,
                "value": value,
            }

    def condition(self):
        if self.value == EMPTY:
            return Q(**{f"{self.field_path}__isnull": True}) if self.field.null else Q(**{self.field_path: ""})
        return Q(**{self.field_path: self.value})

    def queryset(self, request, queryset):
        if self.value in (None, ""):
            return queryset
        if self.value != EMPTY and str(self.value) not in {str(value) for value, _ in self.options}:
            return queryset.none()
        try:
            return queryset.filter(self.condition())
        except (ValueError, ValidationError) as error:
            raise IncorrectLookupParameters(error) from error


class ChoiceFilter(FieldFilter):
    """One of the field's choices; yes or no."""

    def load_options(self, field, request):
        return [("1", "是"), ("0", "否")] if isinstance(field, BooleanField) else list(field.flatchoices)


class MultiChoiceFilter(FieldFilter):
    """Rows whose list of choices holds the value: one of the few lists that stand in the column.

    An index on the column tells them at once, and then which rows have them; what a column merely contains, none does.
    """

    def load_options(self, field, request):
        return field.options

    def condition(self):
        stored = ExpressionWrapper(F(self.field.name), output_field=CharField())
        lists = self.field.model._base_manager.order_by().values_list(stored, flat=True).distinct()
        return Q(**{f"{self.field_path}__in": [one for one in lists if f",{self.value}," in one]})


class SharedFilter(FieldFilter):
    """Rows of a small shared table (tags, categories, departments), within what may be picked.

    One query for all the filters of a list that offer such rows or items of a dictionary.
    """

    label = "name"

    def __init__(self, field, request, params, model, model_admin, field_path):
        declared = [item for item in model_admin.list_filter if isinstance(item, tuple)]
        self.siblings = {
            model._meta.get_field(name): kind.label
            for name, kind in declared
            if kind in (SharedFilter, DictionaryFilter)
        }
        super().__init__(field, request, params, model, model_admin, field_path)

    def load_options(self, field, request):
        loaded = request.__dict__.setdefault("_options", {})
        if field not in loaded:
            loaded |= _first_of_each({**self.siblings, field: self.label}, request.user)
        return loaded[field]


class DictionaryFilter(SharedFilter):
    """Items of the field's dictionary, by id."""

    label = "label"

    def load_options(self, field, request):
        return [*super().load_options(field, request), (EMPTY, "（空）")]


def _first_of_each(labels, user) -> dict:
    """``{field: [(pk, label), …]}`` of what the fields of ``labels`` lead to, in its own order."""
    fields, parts = list(labels), []
    for part, field in enumerate(fields):
        rows = policy_for(field.related_model).choices_for(user).complex_filter(field.get_limit_choices_to())
        rank = Window(RowNumber(), order_by=field.related_model._meta.ordering or ["pk"])
        numbered = rows.order_by().annotate(part=Value(part), rank=rank)
        parts.append(numbered.values_list("part", "rank", "pk", labels[field]))
    found = {field: [] for field in fields}
    for part, _, pk, label in parts[0].union(*parts[1:], all=True).order_by("rank")[: LONGEST * len(parts)]:
        found[fields[part]].append((pk, label))
    return found


class LinkedFilter(FieldFilter):
    """The record that a link chose (``?customer=7``), within reach; without one there is nothing to choose from."""

    def load_options(self, field, request):
        if not (self.value or "").isdecimal():
            return []
        rows = policy_for(field.related_model).visible_to(request.user).filter(pk=self.value)
        return [(row.pk, str(row)) for row in rows]

    def has_output(self):
        return self.value not in (None, "")


def _named(people) -> list:
    return [(person.pk, str(person) if person.is_active else f"{person}（已停用）") for person in people[:LONGEST]]


def _everybody(request) -> list:
    """One query for all the filters of a list that offer people."""
    if not hasattr(request, "_everybody"):
        people = User.objects.order_by("-is_active", "full_name").only("username", "full_name", "is_active")
        request._everybody = list(people[:LONGEST])
    return request._everybody


class PersonFilter(FieldFilter):
    """Any colleague, those who left among them."""

    def load_options(self, field, request):
        return _named(_everybody(request))


class OwnerFilter(FieldFilter):
    """Owners of the rows within reach: myself, my people, or nobody."""

    def load_options(self, field, request):
        scope = policy_for(self.field.model).scope(request.user, "view")
        everybody = scope in (None, DataScope.ALL)
        options = _named(_everybody(request) if everybody else people_in_scope(request.user, scope))
        return [*options, (EMPTY, "（无负责人）")] if scope == DataScope.ALL else options
