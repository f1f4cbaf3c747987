"""Sixteen people in processes of their own claim the same customer, three hundred times (make soak)."""

from collections import Counter
from contextlib import contextmanager
from multiprocessing import get_context

import pytest
from django.db import connection

from crm import ownership
from customers.models import Customer, OwnershipPeriod, PoolRule
from tests.customers.claimants import claimant
from tests.factories import make

pytestmark = [pytest.mark.soak, pytest.mark.mysql, pytest.mark.django_db(transaction=True)]
PEOPLE, ROUNDS, CONTROLS, CAP = 16, 300, 5, 20
PATIENCE = 300


@contextmanager
def claimants(people):
    """``ask(round, customer, protected)`` gives what each of ``people`` got when all claimed at the same moment."""
    context = get_context("spawn")
    barrier, answers = context.Barrier(len(people), timeout=PATIENCE), context.Queue()
    lines = [context.Queue() for _ in people]
    started = [
        context.Process(
            target=claimant, args=(connection.settings_dict["NAME"], person.username, barrier, line, answers)
        )
        for person, line in zip(people, lines, strict=True)
    ]

    def ask(number, customer, is_protected=True):
        for line in lines:
            line.put((number, customer.pk, is_protected))
        found = [answers.get(timeout=PATIENCE) for _ in people]
        assert {answer[0] for answer in found} == {number}
        return [answer[1:] for answer in found]

    for process in started:
        process.start()
    try:
        yield ask
    finally:
        for line in lines:
            line.put(None)
        for process in started:
            process.join(timeout=30)
            process.kill()


def test_one_of_sixteen_wins_each_of_three_hundred_rounds(person, capsys):
    PoolRule.objects.all().delete()
    make(PoolRule, level=None, category=None, wait_days=0, owner_limit=CAP)
    people = [person("销售") for _ in range(PEOPLE)]
    names, kinds = {seller.pk: str(seller) for seller in people}, Counter()
    with claimants(people) as ask:
        for number in range(ROUNDS):
            customer = make(Customer, owner=None)
            found = ask(number, customer)
            [winner] = [user for user, kind, _ in found if kind == "won"]
            assert Customer.objects.get(pk=customer.pk).owner_id == winner
            for _, kind, text in found:
                assert kind == "won" or names[winner] in text or f"上限 {CAP} 个" in text, (kind, text)
            kinds.update(kind for _, kind, _ in found)
        doubled = 0
        for number in range(CONTROLS):
            customer = make(Customer, owner=None)
            found = ask(ROUNDS + number, customer, is_protected=False)
            doubled += [kind for _, kind, _ in found].count("won") > 1
    held = Counter(OwnershipPeriod.objects.filter(ended="claimed").values_list("next_owner", flat=True))
    assert sum(held.values()) == ROUNDS and max(held.values()) <= CAP
    assert doubled == CONTROLS, "不加锁也只有一人成功，这个测试就什么都没有证明"
    assert not any(rows.exists() for rows in ownership.disagreements(Customer).values())
    with capsys.disabled():
        print(f"\n{PEOPLE} 人 × {ROUNDS} 轮：{dict(kinds)}，每人最多 {max(held.values())} 个")
        print(f"无锁对照：{CONTROLS} 轮中 {doubled} 轮有多人成功")
