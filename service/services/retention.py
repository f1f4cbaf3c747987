"""Churn: who is about to be lost, what is done about it, confirmed losses, and recoveries by a new order.

An order counts when it is confirmed, a contract as ``sales.services.moments`` says; days are those of Asia/Shanghai.
Whatever reads the orders of a customer and then settles his case holds his row meanwhile.
"""

import calendar
from dataclasses import dataclass
from datetime import date

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count, Exists, Max, OuterRef, Q, Subquery
from django.urls import reverse
from django.utils import timezone

from crm import actor, bulk
from crm.models import Operation, User
from crm.notifications import notify
from crm.policies import policy_for
from customers.models import Customer, DealStatus, OwnerChange, Stage
from customers.services import lifecycle, pool
from sales.models import Contract, Order, OrderStatus
from sales.services.moments import STANDING
from service.models import PENDING, ChurnRule, CustomerLoss, LossStatus, RetentionMeasure

SPAN = 20_000  # keys of customers looked at in one query
LISTED = 100
UNSETTLED = [*PENDING, LossStatus.LOST]


class LossError(ValueError):
    """What was asked for makes no sense now; the message says why and what to do."""


def months_before(day, months) -> date:
    """The same day so many months earlier; the last of the month where that one is shorter."""
    index = day.year * 12 + day.month - 1 - months
    year, month = index // 12, index % 12 + 1
    return day.replace(year=year, month=month, day=min(day.day, calendar.monthrange(year, month)[1]))


# --- Scanning --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Finding:
    customer: int
    last: date | None
    warning: str


class Scan:
    """The rules as they stand on ``today``, applied to customers by ranges of their keys: one query each."""

    def __init__(self, today):
        self.today = today
        rules = list(ChurnRule.objects.valid())
        self.rules = {rule.level_id: rule for rule in rules}
        limits = [months_before(today, rule.idle_months) for rule in rules if rule.idle_months]
        never = [months_before(today, rule.never_months) for rule in rules if rule.never_months]
        self.is_idle = not (limits or never)
        self.latest = max(limits, default=date.min)  # a deal after it speaks against every rule

    def find(self, after, until) -> list[Finding]:
        """What the rules say of the customers with keys in (after, until] that are not warned of yet."""
        rows = candidates(self.latest).filter(pk__gt=after, pk__lte=until)
        columns = ("pk", "level_id", "created_at", "last_order", "last_contract")
        found = (self._judge(*row) for row in rows.values_list(*columns))
        return [finding for finding in found if finding is not None]

    def _judge(self, customer, level, created_at, last_order, last_contract):
        rule = self.rules.get(level) or self.rules.get(None)
        if rule is None:
            return None
        last = max(filter(None, (last_order, last_contract)), default=None)
        months = rule.idle_months if last else rule.never_months
        if not months or (last or timezone.localdate(created_at)) > months_before(self.today, months):
            return None
        words = f"最近下单 {last}，已超过 {months} 个月" if last else f"建档超过 {months} 个月，从未下单"
        return Finding(customer, last, words)


def candidates(latest):
    """Customers in play without a deal after ``latest``, with the dates of their last ones; no case is open."""
    orders = Order.objects.filter(customer=OuterRef("pk"), status=OrderStatus.CONFIRMED, is_valid=True).order_by()
    signed = Contract.objects.filter(STANDING, customer=OuterRef("pk"), is_valid=True).order_by()
    return (
        Customer.objects.filter(is_valid=True, is_enabled=True, is_closed=False)
        .exclude(deal_status=DealStatus.LOST)
        .filter(~Exists(orders.filter(order_date__gt=latest)), ~Exists(signed.filter(sign_date__gt=latest)))
        .filter(~Exists(CustomerLoss.objects.filter(open_key=OuterRef("pk"))))
        .annotate(
            last_order=Subquery(orders.order_by("-order_date").values("order_date")[:1]),
            last_contract=Subquery(signed.values("customer").annotate(last=Max("sign_date")).values("last")),
        )
        .order_by("pk")
    )


def last_key() -> int:
    return Customer.objects.aggregate(last=Max("pk"))["last"] or 0


def record(findings, today) -> int:
    """Open a case for each of ``findings``; gives how many. Runs in a transaction."""
    rows = [
        {
            "customer_id": finding.customer,
            "open_key": finding.customer,
            "last_order_date": finding.last,
            "warned_on": today,
            "warning": finding.warning,
        }
        for finding in findings
    ]
    bulk.insert(CustomerLoss, rows, remark="流失扫描")
    return len(rows)


def preview() -> list[str]:
    """What a run would warn of now: how many, and the first of them."""
    scan, last, count, lines = Scan(timezone.localdate()), last_key(), 0, []
    for start in range(0, last, SPAN) if not scan.is_idle else ():
        found = scan.find(start, start + SPAN)
        count += len(found)
        shown = {finding.customer: finding for finding in found[: LISTED - len(lines)]}
        rows = Customer.objects.filter(pk__in=shown).order_by("pk").values_list("pk", "code", "name")
        lines += [f"{code} {name}：{shown[pk].warning}" for pk, code, name in rows]
    more = [f"……另有 {count - LISTED} 个"] if count > LISTED else []
    back = [f"挽回：{loss.customer}" for loss in recovered().select_related("customer")[:LISTED]]
    return [f"预警 {count} 个客户", *lines, *more, *back]


def tell_owners(today) -> int:
    """Tell each owner, once a day, how many of his customers were warned of; gives how many people."""
    rows = CustomerLoss.objects.valid().filter(
        warned_on=today, status=LossStatus.WARNING, customer__owner__is_active=True
    )
    counts = dict(rows.order_by().values_list("customer__owner").annotate(count=Count("pk")))
    link = f"{reverse('admin:service_customerloss_changelist')}?status={LossStatus.WARNING}"
    for owner in User.objects.filter(pk__in=counts):
        notify(
            [owner],
            title=f"{counts[owner.pk]} 个客户可能流失",
            key=f"churn:{today}",
            body="长时间没有下单，请联系客户并记下措施。",
            link=link,
            level="warning",
        )
    return len(counts)


# --- Settling --------------------------------------------------------------------------------------------------------


def newer_deal(loss) -> str:
    """The order or contract of the customer that is newer than what the warning knew of, in words; "" without one."""
    for model, counts, column, word in (
        (Order, Q(status=OrderStatus.CONFIRMED), "order_date", "订单"),
        (Contract, STANDING, "sign_date", "合同"),
    ):
        rows = model.objects.filter(counts, customer=loss.customer_id, is_valid=True)
        since = Q() if loss.last_order_date is None else Q(**{f"{column}__gt": loss.last_order_date})
        if deal := rows.filter(since).order_by(f"-{column}").first():
            return f"{word} {deal.number}（{getattr(deal, column)}）"
    return ""


def add_measure(loss, *, by, content, effect="", day=None) -> RetentionMeasure:
    """Note what is done to keep the customer. Raises PermissionDenied, LossError: the case is settled."""
    measure = RetentionMeasure(loss=loss, content=content, effect=effect, date=day or timezone.localdate())
    measure.full_clean()
    return save_measure(measure, by=by)


def save_measure(measure, *, by) -> RetentionMeasure:
    """Save the new or changed ``measure``; the first one turns a warning into 暂缓流失."""
    with transaction.atomic(), actor.acting(by):
        if by is not None and not policy_for(RetentionMeasure).may_add_to(by, measure.loss.customer):
            raise PermissionDenied("没有给该客户添加措施的权限。")
        loss = CustomerLoss._base_manager.select_for_update().get(pk=measure.loss_id)
        if loss.status not in PENDING and measure._state.adding:
            raise LossError(f"该客户已是“{loss.get_status_display()}”，不能再添加措施。")
        measure.save()
        if loss.status == LossStatus.WARNING:
            loss.reprieve()
            loss.save(operation=Operation.TRANSITION, remark=measure.content[:255])
    return measure


def confirm(loss, *, by, reason, kind=None) -> CustomerLoss:
    """The customer is lost: stage 失效, deal 流失, back to the sea where the rule says so. ``kind``: a ``loss_reason``.

    Orders that came since the warning are looked at under the lock of the customer: with one the case ends as recovered
    instead, and the caller sees that in the status. Raises PermissionDenied, LossError, ValidationError.
    """
    if not reason.strip():
        raise LossError("流失原因：请填写客户为什么不再合作。")
    with transaction.atomic(), actor.acting(by):
        customer, loss = _locked(loss)
        if by is not None and not policy_for(CustomerLoss).may(by, "confirm", loss):
            raise PermissionDenied("没有确认客户流失的权限。")
        if loss.status not in PENDING:
            raise LossError(f"该客户已是“{loss.get_status_display()}”，可能已被其他人处理，请刷新后查看。")
        if deal := newer_deal(loss):
            return _recover(customer, loss, deal)
        loss.confirm()
        loss.reason_type, loss.reason = kind, reason.strip()[:1000]
        loss.save(operation=Operation.TRANSITION, remark=loss.reason[:255])
        customer.enter_deal(DealStatus.LOST)
        customer.save(operation=Operation.TRANSITION, remark="确认流失")
        if customer.stage != Stage.LAPSED:
            customer = lifecycle.change_stage(customer, Stage.LAPSED, by=by, reason=f"确认流失：{loss.reason}")
        rule = _rule_of(customer)
        if rule is not None and rule.releases and customer.owner_id is not None:
            pool.drop(customer, OwnerChange.RELEASED, reason=f"确认流失：{loss.reason}"[:255])
    return loss


def recover(loss) -> CustomerLoss:
    """End the case if a newer deal exists. Runs in a transaction; what has none is given back unchanged."""
    customer, loss = _locked(loss)
    deal = newer_deal(loss) if loss.status in UNSETTLED else ""
    return _recover(customer, loss, deal) if deal else loss


def _recover(customer, loss, deal) -> CustomerLoss:
    was_lost = loss.status == LossStatus.LOST
    loss.recover()
    loss.recovered_by = deal[:200]
    loss.save(operation=Operation.TRANSITION, remark=f"新{deal}"[:255])
    if customer.deal_status == DealStatus.LOST:
        customer.enter_deal(DealStatus.WON)
        customer.save(operation=Operation.TRANSITION, remark=f"挽回：{deal}")
    if was_lost and customer.stage == Stage.LAPSED:
        lifecycle.change_stage(customer, Stage.ORDINARY, by=None, reason=f"挽回：{deal}")
    return loss


def _locked(loss):
    """The customer and the case, locked in this order."""
    customer = Customer._base_manager.select_for_update().get(pk=loss.customer_id)
    return customer, CustomerLoss._base_manager.select_for_update().get(pk=loss.pk)


def _rule_of(customer) -> ChurnRule | None:
    rules = {rule.level_id: rule for rule in ChurnRule.objects.valid()}
    return rules.get(customer.level_id) or rules.get(None)


def recovered():
    """Unsettled cases whose customers have a deal that is newer than what the warning knew of."""
    orders = Order.objects.filter(customer=OuterRef("customer"), status=OrderStatus.CONFIRMED, is_valid=True)
    signed = Contract.objects.filter(STANDING, customer=OuterRef("customer"), is_valid=True)
    known = OuterRef("last_order_date")
    newer = Exists(orders.filter(order_date__gt=known)) | Exists(signed.filter(sign_date__gt=known))
    first = Q(last_order_date=None) & (Exists(orders) | Exists(signed))
    return CustomerLoss.objects.valid().filter(newer | first, status__in=UNSETTLED).order_by("pk")


def recovered_by(obj, name, by):
    """Hook of ``transitions.after``: a confirmed order or a signed contract ends the case of its customer."""
    if (isinstance(obj, Order) and name == "confirm") or (isinstance(obj, Contract) and name == "sign"):
        for loss in CustomerLoss.objects.valid().filter(customer=obj.customer_id, status__in=UNSETTLED):
            recover(loss)


def merged(ledger, rows, survivor):
    """Provider of the merging of customers: of two open cases the survivor's goes on."""
    is_open = CustomerLoss.objects.valid().filter(customer=survivor, status__in=PENDING).exists()
    for row in rows:
        if is_open and row.status in PENDING:
            ledger.change(row, is_valid=False)
        else:
            ledger.change(row, customer_id=survivor.pk)


def load_rules() -> None:
    """The rule for everybody that an installation begins with: six months without an order, a year without any."""
    if not ChurnRule.objects.exists():
        ChurnRule.objects.create(idle_months=6, never_months=12)
