"""Who gets a campaign: its customers, their numbers, and who of them is left out and why."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from crm import text
from crm.policies import policy_for
from customers.models import Contact, Customer, StagePeriod
from customers.models.contacts import Sex
from sales.models import DeliveryState, SkipReason, SmsDelivery, SmsOptOut, SmsRule
from sales.sms import text as wording

# what counts towards the frequency cap: messages that went out, or may have
COUNTED = [DeliveryState.SENDING, DeliveryState.SENT, DeliveryState.UNKNOWN]
RESERVED = timedelta(minutes=10)  # so long a message that is about to go out counts as well
LOOK_BACK = timedelta(days=1)
PREVIEW_MOST = 5000
PREVIEW_SHOWN = 20
CHUNK = 500


@dataclass
class Recipient:
    """A customer of a campaign, the number it is reached at, and ``reason`` why it is skipped, if it is."""

    customer: Customer
    contact: Contact | None = None
    phone: str = ""
    phone_key: str = ""
    reason: str = ""
    missing: str = ""  # the variables without content
    content: str = ""
    values: dict = field(default_factory=dict)

    def parameters(self, campaign) -> tuple[str, ...]:
        """What fills the provider's template, in its order."""
        return tuple(self.values[variable.key] for variable in wording.variables(campaign.template.content))

    @property
    def reason_label(self):
        return SkipReason(self.reason).label + (f"（{self.missing}）" if self.missing else "") if self.reason else ""


def audience(campaign, user):
    """The customers that meet the conditions of ``campaign`` and that ``user`` may see now."""
    rows = within_reach(user)
    for name in ("tags", "categories"):
        chosen = list(getattr(campaign, name).values_list("pk", flat=True))
        if chosen:
            links = getattr(Customer, name)
            column = links.field.m2m_reverse_field_name()
            rows = rows.filter(pk__in=links.through.objects.filter(**{f"{column}__in": chosen}).values("customer_id"))
    for name, values in (("stage", campaign.stages), ("deal_status", campaign.deals)):
        if values:
            rows = rows.filter(**{f"{name}__in": values})
    for name in ("level", "industry", "area"):
        if value := getattr(campaign, f"{name}_id"):
            rows = rows.filter(**{f"{name}_id": value})
    if campaign.idle_days:
        since = timezone.now() - timedelta(days=campaign.idle_days)
        rows = rows.filter(Q(last_followed_at__lt=since) | Q(last_followed_at=None, created_at__lt=since))
    return rows


def within_reach(user):
    """The customers that ``user`` may send anything to."""
    return policy_for(Customer).visible_to(user).filter(is_enabled=True, is_closed=False)


def entered(campaign, user, now):
    """Customers of an automatic ``campaign`` whose day has come: in its stage since its start, for so many days.

    What was enrolled up to the day before the last look is not looked at again.
    """
    wait = timedelta(days=campaign.delay_days)
    since = max(campaign.started_at, (campaign.enrolled_at or campaign.started_at) - wait - LOOK_BACK)
    rows = audience(campaign, user).filter(
        stage=campaign.trigger_stage, stage_since__gte=since, stage_since__lte=now - wait
    )
    if campaign.includes_new:
        return rows
    changes = StagePeriod.objects.valid().filter(
        customer=OuterRef("pk"), next_stage=campaign.trigger_stage, ended_at=OuterRef("stage_since")
    )
    return rows.filter(Exists(changes))


def address(customers, user) -> list[Recipient]:
    """``customers`` with the mobile number of the default contact, else of another one, else their own.

    Contacts are looked at for those alone who may see contacts. Two customers of one number share its message.
    """
    ids = [customer.pk for customer in customers]
    contacts: dict[int, Contact] = {}
    if policy_for(Contact).allows(user, "view"):
        rows = Contact.objects.valid().filter(customer__in=ids, mobile_key__startswith="+861")
        for contact in rows.order_by("-is_default", "id"):
            if is_mobile(contact.mobile_key):
                contacts.setdefault(contact.customer_id, contact)
    found = []
    for customer in customers:
        contact = contacts.get(customer.pk)
        phone = contact.mobile if contact else customer.phone
        key = text.phone_key(phone)
        recipient = Recipient(customer, contact, phone, key)
        if not is_mobile(key):
            recipient.phone_key, recipient.reason = "", SkipReason.NO_NUMBER
        found.append(recipient)
    return found


def is_mobile(key) -> bool:
    """A mobile number of the mainland: abroad other rules, prices and templates apply."""
    return len(key or "") == 14 and key.startswith("+861") and key[4] in "3456789" and key[1:].isdigit()


def judge(campaign, recipients, *, now, own=()) -> None:
    """Fill in why of ``recipients`` some get nothing, and what the others read; set-wise.

    ``own`` are the keys of deliveries that do not count towards the cap: those of the recipients themselves.
    """
    open_ones = [recipient for recipient in recipients if not recipient.reason]
    keys = {recipient.phone_key for recipient in open_ones}
    gone = set(SmsOptOut.objects.valid().filter(phone_key__in=keys).values_list("phone_key", flat=True))
    rule = rule_of(campaign)
    counts = _counts(rule, keys, now, own)
    needed = dict.fromkeys(wording.variables(campaign.template.content))
    for recipient in open_ones:
        recipient.values = values_of(recipient)
        if recipient.phone_key in gone:
            recipient.reason = SkipReason.OPTED_OUT
        elif rule.cap_count is not None and counts[recipient.phone_key] >= rule.cap_count:
            recipient.reason = SkipReason.CAPPED
        elif missing := [variable.label for variable in needed if not recipient.values[variable.key]]:
            recipient.reason, recipient.missing = SkipReason.INCOMPLETE, "、".join(missing)
        else:
            filled = wording.fill(campaign.template.content, recipient.values)
            recipient.content = wording.signed(campaign.template.signature, filled)
            counts[recipient.phone_key] += 1


def rule_of(campaign) -> SmsRule:
    return SmsRule.objects.filter(type=campaign.template.type).first() or SmsRule(type=campaign.template.type)


def _counts(rule, keys, now, own) -> Counter:
    """How many messages of this type each of ``keys`` got within the days of the cap, or is about to get."""
    if rule.cap_count is None or not keys:
        return Counter()
    went = Q(state__in=COUNTED, tried_at__gt=now - timedelta(days=rule.cap_days))
    about_to = Q(state=DeliveryState.PENDING, judged_at__gt=now - RESERVED)
    rows = SmsDelivery.objects.filter(went | about_to, phone_key__in=keys, campaign__template__type=rule.type)
    return Counter(rows.exclude(pk__in=own).values_list("phone_key", flat=True))


def values_of(recipient) -> dict[str, str]:
    """``{key of variable: text}`` for a recipient; a customer without contact is addressed by its own name."""
    customer, contact, owner = recipient.customer, recipient.contact, recipient.customer.owner
    name = contact.name if contact else ""
    return {
        "customer": customer.short_name or customer.name,
        "name": name,
        "title": _title(contact) if contact else "",
        "owner": owner.full_name if owner else "",
        "owner_phone": owner.phone if owner else "",
        "company": owner.company.name if owner and owner.company else "",
    }


def _title(contact) -> str:
    """``王女士``; a name that is not Chinese, or of somebody whose sex is not known, stays whole."""
    forms = {Sex.MALE: "先生", Sex.FEMALE: "女士"}
    chinese = 2 <= len(contact.name) <= 4 and all("\u4e00" <= char <= "\u9fff" for char in contact.name)
    if contact.sex not in forms or not chinese:
        return contact.name
    surname = contact.name[:2] if contact.name[:2] in DOUBLE_SURNAMES and len(contact.name) > 2 else contact.name[0]
    return surname + forms[contact.sex]


DOUBLE_SURNAMES = {
    "欧阳",
    "司马",
    "上官",
    "诸葛",
    "东方",
    "皇甫",
    "尉迟",
    "公孙",
    "慕容",
    "令狐",
    "司徒",
    "夏侯",
    "端木",
}


@dataclass
class Preview:
    """What would happen now. ``looked_at`` of ``total`` customers were gone through, the first ones."""

    total: int
    looked_at: int
    going: int
    segments: int
    skipped: list[tuple[str, int]]
    shown: list[Recipient]

    @property
    def is_partial(self):
        return self.looked_at < self.total


def preview(campaign, user) -> Preview:
    """Who would get ``campaign`` from ``user`` now, who would not, and how many segments that costs."""
    now, rows = timezone.now(), audience(campaign, user)
    if campaign.is_automatic:
        rows = rows.filter(stage=campaign.trigger_stage)
    found, reasons, segments, seen, looked_at, last = [], Counter(), 0, set(), 0, 0
    going = 0
    while looked_at < PREVIEW_MOST and (customers := page(rows, last)):
        recipients = address(customers, user)
        mark_duplicates(recipients, seen)
        judge(campaign, recipients, now=now)
        last, looked_at = customers[-1].pk, looked_at + len(customers)
        for recipient in recipients:
            if recipient.reason:
                reasons[recipient.reason] += 1
            else:
                going, segments = going + 1, segments + wording.segments(recipient.content)
        found += recipients[: PREVIEW_SHOWN - len(found)]
    skipped = [(reason.label, reasons[reason]) for reason in SkipReason if reasons[reason]]
    total = looked_at if looked_at < PREVIEW_MOST else rows.order_by().count()
    return Preview(total, looked_at, going, segments, skipped, found)


def page(rows, last) -> list[Customer]:
    """The next customers of ``rows`` after the key ``last``."""
    return list(rows.filter(pk__gt=last).select_related("owner__company").order_by("pk")[:CHUNK])


def mark_duplicates(recipients, seen) -> None:
    """Of several customers with one number the first gets the message; ``seen`` collects the numbers."""
    for recipient in recipients:
        if recipient.phone_key in seen and not recipient.reason:
            recipient.phone_key, recipient.reason = "", SkipReason.DUPLICATE
        elif recipient.phone_key:
            seen.add(recipient.phone_key)
