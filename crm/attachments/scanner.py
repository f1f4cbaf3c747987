"""The hook for a virus scanner: ``ATTACHMENT_SCANNER``, empty by default.

Either the dotted path of ``function(path, name) -> str | None`` (what was found, None for nothing), or a command with
``{path}`` in it that ends with 0 for clean and 1 for infected, like clamdscan. Fails closed: when the scanner does not
answer, nothing is taken in.
"""

import logging
import shlex
import subprocess

from django.conf import settings
from django.utils.module_loading import import_string

logger = logging.getLogger(__name__)

CLEAN, INFECTED = 0, 1


class ScannerFailed(Exception):
    """The scanner could not say."""


def scan(path, name) -> str | None:
    """What the scanner found in the file at ``path``, None for nothing. Raises ScannerFailed."""
    scanner = settings.ATTACHMENT_SCANNER
    if not scanner:
        return None
    try:
        return _run(scanner, path) if is_command(scanner) else import_string(scanner)(path, name)
    except Exception as error:
        logger.exception("attachment scanner failed")
        raise ScannerFailed from error


def is_command(scanner) -> bool:
    return "{path}" in scanner


def _run(scanner, path) -> str | None:
    command = [part.replace("{path}", str(path)) for part in shlex.split(scanner)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=settings.ATTACHMENT_SCAN_SECONDS)
    if done.returncode == CLEAN:
        return None
    if done.returncode == INFECTED:
        lines = (done.stdout or done.stderr).strip().splitlines()
        return lines[0].rpartition(":")[2].strip()[:100] if lines else "病毒"
    raise ScannerFailed(f"exit code {done.returncode}: {done.stderr[:500]}")
