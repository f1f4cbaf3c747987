"""The roll-up: traces counted by hour, person and kind, and how far that has come."""

from datetime import timedelta

from django.db import transaction
from django.db.models import Count, Max, Min, Q
from django.db.models.functions import TruncHour
from django.utils import timezone

from customers.tracking.models import Rollup, Trace, TraceCount

# a trace gets its time before it is committed: the last hours are counted again
AGAIN = timedelta(hours=1)
STEP = timedelta(days=1)


def hour_of(moment):
    return moment.replace(minute=0, second=0, microsecond=0)


def counted_until():
    """The moment up to which statistics are complete, None before the first count."""
    return Rollup.objects.values_list("until", flat=True).first()


def start():
    """From which hour on to count: an hour before where the last count ended, or the first trace."""
    until = counted_until()
    if until is None:
        until = Trace.objects.aggregate(first=Min("operated_at"))["first"] or timezone.now()
    return hour_of(until - AGAIN)


def count_from(first, now) -> object:
    """Count the day from the hour ``first`` on anew; gives the hour that follows, or None when ``now`` is reached."""
    last = first + STEP
    rows = Trace.objects.filter(operated_at__gte=first, operated_at__lt=min(last, now)).order_by()
    found = (
        rows.annotate(hour=TruncHour("operated_at"))
        .values("hour", "actor_id", "kind")
        .annotate(count=Count("pk"), foreign=Count("pk", filter=Q(is_foreign=True)), most_rows=Max("rows"))
    )
    counts = [TraceCount(**row) for row in found]
    with transaction.atomic():
        TraceCount.objects.filter(hour__gte=first, hour__lt=last).delete()
        TraceCount.objects.bulk_create(counts, batch_size=500)
        Rollup.objects.update_or_create(pk=1, defaults={"until": min(last, now)})
    return last if last < now else None
