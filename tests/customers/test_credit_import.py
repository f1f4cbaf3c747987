"""Credit limits and company paths in workbooks: by customer code, with the same rules as by hand."""

from decimal import Decimal

import pytest

from crm.excel.resource import resource_for
from crm.models import BusinessLog, CompanyPath, ImportRow, User
from customers.models import CreditLimit, CreditRule, Customer, CustomerPath
from customers.models.credit import UNRATED
from tests.crm.excel.pipeline import applied, checked, kinds, problems, undone
from tests.factories import make

pytestmark = pytest.mark.django_db
Kind = ImportRow.Kind
LIMITS = ["客户代码", "币种", "信用额度", "生效日期", "失效日期"]
PATHS = ["客户代码", "业务场景", "公司路径", "默认"]


@pytest.fixture
def finance(person):
    return User.objects.get(pk=person("财务").pk)


@pytest.fixture
def admin(person):
    return User.objects.get(pk=person("管理员").pk)


@pytest.fixture
def customer():
    return make(Customer, code="KH0001")


def limits(user, *rows):
    return checked(user, LIMITS, rows, resource="customers.CreditLimit")


def paths(user, *rows):
    return checked(user, PATHS, rows, resource="customers.CustomerPath")


def test_finance_imports_a_limit_per_currency_of_customers_it_may_not_edit(finance, customer):
    first = make(CreditLimit, customer=customer, currency="CNY", amount=Decimal(5), approval="SP1")
    batch = limits(finance, ["KH0001", "美元", "10万", None, "2030-12-31"], [customer.name, "CNY", "6", None, None])
    assert not problems(batch)
    applied(batch)
    stored = {row.currency: row for row in CreditLimit.objects.filter(limit_of=customer)}
    assert stored["USD"].amount == 100000
    assert stored["USD"].valid_until.isoformat() == "2030-12-31"
    assert (stored["CNY"].pk, stored["CNY"].amount, stored["CNY"].approval) == (first.pk, 6, "")
    entry = BusinessLog.objects.filter(object_id=first.pk, root_id=customer.pk).first()
    assert entry.changes["amount"] == ["5", "6"]
    undone(batch)
    assert CreditLimit.objects.get(limit_of=customer).amount == 5


def test_the_rules_of_the_form_hold_for_rows(finance, customer):
    make(CreditRule, rating=UNRATED, max_amount=Decimal(100))
    batch = limits(
        finance,
        ["KH0001", "CNY", "101", None, None],
        ["KH0001", "USD", "-1", None, None],
        ["KH0001", "EUR", "0", "2030-02-01", "2030-01-01"],
        ["KH9999", "CNY", "1", None, None],
    )
    found = problems(batch)
    assert "合计最高 CNY 100.00" in found[2][0]
    assert found[3]
    assert "不能早于生效日期" in found[4][0] or "汇率" in found[4][0]
    assert "KH9999" in found[5][0]


def test_a_seller_imports_no_limits(person, customer):
    batch = limits(person("销售"), ["KH0001", "CNY", "1", None, None])
    assert kinds(batch) == [Kind.ERROR.label]


def test_the_first_or_the_marked_path_of_a_file_becomes_the_default(admin, customer):
    for name in ("甲", "乙", "丙"):
        make(CompanyPath, name=name)
    batch = applied(
        paths(
            admin,
            ["KH0001", "出口", "甲", None],
            ["KH0001", "出口", "乙", "是"],
            ["KH0001", "进口", "丙", None],
        )
    )
    assert not problems(batch)
    stored = {row.path.name: row for row in CustomerPath.objects.select_related("path")}
    assert {name: row.is_default for name, row in stored.items()} == {"甲": False, "乙": True, "丙": True}
    assert stored["乙"].default_of == stored["甲"].valid_of == customer


def test_a_file_never_moves_a_default(admin, customer):
    old = make(CustomerPath, customer=customer)
    new = make(CompanyPath, name="新路径")
    batch = paths(
        admin,
        ["KH0001", str(old.scenario), new.name, "是"],
        ["KH0001", str(old.scenario), old.path.name, "否"],
    )
    assert "已有默认路径" in problems(batch)[2][0]
    assert "不能用导入更改" in problems(batch)[3][0]
    again = paths(admin, ["KH0001", str(old.scenario), old.path.name, None])
    assert kinds(again) == [Kind.UNCHANGED.label]


@pytest.mark.parametrize("model", ["CreditLimit", "CustomerPath"])
def test_an_export_names_the_customer_by_code(admin, customer, model):
    from crm.excel.widgets import Context

    made = make({"CreditLimit": CreditLimit, "CustomerPath": CustomerPath}[model], customer=customer)
    field = resource_for(f"customers.{model}").fields["customer"]
    assert field.column_name == "客户代码"
    assert field.widget.render(made.customer_id, context=Context(admin)) == "KH0001"
