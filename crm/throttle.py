"""How often something may be done: counted in the cache, in windows of fixed length.

Without ``REDIS_URL`` each web process counts for itself, so that the limit is at most multiplied by their number.
"""

import time

from django.core.cache import cache


def allow(key: str, limit: int, seconds: int = 60) -> bool:
    """Count one more use of ``key``; whether it is within ``limit`` in the present window."""
    window = f"throttle:{key}:{int(time.time() // seconds)}"
    cache.add(window, 0, seconds * 2)
    try:
        return cache.incr(window) <= limit
    except ValueError:  # just evicted
        return True


def used_up(key: str, limit: int, seconds: int = 60) -> bool:
    """Whether ``limit`` has been reached, without counting."""
    return cache.get(f"throttle:{key}:{int(time.time() // seconds)}", 0) >= limit
