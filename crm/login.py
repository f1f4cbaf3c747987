"""Logging in, with 记住我."""

from django import forms
from django.conf import settings
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
