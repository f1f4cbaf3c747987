"""What counts and what does not, one rule a test, with numbers worked out by hand."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from django.urls import reverse
from django.utils import timezone

from crm.models import BusinessLog, Department, ExchangeRate, Operation
from customers.models import Customer, CustomerCategory, OwnershipPeriod, StagePeriod
from customers.tracking.models import Trace
from reports.models import SalesTarget
from reports.queries import REPORTS
from reports.queries.columns import percent, quantile
from reports.queries.core import table
from reports.queries.filters import read
from reports.queries.periods import Period, preset
from sales.models import (
    Contract,
    Lead,
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

SHANGHAI = ZoneInfo("Asia/Shanghai")
MARCH = {"period": "custom", "from": "2026-03-01", "to": "2026-03-31"}
SPRING = {"period": "custom", "from": "2026-03-01", "to": "2026-05-31"}


@pytest.fixture
def boss(person):
    return person("审计")


def numbers(name, user, **given):
    report = REPORTS[name]
    return table(report, user, read(report, given))


def line(found, label):
    return next(row for row in found.rows if row.label == label)


@pytest.mark.parametrize(
    ("today", "name", "first", "last"),
    [
        (date(2026, 1, 31), "last_month", date(2025, 12, 1), date(2025, 12, 31)),
        (date(2024, 2, 29), "month", date(2024, 2, 1), date(2024, 2, 29)),
        (date(2026, 5, 15), "quarter", date(2026, 4, 1), date(2026, 6, 30)),
        (date(2026, 2, 15), "last_quarter", date(2025, 10, 1), date(2025, 12, 31)),
        (date(2026, 2, 15), "last_year", date(2025, 1, 1), date(2025, 12, 31)),
        (date(2026, 2, 15), "months12", date(2025, 3, 1), date(2026, 2, 28)),
        (date(2026, 11, 15), "ahead", date(2026, 11, 1), date(2027, 4, 30)),
    ],
)
def test_presets_are_calendar_months(today, name, first, last):
    assert preset(name, today) == Period(first, last)


def test_the_steps_of_a_period_are_all_of_it_once():
    for period in (Period(date(2026, 1, 15), date(2026, 4, 1)), Period(date(2026, 1, 1), date(2026, 1, 31))):
        steps = period.steps()
        assert (steps[0].first, steps[-1].last) == (period.first, period.last)
        assert all(after.first - before.last == timedelta(days=1) for before, after in pairwise(steps))


def test_quantiles_are_values_that_occur():
    assert quantile({1: 1, 2: 1, 10: 1}, 0.5) == 2
    assert quantile({1: 5, 100: 5}, 0.5) == 1
    assert quantile(dict.fromkeys(range(1, 11), 1), 0.9) == 9
    assert quantile({}, 0.5) is None
    assert percent(1, 3) == Decimal("33.3")
    assert percent(1, 0) is None


def test_a_month_begins_at_midnight_in_shanghai(boss):
    for moment in ("2026-02-28 23:59", "2026-03-01 00:30", "2026-03-31 23:30", "2026-04-01 00:00"):
        make(Lead, created_at=datetime.strptime(moment, "%Y-%m-%d %H:%M").replace(tzinfo=SHANGHAI))
    assert numbers("leads", boss, **MARCH).total["leads"] == 2
    by_month = numbers("leads", boss, by="time", **SPRING)
    assert [(row.label, row["leads"]) for row in by_month.rows] == [("2026-03", 2), ("2026-04", 1), ("2026-05", 0)]


def test_foreign_money_counts_at_the_rate_of_its_business_day(boss):
    make(ExchangeRate, currency="USD", valid_from=date(2026, 1, 1), rate="7")
    make(ExchangeRate, currency="USD", valid_from=date(2026, 3, 10), rate="8")
    make(ExchangeRate, currency="USD", valid_from=date(2026, 3, 5), rate="9", is_valid=False)
    for day, currency in (((3, 9)), "USD"), ((3, 10), "USD"), ((3, 11), "CNY"):
        make(Order, status="confirmed", order_date=date(2026, *day), total_amount="100", currency=currency)
    found = numbers("contribution", boss, **MARCH)
    assert found.total["order_amount"] == 700 + 800 + 100
    assert found.unrated == 0


def test_money_without_a_rate_is_said_to_be_missing(boss):
    make(Order, status="confirmed", order_date=date(2026, 3, 9), total_amount="100", currency="USD")
    make(Order, status="confirmed", order_date=date(2026, 3, 9), total_amount="100")
    found = numbers("contribution", boss, **MARCH)
    assert (found.total["orders"], found.total["order_amount"], found.unrated) == (2, 100, 2)


def test_only_what_was_agreed_counts_as_sold_and_nothing_twice(boss):
    contract = make(Contract, status="signed", sign_date=date(2026, 3, 2), total_amount="1000")
    make(Contract, status="approved", sign_date=None, total_amount="5000")
    for status, of in (("confirmed", contract), ("confirmed", None), ("draft", None), ("cancelled", None)):
        make(Order, status=status, contract=of, order_date=date(2026, 3, 3), total_amount="10")
    make(PaymentRecord, contract=contract, amount="7", date=date(2026, 3, 4))
    make(PaymentRecord, contract=contract, amount="9", date=date(2026, 3, 4), status="void")
    total = numbers("contribution", boss, **MARCH).total
    assert (total["contract_amount"], total["order_amount"], total["deals"]) == (1000, 20, 1010)
    assert (total["receipts"], total["receipt_amount"]) == (1, 7)


def test_a_ranking_shows_the_first_and_the_others_together(boss):
    for number in range(1, 13):
        make(Order, status="confirmed", order_date=date(2026, 3, 3), total_amount=number * 10)
    found = numbers("contribution", boss, top="10", **MARCH)
    assert [row["order_amount"] for row in found.rows] == [*range(120, 20, -10), 30]
    assert found.rows[-1].label == "其他客户"
    assert found.total["order_amount"] == 780
    assert found.rows[0]["running"] == percent(120, 780)
    assert found.rows[-1]["running"] == 100


def test_targets_of_people_and_departments_are_never_added(boss):
    team = make(Department, manager=None, parent=None)
    seller = make(type(boss), department=team)
    make(SalesTarget, person=seller, department=None, month=date(2026, 3, 20), amount="1000")
    make(SalesTarget, person=None, department=team, month=date(2026, 3, 1), amount="5000")
    make(Contract, owner=seller, status="signed", sign_date=date(2026, 3, 2), total_amount="500")
    by_person = line(numbers("ranking", boss, by="person", **MARCH), str(seller))
    assert (by_person["target"], by_person["achieved"]) == (1000, 50)
    by_department = line(numbers("ranking", boss, by="department", **MARCH), str(team))
    assert (by_department["department_target"], by_department["department_achieved"]) == (5000, 10)
    assert numbers("ranking", boss, by="time", **MARCH).total["target"] == 1000


def test_overdue_is_what_is_not_paid_of_signed_contracts(boss):
    today = timezone.localdate()
    signed, draft = make(Contract, status="signed"), make(Contract, status="draft")
    make(PaymentPlan, contract=signed, amount="100", date=today - timedelta(days=40))
    part = {"amount": Decimal(100), "received_amount": Decimal(30), "status": "partial"}
    make(PaymentPlan, contract=signed, date=today - timedelta(days=1), **part)
    make(PaymentPlan, contract=signed, amount="100", date=today)
    paid = {"amount": Decimal(9), "received_amount": Decimal(9), "status": "paid"}
    make(PaymentPlan, contract=signed, date=today - timedelta(days=9), **paid)
    make(PaymentPlan, contract=draft, amount="100", date=today - timedelta(days=40))
    ages = {row.label: row["unpaid_amount"] for row in numbers("receipts", boss, by="age").rows}
    assert ages == {
        "未到期": 100,
        "逾期 1–30 天": 70,
        "逾期 31–60 天": 100,
        "逾期 61–90 天": 0,
        "逾期 91–180 天": 0,
        "逾期 180 天以上": 0,
    }
    assert numbers("receipts", boss, by="person").total["overdue_amount"] == 170


def test_a_claim_counts_for_who_claimed_and_a_fall_for_who_lost(boss):
    former, next_owner = make(type(boss)), make(type(boss))
    day = datetime(2026, 3, 10, tzinfo=SHANGHAI)
    customer = make(Customer, last_deal_at=day + timedelta(days=3))
    base = {"started_at": day - timedelta(days=5), "ended_at": day, "batch": None}
    make(OwnershipPeriod, customer=customer, owner=former, next_owner=None, ended="recycled", **base)
    make(OwnershipPeriod, customer=customer, owner=None, next_owner=next_owner, ended="claimed", **base)
    make(OwnershipPeriod, customer=make(Customer), owner=None, next_owner=next_owner, ended="claimed", **base)
    make(OwnershipPeriod, customer=customer, owner=former, next_owner=next_owner, ended="transferred", **base)
    found = numbers("sea", boss, by="person", **MARCH)
    assert (line(found, str(former))["fallen"], line(found, str(former))["claimed"]) == (1, 0)
    claims = line(found, str(next_owner))
    assert (claims["claimed"], claims["succeeded"], claims["success_rate"], claims["waited"]) == (2, 1, 50, 5)


def test_a_stay_is_told_where_it_was_and_where_it_went(boss):
    end = datetime(2026, 3, 10, tzinfo=SHANGHAI)
    for days in (1, 2, 30):
        stay = {"started_at": end - timedelta(days=days, hours=23), "ended_at": end}
        make(StagePeriod, customer=make(Customer, stage="key"), stage="lead", next_stage="key", **stay)
    found = numbers("lifecycle", boss, **MARCH)
    lead, key = line(found, "线索"), line(found, "重要")
    assert (lead["left"], lead["to_key"], lead["median"], lead["p90"]) == (3, 3, 2, 30)
    assert (key["came"], key["left"], key["stock"]) == (3, 0, 3)


def test_the_funnel_counts_steps_forward_and_back(boss):
    first, second = make(OpportunityStage, sort=1), make(OpportunityStage, sort=2)
    end = datetime(2026, 3, 10, tzinfo=SHANGHAI)
    stay = {"started_at": end - timedelta(days=4), "ended_at": end}
    won = make(Opportunity, status="won", stage=second)
    lost = make(Opportunity, status="lost", stage=first)
    make(Opportunity, stage=first, estimated_amount="1000", win_probability=30)
    make(OpportunityStagePeriod, opportunity=won, stage=first, next_stage=second, **stay)
    make(OpportunityStagePeriod, opportunity=won, stage=second, next_stage=None, **stay)
    make(OpportunityStagePeriod, opportunity=lost, stage=second, next_stage=first, **stay)
    make(OpportunityStagePeriod, opportunity=lost, stage=first, next_stage=None, **stay)
    found = numbers("funnel", boss, **MARCH)
    one, two = line(found, str(first)), line(found, str(second))
    assert (one["left"], one["further"], one["won"], one["lost"], one["rate"]) == (2, 1, 0, 1, 50)
    assert (two["left"], two["further"], two["won"], two["lost"], two["rate"]) == (2, 0, 1, 0, 50)
    assert (one["open"], one["amount"], one["weighted"]) == (1, 1000, 300)


def test_a_customer_of_two_categories_is_one_customer(boss):
    above = make(CustomerCategory, parent=None)
    below = make(CustomerCategory, parent=above)
    make(Customer, categories=[above, below])
    make(Customer, categories=[below])
    found = numbers("composition", boss, by="categories")
    assert (line(found, str(above))["customers"], line(found, str(below))["customers"]) == (1, 2)
    assert found.total["customers"] == Customer.objects.count()
    narrowed = numbers("composition", boss, by="level", category=str(above.pk))
    assert narrowed.total["customers"] == 2


def test_leads_have_no_customer_to_be_narrowed_by(boss):
    lead = make(Lead)
    assert numbers("leads", boss, by="pool").total["leads"] == 1
    assert numbers("leads", boss, by="pool", level=str(lead.source_id)).columns == []


def at(day, hour=10):
    return datetime(2026, 3, day, hour, tzinfo=SHANGHAI)


def test_service_judges_what_is_due_and_measures_in_hours(boss):
    """In time, late, and not done though the target has passed; what is not due yet is not judged."""
    future = timezone.now() + timedelta(days=9)
    done = {"status": "solved", "created_at": at(2), "response_due": at(3), "resolution_due": at(5)}
    make(WorkOrder, **done, responded_at=at(2, 14), solved_at=at(4), satisfaction=5)
    make(WorkOrder, **done, responded_at=at(4), solved_at=at(6), satisfaction=2)
    make(WorkOrder, status="created", created_at=at(2), response_due=at(3), resolution_due=future)
    make(WorkOrder, status="created", created_at=at(2), response_due=None, resolution_due=None)
    total = numbers("service", boss, **MARCH).total
    assert (total["orders"], total["unsolved"], total["responded"], total["response_late"]) == (4, 2, 1, 2)
    assert total["response_rate"] == Decimal("33.3")
    assert (total["solved"], total["solution_late"], total["solution_rate"]) == (1, 1, 50)
    assert (total["response"], total["solution_p90"]) == (4, 96)
    assert (total["rated"], total["satisfied"], total["satisfaction_rate"]) == (2, 1, 50)


def test_churn_compares_the_cases_with_and_without_measures(boss):
    back = {"warned_on": date(2026, 3, 2), "status": "recovered", "recovered_on": date(2026, 3, 12)}
    make(RetentionMeasure, loss=make(CustomerLoss, **back), date=date(2026, 3, 5))
    gone = {"status": "lost", "confirmed_on": date(2026, 4, 1)}
    make(CustomerLoss, warned_on=date(2026, 3, 2), **gone)
    make(CustomerLoss, warned_on=date(2026, 2, 2), **gone)
    make(RetentionMeasure, loss=make(CustomerLoss, **back), date=date(2026, 3, 6), is_valid=False)
    found = numbers("churn", boss, by="measures", **MARCH)
    assert [(row.label, row["warned"], row["rate"]) for row in found.rows] == [
        ("采取过措施", 1, 100),
        ("没有采取措施", 2, 50),
    ]
    by_month = numbers("churn", boss, by="time", **SPRING)
    assert [(row["warned"], row["lost"], row["recovered"]) for row in by_month.rows] == [
        (3, 0, 2),
        (0, 2, 0),
        (0, 0, 0),
    ]
    assert by_month.total["days"] == 10


def test_an_activity_is_held_against_what_it_cost(boss):
    """Whatever came of it, whenever; won amounts at the rate of the day of winning, costs at that of the beginning."""
    make(ExchangeRate, currency="USD", valid_from=date(2026, 1, 1), rate="7")
    make(ExchangeRate, currency="USD", valid_from=date(2026, 4, 1), rate="8")
    fair = make(MarketingActivity, start_time=at(2), end_time=at(4), currency="USD", budget="200", actual_cost="100")
    make(MarketingActivity, start_time=at(3), end_time=at(4), budget=None, actual_cost=None)
    for _ in range(4):
        make(Lead, activity=fair, created_at=at(20))
    won = {"activity": fair, "estimated_amount": "350", "currency": "USD"}
    make(Opportunity, **won, status="won", closed_at=datetime(2026, 4, 2, tzinfo=SHANGHAI))
    make(Opportunity, **won, status="open")
    found = numbers("marketing", boss, **MARCH)
    total = found.total
    assert (total["activities"], total["budgeted"], total["cost"], found.unrated) == (2, 1400, 700, 0)
    assert (total["leads"], total["lead_cost"], total["opportunities"], total["won"]) == (4, 175, 2, 1)
    assert (total["won_amount"], total["roi"]) == (2800, 300)
    assert found.rows[-1]["roi"] is None


def test_leads_are_told_apart_by_the_activity_that_brought_them(boss):
    fair = make(MarketingActivity, name="春季展会")
    for activity in (fair, fair, None):
        make(Lead, activity=activity, created_at=at(9))
    found = numbers("leads", boss, by="activity", **MARCH)
    assert {row.label: row["leads"] for row in found.rows} == {"春季展会": 2, "（不是活动带来）": 1}


def test_traces_of_many_customers_at_once_belong_to_none(boss):
    """They are among the others when customers are ranked, however few customers there are."""
    customer = make(Customer)
    for about in (customer, customer, None):
        make(Trace, customer=about, actor=boss, operated_at=at(5))
    found = numbers("tracking", boss, by="customer", **MARCH)
    assert [(row.label, row["traces"]) for row in found.rows] == [(str(customer), 2), ("其他客户", 1)]


def test_whoever_opens_the_report_of_traces_is_logged(boss, browse):
    browse(boss).get(reverse("admin:report", args=["tracking"]))
    browse(boss).get(reverse("admin:report", args=["composition"]))
    notes = BusinessLog.objects.filter(user=boss, operation=Operation.REVEAL).values_list("remark", flat=True)
    assert [note for note in notes if "操作跟踪" in note] and not [note for note in notes if "客户构成" in note]
