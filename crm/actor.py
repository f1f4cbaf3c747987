"""Who acts, from where and why: the one context that stamps, versions and the business log read.

Requests open it in the middleware, jobs and commands with ``acting``. Services that take ``by=`` open it again,
so that a record is never stamped with anybody but the person the rule was checked for.
"""

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Actor:
    user: object | None = None
    ip: str | None = None
    reason: str = ""
    batch: str = ""


_current: ContextVar[Actor] = ContextVar("actor", default=Actor())  # noqa: B039  (frozen)


def current() -> Actor:
    return _current.get()


@contextmanager
def acting(user=None, **details):
    """Everything saved inside is done by ``user``; ip, reason and batch are inherited unless given."""
    actor = current()
    user = user or actor.user
    if user is not None and not getattr(user, "is_authenticated", False):
        user = None
    token = _current.set(replace(actor, user=user, **details))
    try:
        yield
    finally:
        _current.reset(token)
