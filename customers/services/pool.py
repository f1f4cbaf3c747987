"""What is done with the public sea: claim, assign, release, protect. Source: eplus 客户认领流程.

Every claim and every protection locks the rule of the customer first, so that the limits of a rule hold whoever comes
at the same moment.
"""

from datetime import datetime, time, timedelta

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from crm import actor, audit, handover, ownership
from crm.models import DataScope, Operation, User
from crm.notifications import notify
from crm.policies import members_in_scope, policy_for
from customers.models import (
    Contact,
    Customer,
    OwnerChange,
    OwnershipPeriod,
    PoolRule,
    SeaCustomer,
    Stage,
    VisitPlan,
    VisitStatus,
)
from customers.services import lifecycle
from customers.services.rulebook import IN_PLAY, Rulebook

SEEN = timedelta(hours=1)  # so long a list may stay open on somebody's screen


class PoolError(ValueError):
    """What was asked for makes no sense now, or a rule forbids it; the message says why and what to do."""


class CustomerTaken(PoolError):
    """Somebody else was quicker."""


# --- Who owned when --------------------------------------------------------------------------------------------------


def note_owner(obj, owner, *, reason, how):
    """Hook of ``ownership.changing``: close the present period of a customer; the next one begins now.

    A protection ends with its owner, unless the work is handed over as it stands (``how`` says 移交).
    """
    if not isinstance(obj, Customer):
        return None
    now, before, kept = timezone.now(), last_period(obj), how == OwnerChange.TRANSFERRED
    if not how:
        how = OwnerChange.RELEASED if owner is None else OwnerChange.TRANSFERRED
        if obj.owner_id is None:
            how = OwnerChange.ASSIGNED
    OwnershipPeriod(
        customer=obj,
        owner=obj.owner,
        started_at=min(obj.owned_since, now),
        ended_at=now,
        began=before.ended if before else OwnerChange.ENTERED,
        ended=how,
        former_owner=before.owner if before else None,
        next_owner=owner,
        reason=reason[:255],
    ).save()
    obj.owned_since, obj.protected_until = now, obj.protected_until if kept else None
    return ["owned_since", "protected_until"]


def last_period(customer) -> OwnershipPeriod | None:
    """How the present period came about: the one before it."""
    return customer.ownership_periods.filter(is_valid=True).select_related("owner").order_by("-pk").first()


def pass_visits_on(ids, leaver, owner):
    """The visits still planned to the customers ``ids`` go along: who takes over goes instead of ``leaver``."""
    plans = VisitPlan.objects.valid().filter(customer__in=ids, status=VisitStatus.PLANNED, participants=leaver)
    for plan in plans.select_related("customer").order_by("pk"):
        people = [person for person in plan.participants.all() if person.pk not in (leaver.pk, owner.pk)]
        plan.save(m2m={"participants": [*people, owner]}, remark=f"由{leaver}移交")


HANDOVER = handover.Kind(Customer, how=OwnerChange.TRANSFERRED, follow=pass_visits_on)


# --- Claiming --------------------------------------------------------------------------------------------------------


def offered(pk, *, by) -> Customer | None:
    """The customer ``pk`` if it is in the sea open to ``by``, or was a moment ago; else it does not exist."""
    policy = policy_for(SeaCustomer)
    if not policy.allows(by, "claim"):
        return None
    if policy.visible_to(by, "claim").filter(pk=pk).exists():
        return Customer.objects.get(pk=pk)
    gone = Customer.objects.filter(pk=pk, owned_since__gt=timezone.now() - SEEN, **IN_PLAY).exclude(owner=None)
    customer = policy.open_to(gone, by).first()
    period = last_period(customer) if customer else None
    return customer if period is not None and period.owner_id is None else None


def claim(customer, *, by) -> Customer:
    """Make ``by`` the owner of ``customer`` in the sea open to him; of two at once the first one wins.

    The stage moves where the rule says so. Raises PermissionDenied, CustomerTaken (naming the winner), PoolError: held
    back after falling into the sea, the previous owner's wait, the limit of customers or of claims a day.
    """
    with transaction.atomic(), actor.acting(by):
        book = Rulebook()
        rule = _locked_rule(book, customer)
        stored = Customer._base_manager.select_for_update().filter(pk=customer.pk).first()
        if stored is None or offered(stored.pk, by=by) is None:
            raise PermissionDenied("没有认领该客户的权限。")
        if stored.owner_id is not None:
            raise CustomerTaken(f"“{stored}”已被{'您' if stored.owner_id == by.pk else stored.owner}认领。")
        if rule is not None:
            _check_waits(stored, rule, by)
            _check_limits(stored, rule, book, by)
        ownership.set_owner(stored, by, by=None, reason="认领", how=OwnerChange.CLAIMED)
        if rule is not None and rule.claim_stage and rule.claim_stage != stored.stage:
            stage = Stage(rule.claim_stage)
            stored = lifecycle.change_stage(stored, stage, by=by, reason=f"认领后进入“{stage.label}”阶段")
    return stored


def _locked_rule(book, customer) -> PoolRule | None:
    rule = book.rule_of(customer)
    return rule and PoolRule._base_manager.select_for_update().get(pk=rule.pk)


def _check_waits(customer, rule, by):
    before, now = last_period(customer), timezone.now()
    if before is None:
        return
    opens = customer.owned_since + timedelta(hours=rule.hold_hours)
    if now < opens:
        raise PoolError(f"“{customer}”刚进入公海，{_clock(opens)} 开放认领。")
    again = timezone.localdate(customer.owned_since) + timedelta(days=rule.wait_days)
    if before.owner_id == by.pk and timezone.localdate(now) < again:
        raise PoolError(f"您是“{customer}”的原负责人，{again:%Y-%m-%d} 起才能再认领；急需跟进请联系主管分配。")


def _check_limits(customer, rule, book, by):
    under = Customer.objects.filter(book.under(rule), is_valid=True)
    if rule.owner_limit is not None and (held := under.filter(owner=by).count()) >= rule.owner_limit:
        raise PoolError(
            f"没有认领“{customer}”：您已有 {held} 个适用规则“{rule}”的客户，上限 {rule.owner_limit} 个；"
            "请先退回不再跟进的客户。"
        )
    if rule.daily_limit is not None:
        today = timezone.make_aware(datetime.combine(timezone.localdate(), time.min))
        claimed = OwnershipPeriod.objects.filter(next_owner=by, ended=OwnerChange.CLAIMED, ended_at__gte=today)
        taken = claimed.filter(customer__in=under.values("pk")).count()
        if taken >= rule.daily_limit:
            raise PoolError(
                f"没有认领“{customer}”：您今天已认领 {taken} 个适用规则“{rule}”的客户，"
                f"每天最多 {rule.daily_limit} 个；请明天再来。"
            )


def _clock(moment):
    return f"{timezone.localtime(moment):%m-%d %H:%M}"


# --- Assigning and releasing -----------------------------------------------------------------------------------------


def assignees(user):
    """To whom ``user`` may give customers of the sea: active colleagues within the data scope of his right."""
    scope = policy_for(SeaCustomer).scope(user, "assign")
    if scope is None:
        return User.objects.none()
    people = User.objects.filter(is_active=True)
    if scope == DataScope.ALL:
        return people
    return people.filter(pk__in={user.pk} if scope == DataScope.SELF else members_in_scope(user, scope))


def assign(customers, owner, *, by, reason="") -> int:
    """Give ``customers`` of the sea (one or many, all or none) to ``owner``; gives how many.

    A manager's decision: neither waits nor limits stand in its way. Raises PermissionDenied, PoolError.
    """
    customers = _many(customers)
    if not assignees(by).filter(pk=owner.pk).exists():
        raise PoolError(f"您不能把客户分配给“{owner}”：只能分配给数据范围内在职的同事。")
    with transaction.atomic(), actor.acting(by):
        stored = _locked(customers)
        for customer in stored:
            if customer.owner_id is not None:
                raise CustomerTaken(f"“{customer}”已由{customer.owner}负责，请刷新后重选。")
        open_to = policy_for(SeaCustomer).visible_to(by, "assign").filter(pk__in=[c.pk for c in stored]).count()
        if not stored or open_to < len(customers):
            raise PermissionDenied("选中的客户里有您无权分配的。")
        for customer in stored:
            ownership.set_owner(customer, owner, by=None, reason=reason, how=OwnerChange.ASSIGNED)
        if owner.pk != by.pk:
            _tell_assigned(owner, stored, by)
    return len(stored)


def _tell_assigned(owner, customers, by):
    first, count = customers[0], len(customers)
    one = reverse("admin:customers_customer_change", args=[first.pk])
    notify(
        [owner],
        title=f"{by}把公海客户“{first}”分配给您" if count == 1 else f"{by}把 {count} 个公海客户分配给您",
        key=f"sea-assigned:{first.pk}:{first.lock_version}:{count}",
        link=one if count == 1 else f"{reverse('admin:customers_customer_changelist')}?owner={owner.pk}",
    )


def release(customers, *, by, reason) -> int:
    """Put ``customers`` (one or many, all or none) into the sea; gives how many. Collaborators lose their rights too.

    Raises PermissionDenied, PoolError: no reason, no owner, a request about it is pending.
    """
    customers = _many(customers)
    if not reason.strip():
        raise PoolError("退回公海需要填写原因。")
    with transaction.atomic(), actor.acting(by):
        stored = _locked(customers)
        allowed = policy_for(Customer).visible_to(by, "release").filter(pk__in=[c.pk for c in stored]).count()
        if not stored or allowed < len(customers):
            raise PermissionDenied("选中的客户里有您无权退回的。")
        for customer in stored:
            if customer.owner_id is None:
                raise PoolError(f"“{customer}”本来就在公海里。")
            drop(customer, OwnerChange.RELEASED, reason=reason.strip())
    return len(stored)


def drop(customer, how, *, reason, batch=None) -> OwnershipPeriod:
    """Let the locked ``customer`` fall into the sea: owner and collaborators go, the period remembers them."""
    team = ownership.collaborators(customer)
    for person in User.objects.filter(pk__in=team):
        ownership.revoke(customer, person, by=None)
    ownership.set_owner(customer, None, by=None, reason=reason, how=how)
    period = last_period(customer)
    period.team, period.batch = {str(pk): level for pk, level in team.items()}, batch
    period.save()
    return period


def _many(customers) -> list:
    return [customers] if isinstance(customers, Customer) else list(customers)


def _locked(customers) -> list[Customer]:
    """Valid customers, locked in the order of their keys for the caller's transaction."""
    rows = Customer._base_manager.select_for_update().filter(is_valid=True, pk__in=[c.pk for c in customers])
    return list(rows.order_by("pk"))


# --- Protecting ------------------------------------------------------------------------------------------------------


def protect(customer, until, *, by, reason="") -> Customer:
    """Keep ``customer`` from being recycled up to and including the day ``until``.

    Raises PermissionDenied, PoolError: in the sea, a day in the past or too far ahead, the owner's limit reached.
    """
    today = timezone.localdate()
    with transaction.atomic(), actor.acting(by):
        book = Rulebook()
        rule = _locked_rule(book, customer)
        stored = _protectable(customer, by)
        if until < today:
            raise PoolError("保护至：不能早于今天。")
        if rule is not None:
            if until > (last := today + timedelta(days=rule.protect_days)):
                raise PoolError(f"保护至：最长 {rule.protect_days} 天，请选择 {last:%Y-%m-%d} 或更早。")
            held = Customer.objects.filter(
                book.under(rule), is_valid=True, owner=stored.owner, protected_until__gte=today
            ).exclude(pk=stored.pk)
            if rule.protect_limit is not None and (count := held.count()) >= rule.protect_limit:
                raise PoolError(
                    f"{stored.owner}已保护 {count} 个适用规则“{rule}”的客户，上限 {rule.protect_limit} 个；"
                    "请先取消别的保护。"
                )
        stored.protected_until = until
        stored.save(update_fields=["protected_until"], remark=reason or "保护")
    return stored


def unprotect(customer, *, by, reason="") -> Customer:
    """Raises PermissionDenied, PoolError."""
    with transaction.atomic(), actor.acting(by):
        stored = _protectable(customer, by)
        stored.protected_until = None
        stored.save(update_fields=["protected_until"], remark=reason or "取消保护")
    return stored


def _protectable(customer, by) -> Customer:
    stored = Customer._base_manager.select_for_update().get(pk=customer.pk)
    if not policy_for(Customer).may(by, "protect", stored):
        raise PermissionDenied("没有保护该客户的权限。")
    if stored.owner_id is None:
        raise PoolError(f"“{stored}”在公海里，请先认领或分配。")
    return stored


# --- Revealing -------------------------------------------------------------------------------------------------------


def reveal(customer, *, by) -> list[tuple[str, str]]:
    """``[(whose, number)]``: the telephone numbers of a customer in the sea open to ``by``; logged as seen.

    Raises PermissionDenied.
    """
    with transaction.atomic(), actor.acting(by):
        stored = Customer._base_manager.select_for_update().filter(pk=customer.pk).first()
        if stored is None or not policy_for(SeaCustomer).may(by, "reveal", stored):
            raise PermissionDenied("没有查看该客户联系方式的权限。")
        audit.record(stored, Operation.REVEAL, remark="查看公海客户的联系方式")
    numbers = [(str(stored), stored.phone), (f"{stored}（传真）", stored.fax)]
    for contact in Contact.objects.valid().filter(customer=stored):
        numbers += [(contact.name, contact.mobile), (f"{contact.name}（座机）", contact.telephone)]
    return [(whose, number) for whose, number in numbers if number]
