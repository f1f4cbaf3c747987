"""The attachments of a customer: who sees them, what a browser gets, what the pages refuse."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext

from crm import ownership, transitions
from crm.attachments import receive
from crm.models import ApprovalRequest, BusinessLog, DictionaryItem, Operation
from customers.models import Customer, CustomerAttachment, ReviewStatus
from tests.contract.probes import form_values
from tests.crm.attachments.samples import EXE, PDF, SVG, picture
from tests.factories import make

pytestmark = pytest.mark.django_db
PAGES = ("change", "download", "preview", "thumbnail", "history", "delete")


@pytest.fixture
def seller(person):
    return person("销售")


@pytest.fixture
def customer(seller):
    return make(Customer, owner=seller)


@pytest.fixture
def attachment(customer, seller):
    upload = SimpleUploadedFile("门店照片.jpg", picture("JPEG"))
    return receive(CustomerAttachment, customer, upload, by=seller)


def page(attachment, name):
    return f"/customers/customerattachment/{attachment.pk}/{name}/"


def upload_page(customer):
    return f"/customers/customerattachment/upload/{customer.pk}/"


def texts(response):
    return [str(message) for message in response.context["messages"]]


# --- Who --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAGES)
def test_the_link_of_a_former_owner_is_dead_on_the_next_request(attachment, customer, seller, person, browse, name):
    browser = browse(seller)
    assert browser.get(page(attachment, name)).status_code == 200
    ownership.set_owner(customer, person("销售"), by=None)
    assert browser.get(page(attachment, name)).status_code == 404


@pytest.mark.parametrize("name", PAGES)
def test_a_removed_attachment_is_gone_for_everybody(attachment, person, browse, name):
    administrator = browse(person("管理员"))
    administrator.post(page(attachment, "delete"), {"post": "yes"})
    assert administrator.get(page(attachment, name)).status_code == 404


def test_who_may_only_look_downloads_and_uploads_nothing(attachment, customer, person, browse):
    reader = person("销售")
    ownership.add_collaborator(customer, reader, by=None, level="view")
    browser = browse(reader)
    assert browser.get(page(attachment, "download")).status_code == 200
    opened = browser.get(f"/customers/customer/{customer.pk}/change/").content.decode()
    assert "门店照片.jpg" in opened and "data-upload" not in opened
    answer = browser.post(upload_page(customer), {"files": SimpleUploadedFile("合同.pdf", PDF)})
    assert answer.status_code == 403 and CustomerAttachment.objects.count() == 1


def test_marketing_sees_customers_and_none_of_their_files(attachment, customer, person, browse):
    browser = browse(person("市场"))
    assert "门店照片" not in browser.get(f"/customers/customer/{customer.pk}/change/").content.decode()
    assert browser.get(page(attachment, "download")).status_code == 404


def test_files_are_uploaded_to_visible_customers_by_post_alone(customer, seller, person, browse):
    foreign = make(Customer)
    assert browse(seller).post(upload_page(foreign), {"files": SimpleUploadedFile("合同.pdf", PDF)}).status_code == 404
    assert browse(seller).get(upload_page(customer)).status_code == 404
    assert browse().post(upload_page(customer)).status_code == 302
    assert not CustomerAttachment.objects.exists()


# --- What a browser gets ----------------------------------------------------------------------------------------------


def test_a_download_is_saved_under_its_name_and_never_shown(customer, seller, browse):
    upload = SimpleUploadedFile("年度 合同“甲”.pdf", PDF, "text/html")
    attachment = receive(CustomerAttachment, customer, upload, by=seller)
    answer = browse(seller).get(page(attachment, "download"), headers={"accept-encoding": "gzip"})
    assert b"".join(answer.streaming_content) == PDF
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["Content-Disposition"].startswith("attachment; filename*=utf-8''")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer["Content-Security-Policy"] and "no-store" in answer["Cache-Control"]


@pytest.mark.parametrize("name", ["preview", "thumbnail"])
def test_a_preview_is_a_redrawn_picture_that_cannot_run(attachment, seller, browse, name):
    answer = browse(seller).get(page(attachment, name))
    content = b"".join(answer.streaming_content)
    assert answer["Content-Type"] == "image/webp" and content[8:12] == b"WEBP"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"].startswith("default-src 'none'") and "no-store" in answer["Cache-Control"]


def test_what_is_no_picture_has_no_preview(customer, seller, browse):
    attachment = receive(CustomerAttachment, customer, SimpleUploadedFile("合同.pdf", PDF), by=seller)
    assert browse(seller).get(page(attachment, "preview")).status_code == 404


# --- Uploading --------------------------------------------------------------------------------------------------------


def test_several_files_come_in_at_once_and_a_bad_one_keeps_no_other_out(customer, seller, browse):
    sent = [
        SimpleUploadedFile("合同.pdf", PDF),
        SimpleUploadedFile("发票.pdf", EXE),
        SimpleUploadedFile("照片.png", picture()),
        SimpleUploadedFile("图标.png", SVG),
    ]
    answer = browse(seller).post(upload_page(customer), {"files": sent, "remark": "三月签"}, follow=True)
    assert answer.redirect_chain[-1][0] == f"/customers/customer/{customer.pk}/change/#attachments"
    assert set(customer.attachments.values_list("name", "remark")) == {("合同.pdf", "三月签"), ("照片.png", "三月签")}
    shown = texts(answer)
    assert len(shown) == 3 and shown[-1] == "已上传 2 个文件。"
    assert "“发票.pdf”没有上传" in shown[0] and "“图标.png”没有上传" in shown[1]


def test_uploading_nothing_says_so(customer, seller, browse):
    assert texts(browse(seller).post(upload_page(customer), follow=True)) == ["没有选择文件，请选择后再上传。"]


def test_more_files_than_one_upload_takes_are_counted(customer, seller, browse):
    sent = [SimpleUploadedFile(f"{number}.txt", b"x") for number in range(22)]
    answer = browse(seller).post(upload_page(customer), {"files": sent}, follow=True)
    assert customer.attachments.count() == 20 and "还有 2 个没有上传" in texts(answer)[-1]


# --- Life -------------------------------------------------------------------------------------------------------------


def test_discarding_needs_a_reason_and_can_be_taken_back(attachment, seller):
    with pytest.raises(transitions.TransitionRefused):
        transitions.run(attachment, "discard", by=seller)
    assert transitions.run(attachment, "discard", by=seller, reason="拍糊了").state == "discarded"
    assert transitions.run(attachment, "reinstate", by=seller).state == "active"
    reasons = BusinessLog.objects.filter(object_id=attachment.pk, operation=Operation.TRANSITION)
    assert "拍糊了" in reasons.values_list("remark", flat=True)


def test_renaming_keeps_the_extension_that_was_checked(attachment, seller, browse):
    browser = browse(seller)
    for typed, kept in (("营业执照", "营业执照.jpg"), ("a/b.exe", "b.exe.jpg"), ("新.JPG", "新.JPG")):
        filled = form_values(browser.get(page(attachment, "change")), CustomerAttachment)
        assert browser.post(page(attachment, "change"), {**filled, "name": typed}).status_code == 302
        attachment.refresh_from_db()
        assert attachment.name == kept


def test_what_is_said_about_a_file_is_written_and_read_through_its_form(attachment, seller, browse):
    """Every column of the old table that a person fills in."""
    browser, contract = browse(seller), DictionaryItem.objects.get(type="attachment_kind", code="contract")
    filled = form_values(browser.get(page(attachment, "change")), CustomerAttachment)
    values = {"name": "合同.jpg", "kind": contract.pk, "remark": "𠮷 一式两份", "is_closed": "on"}
    assert browser.post(page(attachment, "change"), {**filled, **values}).status_code == 302
    stored = CustomerAttachment.objects.get()
    assert (stored.name, stored.kind, stored.remark, stored.is_closed) == ("合同.jpg", contract, "𠮷 一式两份", True)


def test_files_of_an_approved_customer_come_and_go_without_a_request(seller, browse):
    """They are no part of the form that has to wait for an approval."""
    customer = make(Customer, owner=seller, review_status=ReviewStatus.APPROVED)
    browser = browse(seller)
    browser.post(upload_page(customer), {"files": SimpleUploadedFile("合同.pdf", PDF)})
    attachment = customer.attachments.get()
    browser.post(page(attachment, "delete"), {"post": "yes"})
    assert not customer.attachments.valid().exists() and not ApprovalRequest.objects.exists()


def test_the_log_tells_name_size_and_digest_and_every_download(attachment, seller, browse):
    """Never where the file lies, and nothing of what is in it."""
    browse(seller).get(page(attachment, "download"))
    created, taken = BusinessLog.objects.filter(object_id=attachment.pk, object_repr="门店照片.jpg").order_by("id")
    told = created.changes
    assert told["name"] == [None, "门店照片.jpg"] and told["size"] == [None, attachment.size]
    assert told["digest"] == [None, attachment.digest] and "file" not in told
    assert (taken.operation, taken.user, taken.remark) == (Operation.EXPORT, seller, "下载附件")
    assert taken.root_id == attachment.customer_id


def test_the_page_of_a_customer_costs_the_same_with_many_files(customer, seller, browse):
    browser, url, costs = browse(seller), f"/customers/customer/{customer.pk}/change/", []
    for count in (2, 10):
        for _ in range(count):
            make(CustomerAttachment, customer=customer, created_by=make(type(seller)))
        browser.get(url)
        with CaptureQueriesContext(connection) as captured:
            browser.get(url)
        costs.append(len(captured))
    assert costs[1] <= costs[0]
