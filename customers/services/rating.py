"""Credit rating: suggested with its reasons, decided by a person."""

from dataclasses import dataclass
from decimal import ROUND_HALF_DOWN, Decimal

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.utils import timezone

from crm import records
from crm.policies import policy_for
from crm.registries import Registry
from customers.models import CreditLimit, Customer, Stars

# provider(customer) -> Signal, or None when there is nothing to judge by
RATING = Registry("credit rating")
FIRST_YEARS = ((5, 5), (3, 4), (1, 3), (0, 2))  # years with us: stars


@dataclass(frozen=True)
class Signal:
    """One reason: the stars it speaks for, its weight among the others, and its words."""

    stars: int
    weight: int
    reason: str


@dataclass(frozen=True)
class Suggestion:
    stars: int | None
    signals: list[Signal]

    @property
    def label(self):
        return Stars(self.stars).label if self.stars else ""


def suggest_rating(customer) -> Suggestion:
    """The weighted mean of all signals, halves rounded down; no signal, no suggestion."""
    signals = list(RATING.ask(customer).values())
    weight = sum(signal.weight for signal in signals)
    if not weight:
        return Suggestion(None, [])
    mean = Decimal(sum(signal.stars * signal.weight for signal in signals)) / weight
    return Suggestion(int(mean.quantize(Decimal(1), ROUND_HALF_DOWN)), signals)


def tenure(customer) -> Signal:
    """Under one year two stars, from one year three, from three years four, from five years five."""
    today, since = timezone.localdate(), timezone.localdate(customer.created_at)
    years = today.year - since.year - ((today.month, today.day) < (since.month, since.day))
    stars = next(stars for least, stars in FIRST_YEARS if years >= least)
    words = f"满 {years} 年" if years else "不满一年"
    return Signal(stars, 1, f"建档于 {since}，{words}")


def satisfaction(customer) -> Signal | None:
    if customer.satisfaction is None:
        return None
    return Signal(customer.satisfaction, 2, f"客户满意度 {customer.get_satisfaction_display()}")


def rate(customer, stars, *, by, reason) -> Customer:
    """Set the rating of ``customer`` to ``stars`` (1–5); needs the right to set his limits, and a reason.

    Raises PermissionDenied, ValidationError.
    """
    if by is not None and not policy_for(CreditLimit).may_add_to(by, customer):
        raise PermissionDenied("没有评定信用度的权限。")
    if stars not in Stars.values:
        raise ValidationError({"stars": "信用度：请选择 1 至 5 星。"})
    if not reason.strip():
        raise ValidationError({"reason": "原因：请填写评定的依据。"})
    with transaction.atomic():
        locked = Customer._base_manager.select_for_update().get(pk=customer.pk)
        locked.credit_rating = stars
        return records.save(locked, by=by, reason=reason.strip())


def adopt_rating(customer, stars, *, by) -> Customer:
    """Make the suggestion that ``by`` has seen (``stars``) the rating. Raises ValidationError when it has changed."""
    with transaction.atomic():
        locked = Customer._base_manager.select_for_update().get(pk=customer.pk)
        suggestion = suggest_rating(locked)
        if suggestion.stars is None or suggestion.stars != stars:
            raise ValidationError("评定依据已变化，建议信用度与页面上的不同，请刷新后重新决定。")
        reasons = "；".join(signal.reason for signal in suggestion.signals)
        return rate(locked, stars, by=by, reason=f"采纳建议：{reasons}")
