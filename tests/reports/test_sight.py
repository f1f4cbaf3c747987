"""Kept figures of somebody who sees part of the records: never one of a record that he may not see any more."""

from datetime import timedelta

import pytest
from django.db.models import QuerySet
from django.utils import timezone

from crm import bulk, ownership, records
from crm.models import BusinessLog, Department, Operation, Role, User
from customers.models import Customer, CustomerCategory, PoolRule, RoleCategory, VisitPlan
from customers.services import merging, pool, unmerging
from customers.tracking.models import Trace
from reports import summaries
from reports.models import ReportSummary, SalesTarget
from reports.queries import REPORTS
from reports.queries.core import table
from reports.queries.filters import read
from sales.models import Contract, FollowUp, Lead, LeadPool, Opportunity, Order, PaymentRecord
from service.models import WorkOrder
from tests.crm.excel.pipeline import applied, checked, undone
from tests.factories import make

pytestmark = pytest.mark.django_db


class Company:
    """A region with a team, what its salesman works on, and people elsewhere. Every figure is slow here."""

    def __init__(self, person):
        self.region = make(Department, parent=None, manager=None)
        self.team = make(Department, parent=self.region, manager=None)
        self.elsewhere = make(Department, parent=None, manager=None)
        self.boss = person("管理员", department=None)
        self.director = person("销售总监", department=self.region)
        self.manager = person("销售主管", department=self.team)
        self.seller, self.colleague = (person("销售", department=self.team) for _ in range(2))
        self.outsider, self.stranger = (person("销售", department=self.elsewhere) for _ in range(2))
        self.customer = make(Customer, name="甲公司", code="C1", owner=self.seller)
        self.foreign = make(Customer, name="乙公司", code="C2", owner=self.outsider)
        now, today = timezone.now(), timezone.localdate()
        self.visit = make(VisitPlan, customer=self.customer, time=now)
        self.follow_up(customer=self.customer)
        self.order = make(Order, customer=self.customer, contract=None, status="confirmed", order_date=today)
        self.receipt = make(PaymentRecord, contract=None, order=self.order, date=today, status="valid")
        self.contract = make(
            Contract, customer=self.foreign, owner=self.seller, opportunity=None, status="signed", sign_date=today
        )
        self.lead = make(Lead, owner=self.seller, pool=make(LeadPool), created_at=now)
        self.opportunity = make(Opportunity, customer=self.foreign, owner=self.seller, status="open")
        self.work = make(WorkOrder, customer=self.foreign, owner=self.seller, created_at=now)
        self.trace = make(Trace, customer=self.customer, actor=self.seller, operated_at=now)
        self.target = make(SalesTarget, person=self.seller, department=None, month=today)

    def follow_up(self, **about):
        about = {"lead": None, "customer": None, "opportunity": None, **about}
        return make(FollowUp, author=self.seller, time=timezone.now(), **about)

    def opened(self, report="composition", reader=None):
        """``(total, when it was counted)`` as the director, or ``reader``, is shown them on his next visit."""
        report, user = REPORTS[report], User.objects.get(pk=(reader or self.director).pk)
        found, counted_at = summaries.table_for(report, user, read(report, {}))
        return found.total.values, counted_at

    def counted(self, report="composition"):
        """Afresh, with what has come into sight meanwhile."""
        ReportSummary.objects.all().delete()
        return self.opened(report)

    def true(self, report="composition", reader=None):
        report, user = REPORTS[report], User.objects.get(pk=(reader or self.director).pk)
        return table(report, user, read(report, {})).total.values


@pytest.fixture
def company(person, monkeypatch):
    monkeypatch.setattr(summaries, "SLOW", 0.0)
    ReportSummary.objects.all().delete()
    PoolRule.objects.all().delete()
    return Company(person)


def hand_on(company):
    ownership.set_owner(company.customer, company.outsider, by=company.boss)


def hand_on_many(company):
    """As a handover and the other jobs write it."""
    (row,) = bulk.stored_rows(Customer, [company.customer.pk]).values()
    row["owner_id"] = company.outsider.pk
    change = {"owner": [company.seller.pk, company.outsider.pk]}
    bulk.update(Customer, [row], [change], operation=Operation.OWNERSHIP)


def release(company):
    pool.release(company.customer, by=company.boss, reason="不再合作")


def remove(company):
    company.customer = make(Customer, owner=company.seller)
    company.counted()
    records.remove(company.customer, by=company.boss)


def merge(company):
    merging.merge([company.customer, company.foreign], company.foreign, by=company.boss)


def import_owner(company):
    titles = ["客户代码", "客户名称", "负责人"]
    company.batch = applied(checked(company.boss, titles, [["C1", "甲公司", company.outsider.username]]))


def take_import_back(company):
    """The import brought the customer into the region."""
    titles = ["客户代码", "客户名称", "负责人"]
    batch = applied(checked(company.boss, titles, [["C2", "乙公司", company.seller.username]]))
    company.before, _ = company.counted()
    undone(batch)


def take_new_import_back(company):
    """The import had created it."""
    batch = applied(checked(company.seller, ["客户名称"], [["丙公司"]]))
    company.counted()
    undone(batch)


def unshare(company):
    ownership.add_collaborator(company.foreign, company.director, by=company.boss, level="view")
    company.opened()
    ownership.revoke(company.foreign, company.director, by=company.boss)


def move_seller(company):
    company.seller.department = company.elsewhere
    company.seller.save()


def move_department(company):
    team = Department.objects.get(pk=company.team.pk)
    team.parent = company.elsewhere
    team.save()


def change_role(company):
    company.director.groups.set([Role.objects.get(name="销售主管")])


def narrow_role(company):
    """Limited to a category that the customer is not in."""
    make(RoleCategory, role=Role.objects.get(name="销售总监"), category=make(CustomerCategory))


OUT = [
    hand_on,
    hand_on_many,
    release,
    remove,
    merge,
    import_owner,
    take_import_back,
    take_new_import_back,
    unshare,
    move_seller,
    move_department,
    change_role,
    narrow_role,
]


@pytest.mark.parametrize("leave", OUT, ids=lambda leave: leave.__name__)
def test_a_customer_that_left_is_in_no_figure(company, leave):
    """However it left: the figures that held it are counted afresh, and are those of a reader of today."""
    first, counted_at = company.opened()
    assert first["customers"] == 1 and company.opened()[1] == counted_at
    leave(company)
    now, again = company.opened()
    assert now == company.true()
    assert again != counted_at
    if leave is take_import_back:
        assert (company.before["customers"], now["customers"]) == (2, 1)
    else:
        assert now["customers"] == (1 if leave in (unshare, take_new_import_back, remove) else 0)


def handed(name):
    return lambda company: ownership.set_owner(getattr(company, name), company.outsider, by=company.boss)


def moved(name):
    def move(company):
        record = getattr(company, name)
        record.customer = company.foreign
        record.save()

    return move


def removed(name):
    return lambda company: records.remove(getattr(company, name), by=None)


def handed_target(company):
    company.target.person = company.outsider
    company.target.save()


def unlink_lead(company):
    """Its follow-ups were read by those of the customer that it had become."""
    foreign = make(Lead, owner=company.outsider, pool=company.lead.pool, customer=company.customer)
    company.follow_up(lead=foreign)
    company.counted("activity")
    foreign.refresh_from_db()
    foreign.customer = company.foreign
    foreign.save()


def remove_lead(company):
    foreign = make(Lead, owner=company.outsider, pool=company.lead.pool, customer=company.customer)
    company.follow_up(lead=foreign)
    foreign.refresh_from_db()
    company.counted("activity")
    foreign.is_valid = False
    foreign.save()


def leave_pool(company):
    """The director administers the pool of a lead that is nobody's in his region."""
    company.lead.pool.admins.add(company.director)
    foreign = make(Lead, owner=company.outsider, pool=company.lead.pool, created_at=timezone.now())
    company.counted("leads")
    foreign.pool = make(LeadPool)
    foreign.save()


def lose_pool(company):
    company.lead.pool.admins.add(company.director)
    make(Lead, owner=company.outsider, pool=company.lead.pool, created_at=timezone.now())
    company.counted("leads")
    company.lead.pool.admins.clear()


def part_again(company):
    """What was done to the merged customer is his again, without a word in the log about the trace itself."""
    made = make(Trace, customer=company.foreign, actor=company.outsider, operated_at=timezone.now())
    done = merging.merge([company.customer, company.foreign], company.customer, by=company.boss).merges[0]
    company.counted("tracking")
    unmerging.undo(done, by=company.boss)
    assert Trace.objects.get(pk=made.pk).customer == company.foreign


FACTS = [
    ("contribution", "receipts", handed("customer")),
    ("contribution", "orders", moved("order")),
    ("contribution", "receipts", moved("order")),
    ("contribution", "contracts", handed("contract")),
    ("contribution", "receipts", removed("receipt")),
    ("activity", "visits", moved("visit")),
    ("activity", "visits", removed("visit")),
    ("activity", "followups", unlink_lead),
    ("activity", "followups", remove_lead),
    ("leads", "leads", handed("lead")),
    ("leads", "leads", removed("lead")),
    ("leads", "leads", leave_pool),
    ("leads", "leads", lose_pool),
    ("funnel", "open", handed("opportunity")),
    ("service", "orders", handed("work")),
    ("ranking", "target", handed_target),
    ("tracking", "traces", handed("customer")),
    ("tracking", "traces", part_again),
]


@pytest.mark.parametrize(("report", "column", "leave"), FACTS)
def test_so_is_whatever_else_a_report_counts(company, report, column, leave):
    first, counted_at = company.opened(report)
    assert first[column] and company.opened(report)[1] == counted_at
    leave(company)
    kept = ReportSummary.objects.get(report=report)
    now, again = company.opened(report)
    assert again > kept.counted_at
    assert now == company.true(report)
    assert now[column] < kept.data["rows"][-1][2][column] if column != "target" else True


def new(company):
    make(Customer, owner=company.seller)


def within(company):
    ownership.set_owner(company.customer, company.colleague, by=company.boss)


def into(company):
    ownership.set_owner(company.foreign, company.seller, by=company.boss)


def between_others(company):
    ownership.set_owner(company.foreign, company.stranger, by=company.boss)


def removed_elsewhere(company):
    records.remove(make(Customer, owner=company.outsider), by=company.boss)


def merged_elsewhere(company):
    other = make(Customer, owner=company.stranger)
    merging.merge([company.foreign, other], company.foreign, by=company.boss)


def edited(company):
    company.customer.name = "甲公司改名"
    company.customer.save()


@pytest.mark.parametrize(
    "change", [new, within, into, between_others, removed_elsewhere, merged_elsewhere, edited], ids=lambda f: f.__name__
)
def test_what_takes_nothing_out_of_sight_leaves_the_figures_as_they_were_kept(company, change):
    first, counted_at = company.opened()
    change(company)
    assert company.opened() == (first, counted_at)


def test_a_transaction_that_was_under_way_counts_too(company):
    """Its entry says an earlier moment than that of the figures, but nobody saw it yet when they were counted."""
    _, counted_at = company.opened()
    hand_on(company)
    QuerySet(BusinessLog).filter(operation=Operation.OWNERSHIP).update(created_at=counted_at - timedelta(minutes=1))
    assert company.opened()[0]["customers"] == 0


def test_what_left_before_the_figures_were_counted_does_not_spoil_them(company):
    hand_on(company)
    first, counted_at = company.opened()
    assert company.opened() == (first, counted_at)


def test_everybody_has_figures_of_his_own_and_those_of_few_records_none(company):
    make(Customer, owner=company.director)
    readers = [company.director, company.manager, company.boss]
    shown = [company.opened(reader=reader) for reader in readers]
    assert [total["customers"] for total, _ in shown] == [2, 1, 3]
    assert [company.opened(reader=reader) for reader in readers] == shown
    kept = ReportSummary.objects.order_by("pk")
    assert [one.viewer for one in kept] == [company.director, company.manager, None]
    assert company.opened(reader=company.seller)[1] is None


def test_the_job_counts_as_the_reader_and_drops_what_he_may_not_open_any_more(company):
    first, counted_at = company.opened()
    company.opened(reader=company.manager)
    company.opened("sea", reader=company.manager)
    company.opened("leads", reader=company.manager)
    make(Customer, owner=company.seller)
    make(Customer, owner=company.outsider)
    User.objects.filter(pk=company.manager.pk).update(is_active=False)
    summaries.refresh(None)
    kept = ReportSummary.objects.get()
    assert kept.viewer == company.director and kept.counted_at > counted_at
    now, again = company.opened()
    assert (now["customers"], again) == (first["customers"] + 1, kept.counted_at)
    company.director.groups.clear()
    summaries.refresh(None)
    assert not ReportSummary.objects.exists()


def test_the_job_counts_by_what_the_reader_may_see_by_then(company):
    company.opened()
    change_role(company)
    summaries.refresh(None)
    assert company.opened()[0]["customers"] == 0
    company.director.groups.set([Role.objects.get(name="管理员")])
    summaries.refresh(None)
    assert not ReportSummary.objects.filter(viewer=company.director).exists()  # he reads those of everybody now


def test_the_job_stops_when_its_time_is_up_and_began_with_what_was_looked_at_last(company, monkeypatch):
    counted_at = company.opened(reader=company.manager)[1]
    company.opened()
    spent = iter(range(100))
    monkeypatch.setattr(summaries, "BUDGET", 1.5)
    monkeypatch.setattr(summaries.time, "perf_counter", lambda: next(spent))
    summaries.refresh(None)
    assert ReportSummary.objects.get(viewer=company.manager).counted_at == counted_at
    assert ReportSummary.objects.get(viewer=company.director).counted_at > counted_at
