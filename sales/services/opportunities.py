"""Opportunities on their way through the stages: move, win, lose, reopen; which are stuck, what they come to."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from decimal import Decimal

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count, DecimalField, ExpressionWrapper, F, Q, Sum
from django.urls import reverse
from django.utils import timezone

from crm import actor, exchange, records, transitions
from crm.approvals import Effect
from crm.models import Operation
from crm.policies import policy_for
from sales.models import (
    Opportunity,
    OpportunityStage,
    OpportunityStagePeriod,
    OpportunityStatus,
)
from sales.models.opportunities import days_between

STAGES = [  # name, probability, days after which it is stuck; fastapi names the first three
    ("初步接触", 10, 30),
    ("需求分析", 30, 30),
    ("方案报价", 50, 21),
    ("商务谈判", 70, 21),
    ("合同签订", 90, 14),
]


def load_stages() -> None:
    """The stages of a new installation; once there are any, they are the users' own."""
    if OpportunityStage.objects.exists():
        return
    for position, (name, probability, stuck_days) in enumerate(STAGES):
        OpportunityStage.objects.create(name=name, probability=probability, stuck_days=stuck_days, sort=position)


class OpportunityError(ValueError):
    """What was asked for makes no sense now; the message says why and what to do."""


# --- Through the stages ----------------------------------------------------------------------------------------------


def move(opportunity, stage, *, by, probability=None) -> Opportunity:
    """Move an open opportunity to ``stage``: its interval is closed and it takes the stage's default probability.

    ``probability`` (percent), where somebody knows better. In the same stage nothing changes.
    Raises PermissionDenied, OpportunityError.
    """
    with transaction.atomic(), actor.acting(by):
        stored = Opportunity._base_manager.select_for_update().get(pk=opportunity.pk)
        if not policy_for(Opportunity).may(by, "change", stored):
            raise PermissionDenied("没有修改该商机的权限。")
        if stored.status != OpportunityStatus.OPEN:
            raise OpportunityError(f"“{stored}”{stored.get_status_display()}，不能再换阶段；请先“重新跟进”。")
        if stored.stage_id == stage.pk:
            return stored
        if not (stage.is_valid and stage.is_active):
            raise OpportunityError(f"阶段“{stage}”已停用，请刷新后选择其他阶段。")
        _close_period(stored, next_stage=stage)
        stored.stage, stored.stage_since = stage, timezone.now()
        stored.win_probability = stage.probability if probability is None else probability
        stored.save(operation=Operation.TRANSITION, remark=f"进入阶段“{stage}”"[:255])
    return stored


def win(opportunity, *, by) -> Opportunity:
    """赢单. Raises PermissionDenied, TransitionRefused."""
    return transitions.run(opportunity, "win", by=by)


def lose(opportunity, *, by, reason) -> Opportunity:
    """输单, with its reason. Raises PermissionDenied, TransitionRefused."""
    return transitions.run(opportunity, "lose", by=by, reason=reason)


def reopen(opportunity, *, by, reason) -> Opportunity:
    """Open again in the stage where it was closed, whose days begin anew. Raises as ``lose`` does."""
    return transitions.run(opportunity, "reopen", by=by, reason=reason)


def ended(obj, name, by):
    """Told of every transition: winning and losing close the last interval, in the same transaction."""
    if isinstance(obj, Opportunity) and name in ("win", "lose"):
        _close_period(obj, next_stage=None)


def _close_period(opportunity, *, next_stage):
    now = opportunity.closed_at or timezone.now()
    OpportunityStagePeriod(
        opportunity=opportunity,
        stage=opportunity.stage,
        next_stage=next_stage,
        started_at=min(opportunity.stage_since, now),
        ended_at=now,
    ).save()


def dwell(opportunity) -> dict[int, int]:
    """``{stage id: days spent in it}``, every stay added up and the present one included."""
    days: dict[int, int] = defaultdict(int)
    for period in opportunity.stage_periods.filter(is_valid=True):
        days[period.stage_id] += period.days
    if opportunity.status == OpportunityStatus.OPEN:
        days[opportunity.stage_id] += days_between(opportunity.stage_since, timezone.now())
    return dict(days)


def active_stages() -> list[OpportunityStage]:
    return list(OpportunityStage.objects.valid().filter(is_active=True).order_by("sort", "id"))


# --- What they come to -----------------------------------------------------------------------------------------------


def stuck() -> Q:
    """Open opportunities that are longer in their stage than it allows."""
    found = Q(pk__in=[])
    today = timezone.localdate()
    for pk, days in OpportunityStage.objects.exclude(stuck_days=None).values_list("pk", "stuck_days"):
        start = timezone.make_aware(datetime.combine(today - timedelta(days=days), time.min))
        found |= Q(status=OpportunityStatus.OPEN, stage=pk, stage_since__lt=start)
    return found


@dataclass
class Sums:
    """``amounts`` and ``weighted`` per currency, and both in CNY by today's rates; ``missing``: who has no rate."""

    count: int = 0
    amounts: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    weighted: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    total: Decimal = Decimal(0)
    forecast: Decimal = Decimal(0)
    missing: set[str] = field(default_factory=set)

    def add(self, count, currency, amount, weighted, rate):
        self.count += count
        self.amounts[currency] += amount
        self.weighted[currency] += weighted
        if rate is None:
            self.missing.add(currency)
        else:
            self.total += amount * rate
            self.forecast += weighted * rate

    @property
    def lines(self) -> list[str]:
        return [exchange.money(amount, currency) for currency, amount in sorted(self.amounts.items())]

    @property
    def total_words(self) -> str:
        return exchange.money(self.total, "CNY")

    @property
    def forecast_words(self) -> str:
        return exchange.money(self.forecast, "CNY")

    @property
    def is_mixed(self) -> bool:
        return set(self.amounts) - {"CNY"} != set()


def sums(rows, by=None) -> dict[object, Sums]:
    """``rows`` (opportunities) summed up per value of the column ``by``, all under None without one; one query."""
    named = [by] if by else []
    found: dict[object, Sums] = defaultdict(Sums)
    rates: dict[str, Decimal | None] = {}
    share = ExpressionWrapper(
        F("estimated_amount") * F("win_probability") / Decimal(100), DecimalField(max_digits=24, decimal_places=6)
    )
    grouped = rows.order_by().values_list(*named, "currency")
    grouped = grouped.annotate(number=Count("pk"), amount=Sum("estimated_amount"), expected=Sum(share))
    for *key, currency, count, amount, expected in grouped:
        if currency not in rates:
            rates[currency] = _rate(currency)
        found[key[0] if by else None].add(count, currency, amount, expected or Decimal(0), rates[currency])
    return found


def _rate(currency):
    try:
        return exchange.rate(currency, on=timezone.localdate())
    except exchange.NoRate:
        return None


# --- For others ------------------------------------------------------------------------------------------------------


def create(*, by, owner, **values) -> Opportunity:
    """A new opportunity of ``owner``. Raises PermissionDenied, ValidationError."""
    if not policy_for(Opportunity).allows(by, "add"):
        raise PermissionDenied("没有新增商机的权限。")
    opportunity = Opportunity(owner=owner, **values)
    opportunity.full_clean(exclude=["number", "status"])
    return records.save(opportunity, by=by)


def customers_with_open():
    """Provider of ``EXEMPTIONS``: customers that somebody is about to sell something to."""
    return Opportunity.objects.valid().filter(status=OpportunityStatus.OPEN).values("customer_id")


def open_effects(customer, values, user) -> list[Effect]:
    """Provider of ``EFFECTS``: the open opportunities of a customer that a request is about."""
    if not policy_for(Opportunity).allows(user, "view"):
        return []
    rows = Opportunity.objects.valid().filter(customer=customer, status=OpportunityStatus.OPEN)
    seen = policy_for(Opportunity).visible_to(user).filter(pk__in=rows.values("pk")).count()
    if not (count := rows.count()):
        return []
    link = f"{reverse('admin:sales_opportunity_changelist')}?customer={customer.pk}&status={OpportunityStatus.OPEN}"
    others = "" if seen == count else f"，其中 {count - seen} 个由其他同事负责"
    return [Effect("进行中的商机", count=count, text=others.lstrip("，"), link=link if seen else "")]
