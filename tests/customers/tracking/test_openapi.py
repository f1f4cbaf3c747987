"""Whatever is sent to the documented interfaces, valid or not, they answer in JSON and never break."""

import hashlib
import hmac
import json
import time
import uuid
from urllib.parse import quote, urlencode

import pytest
from django.test import Client
from hypothesis import HealthCheck, given
from hypothesis import settings as examples

from crm.models import Side
from crm.secrets import Secret
from customers.models import CancelKey, Customer, ReviewStatus
from tests.factories import make

TOKEN = "token-of-the-customer"


def texts(values):
    """Headers as a client could send them at all."""
    kept = {}
    for name, value in (values or {}).items():
        written = str(value).encode("latin-1", "ignore").decode("latin-1")
        kept[name] = "".join(character for character in written if character.isprintable())
    return kept


def body_of(case):
    if case.body is None or type(case.body).__name__ == "NotSet":
        return b""
    return case.body if isinstance(case.body, bytes) else json.dumps(case.body).encode()


def sign(method, path, body, headers):
    at, nonce = str(int(time.time())), uuid.uuid4().hex
    message = b"\n".join([method.encode(), path.encode(), at.encode(), nonce.encode(), body])
    digest = hmac.new(TOKEN.encode(), message, hashlib.sha256).hexdigest()
    return headers | {"X-App-Key": "ck-test", "X-Timestamp": at, "X-Nonce": nonce, "X-Signature": digest}


@pytest.mark.full
@pytest.mark.django_db(databases=["default", "wechat"])
@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_no_request_makes_an_interface_fail(mode, person, settings):
    import schemathesis  # takes seconds, which everybody who only collects the tests would wait

    settings.API_KEY_LIMIT = settings.API_USER_LIMIT = 1_000_000
    customer = make(Customer, review_status=ReviewStatus.APPROVED)
    make(CancelKey, customer=customer, app_key="ck-test", app_token=Secret.seal(TOKEN))
    browser = Client()
    browser.force_login(person("管理员", side=Side.SUPPLY))
    document = browser.get("/api/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    seen: dict[int, int] = {}
    for found in schema.get_all_operations():
        operation = found.ok()
        strategy = operation.as_strategy(generation_mode=schemathesis.GenerationMode(mode))

        @examples(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=strategy, signed=...)
        def probe(case, signed: bool):
            order_no = quote(str((case.path_parameters or {}).get("order_no", "")), safe="")
            path, body = case.path.replace("{order_no}", order_no), body_of(case)
            if case.query:
                path += "?" + urlencode(case.query, doseq=True, errors="replace")
            headers = texts(case.headers)
            if signed:
                headers = sign(case.method, path, body, headers)
            answer = browser.generic(case.method, path, body, content_type="application/json", headers=headers)
            seen[answer.status_code] = seen.get(answer.status_code, 0) + 1
            assert answer.status_code < 500, (case.method, path, body, headers, answer.content)

        probe()
    assert len(seen) > 2, seen
