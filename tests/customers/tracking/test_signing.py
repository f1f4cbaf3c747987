"""Calls of customers' programs: who is let in, what is answered, what happens once, what is written down."""

import hashlib
import hmac
import json
import time
import uuid
from datetime import timedelta
from urllib.parse import quote

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from crm import ownership, transitions
from crm.models import BusinessLog, DictionaryItem, Notification, User
from crm.secrets import Secret
from customers.models import CancelKey, Customer, DealStatus, ReviewStatus
from customers.services import credentials
from customers.tracking.models import ApiCall, Reply
from sales.models import Contract, Order, OrderItem, OrderStatus
from sales.services import orders
from service.models import WorkOrder
from service.models.workorders import Origin
from tests.factories import make
from tests.races import run_together

pytestmark = pytest.mark.django_db
TOKEN = "token-of-the-customer"


@pytest.fixture
def customer():
    return make(Customer, review_status=ReviewStatus.APPROVED)


@pytest.fixture
def key(customer):
    return make(CancelKey, customer=customer, app_key="ck-test", app_token=Secret.seal(TOKEN))


@pytest.fixture
def order(customer):
    return make(OrderItem, order=make(Order, customer=customer, number="DD202601050001")).order


def signed(method, path, body=b"", *, token=TOKEN, app_key="ck-test", at=None, nonce=None, **headers):
    at, nonce = str(at if at is not None else int(time.time())), nonce or uuid.uuid4().hex
    message = b"\n".join([method.encode(), path.encode(), at.encode(), nonce.encode(), body])
    return {
        "X-App-Key": app_key,
        "X-Timestamp": at,
        "X-Nonce": nonce,
        "X-Signature": hmac.new(token.encode(), message, hashlib.sha256).hexdigest(),
        **headers,
    }


def send(method, path, body=b"", headers=None):
    answer = Client().generic(method, path, body, content_type="application/json", headers=headers or {})
    return answer.status_code, answer.json()


def look(number="DD202601050001", **options):
    path = f"/api/orders/{number}"
    return send("GET", path, headers=signed("GET", path, **options))


def cancel(number="DD202601050001", *, idempotency="once", reason="重复下单", **options):
    path, body = f"/api/orders/{number}/cancel", json.dumps({"reason": reason}).encode()
    return send("POST", path, body, signed("POST", path, body, **options, **{"Idempotency-Key": idempotency}))


def code(answer):
    return answer[0], answer[1]["code"]


def test_a_customer_looks_at_its_order(key, order):
    status, body = look()
    assert (status, body["code"], body["order"]["order_no"]) == (200, "ok", order.number)
    assert body["order"]["total_amount"] == "100.00" and body["order"]["items"][0]["quantity"] == "2"


def test_a_customer_cancels_its_order_and_the_log_says_so(key, order):
    status, body = cancel()
    assert (status, body["order"]["status"]) == (200, OrderStatus.CANCELLED)
    order.refresh_from_db()
    assert order.status == OrderStatus.CANCELLED and "重复下单" in order.cancel_reason
    entry = BusinessLog.objects.filter(business_no=order.number).latest("id")
    assert (entry.user, entry.ip) == (None, "127.0.0.1")


@pytest.mark.parametrize("number", ["DD(补)1", "订单 7", "A+B", "a:b@c"])
def test_the_path_is_signed_as_it_was_sent(number, key, customer):
    make(Order, customer=customer, number=number)
    path = f"/api/orders/{quote(number, safe='')}"
    headers = signed("GET", path)
    answer = Client().generic("GET", path, headers=headers, RAW_URI=path)
    assert (answer.status_code, answer.json()["order"]["order_no"]) == (200, number)
    moved = Client().generic("GET", path, headers=signed("GET", path), RAW_URI=path + "?x=1")
    assert moved.json()["code"] == "invalid_signature"


@pytest.mark.parametrize("call", [look, cancel])
def test_somebody_elses_order_does_not_exist(call, key):
    make(Order, number="DD-FOREIGN")
    assert code(call("DD-FOREIGN")) == code(call("DD-NONE", **({"idempotency": "b"} if call is cancel else {})))
    assert code(call("DD-FOREIGN", nonce="x1")) == (404, "order_not_found")


def test_only_what_is_neither_cancelled_nor_paid_is_cancelled(key, order):
    cancel()
    assert code(cancel(idempotency="again")) == (409, "not_cancellable")
    paid = make(OrderItem, order=make(Order, customer=order.customer)).order
    Order.objects.filter(pk=paid.pk).update(paid_state="partial", received_amount=1)
    assert code(cancel(paid.number, idempotency="paid")) == (409, "order_paid")
    assert code(cancel(paid.number, idempotency="no reason", reason=" ")) == (400, "missing_reason")


def test_an_order_that_its_customer_cancels_is_no_deal_any_more_and_its_owner_hears_of_it(key, customer):
    ownership.set_owner(customer, make(User), by=None)
    bought = orders.confirm(make(OrderItem, order=make(Order, customer=customer)).order, by=None)
    assert cancel(bought.number)[0] == 200
    customer.refresh_from_db()
    assert (customer.last_deal_at, customer.deal_status) == (None, DealStatus.POTENTIAL)
    assert Notification.objects.filter(user=customer.owner, title__contains=bought.number).exists()


def test_the_same_idempotency_key_gives_the_same_answer_without_effect(key, order):
    first, versions = cancel(), order.history.count() if hasattr(order, "history") else None
    entries = BusinessLog.objects.count()
    assert cancel() == first
    assert (BusinessLog.objects.count() == entries and versions is None) or order.history.count() == versions
    assert code(cancel(reason="另一个请求")) == (409, "idempotency_key_reused")
    assert [(c.status, c.is_repeated) for c in ApiCall.objects.order_by("id")] == [
        (200, False),
        (200, True),
        (409, False),
    ]


def test_two_customers_may_use_the_same_idempotency_key_and_the_same_name_of_a_key(key, order):
    other = make(Customer, review_status=ReviewStatus.APPROVED)
    make(CancelKey, customer=other, app_key="ck-test", app_token=Secret.seal("token-of-the-other"))
    theirs = make(OrderItem, order=make(Order, customer=other, number="DD-THEIRS")).order
    assert cancel()[0] == 200
    assert cancel(theirs.number, token="token-of-the-other")[0] == 200
    assert code(look(theirs.number)) == (404, "order_not_found")


def test_a_replay_is_refused(key, order):
    path = f"/api/orders/{order.number}"
    headers = signed("GET", path)
    assert send("GET", path, headers=headers)[0] == 200
    assert code(send("GET", path, headers=headers)) == (409, "replayed")


@pytest.mark.parametrize("seconds", [-301, 301])
def test_a_clock_that_is_wrong_is_told(seconds, key, order):
    assert code(look(at=int(time.time()) + seconds)) == (401, "timestamp_skew")


def test_every_part_of_a_request_is_signed(key, order):
    path, body = f"/api/orders/{order.number}/cancel", b'{"reason": "a"}'
    good = signed("POST", path, body, **{"Idempotency-Key": "x"})
    for change in (
        {"X-Nonce": "another"},
        {"X-Timestamp": str(int(time.time()) + 5)},
        {"X-Signature": "0" * 64},
        {"X-App-Key": "ck-other"},
    ):
        assert code(send("POST", path, body, good | change)) == (401, "invalid_signature"), change
    assert code(send("POST", path, b'{"reason": "b"}', good)) == (401, "invalid_signature")
    assert code(send("POST", f"{path}?x=1", body, good)) == (401, "invalid_signature")
    order.refresh_from_db()
    assert order.status == OrderStatus.DRAFT


@pytest.mark.parametrize("name", ["X-App-Key", "X-Timestamp", "X-Nonce", "X-Signature", "Idempotency-Key"])
def test_every_header_is_needed(name, key, order):
    path, body = f"/api/orders/{order.number}/cancel", b'{"reason": "a"}'
    headers = signed("POST", path, body, **{"Idempotency-Key": "x"})
    del headers[name]
    assert code(send("POST", path, body, headers)) == (400, "missing_header")


def test_a_disabled_key_and_a_disabled_customer_are_told_so(key, order, customer):
    customer.is_enabled = False
    customer.save()
    assert code(look()) == (403, "customer_disabled")
    transitions.run(key, "disable", by=None, reason="泄露")
    assert code(look()) == (403, "key_disabled")
    assert code(look(token="wrong")) == (401, "invalid_signature")


def test_the_former_token_signs_until_its_overlap_ends(key, order):
    new = credentials.rotate_cancel_key(key, by=None, overlap_days=7)
    assert look()[0] == 200 and look(token=new)[0] == 200
    CancelKey._base_manager.filter(pk=key.pk).update(former_until=timezone.now() - timedelta(seconds=1))
    assert code(look()) == (401, "invalid_signature")


def test_abuse_is_answered_with_429(key, order, settings):
    settings.API_KEY_LIMIT = 2
    assert [look()[0] for _ in range(3)] == [200, 200, 429]
    assert [look(token="wrong")[0] for _ in range(31)][-2:] == [401, 429]


def test_what_goes_wrong_inside_is_not_shown_and_may_be_tried_again(key, order, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(transitions, "run", lambda *args, **kwargs: 1 / 0)
        status, body = cancel()
    assert (status, body["code"]) == (500, "internal_error") and "zero" not in body["message"]
    assert not Reply.objects.exists()
    assert cancel()[0] == 200


def test_every_call_is_logged_and_shown_to_the_auditor(key, order, person, browse, customer):
    look(token="wrong")
    look()
    assert list(ApiCall.objects.order_by("id").values_list("status", "code", "customer", "app_key")) == [
        (401, "invalid_signature", None, "ck-test"),
        (200, "ok", customer.pk, "ck-test"),
    ]
    page = browse(person("审计")).get(reverse("admin:tracking_apicall_changelist"))
    assert page.status_code == 200 and "invalid_signature" in page.content.decode()


def test_a_method_that_is_not_meant(key, order):
    assert code(send("DELETE", f"/api/orders/{order.number}")) == (405, "method_not_allowed")


def test_the_document_names_every_address(client):
    document = client.get("/api/openapi.json").json()
    orders = {"/api/orders/{order_no}", "/api/orders/{order_no}/cancel"}
    assert {"/api/information-tracking/record", "/api/work-orders"} | orders <= set(document["paths"])


def hand_in(idempotency="once", **data):
    path, body = "/api/work-orders", json.dumps(data).encode()
    return send("POST", path, body, signed("POST", path, body, **{"Idempotency-Key": idempotency}))


def test_a_customer_hands_in_a_work_order_once(key, customer):
    label = DictionaryItem.objects.filter(type="work_order_type").first().label
    first = hand_in(type=label, description="到货少了两箱")
    assert first[0] == 200 and hand_in(type=label, description="到货少了两箱") == first
    order = WorkOrder.objects.get()
    assert (order.customer, order.origin, order.content) == (customer, Origin.CUSTOMER, "到货少了两箱")
    assert order.number == first[1]["work_order"]["number"]


def test_what_is_wrong_with_a_work_order_is_named(key):
    label = DictionaryItem.objects.filter(type="work_order_type").first().label
    foreign = make(Contract).number
    for place, (data, refused) in enumerate(
        [
            ({"type": label}, (400, "missing_description")),
            ({"type": "没有这种", "description": "x"}, (400, "invalid_type")),
            ({"type": label, "description": ["x"]}, (400, "invalid_field")),
            ({"type": label, "description": "x", "priority": "now"}, (400, "invalid_priority")),
            ({"type": label, "description": "x", "contract_no": foreign}, (404, "contract_not_found")),
        ]
    ):
        assert code(hand_in(str(place), **data)) == refused
    assert not WorkOrder.objects.exists()


def fifty_cancels(customer, number):
    """Of a new order with one key, all at the same moment: one effect, one answer."""
    order = make(OrderItem, order=make(Order, customer=customer, number=number)).order
    entries, calls = BusinessLog.objects.filter(business_no=number).count(), ApiCall.objects.count()
    answers = run_together(lambda _: json.dumps(cancel(number, idempotency=number), sort_keys=True), threads=50)
    assert len(set(map(str, answers))) == 1 and json.loads(answers[0])[0] == 200, set(map(str, answers))
    assert Order.objects.get(pk=order.pk).status == OrderStatus.CANCELLED
    assert BusinessLog.objects.filter(business_no=number).count() == entries + 1
    repeated = ApiCall.objects.order_by("id").values_list("is_repeated", flat=True)[calls:]
    assert sorted(repeated) == [False] + [True] * 49


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("rounds", [1, pytest.param(100, marks=pytest.mark.soak)])
def test_fifty_cancels_at_once_have_one_effect_and_one_answer(rounds, settings):
    settings.API_KEY_LIMIT = 1_000_000
    customer = make(Customer, review_status=ReviewStatus.APPROVED)
    make(CancelKey, customer=customer, app_key="ck-test", app_token=Secret.seal(TOKEN))
    for number in range(rounds):
        fifty_cancels(customer, f"DD20260105{number:04}")


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_without_the_common_row_the_effect_would_come_more_than_once():
    """Negative control: look for a reply, then act, as it would be without waiting for each other."""
    customer = make(Customer)

    def work(number):
        if not Reply.objects.filter(customer=customer).exists():
            time.sleep(0.05)
            BusinessLog.objects.count()
            return "acted"
        return "repeated"

    assert run_together(work, threads=10).count("acted") > 1
    assert connection.vendor == "mysql"
