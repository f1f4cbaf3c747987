"""Calls the interfaces for customers' programs. Python 3.9 or later, nothing else; see api.md.

python api_client.py show ORDER_NO
python api_client.py cancel ORDER_NO REASON
python api_client.py work-order TYPE DESCRIPTION

KEYUAN_URL, KEYUAN_APP_KEY and KEYUAN_APP_TOKEN come from the environment.
"""

import hashlib
import hmac
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid
from urllib.parse import quote

RETRIES = 3


class Client:
    def __init__(self, url, app_key, app_token):
        self.url, self.app_key, self.app_token = url.rstrip("/"), app_key, app_token

    def show(self, order_no):
        return self.call("GET", f"/api/orders/{quote(order_no, safe='')}")

    def cancel(self, order_no, reason, idempotency_key=None):
        """Cancel an order; safe to repeat with the same ``idempotency_key``."""
        path = f"/api/orders/{quote(order_no, safe='')}/cancel"
        return self.call("POST", path, {"reason": reason}, idempotency_key or str(uuid.uuid4()))

    def open_work_order(self, type, description, idempotency_key=None):
        data = {"type": type, "description": description}
        return self.call("POST", "/api/work-orders", data, idempotency_key or str(uuid.uuid4()))

    def call(self, method, path, data=None, idempotency_key=None):
        """``(status, answer)``; what fails on the way is tried again with a new nonce and the same key."""
        for attempt in range(1, RETRIES + 1):
            try:
                return self._send(method, path, data, idempotency_key)
            except urllib.error.URLError:
                if attempt == RETRIES:
                    raise
                time.sleep(attempt)

    def _send(self, method, path, data, idempotency_key):
        body = json.dumps(data, ensure_ascii=False).encode() if data is not None else b""
        timestamp, nonce = str(int(time.time())), uuid.uuid4().hex
        message = b"\n".join([method.encode(), path.encode(), timestamp.encode(), nonce.encode(), body])
        headers = {
            "Content-Type": "application/json",
            "X-App-Key": self.app_key,
            "X-Timestamp": timestamp,
            "X-Nonce": nonce,
            "X-Signature": hmac.new(self.app_token.encode(), message, hashlib.sha256).hexdigest(),
        }
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        request = urllib.request.Request(self.url + path, body or None, headers, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


SETTINGS = ("KEYUAN_URL", "KEYUAN_APP_KEY", "KEYUAN_APP_TOKEN")


def main():
    if missing := [name for name in SETTINGS if not os.environ.get(name)]:
        sys.exit("missing in the environment: " + ", ".join(missing))
    client = Client(*(os.environ[name] for name in SETTINGS))
    commands = {("show", 1): client.show, ("cancel", 2): client.cancel, ("work-order", 2): client.open_work_order}
    command, *arguments = sys.argv[1:] or [""]
    call = commands.get((command, len(arguments)))
    if call is None:
        sys.exit(__doc__)
    status, answer = call(*arguments)
    print(status, json.dumps(answer, ensure_ascii=False, indent=2))
    sys.exit(0 if answer["success"] else 1)


if __name__ == "__main__":
    main()
