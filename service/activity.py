"""Work orders, return visits and measures on the pages of customers; what was done on the page of a work order."""

from django.urls import reverse
from django.utils.http import urlencode

from crm.policies import policy_for
from customers.activity import MOST, Button, Event, buttons_for, change_url, context
from service.models import EntryKind, RetentionMeasure, ReturnVisit, WorkOrder, WorkOrderEntry


def work_orders(customer, user, most):
    rows = policy_for(WorkOrder).visible_to(user).filter(customer=customer)
    return [
        Event(
            time=row.created_at,
            kind="工单",
            icon="support_agent",
            link=change_url(row),
            text="\n".join(filter(None, [row.title, row.solution])),
            facts=tuple(str(fact) for fact in (row.number, row.type, row.owner) if fact),
            by=row.created_by,
            state=row.get_status_display(),
        )
        for row in rows.select_related("type", "owner", "created_by").order_by("-id")[:most]
    ]


def return_visits(customer, user, most):
    rows = policy_for(ReturnVisit).visible_to(user).filter(customer=customer)
    return [
        Event(
            time=row.visited_at or row.planned_at,
            kind="回访",
            icon="call_log",
            link=change_url(row),
            text="\n".join(filter(None, [row.content, row.feedback, row.cancel_reason])),
            facts=(row.get_method_display(),),
            by=row.updated_by,
            state=row.get_status_display(),
        )
        for row in rows.select_related("updated_by").order_by("-planned_at", "-id")[:most]
    ]


def measures(customer, user, most):
    rows = policy_for(RetentionMeasure).visible_to(user).filter(loss__customer=customer)
    return [
        Event(
            time=row.created_at,
            kind="暂缓措施",
            icon="anchor",
            link=change_url(row.loss),
            text="\n".join(filter(None, [row.content, row.effect])),
            by=row.author,
        )
        for row in rows.select_related("author", "loss").order_by("-id")[:most]
    ]


def customer_buttons(customer, user):
    found = []
    if policy_for(WorkOrder).allows(user, "add"):
        link = f"{reverse('admin:service_workorder_add')}?{urlencode({'customer': customer.pk})}"
        found.append(Button("建工单", "support_agent", link, is_quick=False))
    return found + buttons_for(ReturnVisit, customer, "customer", user, "安排回访", "call_log")


ICONS = {
    EntryKind.NOTE: "edit_note",
    EntryKind.OPENED: "add_circle",
    EntryKind.ASSIGNED: "person_add",
    EntryKind.STARTED: "play_circle",
    EntryKind.SOLVED: "task_alt",
    EntryKind.ANSWERED: "reviews",
    EntryKind.REOPENED: "replay",
    EntryKind.ARCHIVED: "inventory_2",
}


def of_work_order(order, user) -> dict:
    """The panel on the page of a work order: its entries, newest first."""
    rows = policy_for(WorkOrderEntry).visible_to(user).filter(work_order=order)
    events = [
        Event(
            time=row.time,
            kind=row.get_kind_display(),
            icon=ICONS[row.kind],
            link=change_url(row),
            text=row.content,
            by=row.author,
        )
        for row in rows.select_related("author").order_by("-time", "-id")[:MOST]
    ]
    buttons = buttons_for(WorkOrderEntry, order, "work_order", user, "写处理记录", "edit_note")
    return context(events, buttons) | {"title": "处理过程"}
