"""A year of business for everybody of the cast, the same every time."""

import random
from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.db import transaction
from django.utils import timezone

from crm import actor
from crm.models import DictionaryItem, ExchangeRate
from customers.models import Customer, CustomerCategory, Interaction, OwnershipPeriod, StagePeriod, VisitPlan
from customers.tracking.models import Trace
from reports.models import SalesTarget
from sales.models import (
    Contract,
    FollowUp,
    Invoice,
    Lead,
    LeadPool,
    MarketingActivity,
    Opportunity,
    OpportunityStage,
    OpportunityStagePeriod,
    Order,
    PaymentPlan,
    PaymentRecord,
)
from service.models import CustomerLoss, RetentionMeasure, WorkOrder
from tests.factories import make

SEED = 20260301
CENT = Decimal("0.01")


@pytest.fixture(scope="module")
def _busy(_built, django_db_blocker):
    """The world of the cast with business in every hand."""
    with django_db_blocker.unblock(), transaction.atomic():
        generate(_built, random.Random(SEED))
        yield _built
        transaction.set_rollback(True)


@pytest.fixture
def busy(_busy, db):
    return _busy


def generate(world, dice):
    today = timezone.localdate()
    now = timezone.now()
    for day in (date(2020, 1, 1), today - timedelta(days=200), today - timedelta(days=20)):
        make(ExchangeRate, currency="USD", valid_from=day, rate=f"7.{dice.randrange(1000, 9999)}")
    make(ExchangeRate, currency="EUR", valid_from=today - timedelta(days=100), rate="7.85")  # none before
    kinds = ("level", "area", "industry", "source", "follow_up_type", "work_order_type", "activity_type", "loss_reason")
    items = {kind: [make(DictionaryItem, type=kind) for _ in range(3)] + [None] for kind in kinds}
    categories = [make(CustomerCategory, parent=None) for _ in range(2)]
    categories.append(make(CustomerCategory, parent=categories[0]))
    stages = [make(OpportunityStage, sort=number, probability=20 * number) for number in range(1, 4)]
    pool = make(LeadPool)
    activities = [
        make(
            MarketingActivity,
            type=dice.choice(items["activity_type"][:3]),
            start_time=now - timedelta(days=60 * number),
            end_time=now - timedelta(days=60 * number - 2),
            manager=world.people[manager] if manager else None,
            currency=currency,
            budget=budget,
            actual_cost=cost,
        )
        for number, (manager, currency, budget, cost) in enumerate(
            [
                ("owner", "CNY", "5000.00", "4321.09"),
                ("outsider", "USD", "800.00", None),
                ("manager", "EUR", None, "70.10"),
                (None, "USD", "100.00", "0.00"),
            ]
        )
    ]

    def moment():
        return now - timedelta(days=dice.randrange(400), hours=dice.randrange(24))

    def day():
        return today - timedelta(days=dice.randrange(400))

    def currency():
        return dice.choice(["CNY", "CNY", "USD", "EUR"])

    hands = [world.people[name] for name in ("owner", "colleague", "manager", "neighbour", "outsider")]
    with actor.acting(world.people["administrator"], ip="10.0.0.9"):
        for number in range(24):
            owner = hands[number % len(hands)]
            customer = make(
                Customer,
                owner=owner if number % 8 else None,
                level=dice.choice(items["level"]),
                area=dice.choice(items["area"]),
                industry=dice.choice(items["industry"]),
                source=dice.choice(items["source"]),
                stage=dice.choice(["lead", "ordinary", "key", "lapsed"]),
                deal_status=dice.choice(["potential", "won", "lost"]),
                review_status=dice.choice(["pending", "approved"]),
                categories=dice.sample(categories, dice.randrange(3)),
                created_at=moment(),
                last_followed_at=dice.choice([None, moment()]),
                last_deal_at=dice.choice([None, moment()]),
            )
            for _ in range(2):
                ended = moment()
                make(
                    StagePeriod,
                    customer=customer,
                    stage=dice.choice(["lead", "ordinary"]),
                    next_stage=dice.choice(["key", "lapsed"]),
                    started_at=ended - timedelta(hours=dice.randrange(2000)),
                    ended_at=ended,
                )
                ended, claimed = moment(), dice.random() < 0.5
                make(
                    OwnershipPeriod,
                    customer=customer,
                    owner=None if claimed else dice.choice(hands),
                    next_owner=dice.choice(hands) if claimed else None,
                    ended=dice.choice(["claimed", "assigned"] if claimed else ["released", "recycled", "transferred"]),
                    started_at=ended - timedelta(hours=dice.randrange(2000)),
                    ended_at=ended,
                    batch=None,
                )
            for _ in range(2):
                kind = dice.choice(items["follow_up_type"])
                make(FollowUp, customer=customer, type=kind, time=moment(), author=dice.choice(hands))
                make(Interaction, customer=customer, time=moment(), author=dice.choice(hands))
            make(VisitPlan, customer=customer, time=moment(), status=dice.choice(["planned", "done", "cancelled"]))
            lead_owner = dice.choice([*hands, None])
            converted = dice.random() < 0.5
            created = moment()
            lead = make(
                Lead,
                owner=lead_owner,
                pool=pool,
                source=dice.choice(items["source"]),
                activity=dice.choice([None, *activities]),
                status="converted" if converted else dice.choice(["new", "working", "invalid"]),
                created_at=created,
                converted_at=created + timedelta(hours=dice.randrange(900)) if converted else None,
            )
            make(FollowUp, lead=lead, customer=None, time=moment(), author=dice.choice(hands))
            status = dice.choice(["open", "open", "won", "lost"])
            opportunity = make(
                Opportunity,
                customer=customer,
                owner=dice.choice([owner, world.people["outsider"]]),
                activity=dice.choice([None, *activities]),
                stage=dice.choice(stages),
                estimated_amount=Decimal(dice.randrange(1, 10**7)) / 100,
                currency=currency(),
                win_probability=dice.choice([0, 15, 80]),
                expected_close_date=dice.choice([None, today + timedelta(days=dice.randrange(-90, 150))]),
                status=status,
                closed_at=None if status == "open" else moment(),
            )
            ended = moment()
            make(
                OpportunityStagePeriod,
                opportunity=opportunity,
                stage=dice.choice(stages),
                next_stage=dice.choice([*stages, None]),
                started_at=ended - timedelta(hours=dice.randrange(3000)),
                ended_at=ended,
            )
            contract = make(
                Contract,
                customer=customer,
                owner=dice.choice([owner, world.people["outsider"], None]),
                status=dice.choice(["draft", "signed", "signed", "terminated"]),
                opportunity=opportunity,
                sign_date=day(),
                total_amount=Decimal(dice.randrange(10**5, 10**8)) / 100,
                currency=currency(),
            )
            for position in (1, 2):
                amount = Decimal(dice.randrange(100, 10**6)) / 100
                paid = dice.choice(["unpaid", "partial", "paid"])
                received = {"unpaid": Decimal(0), "partial": amount / 2, "paid": amount}[paid].quantize(CENT)
                due = today + timedelta(days=dice.randrange(-300, 60))
                make(
                    PaymentPlan,
                    contract=contract,
                    position=position,
                    amount=amount,
                    date=due,
                    status=paid,
                    received_amount=received,
                )
            make(PaymentRecord, contract=contract, amount="123.45", date=day(), status=dice.choice(["valid", "void"]))
            make(Invoice, contract=contract, amount="55.50", issue_date=day(), status=dice.choice(["issued", "void"]))
            for _ in range(2):
                order = make(
                    Order,
                    customer=customer,
                    contract=dice.choice([None, contract]),
                    status=dice.choice(["draft", "confirmed", "confirmed", "cancelled"]),
                    order_date=day(),
                    total_amount=Decimal(dice.randrange(100, 10**7)) / 100,
                    currency=currency(),
                )
            serve(dice, customer, items, moment, hands)
            make(PaymentRecord, contract=None, order=order, amount="77.77", date=day(), status="valid")
        for number, person in enumerate(hands):
            target = {"month": today.replace(day=1), "amount": 1000 * (number + 1), "currency": currency()}
            make(SalesTarget, person=person, department=None, **target)
        make(SalesTarget, person=None, department=world.people["owner"].department, month=today, amount=5000)


def serve(dice, customer, items, moment, hands):
    """Work orders in every state of their targets, cases of churn with and without measures, and who looked at what."""
    for status in ("created", "processing", "solved", "archived"):
        entered = moment()
        responded = entered + timedelta(minutes=dice.randrange(9000)) if status != "created" else None
        solved = responded + timedelta(minutes=dice.randrange(9000)) if status in ("solved", "archived") else None
        make(
            WorkOrder,
            customer=customer,
            owner=dice.choice([*hands, None]),
            type=dice.choice(items["work_order_type"][:3]),
            priority=dice.choice(["low", "normal", "high", "urgent"]),
            status=status,
            created_at=entered,
            responded_at=responded,
            solved_at=solved,
            response_due=dice.choice([None, entered + timedelta(hours=dice.randrange(150))]),
            resolution_due=dice.choice([None, entered + timedelta(hours=dice.randrange(300))]),
            satisfaction=dice.choice([None, 1, 4, 5]) if solved else None,
            reopened_count=dice.choice([0, 0, 2]),
        )
    for _ in range(2):
        warned = timezone.localdate() - timedelta(days=dice.randrange(400))
        status = dice.choice(["lost", "recovered", "recovered", "reprieved"])
        if status == "reprieved" and CustomerLoss.objects.filter(open_key=customer.pk).exists():
            status = "lost"
        loss = make(
            CustomerLoss,
            customer=customer,
            warned_on=warned,
            last_order_date=dice.choice([None, warned - timedelta(days=200)]),
            status=status,
            reason_type=dice.choice(items["loss_reason"]) if status == "lost" else None,
            confirmed_on=warned + timedelta(days=dice.randrange(30)) if status == "lost" else None,
            recovered_on=warned + timedelta(days=dice.randrange(90)) if status == "recovered" else None,
        )
        for _ in range(dice.randrange(3)):
            make(RetentionMeasure, loss=loss, date=warned + timedelta(days=dice.randrange(9)))
    for about in (customer, customer, None):
        kind = dice.choice(["view", "edit", "follow_up", "export", "reveal", "download", "other"])
        foreign = dice.random() < 0.3
        make(Trace, customer=about, actor=dice.choice(hands), kind=kind, is_foreign=foreign, operated_at=moment())
