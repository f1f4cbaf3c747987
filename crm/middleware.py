"""Request context: who acts, from which address."""

import ipaddress

from django.conf import settings

from crm import actor, trails


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
    """Opens the actor context; a user disabled since the last request is logged out (``ModelBackend`` drops him)."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        with actor.acting(request.user if request.user.is_authenticated else None, ip=client_ip(request)):
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
