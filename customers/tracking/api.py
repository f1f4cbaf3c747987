"""The JSON interfaces: recording by telephone number for pages, and the frame of those for customers' programs.

An upper app offers a call to customers' programs in a few lines::

    @signed("POST", effect=True)
    def cancel(customer, data, *, order_no):
        return {"order": …}          # or raise ApiError(409, "not_cancellable", "…")
"""

import json
import logging
import time
from functools import wraps

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import JsonResponse
from django.views.decorators.csrf import csrf_exempt

from crm import throttle
from crm.middleware import client_ip
from customers.tracking import openapi
from customers.tracking.models import ApiCall
from customers.tracking.services import recording, signing
from customers.tracking.services.signing import ApiError

logger = logging.getLogger(__name__)

FAILED = "记录操作事件失败，请稍后重试"
PHONE_MAX, TYPE_MAX = 100, 50


def answer(status, message, **headers):
    return JsonResponse({"success": status == 200, "message": message}, status=status, headers=headers)


def document(request):
    """The OpenAPI document of everything under ``/api/``."""
    return JsonResponse(openapi.document(settings.SITE_URL), json_dumps_params={"ensure_ascii": False, "indent": 1})


# --- Recording, for pages of logged-in people ------------------------------------------------------------------------


def record(request):
    """``POST /api/information-tracking/record`` of the seed, its JSON and its answers."""
    try:
        return _record(request)
    except Exception:
        logger.exception("recording an operation failed")
        return answer(500, FAILED)


def _record(request):
    if request.method != "POST":
        return answer(405, "请使用 POST 方法", Allow="POST")
    if not request.user.is_authenticated or not request.user.is_active:
        return answer(401, "用户未登录或认证信息缺失")
    if not throttle.allow(f"record:{request.user.pk}", settings.API_USER_LIMIT):
        return answer(429, "操作过于频繁，请稍后再试", **{"Retry-After": "60"})
    values = _texts(request.body, ("phoneNumber", "operationEvent", "eventType"))
    if values is None:
        return answer(400, "请求内容应为 JSON 对象")
    if not values["phoneNumber"] or not values["operationEvent"]:
        return answer(400, "电话号码和操作事件不能为空")
    if len(values["phoneNumber"]) > PHONE_MAX or len(values["operationEvent"]) > recording.EVENT_MAX:
        return answer(400, f"电话号码最多 {PHONE_MAX} 个字，操作事件最多 {recording.EVENT_MAX} 个字")
    if len(values["eventType"]) > TYPE_MAX:
        return answer(400, f"事件类型最多 {TYPE_MAX} 个字")
    try:
        recording.record_by_phone(
            values["phoneNumber"],
            values["operationEvent"],
            by=request.user,
            event_type=values["eventType"],
            supply_side=request.GET.get("isSupplySide", "").casefold() != "false",
            ip=client_ip(request),
        )
    except recording.WrongSide:
        return answer(401, "用户未登录或认证信息缺失")
    except (recording.UnknownPhone, PermissionDenied):
        return answer(400, "未找到对应的客户信息")
    return answer(200, "操作记录成功")


def _object(body) -> dict | None:
    """The JSON object in ``body``, None if there is none that a database could keep."""
    try:
        data = json.loads(body)
        json.dumps(data, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _texts(body, names) -> dict[str, str] | None:
    data = _object(body)
    if data is None:
        return None
    given = {name: data.get(name) for name in names}
    given = {name: str(value) if isinstance(value, int | float) else value for name, value in given.items()}
    if any(value is not None and not isinstance(value, str) for value in given.values()):
        return None
    return {name: (value or "").replace("\0", "").strip() for name, value in given.items()}


# --- Signed calls, for customers' programs ---------------------------------------------------------------------------


def signed(method, *, effect=False):
    """Make ``function(customer, data, **path parameters) -> dict`` an address for customers' programs.

    Only for ``customer``, whose enabled key signed the call, ever; with an ``effect``, at most once for each
    idempotency key, in one transaction. Every call is logged. ``data`` is the JSON object of the body, {} without one.
    """

    def decorate(function):
        @csrf_exempt  # signed, never by session
        @wraps(function)
        def view(request, **parameters):
            return _answer_signed(request, method, effect, function, parameters)

        return view

    return decorate


def _answer_signed(request, method, effect, function, parameters):
    began, customer, repeated = time.monotonic(), None, False
    call = None
    try:
        if request.method != method:
            raise ApiError(405, "method_not_allowed", f"请使用 {method} 方法")
        # as it was sent; servers that do not say leave it to Django, which quotes fewer characters than some clients
        path = request.META.get("RAW_URI") or request.get_full_path()
        call = signing.Call(request.method, path, request.body, request.headers, client_ip(request))
        customer = signing.authenticate(call).customer
        data = _object(call.body) if call.body else {}
        if data is None:
            raise ApiError(400, "invalid_json", "请求内容应为 JSON 对象")

        def work():
            return function(customer, data, **parameters)

        if effect:
            status, body, repeated = signing.once(customer, call, work)
        else:
            status, body = signing.answer_of(work)
    except ApiError as error:
        status, body = error.status, error.body
    except Exception:
        logger.exception("%s %s failed", request.method, request.path)
        status, body = (
            500,
            {"success": False, "code": "internal_error", "message": "服务器出错，请稍后用同一幂等键重试"},
        )
    took = int((time.monotonic() - began) * 1000)
    _log(request, customer, status, body["code"], repeated, took)
    response = JsonResponse(body, status=status, json_dumps_params={"ensure_ascii": False})
    if status == 405:
        response["Allow"] = method
    if status == 429:
        response["Retry-After"] = "60"
    return response


def _log(request, customer, status, code, repeated, took) -> None:
    """Every call, whatever became of it; what cannot be logged is answered all the same."""
    try:
        ApiCall.objects.create(
            method=request.method[:10],
            path=request.path.replace("\0", "")[:200],
            app_key=_header(request, "X-App-Key"),
            customer=customer,
            status=status,
            code=code,
            idempotency_key=_header(request, "Idempotency-Key"),
            is_repeated=repeated,
            ip=client_ip(request),
            milliseconds=took,
        )
    except Exception:
        logger.exception("call was not logged")


def _header(request, name) -> str:
    return request.headers.get(name, "").encode("ascii", "replace").decode().replace("\0", "")[: signing.NAME_MAX]
