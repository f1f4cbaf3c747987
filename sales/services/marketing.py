"""What came of marketing activities: leads, opportunities, won amounts, return on cost."""

from collections import defaultdict
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from django.db.models import Count, Q, Sum
from django.utils import timezone

from crm import exchange
from crm.models import Currency
from crm.policies import policy_for
from sales.models import Lead, LeadStatus, Opportunity, OpportunityStatus

PERMILLE = Decimal("0.001")


@dataclass
class Results:
    """``won_amount`` in the currency of the activity; None where a rate for its day is missing (``problem``)."""

    leads: int = 0
    converted: int = 0
    opportunities: int = 0
    won: int = 0
    won_amount: Decimal | None = Decimal(0)
    cost: Decimal | None = None
    problem: str = ""

    @property
    def roi(self) -> Decimal | None:
        """(won amount − cost) / cost; None without a cost."""
        if not self.cost or self.won_amount is None:
            return None
        return ((self.won_amount - self.cost) / self.cost).quantize(PERMILLE, ROUND_HALF_UP)

    @property
    def lead_cost(self) -> Decimal | None:
        """Cost per lead; None without a cost or a lead."""
        return (self.cost / self.leads).quantize(exchange.CENT, ROUND_HALF_UP) if self.cost and self.leads else None


def results(activities, user) -> dict[int, Results]:
    """``{id: Results}`` of ``activities``, counting what ``user`` may see: each number is that of a list of his."""
    activities = list(activities)
    found = {one.pk: Results(cost=one.actual_cost) for one in activities}
    policy = policy_for(Lead)
    if policy.allows(user, "view"):
        rows = policy.visible_to(user).filter(activity__in=found).order_by().values_list("activity")
        counts = rows.annotate(all=Count("pk"), won=Count("pk", filter=Q(status=LeadStatus.CONVERTED)))
        for pk, leads, converted in counts:
            found[pk].leads, found[pk].converted = leads, converted
    policy, won = policy_for(Opportunity), defaultdict(list)
    if policy.allows(user, "view"):
        rows = policy.visible_to(user).filter(activity__in=found).order_by()
        groups = rows.values_list("activity", "status", "currency").annotate(Count("pk"), Sum("estimated_amount"))
        for pk, status, currency, count, amount in groups:
            found[pk].opportunities += count
            if status == OpportunityStatus.WON:
                found[pk].won += count
                won[pk].append((currency, amount))
    amounts = {currency for pairs in won.values() for currency, _ in pairs} | {one.currency for one in activities}
    rate = exchange.rates_of(amounts - {Currency.CNY})
    for one in activities:
        _add_up(found[one.pk], one, won[one.pk], rate)
    return found


def _add_up(result, activity, amounts, rate):
    day = min(timezone.localdate(activity.end_time), timezone.localdate())
    try:
        result.won_amount = sum(
            (exchange.convert(amount, currency, activity.currency, on=day, rate=rate) for currency, amount in amounts),
            Decimal(0),
        )
    except exchange.NoRate as error:
        result.won_amount, result.problem = None, error.messages[0]
