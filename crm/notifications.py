"""Telling people: one row per person and occasion, with a link to the record; by e-mail too where that is set up."""

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction

from crm.models import Notification


def notify(users, *, title, key, body="", link="", level=Notification.Level.INFO, email=False) -> int:
    """Tell ``users`` once per ``key``; gives how many were told now. E-mail goes out after the commit."""
    users = [user for user in users if user is not None and user.is_active]
    known = set(Notification.objects.filter(user__in=users, key=key).values_list("user_id", flat=True))
    fresh = [user for user in users if user.pk not in known]
    Notification.objects.bulk_create(
        [Notification(user=user, level=level, title=title, body=body, link=link, key=key) for user in fresh],
        ignore_conflicts=True,
    )
    addresses = [user.email for user in fresh if user.email]
    if email and settings.NOTIFY_BY_EMAIL and addresses:
        text = f"{body}\n\n{settings.SITE_URL}{link}" if link else body
        transaction.on_commit(
            lambda: [send_mail(title, text, None, [address], fail_silently=True) for address in addresses]
        )
    return len(fresh)
