"""Bringing traces to the wechat database, each exactly once, however often either side fails in between.

A batch is locked here, written there, and marked here. If the mark is lost, the batch comes again, and the trace's own
number, unique there, makes the second writing void. Tables that another product has made are taken as they are: without
our columns a trace counts as delivered if the same person's same operation on the same customer in the same second is
there; with the foreign key to ``users``, whoever is not in it is held back until the key is gone.
"""

from dataclasses import dataclass

from django.db import DatabaseError, IntegrityError, InterfaceError, connection, connections, transaction
from django.utils import timezone

from customers.models import Contact
from customers.tracking.models import Delivery, Source, Trace
from customers.tracking.services import lookup
from customers.tracking.wechat.models import OperationTrace, WechatUser

BATCH = 200
OURS = {"traUuid", "traSource"}
COPIED = ("company", "department", "organization", "role", "user_name", "assistant", "event", "operated_at")


@dataclass(frozen=True)
class Shape:
    """What the table of the wechat database is like."""

    has_our_columns: bool
    has_foreign_key: bool


def shape() -> Shape:
    """Raises lookup.Unavailable, also where there is no table."""
    there, table = connections[lookup.WECHAT], OperationTrace._meta.db_table
    try:
        with there.cursor() as cursor:
            columns = {column.name for column in there.introspection.get_table_description(cursor, table)}
            keys = there.introspection.get_constraints(cursor, table).values()
    except (DatabaseError, InterfaceError) as error:
        raise lookup.failed(error) from error
    if not columns:
        raise lookup.failed(f"没有数据表 {table}")
    users = WechatUser._meta.db_table
    return Shape(columns >= OURS, any(key["foreign_key"] and key["foreign_key"][0] == users for key in keys))


def waiting() -> dict[str, int]:
    """How many traces are not there yet, and why."""
    counts = {state: Trace.objects.filter(delivery=state).count() for state in (Delivery.PENDING, Delivery.HELD)}
    return {str(Delivery(state).label): count for state, count in counts.items() if count}


def release_held(found: Shape) -> int:
    """Once the foreign key is gone, what it held back waits for delivery again."""
    if found.has_foreign_key:
        return 0
    return Trace.objects.filter(delivery=Delivery.HELD).update(delivery=Delivery.PENDING)


def deliver_batch(found: Shape, *, after=0) -> tuple[int, int] | None:
    """Deliver the next waiting traces with numbers above ``after``; gives ``(how many, last number)``, None at the end.

    Two that deliver at once take different traces. Raises lookup.Unavailable; then nothing has changed here.
    """
    with transaction.atomic():
        rows = Trace.objects.filter(delivery=Delivery.PENDING, pk__gt=after).order_by("pk")
        rows = rows.select_for_update(skip_locked=connection.features.has_select_for_update_skip_locked)
        batch = list(rows[:BATCH])
        if not batch:
            return None
        _identify(batch)
        chosen = [trace for trace in batch if _may_go(trace, found)]
        try:
            arrived = _write(chosen, found) if chosen else set()
        except (DatabaseError, InterfaceError) as error:
            raise lookup.failed(error) from error
        now = timezone.now()
        for trace in chosen:
            if trace.pk in arrived:
                trace.delivery, trace.delivered_at = Delivery.DELIVERED, now
            elif found.has_foreign_key:  # the user has gone from their table since
                trace.delivery = Delivery.HELD
        Trace.objects.bulk_update(batch, ["source", "external_id", "delivery", "delivered_at"])
    return len(arrived), batch[-1].pk


def _identify(batch) -> None:
    """Give each trace the number under which the wechat database knows its customer."""
    unknown = [trace for trace in batch if not trace.external_id]
    known = lookup.wechat_users([trace.phone for trace in unknown if trace.phone])
    contacts: dict[tuple, int] = {}
    rows = Contact.objects.valid().filter(customer__in={trace.customer_id for trace in unknown})
    for pk, customer, *keys in rows.order_by("-pk").values_list("pk", "customer_id", "mobile_key", "telephone_key"):
        contacts |= {(customer, key): pk for key in keys if key}
    for trace in unknown:
        contact = contacts.get((trace.customer_id, trace.phone))
        if trace.phone in known:
            trace.source, trace.external_id = Source.WECHAT, known[trace.phone]
        elif contact is not None:
            trace.source, trace.external_id = Source.CONTACT, str(contact)
        elif trace.customer_id is not None:
            trace.source, trace.external_id = Source.CUSTOMER, str(trace.customer_id)


def _may_go(trace, found) -> bool:
    """What is about nobody in particular stays in this house; what the other database would refuse is held back."""
    if not trace.external_id:
        trace.delivery = Delivery.UNKNOWN if trace.phone else Delivery.LOCAL
        return False
    if found.has_foreign_key and trace.source != Source.WECHAT:
        trace.delivery = Delivery.HELD
        return False
    return True


def _copy(trace) -> OperationTrace:
    values = {name: getattr(trace, name) for name in COPIED}
    return OperationTrace(
        **values, user_id=trace.external_id, source=trace.source, trace_uuid=str(trace.uuid), created_at=timezone.now()
    )


def _write(traces, found) -> set[int]:
    """Ids of the ``traces`` that are in the other table now; one that it refuses does not keep the others out."""
    write = _write_with_our_columns if found.has_our_columns else _write_as_they_are
    try:
        return write(traces)
    except IntegrityError:
        if len(traces) == 1:
            return set()
        return set().union(*(_write([trace], found) for trace in traces))


def _write_with_our_columns(traces) -> set[int]:
    with transaction.atomic(using=lookup.WECHAT):
        OperationTrace.objects.bulk_create([_copy(trace) for trace in traces], ignore_conflicts=True)
        numbers = {str(trace.uuid): trace.pk for trace in traces}
        there = OperationTrace.objects.filter(trace_uuid__in=numbers).values_list("trace_uuid", flat=True)
        return {numbers[number] for number in there}


_THEIR_COLUMNS = [
    field for field in OperationTrace._meta.concrete_fields if field.column not in OURS and not field.primary_key
]
_KEY = ("user_id", "event", "operated_at", "user_name")


def _write_as_they_are(traces) -> set[int]:
    """Into a table without our columns, unless the same is there already."""
    for trace in traces:
        trace.operated_at = trace.operated_at.replace(microsecond=0)  # what their column keeps
    there = connections[lookup.WECHAT]
    quote = there.ops.quote_name
    table, columns = quote(OperationTrace._meta.db_table), ", ".join(quote(f.column) for f in _THEIR_COLUMNS)
    same = " AND ".join(f"{quote(OperationTrace._meta.get_field(name).column)} = %s" for name in _KEY)
    marks = ", ".join(["%s"] * len(_THEIR_COLUMNS))
    # names of tables and columns come from the model
    insert = f"INSERT INTO {table} ({columns}) SELECT {marks} FROM (SELECT 1) AS one"  # noqa: S608
    insert += f" WHERE NOT EXISTS (SELECT 1 FROM {table} WHERE {same})"  # noqa: S608
    with transaction.atomic(using=lookup.WECHAT), there.cursor() as cursor:
        for trace in traces:
            copy = _copy(trace)
            copy.updated_at = copy.created_at
            values = [field.get_db_prep_save(getattr(copy, field.attname), there) for field in _THEIR_COLUMNS]
            key = [
                field.get_db_prep_save(getattr(copy, field.attname), there)
                for field in map(OperationTrace._meta.get_field, _KEY)
            ]
            cursor.execute(insert, [*values, *key])
    return {trace.pk for trace in traces}
