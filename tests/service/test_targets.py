"""Target times: working hours, weekends, public holidays, make-up days, midnight."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from crm.models import DictionaryItem
from customers.models import Customer, CustomerCategory, Priority
from service.models import ServiceTarget, SpecialDay, WorkingPeriod, WorkOrder
from service.services import targets
from service.services.targets import NoWorkingTime, WorkingTime
from tests.factories import make

HOURS = ((time(9), time(12)), (time(13, 30), time(18)))
CALENDAR = WorkingTime(HOURS, {})


def at(text):
    return timezone.make_aware(datetime.fromisoformat(text))


@pytest.mark.parametrize(
    ("start", "hours", "due"),
    [
        ("2026-11-18 09:00", 2, "2026-11-18 11:00"),  # 周三上午
        ("2026-11-18 11:00", 2, "2026-11-18 14:30"),  # 跨过午休
        ("2026-11-18 17:30", 1, "2026-11-19 09:30"),  # 跨过午夜
        ("2026-11-18 23:50", 1, "2026-11-19 10:00"),  # 深夜创建，次日开始计
        ("2026-11-19 00:10", 1, "2026-11-19 10:00"),  # 凌晨创建，当天开始计
        ("2026-11-20 17:00", 2, "2026-11-23 10:00"),  # 周五到周一，跨过周末
        ("2026-11-21 15:00", 1, "2026-11-23 10:00"),  # 周六创建
        ("2026-09-30 17:00", 2, "2026-10-08 10:00"),  # 跨过国庆（10 月 1 日至 7 日放假）
        ("2026-02-13 17:00", 2, "2026-02-14 10:00"),  # 2 月 14 日星期六调休上班
        ("2026-02-14 17:00", 2, "2026-02-24 10:00"),  # 春节放假到 2 月 23 日
        ("2026-11-18 10:00", 7.5, "2026-11-19 10:00"),  # 一个工作日是七个半小时
        ("2026-11-18 10:00", 0, "2026-11-18 10:00"),
    ],
)
def test_targets_count_working_hours_alone(start, hours, due):
    """时限只计工作时间：跨午休、午夜、周末、法定节假日与调休都对。"""
    assert CALENDAR.add(at(start), Decimal(str(hours))) == at(due)


def test_there_and_back_and_between_agree():
    """从时限倒推，正好回到开始；中间的工作时间正好是那么多小时。"""
    for day in range(0, 60, 7):
        start = at("2026-01-05 10:17") + timedelta(days=day, hours=day % 5)
        for hours in (1, 3, 8, 40):
            due = CALENDAR.add(start, hours)
            assert CALENDAR.between(start, due) == timedelta(hours=hours)
            begins = CALENDAR.back(due, hours)
            assert CALENDAR.between(begins, due) == timedelta(hours=hours)
            assert CALENDAR.between(start, begins) == timedelta(0)


def test_a_company_may_do_otherwise_than_the_country():
    """例外日期优先于国家的安排：放假的工作日不计，上班的周末计入。"""
    ours = WorkingTime(HOURS, {date(2026, 11, 19): False, date(2026, 11, 21): True})
    assert ours.add(at("2026-11-18 17:00"), 2) == at("2026-11-20 10:00")
    assert ours.add(at("2026-11-20 17:00"), 2) == at("2026-11-21 10:00")


def test_a_year_that_nobody_has_arranged_yet_has_its_statutory_holidays():
    """国务院尚未公布的年份：周末与法定节日照放，没有调休，不报错。"""
    for year in (2030, 2035):
        assert not CALENDAR.is_working_day(date(year, 10, 1))
        assert not CALENDAR.is_working_day(date(year, 1, 1))
        days = [date(year, 1, 1) + timedelta(days=n) for n in range(365)]
        working = [day for day in days if CALENDAR.is_working_day(day)]
        assert all(day.weekday() < 5 for day in working) and 230 < len(working) < 262


def test_without_working_hours_somebody_is_told_what_to_set_up():
    with pytest.raises(NoWorkingTime, match="工作时段"):
        WorkingTime((), {}).add(at("2026-11-18 10:00"), 1)


@pytest.mark.django_db
def test_the_target_of_the_priority_decides_and_urgent_ones_run_around_the_clock():
    """紧急工单全天计时，其余按工作时间；即将超时从提前提醒的时刻算起。"""
    urgent = WorkOrder(priority=Priority.URGENT, created_at=at("2026-11-21 23:50"))
    targets.set_targets(urgent)
    assert (urgent.response_due, urgent.resolution_due) == (at("2026-11-22 00:20"), at("2026-11-22 03:50"))
    assert (urgent.due_at, urgent.warn_at) == (at("2026-11-22 00:20"), at("2026-11-21 23:50"))
    high = WorkOrder(priority=Priority.HIGH, created_at=at("2026-11-20 17:00"))
    targets.set_targets(high)
    assert (high.response_due, high.resolution_due) == (at("2026-11-23 10:00"), at("2026-11-23 17:30"))
    assert high.warn_at == at("2026-11-23 09:00")


@pytest.mark.django_db
def test_the_default_priority_is_the_higher_of_stage_and_category():
    """新工单的优先级取客户阶段与客户分类（含上级的服务标准）中较高的。"""
    customer = make(Customer)
    assert targets.default_priority(customer) == Priority.LOW
    dedicated = DictionaryItem.objects.get(type="service_level", code="dedicated")
    above = make(CustomerCategory, name="战略", service_level=dedicated, parent=None)
    customer = make(Customer, categories=[make(CustomerCategory, name="战略一组", parent=above)])
    assert targets.default_priority(customer) == Priority.URGENT


@pytest.mark.django_db
def test_every_priority_has_a_target_and_there_are_working_hours_from_the_start():
    assert set(ServiceTarget.objects.values_list("priority", flat=True)) == set(Priority.values)
    assert [str(period) for period in WorkingPeriod.objects.all()] == ["09:00–12:00", "13:30–18:00"]
    SpecialDay.objects.create(date=date(2026, 11, 18))
    assert not WorkingTime.load().is_working_day(date(2026, 11, 18))
