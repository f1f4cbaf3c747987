import pytest
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command

from crm.policies import policy_for
from customers.models import Customer, CustomerUserObjectPermission
from tests.factories import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def customer(person):
    return make(Customer, owner=person("销售", full_name="张三"), name="甲公司")


def run(capsys, *arguments):
    try:
        call_command("check_grants", *arguments)
        code = 0
    except (SystemExit, CommandError) as stop:
        code = getattr(stop, "code", 1)
    return code, capsys.readouterr().out


def test_agreement_is_said_and_exits_with_0(customer, capsys):
    assert run(capsys) == (0, "负责人与行权限一致。\n")


def test_an_owner_without_rights_is_named_and_exits_with_1(customer, capsys):
    customer.grants.filter(permission__codename="view_customer").delete()
    code, text = run(capsys)
    assert code == 1
    assert f"客户 {customer.pk}“甲公司”：负责人“张三”缺少行权限" in text


def test_a_right_of_owners_in_other_hands_is_named(customer, person, capsys):
    stranger = person("销售", full_name="李四")
    delete = Permission.objects.get(codename="delete_customer")
    CustomerUserObjectPermission.objects.create(user=stranger, permission=delete, content_object=customer)
    code, text = run(capsys)
    assert code == 1
    assert f"客户 {customer.pk}“甲公司”：“李四”有多余的行权限" in text


def test_fix_makes_the_grants_follow_the_owners_and_leaves_collaborators_alone(customer, person, capsys):
    stranger, reader = person("销售"), person("销售")
    rights = {p.codename: p for p in Permission.objects.filter(codename__endswith="_customer")}
    grant = CustomerUserObjectPermission.objects.create
    grant(user=stranger, permission=rights["delete_customer"], content_object=customer)
    grant(user=reader, permission=rights["view_customer"], content_object=customer)
    customer.grants.filter(user=customer.owner).exclude(permission__codename="delete_customer").delete()
    code, text = run(capsys, "--fix")
    assert code == 0
    assert "客户：补齐 1 条记录，删除 1 条多余的权限。" in text
    assert run(capsys) == (0, "负责人与行权限一致。\n")
    assert policy_for(Customer).may(reader, "view", customer)


def test_a_long_list_is_cut_short(person, capsys):
    owner = person("销售")
    for _ in range(22):
        make(Customer, owner=owner, level=None, industry=None, area=None, real_customer=None)
    CustomerUserObjectPermission.objects.all().delete()
    assert "客户：还有 2 处" in run(capsys)[1]
    assert "共 22 处不一致" in run(capsys)[1]
