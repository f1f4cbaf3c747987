"""Dictionary items by Excel: recognised by code, and one word means one item."""

import pytest

from crm.excel import export
from crm.excel.resource import resource_for
from crm.models import DictionaryItem, ImportRow
from crm.policies import policy_for
from customers.models import Customer
from tests.crm.excel.pipeline import applied, checked, kinds, problems
from tests.factories import make

pytestmark = pytest.mark.django_db
TITLES = ["字典名", "代码", "字典值", "别名", "启用"]


@pytest.fixture
def boss(person):
    return person("管理员")


def check(user, rows, titles=TITLES):
    return checked(user, titles, rows, resource="crm.DictionaryItem")


def test_items_come_in_and_are_recognised_by_their_code(boss):
    applied(check(boss, [["所属行业", "ai", "人工智能", "AI；大模型", "是"]]))
    item = DictionaryItem.objects.get(type="industry", code="ai")
    assert (item.label, item.label_key, item.is_active) == ("人工智能", "人工智能", True)
    batch = check(boss, [["industry", "AI", "智能科技"]], TITLES[:3])
    assert batch.rows.get().target_id == item.pk
    assert batch.rows.get().changes == {"label": ["人工智能", "智能科技"]}
    applied(batch)
    assert DictionaryItem.objects.get(pk=item.pk).code == "ai"
    assert kinds(check(boss, [["客户等级", "ai", "人工智能"]], TITLES[:3])) == ["新增"]


def test_a_word_of_another_item_is_refused_in_the_table_and_within_the_file(boss):
    make(DictionaryItem, type="industry", code="gis", label="测绘软件")
    rows = [
        ["所属行业", "sw", "测绘 软件"],
        ["所属行业", "x", "新词"],
        ["所属行业", "y", "新词"],
        ["客户等级", "z", "测绘软件"],
    ]
    batch = check(boss, rows, TITLES[:3])
    assert problems(batch) == {
        2: ["字典值“测绘 软件”已是该字典中代码为“gis”的一项，请换一个。"],
        4: ["字典值“新词”已是该字典中代码为“x”的一项，请换一个。"],
    }
    applied(batch)
    assert DictionaryItem.objects.filter(label="新词").count() == 1


def test_a_word_taken_after_the_preview_is_not_doubled(boss):
    batch = check(boss, [["所属行业", "x", "新词"]], TITLES[:3])
    make(DictionaryItem, type="industry", code="y", label="新词")
    applied(batch)
    row = batch.rows.get()
    assert row.outcome == ImportRow.Outcome.REFUSED and "已是该字典中代码为“y”的一项" in row.problems[0]["text"]


def test_an_unknown_dictionary_is_named(boss):
    assert "字典名“颜色”不在可选范围内" in problems(check(boss, [["颜色", "red", "红"]], TITLES[:3]))[2][0]


def test_an_export_read_back_changes_nothing(boss):
    """The whole shipped dictionary, with what was switched off."""
    DictionaryItem.objects.filter(type="industry").first().save()
    make(DictionaryItem, is_active=False)
    exporter = export.Exporter(resource_for("crm.DictionaryItem"), boss)
    rows = [row[:7] for row in exporter.rows(policy_for(DictionaryItem).visible_to(boss, "export"))]
    assert len(rows) == DictionaryItem.objects.count() > 100
    assert set(kinds(check(boss, rows, [column.name for column in exporter.columns][:7]))) == {"无变化"}


def test_what_was_switched_off_stays_where_it_is_and_is_chosen_nowhere_else(boss, person):
    """So that an export of old records reads back without complaint."""
    seller = person("销售")
    old = make(DictionaryItem, type="level", label="老等级", is_active=False)
    make(Customer, name="甲公司", code="C1", owner=seller, level=old)
    make(Customer, name="乙公司", code="C2", owner=seller)
    rows = [["C1", "甲公司", "老等级"], ["C2", "乙公司", "老等级"], ["C3", "丙公司", "老等级"]]
    batch = checked(seller, ["客户代码", "客户名称", "客户等级"], rows)
    assert kinds(batch) == ["无变化", "错误", "错误"]
    assert problems(batch) == {n: ["客户等级“老等级”已停用，请换一个。"] for n in (3, 4)}
