"""Versions of a contract beside each other, head and lines."""

from dataclasses import dataclass

from django.contrib.contenttypes.models import ContentType

from crm.audit_display import Words, label_of
from crm.models import ApprovalRequest
from sales.models import Contract, ContractItem
from sales.services.contracts import HEAD, LINE, REVIEW


@dataclass(frozen=True)
class Difference:
    """A value in words, in both versions."""

    label: str
    old: str
    new: str

    @property
    def differs(self):
        return self.old != self.new


@dataclass(frozen=True)
class LineDifference:
    """A line of the contract; ``kind`` is 新增, 删除, 修改 or empty."""

    label: str
    kind: str
    values: list[Difference]


def reviews(contract):
    """Its requests for review, the newest first."""
    kind = ContentType.objects.get_for_model(Contract)
    return ApprovalRequest.objects.filter(kind=REVIEW, target_type=kind, target_id=contract.pk).order_by("-pk")


def chosen(text, numbers, otherwise) -> int:
    """The version that an address asks for, if there is one."""
    return int(text) if (text or "").isdecimal() and int(text) in numbers else otherwise


def compare(old, new, user) -> dict:
    """``{"fields": [Difference], "lines": [LineDifference]}``; a line is recognised by its id."""
    words = Words(user)
    before, after = old.content["fields"], new.content["fields"]
    lines_before = {item["id"]: item for item in old.content["items"]}
    lines_after = {item["id"]: item for item in new.content["items"]}
    for name in HEAD:
        words.want(Contract, name, before.get(name), after.get(name))
    for item in (*lines_before.values(), *lines_after.values()):
        words.want(ContractItem, "product", item.get("product"))

    def text(model, name, values):
        return words.text(model, name, values.get(name)) if values else ""

    fields = [
        Difference(label_of(Contract, name), text(Contract, name, before), text(Contract, name, after)) for name in HEAD
    ]
    lines = []
    for key in [*lines_before, *(key for key in lines_after if key not in lines_before)]:
        was, now = lines_before.get(key), lines_after.get(key)
        values = [
            Difference(label_of(ContractItem, name), text(ContractItem, name, was), text(ContractItem, name, now))
            for name in LINE
        ]
        changed = any(value.differs for value in values)
        kind = "新增" if was is None else "删除" if now is None else "修改" if changed else ""
        lines.append(LineDifference((now or was)["name"], kind, values))
    return {"fields": fields, "lines": lines}


def in_words(version) -> str:
    """The lines of a version, one a line."""
    return "\n".join(f"{item['name']}　{item['amount']}" for item in version.content["items"])
