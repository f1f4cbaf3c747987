"""Operations by day, kind, hour and person, from the counts by hour; every number leads to its traces."""

import json
from datetime import datetime, time, timedelta

from django.db.models import Sum
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from crm.admin.home import Figure, Shares, Table, Trend
from crm.models import DataScope, User
from crm.policies import members_in_scope, policy_for
from crm.trails import Kind
from customers.tracking.models import Trace, TraceCount
from customers.tracking.services.counting import counted_until

PERIODS = {"7": "近 7 天", "30": "近 30 天", "90": "近 90 天"}
PEOPLE = 50


def counts_for(user, days):
    """The counts of ``days`` (first and last) of the people that the data scope of ``user`` reaches."""
    first, last = (
        timezone.make_aware(datetime.combine(day, time.min)) for day in (days[0], days[-1] + timedelta(days=1))
    )
    rows = TraceCount.objects.filter(hour__gte=first, hour__lt=last).order_by()
    scope = policy_for(Trace).scope(user, "view")
    if scope is None:
        return rows.none()
    if scope == DataScope.ALL:
        return rows
    return rows.filter(actor_id__in=[user.pk] if scope == DataScope.SELF else members_in_scope(user, scope))


def page(model_admin, request):
    period = request.GET.get("days")
    period = period if period in PERIODS else "30"
    today = timezone.localdate()
    days = [today - timedelta(days=back) for back in range(int(period) - 1, -1, -1)]
    by_day, by_hour, by_kind, by_person = dict.fromkeys(days, 0), [0] * 24, {}, {}
    counts = counts_for(request.user, days)
    for hour, count in counts.values_list("hour").annotate(Sum("count")):
        local = timezone.localtime(hour)
        by_day[local.date()] += count
        by_hour[local.hour] += count
    for actor, kind, count in counts.values_list("actor_id", "kind").annotate(Sum("count")):
        by_kind[kind] = by_kind.get(kind, 0) + count
        by_person.setdefault(actor, {})[kind] = count

    def link(**extra):
        query = urlencode({"operated_at_from": days[0], "operated_at_to": days[-1], **extra})
        return f"{reverse('admin:tracking_trace_changelist')}?{query}"

    kinds = [(Kind(kind).label, kind) for kind in Kind.values]
    figures = [Figure(label, by_kind.get(kind, 0), link(kind=kind)) for label, kind in kinds]
    busiest = sorted(by_person.items(), key=lambda item: -sum(item[1].values()))[:PEOPLE]
    names = User.objects.in_bulk([actor for actor, _ in busiest])
    rows = [
        (
            str(names.get(actor, actor)),
            [Figure("合计", sum(found.values()), link(actor=actor))]
            + [Figure(label, found.get(kind, 0), link(actor=actor, kind=kind)) for label, kind in kinds],
        )
        for actor, found in busiest
    ]
    context = {
        "title": "操作统计",
        "until": counted_until(),
        "periods": [(value, label, value == period) for value, label in PERIODS.items()],
        "figures": figures,
        "trend": Trend("每天的操作", days, list(by_day.values()), link()),
        "hours": _hours(by_hour),
        "shares": Shares("按类型", [figure for figure in figures if figure.value]),
        "table": Table("按人", ["姓名", "合计", *(label for label, _ in kinds)], rows),
        "list_url": model_admin._url("changelist"),
    }
    return model_admin.page(request, "tracking/statistics.html", context)


def _hours(values):
    bars = {"label": "操作", "data": values, "backgroundColor": "var(--color-primary-500)", "borderRadius": 3}
    return json.dumps({"labels": [f"{hour} 点" for hour in range(24)], "datasets": [bars | {"displayYAxis": True}]})
