"""Customers on the home page: one's own figures, or for those with a wider data scope those of their people."""

from collections import Counter
from datetime import datetime, time, timedelta
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import Count
from django.db.models.functions import TruncDate
from django.urls import reverse
from django.utils import timezone

from crm.admin.filters import EMPTY
from crm.admin.home import Figure, Part, Shares, Shortcut, Table, Trend
from crm.models import DataScope, DictionaryItem, User
from crm.policies import policy_for
from customers.admin.pool import sea_of, warned_of
from customers.models import Customer, ReviewStatus

DAYS = 30
TEAM_SIZE = 20


def part(request) -> Part:
    """Two grouped queries over the visible rows give every number; each number leads to the list it counts."""
    user = request.user
    policy = policy_for(Customer)
    scope = policy.scope(user, "view")
    if scope is None:
        return Part(shortcuts=_shortcuts(request))
    today = timezone.localdate()
    rows = policy.visible_to(user).order_by()
    numbers = Numbers(
        states=_counts(rows, "owner", "review_status", "level"),
        arrivals=_arrivals(rows, min(_month_before(today), today - timedelta(days=DAYS - 1))),
        today=today,
    )
    if scope == DataScope.SELF:
        mine = numbers.of(user.pk)
        return Part(
            figures=_own(user, mine, "我的客户", _beside(numbers.total - mine.total), owner=user.pk),
            shares=_shares(mine, owner=user.pk),
            trends=[_trend(mine, owner=user.pk)],
            shortcuts=_shortcuts(request),
        )
    return Part(
        figures=_own(user, numbers, "全部客户" if scope == DataScope.ALL else "团队客户"),
        shares=_shares(numbers),
        trends=[_trend(numbers)],
        tables=_team(numbers),
        shortcuts=_shortcuts(request),
    )


class Numbers:
    """``states`` counts by (owner, review status, level), ``arrivals`` by (owner, day of creation)."""

    def __init__(self, states, arrivals, today):
        self.states, self.arrivals, self.today = states, arrivals, today

    def of(self, owner):
        return Numbers(
            {key: count for key, count in self.states.items() if key[0] == owner},
            {key: count for key, count in self.arrivals.items() if key[0] == owner},
            self.today,
        )

    @property
    def total(self):
        return sum(self.states.values())

    def by(self, position) -> Counter:
        totals = Counter()
        for key, count in self.states.items():
            totals[key[position]] += count
        return totals

    def new(self, since, until=None):
        return sum(
            count for (_, day), count in self.arrivals.items() if since <= day and (until is None or day < until)
        )


def _counts(rows, *names) -> dict:
    return {tuple(key): count for *key, count in rows.values_list(*names).annotate(Count("pk"))}


def _arrivals(rows, since) -> dict:
    start = timezone.make_aware(datetime.combine(since, time.min))
    recent = rows.filter(created_at__gte=start).annotate(day=TruncDate("created_at"))
    return _counts(recent, "owner", "day")


def _month_before(day):
    return (day.replace(day=1) - timedelta(days=1)).replace(day=1)


def _beside(count) -> str:
    return f"另有 {count:,} 个协作客户" if count else ""


def _list(**parameters) -> str:
    address = reverse("admin:customers_customer_changelist")
    return f"{address}?{urlencode(parameters)}" if parameters else address


def _own(user, numbers, title, note="", **only):
    """How many; and for who may do something about it, those that wait."""
    total, *reviews = _figures(numbers, title, note, **only)
    return [total, *reviews, *_sea(user, **only)] if policy_for(Customer).allows(user, "change") else [total]


def _figures(numbers, title, note="", **only):
    reviews = numbers.by(1)
    waiting, refused = ReviewStatus.PENDING, ReviewStatus.REJECTED
    return [
        Figure(title, numbers.total, _list(**only), note),
        Figure("待审核", reviews[waiting], _list(review_status=waiting, **only), waits="客户"),
        Figure("审核未通过", reviews[refused], _list(review_status=refused, **only), waits="客户"),
    ]


def _new(numbers, **only):
    month = numbers.today.replace(day=1)
    return Figure("本月新增", numbers.new(month), _list(created_at_from=month, **only))


def _sea(user, **only):
    """What goes back to the public sea soon, and how much lies in it for whoever may look."""
    waiting = sea_of(user)
    note = "" if waiting is None else f"公海里有 {waiting:,} 个"
    return [Figure("即将回收", warned_of(user, **only), _list(sea="soon", **only), note, waits="客户")]


def _shares(numbers, **only):
    reviews, levels = numbers.by(1), numbers.by(2)
    items = DictionaryItem.objects.filter(pk__in=[pk for pk in levels if pk]).order_by("sort", "id")
    by_level = [Figure(item.label, levels[item.pk], _list(level=item.pk, **only)) for item in items]
    if levels[None]:
        by_level.append(Figure("未定级", levels[None], _list(level=EMPTY, **only)))
    by_review = [
        Figure(label, reviews[value], _list(review_status=value, **only))
        for value, label in ReviewStatus.choices
        if reviews[value]
    ]
    return [Shares("客户等级", by_level), Shares("审核状态", by_review)]


def _trend(numbers, **only):
    days = [numbers.today - timedelta(days=back) for back in reversed(range(DAYS))]
    return Trend(
        f"近 {DAYS} 天新增客户",
        days,
        [numbers.new(day, day + timedelta(days=1)) for day in days],
        _list(created_at_from=days[0], **only),
    )


def _team(numbers):
    owners = [owner for owner, _ in numbers.by(0).most_common(TEAM_SIZE)]
    people = User.objects.in_bulk([owner for owner in owners if owner])
    rows = []
    for owner in owners:
        theirs, chosen = numbers.of(owner), owner or EMPTY
        total, *reviews = _figures(theirs, "客户", owner=chosen)
        name = str(people[owner]) if owner else "（无负责人）"
        rows.append((name, [total, _new(theirs, owner=chosen), *reviews]))
    return [Table("团队客户", ["负责人", "客户", "本月新增", "待审核", "审核未通过"], rows)] if rows else []


def _shortcuts(request):
    model_admin = admin.site._registry[Customer]
    name = "admin:customers_customer_"
    shortcuts = []
    if model_admin.has_add_permission(request):
        shortcuts.append(Shortcut("新建客户", reverse(name + "add"), "add"))
    if model_admin.has_import_permission(request):
        shortcuts.append(Shortcut("导入客户", reverse(name + "import"), "upload_file"))
    return shortcuts
