"""List filters that show only what the viewer may see and cost a bounded number of queries."""

from datetime import datetime, time, timedelta

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import ValidationError
from django.db.models import BooleanField, Q
from django.utils import timezone
from unfold.contrib.filters.admin import RangeDateFilter, RangeNumericFilter
from unfold.utils import parse_date_str

from crm.policies import policy_for

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
    """Rows whose list of choices holds the value."""

    def load_options(self, field, request):
        return field.options

    def condition(self):
        return Q(**{f"{self.field_path}__contains": f",{self.value},"})


class DictionaryFilter(FieldFilter):
    """Items of the field's dictionary, by id; one query for all the dictionary filters of a list."""

    def __init__(self, field, request, params, model, model_admin, field_path):
        declared = [name for name, kind in _pairs(model_admin.list_filter) if kind is DictionaryFilter]
        fields = [model._meta.get_field(name) for name in declared if "__" not in name]
        self.types = {field.type, *(other.type for other in fields)}
        super().__init__(field, request, params, model, model_admin, field_path)

    def load_options(self, field, request):
        loaded = request.__dict__.setdefault("_dictionary_options", {})
        if field.type not in loaded:
            loaded |= {name: [] for name in self.types}
            rows = policy_for(field.related_model).choices_for(request.user).filter(type__in=self.types)
            for name, pk, label in rows.values_list("type", "pk", "label"):
                loaded[name].append((pk, label))
        return [*loaded[field.type], (EMPTY, "（空）")]


def _pairs(filters):
    return [item for item in filters if isinstance(item, tuple)]


class SharedFilter(FieldFilter):
    """Rows of a small shared table (tags, categories, departments), within what may be picked."""

    def load_options(self, field, request):
        return [(row.pk, str(row)) for row in policy_for(field.related_model).choices_for(request.user)[:300]]


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
    return [
        (person.pk, str(person) if person.is_active else f"{person}（已停用）")
        for person in people.order_by("-is_active", "full_name")[:300]
    ]


class PersonFilter(FieldFilter):
    """Any colleague, those who left among them."""

    def load_options(self, field, request):
        return _named(field.related_model.objects.all())


class OwnerFilter(FieldFilter):
    """Owners of the rows within reach: myself, my people, or nobody."""

    def load_options(self, field, request):
        from crm.models import DataScope, User
        from crm.policies import members_in_scope

        scope = policy_for(self.field.model).scope(request.user, "view")
        people = User.objects.all()
        if scope == DataScope.SELF:
            people = people.filter(pk=request.user.pk)
        elif scope in (DataScope.DEPARTMENT, DataScope.DEPARTMENT_TREE):
            people = people.filter(pk__in=members_in_scope(request.user, scope))
        options = _named(people)
        return [*options, (EMPTY, "（无负责人）")] if scope == DataScope.ALL else options
