"""Finding wechat users by telephone number, without waiting for a database that does not answer."""

import logging

from django.core.cache import cache
from django.db import DatabaseError, InterfaceError, connections

from crm import text
from customers.tracking.wechat.models import WechatUser

logger = logging.getLogger(__name__)

WECHAT = "wechat"
# after a failure, for how long nobody tries again
PAUSE_SECONDS = 30
_FAILED = "tracking.wechat.failed"
CHUNK = 200


class Unavailable(Exception):
    """The wechat database does not answer, or did not a moment ago."""


def is_paused() -> bool:
    return bool(cache.get(_FAILED))


def failed(error) -> Unavailable:
    """Note that the database did not answer; the broken connection is not used again."""
    cache.set(_FAILED, True, PAUSE_SECONDS)
    connections[WECHAT].close()
    logger.warning("wechat database: %s", error)
    return Unavailable(str(error))


def works_again() -> None:
    cache.delete(_FAILED)


def spellings(key) -> list[str]:
    """How the number with the normal form ``key`` may be written in the other product's table."""
    number, _, extension = key.partition("x")
    national = number.removeprefix("+86")
    found = {number, number.lstrip("+"), national, f"86-{national}", f"+86 {national}", f"+86-{national}"}
    if national != number and len(national) == 11 and national.startswith("1"):
        found |= {f"{national[:3]}{mark}{national[3:7]}{mark}{national[7:]}" for mark in "- "}
    elif national != number:
        for code in (2, 3):
            found |= {f"0{national[:code]}{mark}{national[code:]}" for mark in ("", "-", " ")}
    return sorted(f"{spelling}-{extension}" if extension else spelling for spelling in found)


def wechat_users(keys) -> dict[str, str]:
    """``{normal form of a number: userId}`` of those of ``keys`` that wechat users have. Raises Unavailable."""
    if is_paused():
        raise Unavailable("paused")
    wanted = sorted(set(keys))
    found: dict[str, str] = {}
    try:
        for start in range(0, len(wanted), CHUNK):
            written = [spelling for key in wanted[start : start + CHUNK] for spelling in spellings(key)]
            rows = WechatUser.objects.filter(phone__in=written).order_by("user_id")
            for user_id, phone in rows.values_list("user_id", "phone"):
                found.setdefault(text.phone_key(phone), user_id)
    except (DatabaseError, InterfaceError) as error:
        raise failed(error) from error
    return {key: found[key] for key in wanted if key in found}
