"""User accounts by Excel: nobody is given more than the importer has, no password goes in or out."""

import pytest

from crm.excel import export
from crm.excel.resource import resource_for
from crm.models import BusinessLog, Company, DataScope, Department, Operation, Role, User
from crm.policies import policy_for
from crm.roles import rights
from tests.crm.excel.pipeline import applied, checked, kinds, problems, undone
from tests.crm.test_people import permission
from tests.factories import make

pytestmark = pytest.mark.django_db
TITLES = ["用户名", "姓名", "角色", "部门"]


@pytest.fixture
def boss(person):
    return person("管理员")


@pytest.fixture
def clerk(db):
    """May import accounts, and otherwise has the rights of a salesperson over his department."""
    role = make(Role, name="人事", data_scope=DataScope.DEPARTMENT)
    names = ["crm.add_user", "crm.change_user", "crm.view_user", "crm.import_user", *rights("销售")]
    role.permissions.set(permission(name) for name in names)
    return make(User, groups=[role])


def check(user, rows, titles=TITLES, **options):
    return checked(user, titles, rows, resource="crm.User", **options)


def roles_of(username):
    return set(User.objects.get(username=username).groups.values_list("name", flat=True))


def exported(user):
    exporter = export.Exporter(resource_for("crm.User"), user)
    titles = [column.name for column in exporter.columns]
    return titles, list(exporter.rows(policy_for(User).visible_to(user, "export")))


def test_colleagues_come_in_with_department_and_roles_by_name(boss):
    south = make(Department, name="华南大区", parent=None)
    applied(check(boss, [["wangfang", "王芳", "销售、客服", "华南大区"]]))
    user = User.objects.get(username="wangfang")
    assert (user.full_name, user.department, user.is_staff, user.is_superuser) == ("王芳", south, True, False)
    assert roles_of("wangfang") == {"销售", "客服"}
    entry = BusinessLog.objects.get(operation=Operation.CREATE, object_id=user.pk, content_type__model="user")
    assert entry.changes["groups"] == [None, ["客服", "销售"]] and "password" not in entry.changes


def test_a_new_account_has_no_password_that_anybody_could_know(boss, client):
    applied(check(boss, [["wangfang", "王芳"]]))
    user = User.objects.get(username="wangfang")
    assert not user.has_usable_password()
    for guess in ("wangfang", "!", user.password):
        client.post("/login/", {"username": "wangfang", "password": guess})
        assert "_auth_user_id" not in client.session


def test_no_column_is_a_password_and_none_makes_a_superuser(boss):
    columns = resource_for("crm.User").visible(boss, importing=True)
    assert not {"password", "is_superuser", "is_staff", "user_permissions", "last_login"} & columns.keys()
    titles, rows = exported(boss)
    assert not [title for title in titles if "密码" in title]
    assert all(boss.password not in map(str, row) for row in rows)


def test_an_account_is_recognised_by_its_name_whatever_its_case(boss):
    make(User, username="WangFang", full_name="王芳")
    batch = check(boss, [["wangfang", "王芳芳"]])
    assert batch.rows.get().changes == {"full_name": ["王芳", "王芳芳"]}
    applied(batch)
    assert User.objects.get(full_name="王芳芳").username == "WangFang"


def test_existing_roles_are_replaced_and_a_blank_cell_leaves_them(boss, person):
    user = person("销售", "客服", username="wangfang", full_name="王芳")
    applied(check(boss, [["wangfang", "王芳", None]]))
    assert roles_of("wangfang") == {"销售", "客服"}
    applied(check(boss, [["wangfang", "王芳", "财务"]]))
    assert roles_of("wangfang") == {"财务"}
    entry = BusinessLog.objects.filter(object_id=user.pk, content_type__model="user").first()
    assert entry.changes == {"groups": [["客服", "销售"], ["财务"]]}


@pytest.mark.parametrize("role", ["管理员", "销售主管", "审计"])
def test_a_role_beyond_ones_own_is_refused_for_new_and_old_accounts(clerk, role):
    make(User, username="old", full_name="旧人")
    batch = check(clerk, [["new", "新人", role], ["old", "旧人", role], ["fine", "好人", "销售"]])
    assert problems(batch) == {n: [f"角色不能授予或移除超出自己权限的“{role}”。"] for n in (2, 3)}
    applied(batch)
    assert not User.objects.filter(username="new").exists()
    assert roles_of("old") == set() and roles_of("fine") == {"销售"}


def test_a_role_beyond_ones_own_is_not_taken_away_either(clerk, person):
    person("销售总监", username="director", full_name="总监")
    assert "不能授予或移除" in problems(check(clerk, [["director", "总监", "销售"]]))[2][0]


def test_who_loses_the_right_before_confirming_gives_nothing_away(boss, person):
    """What was previewed is asked again with the rights at the time of writing."""
    batch = check(boss, [["wangfang", "王芳", "管理员"]])
    boss.groups.set([])
    weak = make(Role, data_scope=DataScope.ALL)
    weak.permissions.set(permission(f"crm.{action}_user") for action in ("add", "change", "view", "import"))
    boss.groups.add(weak)
    batch.user = User.objects.get(pk=boss.pk)
    applied(batch)
    assert "不能授予或移除" in batch.rows.get().problems[0]["text"]
    assert not User.objects.filter(username="wangfang").exists()


def test_a_superusers_account_is_changed_by_superusers_only(boss):
    make(User, username="root", full_name="超管", is_superuser=True)
    batch = check(boss, [["root", "被改名"]])
    assert kinds(batch) == ["冲突"]
    applied(batch)
    assert User.objects.get(username="root").full_name == "超管"
    other = make(User, is_superuser=True)
    applied(check(other, [["root", "被改名"]]))
    assert User.objects.get(username="root").full_name == "被改名"


def test_an_unknown_department_and_a_bad_name_are_named(boss):
    found = problems(check(boss, [["a", "甲", "销售", "没有的部门"], ["乙 丙", "乙"], ["", "丁"], ["e", ""]]))
    assert found[2] == ["部门没有“没有的部门”这一项，请从可选值中选择。"]
    assert found[3][0].startswith("用户名“乙 丙”无效")
    assert found[4] == ["用户名不能为空。"] and found[5] == ["姓名不能为空。"]


def test_an_export_read_back_changes_nothing(boss, person):
    """People who share a name, departments that share a name, those who left: all find themselves again."""
    east, west = (make(Department, name=name, parent=None) for name in ("华东", "华西"))
    first, second = (make(Department, name="一部", parent=above) for above in (east, west))
    assistant = person(username="wang1", full_name="王芳", department=first)
    person(username="wang2", full_name="王芳", department=second)
    gone = person(username="gone", full_name="离职的人", is_active=False)
    person("销售", "财务", full_name="李雷", department=second, assistant=assistant, company=make(Company))
    person("审计", full_name="韩梅梅", assistant=gone, phone="13800138000", remark="多行\n备注")
    titles, rows = exported(boss)
    importable = resource_for("crm.User").visible(boss, importing=True).values()
    known = [index for index, title in enumerate(titles) if title in {field.column_name for field in importable}]
    again = check(boss, [[row[i] for i in known] for row in rows], [titles[i] for i in known])
    assert set(kinds(again)) == {"无变化"}, [(row.changes, row.problems) for row in again.rows.all()]
    assert len(rows) == User.objects.count()


def test_somebody_who_left_is_nobodys_new_assistant(boss, person):
    person(username="gone", full_name="离职的人", is_active=False)
    batch = check(boss, [["wangfang", "王芳", "离职的人"]], ["用户名", "姓名", "协助人"])
    assert problems(batch) == {2: ["协助人“离职的人”已停用，请换一个。"]}


def test_undo_takes_accounts_away_and_gives_former_roles_back(boss, person):
    person("销售", username="old", full_name="旧人")
    batch = applied(check(boss, [["new", "新人", "客服"], ["old", "旧人", "财务"]]))
    assert undone(batch) == []
    assert not User.objects.filter(username="new").exists()
    assert roles_of("old") == {"销售"}


def test_undo_gives_back_no_role_that_one_could_not_give_today(boss, clerk, person):
    person("管理员", username="old", full_name="旧人")
    batch = applied(check(boss, [["old", "旧人", "销售"]]))
    batch.user = clerk
    assert undone(batch) == ["旧人"]
    assert roles_of("old") == {"销售"}


def test_the_list_offers_it_to_those_who_may(person, browse):
    page = browse(person("管理员")).get("/crm/user/").content.decode()
    assert "/crm/user/import/" in page and "/crm/user/export/" in page
    assert "/crm/user/import/" not in browse(person("审计")).get("/crm/user/").content.decode()
    assert browse(person("审计")).get("/crm/user/import/").status_code in (403, 404)
