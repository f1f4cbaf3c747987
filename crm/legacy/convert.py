"""What a text of an old row means for a field of ours."""

import re
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation

from django.db import models
from django.utils import timezone

from crm import text
from crm.fields import DictionaryField, MultiChoiceField, PhoneField

BLANK = {"", "null", "none", "0000-00-00", "0000-00-00 00:00:00"}
TRUE, FALSE = {"1", "true", "t", "y", "yes", "是"}, {"0", "false", "f", "n", "no", "否"}
_MOMENT = re.compile(
    r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?(?:[ T]+(\d{1,2}):(\d{1,2})(?::(\d{1,2}))?(?:\.\d+)?)?"
)
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_UUID = re.compile(r"[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
STARS = "☆★✩✭✮⭐"
UNITS = {"万": 10_000, "亿": 100_000_000, "千": 1000, "百万": 1_000_000, "千万": 10_000_000}


class Unreadable(ValueError):
    """The text means nothing for the field; the message says why."""


class Cut(str):
    """A text that was longer than its field: what fits."""


def is_blank(raw) -> bool:
    return raw is None or raw.strip().lower() in BLANK


def is_key(raw) -> bool:
    """Whether ``raw`` is a key of the old system (a number, a UUID) rather than what somebody is called."""
    return raw.isdigit() or bool(_UUID.fullmatch(raw))


def value_of(field, raw, codes):
    """``raw`` (not blank) as ``field`` stores it. Raises Unreadable. Foreign keys are not for here."""
    raw = text.clean_text(raw)
    if raw and raw[0] in STARS and not raw.strip(STARS):
        raw = "☆" * len(raw)
    if raw in codes:
        raw, is_code = codes[raw], True
    else:
        is_code = False
    if isinstance(field, MultiChoiceField):
        return _several(field, raw, codes)
    if isinstance(field, models.BooleanField):
        return _boolean(raw)
    if field.choices:
        if raw.isdigit() and not is_code and any(code.isdigit() for code in codes):
            raise Unreadable("没有对应的选项")  # a number of theirs that the map does not know is none of ours
        return _choice(field, raw, is_code)
    if isinstance(field, models.DateTimeField):
        return moment(raw)
    if isinstance(field, models.DateField):
        return timezone.localtime(moment(raw)).date()
    if isinstance(field, models.DecimalField):
        return _decimal(field, raw)
    if isinstance(field, models.IntegerField):
        return _integer(field, raw)
    if isinstance(field, models.EmailField) and "@" not in raw:
        raise Unreadable("不是邮箱地址")
    if isinstance(field, models.CharField) and field.max_length and len(raw) > field.max_length:
        if isinstance(field, PhoneField):
            raise Unreadable(f"号码超过 {field.max_length} 个字符")
        return Cut(raw[: field.max_length])
    return raw


def moment(raw) -> datetime:
    """A date or time of an old system, which was one of Asia/Shanghai. Raises Unreadable."""
    try:
        naive = datetime.fromisoformat(raw)  # what nearly all are
    except ValueError:
        naive = _written(raw)
    if naive.year < 1900:
        raise Unreadable("年份太早，不是实际的日期")
    return naive.replace(microsecond=0, tzinfo=naive.tzinfo or timezone.get_current_timezone())


def _written(raw) -> datetime:
    match = _MOMENT.match(raw.strip())
    if match is None:
        raise Unreadable("不是日期")
    parts = [int(part or 0) for part in match.groups()]
    try:
        return datetime.combine(date(*parts[:3]), time(*parts[3:]))
    except ValueError as error:
        raise Unreadable("不是存在的日期") from error


def moment_or_none(raw) -> datetime | None:
    """``raw`` as a moment; None where it is blank or none."""
    try:
        return None if is_blank(raw) else moment(raw)
    except Unreadable:
        return None


def _boolean(raw):
    word = raw.lower()
    if word in TRUE | FALSE:
        return word in TRUE
    if raw in ("\x01", "\x00"):
        return raw == "\x01"
    raise Unreadable("不是“是/否”")


def _choice(field, raw, is_code):
    for value, label in field.flatchoices:
        if str(value) == raw or (not is_code and str(label) == raw):
            return value
    raise Unreadable("没有对应的选项")


def _several(field, raw, codes):
    known, found = dict(field.options), []
    by_label = {label: code for code, label in field.options}
    for word in filter(None, re.split(r"[,，;；、]", raw)):
        code = codes.get(word.strip(), word.strip())
        if code not in known and code not in by_label:
            raise Unreadable(f"没有对应的选项“{word}”")
        found.append(by_label.get(code, code))
    return found


def _decimal(field, raw):
    plain = raw.replace(",", "").replace("，", "").replace("￥", "").replace("¥", "").replace("元", "").strip()
    factor = 1
    for unit in sorted(UNITS, key=len, reverse=True):
        if plain.endswith(unit):
            plain, factor = plain[: -len(unit)].strip(), UNITS[unit]
            break
    if not _NUMBER.fullmatch(plain):
        raise Unreadable("不是数字")
    try:
        number = (Decimal(plain) * factor).quantize(Decimal(1).scaleb(-field.decimal_places))
    except InvalidOperation as error:
        raise Unreadable("数字太大") from error
    if abs(number) >= Decimal(10) ** (field.max_digits - field.decimal_places):
        raise Unreadable("数字太大")
    return number


def _integer(field, raw):
    plain = raw.replace(",", "").rstrip("%％").strip()
    if not _NUMBER.fullmatch(plain) or Decimal(plain) != int(Decimal(plain)):
        raise Unreadable("不是整数")
    number = int(Decimal(plain))
    low, high = (0, 2**31 - 1) if isinstance(field, models.PositiveIntegerField) else (-(2**31), 2**31 - 1)
    if isinstance(field, models.PositiveSmallIntegerField):
        low, high = 0, 32767
    for validator in field.validators:
        limit = getattr(validator, "limit_value", None)
        if isinstance(limit, int):
            low, high = (max(low, limit), high) if "Min" in type(validator).__name__ else (low, min(high, limit))
    if not low <= number <= high:
        raise Unreadable("数字超出范围")
    return number


def is_dictionary(field) -> bool:
    return isinstance(field, DictionaryField)
