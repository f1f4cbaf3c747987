"""By what rows are told apart: a field, whose they are, when they happened."""

from collections.abc import Callable
from dataclasses import dataclass, field

from django.contrib.admin.utils import get_fields_from_path
from django.db.models import BooleanField, Case, F, IntegerField, Q, Value, When
from django.db.models.functions import Coalesce

from crm.models import DictionaryItem
from crm.policies import HIDDEN_LABEL, OwnedPolicy, policy_for
from reports.queries.filters import BadFilters, Filters
from reports.queries.sources import Source, any_of

EMPTY, REST = "-", "~"


@dataclass(frozen=True)
class Dimension:
    """``name`` stands in addresses, ``label`` on the page. A member is known by its ``code``, a text."""

    name: str
    label: str

    in_time = False
    is_ranking = False

    def applies(self, name: str, source: Source) -> bool:
        raise NotImplementedError

    def is_many(self, name, source) -> bool:
        """Whether a row may belong to several members, so that these do not add up to the total."""
        return False

    def key(self, name, source: Source, filters: Filters):
        """The expression that tells rows apart."""
        raise NotImplementedError

    def code(self, key) -> str:
        return EMPTY if key is None else str(key)

    def members(self, keys, sources: dict[str, Source], user, filters) -> list[tuple[object, str]]:
        """``(key, label)`` in the order of the table; those without rows are among them where they mean something."""
        raise NotImplementedError

    def condition(self, name, source, code: str, filters) -> Q:
        """What makes a row one of the member ``code``. Raises BadFilters."""
        raise NotImplementedError


@dataclass(frozen=True)
class ByField(Dimension):
    """By a field or relation, at ``paths[source]`` or by ``path(source)``; ``empty`` names the rows without one."""

    paths: dict[str, tuple[str, ...]] = field(default_factory=dict)
    path: Callable | None = None
    empty: str = "（空）"

    def of(self, name, source) -> tuple[str, ...]:
        return self.paths.get(name, ()) if self.path is None else self.path(source)

    def _field(self, name, source):
        return get_fields_from_path(source.model, self.of(name, source)[0])[-1]

    def applies(self, name, source):
        return bool(self.of(name, source))

    def is_many(self, name, source):
        return bool(self._field(name, source).many_to_many)

    def key(self, name, source, filters):
        paths = self.of(name, source)
        return F(paths[0]) if len(paths) == 1 else Coalesce(*paths)

    def members(self, keys, sources, user, filters):
        kind = next(self._field(name, source) for name, source in sources.items() if self.applies(name, source))
        empty = [(None, self.empty)] if None in keys else []
        if model := _related_to(kind):
            return self._related(model, keys - {None}, user) + empty
        if isinstance(kind, BooleanField):
            return [(True, "是"), (False, "否")]
        return [(value, str(label)) for value, label in kind.flatchoices] + empty

    def _related(self, model, keys, user):
        """Those of owned records only by their names for readers who may see them."""
        policy = policy_for(model)
        rows = policy.visible_to(user) if isinstance(policy, OwnedPolicy) else model._base_manager
        found = rows.in_bulk(keys) if keys else {}
        if model is DictionaryItem or hasattr(model, "sort"):
            ordered = sorted(keys, key=lambda pk: (found[pk].sort, pk) if pk in found else (0, pk))
        else:
            ordered = sorted(keys)
        return [(pk, str(found[pk]) if pk in found else HIDDEN_LABEL) for pk in ordered]

    def condition(self, name, source, code, filters):
        paths = self.of(name, source)
        if code == EMPTY:
            return any_of(paths, None)
        kind = self._field(name, source)
        if code.startswith(REST) and self.is_ranking:
            shown = [_key(word) for word in code[len(REST) :].split(",") if word]
            return ~Q(**{f"{paths[0]}__in": shown})
        if _related_to(kind):
            return any_of(paths, _key(code))
        if isinstance(kind, BooleanField):
            return Q(**{paths[0]: code == "True"})
        if code not in {str(value) for value, _ in kind.flatchoices}:
            raise BadFilters("没有这个数字。")
        return any_of(paths, code)


def _related_to(field):
    """The model whose rows the values of ``field`` are: a primary key stands for its own."""
    return field.model if field.primary_key else field.related_model


def _key(word) -> int:
    if not (word.isascii() and word.isdigit() and len(word) < 19):
        raise BadFilters("没有这个数字。")
    return int(word)


@dataclass(frozen=True)
class Ranking(ByField):
    """The first ``filters.top`` by ``filters.basis``, and all others in one line."""

    is_ranking = True


@dataclass(frozen=True)
class Steps(Dimension):
    """By ``steps(source, filters)``: ``[(code, label, condition), …]``, all of them shown."""

    steps: Callable | None = None
    sources: tuple[str, ...] = ()  # empty: all that have a date

    def applies(self, name, source):
        return name in self.sources if self.sources else bool(source.date)

    def key(self, name, source, filters):
        cases = [When(condition, then=Value(code)) for code, _, condition in self._numbered(source, filters)]
        return Case(*cases, default=None, output_field=IntegerField())

    def _numbered(self, source, filters):
        return [(number, label, condition) for number, (label, condition) in enumerate(self.steps(source, filters))]

    def members(self, keys, sources, user, filters):
        source = next(source for name, source in sources.items() if self.applies(name, source))
        return [(number, label) for number, label, _ in self._numbered(source, filters)]

    def condition(self, name, source, code, filters):
        for number, _, condition in self._numbered(source, filters):
            if str(number) == code:
                return condition
        raise BadFilters("没有这个数字。")


@dataclass(frozen=True)
class InTime(Steps):
    """By the days or months of the period."""

    in_time = True

    def key(self, name, source, filters):
        """The rows are those of the period, and its steps follow each other: their ends tell them apart."""
        moment = source.is_moment(source.date)
        ends = [step.until(source.date, moment=moment) for step in filters.period.steps()]
        cases = [When(**end, then=Value(number)) for number, end in enumerate(ends)]
        return Case(*cases, default=None, output_field=IntegerField())


def _steps_in_time(source, filters):
    moment = source.is_moment(source.date)
    by_day = filters.period.by_day
    return [
        (f"{step.first:%m-%d}" if by_day else f"{step.first:%Y-%m}", Q(**step.condition(source.date, moment=moment)))
        for step in filters.period.steps()
    ]


def in_time() -> InTime:
    return InTime("time", "时间", steps=_steps_in_time)


def by_person() -> ByField:
    return ByField("person", "人员", path=lambda source: source.person, empty="（无负责人）")


def by_department() -> ByField:
    return ByField("department", "部门", path=lambda source: source.departments, empty="（无部门）")


OF_CUSTOMERS = {
    "level": ("客户等级", "（未定级）"),
    "industry": ("行业", "（未填行业）"),
    "area": ("地区", "（未填地区）"),
    "categories": ("客户分类", "（未分类）"),
    "source": ("来源", "（未填来源）"),
    "scale": ("规模", "（未填规模）"),
    "stage": ("客户阶段", ""),
}


def by_customer(*names) -> list[ByField]:
    """By fields of the customer."""
    return [
        ByField(name, OF_CUSTOMERS[name][0], path=_of_customer(name), empty=OF_CUSTOMERS[name][1]) for name in names
    ]


def _of_customer(name):
    return lambda source: () if source.customer is None else (source.of_customer(name),)


def ranking_of_customers() -> Ranking:
    return Ranking("customer", "客户", path=lambda source: (source.customer,) if source.customer else ())
