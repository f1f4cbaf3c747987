"""What is done with orders: enter, confirm, cancel. Rows are locked customer, contract, order; see docs/payments.md."""

from decimal import Decimal

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Sum

from crm import actor, records, transitions
from crm.exchange import money
from crm.notifications import notify
from crm.policies import policy_for
from customers.activity import change_url
from customers.models import Customer
from customers.services import credit
from customers.services.credit import OverLimit
from customers.services.lifecycle import record_deal
from customers.services.notices import NOTICES, tell_customer
from customers.services.paths import default_path
from customers.services.reviews import require_usable
from sales.models import Contract, ContractStatus, Order, OrderStatus
from sales.services import moments

ABROAD, AT_HOME = "export", "domestic"  # scenarios whose default path an order takes


def enter(order, *, by) -> Order:
    """Save the new ``order``; left blank, the company path is the customer's default one (内贸, 外币为出口)."""
    if order.company_path_id is None:
        order.company_path = usual_path(order.customer, order.currency)
    return records.save(order, by=by)


def usual_path(customer, currency):
    """The default path of ``customer`` for business in ``currency``; the other scenario's where it has none there."""
    scenarios = (AT_HOME, ABROAD) if currency == "CNY" else (ABROAD, AT_HOME)
    return next((path for scenario in scenarios if (path := default_path(customer, scenario))), None)


def confirm(order, *, by) -> Order:
    """Make ``order`` count. One under a contract is covered by the contract, any other needs credit.

    Raises PermissionDenied, TransitionRefused (not a draft), ValidationError: no lines, a customer that may not buy,
    beyond the contract or the credit of the customer, no exchange rate.
    """
    with transaction.atomic(), actor.acting(by):
        customer, stored = _locked(order)
        _require(by, "confirm", stored)
        if stored.is_draft:
            require_usable(customer, "确认订单")
            if not stored.items.filter(is_valid=True).exists():
                raise ValidationError(f"订单“{stored}”还没有明细，请先填写要卖什么。")
            if stored.contract_id:
                _check_contract(stored)
            elif stored.total_amount > 0:
                _check_credit(customer, stored, by)
        stored = transitions.run(stored, "confirm", by=by)
        moment = moments.of_order(stored.order_date, stored.order_time, stored.confirmed_at)
        record_deal(customer, moment, by=by)
        _tell(customer, stored, "已确认")
    return stored


def cancel(order, *, by, reason) -> Order:
    """Call ``order`` off; ``by`` None is the customer or the system, and the owner of the customer is told.

    Raises PermissionDenied, TransitionRefused (already cancelled, no reason), ValidationError: money was received.
    """
    with transaction.atomic(), actor.acting(by):
        customer, stored = _locked(order)
        if by is not None:
            _require(by, "cancel", stored)
        if stored.received_amount > 0:
            received = money(stored.received_amount, stored.currency)
            raise ValidationError(f"订单“{stored}”已回款 {received}，不能取消；请先作废它的回款记录。")
        was_confirmed = stored.status == OrderStatus.CONFIRMED
        stored = transitions.run(stored, "cancel", by=by, reason=reason)
        if was_confirmed:
            moments.take_back(customer, stored.order_date, by=by, why=f"订单 {stored} 已取消")
            _tell(customer, stored, "已取消")
        if by is None:
            notify(
                [customer.owner],
                title=f"客户“{customer}”取消了订单 {stored}",
                body=reason.strip()[:200],
                key=f"order-cancelled:{stored.pk}",
                link=change_url(stored),
                level="warning",
            )
    return stored


def _locked(order) -> tuple[Customer, Order]:
    """The customer, then the order, as they are stored."""
    customer = Customer._base_manager.select_for_update().get(pk=order.customer_id)
    return customer, Order._base_manager.select_for_update().get(pk=order.pk)


def _require(by, action, order):
    if by is not None and not policy_for(Order).may(by, action, order):
        raise PermissionDenied("没有处理这张订单的权限。")


def _check_contract(order):
    """The confirmed orders of a contract never come to more than the contract."""
    contract = Contract._base_manager.select_for_update().get(pk=order.contract_id)
    if contract.status != ContractStatus.SIGNED or not contract.is_valid:
        raise ValidationError(
            f"合同“{contract.number}”{contract.get_status_display()}，签约之后才能确认它的订单。"
            if contract.status != ContractStatus.TERMINATED
            else f"合同“{contract.number}”已终止，不能再确认它的订单。"
        )
    others = Order.objects.valid().filter(contract=contract, status=OrderStatus.CONFIRMED)
    ordered = others.aggregate(total=Sum("total_amount"))["total"] or Decimal(0)
    left = contract.total_amount - ordered
    if order.total_amount > left:
        raise ValidationError(
            f"订单 {money(order.total_amount, order.currency)} 超出合同“{contract.number}”：合同金额 "
            f"{money(contract.total_amount, contract.currency)}，已下订单 {money(ordered, contract.currency)}，还可下 "
            f"{money(left, contract.currency)}。请减少本单，或另下不挂合同的订单。"
        )


def _check_credit(customer, order, by):
    try:
        credit.check(customer, order.currency, order.total_amount, reference=f"订单 {order}", by=by)
    except OverLimit as error:
        raise ValidationError(str(error), code="over_limit") from error


def _tell(customer, order, what):
    """The notice to the customer: what was ordered, what it comes to, why it was called off."""
    currency = order.currency
    lines = [
        f"{item.name} {item.specification}　{item.quantity.normalize():f} {item.unit}　{money(item.amount, currency)}"
        for item in order.items.filter(is_valid=True)
    ]
    if order.status == OrderStatus.CANCELLED:
        lines.append(f"取消原因：{order.cancel_reason}")
    text = "\n".join(
        [
            f"{customer.name}：",
            f"您的订单 {order}（{order.order_date}）{what}，合计 {money(order.total_amount, currency)}。",
            "",
            *lines,
        ]
    )
    tell_customer(customer, NOTICES, title=f"订单 {order} {what}", text=text)
