"""E-mail to customers: orders, deliveries and work orders to 通知邮箱, receipts, invoices and statements to 账单邮箱.

Sources: dms ``notify_email`` and ``bill_email``. Switched on by the setting ``NOTIFY_CUSTOMERS``.
"""

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction

NOTICES, BILLS = "notify_email", "billing_email"


def tell_customer(customer, address, *, title, text) -> bool:
    """Write to the ``address`` (``NOTICES`` or ``BILLS``) of ``customer`` after the commit; False where there is none.

    A letter that cannot be sent keeps nothing from happening.
    """
    to = getattr(customer, address)
    if not (settings.NOTIFY_CUSTOMERS and to):
        return False
    transaction.on_commit(lambda: send_mail(title, text, None, [to], fail_silently=True))
    return True
