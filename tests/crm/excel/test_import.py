"""Check, apply and undo of an import, on the tables themselves."""

from datetime import date, datetime

import pytest

from crm import ownership, records
from crm.excel import check
from crm.excel.reader import CellError, Formula, Row
from crm.excel.resource import resource_for
from crm.models import BusinessLog, Department, ImportRow, Operation, Role
from customers.models import Contact, Customer, CustomerUserObjectPermission, Tag
from tests.crm.excel.pipeline import Kind, applied, checked, kinds, problems, undone
from tests.factories import make

pytestmark = pytest.mark.django_db


TITLES = ["客户代码", "客户名称", "客户等级", "联系电话", "税率（%）", "营业执照注册号"]


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (["A1", "", "A级"], "客户名称不能为空"),
        (["A1", "甲公司", "Z级"], "客户等级没有“Z级”这一项"),
        (["A1", "甲公司", "A级", "电话:无"], "联系电话“电话:无”不是有效的电话号码"),
        (["A1", "甲公司", "A级", "", "十三"], "税率（%）“十三”不是数字"),
        (["A1", "甲公司", "A级", "", "130"], "税率（%）“130”无效"),
        (["A1", "甲公司", "A级", "", "", 914403001234567890], "16 位以上的数字"),
        (["A1", "甲" * 201], "客户名称太长（201 个字），最多 200 个字"),
        (["A1", Formula("A2&B2", "甲公司")], "客户名称是公式（=A2&B2）"),
        (["A1", CellError("#N/A")], "客户名称是错误值 #N/A"),
    ],
)
def test_a_faulty_cell_is_named_with_its_column_and_what_to_do(seller, cells, words):
    batch = checked(seller, TITLES, [cells])
    assert words in problems(batch)[2][0]
    assert batch.rows.get().kind == Kind.ERROR


def test_bad_dates_are_refused_and_good_ones_understood(seller):
    customer = records.save(Customer(name="甲公司", code="C1", owner=seller), by=seller)
    titles = ["客户代码", "姓名", "手机号", "生日"]
    good = [
        "1990-03-05",
        "1990/3/5",
        "1990.3.5",
        "1990年3月5日",
        "19900305",
        date(1990, 3, 5),
        datetime(1990, 3, 5),
        32937,
    ]
    rows = [["C1", f"人{n}", f"1380000{n:04d}", cell] for n, cell in enumerate([*good, "1990-02-30", "三月五日"])]
    batch = checked(seller, titles, rows, resource="customers.Contact")
    values = [row.values.get("birthday") for row in batch.rows.order_by("number")]
    assert values[:8] == ["1990-03-05"] * 8
    assert [text[0][:4] for text in problems(batch).values()] == ["生日“1", "生日“三"]
    applied(batch)
    assert Contact.objects.filter(customer=customer, birthday=date(1990, 3, 5)).count() == 8


def test_a_code_may_appear_once_in_a_file(seller):
    batch = checked(seller, TITLES, [["A1", "甲公司"], ["Ａ１", "乙公司"]])
    assert problems(batch) == {3: ["客户代码“Ａ１”与第 2 行重复，同一文件中只能出现一次。"]}


def test_a_row_that_repeats_another_word_for_word_is_skipped(seller):
    batch = checked(seller, TITLES, [["A1", "甲公司", "A级"], ["A1", "甲公司", "A级"], ["A1", "甲公司", "B级"]])
    assert kinds(batch) == ["新增", "无变化", "错误"]
    later = check.Checker(batch, seller).chunk([Row(5000, ["A1", "甲公司", "A级"])])
    assert later[0]["kind"] == Kind.UNCHANGED


def test_a_row_repeated_in_a_later_chunk_of_a_file_that_is_stored_already_is_skipped_too(seller):
    row = ["A1", "甲公司", "A级"]
    applied(checked(seller, TITLES, [row]))
    batch = checked(seller, TITLES, [row])
    later = check.Checker(batch, seller).chunk([Row(5000, row), Row(5001, ["A1", "甲公司", "B级"])])
    assert [staged["kind"] for staged in later] == [Kind.UNCHANGED, Kind.ERROR]
    assert "与第 2 行重复" in later[1]["problems"][0]["text"]


def test_headcounts_and_places_find_their_class(seller):
    titles = ["客户名称", "企业规模", "所属地区"]
    batch = checked(
        seller, titles, [["甲公司", 2822, "上海浦东"], ["乙公司", "35人", "广东省深圳市"], ["丙公司", 19, "华北"]]
    )
    applied(batch)
    found = Customer.objects.order_by("pk").values_list("scale__label", "area__label")
    assert list(found) == [("1000人以上", "华东"), ("20-99人", "华南"), ("20人以下", "华北")]


def test_rows_repeated_in_a_later_chunk_are_noticed(seller):
    batch = checked(seller, TITLES, [["A1", "甲公司"]])
    later = check.Checker(batch, seller).chunk([Row(5000, ["a1", "乙公司"])])
    assert "与第 2 行重复" in later[0]["problems"][0]["text"]


def test_the_hidden_part_of_a_merged_cell_is_an_error(seller):
    batch = checked(seller, ["客户名称", "客户等级"], [["甲公司", "A级"], ["乙公司", None]], merged=[(2, 2, 3, 2)])
    assert problems(batch) == {3: ["客户等级是合并单元格的一部分，请取消合并并逐行填写。"]}


def test_the_same_file_twice_changes_nothing(seller):
    rows = [
        ["0001", "甲公司", "A级", "0755-86012345", "13%", "91440300MA5𠮷"],
        ["0002", "乙公司😀", "B级", "+86 13800138000", 0.06, ""],
    ]
    applied(checked(seller, TITLES, rows))
    before = BusinessLog.objects.count()
    again = checked(seller, TITLES, rows)
    assert kinds(again) == ["无变化", "无变化"]
    applied(again)
    assert BusinessLog.objects.count() == before
    assert Customer.objects.get(code="0001").tax_rate == 13 and Customer.objects.get(code="0002").tax_rate == 6


def test_a_changed_cell_is_previewed_and_applied_and_a_blank_one_changes_nothing(seller):
    customer = records.save(Customer(code="C1", name="甲公司", phone="0755-86012345", owner=seller), by=seller)
    batch = checked(seller, TITLES, [["C1", "甲公司", "A级", None]])
    row = batch.rows.get()
    assert row.kind == Kind.CHANGED and list(row.changes) == ["level"]
    applied(batch)
    customer.refresh_from_db()
    assert (customer.level.code, customer.phone, customer.lock_version) == ("A", "0755-86012345", 2)


def test_a_code_with_another_name_is_a_conflict_unless_renaming_is_allowed(seller):
    records.save(Customer(code="C1", name="甲公司", owner=seller), by=seller)
    rows = [["C1", "甲公司（新）"]]
    assert "该代码已是“甲公司”" in problems(checked(seller, TITLES, rows))[2][0]
    assert kinds(checked(seller, TITLES, rows, rename=True)) == ["更新"]


def test_somebody_elses_customer_is_neither_changed_nor_shown(seller, colleague):
    foreign = records.save(Customer(code="C9", name="别人的公司", phone="021-55556666", owner=colleague), by=colleague)
    batch = checked(seller, TITLES, [["C9", "别人的公司", "A级"], ["", "别人的公司", "A级"]])
    texts = problems(batch)
    assert "归属：华东销售部" in texts[2][0] and "归属：华东销售部" in texts[3][0]
    assert kinds(batch) == ["冲突", "冲突"]
    assert all("55556666" not in str(row.__dict__) for row in batch.rows.all())
    applied(batch)
    foreign.refresh_from_db()
    assert foreign.level is None and foreign.lock_version == 1


def test_a_customer_one_may_only_read_is_no_fault_as_long_as_nothing_differs(seller, colleague):
    """So that somebody's export reads back without complaint."""
    customer = records.save(Customer(code="C1", name="甲公司", owner=colleague), by=colleague)
    ownership.add_collaborator(customer, seller, by=None, level="view")
    assert kinds(checked(seller, TITLES, [["C1", "甲公司"]])) == ["无变化"]
    batch = checked(seller, TITLES, [["C1", "甲公司", "A级"]])
    assert problems(batch) == {2: ["这条记录您只能查看，不能修改。"]} and kinds(batch) == ["冲突"]
    applied(batch)
    customer.refresh_from_db()
    assert customer.level is None


def test_what_was_transferred_after_the_preview_is_not_written(seller, colleague):
    customer = records.save(Customer(code="C1", name="甲公司", owner=seller), by=seller)
    batch = checked(seller, TITLES, [["C1", "甲公司", "A级"]])
    ownership.set_owner(customer, colleague, by=None)
    applied(batch)
    assert batch.rows.get().outcome == ImportRow.Outcome.REFUSED
    assert Customer.objects.get(code="C1").level is None


def test_what_changed_after_the_preview_is_not_overwritten(seller):
    customer = records.save(Customer(code="C1", name="甲公司", owner=seller), by=seller)
    batch = checked(seller, TITLES, [["C1", "甲公司", "A级"]])
    customer.phone = "0755-86010000"
    records.save(customer, by=seller)
    applied(batch)
    assert "已被他人修改" in batch.rows.get().problems[0]["text"]


def test_a_record_created_after_the_preview_is_not_doubled(seller):
    batch = checked(seller, TITLES, [["C1", "甲公司"]])
    records.save(Customer(code="c1", name="甲公司", owner=seller), by=seller)
    applied(batch)
    assert Customer.objects.count() == 1
    assert batch.rows.get().outcome == ImportRow.Outcome.REFUSED


def test_the_importer_owns_what_he_imports_whatever_the_file_says(seller, colleague):
    assert "owner" not in resource_for("customers.Customer").visible(seller, importing=True)
    applied(checked(seller, TITLES, [["C1", "甲公司"]]))
    assert Customer.objects.get().owner == seller


def test_a_manager_may_import_for_his_people(seller, colleague):
    seller.groups.add(Role.objects.get(name="管理员"))
    boss = type(seller).objects.get(pk=seller.pk)
    applied(checked(boss, ["客户名称", "负责人"], [["甲公司", "李四"], ["乙公司", None]]))
    assert [c.owner.full_name for c in Customer.objects.order_by("code")] == ["李四", "张三"]
    assert not any(found.exists() for found in ownership.disagreements(Customer).values())


def test_blank_codes_are_numbered_in_the_order_of_the_file(seller):
    applied(checked(seller, ["客户名称"], [["甲公司"], ["乙公司"]]))
    codes = list(Customer.objects.order_by("pk").values_list("code", flat=True))
    assert codes == sorted(codes) and len(set(codes)) == 2


def test_contact_columns_write_the_customers_contact(seller):
    titles = ["客户名称", "联系人", "联系人手机", "标签"]
    Tag.objects.create(name="重点")
    Tag.objects.create(name="外贸")
    applied(checked(seller, titles, [["甲公司", "王芳", 13800138000.0, "重点、外贸"]]))
    contact = Contact.objects.get()
    assert (contact.name, contact.mobile, contact.is_default) == ("王芳", "13800138000", True)
    assert contact.history.count() == 1
    again = checked(seller, titles, [["甲公司", "王芳", "138 0013 8000", "外贸,重点"]])
    assert again.rows.get().changes == {"+mobile": ["13800138000", "138 0013 8000"]}
    other = checked(seller, titles, [["甲公司", "李雷", "13900139000"]])
    applied(other)
    assert sorted(Contact.objects.values_list("name", "is_default")) == [("李雷", False), ("王芳", True)]


def test_words_nobody_knows_can_be_given_a_meaning(seller):
    rows = [["甲公司", "technolgy"], ["乙公司", "奇怪的行业"]]
    batch = checked(seller, ["客户名称", "所属行业"], rows, values={"industry": {"奇怪的行业": "零售"}})
    assert kinds(batch) == ["新增", "新增"]
    emptied = checked(
        seller, ["客户名称", "所属行业"], [["丙公司", "奇怪的行业"]], values={"industry": {"奇怪的行业": ""}}
    )
    assert emptied.rows.get().values == {"name": "丙公司"}


def test_defaults_fill_what_the_file_lacks(seller):
    batch = checked(seller, ["客户名称"], [["甲公司"]], defaults={"level": "A级"})
    applied(batch)
    assert Customer.objects.get().level.code == "A"


def test_undo_takes_new_records_and_grants_away_and_restores_changed_ones(seller):
    old = records.save(
        Customer(code="C1", name="甲公司", owner=seller), by=seller, m2m={"tags": [Tag.objects.create(name="旧")]}
    )
    Tag.objects.create(name="新")
    titles = ["客户代码", "客户名称", "客户等级", "标签", "联系人"]
    batch = applied(
        checked(seller, titles, [["C1", "甲公司", "A级", "新", "王芳"], ["C2", "乙公司", "B级", "新", "李雷"]])
    )
    assert undone(batch) == []
    old.refresh_from_db()
    assert old.level is None and [tag.name for tag in old.tags.all()] == ["旧"] and old.lock_version == 3
    assert not Customer.objects.filter(code="C2").exists() and not Contact.objects.exists()
    assert CustomerUserObjectPermission.objects.exclude(content_object=old).count() == 0
    assert Customer.history.filter(code="C2", history_type="-").count() == 1
    assert BusinessLog.objects.filter(operation=Operation.DELETE, business_no="C2").count() == 2
    assert kinds(checked(seller, titles, [["C2", "乙公司"]])) == ["新增"]


def test_undo_leaves_and_lists_what_was_touched_since(seller):
    batch = applied(checked(seller, ["客户名称"], [["甲公司"], ["乙公司"], ["丙公司"]]))
    touched = Customer.objects.get(name="甲公司")
    touched.phone = "0755-86012345"
    records.save(touched, by=seller)
    records.save(Contact(customer=Customer.objects.get(name="乙公司"), name="新联系人"), by=seller)
    assert sorted(undone(batch)) == ["乙公司", "甲公司"]
    assert set(Customer.objects.values_list("name", flat=True)) == {"甲公司", "乙公司"}


def test_an_import_that_changes_owners_moves_their_rights(person):
    """The former owner keeps nothing, the new one gets everything; undo turns it back; it takes the right to assign."""
    unit = make(Department, manager=None)
    boss, old, new = (person(role, department=unit) for role in ("销售主管", "销售", "销售"))
    customer = make(Customer, owner=old, code="C1", name="前海云创")
    ownership.add_collaborator(customer, new, by=None, level="view")
    rows = [["C1", "前海云创", new.username]]
    batch = applied(checked(boss, ["客户代码", "客户名称", "负责人"], rows))
    assert Customer.objects.get(pk=customer.pk).owner == new
    found = ownership.disagreements(Customer)
    assert not found["missing"] and not found["stray"]
    assert not CustomerUserObjectPermission.objects.filter(content_object=customer, user=old).exists()
    undone(batch)
    assert Customer.objects.get(pk=customer.pk).owner == old
    found = ownership.disagreements(Customer)
    assert not found["missing"] and not found["stray"]
    elsewhere = person("销售主管", department=make(Department, manager=None))
    ownership.add_collaborator(customer, elsewhere, by=None, level="change")
    refused = checked(elsewhere, ["客户代码", "客户名称", "负责人"], [["C1", "前海云创", elsewhere.username]])
    assert kinds(refused) == ["冲突"]
