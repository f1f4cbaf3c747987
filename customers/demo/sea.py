"""The public sea of the demo company: who worked on whom lately, and how customers came into the sea and out of it."""

from datetime import timedelta
from random import Random

from crm import actor
from customers.models import DealStatus, OwnerChange, OwnershipPeriod, PoolRule

NEAR_SHARE, PROTECTED_SHARE = 0.03, 0.02
REASONS = ("客户暂无采购计划。", "多次联系无人接听。", "不在本区域，退回重新分配。", "预算取消，明年再议。")


def place(customer, age, random: Random, demo) -> None:
    """Into the sea for some weeks, or in busy hands: few were left alone so long that they go back soon."""
    if customer.owner is None:
        if age > 10:
            customer.owned_since = demo.moment(random, demo.today - timedelta(days=random.randrange(1, min(age, 120))))
        return
    quiet = random.randint(24, 28) if random.random() < NEAR_SHARE else random.randrange(0, 21)
    customer.last_followed_at = _since(customer, quiet, age, random, demo)
    if customer.deal_status == DealStatus.WON:
        customer.last_deal_at = _since(customer, random.randrange(5, 80), age, random, demo)
    elif age > 80:
        customer.owned_since = demo.moment(random, demo.today - timedelta(days=random.randrange(20, 80)))
    if random.random() < PROTECTED_SHARE:
        customer.protected_until = demo.today + timedelta(days=random.randrange(10, 60))


def _since(customer, days, age, random, demo):
    """Some time so many days ago, but not before there was the customer."""
    return customer.created_at if days >= age else demo.moment(random, demo.today - timedelta(days=days))


def write(story) -> int:
    """Past periods of customers that changed hands or fell into the sea, and a rule for the best customers."""
    demo, random = story.demo, Random("sea")  # noqa: S311  (the same every time)
    periods = []
    for customer in story.customers:
        if customer.owned_since != customer.created_at:
            periods += _hands(customer, random, story) if customer.owner else _fall(customer, random, story)
    demo.create(periods)
    top = story.dictionary["level", "S"]
    if not PoolRule.objects.filter(level=top).exists():
        with actor.acting(demo.admin):
            PoolRule(
                level=top, follow_days=60, deal_days=180, warn_days=14, protect_limit=5, owner_limit=60, daily_limit=2
            ).save()
    return len(periods)


def _period(customer, **values):
    stamp = {"created_at": values["ended_at"], "created_by": values["next_owner"] or values["owner"]}
    return OwnershipPeriod(customer=customer, **values, **stamp)


def _colleagues(customer, story):
    team = story.sellers.get(customer.created_by.department.name if customer.created_by.department else "")
    return team or [user for people in story.sellers.values() for user in people]


def _fall(customer, random, story):
    """Given up, or taken back by night."""
    recycled = random.random() < 0.5
    return [
        _period(
            customer,
            owner=random.choice(_colleagues(customer, story)),
            started_at=customer.created_at,
            ended_at=customer.owned_since,
            ended=OwnerChange.RECYCLED if recycled else OwnerChange.RELEASED,
            next_owner=None,
            reason="已 30 天没有跟进" if recycled else random.choice(REASONS),
        )
    ]


def _hands(customer, random, story):
    """Another's first, then some days in the sea until the present owner claimed it."""
    others = [user for user in _colleagues(customer, story) if user != customer.owner] or [customer.owner]
    former, stay = random.choice(others), (customer.owned_since - customer.created_at).days // 10
    middle = story.demo.moment(random, (customer.owned_since - timedelta(days=stay + 1)).date())
    return [
        _period(
            customer,
            owner=former,
            started_at=customer.created_at,
            ended_at=middle,
            ended=OwnerChange.RELEASED,
            next_owner=None,
            reason=random.choice(REASONS),
        ),
        _period(
            customer,
            owner=None,
            started_at=middle,
            ended_at=customer.owned_since,
            began=OwnerChange.RELEASED,
            ended=OwnerChange.CLAIMED,
            former_owner=former,
            next_owner=customer.owner,
            reason="认领",
        ),
    ]
