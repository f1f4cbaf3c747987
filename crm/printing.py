"""Layouts that users write themselves, filled in within a sandbox; and amounts in capitals.

A layout knows a few tags and filters of Django's language and nothing to load, include or call. What it is filled with
are plain values (texts, dates, lists and dicts of them), never records, so that there is nothing to walk to. Whatever
is filled in is escaped, and no tag or filter can turn that off or multiply what a document holds.
"""

import re
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from django.template import (
    Context,
    Engine,
    Library,
    TemplateSyntaxError,
    VariableDoesNotExist,
    defaultfilters,
    defaulttags,
)
from django.template.defaulttags import ForNode

from crm.models import Currency

TAGS = ("comment", "cycle", "firstof", "for", "if", "ifchanged", "now", "resetcycle", "spaceless", "verbatim")
FILTERS = (
    "date",
    "default",
    "default_if_none",
    "divisibleby",
    "first",
    "last",
    "length",
    "linebreaks",
    "linebreaksbr",
    "lower",
    "time",
    "truncatechars",
    "upper",
    "yesno",
)
INNER = ("elif", "else", "empty", *(f"end{name}" for name in TAGS))
DEPTH = 2  # loops within loops
PLAIN = (str, int, bool, Decimal, date, type(None))


class Sandbox(Engine):
    """An engine without loaders and libraries, whose only tags and filters are those above."""

    default_builtins = []

    def __init__(self):
        super().__init__(dirs=[], app_dirs=False, loaders=[], libraries={}, debug=False, autoescape=True)
        library = Library()
        library.tags = {name: defaulttags.register.tags[name] for name in TAGS}
        library.filters = {name: defaultfilters.register.filters[name] for name in FILTERS}
        self.template_builtins = [library]

    def get_template_builtins(self, builtins):
        return []


class LayoutError(ValueError):
    """The layout cannot be used; the message says in which line and what to do."""


def fill(layout: str, values: dict) -> str:
    """``layout`` with ``values`` filled in. Raises LayoutError, TypeError where a value is not plain."""
    _require_plain(values)
    template = _compile(layout)
    try:
        return template.render(Context(values))
    except VariableDoesNotExist as error:
        raise LayoutError(f"没有变量“{error.params[0]}”，请核对变量名。") from error
    except Exception as error:  # a filter given what it cannot read
        raise LayoutError(f"模板填不出内容：{error}") from error


def check(layout: str) -> None:
    """Raises LayoutError."""
    _compile(layout)


def _compile(layout):
    _refuse_tags(layout)
    try:
        template = Sandbox().from_string(layout)
    except TemplateSyntaxError as error:
        raise LayoutError(_words(str(error))) from error
    if _depth(template.nodelist) > DEPTH:
        raise LayoutError(f"循环（{{% for %}}）最多套 {DEPTH} 层。")
    return template


def _refuse_tags(layout):
    for number, line in enumerate(layout.splitlines(), 1):
        for name in re.findall(r"{%-?\s*(\w+)", line):
            if name not in TAGS and name not in INNER:
                raise LayoutError(f"第 {number} 行：不能使用标签 {{% {name} %}}。可以使用：{'、'.join(TAGS)}。")


def _words(message):
    """What Django says in English, as far as people meet it."""
    if found := re.search(r"Invalid filter: '(.+?)'", message):
        return f"不能使用过滤器“{found[1]}”。可以使用：{'、'.join(FILTERS)}。"
    if found := re.search(r"Unclosed tag on line (\d+): '(\w+)'", message):
        return f"第 {found[1]} 行：{{% {found[2]} %}} 没有结束，请加上 {{% end{found[2]} %}}。"
    if found := re.search(r"attributes may not begin with underscores: '(.+?)'", message):
        return f"变量名不能以下划线开头：“{found[1]}”。"
    return f"模板写法有误：{message}"


def _depth(nodes) -> int:
    deepest = 0
    for node in nodes:
        inner = max(
            (_depth(getattr(node, name, None) or ()) for name in node.child_nodelists),
            default=0,
        )
        if hasattr(node, "conditions_nodelists"):
            inner = max((_depth(nodelist) for _, nodelist in node.conditions_nodelists), default=inner)
        deepest = max(deepest, inner + isinstance(node, ForNode))
    return deepest


def _require_plain(value):
    if isinstance(value, dict):
        for inner in value.values():
            _require_plain(inner)
    elif isinstance(value, list):
        for inner in value:
            _require_plain(inner)
    elif type(value) not in PLAIN:
        raise TypeError(f"only plain values may be printed, not {type(value).__name__}")


# --- Amounts in capitals ---------------------------------------------------------------------------------------------

DIGITS = "零壹贰叁肆伍陆柒捌玖"
PLACES = ("", "拾", "佰", "仟")
GROUPS = ("", "万", "亿", "万亿", "亿亿")


def capitals(amount: Decimal, currency: str = Currency.CNY) -> str:
    """``amount`` as contracts write it: ``人民币壹万贰仟元伍角整``. Rounded to the cent, half up."""
    cents = int((abs(amount) * 100).quantize(Decimal(1), ROUND_HALF_UP))
    whole, tenths, hundredths = cents // 100, cents // 10 % 10, cents % 10
    name = Currency(currency).label.removesuffix(f" {currency}")
    sign = "负" if amount < 0 and cents else ""
    words = f"{_integer(whole)}元" if whole or not cents else ""
    if not cents % 100:
        words += "整"
    elif not hundredths:
        words += f"{DIGITS[tenths]}角整"
    else:
        if tenths:
            words += f"{DIGITS[tenths]}角"
        elif whole:
            words += "零"
        words += f"{DIGITS[hundredths]}分"
    return f"{name}{sign}{words}"


def _integer(number) -> str:
    if number == 0:
        return DIGITS[0]
    groups = []
    while number:
        number, group = divmod(number, 10_000)
        groups.append(group)
    words, gap = "", False
    for place in reversed(range(len(groups))):
        group = groups[place]
        if group == 0:
            gap = bool(words)
            continue
        if words and (gap or group < 1000):
            words += DIGITS[0]
        words += _group(group) + GROUPS[place]
        gap = False
    return words


def _group(group) -> str:
    words, gap = "", False
    for place in reversed(range(4)):
        digit = group // 10**place % 10
        if digit == 0:
            gap = bool(words)
            continue
        words += (DIGITS[0] if gap else "") + DIGITS[digit] + PLACES[place]
        gap = False
    return words
