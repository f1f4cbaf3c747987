"""Leads in and out through Excel: into which pool, for whom, and what a number that is known already does."""

import pytest

from crm import ownership
from crm.excel import apply
from crm.excel.export import Exporter
from crm.excel.resource import resource_for
from crm.policies import policy_for
from customers.models import Customer
from sales.models import Lead
from sales.services import leads
from tests.crm.excel import pipeline
from tests.factories import make

pytestmark = pytest.mark.django_db
TITLES = ["线索名称", "联系电话", "线索池", "负责人"]


def imported(user, rows, titles=TITLES):
    """A batch of ``rows``, checked and applied by ``user``."""
    return pipeline.applied(pipeline.checked(user, titles, rows, resource="sales.Lead"))


def problems(batch):
    return {row.number: "".join(p["text"] for p in row.problems) for row in batch.rows.exclude(problems=[])}


def test_a_manager_says_by_name_or_user_name_who_gets_which_lead(floor):
    batch = imported(
        floor.manager,
        [
            ["甲", "13800138001", "公共池", "张伟"],
            ["乙", "13800138002", "公共池", floor.colleague.username],
            ["丙", "13800138003", "公共池", None],
        ],
    )
    assert not problems(batch)
    assert list(Lead.objects.order_by("name").values_list("name", "owner__full_name")) == [
        ("丙", None),
        ("乙", "王芳"),
        ("甲", "张伟"),
    ]
    assert policy_for(Lead).may(floor.seller, "change", Lead.objects.get(name="甲"))
    assert not any(rows.exists() for rows in ownership.disagreements(Lead).values())


def test_nobody_gives_leads_to_people_out_of_his_reach(floor):
    batch = imported(floor.manager, [["甲", "13800138001", "公共池", "孙丽"]])
    assert "不在您可以分配的同事之内" in problems(batch)[2] and not Lead.objects.exists()


def test_a_lead_of_a_private_pool_goes_to_its_members_only(floor):
    """The manager runs no pool: it is not among those he may put leads into. Its admin is stopped at a stranger."""
    batch = imported(floor.manager, [["甲", "13800138001", "展会池", "王芳"]])
    assert "线索池" in problems(batch)[2]
    batch = imported(
        floor.stranger_manager,
        [["甲", "13800138001", "展会池", "王芳"], ["乙", "13800138002", "展会池", "孙丽"]],
    )
    assert "不是私有池" in problems(batch)[3]
    assert Lead.objects.get().owner == floor.colleague


def test_who_may_assign_nobody_imports_his_own(floor):
    batch = imported(floor.seller, [["甲", "13800138001", "公共池"]], TITLES[:3])
    assert not problems(batch)
    assert Lead.objects.get().owner == floor.seller
    assert "owner" not in resource_for("sales.Lead").visible(floor.seller, importing=True)


def test_an_imported_lead_is_what_save_would_have_written(floor):
    imported(floor.manager, [["甲", "138 0013 8001", "公共池", "张伟"]])
    by_file = Lead.objects.get()
    by_hand = leads.enter(Lead(name="甲", phone="138 0013 8002", pool=floor.public), by=floor.seller)
    skipped = {"id", "phone", "phone_key", "created_at", "updated_at", "assigned_at", "created_by", "updated_by"}
    for field in Lead._meta.concrete_fields:
        if field.name not in skipped:
            assert getattr(by_file, field.attname) == getattr(by_hand, field.attname), field.name
    assert by_file.phone_key == "+8613800138001" and by_file.assigned_at is not None


def test_a_known_number_out_of_reach_is_refused_with_whom_to_ask(floor):
    lead = make(Lead, name="机密", owner=floor.stranger, pool=floor.public, phone="13800138001")
    batch = imported(floor.seller, [["甲", "+86 138-0013-8001", "公共池"]], TITLES[:3])
    words = problems(batch)[2]
    assert "华北销售部" in words and "登记咨询" in words and lead.name not in words
    assert Lead.objects.count() == 1


def test_a_known_number_of_ones_own_updates_its_lead_but_not_its_owner(floor):
    make(Lead, name="甲", owner=floor.seller, pool=floor.public, phone="13800138001")
    batch = imported(floor.manager, [["乙", "13800138001", "公共池", "王芳"]])
    assert "分配负责人" in problems(batch)[2]
    imported(floor.manager, [["乙", "13800138001", "公共池", "张伟"]])
    assert (Lead.objects.get().name, Lead.objects.get().owner) == ("乙", floor.seller)


def test_an_export_holds_what_the_exporter_sees_in_full_and_nothing_of_the_pools(floor):
    mine = make(Lead, owner=floor.seller, pool=floor.public)
    make(Lead, owner=None, pool=floor.public)
    make(Lead, owner=floor.stranger, pool=floor.public)
    resource = resource_for("sales.Lead")
    rows = resource.policy.limit(Lead.objects.all(), floor.seller, "export")
    exported = list(Exporter(resource, floor.seller, ["name", "phone"]).rows(rows))
    assert exported == [(mine.name, mine.phone)]


def test_an_export_does_not_name_a_customer_out_of_sight(floor):
    """The customer that a lead became may be somebody else's by now."""
    gone = make(Customer, owner=floor.stranger, name="机密客户", short_name="机密")
    here = make(Customer, owner=floor.seller, name="甲公司", short_name="")
    for customer in (here, gone):
        make(Lead, owner=floor.seller, pool=floor.public, customer=customer)
    resource = resource_for("sales.Lead")
    rows = resource.policy.limit(Lead.objects.all(), floor.seller, "export")
    assert list(Exporter(resource, floor.seller, ["customer"]).rows(rows)) == [("（无权查看）",), ("甲公司",)]


def test_rows_are_prepared_without_asking_the_database(floor, django_assert_num_queries):
    """A second thread prepares the next chunk, with no connection of its own: whose leads these are is known before."""
    batch = pipeline.checked(floor.seller, TITLES[:3], [["甲", "13800138001", "公共池"]], resource="sales.Lead")
    applier, rows = apply.Applier(batch, floor.seller), apply.pending(batch)
    floor.seller.__dict__.pop("_access", None)
    with django_assert_num_queries(0):
        plan = applier.prepare(rows)
    assert plan.insertion.rows[0]["owner_id"] == floor.seller.pk
