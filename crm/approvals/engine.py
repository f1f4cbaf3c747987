"""The verbs of approval: submit, decide, withdraw, transfer, remind.

Rules: proposed values touch nothing before the last level has agreed; nobody decides on what he asked for, nor twice in
one chain as long as somebody else can; what is approved is what was seen; two open requests never touch the same; the
last approval and its effect are one transaction. The target is locked before the request, so that decisions, edits and
further submissions about one record happen one after another.
"""

import hashlib
import json
from datetime import timedelta

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from crm import actor, audit, notifications
from crm.approvals import kinds
from crm.models import ApprovalDecision, ApprovalLevel, ApprovalPolicy, ApprovalRequest, ApprovalTask, Operation, User
from crm.policies import policy_for

Action = ApprovalDecision.Action
State = ApprovalRequest.State
REMIND_AGAIN = timedelta(hours=1)


class ApprovalRefused(ValueError):
    """The request cannot be made or decided now; the message says why and what to do."""


class ApprovalConflict(ApprovalRefused):
    """The record has changed since the proposal was made; ``conflicts`` says what."""

    def __init__(self, conflicts):
        self.conflicts = conflicts
        super().__init__("这条记录在提交之后又有变化，不能直接生效：" + "；".join(conflicts))


# --- Submitting ------------------------------------------------------------------------------------------------------


def submit(code, target, *, by, values, reason="", digest=None) -> ApprovalRequest:
    """Ask for ``values`` to be applied to ``target``; without an active policy they take effect at once.

    ``digest`` (of ``digest_of``) is given when the applicant confirmed a page that showed him the proposal.
    Raises PermissionDenied, ApprovalRefused (an open request touches the same, nobody could decide), ApprovalConflict,
    ValidationError of the kind.
    """
    kind = kinds.get(code)
    with transaction.atomic(), actor.acting(by):
        kind.lock_above(target.pk)
        target = _locked(kind.model, target.pk)
        if not policy_for(kind.model).may(by, kind.action, target):
            raise PermissionDenied(f"没有提交“{kind.label}”的权限。")
        kind.check(target, values, by=by)
        if found := kind.conflicts(target, values):
            raise ApprovalConflict(found)
        for other in overlapping(kind, target, values):
            raise ApprovalRefused(
                f"{other.applicant}于 {timezone.localtime(other.created_at):%m-%d %H:%M} 提交的“{other}”"
                "正在审批，改的是同样的内容。请等它办结，或请申请人先撤回。"
            )
        policy = policy_of(kind, target, values)
        request = ApprovalRequest.objects.create(
            kind=code,
            target_type_id=audit.content_type_id(kind.model),
            target_id=target.pk,
            target_repr=str(target)[:200],
            applicant=by,
            reason=reason.strip()[:500],
            values=values,
            base_version=getattr(target, "lock_version", 0),
            amount=kind.amount(target, values),
            digest=digest or digest_of(kind, target, values),
            chain=chain_of(policy),
            level=0,
        )
        _record(request, Action.SUBMIT, by, reason)
        kind.submitted(target, request)
        _log(target, request, f"提交{request}：{reason}" if reason else f"提交{request}")
        _advance(request, kind, target, by)
    return request


def policy_of(kind, target, values) -> ApprovalPolicy | None:
    """The active policy for this proposal: the one with the highest threshold that its amount reaches."""
    amount = kind.amount(target, values)
    policies = ApprovalPolicy.objects.valid().filter(kind=kind.code, is_active=True)
    fitting = [p for p in policies if p.min_amount is None or (amount is not None and p.min_amount <= amount)]
    return max(fitting, key=lambda policy: -1 if policy.min_amount is None else policy.min_amount, default=None)


def chain_of(policy) -> list[dict]:
    if policy is None:
        return []
    levels = policy.levels.filter(is_valid=True).order_by("position").prefetch_related("people")
    return [
        {
            "name": level.name,
            "approver": level.approver,
            "role": level.role_id,
            "people": sorted(person.pk for person in level.people.all()),
        }
        for level in levels
    ]


def overlapping(kind, target, values) -> list[ApprovalRequest]:
    """Open requests about ``target`` that touch what this proposal touches."""
    wanted = kind.touches(values)
    return [
        request
        for request in pending_about(target).select_related("applicant")
        if kinds.get(request.kind).touches(request.values) & wanted
    ]


def pending_about(target):
    return ApprovalRequest.objects.filter(
        target_type_id=audit.content_type_id(type(target)), target_id=target.pk, state=State.PENDING
    )


def digest_of(kind, target, values) -> str:
    """What identifies the content an approver sees."""
    content = json.dumps([kind.code, target.pk, values], sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(content.encode()).hexdigest()


# --- Deciding --------------------------------------------------------------------------------------------------------


def approve(request, *, by, digest, comment="") -> ApprovalRequest:
    """Agree at the current level; at the last one the proposal takes effect in the same transaction.

    Raises PermissionDenied (not his to decide), ApprovalRefused (already decided, content changed), ApprovalConflict,
    and what the kind's own rules refuse (ValidationError); then the request stays open.
    """
    with transaction.atomic(), actor.acting(by):
        request, kind, target = _open(request, by, digest)
        _record(request, Action.APPROVE, by, comment)
        _close_tasks(request, by)
        _log(target, request, f"{request} {_level_name(request)}同意" + (f"：{comment}" if comment else ""))
        _advance(request, kind, target, by)
    return request


def reject(request, *, by, digest, comment) -> ApprovalRequest:
    """Refuse for good, with a reason; nothing of the proposal takes effect. Raises as ``approve`` does."""
    if not comment.strip():
        raise ApprovalRefused("驳回需要写明原因，好让申请人知道怎么改。")
    with transaction.atomic(), actor.acting(by):
        request, kind, target = _open(request, by, digest, removed=True)
        _record(request, Action.REJECT, by, comment)
        _close_tasks(request, by)
        _finish(request, State.REJECTED)
        _closed(kind, target, request, f"{request} {_level_name(request)}驳回：{comment}")
        _tell_applicant(request, f"{by}驳回了您的{request}", comment, "danger")
    return request


def withdraw(request, *, by, comment="") -> ApprovalRequest:
    """The applicant takes an open request back. Raises PermissionDenied, ApprovalRefused."""
    with transaction.atomic(), actor.acting(by):
        request, kind, target = _lock(request, removed=True)
        if request.applicant_id != by.pk:
            raise PermissionDenied("只有申请人可以撤回。")
        _record(request, Action.WITHDRAW, by, comment)
        _close_tasks(request, None)
        _finish(request, State.WITHDRAWN)
        _closed(kind, target, request, f"撤回{request}" + (f"：{comment}" if comment else ""))
    return request


def transfer(request, to, *, by, comment="", task_of=None) -> ApprovalRequest:
    """Hand one's own task over to ``to``; whoever may reassign hands over anybody's (``task_of``).

    Raises PermissionDenied, ApprovalRefused.
    """
    with transaction.atomic(), actor.acting(by):
        request, kind, _ = _lock(request)
        holder = task_of or by
        if holder.pk != by.pk and not may_reassign(by):
            raise PermissionDenied("没有改派审批的权限。")
        task = request.tasks.filter(level=request.level, user=holder, state=ApprovalTask.State.OPEN).first()
        if task is None:
            raise ApprovalRefused(f"这份审批现在不在{'您' if holder.pk == by.pk else holder}手里，请刷新后查看。")
        if not to.is_active:
            raise ApprovalRefused(f"“{to}”已停用，不能审批。")
        if to.pk == request.applicant_id:
            raise ApprovalRefused("不能转交给申请人本人。")
        if to.pk == holder.pk:
            raise ApprovalRefused("已经在这个人手里了。")
        task.delete()
        ApprovalTask.objects.update_or_create(
            request=request, level=request.level, user=to, defaults={"state": ApprovalTask.State.OPEN}
        )
        _record(request, Action.TRANSFER, by, comment, to_user=to)
        _tell_approvers(request, kind, [to], f"{by}转交给您：")
    return request


def remind(request, *, by) -> int:
    """The applicant reminds those the request waits for, at most once an hour; gives how many were told."""
    with transaction.atomic(), actor.acting(by):
        request, kind, _ = _lock(request)
        if request.applicant_id != by.pk:
            raise PermissionDenied("只有申请人可以催办。")
        last = request.decisions.filter(action=Action.REMIND).order_by("-id").first()
        if last and timezone.now() - last.created_at < REMIND_AGAIN:
            raise ApprovalRefused("一小时内已经催过一次，请稍候。")
        decision = _record(request, Action.REMIND, by, "")
        people = waiting_for(request)
        _tell_approvers(request, kind, people, "请尽快处理：", again=decision.pk)
    return len(people)


def supersede(target, code, *, by, comment) -> None:
    """Close open requests of one kind about ``target`` because somebody with the right has done it directly."""
    for found in pending_about(target).filter(kind=code):
        request, _, _ = _lock(found)
        _record(request, Action.WITHDRAW, by, comment)
        _close_tasks(request, None)
        _finish(request, State.WITHDRAWN)
        _tell_applicant(request, f"您的{request}已由{by}直接处理", comment, "info")


# --- Who ------------------------------------------------------------------------------------------------------------


def waiting_for(request) -> list[User]:
    """Whom the current level waits for."""
    if not request.is_pending:
        return []
    tasks = request.tasks.filter(level=request.level, state=ApprovalTask.State.OPEN)
    return [task.user for task in tasks.select_related("user").order_by("id")]


def may_decide(request, user) -> bool:
    return (
        request.is_pending
        and user.is_active
        and user.pk != request.applicant_id
        and request.tasks.filter(level=request.level, user=user, state=ApprovalTask.State.OPEN).exists()
    )


def may_reassign(user) -> bool:
    return policy_for(ApprovalRequest).allows(user, "reassign")


def candidates(level, target, *, without=()) -> list[User]:
    """The active people who may decide at ``level`` of a chain, without those listed, in a stable order."""
    people = User.objects.filter(is_active=True).exclude(pk__in=without).order_by("pk")
    if level["approver"] == ApprovalLevel.Approver.ROLE:
        return list(people.filter(groups=level["role"], groups__role__is_active=True).distinct())
    if level["approver"] == ApprovalLevel.Approver.PEOPLE:
        return list(people.filter(pk__in=level["people"]))
    owner = getattr(policy_for(type(target)).root_of(target) or target, "owner", None)
    department = owner.department if owner else None
    while department is not None:
        if department.manager_id and (found := list(people.filter(pk=department.manager_id))):
            return found
        department = department.parent
    return []


def preview_chain(kind, target, values, applicant) -> list[tuple[str, list[User]]]:
    """``[(level, who could decide)]`` of a proposal that is not submitted yet."""
    chain = chain_of(policy_of(kind, target, values))
    return [(level["name"], _people_for(level, target, [applicant.pk], [])) for level in chain]


def _people_for(level, target, never, rather_not) -> list[User]:
    """Who decides at ``level``: its approvers, else whoever may reassign approvals, else a superuser."""
    for without in ([*never, *rather_not], never):
        if found := candidates(level, target, without=without):
            return found
    people = User.objects.filter(is_active=True).exclude(pk__in=never).order_by("pk")
    managers = people.filter(
        groups__role__is_active=True, groups__permissions__codename="reassign_approvalrequest"
    ).distinct()
    return list(managers) or list(people.filter(is_superuser=True))


# --- Steps ----------------------------------------------------------------------------------------------------------


def _locked(model, pk):
    target = model._base_manager.select_for_update().filter(pk=pk).first()
    if target is None or not getattr(target, "is_valid", True):
        raise ApprovalRefused("这条记录已被删除。")
    return target


def _lock(request, *, removed=False):
    """The open request with its target, both locked, the target first.

    ``removed`` lets a request about a removed record (None: gone for good) be closed, which nobody could do otherwise.
    """
    kind = kinds.get(request.kind)
    kind.lock_above(request.target_id)
    if removed:
        target = kind.model._base_manager.select_for_update().filter(pk=request.target_id).first()
    else:
        target = _locked(kind.model, request.target_id)
    stored = ApprovalRequest.objects.select_for_update().select_related("applicant").get(pk=request.pk)
    if not stored.is_pending:
        raise ApprovalRefused(f"这份审批{stored.get_state_display()}，请刷新后查看。")
    return stored, kind, target


def _open(request, by, digest, *, removed=False):
    stored, kind, target = _lock(request, removed=removed)
    if not may_decide(stored, by):
        mine = by.pk == stored.applicant_id
        raise PermissionDenied("不能审批自己的申请。" if mine else "这份审批现在不由您处理。")
    if digest != stored.digest:
        raise ApprovalRefused("您看到的内容与申请内容不一致，请刷新后重新核对。")
    return stored, kind, target


def _advance(request, kind, target, by):
    """Open the next level, or let the proposal take effect when there is none."""
    if request.level >= len(request.chain):
        if found := kind.conflicts(target, request.values):
            raise ApprovalConflict(found)
        why = f"{request.applicant}申请的{request}"
        with actor.acting(by, reason=why if request.chain else f"{request}（无需审批）"):
            _finish(request, State.APPROVED)
            kind.apply(target, request.values, request)
        if request.chain:
            _tell_applicant(request, f"您的{request}已通过", "", "success")
        return
    request.level += 1
    level = request.chain[request.level - 1]
    decided = request.decisions.filter(action=Action.APPROVE).values_list("user_id", flat=True)
    people = _people_for(level, target, [request.applicant_id], list(decided))
    if not people:
        raise ApprovalRefused(f"“{level['name']}”没有可以审批的人，请联系管理员检查审批流程。")
    request.save(update_fields=["level"])
    ApprovalTask.objects.bulk_create(
        [ApprovalTask(request=request, level=request.level, user=person) for person in people]
    )
    _tell_approvers(request, kind, people, "")


def _closed(kind, target, request, remark):
    """What a rejection or withdrawal leaves on the record, if there still is one."""
    if target is not None:
        kind.closed(target, request)
        _log(target, request, remark)


def _finish(request, state):
    request.state, request.closed_at = state, timezone.now()
    request.save(update_fields=["state", "closed_at"])


def _close_tasks(request, by):
    tasks = request.tasks.filter(state=ApprovalTask.State.OPEN)
    if by is not None:
        tasks.filter(user=by, level=request.level).update(state=ApprovalTask.State.DONE)
    tasks.filter(state=ApprovalTask.State.OPEN).update(state=ApprovalTask.State.CLOSED)


def _level_name(request) -> str:
    return request.chain[request.level - 1]["name"] if request.level else ""


def _record(request, action, by, comment, *, to_user=None):
    return ApprovalDecision.objects.create(
        request=request,
        level=request.level,
        level_name=_level_name(request) if action != Action.SUBMIT else "",
        action=action,
        user=by,
        to_user=to_user,
        comment=comment.strip()[:500],
        digest=request.digest,
        ip=actor.current().ip,
    )


def _log(target, request, remark):
    audit.record(target, Operation.APPROVAL, {}, remark=remark[:255])


def link(request) -> str:
    return reverse("admin:crm_approvalrequest_change", args=[request.pk])


def _tell_approvers(request, kind, people, lead, *, again=0):
    notifications.notify(
        people,
        title=f"{lead}{request.applicant}的{kind.label}“{request.target_repr}”等您审批",
        body=request.reason,
        link=link(request),
        key=f"approval-{request.pk}-{request.level}-{again}",
        level="warning",
        email=True,
    )


def _tell_applicant(request, title, body, level):
    notifications.notify(
        [request.applicant],
        title=f"{title}：{request.target_repr}"[:200],
        body=body,
        link=link(request),
        key=f"approval-{request.pk}-{request.state}",
        level=level,
        email=True,
    )
