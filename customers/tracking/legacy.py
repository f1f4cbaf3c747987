"""Operations of information-tracking: ``informationtra`` and ``users`` of one database, ``contacts`` of the other.

Source: document 003. Customers themselves come from elsewhere; here they are recognised by telephone number.
"""

from django.utils import timezone

from crm import text
from crm.legacy import convert
from crm.legacy.tables import Table, table
from customers.models import Contact, Customer
from customers.tracking.models import Delivery, Source, Trace
from customers.tracking.services import counting, recording
from customers.tracking.wechat.models import OperationTrace

SYSTEM = "information-tracking"


def phones_of(context, name, key, keys) -> dict[str, str]:
    """``{key: number}`` as the staged table ``name`` has it."""
    return {row[key]: row["phonenumber"] or "" for row in context.staging.find(name, key, keys)}


class Numbers(Table):
    """Telephone numbers of customers that are here already; a number that nobody has is told."""

    model = Contact
    handled = ("id", "userId", "phoneNumber")

    def prepare(self, items, context):
        keys = {text.phone_key(item.get("phoneNumber")) for item in items} - {""}
        rows = Contact.objects.valid().filter(mobile_key__in=keys).order_by("-pk")
        self.contacts = dict(rows.values_list("mobile_key", "pk"))

    def adjust(self, item, context):
        item.target = self.contacts.get(text.phone_key(item.get("phoneNumber")))
        if item.target is None:
            number = item.get("phoneNumber") or "（空）"
            item.refused = f"没有手机号为“{number}”的联系人；请先迁入客户和联系人，再迁操作记录"


@table(SYSTEM, "contacts", order=10)
class TrackedContacts(Numbers):
    pass


@table(SYSTEM, "users", order=11, key="userId")
class TrackedUsers(Numbers):
    pass


@table(SYSTEM, "informationtra", order=20, is_recognised=False, handled=("userId",))
class Traces(Table):
    """Operations as they were told then, by people of the same name; of customers that are not here too. They are in
    the wechat database already and are not delivered again."""

    model = Trace
    required = ("external_id",)

    def prepare(self, items, context):
        keys = {item.get("userId") for item in items} - {""}
        self.users = phones_of(context, "users", "userid", keys)
        self.contacts = phones_of(context, "contacts", "id", keys - set(self.users))
        numbers = {text.phone_key(phone) for phone in (*self.users.values(), *self.contacts.values())} - {""}
        own = Customer.objects.valid().filter(phone_key__in=numbers).order_by("-pk").values_list("phone_key", "pk")
        of = Contact.objects.valid().filter(mobile_key__in=numbers).order_by("-pk")
        self.customers = dict(own) | dict(of.values_list("mobile_key", "customer_id"))

    def adjust(self, item, context):
        values, key = item.values, item.get("userId")
        told = item.parts.pop(OperationTrace, {})
        entered = told.pop("created_at", None)
        values |= told
        phone = self.users.get(key, self.contacts.get(key, ""))
        if key not in self.users and key not in self.contacts:
            item.notes.append(f"userId：“{key}”在 users 和 contacts 里都没有")
        name = text.clean_text(item.get("trauserName")) or "未知操作人"
        moment = values.get("operated_at") or entered or timezone.now()
        event = values.get("event") or "（旧系统没有写操作事件）"
        values |= {
            "external_id": key[:100],
            "event": event,
            "kind": recording.kind_of(event),
            "user_name": name[:100],
            "actor": context.person(name),
            "phone": text.phone_key(phone)[:40],
            "customer": self.customers.get(text.phone_key(phone)),
            "source": Source.WECHAT if key in self.users else Source.CONTACT if key in self.contacts else "",
            "operated_at": moment,
            "delivery": Delivery.DELIVERED,
            "delivered_at": convert.moment_or_none(item.get("updated_at")) or moment,
        }

    def insert(self, rows, items):
        """Traces are a log of their own, so they are written as they are; their own numbers find them again."""
        traces = Trace.objects.bulk_create([Trace(**row) for row in rows])
        counting.mark_stale(trace.operated_at for trace in traces)
        ids = dict(Trace.objects.filter(uuid__in=[trace.uuid for trace in traces]).values_list("uuid", "pk"))
        return [ids[trace.uuid] for trace in traces]
