"""The client and the curl example of docs/api.md, run as they are printed there, each as a process of its own."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from crm.secrets import Secret
from customers.models import CancelKey, Customer, ReviewStatus
from customers.tracking.models import ApiCall
from sales.models import Order, OrderItem, OrderStatus
from service.models import WorkOrder
from tests.factories import make

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "wechat"])
ROOT = Path(__file__).resolve().parents[3]
# the two examples, as a reader copies them
PYTHON, CURL = re.findall(r"```bash\n(.*?)```", (ROOT / "docs" / "api.md").read_text(encoding="utf-8"), re.DOTALL)
SETUP, PYTHON_CALLS = PYTHON.split("\n", 1)
NUMBER = "DD202601050001"


@pytest.fixture
def customer():
    customer = make(Customer, review_status=ReviewStatus.APPROVED)
    make(CancelKey, customer=customer, app_key="ck-printed", app_token=Secret.seal("token of the customer"))
    make(OrderItem, order=make(Order, customer=customer, number=NUMBER))
    return customer


@pytest.fixture
def shell(live_server, customer, tmp_path):
    """``shell(lines)`` runs them in bash after the printed export, with this server and this customer's key."""
    (tmp_path / "python").symlink_to(sys.executable)
    known = {"http://127.0.0.1:8000": live_server.url, "密钥标识": "ck-printed", "取消密钥": "'token of the customer'"}
    setup = SETUP
    for printed, own in known.items():
        assert printed in setup
        setup = setup.replace(printed, own)

    def run(lines, check=True):
        script = f"set -euo pipefail\n{setup}\n{lines}"
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "LANG": "C.UTF-8", "no_proxy": "*"}
        done = subprocess.run(["bash", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    return run


def calls():
    return list(ApiCall.objects.order_by("id").values_list("method", "status", "code"))


def test_the_client_does_what_the_document_prints(shell, customer):
    printed = shell(PYTHON_CALLS).stdout
    assert printed.count("200 {") == 3 and '"order_no": "DD202601050001"' in printed
    order, work_order = Order.objects.get(number=NUMBER), WorkOrder.objects.get()
    assert (order.status, order.customer) == (OrderStatus.CANCELLED, customer)
    assert (work_order.customer, work_order.content) == (customer, "到货少了两箱")
    assert calls() == [("GET", 200, "ok"), ("POST", 200, "ok"), ("POST", 200, "ok")]


def test_the_client_says_what_was_refused_and_ends_with_a_failure(shell):
    done = shell("python docs/api_client.py show DD000000000000", check=False)
    assert done.returncode == 1 and "404" in done.stdout and "没有这个订单" in done.stdout
    done = shell("python docs/api_client.py", check=False)
    assert done.returncode == 1 and "cancel ORDER_NO REASON" in done.stderr
    done = shell("unset KEYUAN_APP_TOKEN\npython docs/api_client.py show DD000000000000", check=False)
    assert done.returncode == 1 and "KEYUAN_APP_TOKEN" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("openssl")), reason="没有安装 curl 或 openssl")
def test_the_curl_example_cancels_once_however_often_it_is_run(shell):
    first, second = (json.loads(shell(CURL).stdout) for _ in range(2))
    assert first == second and first["success"] and first["order"]["status"] == OrderStatus.CANCELLED
    assert Order.objects.get(number=NUMBER).status == OrderStatus.CANCELLED
    assert list(ApiCall.objects.order_by("id").values_list("is_repeated", flat=True)) == [False, True]
    wrong = json.loads(shell(f"KEYUAN_APP_TOKEN=guessed\n{CURL}").stdout)
    assert wrong["code"] == "invalid_signature"
