"""The way out to the carriers: a gateway behind the setting ``SMS_BACKEND``, as Django does it for e-mail.

``sales.sms.console.Gateway`` prints, ``sales.sms.memory.Gateway`` keeps for tests, ``sales.sms.tencent.Gateway`` sends
through Tencent Cloud. Another provider is a class with the methods of ``Gateway``.
"""

from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings
from django.utils.module_loading import import_string

SENT, FAILED, RETRY, UNKNOWN, NOT_RECEIVED = "sent", "failed", "retry", "unknown", "not received"


@dataclass(frozen=True)
class Message:
    """``phone`` in E.164; ``out_id`` is ours and never used twice; ``parameters`` fill the provider's own template."""

    phone: str
    content: str
    out_id: str
    signature: str = ""
    template: str = ""
    parameters: tuple[str, ...] = ()
    tried_at: datetime | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a message.

    ``sent``: the provider took it; ``failed``: it never will; ``retry``: it surely has not got it, another time it may;
    ``unknown``: nobody can say, so that it must not be sent again; ``not received``: it says itself that it never got
    it (an answer of ``lookup`` alone).
    """

    result: str
    number: str = ""  # the provider's
    error: str = ""


@dataclass(frozen=True)
class Report:
    """What the carrier says later: whether the phone got the message with the provider's ``number``."""

    number: str
    arrived: bool
    at: datetime
    error: str = ""


@dataclass(frozen=True)
class Reply:
    phone: str
    content: str
    at: datetime


@dataclass
class Gateway:
    """What a provider can do. ``needs_template``: it sends only templates registered with it."""

    needs_template: bool = field(default=False, init=False)

    def send(self, message: Message) -> Outcome:
        raise NotImplementedError

    def lookup(self, message: Message) -> Outcome | None:
        """What became of a message we may or may not have sent; None: the provider cannot tell."""
        return None

    def reports(self) -> list[Report]:
        """Reports that came in since they were asked for."""
        return []

    def replies(self) -> list[Reply]:
        """Answers of people that came in since they were asked for."""
        return []


def gateway() -> Gateway:
    return import_string(settings.SMS_BACKEND)()
