"""Every night: customers that nobody works on go back to the sea, owners are warned, a batch can be undone."""

from collections import defaultdict

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from crm import actor, jobs, ownership
from crm.models import Notification, User
from crm.notifications import notify
from crm.policies import policy_for
from customers.models import Customer, OwnerChange, OwnershipPeriod, RecycleBatch
from customers.services import pool
from customers.services.rulebook import Rulebook

LISTED = 5


def preview() -> list[str]:
    """What a run would take now, one line a customer."""
    book, today = Rulebook(), timezone.localdate()
    customers = list(book.due(today).select_related("owner").order_by("pk"))
    outlooks = book.outlooks(customers, today)
    lines = [f"{c.code} {c.name}：负责人{c.owner}，{outlooks[c.pk].reason}" for c in customers]
    return [f"回收 {len(lines)} 个客户", *lines]


def recycle(ids, batch, today) -> int:
    """Let those of ``ids`` that are due on ``today`` fall into the sea; gives how many. Runs in a transaction."""
    list(Customer._base_manager.select_for_update().filter(pk__in=ids).order_by("pk").values_list("pk"))
    book = Rulebook()
    customers = list(book.due(today).filter(pk__in=ids).order_by("pk"))
    outlooks = book.outlooks(customers, today)
    owners = defaultdict(list)
    for customer in customers:
        owners[customer.owner].append(customer)
        pool.drop(customer, OwnerChange.RECYCLED, reason=outlooks[customer.pk].reason, batch=batch)
    batch.count += len(customers)
    batch.save()
    for owner, theirs in owners.items():
        notify(
            [owner],
            title=f"{len(theirs)} 个客户已自动回收到公海",
            body=_names(theirs),
            key=f"sea-recycled:{batch.pk}:{theirs[0].pk}",
            level=Notification.Level.WARNING,
        )
    return len(customers)


def warn(today) -> int:
    """Tell owners, once a day, which of their customers will be taken soon; gives how many customers that are."""
    book, owners = Rulebook(), defaultdict(list)
    for customer in book.due(today, ahead=True).select_related("owner").order_by("pk"):
        owners[customer.owner].append(customer)
    address = reverse("admin:customers_customer_changelist")
    for owner, theirs in owners.items():
        outlooks = book.outlooks(theirs, today)
        theirs.sort(key=lambda customer: outlooks[customer.pk].day)
        notify(
            [owner],
            title=f"{len(theirs)} 个客户即将回收到公海",
            body=_names(theirs, outlooks),
            key=f"sea-warning:{owner.pk}:{today}",
            link=f"{address}?sea=soon&owner={owner.pk}",
            level=Notification.Level.WARNING,
        )
    return sum(map(len, owners.values()))


def _names(customers, outlooks=None):
    shown = [f"{c}（{outlooks[c.pk].text}）" if outlooks else str(c) for c in customers[:LISTED]]
    return "、".join(shown) + (f"等 {len(customers)} 个" if len(customers) > LISTED else "")


# --- Undoing ---------------------------------------------------------------------------------------------------------


def undo(batch, *, by):
    """Start giving the customers of ``batch`` back; gives the job. Raises PermissionDenied, PoolError."""
    if not policy_for(RecycleBatch).may(by, "undo", batch):
        raise PermissionDenied("没有撤销回收的权限。")
    with transaction.atomic(), actor.acting(by):
        stored = RecycleBatch._base_manager.select_for_update().get(pk=batch.pk)
        if stored.undone_at is not None:
            raise pool.PoolError(f"“{stored}”已在 {timezone.localtime(stored.undone_at):%Y-%m-%d %H:%M} 撤销。")
        stored.undone_at = timezone.now()
        stored.save()
        link = reverse("admin:customers_recyclebatch_changelist")
        return jobs.enqueue("customers.recycle_undo", by=by, params={"batch": stored.pk}, total=stored.count, link=link)


def restore(period) -> bool:
    """Give the customer back to whom ``period`` took it from, collaborators included; its days begin anew.

    False where it has moved on since (claimed, assigned, removed) or the owner has left.
    """
    customer = Customer._base_manager.select_for_update().get(pk=period.customer_id)
    untouched = customer.is_valid and customer.owner_id is None and pool.last_period(customer).pk == period.pk
    if not untouched or not period.owner.is_active:
        return False
    ownership.set_owner(customer, period.owner, by=None, reason=f"撤销“{period.batch}”", how=OwnerChange.RESTORED)
    for person in User.objects.filter(pk__in=period.team, is_active=True):
        ownership.add_collaborator(customer, person, by=None, level=period.team[str(person.pk)])
    return True


def periods_of(batch):
    return OwnershipPeriod.objects.valid().filter(batch=batch).select_related("owner", "batch").order_by("pk")
