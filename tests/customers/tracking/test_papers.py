"""Traces on paper: print view and PDF of what the list shows, bounded, and known to have been taken out."""

from urllib.parse import unquote

import pytest
from django.urls import reverse

from crm import pdf
from crm.models import BusinessLog, Operation
from crm.trails import Kind
from customers.models import Customer
from customers.tracking.admin import papers
from customers.tracking.models import Trace
from tests.factories import make

pytestmark = pytest.mark.django_db
PAGES = ("print", "paper", "pdf")


def url(page):
    return reverse(f"admin:tracking_trace_{page}")


@pytest.fixture
def auditor(person):
    return person("审计", full_name="袁红")


def test_paper_shows_what_the_list_shows_and_says_by_what_it_was_chosen(auditor, browse):
    customer = make(Customer, name="前海云创")
    make(Trace, customer=customer, kind=Kind.VIEW, event="查看客户-甲", user_name="张伟", role="销售", is_foreign=True)
    make(Trace, customer=customer, kind=Kind.EDIT, event="修改客户-乙")
    make(Trace, kind=Kind.VIEW, event="查看客户-丙")
    query = {"customer__id__exact": customer.pk, "kind": "view"}
    answer = browse(auditor).get(url("paper"), query)
    page = answer.content.decode()
    assert "查看客户-甲" in page and "修改客户-乙" not in page and "查看客户-丙" not in page
    assert "客户：<b>前海云创</b>" in page and "类型：<b>查看</b>" in page and "共 <b>1</b> 条" in page
    assert "张伟" in page and "非本人客户" in page and "袁红 于" in page
    assert "default-src 'none'" in answer["Content-Security-Policy"] and answer["X-Frame-Options"] == "SAMEORIGIN"


@pytest.mark.skipif(not pdf.available(), reason="没有 Pango")
def test_the_pdf_is_the_printed_page(auditor, browse):
    make(Trace, event="查看客户")
    answer = browse(auditor).get(url("pdf"), {"kind": "view"})
    assert answer["Content-Type"] == "application/pdf" and answer.content.startswith(b"%PDF-")
    assert "操作记录" in unquote(answer["Content-Disposition"])


def test_printing_is_logged_as_taking_out_and_counts_for_the_alerts(auditor, browse):
    for _ in range(3):
        make(Trace, kind=Kind.VIEW)
    browser = browse(auditor)
    browser.get(url("print"), {"kind": "view"})
    assert not BusinessLog.objects.filter(operation=Operation.EXPORT).exists(), "框里的纸才是内容"
    browser.get(url("paper"), {"kind": "view"})
    assert BusinessLog.objects.get(operation=Operation.EXPORT, user=auditor).remark == "打印操作记录 3 条 kind=view"
    own = Trace.objects.get(kind=Kind.EXPORT)
    assert (own.actor, own.rows, own.event) == (auditor, 3, "打印操作记录 3 条")
    if pdf.available():
        browser.get(url("pdf"))
        assert Trace.objects.filter(kind=Kind.EXPORT).latest("id").event == "下载操作记录 PDF 4 条"


def test_more_than_fits_on_paper_is_refused_with_what_to_do(auditor, browse, monkeypatch):
    monkeypatch.setattr(papers, "MOST", 2)
    for _ in range(3):
        make(Trace, event="查看客户-机密")
    browser = browse(auditor)
    words = "超过 2 条，一次最多打印 2 条。请按客户、操作人或时间缩小范围，或改用导出 Excel"
    for page in ("print", "pdf"):
        answer = browser.get(url(page), follow=True)
        assert answer.redirect_chain[-1][0] == url("changelist") and words in answer.content.decode()
    frame = browser.get(url("paper"))
    assert frame.status_code == 409 and words in frame.content.decode() and "机密" not in frame.content.decode()
    assert not BusinessLog.objects.filter(operation=Operation.EXPORT).exists()


def test_who_may_not_export_prints_nothing(person, browse):
    seller = person("销售")
    customer = make(Customer, owner=seller)
    make(Trace, customer=customer)
    browser = browse(seller)
    assert [browser.get(url(page)).status_code for page in PAGES] == [403, 403, 403]
    assert (
        url("print") not in browser.get(reverse("admin:customers_customer_change", args=[customer.pk])).content.decode()
    )


def test_a_manager_prints_the_timeline_of_his_customers_and_no_others(person, browse):
    manager = person("销售主管")
    own, foreign = make(Customer, owner=manager), make(Customer)
    make(Trace, customer=own, event="看了自己的")
    make(Trace, customer=foreign, event="看了别人的", user_name="外人")
    browser = browse(manager)
    page = browser.get(reverse("admin:customers_customer_change", args=[own.pk])).content.decode()
    assert f"{url('print')}?customer__id__exact={own.pk}" in page
    assert "看了自己的" in browser.get(url("paper"), {"customer__id__exact": own.pk}).content.decode()
    hidden = browser.get(url("paper"), {"customer__id__exact": foreign.pk}).content.decode()
    assert "看了别人的" not in hidden and str(foreign) not in hidden and "没有操作记录" in hidden


def test_where_pango_is_missing_the_list_says_what_to_install(auditor, browse, monkeypatch):
    monkeypatch.setattr(pdf, "_library", lambda: None)
    make(Trace)
    answer = browse(auditor).get(url("pdf"), follow=True)
    assert "apt-get install" in answer.content.decode()
    assert not BusinessLog.objects.filter(operation=Operation.EXPORT).exists()
