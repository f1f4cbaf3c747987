"""What can be asked for: each app registers its kinds of request in a module ``approvals``.

A kind knows the record it is about, who may ask, how the proposal reads beside the present values, what it affects, and
what to do when the last level has agreed.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from crm.registries import Registry


@dataclass(frozen=True)
class Level:
    """A level of the policy that a new installation starts with. ``role`` is the name of a shipped role."""

    name: str
    role: str = ""


@dataclass(frozen=True)
class Line:
    """One proposed value in words. ``now`` is filled when the present value is no longer the one it was based on."""

    label: str
    old: str
    new: str
    now: str | None = None


@dataclass(frozen=True)
class Section:
    title: str
    lines: list[Line]


@dataclass(frozen=True)
class Effect:
    """How much of something the proposal affects, and where that can be looked at."""

    label: str
    count: int | None = None
    text: str = ""
    link: str = ""
    warning: bool = False


@dataclass
class Kind:
    """Base of all kinds; ``code`` is ``<app>.<what>``. ``action`` is what the applicant must be allowed to do."""

    code: str
    label: str
    model: type
    action: str = "change"
    levels: tuple[Level, ...] = (Level("部门主管"),)
    # what stands on its button, and what the page of a record says that may only be changed this way
    button: str = ""
    notice: str = ""
    # asked what a proposal affects: ``provider(target, values, user) -> list[Effect]``
    effects: Registry = field(default_factory=lambda: Registry("effects of a proposal"))

    def lock_above(self, target_id) -> None:
        """Lock what has to be locked before the target, where ``apply`` needs it."""

    def check(self, target, values, *, by) -> None:
        """Refuse a proposal that makes no sense now. Raises ValidationError, ApprovalRefused."""

    def amount(self, target, values) -> Decimal | None:
        """The amount in CNY that decides which policy applies."""
        return None

    def touches(self, values) -> set[str]:
        """What of the target the proposal would change; two open requests must not touch the same."""
        return {self.code}

    def sections(self, target, values, user) -> list[Section]:
        """The proposal beside the present values, in words ``user`` may read."""
        return []

    def conflicts(self, target, values) -> list[str]:
        """What has changed since the proposal was made, so that it cannot be applied as it stands."""
        return []

    def impact(self, target, values, user) -> list[Effect]:
        """变更影响, computed now for ``user`` (eplus ``getChangeEffect``)."""
        found = []
        for _, effects in self.effects:
            found += effects(target, values, user) or ()
        return found

    def submitted(self, target, request) -> None:
        """In the transaction of the submission."""

    def apply(self, target, values, request) -> None:
        """In the transaction of the last approval, with ``target`` locked; the actor is the approver."""
        raise NotImplementedError

    def closed(self, target, request) -> None:
        """After a rejection or withdrawal, in its transaction."""


_kinds: dict[str, Kind] = {}


def register(kind: Kind) -> Kind:
    if _kinds.setdefault(kind.code, kind) is not kind:
        raise ValueError(f"approvals: {kind.code} is registered twice")
    return kind


def get(code) -> Kind:
    return _kinds[code]


def registered() -> Iterable[Kind]:
    return list(_kinds.values())


def choices() -> list[tuple[str, str]]:
    return [(kind.code, kind.label) for kind in _kinds.values()]


def targets() -> set[type]:
    return {kind.model for kind in _kinds.values()}
