"""Calls of customers' programs: who signed them, never twice, and the same answer to the same idempotency key.

Signed is ``METHOD\\nPATH\\nTIMESTAMP\\nNONCE\\nBODY`` with the app_token, HMAC-SHA256 in hex; PATH with its query
string. Source: dms ``customer_cancel_key``.
"""

import hashlib
import logging
from dataclasses import dataclass, field
from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from crm import actor, throttle
from customers.models import Customer
from customers.models.credentials import in_good_standing
from customers.services import credentials
from customers.tracking.models import Reply, UsedNonce

logger = logging.getLogger(__name__)

SKEW = timedelta(minutes=5)
REPLY_KEPT = timedelta(days=30)
MAX_BODY = 64 * 1024
NAME_MAX, NONCE_MAX = 100, 64
# wrong signatures a minute from one address
FAILURES = 30


class ApiError(Exception):
    """An answer that is no success: ``code`` for the program, ``message`` for the person who reads its log."""

    def __init__(self, status, code, message):
        self.status, self.code, self.message = status, code, message
        super().__init__(message)

    @property
    def body(self) -> dict:
        return {"success": False, "code": self.code, "message": self.message}


@dataclass(frozen=True)
class Call:
    """What came in, as it came in."""

    method: str
    path: str
    body: bytes
    headers: dict = field(repr=False)
    ip: str | None = None

    def header(self, name, title, longest) -> str:
        value = self.headers.get(name, "").strip()
        if not value:
            raise ApiError(400, "missing_header", f"缺少请求头 {name}（{title}）")
        if len(value) > longest or not value.isprintable() or not value.isascii():
            raise ApiError(400, "invalid_header", f"请求头 {name}（{title}）最多 {longest} 个可见的 ASCII 字符")
        return value


def authenticate(call: Call):
    """The enabled key that signed ``call`` now, for the first time. Raises ApiError 400, 401, 403, 409, 413, 429."""
    if throttle.used_up(f"signature:{call.ip}", FAILURES):
        raise ApiError(429, "too_many_failures", "签名错误次数过多，请一分钟后再试")
    name = call.header("X-App-Key", "密钥标识", NAME_MAX)
    timestamp = call.header("X-Timestamp", "时间戳", 20)
    nonce = call.header("X-Nonce", "随机数", NONCE_MAX)
    signature = call.header("X-Signature", "签名", 64)
    if len(call.body) > MAX_BODY:
        raise ApiError(413, "body_too_large", f"请求内容不能超过 {MAX_BODY // 1024} KB")
    _require_now(timestamp)
    message = b"\n".join([*(part.encode() for part in (call.method, call.path, timestamp, nonce)), call.body])
    key = credentials.authenticate(name, message, signature)
    if key is None:
        throttle.allow(f"signature:{call.ip}", FAILURES)
        raise ApiError(401, "invalid_signature", "密钥标识或签名不正确")
    if not throttle.allow(f"app_key:{key.pk}", settings.API_KEY_LIMIT):
        raise ApiError(429, "too_many_requests", "调用过于频繁，请一分钟后再试")
    if not key.is_enabled:
        raise ApiError(403, "key_disabled", "密钥已停用")
    if not in_good_standing(key):
        raise ApiError(403, "customer_disabled", "客户未通过审核或已停用")
    try:
        with transaction.atomic():
            UsedNonce.objects.create(key=key, nonce=nonce)
    except IntegrityError as error:
        raise ApiError(409, "replayed", "随机数已经用过，请求可能被重放；重试请换一个随机数，幂等键不变") from error
    return key


def _require_now(timestamp) -> None:
    if not timestamp.isdecimal():
        raise ApiError(400, "invalid_timestamp", "X-Timestamp 应为 Unix 时间（秒）")
    away = abs(int(timestamp) - timezone.now().timestamp())
    if away > SKEW.total_seconds():
        raise ApiError(401, "timestamp_skew", f"时间戳与服务器时间相差超过 {SKEW.seconds // 60} 分钟，请校准时钟")


def once(customer, call: Call, work) -> tuple[int, dict, bool]:
    """``(status, answer, repeated)`` of ``work()``, which runs at most once for each idempotency key of ``customer``.

    Calls of a customer wait for each other; the effect and its answer are committed together. What ends in an
    ApiError is an answer too, without effect. Raises ApiError 400, 409.
    """
    name = call.header("Idempotency-Key", "幂等键", NAME_MAX)
    digest = hashlib.sha256(b"\n".join([call.method.encode(), call.path.encode(), call.body])).hexdigest()
    with transaction.atomic(), actor.acting(ip=call.ip, reason=f"接口：{call.method} {call.path}"[:255]):
        Customer._base_manager.select_for_update().get(pk=customer.pk)
        reply = Reply.objects.filter(customer=customer, idempotency_key=name).first()
        repeated = reply is not None
        if not repeated:
            status, body = answer_of(work)
            reply = Reply.objects.create(
                customer=customer, idempotency_key=name, digest=digest, status=status, body=body
            )
        if reply.digest != digest:
            raise ApiError(409, "idempotency_key_reused", "这个幂等键已用于另一个请求，请换一个")
    return reply.status, reply.body, repeated


def answer_of(work) -> tuple[int, dict]:
    """What ``work()`` gives as an answer; an ApiError undoes what it has done."""
    try:
        with transaction.atomic():
            return 200, {"success": True, "code": "ok", **work()}
    except ApiError as error:
        return error.status, error.body
