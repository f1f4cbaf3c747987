"""Four weeks of operations on the demo company's customers, with somebody who works late and exports a lot."""

from datetime import datetime, time, timedelta
from random import Random

from django.utils import timezone

from crm.demo import builders, desk
from crm.models import User
from crm.trails import Kind
from customers.models import Customer
from customers.tracking.models import Trace
from customers.tracking.services import alerts, counting, recording

DAYS, A_DAY = 28, 14
EVENTS = (
    (Kind.VIEW, "查看客户", 60),
    (Kind.EDIT, "修改客户", 14),
    (Kind.FOLLOW_UP, "新建跟进记录", 18),
    (Kind.DOWNLOAD, "下载附件：合作协议.pdf", 5),
    (Kind.OTHER, "电话回访", 3),
)


def build_traces(demo) -> dict[str, int]:
    random = Random("traces")  # noqa: S311  (the same every time)
    owned: dict[int, list[Customer]] = {}
    for customer in Customer.objects.valid().exclude(owner=None).only("owner_id", "phone_key").order_by("pk"):
        owned.setdefault(customer.owner_id, []).append(customer)
    people = list(User.objects.filter(pk__in=owned, is_active=True).order_by("pk"))
    traces = []
    for person in people:
        identity = recording.as_they_are(person) | {"ip": desk(person)}
        for back in range(DAYS):
            day = demo.today - timedelta(days=back)
            if day.weekday() < 5:
                traces += [
                    _trace(random, owned[person.pk], identity, demo.moment(random, day))
                    for _ in range(random.randrange(A_DAY))
                ]
    now = timezone.now()
    traces = sorted((t for t in traces if t.operated_at < now), key=lambda trace: trace.operated_at)
    if people:
        traces += _late(random, demo, owned[people[0].pk], recording.as_they_are(people[0]) | {"ip": desk(people[0])})
    Trace.objects.bulk_create(traces, batch_size=500)
    demo.recent.append(lambda: _count(demo))
    return {"操作记录": len(traces)}


def _trace(random, customers, identity, moment):
    customer = random.choice(customers)
    kind, event, _ = random.choices(EVENTS, [weight for *_, weight in EVENTS])[0]
    return Trace(
        kind=kind,
        event=event,
        customer=customer,
        phone=customer.phone_key or "",
        is_foreign=customer.owner_id != identity["actor_id"],
        operated_at=moment,
        **identity,
    )


def _late(random, demo, customers, identity):
    """The evening before today: twelve looks after eleven o'clock and an export of 1,860 rows."""
    start = timezone.make_aware(datetime.combine(demo.today - timedelta(days=1), time(23, 2)))
    late = [_trace(random, customers, identity, start + timedelta(minutes=4 * place)) for place in range(12)]
    export = Trace(kind=Kind.EXPORT, event="导出客户 1860 行", rows=1860, **identity)
    export.operated_at = start + timedelta(minutes=50)
    return [*late, export]


def _count(demo):
    hour = first = counting.start()
    now = timezone.now()
    while hour is not None:
        hour = counting.count_from(hour, now)
    alerts.raise_alerts(max(first, now - timedelta(days=2)))


builders.add("tracking", build_traces)
