"""Sales targets: one for each holder and month, set within one's reach, from Excel too."""

from datetime import date
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.urls import reverse

from crm.models import Department
from crm.policies import policy_for
from reports.models import SalesTarget
from reports.resources.targets import MonthWidget, SalesTargetResource
from tests.factories import make


@pytest.fixture
def team(person):
    department = make(Department, parent=None, manager=None)
    return person("销售主管", department=department), person("销售", department=department)


def test_a_month_has_one_target_for_each_person(team):
    _, seller = team
    first = make(SalesTarget, person=seller, month=date(2026, 3, 17))
    assert first.month == date(2026, 3, 1)
    with pytest.raises(ValidationError, match="已有目标"):
        SalesTarget(person=seller, month=date(2026, 3, 30), amount=1).full_clean()
    with pytest.raises(IntegrityError), transaction.atomic():
        make(SalesTarget, person=seller, month=date(2026, 3, 2))
    first.is_valid = False
    first.save()
    make(SalesTarget, person=seller, month=date(2026, 3, 2))


def test_a_target_belongs_to_a_person_or_a_department(team):
    manager, seller = team
    for holders in ({}, {"person": seller, "department": manager.department}):
        with pytest.raises(ValidationError, match="一位员工或一个部门"):
            SalesTarget(month=date(2026, 3, 1), amount=1, **holders).full_clean()


def test_sellers_see_their_own_and_managers_those_of_their_people(team, person):
    manager, seller = team
    own = make(SalesTarget, person=seller)
    of_team = make(SalesTarget, person=None, department=manager.department)
    elsewhere = make(SalesTarget)
    policy = policy_for(SalesTarget)
    assert set(policy.visible_to(seller)) == {own}
    assert set(policy.visible_to(manager)) == {own, of_team}
    assert set(policy.visible_to(person("审计"))) == {own, of_team, elsewhere}
    assert set(policy.visible_to(person("客服"))) == set()


def test_a_manager_sets_targets_of_his_own_people_alone(team, browse):
    manager, seller = team
    stranger = make(type(seller))
    client = browse(manager)
    address = reverse("admin:reports_salestarget_add")
    given = {"month": "2026-03-01", "amount": "1000", "currency": "CNY"}
    assert client.post(address, {**given, "person": stranger.pk}).status_code == 200
    assert not SalesTarget.objects.filter(person=stranger).exists()
    assert client.post(address, {**given, "person": seller.pk}).status_code == 302
    assert SalesTarget.objects.get(person=seller).amount == Decimal(1000)


def test_an_import_sets_no_targets_beyond_ones_reach(team):
    from crm.excel.widgets import Context

    manager, seller = team
    stranger = make(type(seller))
    resource, context = SalesTargetResource(), Context(manager)

    def problems(**values):
        return resource.check_row({"person": None, "department": None, **values}, None, context)

    assert problems(person=seller.pk) == []
    assert problems(department=manager.department_id) == []
    assert problems(person=stranger.pk)[0][0] == "person"
    assert "其中一个" in problems()[0][1]
    assert "其中一个" in problems(person=seller.pk, department=manager.department_id)[0][1]


@pytest.mark.parametrize("word", ["2026-03", "2026/3", "2026年3月", "2026-03-17", "20260317", date(2026, 3, 17)])
def test_a_month_is_written_in_many_ways(word):
    assert MonthWidget(SalesTarget._meta.get_field("month")).clean(word) == "2026-03-01"
