"""查重: is somebody already a customer, and whose, asked over all customers before a new one is entered.

Whoever asks learns of records out of his reach the name, the owner's department and whether it is in the sea, and
nothing that he could crawl by: numbers are compared whole, a word that is in many names finds none of them, and every
question is logged and counted against a limit by the hour.
"""

import re
from dataclasses import dataclass, field
from datetime import timedelta

from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from crm import audit, search, text
from crm.models import BusinessLog, Operation
from crm.policies import policy_for
from crm.registries import Registry
from customers.models import Contact, Customer, SeaCustomer

# asked with (phone key, user): ``[Mention]`` of records of other kinds with this number
MENTIONS = Registry("duplicates of other kinds")

PER_HOUR = 60
MOST = 10
NAME_LENGTH, LICENCE_LENGTH = 2, 6
_LEGAL = re.compile(
    r"(股份有限公司|有限责任公司|集团有限公司|有限公司|分公司|总公司|集团|公司|"
    r"(,|\.)?co\.?,?ltd\.?|ltd\.?|limited|incorporated|inc\.?|corp\.?|gmbh|llc)$"
)
_PLACE = re.compile(r"^(中国|[\u4e00-\u9fff]{2,3}(省|自治区))?([\u4e00-\u9fff]{2,3}市)?")
_BRACKETS = re.compile(r"[()（）\[\]【】,，.。·]")


class CheckRefused(ValueError):
    """Too little was given to look for, or too often; the message says which and what to do."""


@dataclass(frozen=True)
class Match:
    """What is told of one customer; ``link`` only to whoever may see it, ``may_claim`` if he may have it."""

    pk: int
    name: str
    whose: str
    in_sea: bool
    reasons: tuple[str, ...]
    link: str = ""
    may_claim: bool = False


@dataclass(frozen=True)
class Mention:
    """Another record with the same number, and whom to ask about it."""

    words: str
    link: str = ""


@dataclass
class Found:
    matches: list[Match] = field(default_factory=list)
    mentions: list[Mention] = field(default_factory=list)
    is_vague: bool = False  # the name is part of so many names that only the same and those beginning so are listed


def allowed(user) -> bool:
    return policy_for(Customer).allows(user, "add")


def check(*, by, name="", phone="", licence_no="") -> Found:
    """Valid customers with this name (or a part of it), telephone number or licence number; logged.

    Raises PermissionDenied, CheckRefused.
    """
    if not allowed(by):
        raise PermissionDenied("没有新增客户的权限，不能查重。")
    core, licence = core_of(name), text.fold(licence_no)
    _require_enough(name, core, phone, licence)
    _require_patience(by)
    found = Found()
    reasons: dict[int, list[str]] = {}
    if core:
        named, found.is_vague = _named(core)
        _note(reasons, named, "名称相近")
    if key := text.phone_key(phone):
        _note(reasons, _numbered(key), "电话相同")
        found.mentions = [mention for mentions in MENTIONS.ask(key, by).values() for mention in mentions]
    if licence:
        same = Customer.objects.valid().filter(licence_key=licence)
        _note(reasons, same.order_by("-pk").values_list("pk", flat=True)[:MOST], "营业执照相同")
    found.matches = _matches(reasons, by)
    asked = "，".join(
        filter(None, [name and f"名称“{name}”", phone and f"电话 {phone}", licence and f"执照 {licence}"])
    )
    audit.note(by, Customer, Operation.CHECK, remark=f"{asked}：找到 {len(found.matches)} 个客户")
    return found


def core_of(name) -> str:
    """What is left of the name of a company without its place and legal form, folded; of a short one, all."""
    whole = _BRACKETS.sub("", text.fold(name))
    core = whole
    while (shorter := _LEGAL.sub("", core)) != core and len(shorter) >= NAME_LENGTH:
        core = shorter
    shorter = _PLACE.sub("", core)
    return shorter if len(shorter) >= NAME_LENGTH else core


def _require_enough(name, core, phone, licence):
    if not (core or phone or licence):
        raise CheckRefused("请至少填写客户名称、电话、营业执照注册号中的一项。")
    if name and len(core) < NAME_LENGTH:
        raise CheckRefused(f"客户名称：请至少填写 {NAME_LENGTH} 个字。")
    if phone and not text.is_phone(phone):
        raise CheckRefused("电话：请填写完整的号码，不能只查其中几位。")
    if licence and len(licence) < LICENCE_LENGTH:
        raise CheckRefused("营业执照注册号：请填写完整的号码。")


def _require_patience(user):
    since = timezone.now() - timedelta(hours=1)
    asked = BusinessLog.objects.filter(created_at__gte=since, user=user, operation=Operation.CHECK)
    if asked.count() >= PER_HOUR:
        raise CheckRefused(f"查重太频繁：每人每小时最多 {PER_HOUR} 次，请稍后再试。要录入整批客户请用“导入”。")


def _named(core) -> tuple[list[int], bool]:
    """Customers whose name holds ``core``, the best first; of too many only those of this name or beginning with it.

    The index knows contacts and numbers as well, which are nobody's business here: names are compared once more.
    """
    ids = search.matches(Customer.objects.valid(), core, limit=5 * MOST)
    rows = {row.pk: row for row in Customer.objects.filter(pk__in=ids).only("name", "short_name")}
    names = {pk: [_BRACKETS.sub("", text.fold(n)) for n in (rows[pk].name, rows[pk].short_name)] for pk in ids}
    holding = [pk for pk in ids if any(core in name for name in names[pk])]
    if len(holding) <= MOST and len(ids) < 5 * MOST:
        return holding, False
    near = [pk for pk in holding if any(core_of(name) == core or name.startswith(core) for name in names[pk])]
    return near[:MOST], True


def _numbered(key):
    people = Contact.objects.valid().filter(Q(mobile_key=key) | Q(telephone_key=key), customer__is_valid=True)
    own = Customer.objects.valid().filter(phone_key=key).order_by("-pk").values_list("pk", flat=True)[:MOST]
    return [*own, *people.order_by("-customer_id").values_list("customer_id", flat=True)[:MOST]]


def _note(reasons, ids, reason):
    for pk in ids:
        if reason not in (given := reasons.setdefault(pk, [])):
            given.append(reason)


def _matches(reasons, user) -> list[Match]:
    rows = Customer.objects.filter(pk__in=reasons).select_related("owner__department")
    rows = {row.pk: row for row in rows.only("name", "owner__full_name", "owner__department__name", "is_enabled")}
    seen = _within(policy_for(Customer), user, "view", rows)
    claimable = _within(policy_for(SeaCustomer), user, "claim", rows)
    return [
        Match(
            pk=pk,
            name=rows[pk].name,
            whose=_whose(rows[pk].owner, pk in seen),
            in_sea=rows[pk].owner_id is None,
            reasons=tuple(reasons[pk]),
            link=reverse("admin:customers_customer_change", args=[pk]) if pk in seen else "",
            may_claim=pk in claimable,
        )
        for pk in reasons
    ]


def _within(policy, user, action, ids) -> set[int]:
    return set(policy.visible_to(user, action).filter(pk__in=list(ids)).values_list("pk", flat=True))


def _whose(owner, is_seen) -> str:
    if owner is None:
        return "公海"
    department = str(owner.department or "其他同事")
    return f"{owner}（{department}）" if is_seen else department
