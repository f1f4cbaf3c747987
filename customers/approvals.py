"""What can be asked for about a customer. Sources: eplus approvals of changes, stages, credit and paths; dms review."""

from dataclasses import dataclass, field

from django.core.exceptions import ValidationError

from crm import audit, records
from crm.approvals import Kind, Level, Line, Section, register
from crm.approvals.proposals import RecordChange
from crm.audit_display import Words, label_of
from crm.models import ApprovalRequest, Operation
from customers.models import BankAccount, ChangeStatus, Contact, Customer, ReviewStatus, ShippingMark, Stage
from customers.services import changes, lifecycle, reviews

REVIEWER, MANAGER = Level("审批人审核", role="审批人"), Level("部门主管")


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


PARTS = {Contact: "customer", BankAccount: "customer", ShippingMark: "customer"}
NOTICE = "这是已审核的客户：除联系人和唛头外，修改在保存时会先显示差异和影响，提交审批通过后才生效。"

SHARED = {"effects": changes.EFFECTS}

REVIEW = register(CustomerReview(reviews.REVIEW, "客户审核", Customer, levels=(REVIEWER,), button="提交审核", **SHARED))
CHANGE = register(
    CustomerChange(changes.CHANGE, "客户变更", Customer, levels=(MANAGER, REVIEWER), notice=NOTICE, **SHARED)
)
STAGE = register(
    StageChange("customer.stage", "客户阶段变更", Customer, levels=(MANAGER,), button="变更阶段", **SHARED)
)
DELETION = register(
    CustomerDeletion("customer.deletion", "客户删除", Customer, levels=(MANAGER, REVIEWER), button="申请删除", **SHARED)
)


def change_kind(values) -> CustomerChange:
    """The kind a proposal is submitted under: what changes decides who must agree."""
    return CHANGE
