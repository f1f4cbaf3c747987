"""Handover 移交: everything that somebody works on goes to one or several others, as it stands.

Each app says which of its records are handed over (``HANDOVERS``); all but the owner stays: stage, last follow-up,
next step, protection. Who hands over needs the right "assign" on each record, and what he may not assign stays where it
is. The work is a job in chunks, each of which commits with its progress (``crm.jobs``).
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from django.core.exceptions import PermissionDenied
from django.urls import reverse

from crm import bulk, jobs
from crm.approvals import engine
from crm.models import ApprovalTask, DataScope, Operation, User
from crm.notifications import notify
from crm.policies import members_in_scope, policy_for
from crm.registries import Registry

# ``Kind``s in the order in which they are handed over
HANDOVERS = Registry("kinds of records that are handed over")

JOB = "handover"
CHUNK = 100


class HandoverError(ValueError):
    """The handover makes no sense as asked for; the message says why and what to do."""


@dataclass(frozen=True)
class Kind:
    """Owned records of ``model``.

    ``how`` is the model's word for this change of owner (``crm.ownership.changing``); ``obstacles(ids, owner)`` says
    which of them ``owner`` cannot take, ``{id: reason}``; ``follow(ids, leaver, owner)`` moves what goes along.
    """

    model: type
    unit: str = "个"
    how: str = ""
    obstacles: Callable | None = None
    follow: Callable | None = None

    @property
    def label(self) -> str:
        return str(self.model._meta.verbose_name)

    def rows(self, leaver, by):
        """What ``leaver`` owns and ``by`` may assign."""
        return policy_for(self.model).visible_to(by, "assign").filter(owner=leaver).order_by("pk")


def kinds() -> dict[str, Kind]:
    return dict(HANDOVERS)


def allowed(user) -> bool:
    return any(policy_for(kind.model).allows(user, "assign") for kind in kinds().values())


def leavers(user):
    """Whose records ``user`` may hand over, disabled accounts included."""
    scopes = [policy_for(kind.model).scope(user, "assign") for kind in kinds().values()]
    widest = max((scope for scope in scopes if scope is not None), default=None)
    if widest is None:
        return User.objects.none()
    if widest == DataScope.ALL:
        return User.objects.all()
    return User.objects.filter(pk__in=[user.pk] if widest == DataScope.SELF else members_in_scope(user, widest))


def successors(user):
    return policy_for(User).choices_for(user)


def counts(leaver, *, by) -> dict[str, int]:
    """``{name of the kind: how many records}`` that a handover by ``by`` would move."""
    return {name: kind.rows(leaver, by).count() for name, kind in kinds().items()}


def waiting(leaver):
    """Open approvals that wait for ``leaver``."""
    return ApprovalTask.objects.filter(user=leaver, state=ApprovalTask.State.OPEN, request__state="pending")


def start(leaver, owners, names, *, by, reason, approver=None):
    """Begin to hand the records of kinds ``names`` over to ``owners`` in turns; gives the job.

    ``approver`` gets the approvals that wait for ``leaver``. Raises PermissionDenied, HandoverError.
    """
    if not leavers(by).filter(pk=leaver.pk).exists() or not allowed(by):
        raise PermissionDenied("没有移交这位同事的记录的权限。")
    if unknown := set(names) - set(kinds()):
        raise HandoverError(f"没有这类记录：{'、'.join(unknown)}")
    if not names and approver is None:
        raise HandoverError("请至少选择一类要移交的记录。")
    if names and not owners:
        raise HandoverError("请选择接手的同事。")
    for person in [*owners, *([approver] if approver else [])]:
        if person.pk == leaver.pk:
            raise HandoverError("不能移交给本人。")
        if not person.is_active:
            raise HandoverError(f"“{person}”已停用，不能接手。")
    if approver is not None and not engine.may_reassign(by):
        raise PermissionDenied("没有改派审批的权限。")
    if not reason.strip():
        raise HandoverError("请填写移交原因，它会记入归属记录和业务日志。")
    found = counts(leaver, by=by)
    total = sum(found[name] for name in names) + (waiting(leaver).count() if approver else 0)
    if not total:
        raise HandoverError(f"“{leaver}”名下没有您可以移交的记录。")
    params = {
        "leaver": leaver.pk,
        "owners": [person.pk for person in owners],
        "kinds": [name for name in kinds() if name in names],
        "reason": reason.strip()[:200],
        "approver": approver.pk if approver else None,
    }
    key = f"{JOB}:{leaver.pk}"
    return jobs.enqueue(JOB, by=by, title=f"移交“{leaver}”的记录", params=params, total=total, key=key)


# --- The job ---------------------------------------------------------------------------------------------------------


@jobs.handler(JOB, title="移交")
def perform(run):
    """Kind by kind in the order of the keys; whose turn it is goes on from chunk to chunk."""
    plan = run.job.params
    leaver, owners = User.objects.get(pk=plan["leaver"]), _people(plan["owners"])
    state = run.checkpoint or {"at": 0, "last": 0, "turn": 0, "moved": {}, "left": [], "kept": 0}
    while state["at"] < len(plan["kinds"]):
        name = plan["kinds"][state["at"]]
        with run.chunk():
            state = _hand_over_chunk(run, name, leaver, owners, plan["reason"], state)
            run.checkpoint = state
    with run.chunk():
        passed = _reassign(run, leaver, plan) if plan["approver"] else 0
        _tell(run, leaver, owners, state)
    return {"message": _summary(state, passed), "moved": state["moved"], "left": state["left"], "approvals": passed}


def _people(ids) -> list[User]:
    found = User.objects.in_bulk(ids)
    return [found[pk] for pk in ids]


def _hand_over_chunk(run, name, leaver, owners, reason, state) -> dict:
    kind = kinds()[name]
    ids = list(kind.rows(leaver, run.user).filter(pk__gt=state["last"]).values_list("pk", flat=True)[:CHUNK])
    if not ids:
        return {**state, "at": state["at"] + 1, "last": 0}
    stored = bulk.stored_rows(kind.model, ids, lock=True)
    rows = [row for row in stored.values() if row["owner_id"] == leaver.pk]
    given, refused, turn = _deal(kind, rows, owners, state["turn"])
    taken = [row for row in rows if row["id"] in given]
    for row in taken:
        row["owner_id"] = given[row["id"]].pk
    changes = [{"owner": [leaver.pk, row["owner_id"]]} for row in taken]
    bulk.update(kind.model, taken, changes, operation=Operation.OWNERSHIP, remark=f"移交：{reason}", how=kind.how)
    for owner in owners if kind.follow else ():
        kind.follow([pk for pk, person in given.items() if person.pk == owner.pk], leaver, owner)
    moved = Counter(state["moved"].get(name, {}))
    moved.update(str(owner.pk) for owner in given.values())
    run.done += len(ids)
    run.message = f"已移交 {run.done} 条"
    return {
        **state,
        "last": ids[-1],
        "turn": turn,
        "moved": {**state["moved"], name: dict(moved)},
        "left": [*state["left"], *refused][:20],
        "kept": state["kept"] + len(refused),
    }


def _deal(kind, rows, owners, turn) -> tuple[dict[int, User], list[str], int]:
    """Who gets which row: the next in turn who can take it; else it stays, and why."""
    obstacles = [kind.obstacles([row["id"] for row in rows], owner) if kind.obstacles else {} for owner in owners]
    given, refused = {}, []
    for row in rows:
        order = [(turn + step) % len(owners) for step in range(len(owners))]
        place = next((place for place in order if row["id"] not in obstacles[place]), None)
        if place is None:
            refused.append(obstacles[order[0]][row["id"]])
        else:
            given[row["id"]], turn = owners[place], place + 1
    return given, refused, turn


def _reassign(run, leaver, plan) -> int:
    """Hand the approvals that wait for ``leaver`` over; those that the new approver may not decide stay."""
    approver, passed = User.objects.get(pk=plan["approver"]), 0
    for task in waiting(leaver).select_related("request").order_by("request__target_type", "request__target_id"):
        try:
            engine.transfer(task.request, approver, by=run.user, comment=plan["reason"], task_of=leaver)
            passed += 1
        except (engine.ApprovalRefused, PermissionDenied):
            continue
    return passed


def _tell(run, leaver, owners, state):
    for owner in owners:
        if words := _words(state, str(owner.pk)):
            notify(
                [owner],
                title=f"{run.user}把“{leaver}”的{words}移交给您",
                key=f"handover:{run.job.pk}:{owner.pk}",
                body=run.job.params["reason"],
                link=reverse("admin:index"),
            )


def _words(state, owner=None) -> str:
    """``12 个客户、3 条线索``: of one owner, or of all."""
    found = []
    for name, by_owner in state["moved"].items():
        number = sum(by_owner.values()) if owner is None else by_owner.get(owner, 0)
        if number:
            found.append(f"{number} {kinds()[name].unit}{kinds()[name].label}")
    return "、".join(found)


def _summary(state, passed) -> str:
    parts = [f"已移交{_words(state) or '0 条记录'}"]
    if passed:
        parts.append(f"改派了 {passed} 份审批")
    if state["kept"]:
        parts.append(f"{state['kept']} 条没有移交：{'；'.join(dict.fromkeys(state['left'][:5]))}")
    return "；".join(parts)
