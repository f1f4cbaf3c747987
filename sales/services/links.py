"""Addresses of lists, narrowed to what a figure or an effect counts."""

from urllib.parse import urlencode

from django.urls import reverse


def listed(model, **parameters) -> str:
    return f"{reverse(f'admin:sales_{model}_changelist')}?{urlencode(parameters)}"
