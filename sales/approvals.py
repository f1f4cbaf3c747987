"""What can be asked for about a contract: that it is reviewed, and that a signed one is amended."""

from copy import copy
from dataclasses import dataclass, field
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.db.models import Sum

from crm.approvals import Effect, Kind, Level, Line, Section, register
from crm.approvals.proposals import RecordChange, set_values
from crm.audit_display import Words, label_of
from crm.exchange import NoRate, money
from crm.models import Operation
from crm.policies import policy_for
from customers.approvals import in_cny
from customers.models import CreditLimit, Customer
from customers.services import credit
from customers.services.reviews import require_usable
from sales.models import Contract, ContractItem, ContractStatus, one_total
from sales.services import contracts

MANAGER, REVIEWER = Level("部门主管"), Level("审批人审核", role="审批人")


@dataclass
class ContractReview(Kind):
    """A draft is read before it is signed; ``values`` is all it says (``contracts.content``)."""

    def check(self, target, values, *, by):
        if target.status != ContractStatus.DRAFT:
            raise ValidationError(f"合同{target.get_status_display()}，不需要再审核。")
        require_usable(target.customer, "签约")
        contracts.check_complete(target)

    def amount(self, target, values):
        return in_cny(target.total_amount, target.currency)

    def sections(self, target, values, user):
        words = Words(user)
        for name, value in values["fields"].items():
            words.want(Contract, name, value)
        lines = [
            Line(label_of(Contract, name), "", words.text(Contract, name, values["fields"][name]))
            for name in contracts.HEAD
            if values["fields"].get(name) not in (None, "")
        ]
        items = [Line(item["name"], "", _line_words(item)) for item in values["items"]]
        total = sum((Decimal(item["amount"]) for item in values["items"]), Decimal(0))
        items.append(Line("合计", "", money(total, values["fields"]["currency"])))
        return [Section("合同", lines), Section("明细", items)]

    def conflicts(self, target, values):
        if target.status != ContractStatus.DRAFT:
            return [f"合同{target.get_status_display()}"]
        now = contracts.content(target)
        names = [n for n, value in values["fields"].items() if now["fields"].get(n) != value]
        found = [f"{label_of(Contract, name)}已修改" for name in names]
        return [*found, "明细已修改"] if now["items"] != values["items"] else found

    def impact(self, target, values, user):
        return [*super().impact(target, values, user), *credit_effect(target, target.total_amount, user)]

    def apply(self, target, values, request):
        target.approve()
        target.save(operation=Operation.TRANSITION, remark=str(request))


@dataclass
class ContractAmendment(RecordChange):
    """A signed contract and its lines change together: its customer's credit carries what it grows by, and it never
    comes to less than was received, invoiced, planned or ordered. What it said before is kept as a version."""

    parts: dict = field(default_factory=lambda: {ContractItem: "contract"})

    def lock_above(self, target_id):
        customer = Contract._base_manager.filter(pk=target_id).values_list("customer_id", flat=True).first()
        Customer._base_manager.select_for_update().filter(pk=customer).first()

    def check(self, target, values, *, by):
        if target.status != ContractStatus.SIGNED:
            raise ValidationError(f"合同{target.get_status_display()}，只有已签约的合同才需要申请变更。")
        if beyond := values["fields"].keys() - set(contracts.TERMS):
            names = "、".join(label_of(Contract, name) for name in sorted(beyond))
            raise ValidationError(f"{names}不能变更；请终止这份合同，另签一份。")
        super().check(target, values, by=by)

    def touches(self, values):
        return {self.code}

    def amount(self, target, values):
        return in_cny(proposed_total(target, values), target.currency)

    def sections(self, target, values, user):
        total = proposed_total(target, values) if values else target.total_amount
        now = money(target.total_amount, target.currency)
        amount = Line("合同金额", now, money(total, target.currency))
        return [*super().sections(target, values, user), Section("合计", [amount])]

    def conflicts(self, target, values):
        found = super().conflicts(target, values)
        return found if target.status == ContractStatus.SIGNED else [*found, f"合同{target.get_status_display()}"]

    def impact(self, target, values, user):
        growth = proposed_total(target, values) - target.total_amount if values else Decimal(0)
        found = super().impact(target, values, user)
        return [*found, *credit_effect(target, growth, user)] if growth > 0 else found

    def apply(self, target, values, request):
        super().apply(target, values, request)
        contracts.keep_version(Contract._base_manager.get(pk=target.pk), request)

    def _write(self, target, values, *, remark):
        self.lock_above(target.pk)
        before = target.total_amount
        with one_total(target):
            super()._write(target, values, remark=remark)
            rows = target.items.filter(is_valid=True)
            total = rows.aggregate(sum=Sum("amount"))["sum"] or Decimal(0)
            contracts.refuse_below(target, total)
            if not rows.exists():
                raise ValidationError("合同至少要有一行明细；不再执行的合同请“终止合同”。")
            if total > before:
                _check_credit(target, total - before)


def proposed_total(target, values) -> Decimal:
    """What the contract would come to."""
    rows = {row.pk: row for row in ContractItem.objects.valid().filter(contract=target)}
    total, changed = Decimal(0), set()
    for part in values.get("parts", ()):
        changed.add(part["id"])
        if part["op"] == "remove" or (part["op"] == "change" and part["id"] not in rows):
            continue
        row = copy(rows[part["id"]]) if part["op"] == "change" else ContractItem(contract=target)
        set_values(row, part["fields"])
        row.take_from_product()
        total += row.amount_due()
    return total + sum((row.amount for pk, row in rows.items() if pk not in changed), Decimal(0))


def _check_credit(contract, growth):
    reference = f"合同 {contract.number} 变更增加"
    try:
        credit.check(contract.customer, contract.currency, growth, reference=reference, by=None)
    except credit.OverLimit as error:
        raise ValidationError(str(error), code="over_limit") from error


def credit_effect(contract, amount, user) -> list[Effect]:
    """What the customer's credit leaves once ``amount`` more counts, to those who may see limits."""
    customer = contract.customer
    if not (customer.is_credit_enabled and policy_for(CreditLimit).may(user, "view")):
        return []
    try:
        left = credit.headroom(customer, contract.currency) - amount
    except NoRate as error:
        return [Effect("信用额度", text=error.messages[0], warning=True)]
    words = f"签约后剩余 {money(left, contract.currency)}" if left >= 0 else f"将超出 {money(-left, contract.currency)}"
    return [Effect("信用额度", text=words, warning=left < 0)]


def _line_words(item) -> str:
    discount = "" if Decimal(item["discount"]) == 100 else f" × {Decimal(item['discount']).normalize():f}%"
    quantity, price = (f"{Decimal(item[name]).normalize():f}" for name in ("quantity", "unit_price"))
    specification = f"{item['specification']}，" if item["specification"] else ""
    return f"{specification}{quantity} {item['unit']} × {price}{discount} = {Decimal(item['amount']):,.2f}"


NOTICE = "这份合同已签约，修改请点“申请变更”，审批通过后才生效。"

REVIEW = register(ContractReview(contracts.REVIEW, "合同审核", Contract, levels=(MANAGER, REVIEWER), button="提交审核"))
AMENDMENT = register(
    ContractAmendment(
        contracts.AMENDMENT, "合同变更", Contract, action="amend", levels=(MANAGER, REVIEWER), notice=NOTICE
    )
)
