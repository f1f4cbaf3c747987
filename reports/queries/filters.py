"""What a reader narrows a report by, read from an address and written back into one."""

from dataclasses import dataclass, fields, replace
from datetime import date
from functools import cached_property
from urllib.parse import urlencode

from django.core.exceptions import ValidationError
from django.utils import timezone

from crm.models import Department
from customers.models import CustomerCategory
from reports.queries.periods import MOST_DAYS, PRESETS, Period, preset

TOPS = (10, 20, 50, 100)
CHOSEN = ("department", "person", "level", "category", "area", "industry")
OF_CUSTOMER = ("level", "area", "industry")


class BadFilters(ValidationError):
    """The address names something that no report has: what, and what to do."""


@dataclass(frozen=True)
class Filters:
    """One choice of everything that narrows a report; ids are those of the rows chosen, None is everything.

    ``by`` is the dimension, ``basis`` the column that ranks, ``top`` how many rows a ranking of customers shows.
    """

    by: str
    period: Period
    preset: str = "custom"
    department: int | None = None
    person: int | None = None
    level: int | None = None
    category: int | None = None
    area: int | None = None
    industry: int | None = None
    top: int = TOPS[1]
    basis: str = ""

    @cached_property
    def departments(self) -> list[int]:
        """The department and all below it."""
        return _subtree(Department, self.department)

    @cached_property
    def categories(self) -> list[int]:
        return _subtree(CustomerCategory, self.category)

    def query(self, *, absolute=False) -> str:
        """The query string that brings these filters back; ``absolute`` names the days instead of the preset."""
        given = {"by": self.by, "period": "custom" if absolute else self.preset}
        if given["period"] == "custom":
            given |= {"from": self.period.first.isoformat(), "to": self.period.last.isoformat()}
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name not in ("by", "period", "preset") and value not in (None, item.default):
                given[item.name] = value
        return urlencode(given)

    def narrowed(self, **changed) -> "Filters":
        return replace(self, **changed)


def _subtree(model, pk) -> list[int]:
    if pk is None:
        return []
    return list(model.objects.descendants(pk, include_self=True).values_list("pk", flat=True)) or [pk]


def read(report, data) -> Filters:
    """The filters that ``data`` (the parameters of an address) names. Raises BadFilters."""
    by = data.get("by") or report.dimensions[0].name
    if by not in {dimension.name for dimension in report.dimensions}:
        raise BadFilters(f"报表“{report.title}”不能按“{by}”展开，请在“按”里重新选择。")
    name = data.get("period") or report.preset
    if name not in PRESETS:
        raise BadFilters(f"没有叫“{name}”的时间段，请重新选择。")
    period = _days(data) if name == "custom" else preset(name, timezone.localdate())
    basis = data.get("basis") or (report.basis[0] if report.basis else "")
    if basis and basis not in report.basis:
        raise BadFilters("这一列不能用来排名，请重新选择。")
    top = _number(data, "top") or TOPS[1]
    if top not in TOPS:
        raise BadFilters(f"名次只能取前 {'、'.join(map(str, TOPS))} 名。")
    chosen = {item: _number(data, item) for item in CHOSEN}
    return Filters(by=by, period=period, preset=name, basis=basis, top=top, **chosen)


def _days(data) -> Period:
    try:
        first, last = (date.fromisoformat(data.get(end) or "") for end in ("from", "to"))
    except ValueError:
        raise BadFilters("自选日期请填开始和结束两天，例如 2026-01-01 至 2026-03-31。") from None
    if first > last:
        raise BadFilters(f"开始日期 {first} 晚于结束日期 {last}，请调换。")
    if (last - first).days > MOST_DAYS:
        raise BadFilters("一次最多看三年，请缩短日期范围。")
    return Period(first, last)


def _number(data, name) -> int | None:
    word = data.get(name) or ""
    if not word:
        return None
    if not (word.isascii() and word.isdigit() and len(word) < 19):
        raise BadFilters(f"筛选“{name}”的值不对，请重新选择。")
    return int(word)
