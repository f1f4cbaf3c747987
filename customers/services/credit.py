"""Credit control: how much a customer may still owe us, and everything that changes it. Definitions: docs/credit.md.

Documents call ``check`` in the transaction that makes them count (a contract is signed, an order confirmed), or
``reserve`` before that and ``release`` when they count or fall through. Whatever reads and then adds to the exposure
holds the customer's row lock meanwhile, so that two documents never spend the same credit.
"""

from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import connection, transaction
from django.db.models import Sum
from django.utils import timezone

from crm import actor, exchange, records, transitions
from crm.approvals import Effect
from crm.exchange import NoRate, convert, money
from crm.models import Currency
from crm.policies import policy_for
from crm.registries import Registry
from customers.models import CreditLimit, CreditReservation, Customer, ReservationState, TemporaryCredit

# provider(customer) -> {currency: amount} that his documents make him owe; the name is shown beside the amounts
EXPOSURE = Registry("credit exposure")
HELD = "单据占用"
ZERO = Decimal(0)
KEEP = object()


@dataclass(frozen=True)
class Line:
    """One limit and what is charged to it, all in ``currency``."""

    currency: str
    limit: Decimal
    temporary: Decimal
    used: Decimal

    @property
    def headroom(self) -> Decimal:
        return self.limit + self.temporary - self.used


class OverLimit(Exception):
    """``amount`` of ``currency`` (``needed`` in the currency of ``line``) is more than ``line`` has left."""

    def __init__(self, customer, currency, amount, *, line, needed, reference):
        self.customer, self.currency, self.amount, self.reference = customer, currency, amount, reference
        self.line, self.needed = line, needed
        self.limit, self.exposure, self.headroom = line.limit + line.temporary, line.used, line.headroom
        super().__init__(self._message())

    def _message(self):
        def shown(amount):
            return money(amount, self.line.currency)

        folded = f"（折合 {shown(self.needed)}）" if self.line.currency != self.currency else ""
        extra = f"（含临时额度 {shown(self.line.temporary)}）" if self.line.temporary else ""
        return (
            f"超出“{self.customer}”的信用额度：{self.reference} {money(self.amount, self.currency)}{folded}，"
            f"额度 {shown(self.limit)}{extra}，已占用 {shown(self.exposure)}，剩余 {shown(self.headroom)}，"
            f"超出 {shown(self.needed - self.headroom)}。请先收回欠款或减少本单金额，或申请提高额度、临时额度。"
        )


class Position:
    """Where a customer stands on one day.

    Every amount is charged to one line: the limit in its own currency, else the main line (settlement currency, else
    CNY, else the oldest), converted by the rate of the day. Temporary credit widens the line that its currency is
    charged to. Raises NoRate where a conversion is needed and no rate is known.
    """

    def __init__(self, customer, *, on=None):
        self.customer, self.on = customer, on or timezone.localdate()

    @cached_property
    def limits(self) -> dict[str, CreditLimit]:
        rows = CreditLimit.objects.effective(self.on).filter(customer=self.customer).order_by("pk")
        return {row.currency: row for row in rows}

    @cached_property
    def temporary(self) -> dict[str, Decimal]:
        rows = TemporaryCredit.objects.valid().filter(customer=self.customer, valid_until__gte=self.on)
        return _totals(rows)

    @cached_property
    def sources(self) -> dict[str, dict[str, Decimal]]:
        """``{what makes him owe: {currency: amount}}``."""
        held = CreditReservation.objects.valid().filter(customer=self.customer, state=ReservationState.ACTIVE)
        answers = {**EXPOSURE.ask(self.customer), HELD: _totals(held)}
        found = {name: {c: amount for c, amount in amounts.items() if amount} for name, amounts in answers.items()}
        return {name: amounts for name, amounts in found.items() if amounts}

    @cached_property
    def exposure(self) -> dict[str, Decimal]:
        total: dict[str, Decimal] = {}
        for amounts in self.sources.values():
            for currency, amount in amounts.items():
                total[currency] = total.get(currency, ZERO) + amount
        return total

    @cached_property
    def currencies(self) -> list[str]:
        """The currencies of the lines, the main one first; temporary credit alone makes lines too."""
        known = list(self.limits or self.temporary) or [self.customer.currency]
        main = next((c for c in (self.customer.currency, Currency.CNY) if c in known), known[0])
        return [main, *(currency for currency in known if currency != main)]

    @cached_property
    def lines(self) -> list[Line]:
        return [self._line(currency) for currency in self.currencies]

    def line_for(self, currency) -> Line:
        """The line that an amount of ``currency`` is charged to."""
        return self._line(self._charged(currency))

    def _charged(self, currency):
        return currency if currency in self.currencies else self.currencies[0]

    def _line(self, currency) -> Line:
        def charged(amounts):
            mine = ((c, amount) for c, amount in amounts.items() if self._charged(c) == currency)
            return sum((convert(amount, c, currency, on=self.on) for c, amount in mine), ZERO)

        limit = self.limits.get(currency)
        return Line(currency, limit.amount if limit else ZERO, charged(self.temporary), charged(self.exposure))


def _totals(rows) -> dict[str, Decimal]:
    return dict(rows.order_by().values_list("currency").annotate(total=Sum("amount")))


# --- Reading ---------------------------------------------------------------------------------------------------------


def exposure(customer) -> dict[str, Decimal]:
    """``{currency: amount}`` that ``customer`` owes or has on hold now."""
    return Position(customer).exposure


def headroom(customer, currency) -> Decimal | None:
    """What ``customer`` may still take on in ``currency`` today; negative when over; None: credit is not controlled.

    Raises NoRate.
    """
    if not customer.is_credit_enabled:
        return None
    line = Position(customer).line_for(currency)
    return convert(line.headroom, line.currency, currency, on=timezone.localdate())


# --- Documents -------------------------------------------------------------------------------------------------------


def check(customer, currency, amount, *, reference, by) -> Position | None:
    """Refuse ``amount`` of ``currency`` for the document ``reference`` when it goes beyond the customer's credit.

    Locks the customer's row until the caller's transaction ends: the document must count, or hold its reservation,
    before that. None when credit is not controlled. Raises OverLimit, NoRate, PermissionDenied, ValidationError and,
    outside a transaction, TransactionManagementError.
    """
    return _check_locked(_lock(customer, by, amount), currency, amount, reference)


def _lock(customer, by, amount) -> Customer:
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("信用额度必须在事务中检查。")
    if by is not None and not policy_for(Customer).may(by, "view", customer):
        raise PermissionDenied("没有该客户的权限。")
    if amount <= 0:
        raise ValidationError({"amount": "金额：必须大于零。"})
    return Customer._base_manager.select_for_update().get(pk=customer.pk)


def _check_locked(locked, currency, amount, reference) -> Position | None:
    if not locked.is_credit_enabled:
        return None
    position = Position(locked)
    line = position.line_for(currency)
    needed = convert(amount, currency, line.currency, on=position.on)
    if needed > line.headroom:
        raise OverLimit(locked, currency, amount, line=line, needed=needed, reference=reference)
    return position


def reserve(customer, currency, amount, *, source, reference, by) -> CreditReservation:
    """Hold ``amount`` for a document: ``source`` is its kind (合同), ``reference`` its number.

    A document holds credit once: asked again for the same amount, the first reservation is returned. Raises as
    ``check`` does.
    """
    with transaction.atomic():
        locked = _lock(customer, by, amount)
        held = CreditReservation.objects.filter(active_key=CreditReservation.key_of(source, reference)).first()
        if held is not None:
            if (held.customer_id, held.currency, held.amount) != (locked.pk, currency, amount):
                raise ValidationError(f"{source} {reference} 已占用 {money(held.amount, held.currency)}，请先释放。")
            return held
        _check_locked(locked, currency, amount, f"{source} {reference}")
        try:
            rate = exchange.rate(currency, on=timezone.localdate())
        except NoRate:
            rate = None  # its own line needs none
        held = CreditReservation(
            customer=locked, currency=currency, amount=amount, rate=rate, source=source, reference=reference
        )
        return records.save(held, by=by)


def release(*, source, reference, by, reason) -> CreditReservation | None:
    """Free what the document holds; None if it holds nothing. The document's own service has checked the right."""
    with transaction.atomic(), actor.acting(by):
        held = CreditReservation.objects.filter(active_key=CreditReservation.key_of(source, reference)).first()
        return transitions.run(held, "release", by=None, reason=reason) if held else None


# --- Requests --------------------------------------------------------------------------------------------------------


def proposed_limits(values) -> list[tuple[int | None, str | None, Decimal | None]]:
    """``[(id of the limit or None, currency, amount)]`` that a change request asks for; None: as it is."""
    found = []
    for part in values.get("parts", ()):
        if part["model"] == CreditLimit._meta.label and part["op"] != "remove":
            fields = {name: new for name, (_, new) in part["fields"].items()}
            amount = fields.get("amount")
            found.append((part["id"], fields.get("currency"), None if amount is None else Decimal(amount)))
    return found


def limit_effects(customer, values, user) -> list[Effect]:
    """What is left under each limit that a request asks for (变更影响)."""
    if not policy_for(CreditLimit).allows(user, "view"):
        return []
    position, effects = Position(customer), []
    stored = {limit.pk: limit for limit in position.limits.values()}
    for pk, currency, amount in proposed_limits(values):
        limit = stored.get(pk)
        currency = currency or (limit.currency if limit else None)
        amount = amount if amount is not None else (limit.amount if limit else None)
        if currency is None or amount is None:
            continue
        try:
            line = position.line_for(currency) if currency in position.currencies else None
        except NoRate as error:
            effects.append(Effect(f"{currency} 额度", text=error.messages[0], warning=True))
            continue
        used = line.used if line else position.exposure.get(currency, ZERO)
        left = amount + (line.temporary if line else ZERO) - used
        text = f"新额度 {money(amount, currency)}，已占用 {money(used, currency)}，剩余 {money(left, currency)}"
        effects.append(Effect(f"{currency} 额度", text=text, warning=left < 0))
    return effects


# --- Changing --------------------------------------------------------------------------------------------------------


def may_manage(user, customer) -> bool:
    """Whether ``user`` sets limits of ``customer`` directly, without asking."""
    return policy_for(CreditLimit).may_add_to(user, customer)


def set_limit(
    customer, currency, amount, *, by, reason, approval=None, valid_from=KEEP, valid_until=KEEP
) -> CreditLimit:
    """Set the limit of ``customer`` in ``currency``; a limit of zero lets nothing through.

    ``approval`` is the number of the approval that decided it; without one ``by`` needs the right himself. Raises
    PermissionDenied, ValidationError (reason, amount, dates, beyond what the rating allows), NoRate.
    """
    with transaction.atomic():
        locked = _lock_to_manage(customer, by, reason, approval)
        limit = CreditLimit.objects.filter(limit_of=locked, currency=currency).first()
        limit = limit or CreditLimit(customer=locked, currency=currency)
        limit.customer, limit.amount, limit.approval = locked, amount, str(approval or "")
        if valid_from is not KEEP:
            limit.valid_from = valid_from
        if valid_until is not KEEP:
            limit.valid_until = valid_until
        limit.full_clean()
        return records.save(limit, by=by, reason=reason.strip())


def grant_temporary(customer, currency, amount, until, *, by, reason, approval=None) -> TemporaryCredit:
    """Let ``customer`` take on ``amount`` more until ``until``, that day included; ``by`` is who approved it.

    Raises PermissionDenied, ValidationError.
    """
    with transaction.atomic():
        locked = _lock_to_manage(customer, by, reason, approval)
        extra = TemporaryCredit(
            customer=locked,
            currency=currency,
            amount=amount,
            valid_until=until,
            reason=reason.strip(),
            approval=str(approval or ""),
        )
        extra.full_clean()
        return records.save(extra, by=by, reason=reason.strip())


def set_enabled(customer, enabled, *, by, reason) -> Customer:
    """Switch the control of ``customer``'s credit on or off. Raises PermissionDenied, ValidationError."""
    with transaction.atomic():
        locked = _lock_to_manage(customer, by, reason, None)
        locked.is_credit_enabled = enabled
        return records.save(locked, by=by, reason=reason.strip())


def _lock_to_manage(customer, by, reason, approval):
    if by is not None and not approval and not may_manage(by, customer):
        raise PermissionDenied("没有设定信用额度的权限，请提交申请。")
    if not reason.strip():
        raise ValidationError({"reason": "原因：请填写，会记入额度历史。"})
    return Customer._base_manager.select_for_update().get(pk=customer.pk)
