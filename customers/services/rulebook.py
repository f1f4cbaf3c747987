"""Which rule of the public sea applies to which customer, and when it would be taken back and why.

``Rulebook.due`` says it for all customers in SQL, ``Rulebook.outlooks`` for those of a page in words; a test compares
the two. Days are days of the calendar in Asia/Shanghai: not followed up for 30 days means that the thirtieth day after
the last follow-up has come. Time without an owner, or with a former one, does not count against the present one.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from django.db.models import Q, Value, prefetch_related_objects
from django.utils import timezone

from crm import audit
from crm.models import ApprovalRequest, Department
from crm.registries import Registry
from customers.models import Customer, PoolRule
from customers.services.categories import subtrees

# ``provider()`` gives the ids (a subquery) of customers that are never taken back; its name is the reason shown
EXEMPTIONS = Registry("exemptions from recycling")

IN_PLAY = {"is_valid": True, "is_enabled": True, "is_closed": False}


def pending_approvals():
    """Provider of ``EXEMPTIONS``: customers that a request is about."""
    about = audit.content_type_id(Customer)
    pending = ApprovalRequest.objects.filter(target_type_id=about, state=ApprovalRequest.State.PENDING)
    return pending.values("target_id")


@dataclass(frozen=True)
class Outlook:
    """``day``: when the customer goes back to the sea if nothing happens; None: never, and ``reason`` says why not."""

    day: date | None
    reason: str
    days: int = 0
    is_near: bool = False

    @property
    def brief(self):
        return "不回收" if self.day is None else f"还有 {self.days} 天"

    @property
    def text(self):
        if self.day is None:
            return f"不回收：{self.reason}"
        when = f"还有 {self.days} 天回收" if self.days > 0 else "今夜回收"
        return f"{when}，因为{self.reason}"


class Rulebook:
    """The rules as they stand now, the most specific first: level and category, then category (deeper first), level."""

    def __init__(self):
        rules = PoolRule.objects.valid().select_related("level", "category")
        below = subtrees({rule.category_id for rule in rules} - {None})
        self._categories = {rule.pk: below[rule.category_id] for rule in rules if rule.category_id}
        self.rules = sorted(rules, key=self._rank)
        self._before = {rule.pk: self.rules[:place] for place, rule in enumerate(self.rules)}

    def _rank(self, rule):
        criteria = bool(rule.level_id) + bool(rule.category_id)
        return (-criteria, not rule.category_id, len(self._categories.get(rule.pk, ())), rule.pk)

    # --- Which rule --------------------------------------------------------------------------------------------------

    def _matching(self, rule) -> Q:
        wanted = Q()
        if rule.level_id:
            wanted &= Q(level_id=rule.level_id)
        if rule.category_id:
            through = Customer.categories.through.objects
            inside = through.filter(customercategory_id__in=self._categories[rule.pk])
            wanted &= Q(pk__in=inside.values("customer_id"))
        return wanted

    def under(self, rule) -> Q:
        """The customers to which ``rule`` applies: those it matches and no more specific one does."""
        wanted = self._matching(rule)
        for other in self._before[rule.pk]:
            wanted &= ~self._matching(other)
        return wanted

    def rules_of(self, customers) -> dict[int, PoolRule | None]:
        """``{customer id: its rule}``; one query."""
        customers, categories = list(customers), defaultdict(set)
        if self._categories:
            through = Customer.categories.through.objects.filter(customer_id__in=[c.pk for c in customers])
            for customer, category in through.values_list("customer_id", "customercategory_id"):
                categories[customer].add(category)
        return {
            customer.pk: next((r for r in self.rules if self._applies(r, customer, categories[customer.pk])), None)
            for customer in customers
        }

    def _applies(self, rule, customer, categories):
        if rule.level_id and rule.level_id != customer.level_id:
            return False
        return not rule.category_id or bool(categories & self._categories[rule.pk])

    def rule_of(self, customer) -> PoolRule | None:
        return self.rules_of([customer])[customer.pk]

    def closed_to(self, user) -> Q | None:
        """The customers of the sea that the rules keep from the department of ``user``; None: none."""
        closed = None
        prefetch_related_objects(self.rules, "departments")
        for rule in self.rules:
            departments = list(rule.departments.all())
            if departments and not _belongs(user, departments):
                under = self.under(rule) or Q(pk__isnull=False)  # an empty Q would exclude nothing
                closed = under if closed is None else closed | under
        return closed

    # --- When --------------------------------------------------------------------------------------------------------

    def due(self, today, *, ahead=False):
        """Owned customers that go back to the sea on ``today``; ``ahead``: within the days of warning.

        Those long overdue are due as well, so that a night that was missed is caught up.
        """
        late = Q(pk__in=[])
        for rule in self.rules:
            day = today + timedelta(days=rule.warn_days if ahead else 0)
            late |= self.under(rule) & _late(rule, day)
        rows = Customer.objects.filter(late, **IN_PLAY).exclude(owner=None)
        for _, provider in EXEMPTIONS:
            rows = rows.exclude(pk__in=provider())
        return rows

    def outlooks(self, customers, today=None) -> dict[int, Outlook]:
        """What awaits each of ``customers`` (owned ones), in words."""
        today = today or timezone.localdate()
        owned = [customer for customer in customers if customer.owner_id]
        ids = [customer.pk for customer in owned]
        rules, exempt = self.rules_of(owned), _exempt(ids)
        return {c.pk: _outlook(c, rules[c.pk], exempt.get(c.pk), today) for c in owned}


def _exempt(ids) -> dict[int, str]:
    """``{customer id: the first reason not to take it back}`` of those of ``ids`` that have one; one query."""
    reasons, providers = zip(*EXEMPTIONS, strict=True)
    some = Customer.objects.filter(pk__in=ids).order_by()
    found = [
        some.filter(pk__in=provider()).annotate(place=Value(place)).values_list("place", "pk")
        for place, provider in enumerate(providers)
    ]
    return {pk: reasons[place] for place, pk in sorted(found[0].union(*found[1:], all=True), reverse=True)}


def _criteria(rule):
    every = [(rule.follow_days, "last_followed_at", "没有跟进"), (rule.deal_days, "last_deal_at", "没有成交")]
    return [criterion for criterion in every if criterion[0]]


def _late(rule, day) -> Q:
    """Whether the last follow-up, deal or change of owner lies so far back on ``day``, and no protection reaches it."""
    late = Q(pk__in=[])
    for days, column, _ in _criteria(rule):
        start = _midnight(day - timedelta(days=days - 1))
        late |= Q(owned_since__lt=start) & (Q(**{column: None}) | Q(**{f"{column}__lt": start}))
    return late & (Q(protected_until=None) | Q(protected_until__lt=day))


def _outlook(customer, rule, exempt, today) -> Outlook:
    if exempt:
        return Outlook(None, exempt)
    if not (customer.is_enabled and not customer.is_closed):
        return Outlook(None, "已停用或已完结")
    candidates = []
    for days, column, word in _criteria(rule) if rule is not None else ():
        since = max(customer.owned_since, getattr(customer, column) or customer.owned_since)
        start = timezone.localdate(since)
        candidates.append((start + timedelta(days=days), f"已 {(today - start).days} 天{word}"))
    if not candidates:
        return Outlook(None, "没有适用的规则")
    day, reason = min(candidates, key=lambda item: item[0])
    until = customer.protected_until
    if until is not None and until >= day:
        day, reason = until + timedelta(days=1), f"保护到 {until:%Y-%m-%d} 为止，{reason}"
    days = (day - today).days
    return Outlook(day, reason, days, days <= rule.warn_days)


def _midnight(day) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


def _belongs(user, departments) -> bool:
    if user.department_id is None:
        return False
    return any(
        Department.objects.descendants(department.pk, include_self=True).filter(pk=user.department_id).exists()
        for department in departments
    )


def load_pool_rules() -> None:
    """The rule for everybody that an installation begins with."""
    if not PoolRule.objects.exists():
        PoolRule.objects.create(follow_days=30, deal_days=90, protect_limit=20)
