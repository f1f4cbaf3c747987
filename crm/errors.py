"""Answers of the site to requests that did not get as far as a view."""

from django.http import JsonResponse
from django.views.csrf import csrf_failure as page


def csrf_failure(request, reason=""):
    """Interfaces answer in JSON: 401 to whoever is not logged in, 403 to a page whose token is stale."""
    if not request.path.startswith("/api/"):
        return page(request, reason=reason)
    if not request.user.is_authenticated:
        return JsonResponse({"success": False, "message": "用户未登录或认证信息缺失"}, status=401)
    return JsonResponse({"success": False, "message": "页面已过期，请刷新后重试"}, status=403)
