"""What is done with leads: enter, assign, claim, release, enquire, convert."""

import re
from dataclasses import dataclass
from datetime import timedelta

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django_fsm import FSMFieldMixin

from crm import actor, ownership, records, text, transitions
from crm.models import DataScope, Operation, User
from crm.notifications import notify
from crm.policies import members_in_scope, policy_for
from crm.registries import Registry
from customers.models import Contact, Customer, Kind
from customers.services.duplicates import Mention
from sales.models import OPEN, Lead, LeadEnquiry, LeadPool, LeadStatus, PooledLead
from sales.policies import administered, open_pools
from sales.services import opportunities

# asked with (lead, customer, by=) inside the transaction of a conversion: what else becomes of a lead
conversions = Registry("lead conversion")

ATTEMPTS = 3
SEEN = timedelta(hours=1)  # so long a list may stay open on somebody's screen


class LeadError(ValueError):
    """What was asked for makes no sense now; the message says why and what to do."""


class LeadTaken(LeadError):
    """Somebody else was quicker."""


@dataclass(frozen=True)
class Enquired:
    """What became of an enquiry: the lead it belongs to, and whether that lead is new."""

    lead: Lead
    is_new: bool


def enter(lead, *, by, to_pool=False):
    """Save the new ``lead``: it belongs to whoever enters it, or waits in its pool without an owner."""
    if not to_pool:
        return records.save(lead, by=by)
    with actor.acting(by):
        lead.save(remark="放入线索池")
    return lead


# --- Owners ----------------------------------------------------------------------------------------------------------


def note_assignment(obj, owner, *, reason, how):
    """Hook of ``ownership.changing``: since when a lead is its owner's."""
    if not isinstance(obj, Lead):
        return None
    obj.assigned_at = timezone.now() if owner else None
    return ["assigned_at"]


def closed_to(ids, owner) -> dict[int, str]:
    """Which of the leads ``ids`` cannot become ``owner``'s, and why: open ones in a private pool he is no member of."""
    rows = Lead.objects.filter(pk__in=ids, status__in=OPEN).exclude(pool__in=open_pools(owner).values("pk"))
    return {
        lead.pk: f"线索“{lead}”在私有池“{lead.pool}”里，“{owner}”不是该池成员" for lead in rows.select_related("pool")
    }


def lock_of_customers(ids):
    """Provider of ``merging.LOCKS``: a follow-up locks leads before customers."""
    list(Lead._base_manager.select_for_update().filter(customer__in=ids).order_by("pk").values_list("pk"))


def assignees(user):
    """To whom ``user`` may give leads: those within the data scope of his right, and the people of pools he runs."""
    scope = policy_for(Lead).scope(user, "assign")
    if scope is None:
        return User.objects.none()
    people = User.objects.filter(is_active=True)
    if scope == DataScope.ALL:
        return people
    reach = {user.pk} if scope == DataScope.SELF else set(members_in_scope(user, scope))
    for link in (LeadPool.members, LeadPool.admins):
        reach |= set(link.through.objects.filter(leadpool_id__in=administered(user)).values_list("user_id", flat=True))
    return people.filter(pk__in=reach)


def assign(leads, owner, *, by, reason="") -> int:
    """Give ``leads`` (one or many, all or none) to ``owner``; gives how many changed hands.

    Raises PermissionDenied, LeadError: a colleague out of reach, a private pool he does not belong to, a closed lead.
    """
    leads = [leads] if isinstance(leads, Lead) else list(leads)
    if not assignees(by).filter(pk=owner.pk).exists():
        raise LeadError(f"您不能把线索分配给“{owner}”：只能分配给数据范围内在职的同事，或您所管理线索池的成员。")
    with transaction.atomic(), actor.acting(by):
        stored = _locked(pk__in=[lead.pk for lead in leads])
        _require(stored, len(leads), "assign", by)
        open_to_owner = set(open_pools(owner).values_list("pk", flat=True))
        moved = [lead for lead in stored if lead.owner_id != owner.pk]
        for lead in moved:
            if lead.status not in OPEN:
                raise LeadError(f"“{lead}”{lead.get_status_display()}，不能再分配。")
            if lead.pool_id not in open_to_owner:
                raise LeadError(f"“{lead}”在私有池“{lead.pool}”里，“{owner}”不是该池成员，请先把他加为成员。")
            ownership.set_owner(lead, owner, by=by, reason=reason)
        if moved and owner.pk != by.pk:
            _tell_assigned(owner, moved, by)
    return len(moved)


def _tell_assigned(owner, leads, by):
    first, count = leads[0], len(leads)
    one = reverse("admin:sales_lead_change", args=[first.pk])
    notify(
        [owner],
        title=f"{by}把线索“{first}”分配给您" if count == 1 else f"{by}把 {count} 条线索分配给您",
        key=f"lead-assigned:{first.pk}:{first.lock_version}:{count}",
        link=one if count == 1 else f"{reverse('admin:sales_lead_changelist')}?owner={owner.pk}",
    )


def offered(pk, *, by) -> Lead | None:
    """The lead ``pk`` if it stands in the pool list of ``by``, or stood there a moment ago; else it does not exist."""
    lead = Lead.objects.valid().filter(pk=pk, pool__in=open_pools(by).values("pk")).first()
    if lead is None or not policy_for(PooledLead).allows(by, "claim"):
        return None
    if lead.owner_id is None or (lead.assigned_at and lead.assigned_at > timezone.now() - SEEN):
        return lead
    return None


def claim(lead, *, by):
    """Make ``by`` the owner of a lead that waits in a pool open to him; of two at once the first one wins.

    Raises PermissionDenied, LeadTaken (naming the winner), LeadError.
    """
    with transaction.atomic(), actor.acting(by):
        stored = next(iter(_locked(pk=lead.pk)), None)
        if stored is None or offered(stored.pk, by=by) is None:
            raise PermissionDenied("没有领取该线索的权限。")
        if stored.owner_id is not None:
            winner = "您" if stored.owner_id == by.pk else stored.owner
            raise LeadTaken(f"“{stored}”已被{winner}领取。")
        if stored.status not in OPEN:
            raise LeadError(f"“{stored}”{stored.get_status_display()}，不能领取。")
        ownership.set_owner(stored, by, by=None, reason="领取")
    return stored


def release(leads, *, by, reason) -> int:
    """Put ``leads`` (one or many, all or none) back into their pools; gives how many.

    Raises PermissionDenied, LeadError: no reason, no owner, a closed lead.
    """
    leads = [leads] if isinstance(leads, Lead) else list(leads)
    if not reason.strip():
        raise LeadError("退回线索池需要填写原因。")
    with transaction.atomic(), actor.acting(by):
        stored = _locked(pk__in=[lead.pk for lead in leads])
        _require(stored, len(leads), "release", by)
        for lead in stored:
            if lead.owner_id is None:
                raise LeadError(f"“{lead}”本来就在线索池里。")
            if lead.status not in OPEN:
                raise LeadError(f"“{lead}”{lead.get_status_display()}，不能退回线索池。")
            ownership.set_owner(lead, None, by=None, reason=reason.strip())
    return len(stored)


def invalidate(lead, *, by, reason):
    """失效, with its reason. Raises PermissionDenied, TransitionRefused."""
    return transitions.run(lead, "invalidate", by=by, reason=reason)


def _locked(**which) -> list[Lead]:
    """Valid leads, locked in the order of their keys for the caller's transaction."""
    return list(Lead._base_manager.select_for_update().filter(is_valid=True, **which).order_by("pk"))


def _require(stored, wanted, action, by):
    allowed = policy_for(Lead).visible_to(by, action).filter(pk__in=[lead.pk for lead in stored]).count()
    if not stored or allowed < wanted:
        raise PermissionDenied("选中的线索里有您无权处理的。")


# --- Enquiries -------------------------------------------------------------------------------------------------------


def register_enquiry(phone, *, by, name="", company="", source=None, content="", pool=None) -> Enquired:
    """Note that somebody with number ``phone`` asked for us.

    A number that a lead already has, however it was written, is added to that lead: its count, a row of the enquiry,
    a message to its owner; a lead that had been given up is open again. Else a new lead waits in ``pool``.
    Raises PermissionDenied, LeadError.
    """
    if not policy_for(Lead).allows(by, "add"):
        raise PermissionDenied("没有新增线索的权限。")
    if not text.is_phone(phone):
        raise LeadError("请填写有效的联系电话，请检查位数和符号。")
    enquiry = LeadEnquiry(name=name, company=company, source=source, content=content)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with transaction.atomic(), actor.acting(by):
                return _register(phone, enquiry, pool, by)
        except IntegrityError:
            # somebody entered the same new number meanwhile: it is known now
            if attempt == ATTEMPTS:
                raise


def _register(phone, enquiry, pool, by) -> Enquired:
    lead = next(iter(_locked(phone_key=text.phone_key(phone))), None)
    is_new = lead is None
    if is_new:
        if pool is None or not policy_for(LeadPool).choices_for(by).filter(pk=pool.pk).exists():
            raise LeadError("这是新的号码，请选择一个您可以使用的线索池。")
        lead = Lead(
            name=enquiry.name or enquiry.company or text.mask_phone(phone),
            company=enquiry.company,
            phone=phone,
            source=enquiry.source,
            description=enquiry.content,
            pool=pool,
        )
        lead.save(remark="登记咨询")
    elif lead.status == LeadStatus.INVALID:
        lead.reopen()
        lead.save(operation=Operation.TRANSITION, remark="再次咨询")
    enquiry.pk, enquiry.lead, enquiry._state.adding = None, lead, True
    records.save(enquiry, by=by)
    lead.enquiry_count, lead.last_enquiry_at = lead.enquiry_count + 1, enquiry.enquired_at
    lead.save(update_fields=["enquiry_count", "last_enquiry_at"])
    if lead.owner is not None and lead.owner != by:
        notify(
            [lead.owner],
            title=f"线索“{lead}”再次咨询",
            body=enquiry.content[:200],
            key=f"lead-enquiry:{enquiry.pk}",
            link=reverse("admin:sales_lead_change", args=[lead.pk]),
        )
    return Enquired(lead, is_new)


# --- Conversion ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Candidates:
    """Customers that a lead may already be: those in sight, and of the others only whom to ask."""

    visible: list[Customer]
    elsewhere: list[str]


def candidates(lead, *, by) -> Candidates:
    """Valid customers with the company's (else the lead's) name or the lead's phone, their contacts' included."""
    same = Q(name_key=text.fold(lead.company or lead.name)[:200])
    if lead.phone_key:
        people = Contact.objects.valid().filter(Q(mobile_key=lead.phone_key) | Q(telephone_key=lead.phone_key))
        same |= Q(phone_key=lead.phone_key) | Q(pk__in=list(people.values_list("customer_id", flat=True)[:100]))
    found = list(
        Customer.objects.valid().filter(same).select_related("owner__department", "level").order_by("-pk")[:50]
    )
    seen = set(policy_for(Customer).visible_to(by).filter(pk__in=[c.pk for c in found]).values_list("pk", flat=True))
    hidden = [customer for customer in found if customer.pk not in seen]
    return Candidates(
        visible=[customer for customer in found if customer.pk in seen],
        elsewhere=sorted({_whose(customer) for customer in hidden}),
    )


def mentioned(phone_key, user) -> list[Mention]:
    """The lead of this number, named to those who may see it; of somebody else's only whom to ask."""
    found = []
    for lead in Lead.objects.valid().filter(phone_key=phone_key).select_related("pool", "owner__department"):
        if policy_for(Lead).may(user, "view", lead):
            link = reverse("admin:sales_lead_change", args=[lead.pk])
            found.append(Mention(f"线索“{lead}”是同一个号码（{lead.get_status_display()}）", link))
        else:
            found.append(Mention(f"已有同一个号码的线索（{lead.whereabouts}），请先向对方核实。"))
    return found


def _whose(customer) -> str:
    if customer.owner is None:
        return "在公海"
    return f"归属：{customer.owner.department or '其他同事'}"


def proposal(lead) -> dict:
    """How the customer and the contact of ``lead`` would be entered: ``{form field: value}``."""
    return {
        "name": lead.company or lead.name,
        "kind": Kind.COMPANY if lead.company else Kind.PERSON,
        "source": lead.source,
        "phone": lead.phone,
        "contact_name": lead.name,
        "contact_position": lead.position,
    }


def obstacle(lead) -> str:
    """Why ``lead`` cannot be converted now, and what to do; empty if nothing is in the way."""
    if lead.status not in OPEN:
        return f"“{lead}”{lead.get_status_display()}，不能再转化。"
    if lead.owner_id is None:
        return f"“{lead}”还没有负责人，请先领取或分配，再转为客户。"
    return ""


def convert(lead, *, by, customer=None, values=None, contact_name=None, contact_position=None, opportunity=None):
    """Make ``lead`` a customer: the existing ``customer``, or a new one with ``values`` that keeps the lead's owner.

    ``opportunity`` are the values of one to begin with, which keeps the lead's owner too. Customer, contact,
    opportunity, state of the lead and whatever ``conversions`` adds are one transaction; a lead is converted once.
    Gives the customer. Raises PermissionDenied, LeadError, ValidationError (of customer or opportunity).
    """
    with transaction.atomic(), actor.acting(by):
        stored = next(iter(_locked(pk=lead.pk)), None)
        if stored is None or not policy_for(Lead).may(by, "convert", stored):
            raise PermissionDenied("没有转化该线索的权限。")
        if problem := obstacle(stored):
            raise LeadError(problem)
        if customer is None:
            customer = _new_customer(stored, values or {}, by)
        else:
            customer = Customer.objects.valid().select_for_update().get(pk=customer.pk)
            if not policy_for(Customer).may(by, "change", customer):
                raise PermissionDenied("没有修改该客户的权限，不能把线索并入它。")
        contact = _add_contact(stored, customer, contact_name, contact_position, by)
        if opportunity:
            given = {"customer": customer, "contact": contact, "lead": stored, **opportunity}
            opportunities.create(by=by, owner=stored.owner, **given)
        transitions.run(stored, "convert", by=by, customer=customer)
        stored.refresh_from_db()
        conversions.ask(stored, customer, by=by)
    return customer


def _new_customer(lead, values, by):
    if not policy_for(Customer).allows(by, "add"):
        raise PermissionDenied("没有新增客户的权限。")
    usual = {name: value for name, value in proposal(lead).items() if not name.startswith("contact_")}
    customer = Customer(**{**usual, "owner": lead.owner, **values})
    customer.full_clean(exclude=[field.name for field in Customer._meta.fields if isinstance(field, FSMFieldMixin)])
    return records.save(customer, by=by, reason=f"由线索“{lead}”转化")


def _add_contact(lead, customer, name, position, by):
    """The lead as a contact of ``customer``, or the one of this number that is there already; None without a name."""
    name = lead.name if name is None else name
    if not name:
        return None
    mobile = not _is_landline(lead.phone_key)
    known = Contact.objects.valid().filter(customer=customer)
    same = Q(mobile_key=lead.phone_key) | Q(telephone_key=lead.phone_key) if lead.phone_key else Q(name=name)
    if (there := known.filter(same).order_by("pk").first()) is not None:
        return there
    contact = Contact(
        customer=customer,
        name=name,
        position=lead.position if position is None else position,
        mobile=lead.phone if mobile else "",
        telephone="" if mobile else lead.phone,
    )
    return records.save(contact, by=by)


def _is_landline(key) -> bool:
    """Of numbers in China, what is no mobile; abroad nobody can tell."""
    return bool(key) and key.startswith("+86") and not re.match(r"\+861[3-9]\d{9}$", key)
