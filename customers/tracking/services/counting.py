"""The roll-up: traces counted by hour, person and kind, and how far that has come."""

from datetime import datetime, time, timedelta

from django.db import transaction
from django.db.models import Count, Max, Min, Q
from django.db.models.functions import TruncHour
from django.utils import timezone

from customers.tracking.models import Rollup, StaleDay, Trace, TraceCount

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
    with transaction.atomic():
        _count(first, last, min(last, now))
        Rollup.objects.update_or_create(pk=1, defaults={"until": min(last, now)})
    return last if last < now else None


def mark_stale(moments) -> None:
    """Have the days of ``moments`` counted again. To be called in the transaction that writes their traces."""
    days = {timezone.localdate(moment) for moment in moments}
    StaleDay.objects.bulk_create([StaleDay(day=day) for day in sorted(days)], ignore_conflicts=True)


def count_stale_day():
    """Count the oldest stale day anew; gives it, None when there is none left.

    The mark goes first: whoever writes traces of that day meanwhile waits for this count to end, and marks it again.
    """
    with transaction.atomic():
        stale = StaleDay.objects.order_by("day").first()
        if stale is None:
            return None
        stale.delete()
        first = timezone.make_aware(datetime.combine(stale.day, time.min))
        _count(first, first + STEP, first + STEP)
    return stale.day


def _count(first, last, until):
    """Replace the counts from ``first`` to ``last`` by what the traces before ``until`` come to."""
    rows = Trace.objects.filter(operated_at__gte=first, operated_at__lt=until).order_by()
    found = (
        rows.annotate(hour=TruncHour("operated_at"))
        .values("hour", "actor_id", "kind")
        .annotate(count=Count("pk"), foreign=Count("pk", filter=Q(is_foreign=True)), most_rows=Max("rows"))
    )
    counts = [TraceCount(**row) for row in found]
    TraceCount.objects.filter(hour__gte=first, hour__lt=last).delete()
    TraceCount.objects.bulk_create(counts, batch_size=500)
