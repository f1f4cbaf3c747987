"""Logging in, with 记住我; and entering the password again, which may be tried as often as a login."""

from axes.handlers.proxy import AxesProxyHandler
from django import forms
from django.conf import settings
from django.contrib.auth.signals import user_login_failed
from unfold.forms import AuthenticationForm
from unfold.widgets import UnfoldBooleanWidget


class LoginForm(AuthenticationForm):
    remember = forms.BooleanField(label="记住我", required=False, widget=UnfoldBooleanWidget)

    error_messages = {
        **AuthenticationForm.error_messages,
        "invalid_login": "用户名或密码不正确，或账号已停用。",
        "inactive": "该账号已停用，请联系管理员。",
    }

    def clean(self):
        cleaned = super().clean()
        seconds = settings.REMEMBER_ME_DAYS * 86400 if cleaned.get("remember") else 0
        self.request.session.set_expiry(seconds)
        return cleaned


def may_try_password(request) -> bool:
    """Whether ``request.user`` may enter his password again, after how often it was wrong lately."""
    return AxesProxyHandler.is_allowed(request, {"username": request.user.get_username()})


def note_wrong_password(request) -> None:
    """Counts like a failed login: too many lock the account for a while."""
    credentials = {"username": request.user.get_username()}
    user_login_failed.send(sender=__name__, credentials=credentials, request=request)
