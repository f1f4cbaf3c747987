"""Which function does which kind of work, and when periodic work is due."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import time


@dataclass(frozen=True)
class Handler:
    title: str
    function: Callable


@dataclass(frozen=True)
class Periodic:
    """``daily`` is a time of day in Asia/Shanghai, ``minutes`` an interval: one of the two."""

    name: str
    title: str
    preview: Callable[[], list[str]]
    daily: time | None
    minutes: int | None


_handlers: dict[str, Handler] = {}
_periodic: dict[str, Periodic] = {}


def handler(kind, *, title):
    """Register ``function(run: Run) -> dict | None`` for jobs of ``kind``; what it returns is the job's result.

    The function may be run again from ``run.checkpoint`` at any time, so it writes only inside ``run.chunk``. Of the
    result, ``message`` is shown to the person, ``link`` leads on, ``file`` is the id of a file to download.
    """

    def register(function):
        _handlers[kind] = Handler(title, function)
        return function

    return register


def periodic(name, *, title, preview, daily="", minutes=0):
    """Register ``function(run)`` as work that begins every day at ``daily`` ("02:05") or every so many ``minutes``.

    ``preview()`` changes nothing and gives the lines of a dry run: what would be done now.
    """

    def register(function):
        at = time.fromisoformat(daily) if daily else None
        _periodic[name] = Periodic(name, title, preview, at, minutes or None)
        return handler(name, title=title)(function)

    return register


def handler_of(kind) -> Handler:
    """Raises KeyError for a kind that no app registered."""
    return _handlers[kind]


def all_periodic() -> dict[str, Periodic]:
    return dict(_periodic)
