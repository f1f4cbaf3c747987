"""Money due and received, and invoices: plan, receive, void, invoice. The rules are told in docs/payments.md.

Whatever adds to a sum holds the rows it is summed up on: customer, then contract or order, then plans, in key order.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_DOWN, Decimal

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Case, Count, DecimalField, F, OuterRef, Q, Subquery, Sum, When
from django.db.models.functions import Coalesce

from crm import actor, records, transitions
from crm.exchange import money
from crm.policies import policy_for
from customers.models import Customer
from customers.services.notices import BILLS, tell_customer
from sales.models import (
    Contract,
    ContractStatus,
    Invoice,
    InvoiceStatus,
    Order,
    OrderStatus,
    PaidState,
    PaymentPlan,
    PaymentRecord,
    ReceiptStatus,
)
from sales.models.documents import CENT

ZERO = Decimal(0)
WEEK = 7


# --- Receipts --------------------------------------------------------------------------------------------------------


def receive(record, *, by) -> list[PaymentRecord]:
    """Save the new receipt ``record``: money for a signed contract or a confirmed order, never more than is open.

    One that names an instalment must fit into it. One that names none goes to the open instalments, the earliest
    first; what covers several becomes one receipt for each, all or none, and ``record`` is the first of them. What no
    instalment asks for stays without. Gives the receipts. Raises PermissionDenied, ValidationError.
    """
    with transaction.atomic(), actor.acting(by):
        root = _lock_root(record)
        may = policy_for(PaymentRecord).may_add_to(by, root if record.contract_id else root.customer)
        if not may:
            raise PermissionDenied("没有登记回款的权限。")
        if problem := refusal(record, root):
            raise ValidationError({"amount": problem} if root.open_amount < record.amount else problem)
        parts = _parts(record, root)
        made = []
        for place, (plan, amount) in enumerate(parts):
            part = record if place == 0 else _copy(record)
            part.plan, part.amount = plan, amount
            part.full_clean(exclude=["status", "customer", "currency", "number"])
            made.append(records.save(part, by=by))
        _tell_received(root, made)
    return made


def refusal(record, root) -> str:
    """Why the receipt ``record`` is not possible for ``root`` as it stands; empty if it is."""
    if problem := closed_to_receipts(root):
        return problem
    if record.amount > root.open_amount:
        shown = [money(amount, root.currency) for amount in (root.total_amount, root.received_amount)]
        most = money(root.open_amount, root.currency)
        return f"超出未回款金额：总金额 {shown[0]}，已回款 {shown[1]}，最多还可登记 {most}。"
    if record.plan_id and record.amount > record.plan.open_amount:
        most = money(record.plan.open_amount, root.currency)
        return f"第 {record.plan.position} 期只有 {most} 未回款；不选期次，会按到期先后自动分到各期。"
    return ""


def closed_to_receipts(root) -> str:
    """Why no receipt at all is possible for ``root``; empty if one is."""
    if isinstance(root, Contract) and (root.status != ContractStatus.SIGNED or not root.is_valid):
        return f"合同“{root.number}”{root.get_status_display()}，只有已签约的合同能登记回款。"
    if isinstance(root, Order):
        if root.contract_id:
            return f"订单“{root}”属于合同“{root.contract.number}”，回款请登记到合同。"
        if root.status != OrderStatus.CONFIRMED or not root.is_valid:
            return f"订单“{root}”{root.get_status_display()}，只有已确认的订单能登记回款。"
    return ""


def _lock_root(record):
    """The contract or order of ``record``, locked after its customer and before its plans, as they are stored."""
    root = record.root
    if root is None:
        raise ValidationError("回款属于一份合同或一张订单：请选择其中一个。")
    Customer._base_manager.select_for_update().get(pk=root.customer_id)
    locked = type(root)._base_manager.select_for_update().select_related(None).get(pk=root.pk)
    if record.contract_id:
        record.contract = locked
        plans = {plan.pk: plan for plan in open_plans(locked).order_by("pk").select_for_update()}
        if record.plan_id:
            record.plan = plans.get(record.plan_id) or PaymentPlan.objects.get(pk=record.plan_id)
    else:
        record.order = locked
    return locked


def _parts(record, root) -> list[tuple[PaymentPlan | None, Decimal]]:
    if record.plan_id or not isinstance(root, Contract):
        return [(record.plan, record.amount)]
    left, parts = record.amount, []
    for plan in open_plans(root):
        if left <= 0:
            break
        parts.append((plan, min(left, plan.open_amount)))
        left -= parts[-1][1]
    return parts + ([(None, left)] if left > 0 else [])


def _copy(record):
    names = ("contract", "order", "date", "method", "bank_flow", "remark")
    return PaymentRecord(**{name: getattr(record, name) for name in names})


def void(record, *, by, reason) -> PaymentRecord:
    """Take a receipt back; the sums follow. One that an invoice names can be voided after the invoice only.

    Raises PermissionDenied, TransitionRefused (already void, no reason), ValidationError.
    """
    with transaction.atomic(), actor.acting(by):
        _lock_root(record)
        invoices = record.invoices.filter(is_valid=True).exclude(status=InvoiceStatus.VOID)
        if numbers := list(invoices.values_list("number", flat=True)[:5]):
            raise ValidationError(f"回款“{record}”已开发票 {'、'.join(numbers)}，请先作废发票。")
        return transitions.run(record, "void", by=by, reason=reason)


def _tell_received(root, made):
    total = sum(part.amount for part in made)
    amount, left = (money(number, root.currency) for number in (total, root.open_amount - total))
    tell_customer(
        root.customer,
        BILLS,
        title=f"已收到款项 {amount}",
        text=f"{root.customer.name}：\n{type(root).what} {root.number} 的款项 {amount} 已于 {made[0].date} 收到，谢谢。"
        f"尚未支付 {left}。",
    )


# --- Instalments -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Instalment:
    """One line of a proposal: what is due when, and on what condition."""

    amount: Decimal
    date: date
    term: str = ""


def split(total: Decimal, percents) -> list[Decimal]:
    """``total`` in parts of ``percents`` (together 100), to the cent; the last part takes the rest.

    Parts are rounded down, so that the last one is never less than its share. Raises ValidationError.
    """
    percents = list(percents)
    if not percents or any(percent <= 0 for percent in percents):
        raise ValidationError("每一期的比例都必须大于零。")
    if sum(percents) != 100:
        raise ValidationError(f"各期比例合计为 {sum(percents).normalize():f}%，必须正好是 100%。")
    parts = [(total * percent / 100).quantize(CENT, ROUND_DOWN) for percent in percents[:-1]]
    parts.append(total - sum(parts, ZERO))
    if min(parts) <= 0:
        raise ValidationError(f"金额 {total:,.2f} 太小，分不成 {len(percents)} 期。")
    return parts


def propose(contract, shares, *, start, replace=False) -> list[Instalment]:
    """What is not planned yet of ``contract``, in instalments; ``shares`` are (percent, days after ``start``, term).

    ``replace``: instalments without any receipt make room first. Raises ValidationError.
    """
    shares = sorted(shares, key=lambda share: share[1])
    total = unplanned(contract, replace=replace)
    if total <= 0:
        raise ValidationError("合同金额已全部排进回款计划（或已经收到），没有可以再排的金额。")
    amounts = split(total, [percent for percent, _, _ in shares])
    return [
        Instalment(amount, start + timedelta(days=days), term)
        for amount, (_, days, term) in zip(amounts, shares, strict=True)
    ]


def unplanned(contract, *, replace=False) -> Decimal:
    """What of ``contract`` is in no instalment and was not received outside of them."""
    kept = PaymentPlan.objects.valid().filter(contract=contract)
    if replace:
        kept = kept.filter(received_amount__gt=0)
    planned = kept.aggregate(total=Sum("amount"))["total"] or ZERO
    outside = contract.payments.filter(is_valid=True, status=ReceiptStatus.VALID, plan=None)
    return contract.total_amount - planned - (outside.aggregate(total=Sum("amount"))["total"] or ZERO)


def generate(contract, shares, *, start, by, replace=False) -> list[PaymentPlan]:
    """Make the instalments that ``propose`` gives. Raises PermissionDenied, ValidationError."""
    with transaction.atomic(), actor.acting(by):
        locked = _lock_to_plan(contract, by)
        proposal = propose(locked, shares, start=start, replace=replace)
        if replace:
            for plan in PaymentPlan.objects.valid().filter(contract=locked, received_amount=0).order_by("pk"):
                records.remove(plan, by=by, reason="重新生成回款计划")
        last = locked.plans.filter(is_valid=True).order_by("-position").values_list("position", flat=True).first() or 0
        return [
            records.save(
                PaymentPlan(contract=locked, position=place, amount=one.amount, date=one.date, term=one.term), by=by
            )
            for place, one in enumerate(proposal, last + 1)
        ]


def save_plan(plan, *, by) -> PaymentPlan:
    """Save a new or changed instalment under the lock of its contract. Raises PermissionDenied, ValidationError."""
    with transaction.atomic(), actor.acting(by):
        plan.contract = _lock_to_plan(plan.contract, by)
        if plan.pk:
            stored = PaymentPlan._base_manager.select_for_update().get(pk=plan.pk)
            plan.received_amount = stored.received_amount
        plan.full_clean(exclude=["status"])
        return records.save(plan, by=by)


def _lock_to_plan(contract, by):
    locked = Contract._base_manager.select_for_update().get(pk=contract.pk)
    if by is not None and not policy_for(PaymentPlan).may_add_to(by, locked):
        raise PermissionDenied("没有排回款计划的权限。")
    if locked.status == ContractStatus.TERMINATED:
        raise ValidationError(f"合同“{locked.number}”已终止，不能再排回款计划。")
    return locked


# --- Invoices --------------------------------------------------------------------------------------------------------


def issue(invoice, *, by) -> Invoice:
    """Save the new ``invoice``; those of a contract never come to more than it.

    Raises PermissionDenied, ValidationError.
    """
    with transaction.atomic(), actor.acting(by):
        contract = Contract._base_manager.select_for_update().get(pk=invoice.contract_id)
        if not policy_for(Invoice).may_add_to(by, contract):
            raise PermissionDenied("没有登记发票的权限。")
        if problem := invoice_refusal(invoice, contract):
            raise ValidationError({"amount": problem})
        invoice.contract = contract
        invoice.full_clean(exclude=["status", "customer", "currency"])
        records.save(invoice, by=by)
        tell_customer(
            contract.customer,
            BILLS,
            title=f"发票 {invoice} 已开具",
            text=f"{contract.customer.name}：\n合同 {contract.number} 的{invoice.get_type_display()} {invoice} 已于 "
            f"{invoice.issue_date} 开具，金额 {money(invoice.amount, invoice.currency)}，抬头“{invoice.title}”。",
        )
    return invoice


def closed_to_invoices(contract) -> str:
    """Why no invoice at all is possible for ``contract``; empty if one is."""
    if contract.status != ContractStatus.SIGNED:
        return f"合同“{contract.number}”{contract.get_status_display()}，只有已签约的合同能开发票。"
    return ""


def invoice_refusal(invoice, contract) -> str:
    """Why ``invoice`` is not possible for ``contract`` as it stands; empty if it is."""
    if problem := closed_to_invoices(contract):
        return problem
    if invoice.amount > contract.total_amount - contract.invoiced_amount:
        shown = [money(amount, contract.currency) for amount in (contract.total_amount, contract.invoiced_amount)]
        most = money(contract.total_amount - contract.invoiced_amount, contract.currency)
        return f"超出合同金额：合同 {shown[0]}，已开票 {shown[1]}，最多还可开 {most}。"
    return ""


def void_invoice(invoice, *, by, reason) -> Invoice:
    """Take an invoice back. Raises PermissionDenied, TransitionRefused (certified or void already, no reason)."""
    with transaction.atomic():
        Contract._base_manager.select_for_update().get(pk=invoice.contract_id)
        return transitions.run(invoice, "void", by=by, reason=reason)


# --- Reading ---------------------------------------------------------------------------------------------------------


def open_plans(root):
    """The instalments of the contract ``root`` that are not paid up, the earliest first; an order has none."""
    if not isinstance(root, Contract):
        return PaymentPlan.objects.none()
    return root.plans.filter(is_valid=True).exclude(status=PaidState.PAID).order_by("date", "position", "pk")


def in_words(plan) -> str:
    """An open instalment as a choice: which, when and how much."""
    return f"第 {plan.position} 期，{plan.date}，未回款 {money(plan.open_amount, plan.contract.currency)}"


def due(which, today):
    """Instalments that are ``overdue``, due within the ``week`` from ``today``, or just ``open``."""
    rows = PaymentPlan.objects.due()
    if which == "overdue":
        return rows.filter(date__lt=today)
    return rows.filter(date__gte=today, date__lt=today + timedelta(days=WEEK)) if which == "week" else rows


def with_progress(contracts):
    """``contracts`` with ``received_percent`` (whole per cents, rounded down), ``plans_total`` and ``plans_paid``."""
    plans = PaymentPlan.objects.valid().filter(contract=OuterRef("pk")).order_by().values("contract")
    paid = Count("pk", filter=Q(status=PaidState.PAID))
    percent = Case(
        When(total_amount=0, then=None),
        default=F("received_amount") * 100 / F("total_amount"),
        output_field=DecimalField(max_digits=7, decimal_places=2),
    )
    return contracts.annotate(
        received_percent=percent,
        plans_total=Coalesce(Subquery(plans.annotate(number=Count("pk")).values("number")), 0),
        plans_paid=Coalesce(Subquery(plans.annotate(number=paid).values("number")), 0),
    )
