"""A provider for tests with real processes: what it got stands in a file, and it can be deadly to call.

``$SMS_JOURNAL/die-before-37`` kills the process that brings the 37th message before it is taken, ``die-after-37`` once
it was; each once.
"""

import os
import signal
from pathlib import Path

from sales import sms

FOLDER = Path(os.environ.get("SMS_JOURNAL", "."))


def received() -> list[str]:
    """``out id, number`` of every message, in the order they came."""
    path = FOLDER / "received"
    return path.read_text().splitlines() if path.exists() else []


class Gateway(sms.Gateway):
    def send(self, message):
        path = FOLDER / "received"
        line = f"{message.out_id},{message.phone}\n"
        number = (path.stat().st_size // len(line) if path.exists() else 0) + 1
        self._perhaps_die(f"die-before-{number}")
        with path.open("a") as file:
            file.write(line)
        self._perhaps_die(f"die-after-{number}")
        return sms.Outcome(sms.SENT, number=message.out_id)

    def lookup(self, message):
        known = any(line.startswith(message.out_id) for line in received())
        return sms.Outcome(sms.SENT if known else sms.NOT_RECEIVED, number=message.out_id)

    def _perhaps_die(self, name):
        sign = FOLDER / name
        if sign.exists():
            sign.unlink()
            os.kill(os.getpid(), signal.SIGKILL)


class Forgetful(Gateway):
    """One that cannot tell afterwards what it got."""

    def lookup(self, message):
        return None
