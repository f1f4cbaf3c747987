"""What people do all day, in a real browser."""

import io
from pathlib import Path

import openpyxl
import pytest

from crm import ownership, records
from crm.models import Department
from customers.models import Contact, Customer
from tests.browser.company import hire

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def company(transactional_db):
    south, east = (Department.objects.create(name=name) for name in ("华南销售部", "华东销售部"))
    zhang = hire("zhangsan", "张三", "销售", south)
    li = hire("lisi", "李四", "销售", east)
    boss = hire("wangwu", "王五", "销售主管", south)
    own = records.save(Customer(name="深圳市前海云创科技有限公司", phone="0755-86012345", owner=zhang), by=zhang)
    records.save(Contact(customer=own, name="王芳", mobile="13800138000"), by=zhang)
    foreign = records.save(Customer(name="上海别人的公司", owner=li), by=li)
    return {"zhang": zhang, "li": li, "boss": boss, "own": own, "foreign": foreign}


@pytest.fixture
def workbook(tmp_path):
    """A customer's own table: a title above the header, our words and theirs, three faulty rows."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["2024 年客户资料汇总"])
    sheet.append(["编号", "公司名称", "客户等级", "行业", "电话", "联系人", "手机"])
    for number in range(30):
        sheet.append(
            [
                f"{number:04d}",
                f"深圳第{number}电子厂",
                "A级",
                "制造业",
                "0755-86010000",
                f"王{number}",
                f"138{number:08d}",
            ]
        )
    sheet.append(["0001", "重复的代码", "A级"])
    sheet.append(["0901", "等级不对的公司", "超级VIP"])
    sheet.append(["0902", "", "A级"])
    path = tmp_path / "客户资料.xlsx"
    book.save(path)
    return path


def test_logging_in_shows_the_desk_and_a_wrong_password_says_so(visitor, company):
    window = visitor()
    window.log_in(company["zhang"], "wrong")
    assert "用户名或密码不正确" in window.page.content()
    window.shoot("refused")
    window.log_in(company["zhang"])
    assert "工作台" in window.page.content()
    window.shoot("home")


def test_a_workbook_is_imported_with_preview_progress_and_error_file(visitor, company, workbook):
    window = visitor()
    window.log_in(company["zhang"])
    window.open("/customers/customer/")
    window.shoot("list")
    window.page.click("a[href*='/customers/customer/import/']")
    window.page.set_input_files("input[type=file]", str(workbook))
    window.page.click("text=上传并继续")
    window.shoot("mapping")
    assert window.page.input_value("[name=header_row]") == "2"
    window.page.click("text=检查数据")
    window.shoot("progress")
    window.workers_work()
    window.page.wait_for_selector("text=确认导入 30 条", timeout=15000)
    window.shoot("preview")
    window.page.click(".ky-tabs >> text=错误 3")
    assert "与第 4 行重复" in window.page.content() and "客户名称不能为空" in window.page.content()
    window.shoot("errors")
    with window.page.expect_download() as download:
        window.page.click("text=下载错误行")
    rows = list(
        openpyxl.load_workbook(io.BytesIO(Path(download.value.path()).read_bytes())).active.iter_rows(values_only=True)
    )
    assert rows[0][0] == "2024 年客户资料汇总" and rows[1][-1] == "错误原因" and len(rows) == 5
    window.page.click("text=确认导入")
    window.workers_work()
    window.page.wait_for_selector("text=查看列表", timeout=15000)
    window.shoot("result")
    assert Customer.objects.filter(owner=company["zhang"]).count() == 31


def test_two_people_edit_one_customer_and_the_second_is_shown_the_others_change(visitor, company):
    ownership.add_collaborator(company["own"], company["li"], by=None)
    first, second = visitor(), visitor()
    first.log_in(company["zhang"])
    second.log_in(company["li"])
    path = f"/customers/customer/{company['own'].pk}/change/"
    first.open(path)
    second.open(path)
    first.page.fill("[name=phone]", "0755-99998888")
    with first.page.expect_navigation():
        first.page.click("[name=_continue]")
    first.shoot("saved")
    second.page.fill("[name=short_name]", "云创")
    with second.page.expect_navigation():
        second.page.click("[name=_continue]")
    text = second.page.content()
    assert "您的修改没有保存" in text and "0755-99998888" in text and "张三" in text
    second.shoot("refused")
    company["own"].refresh_from_db()
    assert (company["own"].phone, company["own"].short_name) == ("0755-99998888", "")
    first.open(f"/customers/customer/{company['own'].pk}/history/")
    assert "0755-86012345" in first.page.content() and "张三" in first.page.content()
    first.shoot("history")


def test_somebody_elses_customer_does_not_exist(visitor, company):
    window = visitor()
    window.log_in(company["zhang"])
    answer = window.open(f"/customers/customer/{company['foreign'].pk}/change/")
    assert answer.status == 404
    assert "上海别人的公司" not in window.page.content()
    window.shoot("404")
    window.open("/customers/customer/?q=别人")
    assert "上海别人的公司" not in window.page.content()


def test_a_transferred_customer_leaves_the_former_owners_list_at_once(visitor, company):
    boss, zhang = visitor(), visitor()
    zhang.log_in(company["zhang"])
    zhang.open("/customers/customer/")
    assert "前海云创" in zhang.page.content()
    ownership.set_owner(company["own"], company["boss"], by=None)
    zhang.open("/customers/customer/")
    assert "前海云创" not in zhang.page.content()
    boss.log_in(company["boss"])
    boss.open(f"/customers/customer/{company['own'].pk}/change/")
    assert "前海云创" in boss.page.content()
    boss.shoot("customer")


def test_the_list_and_the_form_can_be_used_on_a_phone(visitor, company):
    window = visitor(width=390, height=844)
    window.log_in(company["zhang"])
    for title, path in {
        "home": "/",
        "list": "/customers/customer/",
        "form": f"/customers/customer/{company['own'].pk}/change/",
        "import": "/customers/customer/import/",
    }.items():
        window.open(path)
        overflow = window.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        window.shoot(title)
        assert overflow <= 1, f"{path} 在手机上横向溢出 {overflow} 像素"
