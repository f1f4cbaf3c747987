"""The gateway to Tencent Cloud, through its SDK against a local fake of its HTTP API."""

import json
import threading
import time
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.utils import timezone

from sales import sms
from sales.sms.tencent import Gateway

MESSAGE = sms.Message(
    phone="+8613800138000",
    content="【客源】恒达，新品到货",
    out_id="0f" * 16,
    signature="客源",
    template="1234567",
    parameters=("恒达", "张伟"),
    tried_at=timezone.now(),
)


class Fake:
    """Answers by action; keeps what it was asked. An answer may be a function that does more (sleep, hang up)."""

    def __init__(self):
        self.asked, self.answers = [], {}
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                action = self.headers["X-TC-Action"]
                fake.asked.append((action, body, dict(self.headers)))
                answer = fake.answers[action]
                answer = answer() if callable(answer) else answer
                content = json.dumps({"Response": {"RequestId": "r-1", **answer}}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def says(self, action, **answer):
        self.answers[action] = answer

    def status(self, code="Ok", message="send success"):
        self.says("SendSms", SendStatusSet=[{"Code": code, "Message": message, "SerialNo": "2640:1", "Fee": 1}])


@pytest.fixture
def fake(settings):
    made = Fake()
    settings.TENCENT_SMS_ENDPOINT = made.url
    settings.TENCENT_SMS_SECRET_ID, settings.TENCENT_SMS_SECRET_KEY = "AKIDexample", "secret"
    settings.TENCENT_SMS_APP_ID = "1400006666"
    yield made
    made.server.shutdown()


def test_a_message_goes_out_signed_with_template_parameters_and_our_id(fake):
    fake.status()
    assert Gateway().send(MESSAGE) == sms.Outcome(sms.SENT, number="2640:1")
    ((action, body, headers),) = fake.asked
    assert (action, headers["X-TC-Version"]) == ("SendSms", "2021-01-11")
    assert "Credential=AKIDexample/" in headers["Authorization"]
    assert body == {
        "SmsSdkAppId": "1400006666",
        "PhoneNumberSet": ["+8613800138000"],
        "SignName": "客源",
        "TemplateId": "1234567",
        "TemplateParamSet": ["恒达", "张伟"],
        "SessionContext": MESSAGE.out_id,
    }


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("InvalidParameterValue.IncorrectPhoneNumber", sms.FAILED),
        ("FailedOperation.PhoneNumberInBlacklist", sms.FAILED),
        ("FailedOperation.InsufficientBalanceInSmsPackage", sms.RETRY),
    ],
)
def test_what_is_refused_for_one_number(fake, code, result):
    fake.status(code, "原因")
    outcome = Gateway().send(MESSAGE)
    assert (outcome.result, outcome.error) == (result, f"原因（{code}）")


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("RequestLimitExceeded", sms.RETRY),
        ("AuthFailure.SignatureFailure", sms.RETRY),
        ("UnsupportedOperation.ContainDomesticAndInternationalPhoneNumber", sms.FAILED),
        ("InternalError.Timeout", sms.UNKNOWN),
    ],
)
def test_what_is_refused_altogether(fake, code, result):
    fake.says("SendSms", Error={"Code": code, "Message": "原因"})
    assert Gateway().send(MESSAGE).result == result


def test_a_provider_that_was_never_reached_has_not_got_it(settings, fake):
    settings.TENCENT_SMS_ENDPOINT = "http://127.0.0.1:1"
    assert Gateway().send(MESSAGE).result == sms.RETRY


def test_an_answer_that_never_came_leaves_it_unknown(fake, monkeypatch):
    """It may have been sent: it must not be sent again."""
    monkeypatch.setattr("sales.sms.tencent.SECONDS", 0.2)

    def slow():
        time.sleep(1)
        return {}

    fake.answers["SendSms"] = slow
    assert Gateway().send(MESSAGE).result == sms.UNKNOWN


def test_what_became_of_an_unknown_message_is_found_by_our_id(fake):
    arrived = {"ReportStatus": "SUCCESS", "SerialNo": "2640:9", "Description": "", "UserReceiveTime": 1767225600}
    other = {**arrived, "SessionContext": "another"}
    fake.says("PullSmsSendStatusByPhoneNumber", PullSmsSendStatusSet=[other])
    assert Gateway().lookup(MESSAGE) is None  # a report may take days: not found is no proof
    mine = {**arrived, "SessionContext": MESSAGE.out_id}
    fake.says("PullSmsSendStatusByPhoneNumber", PullSmsSendStatusSet=[other, mine])
    assert Gateway().lookup(MESSAGE) == sms.Outcome(sms.SENT, number="2640:9")
    body = fake.asked[-1][1]
    assert body["PhoneNumber"] == MESSAGE.phone
    assert body["BeginTime"] <= MESSAGE.tried_at.timestamp() - 60


def test_it_is_asked_no_further_back_than_it_keeps_reports(fake):
    fake.says("PullSmsSendStatusByPhoneNumber", PullSmsSendStatusSet=[])
    old = sms.Message(MESSAGE.phone, "", MESSAGE.out_id, tried_at=timezone.now() - timedelta(days=30))
    Gateway().lookup(old)
    assert fake.asked[-1][1]["BeginTime"] >= (timezone.now() - timedelta(days=7, minutes=1)).timestamp()


def test_reports_and_replies_are_pulled(fake):
    fake.says(
        "PullSmsSendStatus",
        PullSmsSendStatusSet=[
            {"ReportStatus": "FAIL", "SerialNo": "2640:9", "Description": "关机", "UserReceiveTime": 1767225600}
        ],
    )
    fake.says(
        "PullSmsReplyStatus",
        PullSmsReplyStatusSet=[{"PhoneNumber": "+8613800138000", "ReplyContent": "R", "ReplyTime": 1767225600}],
    )
    (report,) = Gateway().reports()
    assert (report.number, report.arrived, report.error) == ("2640:9", False, "关机")
    (reply,) = Gateway().replies()
    assert (reply.phone, reply.content, reply.at.year) == ("+8613800138000", "R", 2026)
