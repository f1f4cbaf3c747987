"""Stages of customers: who moves one, since when, what the rules suggest. Source: eplus 客户生命周期管理."""

from dataclasses import dataclass
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from crm import actor
from crm.models import Operation
from crm.registries import Registry
from customers.models import Customer, DealStatus, Stage, StagePeriod, StagePolicy

# asked with a customer for what was sold to it: ``provider(customer) -> Deals``; the selling app answers
DEALS = Registry("deals of a customer")


@dataclass(frozen=True)
class Deals:
    """Signed contracts and confirmed orders, and what they came to in the last twelve months in CNY."""

    count: int = 0
    yearly_amount: Decimal = Decimal(0)


@dataclass(frozen=True)
class Suggestion:
    stage: str
    reason: str

    @property
    def label(self):
        return Stage(self.stage).label


def check_stage(customer, stage) -> None:
    """Refuse a stage that makes no sense for ``customer`` now. Raises ValidationError."""
    if stage not in Stage.values:
        raise ValidationError("请选择客户阶段。")
    if customer.stage == stage:
        raise ValidationError(f"客户已经在“{Stage(stage).label}”阶段。")
    policy = StagePolicy.objects.filter(stage=stage).first()
    if policy is not None and policy.needs_manager and customer.owner_id is None:
        raise ValidationError(f"“{Stage(stage).label}”客户要求有专属客户经理，请先分配负责人。")


def change_stage(customer, stage, *, by, reason="", request=None) -> Customer:
    """Move ``customer`` to ``stage`` and close its present period. Raises ValidationError.

    Rights are checked by whoever calls: an approval, a claim, the churn scan.
    """
    with transaction.atomic(), actor.acting(by):
        stored = Customer._base_manager.select_for_update().get(pk=customer.pk)
        check_stage(stored, stage)
        now = timezone.now()
        period = StagePeriod(
            customer=stored,
            stage=stored.stage,
            started_at=min(stored.stage_since, now),
            ended_at=now,
            next_stage=stage,
            reason=reason[:500],
            request=request,
        )
        stored.enter_stage(stage)
        stored.stage_since = now
        stored.save(operation=Operation.TRANSITION, remark=reason)
        period.save(remark=reason)
    return stored


def record_deal(customer, at, *, by) -> Customer:
    """Note that something was sold to ``customer`` at the moment ``at``: 成交, and when last; it locks the customer.

    Rights are checked by whoever calls: a contract is signed, an order confirmed.
    """
    with transaction.atomic(), actor.acting(by):
        stored = Customer._base_manager.select_for_update().get(pk=customer.pk)
        if stored.last_deal_at is None or stored.last_deal_at < at:
            stored.last_deal_at = at
            stored.save(update_fields=["last_deal_at"])
        if stored.deal_status != DealStatus.WON:
            stored.win()
            stored.save(operation=Operation.TRANSITION, remark="成交")
    return stored


def withdraw_deal(customer, day, remaining, *, by, why) -> Customer:
    """A deal of ``day`` counts no more; ``remaining`` are the moments of those that still do. It locks the customer.

    The last deal becomes the newest of them, unless a later one is known than the one withdrawn. 成交 goes back to what
    the customer was before where nothing supports it: no deal at all, or none since the customer was confirmed as lost.
    Who was 成交 from the beginning, without a document in this system, stays so. Rights are checked by whoever calls.
    """
    with transaction.atomic(), actor.acting(by):
        stored = Customer._base_manager.select_for_update().get(pk=customer.pk)
        latest = max(remaining, default=None)
        if stored.last_deal_at is not None and timezone.localdate(stored.last_deal_at) <= day:
            stored.last_deal_at = latest
            stored.save(update_fields=["last_deal_at"])
        if stored.deal_status == DealStatus.WON:
            before = stored.history.exclude(deal_status=DealStatus.WON).order_by("-history_id").first()
            if before is not None and not _supported(before, latest):
                stored.enter_deal(before.deal_status)
                stored.save(operation=Operation.TRANSITION, remark=f"成交撤回：{why}"[:255])
    return stored


def _supported(before, latest) -> bool:
    """Whether the newest deal speaks against the version ``before`` 成交."""
    if latest is None:
        return False
    return before.deal_status != DealStatus.LOST or timezone.localdate(latest) >= timezone.localdate(
        before.history_date
    )


def dwell(customer) -> list[tuple[str, int]]:
    """``[(stage, days)]`` the customer has spent in each stage so far, in the order of the stages."""
    days = dict.fromkeys(Stage.values, 0)
    for period in customer.stage_periods.filter(is_valid=True):
        days[period.stage] += period.days
    days[customer.stage] += (timezone.now() - customer.stage_since).days
    return [(Stage(stage).label, count) for stage, count in days.items() if count or stage == customer.stage]


def suggestion(customer) -> Suggestion | None:
    """The stage that the rules speak for: a first deal makes 普通, a year's amount over the threshold makes 重要."""
    answers = DEALS.ask(customer).values()
    deals = Deals(sum(a.count for a in answers), sum((a.yearly_amount for a in answers), Decimal(0)))
    policy = StagePolicy.objects.filter(stage=Stage.KEY).first()
    threshold = policy.yearly_amount if policy is not None else None
    if threshold is not None and deals.yearly_amount >= threshold and customer.stage != Stage.KEY:
        return Suggestion(
            Stage.KEY, f"近 12 个月成交 {deals.yearly_amount:,.2f} 元，达到 {threshold:,.2f} 元的升级门槛"
        )
    if deals.count and customer.stage in (Stage.LEAD, Stage.LAPSED):
        return Suggestion(Stage.ORDINARY, f"已有 {deals.count} 笔签约合同或确认订单")
    return None


def load_stage_policies() -> None:
    """A policy for each stage; what users changed stays."""
    shipped = {
        Stage.LEAD: {"priority": "low"},
        Stage.ORDINARY: {},
        Stage.KEY: {"priority": "high", "needs_manager": True, "yearly_amount": Decimal(1_000_000)},
        Stage.LAPSED: {"priority": "low"},
    }
    known = set(StagePolicy.objects.values_list("stage", flat=True))
    for stage, values in shipped.items():
        if stage not in known:
            StagePolicy.objects.create(stage=stage, **values)
