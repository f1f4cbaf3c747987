"""Demo data of the reports: what people and departments were, and are, to sell, near what they do sell."""

from datetime import timedelta
from decimal import Decimal
from random import Random

from crm.demo import Demo, builders
from crm.models import User
from reports.models import SalesTarget
from reports.queries import REPORTS
from reports.queries.core import table
from reports.queries.filters import read
from reports.queries.periods import months_back
from reports.queries.sources import everybody

MONTHS_BACK, MONTHS_AHEAD = 14, 3
STEP, LEAST = 10_000, 20_000
AMBITION = (0.85, 1.3)  # of what is sold in a month


def build_targets(demo: Demo) -> dict[str, int]:
    """A target for every month for each person and department that sold anything in the last twelve."""
    random = Random("targets")  # noqa: S311  (the same every time)
    director = User.objects.get(username="zhoumin")
    targets = []
    for holder in ("person", "department"):
        for pk, monthly in _sold(holder):
            for ago in range(MONTHS_BACK, -MONTHS_AHEAD - 1, -1):
                month = months_back(demo.today, ago)
                written = min(month - timedelta(days=5), demo.today - timedelta(days=1))
                target = SalesTarget(
                    month=month,
                    amount=_round(monthly * Decimal(str(round(random.uniform(*AMBITION), 2)))),
                    created_at=demo.moment(random, written),
                    created_by=director,
                    **{f"{holder}_id": pk},
                )
                target.place = target.place_key()
                targets.append(target)
    demo.create(targets)
    return {"业绩目标": len(targets)}


def _sold(holder):
    """``(id, what was sold a month on average, in CNY)``; who sold nothing is not among them."""
    report = REPORTS["ranking"]
    found = table(report, everybody(), read(report, {"by": holder, "period": "months12"}))
    return [(int(row.code), row["deals"] / 12) for row in found.rows if row.code.isdigit() and row["deals"]]


def _round(amount) -> Decimal:
    return max(Decimal(LEAST), (amount / STEP).quantize(Decimal(1)) * STEP)


builders.add("reports", build_targets)
