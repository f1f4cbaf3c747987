"""Changes of state: check the permission, lock, check the source state, run, record.

A transition is a method of the model under ``django_fsm.transition`` with
``custom={"label": "通过", "action": "review", "needs_reason": True, "style": "primary"}``: ``action`` is what the
policy is asked, ``needs_reason`` makes a reason compulsory (called
``reason_label``, of up to ``reason_max`` characters), ``reason_field`` keeps it on the record as well,
``not_own`` keeps people from deciding on what they entered or own themselves, ``page`` names the admin page on which
the change is made instead of at the press of a button. A transition without an ``action`` is a step of a service and
runs from there alone.
"""

from dataclasses import dataclass

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django_fsm import FSMFieldMixin, TransitionNotAllowed, can_proceed

from crm import actor
from crm.models.audit import Operation
from crm.policies import policy_for
from crm.registries import Registry

# told of every transition that was run, in its transaction: ``hook(obj, name, by)``
after = Registry("after a transition")


REASON_MAX = 255
DETAILS = ("needs_reason", "style", "page", "reason_label", "reason_max")


class TransitionRefused(ValueError):
    """The change is not possible in the present state, or lacks its reason."""


@dataclass(frozen=True)
class Button:
    name: str
    label: str
    needs_reason: bool = False
    style: str = "default"
    page: str = ""
    reason_label: str = "原因"
    reason_max: int = REASON_MAX


def declared(model) -> dict[str, object]:
    """``{method name: transition}`` of all state fields of ``model``."""
    found = {}
    for field in model._meta.concrete_fields:
        if isinstance(field, FSMFieldMixin):
            for transition in field.get_all_transitions(model):
                if "action" in transition.custom:
                    found[transition.name] = transition
    return found


def available(obj, user) -> list[Button]:
    """The transitions that ``user`` may run on ``obj`` now, in the order they are declared."""
    policy = policy_for(type(obj))
    buttons = []
    for name, transition in declared(type(obj)).items():
        custom = transition.custom
        if not can_proceed(getattr(obj, name)) or not policy.may(user, custom["action"], obj):
            continue
        if custom.get("not_own") and _own(obj, user):
            continue
        if not any(button.name == name for button in buttons):
            details = {key: custom[key] for key in DETAILS if key in custom}
            buttons.append(Button(name, custom["label"], **details))
    return buttons


def run(obj, name, *, by, reason="", **details):
    """Run transition ``name`` on the stored row of ``obj``; gives the changed record.

    Raises PermissionDenied, TransitionRefused (unknown or impossible now, reason missing).
    """
    transition = declared(type(obj)).get(name)
    if transition is None:
        raise TransitionRefused("没有这个操作。")
    with transaction.atomic(), actor.acting(by):
        stored = type(obj)._base_manager.select_for_update().get(pk=obj.pk)
        if by is not None and not policy_for(type(obj)).may(by, transition.custom["action"], stored):
            raise PermissionDenied(f"没有“{transition.custom['label']}”的权限。")
        if by is not None and transition.custom.get("not_own") and _own(stored, by):
            raise TransitionRefused(f"不能对自己录入或负责的记录“{transition.custom['label']}”，请由其他人处理。")
        if transition.custom.get("needs_reason") and not reason.strip():
            wanted = transition.custom.get("reason_label", "原因")
            raise TransitionRefused(f"“{transition.custom['label']}”需要填写{wanted}。")
        if len(reason.strip()) > (most := transition.custom.get("reason_max", REASON_MAX)):
            raise TransitionRefused(f"“{transition.custom['label']}”填写的内容太长，最多 {most} 个字。")
        try:
            getattr(stored, name)(**details)
        except TransitionNotAllowed as error:
            raise TransitionRefused(
                f"“{stored}”当前状态不能“{transition.custom['label']}”，可能已被其他人处理，请刷新后查看。"
            ) from error
        if field := transition.custom.get("reason_field"):
            setattr(stored, field, reason.strip())
        stored.save(operation=Operation.TRANSITION, remark=reason.strip()[:255] or transition.custom["label"])
        for _, hook in after:
            hook(stored, name, by)
    return stored


def _own(obj, user) -> bool:
    return user.pk in (getattr(obj, "created_by_id", None), getattr(obj, "owner_id", None))
