"""The five steps of a work order: open, assign, process, answer, archive; and again when the customer is not content.

Rows are locked in the order customer, work order. Every step leaves an entry: who, when, what.
"""

from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Avg
from django.urls import reverse
from django.utils import timezone
from django_fsm import TransitionNotAllowed

from crm import actor, audit, ownership, transitions
from crm.models import DataScope, Operation, User
from crm.notifications import notify
from crm.policies import policy_for
from crm.registries import Registry
from customers.models import Contact, Customer, Stars
from service.models import EntryKind, Origin, ServedCustomer, WorkOrder, WorkOrderEntry, WorkOrderStatus
from service.services import notices, targets

# told of a work order just opened, in its transaction: ``hook(order)``
opened = Registry("after a work order is opened")

JUDGED_DAYS = 365
STEPS = {  # transition: kind of its entry, where its words stand, what is written without any
    "start": (EntryKind.STARTED, "", "开始处理"),
    "solve": (EntryKind.SOLVED, "solution", ""),
    "archive": (EntryKind.ARCHIVED, "", "归档"),
    "close": (EntryKind.ARCHIVED, "archive_reason", ""),
    "reopen": (EntryKind.REOPENED, "reopen_reason", ""),
}


class WorkOrderError(ValueError):
    """What was asked for makes no sense now; the message says why and what to do."""


# --- Opening ---------------------------------------------------------------------------------------------------------


def open_order(order, *, by) -> WorkOrder:
    """Save the new ``order``: number, priority, targets, first entry, notices; a rule may assign it at once.

    Nobody owns it yet; whoever opened it keeps the right to follow and change it. Raises PermissionDenied.
    """
    if by is not None and not policy_for(WorkOrder).allows(by, "add"):
        raise PermissionDenied("没有新建工单的权限。")
    with transaction.atomic(), actor.acting(by):
        order.owner = None
        order.priority = order.priority or targets.default_priority(order.customer)
        targets.set_targets(order)
        order.save()
        if by is not None:
            ownership.add_collaborator(order, by, by=None, level="change")
        _enter(order, EntryKind.OPENED, f"{order.get_origin_display()}：{order.title}")
        for _, hook in opened:
            hook(order)
        order.refresh_from_db()
        if order.owner_id is None:
            tell(dispatchers(), order, f"待分配的工单：{order.title}", "opened")
        notices.send(order, "opened")
    return order


def open_by_customer(customer, type, description, *, title="", priority="", contact=None, contract=None, by=None):
    """A work order that ``customer`` himself hands in: ``type`` is a dictionary item, ``description`` his words.

    Whoever calls has made sure who the customer is. Raises ValidationError naming what is missing.
    """
    order = WorkOrder(
        customer=customer,
        type=type,
        title=(title or description.strip().split("\n")[0])[:500],
        content=description.strip(),
        priority=priority,
        contact=contact,
        contract=contract,
        origin=Origin.CUSTOMER,
    )
    order.full_clean(exclude=["status", "number"])
    with transaction.atomic(), actor.acting(by):
        return open_order(order, by=None)


def revise(order, *, by, m2m=None) -> WorkOrder:
    """Save the changed ``order``; another priority brings other targets, counted from the same beginning."""
    stored = WorkOrder._base_manager.filter(pk=order.pk).values_list("priority", flat=True).first()
    with transaction.atomic(), actor.acting(by):
        order.priority = order.priority or stored
        if order.priority != stored and order.solved_at is None:
            targets.set_targets(order)
        order.save(m2m=m2m)
    return order


# --- Assigning -------------------------------------------------------------------------------------------------------


def assignees(user):
    """To whom ``user`` may assign: active people whose roles let them process work orders."""
    if not policy_for(WorkOrder).allows(user, "assign"):
        return User.objects.none()
    return holders("process")


def holders(action):
    """Active people with the right to ``action`` work orders."""
    codename, app = f"{action}_workorder", WorkOrder._meta.app_label
    return User.objects.filter(
        is_active=True,
        groups__role__is_active=True,
        groups__permissions__codename=codename,
        groups__permissions__content_type__app_label=app,
    ).distinct()


def assign(order, person, *, by, reason="") -> WorkOrder:
    """Make ``person`` responsible for ``order``; who had it before keeps no right unless he opened it.

    Raises PermissionDenied, WorkOrderError: nobody chosen, already his, solved or archived, may not process.
    """
    if person is None:
        raise WorkOrderError("请选择处理人；工单分配后不能退回无人负责。")
    with transaction.atomic(), actor.acting(by):
        stored = WorkOrder._base_manager.select_for_update().get(pk=order.pk)
        if by is not None and not policy_for(WorkOrder).may(by, "assign", stored):
            raise PermissionDenied("没有分配该工单的权限。")
        if stored.owner_id == person.pk:
            raise WorkOrderError(f"工单已由{person}负责。")
        if not holders("process").filter(pk=person.pk).exists():
            raise WorkOrderError(f"“{person}”没有处理工单的权限或已停用，请换一位。")
        former = stored.owner
        ownership.set_owner(stored, person, by=None, reason=reason)
        stored = WorkOrder._base_manager.select_for_update().get(pk=order.pk)
        try:
            stored.assign()
        except TransitionNotAllowed as error:
            raise WorkOrderError(f"工单已到“{stored.get_status_display()}”一步，要改派请先重开。") from error
        stored.save(operation=Operation.TRANSITION, remark=reason or "分配")
        if former is not None and former.pk == stored.created_by_id:
            ownership.add_collaborator(stored, former, by=None, level="change")
        words = f"分配给{person}" + (f"（{reason}）" if reason else "")
        _enter(stored, EntryKind.ASSIGNED, words)
        if by is None or by.pk != person.pk:
            tell([person], stored, f"新工单：{stored.title}", f"assigned:{order.lock_version}")
    return stored


def closed_to(ids, person) -> dict[int, str]:
    """Which of the work orders ``ids`` cannot be handed over to ``person``, and why: ``{id: reason}``."""
    if holders("process").filter(pk=person.pk).exists():
        return {}
    return dict.fromkeys(ids, f"“{person}”没有处理工单的权限")


# --- Processing ------------------------------------------------------------------------------------------------------


def followed(order, name, by):
    """Hook of ``transitions.after``: the entry of a step, the target that counts now, who is to be told."""
    if not isinstance(order, WorkOrder) or name not in STEPS:
        return
    kind, field, words = STEPS[name]
    if name == "reopen":
        targets.set_targets(order, since=timezone.now())
    else:
        targets.set_due(order)
    order.save(update_fields=TARGET_FIELDS)
    _enter(order, kind, getattr(order, field) if field else words)
    if name == "solve":
        tell(_watchers(order, by), order, f"工单已提交结果，等待反馈：{order.title}", f"solved:{order.lock_version}")
        notices.send(order, "solved")
    if name == "reopen":
        tell(
            [order.owner, manager_of(order.owner)],
            order,
            f"工单被重开：{order.title}",
            f"reopened:{order.reopened_count}",
        )


TARGET_FIELDS = ["response_due", "resolution_due", "due_at", "warn_at", "warned_at", "escalated_at"]


def answer(order, *, by, satisfaction, feedback="") -> WorkOrder:
    """Note what the customer says of the result (1–5 stars); a bad mark opens the order again by itself.

    Raises PermissionDenied, ValidationError, TransitionRefused.
    """
    if satisfaction not in Stars.values:
        raise ValidationError({"satisfaction": "满意度：请选择 1 至 5 星。"})
    with transaction.atomic(), actor.acting(by):
        customer = Customer._base_manager.select_for_update().get(pk=order.customer_id)
        order = transitions.run(order, "answer", by=by, satisfaction=satisfaction, feedback=feedback.strip())
        words = f"{order.get_satisfaction_display()} {order.feedback}".strip()
        _enter(order, EntryKind.ANSWERED, words, satisfaction=satisfaction)
        settle_satisfaction(customer)
        limit = targets.target_of(order.priority).reopen_at
        if limit is not None and satisfaction <= limit:
            reason = f"客户满意度 {satisfaction} 分，不高于 {limit} 分，自动重开：{order.feedback}"
            order = transitions.run(order, "reopen", by=None, reason=reason[:255])
    return order


def settle_satisfaction(customer) -> None:
    """The satisfaction of the locked ``customer`` is the mean of the answers of the last year, halves rounded up."""
    since = timezone.now() - timedelta(days=JUDGED_DAYS)
    answers = WorkOrderEntry.objects.valid().filter(
        work_order__customer=customer, work_order__is_valid=True, kind=EntryKind.ANSWERED, time__gte=since
    )
    mean = answers.aggregate(mean=Avg("satisfaction"))["mean"]
    if mean is None:
        return
    stars = int(Decimal(str(mean)).quantize(Decimal(1), ROUND_HALF_UP))
    if stars != customer.satisfaction:
        customer.satisfaction = stars
        customer.save(update_fields=["satisfaction"], remark="按近一年的工单反馈")


def reveal(order, *, by) -> list[tuple[str, str]]:
    """``[(whose, number)]`` to whoever works on ``order``; logged as seen at the customer. Raises PermissionDenied."""
    with transaction.atomic(), actor.acting(by):
        customer = Customer._base_manager.get(pk=order.customer_id)
        if not policy_for(ServedCustomer).may(by, "reveal", customer):
            raise PermissionDenied("没有查看该客户联系方式的权限。")
        audit.record(customer, Operation.REVEAL, remark=f"处理工单 {order.number} 时查看联系方式")
    numbers = [(str(customer), customer.phone)]
    people = [order.contact] if order.contact_id else Contact.objects.valid().filter(customer=customer, is_default=True)
    for person in people:
        numbers += [(person.name, person.mobile), (f"{person.name}（座机）", person.telephone)]
    return [(whose, number) for whose, number in numbers if number]


# --- Entries and messages --------------------------------------------------------------------------------------------


def _enter(order, kind, content, **values):
    WorkOrderEntry(work_order=order, kind=kind, content=content, **values).save()


def link_to(order) -> str:
    return reverse("admin:service_workorder_change", args=[order.pk])


def tell(people, order, title, occasion, level="info"):
    """Tell ``people`` (blanks and doubles among them do not matter) of ``order``, once per occasion."""
    key = f"work-order:{order.pk}:{occasion}"
    notify(list({p.pk: p for p in people if p}.values()), title=title[:200], key=key, link=link_to(order), level=level)


def dispatchers():
    """Who assigns what nobody has: those whose right to assign reaches all work orders."""
    return holders("assign").filter(groups__role__data_scope=DataScope.ALL)


def _watchers(order, by):
    """Who waits for the result: whoever opened the order, else those who assign."""
    return [order.created_by] if order.created_by_id else holders("feedback")


def manager_of(person):
    """The nearest active head of the department of ``person`` or above it who is not he himself, or None."""
    department = person.department if person is not None else None
    while department is not None:
        manager = department.manager
        if manager is not None and manager.is_active and manager.pk != person.pk:
            return manager
        department = department.parent
    return None


def open_of_customers():
    """Provider of the sea's ``EXEMPTIONS``: customers with a work order that is not archived."""
    rows = WorkOrder.objects.valid().exclude(status=WorkOrderStatus.ARCHIVED)
    return rows.values("customer_id")
