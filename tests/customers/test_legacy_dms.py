"""Moving in from dms: its own tables, filled with rows that use every column and with odd ones, from a dump and from a
database."""

import re
from pathlib import Path

import pytest

from crm.admin import old_values
from crm.legacy import fieldmap
from crm.models import BusinessLog, LegacyRecord, User
from customers.legacy.dms import changes
from customers.models import ApiCredential, CancelKey, Contact, Customer, RealCustomer
from tests.moving import counts, mover

SEED = next((Path(__file__).parents[3] / "shared" / "seeds").glob("000_*.txt"), None)
STATEMENT = re.compile(r"^(?:CREATE TABLE|ALTER TABLE|update \w+ set)\b[^;]*;", re.MULTILINE)
TIME, LATER = "2023-04-05 06:07:08", "2024-04-05 06:07:08"
STAMPS = {"over_flag": 0, "create_user": 7, "create_time": TIME, "update_user": 8, "update_time": LATER}


def customer(n) -> dict:
    return {
        "customer_id": n,
        "customer_code": f"DMS{n}",
        "customer_name": f"客户{n}",
        "customer_short_name": f"简称{n}",
        "customer_status": n % 4,
        "customer_type": 1,
        "customer_address": "深圳市南山区",
        "customer_domain": "https://example.cn",
        "customer_currency": "USD",
        "customer_contactor": f"联系人{n}",
        "customer_phone": f"0755-2600{n:04}",
        "customer_email": f"a{n}@example.cn",
        "app_id": f"app{n}",
        "app_secret": f"secret-{n}",
        "create_user_id": 7,
        "update_user_id": 6,
        "config_status": n % 2,
        "customer_level": n % 3 + 1,
        "notify_email": "n@example.cn",
        "account_email": "b@example.cn",
        "contract_id": n,
        "contract_name": f"合同{n}",
        "attached_id": n,
        "file_name": f"营业执照{n}.pdf",
        "remark": "备注",
        **STAMPS,
        "over_flag": n % 2,
        "create_user": 9,
    }


def real(n) -> dict:
    return {
        "real_customers_id": 900000000000000000 + n,
        "real_customers_code": f"RC{n}",
        "real_customers_name": f"真实客户{n}",
        "remark": None,
        **STAMPS,
        "over_flag": n % 2,
        "update_user": None,
    }


def cancel_key(n) -> dict:
    return {
        "aid": n,
        "customer_id": n if n % 2 else 0,
        "customer_code": f"DMS{n}",
        "customer_status": n % 2,
        "app_key": f"key{n}",
        "app_token": f"token-{n}",
        "remark": "",
        **STAMPS,
    }


def attached(n) -> dict:
    return {
        "attached_id": n,
        "file_name": f"合同{n}.pdf",
        "file_path": f"/data/files/{n}.pdf",
        "file_type": "pdf",
        "customer_id": n,
        "customer_code": f"DMS{n}",
        "attached_status": 1,
        "attached_type": 1,
        "remark": "扫描件",
        **STAMPS,
    }


def log(n) -> dict:
    return {
        "log_id": 2011241839663370000 + n,
        "business_no": f"DMS{n}",
        "business_source": 5,
        "operation_type": n % 3 + 1,
        "old_value": '{"customerName": "旧名"}',
        "new_value": '{"customerName": "新名"}',
        "change_fields": '["customerName"]',
        "ip_address": "10.0.0.1",
        "remark": "改名",
        **STAMPS,
        "update_user": None,
    }


ODD_CUSTOMERS = [
    {"customer_id": 101, "customer_code": "ODD1", "customer_name": "只有名称", "create_user": 0},
    {
        "customer_id": 102,
        "customer_code": "ODD2",
        "customer_name": "怪客户",
        "customer_status": 9,
        "customer_type": 6,
        "customer_currency": "XXX",
        "customer_email": "没有",
        "app_id": "app1",
        "app_secret": "other",
        "create_time": "0000-00-00 00:00:00",
        "update_time": "0000-00-00 00:00:00",
        "customer_level": 8,
        "create_user_id": 5,
        "create_user": 0,
    },
    {"customer_id": 103, "customer_code": "ODD3", "customer_name": "", "create_user": 7},
]
ODD_KEYS = [
    {"aid": 21, "customer_id": 1, "customer_code": "GONE", "app_key": "k", "app_token": "t"},
    {"aid": 22, "customer_id": 0, "customer_code": "GONE", "app_key": "k2", "app_token": "t"},
    {"aid": 23, "customer_id": 3, "customer_code": "GONE", "app_key": "key3", "app_token": "zwei"},
    {"aid": 24, "customer_id": 2, "customer_code": "DMS2", "app_key": "leer", "app_token": ""},
]
ODD_FILES = [attached(3) | {"customer_id": 999, "customer_code": "GONE"}]
ODD_LOGS = [
    {"log_id": 11, "business_no": "DMS1", "business_source": 1, "operation_type": 1, "create_user": 7},
    {"log_id": 12, "business_no": "GONE", "business_source": 5, "operation_type": 1, "create_user": 7},
    log(1) | {"log_id": 13, "ip_address": "内网", "create_user": 0, "create_time": "0000-00-00 00:00:00"},
    {"log_id": 14, "business_no": "DMS1", "business_source": 5, "operation_type": 7, "create_user": 7},
]
ROWS = {
    "real_customers_info": [real(n) for n in range(1, 6)],
    "customer": [customer(n) for n in range(1, 31)] + ODD_CUSTOMERS,
    "customer_cancel_key": [cancel_key(n) for n in range(1, 11)] + ODD_KEYS,
    "customer_attached": [attached(n) for n in (1, 2)] + ODD_FILES,
    "dms_business_log": [log(n) for n in range(1, 6)] + ODD_LOGS,
}
EXPECTED = {
    "real_customers_info": {"created": 5},
    "customer": {"created": 32, "refused": 1},
    "customer_cancel_key": {"created": 11, "refused": 3},
    "customer_attached": {"merged": 2, "refused": 1},
    "dms_business_log": {"created": 6, "refused": 3},
}


def literal(value) -> str:
    return "NULL" if value is None else "'" + str(value).replace("'", "''") + "'"


def inserts(table, rows):
    for row in rows:
        columns, values = ", ".join(f"`{name}`" for name in row), ", ".join(map(literal, row.values()))
        yield f"INSERT INTO `{table}` ({columns}) VALUES ({values})"


def dump() -> str:
    parts = []
    for table, rows in ROWS.items():
        names = list(dict.fromkeys(name for row in rows for name in row))
        parts += [f"CREATE TABLE `{table}` ({', '.join(f'`{name}` text' for name in names)})", *inserts(table, rows)]
    return ";\n".join(parts) + ";\n"


@pytest.fixture
def old_dms(db, old_database):
    """The tables as the document makes them and its own migration scripts change them, in a database of MariaDB."""
    made = STATEMENT.findall(SEED.read_text("utf-8").replace("utf8mb4_0900_ai_ci", "utf8mb4_general_ci"))
    filled = [statement for table, rows in ROWS.items() for statement in inserts(table, rows)]
    return old_database(";\n".join([*made, *filled]))


@pytest.fixture
def moved(db, tmp_path):
    return mover(tmp_path, "dms-customer")(dump())


def said(table, key) -> list:
    return LegacyRecord.objects.get(table=table, key=key).notes


def test_the_rows_use_every_column_of_the_document():
    for table in fieldmap.tables("dms-customer"):
        named = {column.column for column in fieldmap.columns("dms-customer", table).values()}
        assert named == set(ROWS[table][0]), table


@pytest.mark.mysql
@pytest.mark.skipif(SEED is None, reason="旧系统的文档 ../shared/seeds 不在")
def test_the_tables_of_the_document_load_as_foretold_and_twice_the_same(old_dms, tmp_path):
    move = mover(tmp_path, "dms-customer")
    foretold = counts(move(old_dms, write=False))
    assert not Customer.objects.exists()
    found = move(old_dms)
    assert counts(found) == foretold == EXPECTED
    assert not any(table["missing"] for table in found["tables"])
    again = counts(move(old_dms))
    assert {outcome for table in again.values() for outcome in table} == {"unchanged", "refused"}


def test_a_dump_loads_as_foretold_and_twice_the_same(db, tmp_path):
    move = mover(tmp_path, "dms-customer")
    assert counts(move(dump(), write=False)) == EXPECTED
    assert counts(move(dump())) == EXPECTED
    again = counts(move(dump()))
    assert {outcome for table in again.values() for outcome in table} == {"unchanged", "refused"}


def test_a_customer_comes_with_states_contact_and_app(moved):
    customer = Customer.objects.get(code="DMS1")
    assert (customer.review_status, customer.is_enabled, customer.is_closed) == ("approved", True, True)
    assert (customer.level.code, customer.currency, customer.nature.code) == ("P", "USD", "normal")
    assert (customer.notify_email, customer.billing_email) == ("n@example.cn", "b@example.cn")
    assert list(Contact.objects.filter(customer=customer).values_list("name", "is_default")) == [("联系人1", True)]
    app = ApiCredential.objects.get(customer=customer)
    assert (app.app_id, app.app_secret.open()) == ("app1", "secret-1")


def test_authors_are_numbers_and_fall_back_to_the_older_column(moved):
    customer = Customer.objects.get(code="DMS1")
    assert (customer.created_by.username, customer.updated_by.username) == ("dms-9", "dms-8")
    assert not User.objects.get(username="dms-9").is_active
    assert customer.created_at.isoformat() == "2023-04-04T22:07:08+00:00"
    assert customer.updated_at.isoformat() == "2024-04-04T22:07:08+00:00"
    assert Customer.objects.get(code="ODD2").created_by.username == "dms-5"
    assert not User.objects.filter(username="dms-0").exists()


def test_odd_values_are_kept_and_said(moved):
    notes = "；".join(said("customer", "102"))
    assert "customer_status：“9”没有对应的选项" in notes and "customer_email：“没有”不是邮箱地址" in notes
    assert "app_id：“app1”已被别的凭证使用" in notes
    assert not ApiCredential.objects.filter(customer__code="ODD2").exists()
    assert said("customer", "103")[0] == "缺少客户名称"


def test_keys_belong_to_the_customer_of_the_code_and_stay_secret(moved):
    key = CancelKey.objects.get(app_key="key2")
    assert (key.customer.code, key.status, key.app_token.open()) == ("DMS2", "disabled", "token-2")
    assert CancelKey.objects.get(app_key="k").customer.code == "DMS1"
    assert said("customer_cancel_key", "22")[0] == "客户 GONE 不存在"
    assert said("customer_cancel_key", "23")[0] == "该客户已有或曾有密钥标识“key3”"
    assert said("customer_cancel_key", "24")[0] == "缺少取消密钥"
    kept = str(list(LegacyRecord.objects.values_list("row", "notes")))
    assert "token-2" not in kept and "secret-1" not in kept and "zwei" not in kept


def test_files_that_are_not_in_the_database_are_named_on_the_page_of_the_customer(moved):
    customer = Customer.objects.get(code="DMS1")
    shown = str(old_values.of(Customer, User.objects.get(is_superuser=True), customer))
    assert "/data/files/1.pdf" in shown and "营业执照1.pdf" in shown and "secret-1" not in shown


def test_the_log_is_the_log_of_the_customer(moved):
    customer = Customer.objects.get(code="DMS2")
    entry = BusinessLog.objects.get(object_id=customer.pk, remark="改名")
    assert entry.changes == {"customerName": ["旧名", "新名"]}
    assert (entry.root_id, entry.object_repr, entry.user.username) == (customer.pk, str(customer), "dms-7")
    assert (entry.ip, entry.created_at.isoformat()) == ("10.0.0.1", "2023-04-04T22:07:08+00:00")
    assert said("dms_business_log", "11")[0] == "业务来源 1 不属于客户管理"
    assert said("dms_business_log", "12")[0] == "客户 GONE 不存在"
    assert "ip_address：“内网”不是 IP 地址，保留原值" in said("dms_business_log", "13")
    assert "operation_type：“7”没有对应的选项，保留原值" in said("dms_business_log", "14")


def test_real_customers_come_by_code(moved):
    real = RealCustomer.objects.get(code="RC1")
    assert (real.name, real.is_closed, real.created_by.username) == ("真实客户1", True, "dms-7")


@pytest.mark.parametrize(
    ("names", "old", "new", "told"),
    [
        ('["a","b"]', '{"a":1,"b":2}', '{"a":3,"b":2}', {"a": [1, 3], "b": [2, 2]}),
        ("a,b", "1,x", "3,y", {"a": ["1", "3"], "b": ["x", "y"]}),
        ("", "", '{"a":"x"}', {"a": [None, "x"]}),
        ("名称", "旧 名", "新 名", {"名称": ["旧 名", "新 名"]}),
        ("", "旧", "新", {"内容": ["旧", "新"]}),
        ("a,b", "一,二,三", "", {"a、b": ["一、二、三", None]}),
        ("", "", "", {}),
    ],
)
def test_changes_are_read_whatever_their_form(names, old, new, told):
    assert changes(names, old, new) == told
