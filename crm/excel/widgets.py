"""What a cell of one column means: import-export widgets that speak Chinese and keep what Excel would lose.

``clean(cell, context=…)`` gives the value as the business log keeps it (codes, ids, ISO dates, decimals as text) or
raises ``CellProblem``; ``render(value, context=…)`` gives the cell of an export. ``context`` is a ``Context``: lookups
that every row shares, loaded once and only within what its user may pick.
"""

import re
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from functools import cached_property, lru_cache

from django.core.exceptions import ValidationError
from django.core.validators import BaseValidator, MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone
from import_export import widgets

from crm import audit, text
from crm.excel.columns import Column
from crm.excel.writer import CUT_MARK
from crm.fields import DictionaryField, MultiChoiceField, PhoneField
from crm.models import TreeRecord
from crm.policies import policy_for

TRUE = {"是", "true", "1", "y", "yes", "√", "✓", "启用", "t", "对"}
FALSE = {"否", "false", "0", "n", "no", "×", "停用", "禁用", "f", "错"}
SEPARATORS = re.compile(r"[,，、;；|\n]+")
MAX_DIGITS = 15
MAX_LABELS = 20_000
OWN_RULES = {"MaxLengthValidator", "DecimalValidator"}  # checked here, with the words of this column
PLAIN_EMAIL = re.compile(r"\w+(?:[.+-]\w+)*@(?:[a-z0-9]{1,63}\.)+[a-z]{2,63}", re.ASCII | re.IGNORECASE)


class CellProblem(ValueError):
    """What is wrong with a cell, in words that say what to do. ``unknown`` is a word that could be mapped."""

    def __init__(self, message, unknown=None):
        super().__init__(message)
        self.unknown = unknown


class Context:
    """Who imports or exports, and the lookups of dictionaries, people and related records for that person."""

    def __init__(self, user, word_maps=None):
        self.user = user
        self.word_maps = word_maps or {}
        self._names: dict = {}
        self._labels: dict = {}

    def names(self, key, load):
        if key not in self._names:
            self._names[key] = load()
        return self._names[key]

    def forget(self):
        """Ask anew for what was looked up: others may have changed it since."""
        self._names.clear()

    def replace(self, key, names):
        self._names[key] = names

    def label(self, model, pk, attribute=""):
        found = self.record(model, pk)
        return "" if found is None else getattr(found, attribute) if attribute else str(found)

    def record(self, model, pk):
        """The record ``pk`` of ``model``, or None."""
        labels = self._labels.setdefault(model, {})
        if pk not in labels:
            self.load_labels(model, {pk})
        return labels.get(pk)

    def load_labels(self, model, pks):
        """Fetch the records behind ``pks`` that are not known yet, at once."""
        labels = self._labels.setdefault(model, {})
        if len(labels) > MAX_LABELS:
            labels.clear()
        missing = {pk for pk in pks if pk is not None and pk not in labels}
        if missing:
            labels |= model._base_manager.in_bulk(missing)


def as_text(cell) -> str:
    """The text of a cell as a person means it. Raises CellProblem for what Excel has already spoilt."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        return text.clean_text(cell)
    if isinstance(cell, bool):
        return "是" if cell else "否"
    if isinstance(cell, int | float):
        return _number_text(cell)
    if isinstance(cell, datetime):
        return cell.strftime("%Y-%m-%d %H:%M:%S").removesuffix(" 00:00:00")
    if isinstance(cell, date):
        return cell.isoformat()
    if hasattr(cell, "text"):
        raise CellProblem(f"是公式（={str(cell.text).lstrip('=')[:40]}），请复制后“选择性粘贴为数值”再导入。")
    if hasattr(cell, "code"):
        raise CellProblem(f"是错误值 {cell.code}，请改正。")
    return str(cell)


def _number_text(number) -> str:
    if isinstance(number, float) and not number.is_integer():
        return format(number, ".15g")
    number = int(number)
    if len(str(abs(number))) > MAX_DIGITS:
        raise CellProblem("是 16 位以上的数字，Excel 已丢失末尾几位，请把该列设为“文本”格式后重新填写。")
    return str(number)


class CellWidget(widgets.Widget):
    """Text of a model field, checked against the field's own rules."""

    kind = "text"

    def __init__(self, field=None, **kwargs):
        super().__init__(**kwargs)
        self.field = field
        self.max_length = getattr(field, "max_length", None)
        self.is_long = isinstance(field, models.TextField)
        self._validators = [v for v in getattr(field, "validators", ()) if type(v).__name__ not in OWN_RULES]

    def column(self, name, context, **options) -> Column:
        return Column(name, kind=self.kind, max_length=self.max_length, choices=tuple(self.words(context)), **options)

    def words(self, context) -> list[str]:
        """The values a person may choose from, for templates."""
        return []

    def preload(self, cells, context) -> bool:
        """Look up at once what the ``cells`` of one chunk will ask for one by one; True if lookups are per chunk."""
        return False

    def clean_column(self, cells) -> list | None:
        """The values of a column of plain text, judged as one; None if its cells have to be cleaned one by one."""
        if type(self).clean is not CellWidget.clean:
            return None
        texts = [cell or "" for cell in cells]
        try:
            whole = "".join(texts)
        except TypeError:
            return None
        values = list(map(str.strip, texts))
        longest = self.max_length and max(map(len, values), default=0) > self.max_length
        if longest or CUT_MARK in whole or not whole.isprintable():
            return None
        try:
            for value in filter(None, values) if self._validators else ():
                self._validate(value)
        except CellProblem:
            return None
        return values

    def clean(self, value, row=None, context=None, **kwargs):
        value = value.strip() if type(value) is str and value.isprintable() else as_text(value)
        if self.max_length and len(value) > self.max_length:
            raise CellProblem(f"太长（{len(value)} 个字），最多 {self.max_length} 个字。")
        if value.endswith(CUT_MARK):
            raise CellProblem("的内容在导出时被截断，不能再导入，请补全或留空。")
        if "\n" in value and not self.is_long:
            value = " ".join(value.split())
        if value and self._validators:
            self._validate(value)
        return value

    def _validate(self, value):
        for validator in self._validators:
            try:
                validator(value)
            except ValidationError as error:
                raise CellProblem(f"“{value[:50]}”无效：{error.messages[0]}") from error

    def render(self, value, obj=None, context=None, **kwargs):
        return "" if value is None else value


class EmailWidget(CellWidget):
    def _validate(self, value):
        if PLAIN_EMAIL.fullmatch(value):  # valid by any rule, at a tenth of the cost
            return
        try:
            super()._validate(value)
        except CellProblem as error:
            raise CellProblem(f"“{value[:60]}”不是有效的邮箱地址。") from error


class PhoneWidget(CellWidget):
    def __init__(self, field=None, **kwargs):
        super().__init__(field, **kwargs)
        self._validators = [text.is_phone]

    def _validate(self, value):
        if not text.is_phone(value):
            raise CellProblem(f"“{value[:40]}”不是有效的电话号码，请检查位数和符号。")


class IntegerWidget(CellWidget):
    kind = "integer"

    def __init__(self, field=None, **kwargs):
        super().__init__(field, **kwargs)
        limits = {type(rule): rule.limit_value for rule in self._validators if isinstance(rule, BaseValidator)}
        self._lowest, self._highest = limits.get(MinValueValidator), limits.get(MaxValueValidator)
        self._others = [rule for rule in self._validators if type(rule) not in (MinValueValidator, MaxValueValidator)]

    def clean(self, value, row=None, context=None, **kwargs):
        value = as_text(value).replace(",", "")
        if not value:
            return None
        try:
            number = int(Decimal(value))
        except InvalidOperation as error:
            raise CellProblem(f"“{value}”不是整数。") from error
        if number != Decimal(value):
            raise CellProblem(f"“{value}”不是整数。")
        self._validate_number(number)
        return number

    def _validate_number(self, number, shown=None):
        above = self._lowest is None or number >= self._lowest
        if above and (self._highest is None or number <= self._highest) and not self._others:
            return
        for validator in self._validators:
            try:
                validator(number)
            except ValidationError as error:
                raise CellProblem(f"“{shown or number}”无效：{error.messages[0]}") from error


MONEY_WORDS = re.compile(r"(人民币|CNY|RMB|USD|元|[￥¥$€£,，\s])", re.IGNORECASE)
PLAIN_NUMBER = re.compile(r"-?\d+(?:\.\d+)?", re.ASCII)


class DecimalWidget(IntegerWidget):
    """Numbers as people write money: ￥1,234.50, $90,000, 1000万, 1.2亿; 13% and 0.13 in a percent column are 13."""

    kind = "decimal"
    UNITS = {"万": 10_000, "亿": 100_000_000, "千": 1_000, "百": 100}

    def clean(self, value, row=None, context=None, **kwargs):
        typed = value
        if type(value) is int and abs(value) < 10**MAX_DIGITS:
            return self._fit(value, value)
        value = as_text(value)
        if not value:
            return None
        plain = value if PLAIN_NUMBER.fullmatch(value) else MONEY_WORDS.sub("", value)
        percent = plain.endswith("%")
        plain = plain.rstrip("%")
        unit = self.UNITS.get(plain[-1:], 1)
        try:
            number = Decimal(plain[:-1] if unit != 1 else plain) * unit
        except InvalidOperation as error:
            raise CellProblem(f"“{value}”不是数字。") from error
        if not number.is_finite():
            raise CellProblem(f"“{value}”不是数字。")
        if not percent and self.is_percent and isinstance(typed, float) and 0 < number < 1:
            number *= 100
        return self._fit(number, value)

    @cached_property
    def is_percent(self):
        return self.field is not None and "%" in str(self.field.verbose_name)

    @cached_property
    def _too_large(self):
        return 10 ** (self.field.max_digits - self.field.decimal_places)

    def _fit(self, number, shown):
        places = self.field.decimal_places
        rounded = round(number, places)
        if rounded != number:
            raise CellProblem(f"“{shown}”小数位太多，最多 {places} 位。")
        if abs(rounded) >= self._too_large:
            raise CellProblem(f"“{shown}”太大，整数部分最多 {self.field.max_digits - places} 位。")
        self._validate_number(rounded, shown)
        return str(rounded) if type(rounded) is int else audit.json_value(rounded)

    def render(self, value, obj=None, context=None, **kwargs):
        return None if value in (None, "") else Decimal(value).normalize() + 0


DATE_SHAPE = re.compile(r"^(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*日?$")


class DateWidget(CellWidget):
    """2024-03-15, 2024/3/15, 2024.3.15, 2024年3月15日, 20240315 or a date cell."""

    kind = "date"

    def clean(self, value, row=None, context=None, **kwargs):
        if isinstance(value, datetime):
            return value.date().isoformat()
        if isinstance(value, date):
            return value.isoformat()
        shown = as_text(value)
        if not shown:
            return None
        day = self._parse(text.clean_text(shown).split(" ")[0] if ":" in shown else shown)
        if day is None:
            raise CellProblem(f"“{shown[:30]}”不是有效的日期，请写成 2024-03-15 这样。")
        return day.isoformat()

    def _parse(self, shown):
        match = DATE_SHAPE.match(shown)
        if match is None and re.fullmatch(r"(19|20)\d{6}", shown):
            match = re.match(r"(\d{4})(\d{2})(\d{2})", shown)
        if match is None and re.fullmatch(r"[1-9]\d{4}", shown):
            return date(1899, 12, 30) + timedelta(days=int(shown))
        try:
            return date(*map(int, match.groups())) if match else None
        except ValueError:
            return None

    def render(self, value, obj=None, context=None, **kwargs):
        return date.fromisoformat(value) if isinstance(value, str) and value else value or None


class DateTimeWidget(CellWidget):
    kind = "datetime"

    def clean(self, value, row=None, context=None, **kwargs):
        if isinstance(value, datetime):
            moment = value
        elif isinstance(value, date):
            moment = datetime(value.year, value.month, value.day)
        elif not (shown := as_text(value)):
            return None
        else:
            try:
                moment = datetime.fromisoformat(shown.replace("/", "-").replace("年", "-").replace("月", "-"))
            except ValueError as error:
                raise CellProblem(f"“{shown[:30]}”不是有效的时间，请写成 2024-03-15 09:30 这样。") from error
        return audit.json_value(timezone.make_aware(moment) if moment.tzinfo is None else moment)

    def render(self, value, obj=None, context=None, **kwargs):
        if not value:
            return None
        if isinstance(value, str):  # as the log keeps it, or as the database does, in UTC
            moment, shown = datetime.fromisoformat(value), value
            if moment.tzinfo is None and (offset := _offset(shown[:13])) is not None:
                return datetime.fromisoformat(shown[:19]) + offset
            value = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return value.astimezone(timezone.get_default_timezone()).replace(tzinfo=None, microsecond=0)


@lru_cache(maxsize=100_000)
def _offset(hour) -> timedelta | None:
    """By how much local time is ahead of UTC in an ``hour`` of it (2025-03-01 08); None where that changes within."""
    start, zone = datetime.fromisoformat(f"{hour}:00").replace(tzinfo=UTC), timezone.get_default_timezone()
    offset = start.astimezone(zone).utcoffset()
    return offset if offset == (start + timedelta(minutes=59, seconds=59)).astimezone(zone).utcoffset() else None


TIME_SHAPE = re.compile(r"^([01]?\d|2[0-3])\s*[:：时]\s*([0-5]?\d)\s*(?:[:：分]\s*([0-5]?\d)?\s*秒?)?$")


class TimeWidget(CellWidget):
    """9:30, 09:30:00, 9时30分, a time cell, or the time of a date-and-time cell."""

    def clean(self, value, row=None, context=None, **kwargs):
        if isinstance(value, datetime):
            return value.time().isoformat(timespec="seconds")
        if isinstance(value, time):
            return value.isoformat(timespec="seconds")
        shown = as_text(value)
        if not shown:
            return None
        match = TIME_SHAPE.match(shown)
        if match is None:
            raise CellProblem(f"“{shown[:30]}”不是有效的时刻，请写成 09:30 这样。")
        return time(*(int(part or 0) for part in match.groups())).isoformat()

    def render(self, value, obj=None, context=None, **kwargs):
        return "" if value is None else str(value)


class BooleanWidget(CellWidget):
    kind = "boolean"

    def clean(self, value, row=None, context=None, **kwargs):
        word = text.fold(as_text(value))
        if not word:
            return None
        if word in TRUE or word in FALSE:
            return word in TRUE
        raise CellProblem(f"“{as_text(value)[:30]}”不是“是”或“否”。")

    def render(self, value, obj=None, context=None, **kwargs):
        return "" if value is None else "是" if value else "否"


class ChoiceWidget(CellWidget):
    """One of the field's fixed choices, by its label or its code."""

    kind = "choice"

    def __init__(self, field=None, **kwargs):
        super().__init__(field, **kwargs)
        self.labels = dict(field.flatchoices)
        self.codes = {text.fold(label): code for code, label in field.flatchoices}
        self.codes |= {text.fold(code): code for code in self.labels}
        for code, label in field.flatchoices:
            if label and set(str(label)) == {"★"}:
                self.codes["☆" * len(label)] = code
                self.codes["一二三四五"[len(label) - 1] + "星"] = code

    def words(self, context):
        return list(map(str, self.labels.values()))

    def clean(self, value, row=None, context=None, **kwargs):
        shown = as_text(value)
        if not shown:
            return None
        word = text.fold(shown)
        mapped = mapped_word(context, self.field, word)
        word = text.fold(mapped) if mapped is not None else word
        if word == "":
            return None
        if word not in self.codes:
            raise CellProblem(f"“{shown[:40]}”不在可选范围内（{'、'.join(self.words(context)[:8])}）。", unknown=shown)
        return self.codes[word]

    def render(self, value, obj=None, context=None, **kwargs):
        return str(self.labels.get(value, "" if value is None else value))


class MultiChoiceWidget(CellWidget):
    kind = "multichoice"

    def __init__(self, field=None, **kwargs):
        super().__init__(field, **kwargs)
        self.codes = {text.fold(word): code for code, label in field.options for word in (code, label)}
        self.max_length = None

    def words(self, context):
        return [label for _, label in self.field.options]

    def clean(self, value, row=None, context=None, **kwargs):
        chosen = []
        for word in filter(None, map(text.clean_text, SEPARATORS.split(as_text(value)))):
            if text.fold(word) not in self.codes:
                raise CellProblem(f"“{word[:40]}”不在可选范围内（{'、'.join(self.words(context))}）。", unknown=word)
            chosen.append(self.codes[text.fold(word)])
        return self.field.to_python(chosen)

    def render(self, value, obj=None, context=None, **kwargs):
        return "、".join(self.field.labels(self.field.to_python(value)))


class LookupWidget(CellWidget):
    """A related record by one of its names, among those the person may pick."""

    kind = "choice"

    def __init__(self, field=None, *, by=("name",), **kwargs):
        super().__init__(field, **kwargs)
        self.by, self.max_length, self._validators = by, None, []
        self.model = field.related_model

    def rows(self, context):
        return policy_for(self.model).choices_for(context.user)

    def load(self, context) -> dict:
        """``{folded name: id}``; a name that two records share is None."""
        return self.named(self.rows(context))

    def named(self, rows) -> dict:
        """By its names and by what an export calls it."""
        names: dict = {}
        for row in rows.iterator():
            for word in {text.fold(value) for value in (str(row), *(getattr(row, name) for name in self.by)) if value}:
                names[word] = row.pk if word not in names else None
        return names

    def retired(self, context) -> dict:
        """``{folded name: id}`` of what was switched off: known where a record already has it, and nowhere else."""
        if not hasattr(self.model, "is_active"):
            return {}
        return context.names(("retired", self.field), lambda: self.named(self.all_rows().filter(is_active=False)))

    def all_rows(self):
        return policy_for(self.model).rows()

    def lookup(self, context):
        return context.names(("lookup", self.field), lambda: self.load(context))

    def words(self, context):
        rows = self.rows(context).values_list(self.by[0], flat=True)[:500]
        return list(dict.fromkeys(map(str, rows)))

    def resolve(self, shown, context):
        word = text.fold(shown)
        mapped = mapped_word(context, self.field, word)
        word = text.fold(mapped) if mapped is not None else word
        if word == "":
            return None
        names = self.lookup(context)
        if word not in names:
            names = self.retired(context)
        if word not in names:
            raise CellProblem(f"没有“{shown[:40]}”这一项，请从可选值中选择。", unknown=shown)
        if names[word] is None:
            raise CellProblem(f"有多条“{shown[:40]}”，无法确定是哪一条。")
        return names[word]

    def clean(self, value, row=None, context=None, **kwargs):
        shown = as_text(value)
        return self.resolve(shown, context) if shown else None

    def render(self, value, obj=None, context=None, **kwargs):
        return self.shown(value, context) if value else ""

    def shown(self, pk, context) -> str:
        return context.label(self.model, pk)


class DictionaryWidget(LookupWidget):
    """An item of the field's dictionary by label, code or alias."""

    def rows(self, context):
        return super().rows(context).filter(type=self.field.type)

    def all_rows(self):
        return super().all_rows().filter(type=self.field.type)

    def named(self, rows):
        names: dict = {}
        for item in rows:
            for word in item.names():
                names.setdefault(word, item.pk)
        return names

    def words(self, context):
        return [item.label for item in self.rows(context)]


class PersonWidget(LookupWidget):
    """A colleague by full name or user name; exported by the user name where two share the full name."""

    def __init__(self, field=None, **kwargs):
        super().__init__(field, by=("full_name", "username"), **kwargs)

    def shown(self, pk, context):
        name = super().shown(pk, context)
        shared = context.names(("shared names", self.model), self._counts)[text.fold(name)] > 1
        return context.label(self.model, pk, "username") if shared else name

    def _counts(self):
        return Counter(text.fold(name) for name in self.all_rows().values_list("full_name", flat=True))


class ManyWidget(LookupWidget):
    """Several related records, separated by commas."""

    kind = "multichoice"

    def clean(self, value, row=None, context=None, **kwargs):
        words = filter(None, map(text.clean_text, SEPARATORS.split(as_text(value))))
        return sorted({pk for word in words if (pk := self.resolve(word, context)) is not None})

    def render(self, value, obj=None, context=None, **kwargs):
        return "、".join(sorted(self.shown(pk, context) for pk in value or ()))


class TreeNames:
    """Nodes of a tree by name where that is the only one, else by their path: 总部/华南大区, blanks or not."""

    def resolve(self, shown, context):
        return super().resolve(re.sub(r"\s*[/／]\s*", "/", shown), context)

    def named(self, rows):
        paths = self._paths(rows)
        names: dict = {}
        for pk, path in paths.items():
            word = text.fold(path[-1])
            names[word] = pk if word not in names else None
        return names | {text.fold("/".join(path)): pk for pk, path in paths.items()}

    def _paths(self, rows) -> dict[int, list[str]]:
        nodes = {pk: (name, parent) for pk, name, parent in rows.values_list("pk", "name", "parent_id")}
        return {pk: path_of(nodes, pk) for pk in nodes}

    def _shown(self, context) -> dict[int, str]:
        paths = context.names(("paths", self.model), lambda: self._paths(self.all_rows()))
        shared = Counter(text.fold(path[-1]) for path in paths.values())
        return {pk: path[-1] if shared[text.fold(path[-1])] == 1 else "/".join(path) for pk, path in paths.items()}

    def shown(self, pk, context):
        return context.names(("shown", self.model), lambda: self._shown(context)).get(pk, "")

    def words(self, context):
        shown = context.names(("shown", self.model), lambda: self._shown(context))
        return list(shown.values())[:500]


def path_of(nodes, pk) -> list[str]:
    """Names from the root down to ``pk`` in ``{id: (name, parent id)}``."""
    path, seen = [], set()
    while pk in nodes and pk not in seen:
        seen.add(pk)
        name, pk = nodes[pk]
        path.insert(0, name)
    return path


class TreeWidget(TreeNames, LookupWidget):
    """One node of a tree."""


class ManyTreeWidget(TreeNames, ManyWidget):
    """Several nodes of a tree."""


class ParentWidget(LookupWidget):
    """The root that the row belongs to, by code or name, among those the person may change (or ``action``); looked up
    per chunk."""

    kind, action = "text", "change"

    def __init__(self, field=None, *, keys=("code_key", "name_key"), label="code", **kwargs):
        super().__init__(field, **kwargs)
        self.keys, self.label = keys, label

    def rows(self, context):
        return policy_for(self.model).visible_to(context.user, self.action)

    def words(self, context):
        return []

    def preload(self, cells, context):
        words = set()
        for cell in cells:
            try:
                words.add(text.fold(as_text(cell)))
            except CellProblem:
                continue
        rows = self.rows(context)
        names: dict = {}
        for key in reversed(self.keys):
            found: dict = {}
            for word, pk in rows.filter(**{f"{key}__in": words}).values_list(key, "pk"):
                found[word] = pk if word not in found else None
            names |= found
        context.replace(("lookup", self.field), names)
        return True

    def load(self, context):
        return {}

    def render(self, value, obj=None, context=None, **kwargs):
        return context.label(self.model, value, self.label) if value else ""


def mapped_word(context, field, word):
    """What the person said ``word`` means in this column, or None if nothing was said; "" leaves the cell empty."""
    return context.word_maps.get(field.name, {}).get(word) if context is not None else None


def widget_for(field) -> CellWidget:
    """The widget of a model field."""
    if isinstance(field, DictionaryField):
        return DictionaryWidget(field)
    if isinstance(field, MultiChoiceField):
        return MultiChoiceWidget(field)
    is_tree = field.is_relation and issubclass(field.related_model, TreeRecord)
    if field.many_to_many:
        return ManyTreeWidget(field) if is_tree else ManyWidget(field)
    if is_tree:
        return TreeWidget(field)
    if field.is_relation:
        is_person = field.related_model._meta.label == "crm.User"
        return PersonWidget(field) if is_person else LookupWidget(field)
    if field.choices:
        return ChoiceWidget(field)
    if isinstance(field, PhoneField):
        return PhoneWidget(field)
    for kind, widget in (
        (models.EmailField, EmailWidget),
        (models.BooleanField, BooleanWidget),
        (models.DecimalField, DecimalWidget),
        (models.DateTimeField, DateTimeWidget),
        (models.DateField, DateWidget),
        (models.TimeField, TimeWidget),
        (models.IntegerField, IntegerWidget),
    ):
        if isinstance(field, kind):
            return widget(field)
    return CellWidget(field)
