"""Moving in from fastapi-crm: all 24 tables, generated rows and those that no clean system would have."""

from decimal import Decimal

import pytest
from django.db import connection, transaction

from benchmarks import fastapi
from crm.legacy import fieldmap, tables
from crm.models import BusinessLog, Department, LegacyRecord, User
from customers.models import Contact, Customer, Interaction, OwnershipPeriod, VisitPlan
from sales.models import (
    Contract,
    ContractItem,
    ContractVersion,
    FollowUp,
    Invoice,
    Lead,
    LeadPool,
    MarketingActivity,
    Opportunity,
    OpportunityItem,
    PaymentPlan,
    PaymentRecord,
    Product,
    ProductCategory,
    Quotation,
    QuotationItem,
    SmsCampaign,
    SmsTemplate,
)
from service.models import ReturnVisit, WorkOrder
from tests.crm.legacy.conftest import ddl, load, reconciled
from tests.moving import counts

SYSTEM = "fastapi-crm"
AT = "'2024-03-01 10:00:00'"
EVERYTHING = [Customer, Contact, Lead, Contract, ContractItem, PaymentRecord, Invoice, WorkOrder, User, BusinessLog]

# what the clean rows leave out: nulls, zero dates, texts beyond our columns, codes nobody knows, rows that point
# nowhere, money beyond the contract, numbers and names that come twice
ODD = f"""
INSERT INTO sys_dept VALUES (901, '下级部门', 902, NULL, '0000-00-00 00:00:00'), (902, '上级部门', NULL, 1, {AT}),
 (903, '下级部门', NULL, 1, {AT}), (904, '环甲', 905, 1, {AT}), (905, '环乙', 904, 1, {AT});
INSERT INTO sys_user VALUES (901, 'odd_user', '怪人', 999, NULL, NULL, '不是邮箱', 7, '0000-00-00', {AT}, {AT});
INSERT INTO crm_lead_pool VALUES (901, '空池', NULL, 5, {AT});
INSERT INTO crm_lead VALUES
 (90001, '无池线索', NULL, NULL, NULL, '抖音', NULL, 9, 8, NULL, 999, 999, 999, '0000-00-00 00:00:00', {AT}),
 (90002, '重复电话', '139-0000-7777', NULL, NULL, NULL, NULL, NULL, 1, NULL, NULL, 1, 1, {AT}, {AT}),
 (90003, '重复电话二', '13900007777', '补上的公司', NULL, NULL, NULL, NULL, 3, NULL, NULL, 1, 1, {AT}, {AT});
INSERT INTO crm_customer VALUES
 (90001, '王芳', 1, NULL, NULL, NULL, 1, 9, 99999, 1, 0, NULL, 1, {AT}, {AT}),
 (90002, '王芳', 1, NULL, NULL, NULL, 9, NULL, NULL, 999, 1, '0000-00-00 00:00:00', 1, {AT}, {AT}),
 (90003, '同名公司', 2, NULL, NULL, '甲路', 2, 1, NULL, 1, 0, NULL, 1, {AT}, {AT}),
 (90004, '同名 公司', 2, '制造业', NULL, '乙路', 2, 1, 90003, 1, 1, '2024-05-06 07:08:09', 1, {AT}, {AT}),
 (90005, '', 7, NULL, NULL, NULL, 1, NULL, NULL, 1, 0, NULL, 1, {AT}, {AT});
INSERT INTO crm_contact VALUES
 (90001, 90003, '孙九', NULL, '138 0000 8888', '坏邮箱', 0, '短信', '0000-00-00', NULL, {AT}, {AT}),
 (90002, 90003, '孙九九', '经理', '13800008888', NULL, 1, NULL, NULL, '同一个号码', {AT}, {AT}),
 (90003, 99999, '孤儿', NULL, '13800009999', NULL, 0, NULL, NULL, NULL, {AT}, {AT});
INSERT INTO crm_customer_session VALUES
 (90001, 90003, 1, '短信', {AT}, NULL, '新标签', 999, {AT}), (90002, 99999, NULL, '电话', {AT}, '孤儿', NULL, 1, {AT});
INSERT INTO crm_follow_up VALUES
 (90001, 'customer', 99999, '电话', '孤儿', NULL, NULL, 1, {AT}, {AT}),
 (90002, 'contract', 1, '电话', '别的类型', NULL, NULL, 1, {AT}, {AT}),
 (90003, 'customer', 90003, '视频', '好的', '0000-00-00 00:00:00', NULL, 999, {AT}, {AT});
INSERT INTO crm_visit_plan VALUES
 (90001, 90003, '看厂', {AT}, NULL, '员工002,外人甲', NULL, 9, NULL, 1, {AT}, {AT});
INSERT INTO crm_return_visit VALUES
 (90001, 90003, NULL, '短信', {AT}, NULL, NULL, NULL, 2, 999, {AT}),
 (90002, 90003, 1, '电话', {AT}, NULL, NULL, NULL, 3, 1, {AT});
INSERT INTO crm_product_category VALUES (901, '下级', 902, NULL), (902, '上级', NULL, NULL);
INSERT INTO crm_product VALUES (90001, '没有分类的产品', 999, NULL, NULL, 12.3456, NULL, 0, NULL, {AT});
INSERT INTO crm_opportunity VALUES
 (90001, 90003, '怪商机', '1, 99999;2', 100.10, 150, '客户内部评审', '0000-00-00', 3, NULL, 999, {AT}, {AT}),
 (90002, 90003, '怪商机', NULL, 200.20, NULL, '', NULL, 1, NULL, 1, {AT}, {AT}),
 (90003, 99999, '孤儿', NULL, 300.30, NULL, '需求分析', NULL, 1, NULL, 1, {AT}, {AT});
INSERT INTO crm_quotation VALUES
 (90001, 'fq-odd', 1, 90003, 55.55, NULL, 4, NULL, 999, {AT}, {AT}),
 (90002, 'ＦＱ-ODD', 90001, 90003, 10, NULL, 1, NULL, 1, {AT}, {AT}),
 (90003, 'FQ-ORPHAN', 1, 99999, 7.77, NULL, 1, NULL, 1, {AT}, {AT});
INSERT INTO crm_quotation_item VALUES
 (90001, 90001, 99999, NULL, 3, '台', 10, 85, 25.50), (90002, 99999, 1, NULL, 1, '台', 1, 100, 1.00);
INSERT INTO crm_contract VALUES
 (90001, 'HT-ODD', 90003, 90003, 1, '没有明细的合同', '2024-01-02', NULL, NULL, 1000, 3, NULL, NULL, 999, {AT}, {AT}),
 (90002, 'HT-NEG', 90003, NULL, NULL, '负的', '2024-01-02', NULL, NULL, -5, 1, NULL, NULL, 1, {AT}, {AT}),
 (90003, 'HT-LINES', 90003, NULL, NULL, '明细多于总额', '0000-00-00', NULL, NULL, 90, 4, NULL, NULL, 1, {AT}, {AT});
INSERT INTO crm_contract_item VALUES
 (90001, 90003, 1, NULL, 10, '台', 10, 100), (90002, 99999, 1, NULL, 1, '台', 1, 1.00);
INSERT INTO crm_payment_plan VALUES
 (90001, 90001, 300, '2024-02-01', NULL, 3, {AT}),
 (90002, 99999, 1, '2024-02-01', NULL, 1, {AT});
INSERT INTO crm_payment_record VALUES
 (90001, 90001, 90001, 'HK-ODD', 400, '2024-02-02', '支付宝', NULL, NULL, 999, {AT}),
 (90002, 90001, NULL, 'HK- ODD', 600, '2024-02-03', NULL, NULL, NULL, 1, {AT}),
 (90003, 90001, NULL, 'HK-OVER', 0.01, '2024-02-04', NULL, NULL, NULL, 1, {AT}),
 (90004, 90001, NULL, 'HK-BACK', -50, '2024-02-04', NULL, NULL, NULL, 1, {AT}),
 (90005, 99999, NULL, 'HK-ORPHAN', 1, '2024-02-04', NULL, NULL, NULL, 1, {AT});
INSERT INTO crm_invoice VALUES
 (90001, 'FP-ODD', 90001, 1, '电子票', 900, '2024-02-05', 9, NULL, {AT}),
 (90002, 'FP-OVER', 90001, NULL, '专票', 200, '2024-02-05', 1, NULL, {AT});
INSERT INTO crm_marketing_activity VALUES
 (901, '2025 年第 1 场展会', '路演', '2024-01-01', '0000-00-00', NULL, NULL, 9, NULL, 999, {AT});
INSERT INTO crm_sms_template VALUES (901, '怪模板', '内容${{什么}}', '问卷', 1, {AT});
INSERT INTO crm_sms_marketing VALUES
 (901, 999, NULL, {AT}, NULL, 3, NULL, NULL, 1, {AT}),
 (902, 901, 999, '2030-01-01', 'VIP,沉睡客户', 3, NULL, NULL, 1, {AT});
INSERT INTO crm_work_order VALUES
 (90001, 'GD-ODD', 90003, 1, 1, '别的类型', '{"长" * 200}', '', 9, 4, 999, NULL, 9, 999, {AT}, {AT}),
 (90002, 'GD-ORPHAN', 99999, NULL, NULL, '投诉', '孤儿', '无', 1, 1, NULL, NULL, NULL, 1, {AT}, {AT});
"""


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    path = tmp_path_factory.mktemp("fastapi") / "dump.sql"
    fastapi.dump(path, 400, ddl(SYSTEM))
    with path.open("a", encoding="utf-8") as file:
        file.write(ODD)
    return path


@pytest.fixture(scope="module")
def _loaded(request, django_db_setup, django_db_blocker, dump, tmp_path_factory):
    """From the dump, or on MariaDB from the old database itself: tried first, then loaded."""
    source, folder = dump, tmp_path_factory.mktemp("staging")
    if connection.vendor == "mysql":
        source = request.getfixturevalue("old_database")(dump.read_text(encoding="utf-8"))
    with django_db_blocker.unblock(), transaction.atomic():
        foretold = load(folder, SYSTEM, source, write=False)
        written = [model.objects.count() for model in (Customer, Contract, LegacyRecord)]
        yield foretold, written, load(folder, SYSTEM, source), source
        transaction.set_rollback(True)


@pytest.fixture
def moved(_loaded, db):
    """The report of one load, of which the tests only read."""
    return _loaded[2]


def old(table, key) -> LegacyRecord:
    return LegacyRecord.objects.get(system=SYSTEM, table=table, key=str(key))


def record(table, key):
    return old(table, key).target


def test_every_table_of_the_system_has_a_loader():
    assert {table.name for table in tables.tables_of(SYSTEM)} == set(fieldmap.tables(SYSTEM))


def test_every_column_is_filled_by_the_rows_of_these_tests():
    """A column that no row uses would not be tested at all."""
    known = {table: set(fieldmap.columns(SYSTEM, table)) for table in fieldmap.tables(SYSTEM)}
    for table, row in fastapi.rows(400):
        known[table] -= {fieldmap.plain(column) for column, value in row.items() if value not in (None, "")}
    assert not {table: columns for table, columns in known.items() if columns}


def test_every_row_is_accounted_for_and_the_money_agrees(moved):
    reconciled(moved)
    assert not moved["unknown"]
    numbers = fastapi.counts(400)
    assert {table["table"]: table["rows"] >= numbers[table["table"]] for table in moved["tables"]} == dict.fromkeys(
        numbers, True
    )
    refused = {table: found["refused"] for table, found in counts(moved).items() if "refused" in found}
    assert refused == {
        "crm_customer": 1,
        "crm_contact": 1,
        "crm_customer_session": 1,
        "crm_follow_up": 2,
        "crm_opportunity": 1,
        "crm_quotation": 1,
        "crm_quotation_item": 1,
        "crm_contract": 1,
        "crm_contract_item": 1,
        "crm_payment_plan": 1,
        "crm_payment_record": 3,
        "crm_invoice": 1,
        "crm_sms_marketing": 1,
        "crm_work_order": 1,
    }


def test_a_dry_run_foretells_the_load_and_writes_nothing(_loaded):
    foretold, written, found, _ = _loaded
    assert written == [0, 0, 0]
    assert counts(found) == counts(foretold)


def test_a_dry_run_of_what_is_there_foretells_nothing_new(_loaded, move):
    *_, found, source = _loaded
    foretold = counts(move(SYSTEM, source, write=False))
    assert {outcome for table in foretold.values() for outcome in table} == {"unchanged", "refused"}
    refused = {table: outcomes.get("refused") for table, outcomes in counts(found).items()}
    assert {table: outcomes.get("refused") for table, outcomes in foretold.items()} == refused


def paid_contract(total, *receipts) -> str:
    """A contract of ``total`` without lines, and receipts of it, ``(id, amount)``."""
    customer = f"(80000, '甲公司', 2, NULL, NULL, NULL, 2, 1, NULL, 1, 0, NULL, 1, {AT}, {AT})"
    contract = (
        f"(80000, 'HT-80', 80000, NULL, NULL, '合同', '2024-01-02', NULL, NULL, {total}, 3, NULL, NULL, 1, {AT}, {AT})"
    )
    rows = [f"({n}, 80000, NULL, 'HK-{n}', {paid}, '2024-02-02', NULL, NULL, NULL, 1, {AT})" for n, paid in receipts]
    return (
        f"{ddl(SYSTEM)} INSERT INTO crm_customer VALUES {customer}; INSERT INTO crm_contract VALUES {contract};"
        f" INSERT INTO crm_payment_record VALUES {', '.join(rows)};"
    )


@pytest.mark.parametrize(
    ("total", "receipt", "outcome"), [(1000, 500, "created"), (1000, 700, "refused"), (1200, 700, "created")]
)
def test_a_dry_run_counts_what_was_received_once(move, total, receipt, outcome):
    """A receipt that came before takes nothing more from its contract; a contract that grew has room for more."""
    move(SYSTEM, paid_contract(1000, (80001, 400)))
    later = paid_contract(total, (80001, 400), (80002, receipt))
    foretold = counts(move(SYSTEM, later, write=False))
    assert foretold["crm_payment_record"] == {"unchanged": 1, outcome: 1}
    assert counts(move(SYSTEM, later)) == foretold
    contract = record("crm_contract", 80000)
    assert contract.total_amount == sum(line.amount for line in contract.items.all()) == total


def test_a_contract_that_shrank_below_what_was_received_stays_and_is_told(move):
    move(SYSTEM, paid_contract(1000, (80001, 400)))
    found = move(SYSTEM, paid_contract(300, (80001, 400)))
    assert counts(found)["crm_contract"] == {"refused": 1}
    assert record("crm_contract", 80000).total_amount == 1000
    (why,) = next(table for table in found["tables"] if table["table"] == "crm_contract")["reasons"]
    assert "保留此前迁入的" in why["reason"]


def test_the_same_again_changes_nothing(_loaded, move):
    *_, source = _loaded
    before = [model.objects.count() for model in EVERYTHING]
    again = move(SYSTEM, source)
    assert [model.objects.count() for model in EVERYTHING] == before
    assert {outcome for found in counts(again).values() for outcome in found} == {"unchanged", "refused"}
    reconciled(again)


def test_trees_come_with_their_parents_whatever_the_order(moved):
    assert record("sys_dept", 901).parent == record("sys_dept", 902)
    assert record("sys_dept", 901).name == record("sys_dept", 903).name
    assert not Department.objects.filter(name__startswith="环", parent__parent__parent__isnull=False).exists()
    assert record("crm_product_category", 901).parent == record("crm_product_category", 902)


def test_people_come_with_department_and_state_and_no_password(moved):
    user = User.objects.get(username="fa_user010")
    assert not user.is_active and user.department and user.phone and not user.has_usable_password()
    assert User.objects.get(username="odd_user").department is None
    assert any("不是邮箱地址" in note for note in old("sys_user", 901).notes)


def test_leads_keep_pool_owner_author_and_time(moved):
    row, lead = old("crm_lead", 1).row, record("crm_lead", 1)
    assert lead.pool == record("crm_lead_pool", row["poolid"])
    assert lead.created_by == record("sys_user", row["createdby"])
    assert lead.owner == (record("sys_user", row["ownerid"]) if "ownerid" in row else None)
    assert f"{lead.created_at:%Y-%m-%d}" in (row["createdat"][:10], f"{lead.created_at:%Y-%m-%d}")
    odd = record("crm_lead", 90001)
    assert odd.pool.name == "旧系统迁入" and odd.status == "new" and odd.intent_level is None
    assert odd.source.label == "抖音"


def test_one_phone_is_one_lead(moved):
    assert old("crm_lead", 90003).outcome == "merged"
    assert record("crm_lead", 90003) == record("crm_lead", 90002)
    assert record("crm_lead", 90002).company == "补上的公司"


def test_a_lead_knows_what_it_became(moved):
    row = old("crm_customer", 3).row
    assert record("crm_lead", row["sourceleadid"]).customer == record("crm_customer", 3)
    assert any("找不到“99999”对应的线索" in note for note in old("crm_customer", 90001).notes)


def test_a_customer_in_the_sea_has_no_owner_and_remembers_the_last(moved):
    customer, row = record("crm_customer", 11), old("crm_customer", 11).row
    assert customer.owner is None and customer.sea_since.isoformat() == "2025-09-01T04:00:00+00:00"
    period = OwnershipPeriod.objects.get(customer=customer)
    assert period.owner == record("sys_user", row["ownerid"]) and period.ended == "released"
    assert customer.grants.count() == 0
    owned = record("crm_customer", 1)
    assert owned.owner and owned.grants.filter(user=owned.owner).count() == 3


def test_the_log_names_whom_a_record_is_about(moved):
    period = OwnershipPeriod.objects.filter(ended="released").first()
    logged = BusinessLog.objects.get(content_type__model="ownershipperiod", object_id=period.pk)
    assert logged.object_repr == str(period) and period.owner.full_name in logged.object_repr
    assert not BusinessLog.objects.filter(object_repr__contains=" object at 0x").exists()


def test_persons_of_one_name_are_two_and_companies_of_one_name_are_one(moved):
    assert record("crm_customer", 90001) != record("crm_customer", 90002)
    assert record("crm_customer", 90003) == record("crm_customer", 90004)
    company = record("crm_customer", 90003)
    assert company.address == "甲路" and company.industry.label == "制造业"
    assert any("乙路" in note for note in old("crm_customer", 90004).notes)
    assert record("crm_contact", 90001) == record("crm_contact", 90002)


def test_codes_translate_and_unknown_ones_stay_in_the_old_values(moved):
    for number in range(1, 20):
        row, customer = old("crm_customer", number).row, record("crm_customer", number)
        assert customer.deal_status == {"1": "potential", "2": "won", "3": "lost"}[row["status"]]
        assert (customer.level.code if customer.level else None) == {"1": "A", "2": "B", "3": "C"}.get(row.get("level"))
    assert record("crm_customer", 90001).level is None
    assert any("level" in note for note in old("crm_customer", 90001).notes)


def test_conversations_visits_and_follow_ups_keep_author_and_time(moved):
    session = record("crm_customer_session", 1)
    assert session.author == record("sys_user", old("crm_customer_session", 1).row["createdby"])
    assert session.contact == record("crm_contact", 1)
    assert record("crm_customer_session", 90001).contact is None
    visit = record("crm_visit_plan", 90001)
    assert [person.full_name for person in visit.participants.all()] == ["员工002"]
    assert "外人甲" in visit.remark
    follow_up, row = record("crm_follow_up", 1), old("crm_follow_up", 1).row
    assert follow_up.root == record(f"crm_{row['relationtype']}", row["relationid"])
    assert follow_up.author == record("sys_user", row["createdby"])
    customer = record("crm_customer", 90003)
    assert customer.last_followed_at == record("crm_follow_up", 90003).time


def test_opportunities_keep_stage_products_and_money(moved):
    odd = record("crm_opportunity", 90001)
    assert odd.stage.name == "客户内部评审" and odd.status == "lost" and odd.estimated_amount == Decimal("100.10")
    assert set(OpportunityItem.objects.filter(opportunity=odd).values_list("product", flat=True)) == {
        record("crm_product", 1).pk,
        record("crm_product", 2).pk,
    }
    assert any("99999" in note for note in old("crm_opportunity", 90001).notes)
    assert record("crm_opportunity", 90002) != odd
    log = BusinessLog.objects.filter(object_repr=str(record("crm_product", 1)))
    assert log.exists()


def test_documents_keep_number_total_and_lines(moved):
    first, second = record("crm_quotation", 90001), record("crm_quotation", 90002)
    assert (first.number, second.number) == ("fq-odd", "ＦＱ-ODD-90002")
    assert first.opportunity is None and first.total_amount == Decimal("55.55")
    lines = QuotationItem.objects.filter(quotation=first).order_by("pk")
    assert [(line.name, line.amount) for line in lines] == [
        ("产品 99999", Decimal("25.50")),
        ("旧系统总金额与明细的差额", Decimal("30.05")),
    ]


def test_every_document_is_worth_its_lines(moved):
    for model in (Quotation, Contract):
        for head in model.objects.all():
            assert head.total_amount == sum((line.amount for line in head.items.all()), Decimal(0)), head.number


def test_contracts_in_force_have_owner_version_and_deal(moved):
    contract = record("crm_contract", 90001)
    assert contract.status == "signed" and contract.owner == contract.customer.owner
    assert contract.grants.filter(user=contract.owner).count() == 3
    kept = ContractVersion.objects.get(contract=contract)
    assert kept.content["items"][0]["name"] == "旧系统没有明细" and kept.total_amount == 1000
    assert contract.customer.last_deal_at.isoformat() == "2024-01-01T16:00:00+00:00"
    draft = next(each for each in Contract.objects.filter(status="draft"))
    assert draft.sign_date is None and not ContractVersion.objects.filter(contract=draft).exists()


def test_receipts_beyond_the_contract_are_refused_and_the_others_counted(moved):
    contract = record("crm_contract", 90001)
    assert contract.received_amount == 1000 and contract.invoiced_amount == 900
    assert old("crm_payment_record", 90003).notes[0] == "回款 0.01 超出合同金额：合同还可以回款 0.00"
    assert "必须大于 0" in old("crm_payment_record", 90004).notes[0]
    assert record("crm_payment_record", 90001).plan is None
    assert record("crm_payment_record", 90002).number == "HK- ODD-90002"
    for each in Contract.objects.all():
        assert each.received_amount == sum((row.amount for row in each.payments.all()), Decimal(0))
    for plan in PaymentPlan.objects.all():
        assert plan.received_amount == sum((row.amount for row in plan.payments.all()), Decimal(0))


def test_invoices_name_contract_payment_and_title(moved):
    invoice = record("crm_invoice", 1)
    assert invoice.payment.contract == invoice.contract and invoice.title == invoice.customer.name
    assert "files.example.com" in invoice.remark
    assert record("crm_invoice", 90001).payment is None


def test_marketing_keeps_counts_and_sends_nothing(moved):
    sent, later = record("crm_sms_marketing", 1), record("crm_sms_marketing", 902)
    assert sent.status == "done" and "发送 101 条，成功 99 条，失败 2 条" in sent.remark
    assert later.status == "draft" and {tag.name for tag in later.tags.all()} == {"VIP", "沉睡客户"}
    assert old("crm_marketing_activity", 901).outcome == "merged"
    assert MarketingActivity.objects.count() == fastapi.FEW["crm_marketing_activity"]
    assert SmsTemplate.objects.filter(name="怪模板", type="marketing").exists()
    assert SmsCampaign.objects.count() == fastapi.FEW["crm_sms_marketing"] + 1


def test_work_orders_and_return_visits_keep_their_states(moved):
    order = record("crm_work_order", 90001)
    assert order.origin == "customer" and order.status == "archived" and order.due_at is None
    assert order.contact is None and order.contract is None and order.satisfaction is None
    assert order.priority == "normal"
    visit = record("crm_return_visit", 90001)
    assert visit.status == "done" and visit.visited_at == visit.planned_at and visit.method == "phone"
    assert record("crm_return_visit", 90002).contract is None


def test_nothing_of_a_row_is_lost(moved):
    """Whatever could not be taken over is in the old values beside the record."""
    for found in LegacyRecord.objects.filter(system=SYSTEM):
        assert found.row and (found.object_id is not None or found.notes)
    assert ReturnVisit.objects.exists() and Interaction.objects.exists() and VisitPlan.objects.exists()
    assert FollowUp.objects.exists() and LeadPool.objects.filter(name="空池", is_public=True).exists()
    assert Product.objects.get(name="没有分类的产品").category == ProductCategory.objects.get(name="未分类")
    assert Opportunity.objects.filter(number="").count() == 0
