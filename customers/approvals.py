"""What can be asked for about a customer. Sources: eplus approvals of changes, stages, credit and paths; dms review."""

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.utils import timezone

from crm import audit, exchange, records
from crm.approvals import Kind, Level, Line, Section, register
from crm.approvals.proposals import RecordChange
from crm.audit_display import Words, label_of
from crm.models import ApprovalRequest, Currency, Operation
from customers.models import (
    BankAccount,
    ChangeStatus,
    Contact,
    CreditLimit,
    Customer,
    CustomerLink,
    CustomerPath,
    ReviewStatus,
    ShippingMark,
    Stage,
)
from customers.services import changes, credit, lifecycle, reviews

REVIEWER, MANAGER, FINANCE = Level("审批人审核", role="审批人"), Level("部门主管"), Level("财务审批", role="财务")


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
    free: tuple = (Contact, ShippingMark, CustomerLink)

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
class CreditChange(CustomerChange):
    """A change of limits, perhaps among others; the largest limit asked for decides which policy applies.

    One that cannot be converted counts as larger than any threshold.
    """

    def amount(self, target, values):
        stored = {limit.pk: limit for limit in target.creditlimits.valid()}
        amounts = [Decimal(0)]
        for pk, currency, amount in credit.proposed_limits(values):
            currency = currency or (stored[pk].currency if pk in stored else None)
            if currency and amount is not None:
                amounts.append(in_cny(amount, currency))
        return max(amounts)

    def apply(self, target, values, request):
        """Each limit says by which request it was set."""
        number = str(request)[:64]
        parts = [
            {**part, "fields": {**part["fields"], "approval": ["", number]}} if _sets_limit(part) else part
            for part in values["parts"]
        ]
        super().apply(target, {**values, "parts": parts}, request)


def _sets_limit(part):
    return part["model"] == CreditLimit._meta.label and part["op"] != "remove"


def in_cny(amount, currency) -> Decimal:
    """``amount`` by today's rate; what cannot be converted passes every threshold."""
    try:
        return exchange.convert(amount, currency, Currency.CNY, on=timezone.localdate())
    except exchange.NoRate:
        return BEYOND


@dataclass
class TemporaryCreditKind(Kind):
    """More credit until a day: ``values`` is ``{"currency": code, "amount": text, "until": ISO day}``."""

    def check(self, target, values, *, by):
        if date.fromisoformat(values["until"]) < timezone.localdate():
            raise ValidationError("有效期不能早于今天。")

    def amount(self, target, values):
        if not values:
            return None
        return in_cny(Decimal(values["amount"]), values["currency"])

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


PARTS = dict.fromkeys((Contact, BankAccount, ShippingMark, CustomerLink, CreditLimit, CustomerPath), "customer")
NOTICE = "这是已审核的客户：除联系人、唛头、关联客户和附件外，修改在保存时会先显示差异和影响，提交审批通过后才生效。"

BEYOND = Decimal(10) ** 17  # CNY; what cannot be converted
CREDIT_FIELDS = {"is_credit_enabled", "credit_rating"}
SHARED = {"effects": changes.EFFECTS}

REVIEW = register(CustomerReview(reviews.REVIEW, "客户审核", Customer, levels=(REVIEWER,), button="提交审核", **SHARED))
CHANGE = register(
    CustomerChange(changes.CHANGE, "客户变更", Customer, levels=(MANAGER, REVIEWER), notice=NOTICE, **SHARED)
)
CREDIT = register(
    CreditChange(changes.CREDIT, "客户额度变更", Customer, levels=(MANAGER, FINANCE), notice=NOTICE, **SHARED)
)
PATH = register(
    CustomerChange(changes.PATH, "客户路径变更", Customer, levels=(MANAGER, REVIEWER), notice=NOTICE, **SHARED)
)
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
    models = {part["model"] for part in values["parts"]}
    if CreditLimit._meta.label in models or CREDIT_FIELDS & values["fields"].keys():
        return CREDIT
    return PATH if models == {CustomerPath._meta.label} and not values["fields"] else CHANGE
