"""Request context: who acts, from which address; what is answered when others hold the records."""

import ipaddress
import logging
from contextlib import nullcontext

from django.conf import settings
from django.db import OperationalError
from django.shortcuts import render

from crm import actor, policies, trails

logger = logging.getLogger(__name__)
READING = {"GET", "HEAD"}
LOCK_CODES = {1205, 1213}  # lock wait timeout, deadlock


def client_ip(request) -> str | None:
    """The client's address. ``X-Forwarded-For`` counts only behind ``TRUSTED_PROXIES`` many proxies of our own."""
    address = request.META.get("REMOTE_ADDR", "")
    proxies = settings.TRUSTED_PROXIES
    if proxies:
        hops = [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if hop.strip()]
        if len(hops) >= proxies:
            address = hops[-proxies]
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return None


class ActorMiddleware:
    """Opens the actor context; a user disabled since the last request is logged out (``ModelBackend`` drops him).

    Requests that change nothing ask once what was shared with the person.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        user = request.user if request.user.is_authenticated else None
        remembering = policies.reading() if request.method in READING else nullcontext()
        with actor.acting(user, ip=client_ip(request)), remembering:
            return self.get_response(request)


class TrailMiddleware:
    """What was done to records is passed on once the request has been answered, unless it failed."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        if response.status_code < 400:
            trails.pass_on(request, client_ip(request))
        return response


class BusyMiddleware:
    """Others held the records for too long: the transaction was undone, and a page says to try again (503)."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(request)

    def process_exception(self, request, exception):
        if not isinstance(exception, OperationalError):
            return None
        code = exception.args[0] if exception.args else None
        if code not in LOCK_CODES and "is locked" not in str(exception):
            return None
        logger.warning("locked: %s %s: %s", request.method, request.path, exception)
        answer = render(request, "503.html", status=503)
        answer["Retry-After"] = "3"
        return answer
