"""What is done with contracts: enter, submit, sign, rework, terminate. See docs/contracts.md.

Rows are locked customer, then contract, as everywhere where credit is at stake.
"""

from datetime import timedelta
from decimal import Decimal

from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Count, F, Sum
from django.utils import timezone

from crm import actor, approvals, audit, records, transitions
from crm.approvals import Effect
from crm.exchange import NoRate, convert, money
from crm.models import ApprovalRequest, Company, Currency
from crm.notifications import notify
from crm.policies import policy_for
from customers.activity import change_url
from customers.models import Customer
from customers.services import credit
from customers.services.lifecycle import Deals, record_deal
from customers.services.reviews import require_usable
from sales.models import Contract, ContractItem, ContractStatus, ContractVersion, OrderStatus
from sales.services import moments
from sales.services.links import listed
from sales.services.orders import usual_path

REVIEW, AMENDMENT = "contract.review", "contract.amend"
YEAR = 365
# what an amendment may change; the customer and the currency are what receipts and invoices stand on
TERMS = ("name", "contact", "company", "company_path", "start_date", "end_date", "terms", "remark")
HEAD = ("customer", "currency", *TERMS)
LINE = ("product", "name", "specification", "quantity", "unit", "unit_price", "discount", "amount", "remark")


def enter(contract, *, by) -> Contract:
    """Save the new ``contract`` of a customer that may buy. Left blank, the company path is the customer's default one
    and the signing company the only one there is. Raises ValidationError."""
    require_usable(contract.customer, "新建合同")
    if contract.company_path_id is None:
        contract.company_path = usual_path(contract.customer, contract.currency)
    if contract.company_id is None:
        companies = list(Company.objects.valid()[:2])
        contract.company = companies[0] if len(companies) == 1 else None
    return records.save(contract, by=by)


# --- Review ----------------------------------------------------------------------------------------------------------


def content(contract) -> dict:
    """What the contract says, head and lines, as requests and versions keep it."""
    rows = ContractItem.objects.valid().filter(contract=contract).order_by("pk")
    return {
        "fields": audit.state(contract, set(HEAD)),
        "items": [{"id": row.pk, **audit.state(row, set(LINE))} | {"amount": str(row.amount)} for row in rows],
    }


def submit(contract, *, by, reason=""):
    """Ask for the draft to be reviewed. Raises PermissionDenied, ApprovalRefused, ValidationError."""
    return approvals.submit(REVIEW, contract, by=by, values=content(contract), reason=reason)


def check_complete(contract) -> None:
    """Refuse a contract that says too little to be signed. Raises ValidationError."""
    if not contract.items.filter(is_valid=True).exists():
        raise ValidationError(f"合同“{contract}”还没有明细，请先填写卖什么、多少钱。")
    if contract.total_amount <= 0:
        raise ValidationError(f"合同“{contract}”的总金额是 0，请检查明细的数量、单价和折扣。")


def under_review(contract):
    """The open request for review of a draft, or None: while there is one, the draft is left alone."""
    if contract.status != ContractStatus.DRAFT:
        return None
    return approvals.pending_about(contract).filter(kind=REVIEW).first()


def reviewed(ids) -> set[int]:
    """Those of the contracts ``ids`` about which a request for review is open."""
    requests = ApprovalRequest.objects.filter(
        kind=REVIEW, target_type_id=audit.content_type_id(Contract), state=ApprovalRequest.State.PENDING
    )
    return set(requests.filter(target_id__in=ids).values_list("target_id", flat=True))


def amendments(contract):
    return approvals.pending_about(contract).filter(kind=AMENDMENT)


# --- Signing and after -----------------------------------------------------------------------------------------------


def sign(contract, sign_date, *, by) -> Contract:
    """The reviewed ``contract`` counts from now on: it is checked against the credit of the customer and kept as
    version 1, and the customer is one we have made a deal with.

    Raises PermissionDenied, TransitionRefused, OverLimit, NoRate, ValidationError (customer not usable, date).
    """
    if sign_date > timezone.localdate():
        raise ValidationError({"sign_date": "签约日期不能晚于今天。"})
    with transaction.atomic(), actor.acting(by):
        customer, stored = _locked(contract)
        if by is not None and not policy_for(Contract).may(by, "sign", stored):
            raise PermissionDenied("没有签订这份合同的权限。")
        if stored.status == ContractStatus.APPROVED:
            require_usable(customer, "签约")
            check_complete(stored)
            # as the system: whoever may sign the contract need not see the customer's own page
            credit.check(customer, stored.currency, stored.total_amount, reference=f"合同 {stored.number}", by=None)
        stored = transitions.run(stored, "sign", by=by, sign_date=sign_date)
        keep_version(stored)
        record_deal(customer, moments.of_day(sign_date), by=by)
    return stored


def rework(contract, *, by, reason) -> Contract:
    """Take a reviewed contract back to change it; it has to be reviewed again. Raises as transitions do."""
    return transitions.run(contract, "rework", by=by, reason=reason)


def terminate(contract, *, by, reason) -> Contract:
    """End a signed contract; requests to amend it are closed. Raises PermissionDenied, TransitionRefused."""
    with transaction.atomic(), actor.acting(by):
        customer, stored = _locked(contract)
        stored = transitions.run(stored, "terminate", by=by, reason=reason)
        moments.take_back(customer, stored.sign_date, by=by, why=f"合同 {stored.number} 已终止")
        approvals.supersede(stored, AMENDMENT, by=by or stored.owner, comment="合同已终止")
    return stored


def keep_version(contract, request=None) -> ContractVersion:
    """Keep what ``contract`` says as its present version."""
    kept = ContractVersion(
        contract=contract,
        version_no=contract.version_no,
        content=content(contract),
        total_amount=contract.total_amount,
        request=request,
    )
    kept.save()
    return kept


def refuse_below(contract, total) -> None:
    """Refuse a ``total`` below what was received, invoiced, planned or ordered under the contract already.

    Raises ValidationError naming the largest of them.
    """
    planned = contract.plans.filter(is_valid=True).aggregate(sum=Sum("amount"))["sum"]
    ordered = contract.orders.filter(is_valid=True, status=OrderStatus.CONFIRMED).aggregate(sum=Sum("total_amount"))[
        "sum"
    ]
    bounds = [
        ("已回款", contract.received_amount, "请先作废多收的回款"),
        ("已开票", contract.invoiced_amount, "请先作废多开的发票"),
        ("回款计划共", planned or Decimal(0), "请先减少回款计划"),
        ("已确认的订单共", ordered or Decimal(0), "请先取消多出的订单"),
    ]
    what, most, advice = max(bounds, key=lambda bound: bound[1])
    if total < most:
        currency = contract.currency
        raise ValidationError(
            f"变更后合同金额 {money(total, currency)}，低于{what} {money(most, currency)}。{advice}，或调整明细。"
        )


def _locked(contract) -> tuple[Customer, Contract]:
    customer = Customer._base_manager.select_for_update().get(pk=contract.customer_id)
    return customer, Contract._base_manager.select_for_update().get(pk=contract.pk)


# --- Ending soon -----------------------------------------------------------------------------------------------------


def live():
    """Signed contracts whose last day has not passed."""
    rows = Contract.objects.valid().filter(status=ContractStatus.SIGNED)
    return rows.exclude(end_date__lt=timezone.localdate())


def expiring(today=None):
    """Signed contracts that end within the days of warning (``CONTRACT_WARN_DAYS``), the last one included."""
    today = today or timezone.localdate()
    until = today + timedelta(days=settings.CONTRACT_WARN_DAYS)
    return Contract.objects.valid().filter(
        status=ContractStatus.SIGNED, end_date__gte=today, end_date__lte=until, is_closed=False
    )


def warn(ids) -> int:
    """Tell the owners of the contracts ``ids`` once that they end; gives how many were told."""
    told = 0
    for row in expiring().filter(pk__in=ids).select_related("owner").order_by("pk"):
        told += notify(
            [row.owner],
            title=f"合同“{row}”还有 {row.days_left} 天到期",
            body=f"{row.number}，{row.end_date} 到期，请联系客户续签。",
            link=change_url(row),
            key=f"contract-expiring:{row.pk}:{row.end_date}",
            level="warning",
        )
    return told


def preview() -> list[str]:
    rows = expiring().select_related("owner").order_by("end_date", "pk")[:200]
    return [f"{row.number} {row}：{row.end_date} 到期，通知{row.owner or '（无负责人）'}" for row in rows]


# --- For others ------------------------------------------------------------------------------------------------------


def effects(customer, values, user) -> list[Effect]:
    """Provider of ``EFFECTS``: contracts on their way, and signed ones with what is still to be received."""
    policy = policy_for(Contract)
    if not policy.allows(user, "view"):
        return []
    rows = policy.visible_to(user).filter(customer=customer).order_by()
    found = []
    for status, label in ((ContractStatus.DRAFT, "合同草稿"), (ContractStatus.APPROVED, "待签约的合同")):
        if count := rows.filter(status=status).count():
            found.append(Effect(label, count=count, link=listed("contract", customer=customer.pk, status=status)))
    signed = rows.filter(status=ContractStatus.SIGNED).values_list("currency")
    owed = list(signed.annotate(open=Sum(F("total_amount") - F("received_amount")), count=Count("pk")))
    if owed:
        words = "、".join(money(amount, currency) for currency, amount, _ in owed if amount)
        link = listed("contract", customer=customer.pk, status=ContractStatus.SIGNED)
        text = f"未回款 {words}" if words else "已全部回款"
        found.append(Effect("已签约的合同", count=sum(count for *_, count in owed), text=text, link=link))
    return found


def live_customers():
    """Provider of ``EXEMPTIONS``: whoever has a contract running is looked after."""
    return live().order_by().values("customer_id")


def deals(customer) -> Deals | None:
    """Provider of ``DEALS``: contracts that count as deals, and those of the last twelve months in CNY.

    An amount in a currency without a rate counts as nothing: the suggestion that is made of it is only one.
    """
    today = timezone.localdate()
    rows = Contract.objects.valid().filter(moments.STANDING, customer=customer).exclude(sign_date=None).order_by()
    count = rows.count()
    if not count:
        return None
    recent = rows.filter(sign_date__gt=today - timedelta(days=YEAR), status=ContractStatus.SIGNED)
    yearly = Decimal(0)
    for currency, amount in recent.values_list("currency").annotate(total=Sum("total_amount")):
        try:
            yearly += convert(amount, currency, Currency.CNY, on=today)
        except NoRate:
            continue
    return Deals(count, yearly)
