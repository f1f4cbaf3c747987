"""Moving in from eplus-crm: foreign-trade customers with several managers, credit in several currencies, and paths."""

from decimal import Decimal

import pytest
from django.db import connection, transaction

from crm.legacy import fieldmap, tables
from crm.models import BusinessLog, LegacyRecord, User
from customers.models import BankAccount, Contact, CreditLimit, Customer, CustomerLink, CustomerPath, ShippingMark
from tests.crm.legacy.conftest import ddl, load, reconciled
from tests.factories import make
from tests.moving import counts

SYSTEM = "eplus-crm"
EVERYTHING = [Customer, Contact, BankAccount, CreditLimit, CustomerLink, CustomerPath, ShippingMark, User, BusinessLog]


def customer(n) -> str:
    credit = f'[{{"amount": {n}000.50, "currency": "USD"}}, {{"amount": {n}00, "currency": "EUR"}}]'
    return (
        f"({n}, 'Foreign Trading {n} GmbH', 'FT{n}', 'EP{n:04d}', 44, 'http://ft{n}.example.com', "
        f"'ft{n}@example.com', 'Hamburg {n}', '+49 40 55{n:05d}', "
        f"{n % 4 + 1}, 1, '{credit}', {n % 4}, 1, "
        f"'电商,进口商', '海运', 'FOB', 'FT{n} Invoice', 0.13, '[\"qianli\", \"sunhai\"]', {n % 2}, "
        f"'http://old/annex{n}.pdf', 'http://old/p{n}.png', 1, {n % 4}, {n}, 'EP{n % 5 + 1:04d}', '[1,2]')"
    )


def rows() -> str:
    numbers = range(1, 31)
    contacts = (
        f"({n}, {n // 2 + 1}, 'Anna {n}', 'Buyer', 'anna{n}@example.com', '+49 170 55{n:05d}', 'Hamburg', {n % 2}, "
        f"'vip', '+49 40 66{n:05d}', 'wx{n}', '10{n}')"
        for n in numbers
    )
    accounts = (
        f"({n}, {n // 2 + 1}, 'Deutsche Bank', 'Hamburg', 'Otto', 'DEUTDEHH', 'DE00{n:018d}', {n % 2}, 7)"
        for n in numbers
    )
    return f"""
INSERT INTO CATEGORY VALUES (1, '欧洲'), (2, '大客户'), (3, '欧 洲');
INSERT INTO CUSTOMER VALUES {", ".join(map(customer, numbers))};
INSERT INTO CONTACT VALUES {", ".join(contacts)};
INSERT INTO BANK_ACCOUNT VALUES {", ".join(accounts)};
INSERT INTO COMPANY_PATH VALUES {", ".join(f"({n}, {n % 3 + 1}, {n}, 'EP{n:04d}', 1)" for n in numbers)};
INSERT INTO MARK VALUES {", ".join(f"({n}, {n}, 'MADE IN CHINA No. {n}', 5, '2024-03-01 10:00:00')" for n in numbers)};
"""


# nulls, unknown codes, broken JSON, a code that comes twice in another spelling, orphans
ODD = f"""
INSERT INTO CUSTOMER VALUES
 (901, '怪客户', NULL, 'ODD-1', NULL, NULL, '坏邮箱', NULL, NULL, 9, 7, '"不是额度"', 9, NULL, '外星人', NULL, NULL,
  '{"长" * 220}', 700, '1,2', NULL, NULL, NULL, 0, 1, -1, 'NOBODY', '99'),
 (902, '怪客户分公司', '怪', 'odd -1', NULL, NULL, NULL, '柏林', NULL, 1, 0, '{{"amount": 5, "currency": "XXX"}}', 2, 0,
  NULL, NULL, NULL, NULL, 13, NULL, 1, NULL, NULL, 0, NULL, 1, NULL, NULL),
 (903, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
  NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO CONTACT VALUES (901, 999, '孤儿', NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL),
 (902, 901, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '0755-86012345', NULL, NULL);
INSERT INTO BANK_ACCOUNT VALUES (901, 901, NULL, NULL, NULL, NULL, '1', NULL, NULL),
 (902, 999, 'X', NULL, NULL, NULL, '2', 1, NULL);
INSERT INTO COMPANY_PATH VALUES (901, 1, NULL, 'odd-1', 0), (902, NULL, 1, NULL, 1), (903, 1, 999, 'GONE', 1);
INSERT INTO MARK VALUES (901, 901, '无日期', NULL, '0000-00-00 00:00:00'), (902, 999, '孤儿', NULL, NULL);
"""


@pytest.fixture(scope="module")
def _loaded(request, django_db_setup, django_db_blocker, tmp_path_factory):
    """From the dump, or on MariaDB from the old database itself: tried first, then loaded."""
    folder, script = tmp_path_factory.mktemp("staging"), ddl(SYSTEM) + rows() + ODD
    source = folder / "eplus.sql"
    source.write_text(script, encoding="utf-8")
    if connection.vendor == "mysql":
        source = request.getfixturevalue("old_database")(script)
    with django_db_blocker.unblock(), transaction.atomic():
        make(User, username="qianli", full_name="钱莉")
        make(User, username="sunhai", full_name="孙海")
        foretold = load(folder, SYSTEM, source, write=False)
        written = Customer.objects.count()
        yield foretold, written, load(folder, SYSTEM, source), source
        transaction.set_rollback(True)


@pytest.fixture
def moved(_loaded, db):
    return _loaded[2]


def old(table, key) -> LegacyRecord:
    return LegacyRecord.objects.get(system=SYSTEM, table=table, key=str(key))


def test_every_table_with_rows_of_its_own_has_a_loader():
    """What the seed only tells of (claims, credit and stage history) has no table there."""
    told = {"CLAIM_HISTORY", "CREDIT_HISTORY", "STAGE_HISTORY"}
    assert {table.name for table in tables.tables_of(SYSTEM)} | told == set(fieldmap.tables(SYSTEM))


def test_every_column_of_the_map_is_in_the_tables_of_these_tests():
    script = {fieldmap.plain(word.strip("`(")) for word in ddl(SYSTEM).split() if "`" in word}
    for table in tables.tables_of(SYSTEM):
        assert set(fieldmap.columns(SYSTEM, table.name)) <= script


def test_every_row_is_accounted_for_and_the_credit_agrees(moved):
    reconciled(moved)
    (credit,) = moved["sums"]
    assert credit["now"] == "511515.00" and credit["unreadable"] == 2
    refused = {table: found.get("refused", 0) for table, found in counts(moved).items()}
    assert refused == {"CATEGORY": 0, "CUSTOMER": 1, "CONTACT": 1, "BANK_ACCOUNT": 1, "COMPANY_PATH": 2, "MARK": 1}


def test_a_dry_run_foretells_the_load_and_writes_nothing(_loaded):
    foretold, written, found, _ = _loaded
    assert written == 0 and counts(found) == counts(foretold)


def test_the_same_again_changes_nothing(_loaded, moved, move):
    before = [model.objects.count() for model in EVERYTHING]
    again = move(SYSTEM, _loaded[3])
    assert [model.objects.count() for model in EVERYTHING] == before
    assert {outcome for found in counts(again).values() for outcome in found} == {"unchanged", "refused"}
    reconciled(again)


def test_a_customer_comes_with_managers_credit_categories_and_links(moved):
    found = old("CUSTOMER", 7).target
    assert (found.code, found.stage, found.review_status, found.version_no) == ("EP0007", "lapsed", "rejected", 7)
    assert found.business_types == ["ecommerce", "importer"] and found.tax_rate == 13
    assert found.owner.username == "qianli" and found.is_credit_enabled and found.is_sinosure
    assert set(found.grants.values_list("user__username", flat=True)) == {"qianli", "sunhai"}
    limits = dict(CreditLimit.objects.filter(customer=found).values_list("currency", "amount"))
    assert limits == {"USD": Decimal("7000.50"), "EUR": Decimal(700)}
    assert {category.name for category in found.categories.all()} == {"欧洲", "大客户"}
    assert [link.linked.code for link in found.links.all()] == ["EP0003"]
    assert "http://old/annex7.pdf" in found.remark and found.change_status == "rejected"
    assert any("国家" in note for note in old("CUSTOMER", 7).notes)


def test_what_cannot_be_read_stays_in_the_old_values(moved):
    record = old("CUSTOMER", 901)
    notes = "；".join(record.notes)
    for column in ("email", "stageType", "auditStatus", "creditLimit", "taxRate", "managerIds", "custLinkCode", "ver"):
        assert column in notes, column
    assert len(record.row["invoicetitle"]) == 220 and len(record.target.invoice_title) == 200
    assert record.target.owner is None and not CreditLimit.objects.filter(customer=record.target).exists()


def test_a_code_in_another_spelling_is_the_same_customer(moved):
    assert old("CUSTOMER", 902).outcome == "merged" and old("CUSTOMER", 902).target == old("CUSTOMER", 901).target
    assert old("COMPANY_PATH", 901).target.customer == old("CUSTOMER", 901).target


def test_every_customer_has_one_default_of_each_kind_and_it_is_the_marked_one(moved):
    for model in (Contact, BankAccount):
        for each in Customer.objects.filter(pk__in=model.objects.values("customer")):
            assert model.objects.filter(customer=each, is_default=True).count() == 1
    assert old("CONTACT", 3).target.is_default and not old("CONTACT", 2).target.is_default
    assert old("COMPANY_PATH", 3).target.is_default


def test_marks_keep_text_and_time(moved):
    mark = old("MARK", 4).target
    assert mark.content == "MADE IN CHINA No. 4" and mark.created_at.isoformat() == "2024-03-01T02:00:00+00:00"
