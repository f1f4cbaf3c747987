"""Several people at the same moment: automatic assignment takes turns."""

from threading import Barrier

import pytest
from django.db import transaction

from crm.models import Role, User
from service.models import DispatchRule, WorkOrder
from service.services import dispatch, workorders
from tests.factories import make
from tests.races import run_together

pytestmark = [pytest.mark.mysql, pytest.mark.django_db(transaction=True)]
COUNT = 8


@pytest.fixture
def waiting():
    """Eight work orders nobody has, and a rule with two people."""
    people = [make(User, groups=[Role.objects.get(name="服务专员")]) for _ in range(2)]
    orders = [make(WorkOrder, owner=None) for _ in range(COUNT)]
    for order in orders:
        WorkOrder.objects.filter(pk=order.pk).update(type=orders[0].type)
    make(DispatchRule, type=orders[0].type, people=people)
    return [order.pk for order in orders]


def loads():
    return sorted(
        WorkOrder.objects.filter(owner=person).count() for person in User.objects.filter(groups__name="服务专员")
    )


def test_automatic_assignment_at_the_same_moment_shares_the_load(waiting):
    """八张工单同时自动分配给两个人：各四张，没有一张丢失。"""
    found = run_together(lambda n: dispatch.dispatch(WorkOrder.objects.get(pk=waiting[n]), by=None), threads=COUNT)
    assert all(isinstance(order, WorkOrder) for order in found), found
    assert loads() == [COUNT // 2, COUNT // 2]


def test_without_the_lock_of_the_rule_they_would_all_choose_alike(waiting):
    """Negative control: choosing first and assigning then, everybody picks the person who is least busy now."""
    ready = Barrier(COUNT)

    def careless(number):
        with transaction.atomic():
            order = WorkOrder.objects.get(pk=waiting[number])
            person = dispatch.least_busy(dispatch.rule_of(order))
            ready.wait()
            return workorders.assign(order, person, by=None)

    run_together(careless, threads=COUNT)
    assert loads() != [COUNT // 2, COUNT // 2]
