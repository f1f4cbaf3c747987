"""Departments by Excel: a tree by names, from the top down."""

import pytest

from crm.excel import export
from crm.excel.resource import resource_for
from crm.models import Department, User
from crm.policies import policy_for
from tests.crm.excel.pipeline import applied, checked, kinds, problems
from tests.factories import make

pytestmark = pytest.mark.django_db
TITLES = ["部门名称", "上级部门", "部门主管", "排序"]


@pytest.fixture
def boss(person):
    return person("管理员")


def check(user, rows):
    return checked(user, TITLES, rows, resource="crm.Department")


def tree():
    return {
        str(d): str(d.parent) if d.parent else None for d in Department.objects.valid().exclude(name__contains="部门")
    }


def test_departments_come_in_level_by_level_and_the_message_says_so(boss, person):
    person(full_name="王芳")
    rows = [["总部", None, "王芳", 1], ["华南", "总部", None, 2], ["一部", "总部/华南", None, 3]]
    first = check(boss, rows)
    assert problems(first)[3] == ["上级部门没有“总部”这个部门；如果它也在本文件里，请先导入它，再导入它的下级。"]
    applied(first)
    for _ in range(2):
        applied(check(boss, rows))
    assert tree() == {"总部": None, "华南": "总部", "一部": "华南"}
    assert Department.objects.get(name="总部").manager == User.objects.get(full_name="王芳")
    assert set(kinds(check(boss, rows))) == {"无变化"}


def test_two_departments_may_share_a_name_below_different_ones(boss):
    east, west = make(Department, name="华东", parent=None), make(Department, name="华西", parent=None)
    applied(check(boss, [["一部", "华东"], ["一部", "华西"]]))
    assert set(Department.objects.filter(name="一部").values_list("parent", flat=True)) == {east.pk, west.pk}
    batch = check(boss, [["小组", "一部"], ["小组", "华西 / 一部"]])
    assert problems(batch) == {2: ["上级部门有多条“一部”，无法确定是哪一条。"]}
    applied(batch)
    assert Department.objects.get(name="小组").parent.parent == west


def test_the_same_department_twice_in_a_file_is_an_error(boss):
    assert "与第 2 行重复" in problems(check(boss, [["总部", None, None, 1], ["总 部", None, None, 2]]))[3][0]


def test_an_import_never_moves_a_department_and_so_never_makes_a_ring(boss):
    """With another department above it, it is another department."""
    top = make(Department, name="总部", parent=None)
    make(Department, name="华南", parent=top)
    batch = check(boss, [["总部", "总部/华南"]])
    assert kinds(batch) == ["新增"]
    applied(batch)
    top.refresh_from_db()
    assert top.parent is None


def test_an_export_read_back_changes_nothing(boss, person):
    for above in (make(Department, name=name, parent=None) for name in ("华东", "华西")):
        make(Department, name="一部", parent=above, manager=person(full_name="王芳"))
    exporter = export.Exporter(resource_for("crm.Department"), boss)
    rows = [list(row[:4]) for row in exporter.rows(policy_for(Department).visible_to(boss, "export"))]
    assert ["一部", "华西"] in [row[:2] for row in rows]
    assert set(kinds(check(boss, rows))) == {"无变化"}


def test_who_may_import_finds_the_button(person, browse):
    assert "/crm/department/import/" in browse(person("管理员")).get("/crm/department/").content.decode()
    assert browse(person("审计")).get("/crm/department/export/").status_code == 200
    assert browse(person("审计")).get("/crm/department/import/").status_code in (403, 404)
