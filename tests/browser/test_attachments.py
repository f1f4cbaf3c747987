"""Files and credentials of a customer, in a real browser."""

import pytest

from crm import records
from crm.models import Role, User
from customers.models import ApiCredential, Customer, ReviewStatus
from customers.services import credentials
from tests.crm.attachments.samples import EXE, PDF, picture

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def person(username, full_name, role):
    user = User.objects.create_user(username, password="keyuan2026", full_name=full_name, is_staff=True)
    user.groups.add(Role.objects.get(name=role))
    return user


@pytest.fixture
def seller(transactional_db):
    return person("zhangsan", "张三", "销售")


@pytest.fixture
def administrator(transactional_db):
    return person("pengyong", "彭勇", "管理员")


@pytest.fixture
def customer(seller):
    customer = Customer(name="深圳市前海云创科技有限公司", owner=seller, review_status=ReviewStatus.APPROVED)
    return records.save(customer, by=seller)


def test_a_salesperson_attaches_files(visitor, seller, customer, tmp_path):
    """Several at once: what cannot go is named beforehand, what is disguised afterwards, the rest has a thumbnail."""
    contents = {"合同.pdf": PDF, "门店.jpg": picture("JPEG", (800, 600)), "发票.pdf": EXE, "工具.exe": EXE}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    window = visitor()
    window.log_in(seller)
    window.open(f"/customers/customer/{customer.pk}/change/#attachments")
    page = window.page
    page.set_input_files("[data-upload] input[type=file]", [tmp_path / name for name in contents])
    assert "工具.exe" in page.inner_text(".ky-chosen .ky-wrong")
    window.shoot("1-chosen")
    page.click("[data-upload] button")
    page.wait_for_selector("text=已上传 2 个文件。")
    assert page.is_visible("text=“发票.pdf”没有上传：扩展名是 pdf，内容却是“Windows 程序”")
    assert page.is_visible("#attachments-group >> text=门店.jpg")
    picture_shown = page.locator("img.ky-thumbnail")
    page.wait_for_function("document.querySelector('img.ky-thumbnail').naturalWidth > 0")
    assert picture_shown.count() == 1
    window.shoot("2-uploaded")
    with page.expect_download() as saved:
        page.click("#attachments-group >> text=合同.pdf")
    assert saved.value.suggested_filename == "合同.pdf" and saved.value.path().read_bytes() == PDF

    phone = visitor(width=390, height=844)
    phone.log_in(seller)
    phone.open(f"/customers/customer/{customer.pk}/change/#attachments")
    phone.page.wait_for_selector("#attachments-group")
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= 390
    phone.shoot("3-phone")


def test_an_administrator_looks_a_secret_up(visitor, administrator, customer):
    """Only after the password; and when the page is opened again, it is not there."""
    credential = credentials.issue_credential(ApiCredential(customer=customer, purpose="正式环境"), by=administrator)
    secret = credential.app_secret.open()
    window = visitor()
    window.log_in(administrator)
    window.open(f"/customers/customer/{customer.pk}/change/#api_credentials")
    window.page.click("#api_credentials-group >> text=打开")
    window.page.click("summary:has-text('显示密钥')")
    window.shoot("1-ask")
    window.page.fill("[name=password]", "wrong")
    window.page.press("[name=password]", "Enter")
    window.page.wait_for_selector("text=登录密码不正确，密钥没有显示。")
    window.page.click("summary:has-text('显示密钥')")
    window.page.fill("[name=password]", "keyuan2026")
    window.page.press("[name=password]", "Enter")
    window.page.wait_for_selector(f"text={secret}")
    window.shoot("2-shown")
    window.page.click("text=我已保存，返回")
    window.page.wait_for_load_state()
    assert secret not in window.page.content()
    window.open(f"/customers/apicredential/{credential.pk}/history/")
    assert window.page.is_visible("text=查看应用密钥：登录密码不正确，没有显示") and secret not in window.page.content()
