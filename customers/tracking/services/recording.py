"""Writing traces: what the admin saw happen, and what pages report by telephone number.

Source: information-tracking.
"""

from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.utils import timezone

from crm import text
from crm.models import Side, User
from crm.policies import policy_for, registered
from crm.registries import Registry
from crm.trails import Kind
from customers.models import Contact, Customer
from customers.tracking.models import Source, Trace
from customers.tracking.services import lookup

EVENT_MAX = 500
MOVED_AT_ONCE = 1000
# asked with nothing: ``{model: Kind}`` of records whose adding or editing is something else than 修改
KINDS = Registry("what editing a record means for its customer")
# how operations are named by those who call the interface
WORDS = {
    Kind.VIEW: ("view", "查看", "浏览", "打开"),
    Kind.FOLLOW_UP: ("follow", "跟进", "拜访", "会话"),
    Kind.EXPORT: ("export", "导出"),
    Kind.DOWNLOAD: ("download", "下载"),
    Kind.EDIT: ("edit", "update", "修改", "编辑", "更新"),
}


class UnknownPhone(Exception):
    """No customer that this person may see has the number."""


class WrongSide(Exception):
    """The person does not belong to the side that the call speaks for."""


def kind_of(event, event_type="") -> Kind:
    """The kind that the words of a call mean; 更新客户跟进 is a follow-up."""
    for words in (event_type.casefold(), event.casefold()):
        for kind, signs in WORDS.items():
            if any(sign in words for sign in signs):
                return kind
    return Kind.OTHER


def as_they_are(user) -> dict:
    """Company, department, organization, roles, name and assistant of ``user`` in words, by one query."""
    rows = list(
        User.objects.filter(pk=user.pk).values_list(
            "company__name",
            "department__name",
            "organization",
            "full_name",
            "assistant__full_name",
            "side",
            "groups__role__is_active",
            "groups__name",
        )
    )
    company, department, organization, name, assistant, side, *_ = rows[0]
    roles = sorted(row[-1] for row in rows if row[-2])
    return {
        "actor_id": user.pk,
        "company": company or "",
        "department": department or "",
        "organization": organization,
        "user_name": name or user.username,
        "assistant": assistant or "",
        "side": side,
        "role": "、".join(roles)[:255],
    }


def record_deeds(user, ip, deeds) -> None:
    """Keep what was done to customers in one request, by one insert; deeds about other things are passed over."""
    meanings = {model: kind for answer in KINDS.ask().values() for model, kind in answer.items()}
    traces = [trace for deed in deeds if (trace := _trace(deed, user, meanings)) is not None]
    if not traces:
        return
    person = as_they_are(user)
    for trace in traces:
        trace.ip = ip
        for name, value in person.items():
            setattr(trace, name, value)
    Trace.objects.bulk_create(traces)


def _trace(deed, user, meanings) -> Trace | None:
    """None for what is about no customer: somebody else's records, reference data."""
    policy = registered().get(deed.model)
    kind = meanings.get(deed.model, deed.kind) if deed.kind == Kind.EDIT else deed.kind
    trace = Trace(kind=kind, event=deed.words[:EVENT_MAX], rows=deed.rows)
    if deed.obj is None:
        concerns = deed.model is Customer or any(p.model is Customer for p in getattr(policy, "roots", {}).values())
        return trace if concerns else None
    root = deed.obj if isinstance(deed.obj, Customer) or policy is None else policy.root_of(deed.obj)
    if not isinstance(root, Customer) or deed.model is Trace:  # who reads traces stands in the business log
        return None
    trace.customer_id, trace.phone = root.pk, root.phone_key or ""
    trace.is_foreign = root.owner_id != user.pk
    return trace


def record_by_phone(phone, event, *, by, event_type="", supply_side=True, ip=None) -> Trace:
    """Record that ``by`` did ``event`` to whoever has the number: wechat users first, then our contacts and customers.

    A number of our customers counts only for those who may see one of them. While the wechat database does not answer,
    a number that we do not know is kept and looked up when the trace is delivered. Raises WrongSide, PermissionDenied,
    UnknownPhone.
    """
    if by.side != (Side.SUPPLY if supply_side else Side.SALES):
        raise WrongSide
    if not policy_for(Customer).allows(by, "view"):
        raise PermissionDenied("没有查看客户的权限。")
    key = text.phone_key(phone)
    if not key:
        raise UnknownPhone
    try:
        source, external = Source.WECHAT, lookup.wechat_users([key]).get(key)
        is_answered = True
    except lookup.Unavailable:
        source, external, is_answered = "", None, False
    contact, customer = _ours(key, by)
    if external is None:
        source, external = _number(contact, customer)
    if external is None and is_answered:
        raise UnknownPhone
    trace = Trace(
        kind=kind_of(event, event_type),
        event=event[:EVENT_MAX],
        event_type=event_type[:50],
        customer=customer,
        phone=key,
        is_foreign=customer is not None and customer.owner_id != by.pk,
        source=source,
        external_id=external or "",
        ip=ip,
        operated_at=timezone.now(),
        **as_they_are(by),
    )
    trace.save(force_insert=True)
    return trace


def _number(contact, customer) -> tuple[str, str | None]:
    if contact is not None:
        return Source.CONTACT, str(contact.pk)
    return (Source.CUSTOMER, str(customer.pk)) if customer is not None else ("", None)


def _ours(key, user):
    """``(contact, customer)`` with the number that ``user`` may see. Raises UnknownPhone if he may see none of them."""
    contacts = list(
        Contact.objects.valid()
        .filter(Q(mobile_key=key) | Q(telephone_key=key), customer__is_valid=True)
        .select_related("customer")
        .order_by("pk")
    )
    customers = list(Customer.objects.valid().filter(phone_key=key).order_by("pk"))
    if not contacts and not customers:
        return None, None
    ids = {contact.customer_id for contact in contacts} | {customer.pk for customer in customers}
    seen = set(policy_for(Customer).visible_to(user).filter(pk__in=ids).values_list("pk", flat=True))
    for contact in contacts:
        if contact.customer_id in seen:
            return contact, contact.customer
    for customer in customers:
        if customer.pk in seen:
            return None, customer
    raise UnknownPhone


def go_with(former, new, ids=None) -> list[int]:
    """What was done to customer ``former`` is on the timeline of ``new``: provider of ``JOURNALS`` of merged customers.

    Gives the ids of the traces that moved. Their copies in the wechat database stay as they were delivered.
    """
    if ids is None:
        ids = list(Trace.objects.filter(customer_id=former).order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(ids), MOVED_AT_ONCE):
        chunk = ids[start : start + MOVED_AT_ONCE]
        Trace.objects.filter(pk__in=chunk, customer_id=former).update(customer_id=new)
    return ids
