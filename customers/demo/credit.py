"""Demo credit and company paths: limits by rating, a few changes of today, the path each kind of customer uses."""

from datetime import timedelta
from decimal import Decimal
from random import Random

from crm import actor
from crm.demo import desk
from crm.models import CompanyPath, Currency
from customers.models import CreditLimit, CreditRule, CustomerPath, DealStatus, ReviewStatus
from customers.models.credit import UNRATED
from customers.services import credit

BOUNDS = {UNRATED: 50_000, 1: 0, 2: 100_000, 3: 500_000, 4: 2_000_000, 5: 10_000_000}  # CNY
LIMITS = {3: (100, 200, 300), 4: (300, 500, 800), 5: (800, 1000, 2000)}  # thousand CNY
ABROAD = 8  # about how many CNY a unit of what overseas customers pay in is worth
TERMS = {  # category: limit, currency, days, service level
    "内销客户": (100_000, Currency.CNY, 30, "standard"),
    "外贸客户": (30_000, Currency.USD, 45, "standard"),
    "电商客户": (None, Currency.CNY, 15, "standard"),
    "战略客户": (1_000_000, Currency.CNY, 60, "dedicated"),
    "进口商": (50_000, Currency.USD, 60, "priority"),
}
TODAY = 8


def terms_of(name, dictionary) -> dict:
    """What the category called ``name`` gives its customers."""
    if name not in TERMS:
        return {}
    amount, currency, days, level = TERMS[name]
    return {
        "credit_amount": None if amount is None else Decimal(amount),
        "credit_currency": currency,
        "payment_days": days,
        "service_level": dictionary["service_level", level],
    }


def is_enabled(customer) -> bool:
    """Credit is for customers who have bought and are rated."""
    won = customer.review_status == ReviewStatus.APPROVED and customer.deal_status == DealStatus.WON
    return won and (customer.credit_rating or 0) in LIMITS


class Credit:
    def __init__(self, story):
        self.story, self.demo, self.random = story, story.demo, Random("credit")  # noqa: S311  (the same every time)
        self.finance = story.people["zhengyun"]
        self.company_paths = {path.name: path for path in CompanyPath.objects.all()}
        self.enabled = [customer for customer in story.customers if customer.is_credit_enabled]

    def write(self) -> dict[str, int]:
        stamp = {"created_at": self.demo.beginning + timedelta(days=1), "created_by": self.demo.admin}
        self.demo.create([CreditRule(rating=r, max_amount=Decimal(most), **stamp) for r, most in BOUNDS.items()])
        limits = self.demo.create([self._limit(customer) for customer in self.enabled])
        paths = self.demo.create([path for customer in self.story.customers for path in self._paths(customer)])
        self.demo.recent.append(self.live_today)
        return {"信用额度": len(limits), "客户公司路径": len(paths)}

    def _limit(self, customer):
        amount = Decimal(self.random.choice(LIMITS[customer.credit_rating]) * 1000)
        if customer.currency != Currency.CNY:
            amount = amount / ABROAD if customer.currency != Currency.JPY else amount * 20
        return CreditLimit(
            customer=customer,
            currency=customer.currency,
            amount=amount,
            limit_of=customer,
            created_at=customer.created_at + timedelta(minutes=55),
            created_by=self.finance,
        )

    def _paths(self, customer):
        """Overseas customers buy through Hong Kong or straight, domestic ones from the company next to them."""
        if customer.review_status != ReviewStatus.APPROVED:
            return []
        if customer.country.code != "CN":
            chosen = [("export", "深圳 → 香港出口"), ("export", "深圳直签")]
        else:
            chosen = [("domestic", "上海直签" if customer.area.code == "east" else "深圳直签")]
            if self.random.random() < 0.1:
                chosen.append(("import", "香港 → 上海进口"))
        rows, served = [], set()
        for minute, (scenario, name) in enumerate(chosen):
            first = scenario not in served
            served.add(scenario)
            rows.append(
                CustomerPath(
                    **self.story._part(customer, 45 + minute),
                    scenario=self.story.dictionary["path_scenario", scenario],
                    path=self.company_paths[name],
                    is_default=first,
                    default_of=customer if first else None,
                    valid_of=customer,
                )
            )
        return rows

    def live_today(self):
        """Finance raises limits and grants temporary credit; contracts that wait for their signature hold some."""
        today = self.demo.today
        with actor.acting(self.finance, ip=desk(self.finance)):
            for place, customer in enumerate(self.random.sample(self.enabled, min(len(self.enabled), TODAY))):
                limit = CreditLimit.objects.get(limit_of=customer)
                raised = (limit.amount * Decimal("1.2")).quantize(Decimal(1))
                if place % 2 == 0:
                    credit.set_limit(
                        customer, limit.currency, raised, by=self.finance, reason="年度信用复核：付款及时，上调两成。"
                    )
                if place % 3 == 0:
                    credit.grant_temporary(
                        customer,
                        limit.currency,
                        (limit.amount / 10).quantize(Decimal(1)),
                        today + timedelta(days=30),
                        by=self.finance,
                        reason="旺季备货，客户已付三成定金。",
                    )
                held = min(limit.amount * Decimal("0.4"), credit.headroom(customer, limit.currency) / 2)
                if held < 1:  # what was sold to it has used up its credit
                    continue
                credit.reserve(
                    customer,
                    limit.currency,
                    held.quantize(Decimal(1)),
                    source="合同",
                    reference=f"HT{today:%Y%m%d}{place + 1:04}",
                    by=self.finance,
                )
