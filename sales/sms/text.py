"""What a text message says: variables, length, signature.

A template names its variables as ``${客户名称}`` or ``${customer}``; ``VARIABLES`` lists all there are. Carriers count
a message of up to 70 characters as one segment, a longer one as segments of 67, signature included.
"""

import re
from dataclasses import dataclass
from math import ceil

VARIABLE = re.compile(r"\$\{([^{}]*)\}")
STRAY = re.compile(r"\$\{?|\$?\{")
SINGLE, PART = 70, 67
OPT_OUT_WORDS = ("退订", "拒收")


@dataclass(frozen=True)
class Variable:
    key: str
    label: str
    help: str
    sample: str


VARIABLES = [
    Variable("customer", "客户名称", "客户简称，没有简称则为全称", "恒达机械"),
    Variable("name", "联系人", "收信联系人的姓名", "王芳"),
    Variable("title", "称呼", "姓加先生或女士；不知道性别时为姓名", "王女士"),
    Variable("owner", "负责人", "客户负责人的姓名", "张伟"),
    Variable("owner_phone", "负责人电话", "客户负责人的手机号", "13800138000"),
    Variable("company", "公司", "客户负责人所属的本公司", "客源贸易"),
]
_BY_NAME = {name: variable for variable in VARIABLES for name in (variable.key, variable.label)}


class UnknownVariables(ValueError):
    """``names`` are no variables of ours."""

    def __init__(self, names):
        self.names = names
        known = "、".join(f"${{{variable.label}}}" for variable in VARIABLES)
        super().__init__(f"没有变量“{'”“'.join(names)}”，可用的有：{known}。")


class StrayBrace(ValueError):
    """A piece of a variable that is none."""


def variables(content) -> list[Variable]:
    """The variables of ``content`` in the order in which they stand there, each as often as it stands there.

    Raises UnknownVariables, StrayBrace.
    """
    names = [name.strip() for name in VARIABLE.findall(content)]
    if unknown := [name for name in dict.fromkeys(names) if name not in _BY_NAME]:
        raise UnknownVariables(unknown)
    if STRAY.search(VARIABLE.sub("", content)):
        raise StrayBrace("变量要写成 ${客户名称} 的样子：有“$”或“{”没有配对。")
    return [_BY_NAME[name] for name in names]


def fill(content, values) -> str:
    """``content`` with ``values`` (``{key of variable: text}``) in the place of its variables."""
    return VARIABLE.sub(lambda match: values[_BY_NAME[match[1].strip()].key], content)


def signed(signature, content) -> str:
    return f"【{signature}】{content}"


def segments(message) -> int:
    """How many text messages the carrier counts (and charges) for ``message``."""
    return 1 if len(message) <= SINGLE else ceil(len(message) / PART)


def sample(content) -> str:
    return fill(content, {variable.key: variable.sample for variable in VARIABLES})
