"""Document numbers in the caller's transaction, under the lock of their series: never MAX+1, never given twice.

The series is locked and not the counter, which may have to be made first: two makers of one row deadlock on MariaDB.
"""

import re
from dataclasses import dataclass
from datetime import date

from django.db import transaction
from django.utils import timezone

_TOKEN = re.compile(r"\{(yyyy|yyyyMM|yyyyMMdd|seq:(\d))\}")
_PERIODS = {"yyyy": "%Y", "yyyyMM": "%Y%m", "yyyyMMdd": "%Y%m%d"}


@dataclass(frozen=True)
class Pattern:
    text: str
    period: str
    width: int

    def format(self, value: int, day: date) -> str:
        def part(match):
            if match[1] in _PERIODS:
                return day.strftime(_PERIODS[match[1]])
            return str(value).zfill(int(match[2]))

        return _TOKEN.sub(part, self.text)

    def period_of(self, day: date) -> str:
        return day.strftime(_PERIODS[self.period]) if self.period else ""


def parse(pattern: str) -> Pattern:
    """A pattern such as ``QT{yyyyMMdd}{seq:4}``. Raises ValueError that names what is wrong."""
    tokens = [match[1] for match in _TOKEN.finditer(pattern)]
    sequences = [token for token in tokens if token.startswith("seq")]
    periods = [token for token in tokens if token in _PERIODS]
    if len(sequences) != 1:
        raise ValueError("编号规则里必须有且只有一个 {seq:位数}。")
    if len(periods) > 1:
        raise ValueError("编号规则里最多有一个日期部分。")
    if "{" in _TOKEN.sub("", pattern) or "}" in _TOKEN.sub("", pattern):
        raise ValueError("编号规则里有不认识的花括号内容。")
    return Pattern(pattern, periods[0] if periods else "", int(sequences[0].split(":")[1]))


def take(code: str, count: int = 1, *, day: date | None = None) -> list[str]:
    """The next ``count`` numbers of series ``code``, in order. Must run inside the transaction that uses them."""
    from crm.models import NumberCounter, NumberSeries

    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError("编号必须在事务中领取。")
    series = NumberSeries.objects.select_for_update().get(code=code)
    pattern = parse(series.pattern)
    day = day or timezone.localdate()
    counter, _ = NumberCounter.objects.get_or_create(series=series, period=pattern.period_of(day))
    first = counter.value + 1
    counter.value += count
    counter.save()
    return [pattern.format(value, day) for value in range(first, first + count)]


def next_number(code: str, *, day: date | None = None) -> str:
    return take(code, 1, day=day)[0]
