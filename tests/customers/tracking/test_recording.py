"""What is recorded of operations on customers: by the admin itself, and by the pages' own call."""

import json

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from crm import ownership, records, trails
from crm.approvals import engine
from crm.models import ApprovalRequest, BusinessLog, Company, Department, Operation, Role, Side, User
from crm.trails import Kind
from customers.models import Contact, Customer, Interaction, ReviewStatus
from customers.services import merging, unmerging
from customers.tracking.models import Delivery, Source, Trace
from customers.tracking.services import lookup, recording
from customers.tracking.wechat.models import WechatUser
from sales.models import FollowUp
from tests.browsing import posted
from tests.contract.probes import form_values
from tests.factories import make

pytestmark = pytest.mark.django_db
URL = "/api/information-tracking/record"


def page(name, *args):
    return reverse(f"admin:customers_{name}", args=args)


def page_of(customer):
    return page("customer_change", customer.pk)


@pytest.fixture
def seller(person):
    return person("销售", side=Side.SALES, organization="国内业务", company=make(Company, name="深圳客源"))


@pytest.fixture
def customer(seller):
    return make(Customer, owner=seller, phone="13800138000")


# --- By the server ----------------------------------------------------------------------------------------------------


def test_a_view_is_recorded_with_who_the_person_was_then(seller, customer, browse):
    assistant = make(User, full_name="小助")
    User.objects.filter(pk=seller.pk).update(assistant=assistant)
    browse(seller).get(page("customer_change", customer.pk))
    trace = Trace.objects.get()
    assert (trace.kind, trace.event, trace.customer) == (Kind.VIEW, "查看客户", customer)
    assert (trace.company, trace.department) == ("深圳客源", str(seller.department or ""))
    assert (trace.organization, trace.role, trace.user_name) == ("国内业务", "销售", seller.full_name)
    assert (trace.assistant, trace.side, trace.ip) == ("小助", Side.SALES, "127.0.0.1")
    assert not trace.is_foreign and trace.delivery == Delivery.PENDING

    User.objects.filter(pk=seller.pk).update(full_name="改名", organization="海外业务")
    trace.refresh_from_db()
    assert trace.organization == "国内业务"


def test_each_kind_of_operation_leaves_its_trace(seller, customer, browse):
    browser = browse(seller)
    change = page("customer_change", customer.pk)
    values = form_values(browser.get(change), Customer)
    assert browser.post(change, {**values, "short_name": "新简称"}).status_code == 302
    quick = reverse("admin:sales_followup_quick")
    answer = browser.post(quick, {"customer": customer.pk, "content": "电话沟通", "time": "2026-01-05T09:30"})
    assert answer.status_code == 302 and FollowUp.objects.exists()
    browser.post(page("interaction_quick"), {"customer": customer.pk, "overview": "到访", "time": "2026-01-05T10:30"})
    assert Interaction.objects.exists()
    answer = browser.post(page("customer_export"), {"columns": ["code"], "format": "csv"})
    assert answer.status_code == 200 and b"".join(answer.streaming_content)
    kinds = list(Trace.objects.order_by("id").values_list("kind", "event", "customer", "rows"))
    assert kinds == [
        (Kind.VIEW, "查看客户", customer.pk, 1),
        (Kind.EDIT, "修改客户", customer.pk, 1),
        (Kind.FOLLOW_UP, "新建跟进记录", customer.pk, 1),
        (Kind.FOLLOW_UP, "新建会话记录", customer.pk, 1),
        (Kind.EXPORT, "导出客户 1 行", None, 1),
    ]


def test_looking_at_a_phone_number_in_the_sea_is_recorded(person, browse):
    manager, customer = person("销售主管"), make(Customer, owner=None)
    assert browse(manager).post(page("seacustomer_reveal", customer.pk)).status_code == 200
    trace = Trace.objects.get()
    assert (trace.kind, trace.customer, trace.is_foreign) == (Kind.REVEAL, customer, True)


def test_what_is_refused_leaves_no_trace(person, customer, browse):
    stranger = browse(person("销售"))
    assert stranger.get(page("customer_change", customer.pk)).status_code == 404
    assert not Trace.objects.exists()


def test_a_page_costs_at_most_one_insert_and_one_look_at_the_person(seller, customer, browse):
    browser, url = browse(seller), page("customer_change", customer.pk)
    browser.get(url)
    with CaptureQueriesContext(connection) as captured:
        browser.get(url)
    inserts = [query["sql"] for query in captured.captured_queries if query["sql"].startswith("INSERT")]
    assert len(inserts) == 1 and "tracking_trace" in inserts[0]
    with CaptureQueriesContext(connection) as without:
        trails.RECORDERS._providers, kept = {}, trails.RECORDERS._providers
        try:
            browser.get(url)
        finally:
            trails.RECORDERS._providers = kept
    assert len(captured) - len(without) == 2


def test_a_recorder_that_breaks_does_not_break_the_page(seller, customer, browse, monkeypatch):
    monkeypatch.setattr(recording, "as_they_are", lambda user: 1 / 0)
    assert browse(seller).get(page("customer_change", customer.pk)).status_code == 200
    assert not Trace.objects.exists()


def test_reading_traces_is_logged_itself(person, browse):
    auditor = person("审计")
    make(Trace)
    browse(auditor).get(reverse("admin:tracking_trace_changelist"), {"kind": "view"})
    browse(auditor).get(reverse("admin:tracking_trace_statistics"))
    log = BusinessLog.objects.filter(user=auditor, operation=Operation.REVEAL).order_by("id")
    assert [entry.remark for entry in log] == ["查看操作记录列表 kind=view", "查看操作统计"]
    assert Trace.objects.count() == 1


def test_the_customers_page_shows_its_timeline_to_those_who_may_read_traces(seller, customer, browse, person):
    make(Trace, customer=customer, event="查看客户-独一无二")
    assert "查看客户-独一无二" in browse(seller).get(page("customer_change", customer.pk)).content.decode()
    service = browse(person("客服"))
    assert "独一无二" not in service.get(page("customer_change", customer.pk)).content.decode()


def test_a_salesperson_reads_traces_of_his_customers_and_his_own_exports(seller, customer, person, browse):
    other = person("销售")
    make(Trace, customer=customer, actor=other, event="看了我的客户")
    make(Trace, customer=make(Customer, owner=other), actor=other, event="看了自己的客户")
    make(Trace, customer=None, actor=seller, event="导出了我的")
    make(Trace, customer=None, actor=other, event="导出了他的")
    answer = browse(seller).get(reverse("admin:tracking_trace_changelist"))
    assert {trace.event for trace in answer.context["cl"].result_list} == {"看了我的客户", "导出了我的"}


def test_a_merged_customer_brings_its_traces_along_and_takes_them_back(person, browse):
    boss = person("管理员")
    survivor, loser, third = (make(Customer, owner=boss) for _ in range(3))
    own, other = make(Trace, customer=survivor), make(Trace, customer=loser, event="看了并入的客户")
    done = merging.merge([survivor, loser], survivor, by=boss).merges[0]
    page = browse(boss).get(page_url := page_of(survivor)).content.decode()
    assert "看了并入的客户" in page
    later = make(Trace, customer=survivor, event="合并之后看的")
    chain = merging.merge([third, survivor], third, by=boss).merges[0]
    assert set(Trace.objects.filter(customer=third).values_list("pk", flat=True)) >= {own.pk, other.pk, later.pk}
    unmerging.undo(chain, by=boss)
    unmerging.undo(done, by=boss)
    assert [Trace.objects.get(pk=row.pk).customer for row in (own, other, later)] == [survivor, loser, survivor]
    assert "看了并入的客户" not in browse(boss).get(page_url).content.decode()


def test_traces_of_a_removed_customer_are_read_by_those_who_see_all(person, browse):
    manager = person("销售主管")
    customer = make(Customer, owner=manager, name="已经不在的客户", code="KH-GONE")
    trace = make(Trace, customer=customer, event="删除之前看的")
    records.remove(customer, by=manager)
    for role in ("审计", "管理员"):
        browser = browse(person(role))
        for words in ({}, {"q": "KH-GONE"}, {"q": "已经不在"}, {"customer__id__exact": customer.pk}):
            answer = browser.get(reverse("admin:tracking_trace_changelist"), words)
            assert trace in answer.context["cl"].result_list, (role, words)
            assert "已经不在的客户（已删除）" in answer.content.decode()
        detail = browser.get(reverse("admin:tracking_trace_change", args=[trace.pk])).content.decode()
        assert "已经不在的客户（已删除）" in detail
    for role in ("销售主管", "销售总监", "销售"):
        answer = browse(person(role, department=manager.department)).get(reverse("admin:tracking_trace_changelist"))
        assert not answer.context["cl"].result_list, role


def test_a_change_that_needs_approval_leaves_the_trace_of_who_asked_and_who_agreed(person, browse):
    unit = make(Department, manager=person("销售主管"))
    seller, _ = person("销售", department=unit), person("审批人")
    customer = make(Customer, owner=seller, created_by=seller, review_status=ReviewStatus.APPROVED)
    browser = browse(seller)
    answer = posted(browser, page_of(customer), name="改了名的客户")
    assert Trace.objects.filter(kind=Kind.EDIT).count() == 0, "还没有提交"
    given = {"proposal": answer.context["proposal"], "reason": "执照已更新"}
    browser.post(answer.context["propose_url"], given)
    asked = Trace.objects.get(kind=Kind.EDIT)
    assert (asked.event, asked.actor, asked.customer) == ("提交客户变更", seller, customer)
    request = ApprovalRequest.objects.get()
    decided = engine.waiting_for(request)[0]
    given = {"decision": "approve", "digest": request.digest}
    browse(decided).post(reverse("admin:crm_approvalrequest_decide", args=[request.pk]), given)
    agreed = Trace.objects.filter(kind=Kind.EDIT).latest("id")
    assert (agreed.event, agreed.actor, agreed.customer) == ("同意客户变更", decided, customer)


@pytest.mark.parametrize("words", ["特征客户", "独特人", "138 0013 8000", "奇怪操作"])
def test_traces_are_found_by_customer_person_phone_and_event(words, person, browse):
    customer, actor = make(Customer, name="特征客户"), make(User, full_name="独特人")
    wanted = make(Trace, customer=customer, actor=actor, phone="+8613800138000", event="奇怪操作")
    make(Trace)
    answer = browse(person("审计")).get(reverse("admin:tracking_trace_changelist"), {"q": words})
    assert [trace.pk for trace in answer.context["cl"].result_list] == [wanted.pk]


# --- By the call of the seed ------------------------------------------------------------------------------------------

two_databases = pytest.mark.django_db(databases=["default", "wechat"])


def call(client, *, phone="13800138000", event="查看客户详情", query="?isSupplySide=false", **more):
    body = json.dumps({"phoneNumber": phone, "operationEvent": event, **more})
    answer = client.post(URL + query, body, content_type="application/json")
    return answer.status_code, answer.json()


DONE = (200, {"success": True, "message": "操作记录成功"})
NOBODY = (401, {"success": False, "message": "用户未登录或认证信息缺失"})
UNKNOWN = (400, {"success": False, "message": "未找到对应的客户信息"})
INCOMPLETE = (400, {"success": False, "message": "电话号码和操作事件不能为空"})


@two_databases
def test_a_wechat_user_is_found_before_a_contact(seller, customer, browse):
    make(Contact, customer=customer, mobile="13800138000")
    WechatUser.objects.create(user_id="wx-7", phone="138-0013-8000")
    assert call(browse(seller), phone="+86 138 0013 8000", eventType="view") == DONE
    trace = Trace.objects.get()
    assert (trace.source, trace.external_id, trace.customer) == (Source.WECHAT, "wx-7", customer)
    assert (trace.kind, trace.event, trace.event_type) == (Kind.VIEW, "查看客户详情", "view")


@two_databases
def test_a_contact_is_found_where_there_is_no_wechat_user(seller, customer, browse):
    contact = make(Contact, customer=customer, mobile="13900139000")
    assert call(browse(seller), phone="139 0013 9000", event="更新客户跟进") == DONE
    trace = Trace.objects.get()
    assert (trace.source, trace.external_id, trace.kind) == (Source.CONTACT, str(contact.pk), Kind.FOLLOW_UP)


@two_databases
def test_only_permitted_customers_may_be_traced(seller, browse):
    """A number of somebody else's customer is answered like one that nobody has."""
    make(Contact, mobile="13900139000")
    assert call(browse(seller), phone="13900139000") == UNKNOWN
    assert call(browse(seller), phone="13700137000") == UNKNOWN
    assert not Trace.objects.exists()


@two_databases
def test_missing_parameters(seller, browse):
    assert call(browse(seller), phone="") == INCOMPLETE
    assert call(browse(seller), event=" ") == INCOMPLETE


@two_databases
@pytest.mark.parametrize("query", ["", "?isSupplySide=true", "?isSupplySide=", "?isSupplySide=0", "?isSupplySide=no"])
def test_anything_but_false_means_the_supply_side(query, seller, customer, browse, person):
    assert call(browse(seller), query=query) == NOBODY
    supplier = person("销售", side=Side.SUPPLY)
    ownership.add_collaborator(customer, supplier, by=None, level="view")
    assert call(browse(supplier), query=query) == DONE
    assert call(browse(supplier), query="?isSupplySide=FALSE") == NOBODY


def test_without_a_session_it_answers_401_even_without_a_csrf_token():
    assert call(Client(enforce_csrf_checks=True)) == NOBODY


def test_a_session_without_a_csrf_token_is_refused(seller):
    client = Client(enforce_csrf_checks=True)
    client.force_login(seller)
    status, body = call(client)
    assert status == 403 and body["success"] is False


@pytest.mark.parametrize("body", ["", "[]", "{", '{"phoneNumber": ["1"], "operationEvent": "x"}', '{"a": "\\ud800"}'])
def test_what_is_no_json_object_of_texts_is_refused(body, seller, browse):
    assert browse(seller).post(URL, body, content_type="application/json").status_code == 400


def test_an_exception_is_never_shown(seller, browse, monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("secret table name")

    monkeypatch.setattr(recording, "record_by_phone", broken)
    status, body = call(browse(seller))
    assert (status, body["success"]) == (500, False) and "secret" not in body["message"]


@two_databases
def test_too_many_calls_are_refused(seller, customer, browse, settings):
    settings.API_USER_LIMIT = 3
    browser = browse(seller)
    assert [call(browser)[0] for _ in range(5)] == [200, 200, 200, 429, 429]


@two_databases
def test_a_wechat_database_that_is_down_holds_nobody_up(seller, customer, browse, monkeypatch):
    """Our own customers are recorded as found, an unknown number is looked up later."""

    def refused(keys):
        raise lookup.Unavailable("down")

    monkeypatch.setattr(lookup, "wechat_users", refused)
    assert call(browse(seller)) == DONE
    assert call(browse(seller), phone="13700137000") == DONE
    known, unknown = Trace.objects.order_by("id")
    assert (known.source, known.external_id) == (Source.CUSTOMER, str(customer.pk))
    assert (unknown.source, unknown.delivery) == ("", Delivery.PENDING)


def test_an_inactive_role_is_not_among_the_roles_of_a_trace(seller, customer, browse):
    role = Role.objects.get(name="市场")
    seller.groups.add(role)
    Role.objects.filter(pk=role.pk).update(is_active=False)
    assert recording.as_they_are(seller)["role"] == "销售"
