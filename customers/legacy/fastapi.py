"""Customers, contacts, conversations and visits of fastapi-crm. Source: document 001, tables 5–7 and 9."""

import re

from django.utils import timezone

from crm.legacy import convert
from crm.legacy.tables import Table, table
from customers.models import (
    Contact,
    Customer,
    DealStatus,
    Interaction,
    Kind,
    OwnerChange,
    OwnershipPeriod,
    ReviewStatus,
    Stage,
    VisitPlan,
    VisitStatus,
)

STAGES = {DealStatus.POTENTIAL: Stage.LEAD, DealStatus.WON: Stage.ORDINARY, DealStatus.LOST: Stage.LAPSED}


@table("fastapi-crm", "crm_customer", order=25, handled=("is_in_sea",))
class FastapiCustomers(Table):
    """Customers. One in the sea has no owner here; who had it before is its last ``OwnershipPeriod``.

    Companies are recognised by name; of persons of one name each stays a customer of its own.
    """

    model = Customer
    required = ("name",)

    def recognises(self, item):
        return item.values.get("kind") != Kind.PERSON

    def adjust(self, item, context):
        values = item.values
        values.setdefault("kind", Kind.COMPANY)
        values["review_status"] = ReviewStatus.APPROVED
        values["stage"] = STAGES[values.get("deal_status", DealStatus.POTENTIAL)]
        entered = values.get("created_at") or timezone.now()
        values["stage_since"] = entered
        since = values.pop("owned_since", None)
        if item.get("is_in_sea").strip().lower() in convert.TRUE:
            values["owned_since"] = since or convert.moment_or_none(item.get("updated_at")) or entered
            if (owner := values.pop("owner", None)) is not None:
                item.parts[OwnershipPeriod] = _held(owner, entered, values["owned_since"])
        else:
            values["owned_since"] = entered


def _held(owner, start, end) -> dict:
    return {
        "owner": owner,
        "started_at": min(start, end),
        "ended_at": end,
        "began": OwnerChange.ENTERED,
        "ended": OwnerChange.RELEASED,
        "reason": "旧系统里已在公海",
    }


@table("fastapi-crm", "crm_contact", order=30)
class FastapiContacts(Table):
    model = Contact
    required = ("customer", "name")

    def adjust(self, item, context):
        item.values.setdefault("name", item.values.get("mobile", ""))


def drop_foreign_contacts(rows, items) -> None:
    """A contact of another customer is not the contact of this record; the note says so."""
    asked = {row["contact_id"] for row in rows if row.get("contact_id")}
    customers = dict(Contact._base_manager.filter(pk__in=asked).values_list("pk", "customer_id"))
    for row, item in zip(rows, items, strict=True):
        if row.get("contact_id") and customers.get(row["contact_id"]) != row["customer_id"]:
            item.notes.append(f"contact_id：联系人“{item.get('contact_id')}”不属于该客户，未关联")
            row["contact_id"] = None


@table("fastapi-crm", "crm_customer_session", order=35, is_recognised=False, fills_blanks=False)
class FastapiSessions(Table):
    model = Interaction
    required = ("customer", "time")

    def adjust(self, item, context):
        values = item.values
        values.setdefault("time", values.get("created_at"))
        if not values.get("content"):
            values["overview"] = "（旧系统没有写内容）"
        if "author" in values:
            values["created_by"] = values["author"]

    def complete(self, rows, items, context):
        drop_foreign_contacts(rows, items)


@table("fastapi-crm", "crm_visit_plan", order=36, is_recognised=False, handled=("participants",))
class FastapiVisitPlans(Table):
    """Visits. Participants are colleagues by name; other names stay in the remark."""

    model = VisitPlan
    required = ("customer", "time", "purpose")

    def adjust(self, item, context):
        values = item.values
        if values.get("status", VisitStatus.PLANNED) != VisitStatus.PLANNED:
            values["finished_at"] = convert.moment_or_none(item.get("updated_at")) or values.get("time")
        known, others = [], []
        for name in filter(None, re.split(r"[\s,，、;；/]+", item.get("participants"))):
            person = context.known_person(name)
            (others if person is None else known).append(name if person is None else person)
        item.many["participants"] = sorted(set(known))
        if others:
            values["remark"] = f"旧系统里的其他参与人：{'、'.join(others)}"
