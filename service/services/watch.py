"""Targets that are near or missed: the person in charge is told, then his manager. Runs every few minutes."""

from django.utils import timezone

from crm.models import Notification
from service.models import UNSOLVED, WorkOrder
from service.services import workorders

CHUNK = 100


def near(now):
    """Work orders whose target is due soon and of which nobody was told yet."""
    return _waiting().filter(warn_at__lte=now, due_at__gt=now, warned_at=None)


def missed(now):
    """Work orders whose target is over and was not escalated yet."""
    return _waiting().filter(due_at__lte=now, escalated_at=None)


def _waiting():
    rows = WorkOrder.objects.valid().filter(status__in=UNSOLVED)
    return rows.select_related("owner__department").order_by("due_at", "pk")


def preview() -> list[str]:
    now = timezone.now()
    lines = [f"提醒：{_line(order)}" for order in near(now)]
    return lines + [f"升级：{_line(order)}" for order in missed(now)]


def _line(order):
    due = timezone.localtime(order.due_at)
    return f"{order.number} {order.title}，{order.next_target}时限 {due:%m-%d %H:%M}，{order.owner or '未分配'}"


def warn(orders, now) -> int:
    """Tell who is in charge of ``orders``; of what nobody has, those who assign. Runs in a transaction."""
    for order in _locked(orders):
        people = [order.owner] if order.owner_id else workorders.dispatchers()
        _tell(people, order, f"工单即将超时：{_line(order)}", "warn", Notification.Level.WARNING)
        order.warned_at = now
        order.save(update_fields=["warned_at"])
    return len(orders)


def escalate(orders, now) -> int:
    """Tell who is in charge and the head of his department; of what nobody has, those who assign and their heads."""
    for order in _locked(orders):
        people = [order.owner] if order.owner_id else list(workorders.dispatchers())
        people += [workorders.manager_of(person) for person in list(people)]
        _tell(people, order, f"工单已超时：{_line(order)}", "late", Notification.Level.DANGER)
        order.escalated_at = now
        order.save(update_fields=["escalated_at"])
    return len(orders)


def _tell(people, order, title, occasion, level):
    workorders.tell(people, order, title, f"{occasion}:{order.due_at:%Y%m%d%H%M}", level)


def _locked(orders):
    """Those of ``orders`` whose target is still the one that was read, locked in the order of their keys."""
    due = {order.pk: order.due_at for order in orders}
    rows = WorkOrder._base_manager.select_for_update().filter(pk__in=due).order_by("pk")
    return [row for row in rows if row.due_at == due[row.pk]]
