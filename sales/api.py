"""Orders for customers' programs: to look at and to cancel. Source: dms ``customer_cancel_key``."""

from django.core.exceptions import ValidationError
from django.utils import timezone

from crm import transitions
from customers.tracking import openapi
from customers.tracking.api import signed
from customers.tracking.services.signing import ApiError
from sales.models import Order
from sales.services import orders

REASON_MAX = 200
NUMBER = {
    "name": "order_no",
    "in": "path",
    "required": True,
    "description": "订单编号",
    "schema": {"type": "string", "minLength": 1, "maxLength": 50},
}


def _order(customer, number) -> Order:
    """The valid order of ``customer`` with this number. Raises ApiError 404 for everybody else's."""
    order = Order.objects.valid().filter(customer=customer, number=number).first()
    if order is None:
        raise ApiError(404, "order_not_found", "没有这个订单")
    return order


def _in_words(order) -> dict:
    return {
        "order_no": order.number,
        "status": order.status,
        "status_name": order.get_status_display(),
        "order_date": order.order_date.isoformat(),
        "currency": order.currency,
        "total_amount": str(order.total_amount),
        "paid_state": order.paid_state,
        "cancelled_at": timezone.localtime(order.cancelled_at).isoformat() if order.cancelled_at else None,
        "items": [
            {
                "name": item.name,
                "quantity": format(item.quantity.normalize(), "f"),
                "unit": str(item.unit),
                "unit_price": str(item.unit_price),
                "amount": str(item.amount),
            }
            for item in order.items.filter(is_valid=True).order_by("pk")
        ],
    }


@signed("GET")
def show(customer, data, *, order_no):
    return {"message": "成功", "order": _in_words(_order(customer, order_no))}


@signed("POST", effect=True)
def cancel(customer, data, *, order_no):
    """Cancel an order that is not cancelled yet and on which nothing has been received."""
    reason = data.get("reason")
    if not isinstance(reason, str) or not reason.strip() or len(reason) > REASON_MAX:
        raise ApiError(400, "missing_reason", f"请在 reason 里写明取消原因，最多 {REASON_MAX} 个字")
    order = _order(customer, order_no)
    try:
        order = orders.cancel(order, by=None, reason=f"客户取消：{reason.strip()}".replace("\0", ""))
    except ValidationError as error:
        raise ApiError(409, "order_paid", "订单已有回款，不能通过接口取消，请联系业务员") from error
    except transitions.TransitionRefused as error:
        order.refresh_from_db()
        raise ApiError(409, "not_cancellable", f"订单{order.get_status_display()}，不能取消") from error
    return {"message": "订单已取消", "order": _in_words(order)}


BODY = {
    "type": "object",
    "required": ["reason"],
    "properties": {"reason": {"type": "string", "minLength": 1, "maxLength": REASON_MAX, "description": "取消原因"}},
    "example": {"reason": "重复下单"},
}


def paths() -> dict:
    return {
        "/api/orders/{order_no}": {"get": openapi.signed_call("查询订单", parameters=[NUMBER])},
        "/api/orders/{order_no}/cancel": {
            "post": openapi.signed_call(
                "取消订单", body=BODY, effect=True, parameters=[NUMBER], success="订单已取消；同一幂等键的答复相同"
            )
        },
    }
