"""What can be asked for about a customer. Sources: eplus approvals of changes, stages, credit and paths; dms review."""

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.utils import timezone

from crm import audit, exchange, records
from crm.approvals import Effect, Kind, Level, Line, Section, register
from crm.approvals.proposals import RecordChange
from crm.audit_display import Words, label_of
from crm.models import ApprovalRequest, Currency, Operation
from customers.models import (
    BankAccount,
    ChangeStatus,
    Contact,
    CreditLimit,
    Customer,
    CustomerPath,
    ReviewStatus,
    ShippingMark,
    Stage,
)
from customers.services import changes, credit, lifecycle, reviews

REVIEWER, MANAGER, FINANCE = Level("审批人审核", role="审批人"), Level("部门主管"), Level("财务审核", role="财务")


@dataclass
class CustomerReview(Kind):
    """A new customer is looked at before anything is sold to it."""

    def check(self, target, values, *, by):
        if target.review_status not in (ReviewStatus.PENDING, ReviewStatus.REJECTED):
            raise ValidationError(f"客户{target.get_review_status_display()}，不需要再审核。")

    def sections(self, target, values, user):
        words = Words(user)
        for name, value in values["fields"].items():
            words.want(Customer, name, value)
        lines = [
            Line(label_of(Customer, name), "", words.text(Customer, name, value))
            for name, value in values["fields"].items()
            if value not in (None, "")
        ]
        return [Section("客户资料", lines)]

    def conflicts(self, target, values):
        now = audit.state(target, values["fields"])
        return [f"{label_of(Customer, name)}已修改" for name, value in values["fields"].items() if now[name] != value]

    def submitted(self, target, request):
        if target.review_status == ReviewStatus.REJECTED:
            target.resubmit()
            target.save(operation=Operation.TRANSITION, remark=f"{request}重新提交")

    def apply(self, target, values, request):
        target.approve()
        target.save(operation=Operation.TRANSITION, remark=str(request))

    def closed(self, target, request):
        if request.state == ApprovalRequest.State.REJECTED and target.review_status == ReviewStatus.PENDING:
            target.reject()
            target.save(operation=Operation.TRANSITION, remark=str(request))


@dataclass
class CustomerChange(RecordChange):
    """A change of an approved customer; the flags of the seeds follow its requests."""

    parts: dict = field(default_factory=lambda: PARTS)
    free: tuple = (Contact, ShippingMark)

    def amount(self, target, values):
        """The limits asked for, in CNY by today's rates; None where no limit is touched. Raises NoRate."""
        asked = [limit for limit in limits(target, values) if limit[2]]
        today = timezone.localdate()
        found = [exchange.convert(new, currency, Currency.CNY, on=today) for currency, _, new in asked]
        return sum(found) if found else None

    def stamp(self, row, remark):
        if isinstance(row, CreditLimit):
            row.approval = remark[:64]

    def submitted(self, target, request):
        changes.mark(target, ChangeStatus.PENDING)

    def apply(self, target, values, request):
        super().apply(target, values, request)
        changes.mark(target, ChangeStatus.APPROVED)

    def closed(self, target, request):
        rejected = request.state == ApprovalRequest.State.REJECTED
        last = ChangeStatus.APPROVED if target.version_no > 1 else ChangeStatus.NONE
        changes.mark(target, ChangeStatus.REJECTED if rejected else last)


@dataclass
class StageChange(Kind):
    """``values`` is ``{"from": stage, "to": stage}``."""

    def check(self, target, values, *, by):
        lifecycle.check_stage(target, values["to"])

    def sections(self, target, values, user):
        return [Section("客户阶段", [Line("客户阶段", Stage(values["from"]).label, Stage(values["to"]).label)])]

    def conflicts(self, target, values):
        if target.stage == values["from"]:
            return []
        return [f"客户阶段已变为“{target.get_stage_display()}”"]

    def apply(self, target, values, request):
        lifecycle.change_stage(target, values["to"], by=None, reason=request.reason or str(request), request=request)


@dataclass
class CustomerDeletion(Kind):
    """Removal is soft; what still points to the customer stands in its way."""

    def check(self, target, values, *, by):
        if users := records.usage(target):
            listed = "、".join(f"{count} 条{name}" for name, count in users.items())
            raise ValidationError(f"“{target}”还被{listed}使用，不能删除。")

    def sections(self, target, values, user):
        return [Section("删除客户", [Line("客户", f"{target.name}（{target.code}）", "删除")])]

    def apply(self, target, values, request):
        records.remove(target, by=None, reason=str(request))


def limits(customer, values) -> list[tuple]:
    """``[(currency, limit now, limit asked for)]`` of the credit limits that a proposal touches."""
    found = []
    for part in values.get("parts", ()):
        if part["model"] != CreditLimit._meta.label:
            continue
        stored = CreditLimit.objects.filter(pk=part["id"], customer=customer).first()
        now = stored.amount if stored else Decimal(0)
        _, amount = part["fields"].get("amount", (None, None))
        _, currency = part["fields"].get("currency", (None, None))
        new = Decimal(0) if part["op"] == "remove" else Decimal(amount) if amount is not None else now
        found.append((currency or stored.currency, now, new))
    return found


def credit_effects(customer, values, user) -> list[Effect]:
    """Headroom now, and what would be left under the limits asked for."""
    if not customer.is_credit_enabled:
        return []
    found = []
    try:
        position = credit.Position(customer)
        for currency, now, new in limits(customer, values):
            left = position.line_for(currency).headroom
            text = f"{exchange.money(left, currency)} → {exchange.money(left - now + new, currency)}"
            found.append(Effect(f"{currency} 信用剩余", text=text, warning=left - now + new < 0))
        if not found:
            for line in position.lines:
                text = exchange.money(line.headroom, line.currency)
                found.append(Effect(f"{line.currency} 信用剩余", text=text, warning=line.headroom < 0))
    except exchange.NoRate as error:
        found.append(Effect("信用剩余", text=error.messages[0], warning=True))
    return found


changes.EFFECTS.add("credit", credit_effects)


@dataclass
class TemporaryCreditKind(Kind):
    """More credit until a day: ``values`` is ``{"currency": code, "amount": text, "until": ISO day}``."""

    def check(self, target, values, *, by):
        if date.fromisoformat(values["until"]) < timezone.localdate():
            raise ValidationError("有效期不能早于今天。")

    def amount(self, target, values):
        if not values:
            return None
        return exchange.convert(Decimal(values["amount"]), values["currency"], Currency.CNY, on=timezone.localdate())

    def sections(self, target, values, user):
        amount = exchange.money(Decimal(values["amount"]), values["currency"])
        return [Section("临时额度", [Line("金额", "", amount), Line("有效期至（含当天）", "", values["until"])])]

    def conflicts(self, target, values):
        late = date.fromisoformat(values["until"]) < timezone.localdate()
        return ["申请的有效期已经过去"] if late else []

    def apply(self, target, values, request):
        credit.grant_temporary(
            target,
            values["currency"],
            Decimal(values["amount"]),
            date.fromisoformat(values["until"]),
            by=None,
            reason=request.reason or str(request),
            approval=str(request),
        )


PARTS = dict.fromkeys((Contact, CreditLimit, CustomerPath, BankAccount, ShippingMark), "customer")
NOTICE = "这是已审核的客户：除联系人和唛头外，修改在保存时会先显示差异和影响，提交审批通过后才生效。"

SHARED = {"effects": changes.EFFECTS}

REVIEW = register(CustomerReview(reviews.REVIEW, "客户审核", Customer, levels=(REVIEWER,), button="提交审核", **SHARED))
CHANGE = register(
    CustomerChange(
        changes.CHANGE,
        "客户变更",
        Customer,
        levels=(MANAGER, REVIEWER),
        amount_levels=(MANAGER, FINANCE),
        notice=NOTICE,
        **SHARED,
    )
)
CREDIT = register(CustomerChange(changes.CREDIT, "信用额度变更", Customer, levels=(MANAGER, FINANCE), **SHARED))
PATH = register(CustomerChange(changes.PATH, "公司路径变更", Customer, levels=(MANAGER,), **SHARED))
TEMPORARY = register(
    TemporaryCreditKind(
        "customer.temporary_credit", "临时额度", Customer, levels=(MANAGER, FINANCE), button="申请临时额度", **SHARED
    )
)
STAGE = register(
    StageChange("customer.stage", "客户阶段变更", Customer, levels=(MANAGER,), button="变更阶段", **SHARED)
)
DELETION = register(
    CustomerDeletion("customer.deletion", "客户删除", Customer, levels=(MANAGER, REVIEWER), button="申请删除", **SHARED)
)


def change_kind(values) -> CustomerChange:
    """The kind a proposal is submitted under: what changes decides who must agree."""
    changed = {part["model"] for part in values["parts"]}
    if not values["fields"] and changed == {CreditLimit._meta.label}:
        return CREDIT
    if not values["fields"] and changed == {CustomerPath._meta.label}:
        return PATH
    return CHANGE
