"""Work orders and return visits, from the old systems."""

from django.utils import timezone

from crm.legacy import convert
from crm.legacy.tables import Table, table
from customers.legacy.fastapi import drop_foreign_contacts
from customers.models import Priority
from sales.legacy.fastapi import Numbered, changed_at, drop_foreign
from sales.models import Contract
from service.models import Origin, ReturnVisit, ReturnVisitStatus, WorkOrder, WorkOrderStatus
from service.services import targets

SOLVED = (WorkOrderStatus.SOLVED, WorkOrderStatus.ARCHIVED)


@table("fastapi-crm", "crm_work_order", order=60, column="order_no")
class FastapiWorkOrders(Numbered):
    """Work orders. One that nobody of ours entered was entered by the customer; open ones get targets from now on."""

    model = WorkOrder
    required = ("customer", "number", "title")

    def adjust(self, item, context):
        values = item.values
        values.setdefault("content", values.get("title", ""))
        values.setdefault("priority", Priority.NORMAL)
        if "type" not in values:
            values["type"] = context.item("work_order_type", "其他")
        if "created_by" not in values:
            values["origin"] = Origin.CUSTOMER
        status = values.setdefault("status", WorkOrderStatus.CREATED)
        if status == WorkOrderStatus.CREATED and values.get("owner"):
            values["status"] = WorkOrderStatus.ASSIGNED
        entered = values.get("created_at") or timezone.now()
        if values.get("owner"):
            values["assigned_at"] = entered
        if status in (WorkOrderStatus.PROCESSING, *SOLVED):
            values["responded_at"] = entered
        if status in SOLVED:
            values["solved_at"] = changed_at(item, entered)
        if values.get("satisfaction"):
            values["answered_at"] = changed_at(item, entered)
        if status == WorkOrderStatus.ARCHIVED:
            values["archived_at"] = changed_at(item, entered)
            if not values.get("satisfaction"):
                values["archive_reason"] = "旧系统里已关闭"

    def complete(self, rows, items, context):
        super().complete(rows, items, context)
        drop_foreign_contacts(rows, items)
        drop_foreign(rows, items, "contract", Contract)
        names = ("response_due", "resolution_due", "due_at", "warn_at")
        due, now = {}, timezone.now()
        for row in rows:
            kind = row["priority"], row.get("responded_at") is not None
            if row.get("solved_at"):
                continue
            if kind not in due:
                order = WorkOrder(priority=row["priority"], created_at=now, responded_at=row.get("responded_at"))
                targets.set_targets(order)
                due[kind] = {name: getattr(order, name) for name in names}
            row |= due[kind]


@table("fastapi-crm", "crm_return_visit", order=61, is_recognised=False)
class FastapiReturnVisits(Table):
    """Return visits; one that is done without a time was paid when it was planned."""

    model = ReturnVisit
    required = ("customer", "planned_at")

    def adjust(self, item, context):
        values = item.values
        values.setdefault("planned_at", values.get("visited_at") or values.get("created_at"))
        status = values.setdefault("status", ReturnVisitStatus.PLANNED)
        if status == ReturnVisitStatus.DONE and not values.get("visited_at"):
            values["visited_at"] = values["planned_at"]
            if not convert.is_blank(item.get("plan_time")):
                item.notes.append("actual_time 为空，取计划时间")
        if status == ReturnVisitStatus.CANCELLED:
            values["cancel_reason"] = "旧系统里已取消"

    def complete(self, rows, items, context):
        drop_foreign(rows, items, "contract", Contract)
