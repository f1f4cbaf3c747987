"""Instalments, receipts and invoices in and out through Excel."""

from datetime import timedelta
from decimal import Decimal
from threading import Barrier

import pytest
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from crm import actor
from crm.excel import apply
from crm.models import ImportBatch
from sales.models import PaymentPlan
from sales.resources.payments import PaymentPlanResource
from sales.services import payments
from tests.crm.excel import pipeline
from tests.races import run_together
from tests.sales.test_payments import fresh, plan, receive, signed

TODAY = timezone.localdate()
TITLES = ["合同编号", "期次", "计划回款日期", "计划金额"]
THREADS = 8


def checked(user, *rows):
    return pipeline.checked(user, TITLES, [list(row) for row in rows], resource="sales.PaymentPlan")


def imported(user, *rows):
    return pipeline.applied(checked(user, *rows))


def row_of(one, amount):
    return one.contract.number, one.position, one.date.isoformat(), amount


def test_instalments_come_in_by_contract_and_number_and_a_second_file_changes_them(person):
    seller = person("销售")
    contract = signed("1000", owner=seller)
    assert not pipeline.problems(imported(seller, (contract.number, 1, "2026-04-15", 300)))
    batch = imported(seller, (contract.number, 1, "2026-05-15", 400), (contract.number, None, "2026-06-15", 600))
    assert not pipeline.problems(batch)
    found = contract.plans.order_by("position").values_list("position", "amount", "date")
    assert [(place, amount, str(day)) for place, amount, day in found] == [
        (1, 400, "2026-05-15"),
        (2, 600, "2026-06-15"),
    ]


def test_rows_of_one_file_count_together_and_the_refusal_says_what_is_left(person):
    seller = person("销售")
    contract = signed("1000", owner=seller)
    batch = imported(
        seller, (contract.number, None, "2026-04-15", 700), (contract.number, None, "2026-05-15", "300.01")
    )
    assert pipeline.problems(batch) == {3: ["计划金额超出合同金额：这份合同还可以排 300.00。"]}


def test_an_instalment_never_shrinks_below_what_was_received_and_follows_it_in_its_state(person):
    seller = person("销售")
    contract = signed("1000", owner=seller)
    one = plan(contract, 600)
    receive(contract, "300", person("财务"))
    assert pipeline.problems(imported(seller, row_of(one, 299))) == {2: ["计划金额不能少于已回款 300.00。"]}
    imported(seller, row_of(one, 300))
    assert (fresh(one).amount, fresh(one).status) == (300, "paid")


def test_what_has_changed_since_the_check_is_asked_again_when_it_is_written(person):
    seller = person("销售")
    contract = signed("1000", owner=seller)
    one = plan(contract, 300)
    batch = checked(seller, row_of(one, 1000))
    assert not pipeline.problems(batch)
    payments.save_plan(PaymentPlan(contract=contract, position=2, amount=Decimal(500), date=TODAY), by=seller)
    pipeline.applied(batch)
    assert "还可以排 200.00" in "".join(pipeline.problems(batch)[2])
    assert fresh(one).amount == 300


def test_what_another_changes_between_two_chunks_of_a_file_counts_for_the_second(person):
    seller = person("销售")
    contract = signed("1000", owner=seller)
    plans = [plan(contract, 100, due=TODAY + timedelta(days=n), position=n + 1) for n in range(2)]
    batch = checked(seller, *(row_of(one, 300) for one in plans))
    first, second = ([row] for row in apply.pending(batch))
    applier = apply.Applier(batch, seller)
    with transaction.atomic(), actor.acting(seller):
        applier.write(applier.prepare(first))
    payments.save_plan(PaymentPlan(contract=contract, position=3, amount=Decimal(500), date=TODAY), by=seller)
    with transaction.atomic(), actor.acting(seller):
        applier.write(applier.prepare(second))
    assert [fresh(one).amount for one in plans] == [300, 100]
    assert pipeline.problems(batch) == {3: ["计划金额超出合同金额：这份合同还可以排 100.00。"]}


@pytest.fixture
def files(person):
    """Eight checked files, each of which raises one instalment of 100 of the same contract of 1,000 to 200."""
    seller = person("销售")
    contract = signed("1000", owner=seller)
    plans = [plan(contract, 100, due=TODAY + timedelta(days=n), position=n + 1) for n in range(THREADS)]
    return [checked(seller, row_of(one, 200)).pk for one in plans]


def import_all(files):
    results = run_together(lambda n: pipeline.applied(ImportBatch.objects.get(pk=files[n])), THREADS)
    assert not [result for result in results if isinstance(result, Exception)], results
    return PaymentPlan.objects.aggregate(total=Sum("amount"))["total"]


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_files_that_change_instalments_at_once_never_plan_more_than_the_contract(files):
    assert import_all(files) == 1000


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_without_the_lock_on_the_contract_they_do(files, monkeypatch):
    """Negative control: the same without it, nobody writing before all have looked."""
    looked, left = Barrier(THREADS), PaymentPlanResource._left

    def look(contract):
        found = left(contract)
        looked.wait(timeout=20)
        return found

    monkeypatch.setattr(PaymentPlan, "lock_above", lambda ids: None)
    monkeypatch.setattr(PaymentPlanResource, "_left", staticmethod(look))
    assert import_all(files) == 1600
