"""What is done with quotations: enter, send, accept, reject, expire, copy, revise; what becomes of accepted ones."""

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.utils import timezone

from crm import actor, records, transitions
from crm.approvals import Effect
from crm.models import Operation
from crm.policies import policy_for
from sales.models import Contract, Quotation, QuotationItem, QuotationStatus, one_total
from sales.services import contracts
from sales.services.links import listed
from sales.services.orders import usual_path

OPEN = (QuotationStatus.DRAFT, QuotationStatus.SENT)
COPIED = ("customer", "contact", "opportunity", "company_path", "currency", "terms", "remark")
LINE = ("product", "name", "specification", "quantity", "unit", "unit_price", "discount", "remark")


def enter(quotation, *, by) -> Quotation:
    """Save the new ``quotation``; left blank, the company path is the customer's default one."""
    if quotation.company_path_id is None:
        quotation.company_path = usual_path(quotation.customer, quotation.currency)
    return records.save(quotation, by=by)


def send(quotation, *, by) -> Quotation:
    """The customer has it. Raises PermissionDenied, TransitionRefused, ValidationError: no lines, date passed."""
    with transaction.atomic(), actor.acting(by):
        stored = _locked(quotation)
        if stored.is_draft:
            if not stored.items.filter(is_valid=True).exists():
                raise ValidationError(f"报价单“{stored}”还没有明细，请先填写要报什么价。")
            if stored.is_late:
                raise ValidationError(f"报价有效期 {stored.valid_until} 已过，请先改成今天或以后的日期。")
        return transitions.run(stored, "send", by=by)


def accept(quotation, *, by) -> Quotation:
    """The customer takes it. Raises PermissionDenied, TransitionRefused, ValidationError: revised or late."""
    with transaction.atomic(), actor.acting(by):
        stored = _locked(quotation)
        _require_newest(stored, "接受")
        if stored.status == QuotationStatus.SENT and stored.is_late:
            raise ValidationError(f"报价单“{stored}”已于 {stored.valid_until} 过期，请“新建修订版”重新报价。")
        return transitions.run(stored, "accept", by=by)


def reject(quotation, *, by, reason) -> Quotation:
    """The customer does not take it. Raises PermissionDenied, TransitionRefused."""
    return transitions.run(quotation, "reject", by=by, reason=reason)


def draft_contract(quotation, *, by) -> Contract:
    """A contract draft with the lines of an accepted quotation; a quotation makes one contract.

    Raises PermissionDenied, ValidationError: not accepted, made already, customer not approved.
    """
    with transaction.atomic(), actor.acting(by):
        stored = _locked(quotation)
        if not policy_for(Quotation).may(by, "decide", stored) or not policy_for(Contract).allows(by, "add"):
            raise PermissionDenied("没有由报价单生成合同的权限。")
        if stored.status != QuotationStatus.ACCEPTED:
            raise ValidationError(f"报价单“{stored}”{stored.get_status_display()}，客户接受之后才能生成合同。")
        if made := stored.contracts.filter(is_valid=True).first():
            raise ValidationError(f"报价单“{stored}”已生成合同 {made.number}，不能再生成一份。")
        contract = contracts.enter(
            Contract(
                name=f"{stored.customer}销售合同"[:200],
                quotation=stored,
                owner=stored.customer.owner if by is None else by,
                **{name: getattr(stored, name) for name in COPIED},
            ),
            by=by,
        )
        copy_lines(stored, contract)
    contract.refresh_from_db()
    return contract


def copy(quotation, *, by) -> Quotation:
    """A new draft with the same lines, for the same customer. Raises PermissionDenied."""
    with transaction.atomic(), actor.acting(by):
        return _again(_locked(quotation), by=by)


def revise(quotation, *, by) -> Quotation:
    """A draft that is to replace an offer the customer has seen; that one stays as it is, marked 已被修订.

    Raises PermissionDenied, ValidationError: a draft, accepted, revised already.
    """
    with transaction.atomic(), actor.acting(by):
        stored = _locked(quotation)
        if stored.is_draft:
            raise ValidationError(f"报价单“{stored}”还是草稿，直接修改即可。")
        if stored.status == QuotationStatus.ACCEPTED:
            raise ValidationError(f"报价单“{stored}”客户已接受，不能再修订；另行报价请用“复制”。")
        _require_newest(stored, "修订")
        return _again(stored, by=by, revision_of=stored, revision=stored.revision + 1)


def copy_lines(source, target) -> None:
    """The valid lines of the document ``source`` as lines of the new ``target``, whose total is settled once."""
    line = target.items.model
    with one_total(target):
        for row in source.items.filter(is_valid=True).order_by("pk"):
            line(**{line.head_field: target}, **{name: getattr(row, name) for name in LINE}).save()


def take_interests(quotation) -> int:
    """Lines of what the customer of its opportunity wants, for a new ``quotation`` without lines; gives how many.

    A price in another currency than the quotation's is left at zero, to be filled in.
    """
    if quotation.opportunity_id is None or quotation.items.filter(is_valid=True).exists():
        return 0
    wanted = list(quotation.opportunity.items.filter(is_valid=True).select_related("product").order_by("pk"))
    with one_total(quotation):
        for row in wanted:
            same = quotation.opportunity.currency == quotation.currency
            line = QuotationItem(quotation=quotation, product=row.product, quantity=row.quantity)
            line.unit_price = row.unit_price if same else None
            line.take_from_product()
            line.unit_price = line.unit_price or 0
            line.save()
    return len(wanted)


def _again(stored, *, by, **values):
    policy = policy_for(Quotation)
    if not policy.may(by, "view", stored) or not policy.may_add_to(by, stored.customer):
        raise PermissionDenied("没有为该客户新建报价单的权限。")
    made = records.save(Quotation(**{name: getattr(stored, name) for name in COPIED}, **values), by=by)
    copy_lines(stored, made)
    made.refresh_from_db()
    return made


def _require_newest(stored, verb):
    if newer := stored.newer:
        raise ValidationError(
            f"报价单“{stored}”已被第 {newer.revision} 版“{newer}”修订，不能再{verb}，请处理新的一版。"
        )


def _locked(quotation) -> Quotation:
    return Quotation._base_manager.select_for_update().get(pk=quotation.pk)


# --- Every night -----------------------------------------------------------------------------------------------------


def late(today=None):
    """Offers whose last day passed without an answer; nights that were missed are caught up."""
    today = today or timezone.localdate()
    return Quotation.objects.valid().filter(status=QuotationStatus.SENT, valid_until__lt=today)


def expire(ids) -> int:
    """Let those of ``ids`` expire that are still late; gives how many."""
    done = 0
    for stored in late().filter(pk__in=ids).select_for_update().order_by("pk"):
        stored.expire()
        stored.save(operation=Operation.TRANSITION, remark=f"有效期 {stored.valid_until} 已过")
        done += 1
    return done


def preview() -> list[str]:
    rows = late().select_related("customer").order_by("pk")[:200]
    return [f"{row.number} {row.customer}：有效期 {row.valid_until} 已过" for row in rows]


# --- For others ------------------------------------------------------------------------------------------------------


def effects(customer, values, user) -> list[Effect]:
    """Provider of ``EFFECTS``: offers to the customer that are not answered."""
    policy = policy_for(Quotation)
    if not policy.allows(user, "view"):
        return []
    count = policy.visible_to(user).filter(customer=customer, status__in=OPEN).count()
    link = listed("quotation", customer=customer.pk)
    return [Effect("未答复的报价单", count=count, link=link)] if count else []
