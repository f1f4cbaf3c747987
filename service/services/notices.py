"""Notices of work orders to the customer, at the address that it gave for them (``Customer.notify_email``)."""

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction

WORDS = {
    "opened": ("我们已收到您的请求（{order.number}）", "您好，我们已收到您的请求“{order.title}”，正在安排处理。"),
    "solved": (
        "您的请求已处理（{order.number}）",
        "您好，您的请求“{order.title}”已处理，结果如下：\n\n{order.solution}\n\n如有疑问或建议，请直接与我们联系。",
    ),
}


def send(order, occasion) -> None:
    """Tell the customer of ``order`` by e-mail once the change is committed; without an address nothing is sent."""
    address = order.customer.notify_email
    if not (settings.NOTIFY_BY_EMAIL and address):
        return
    title, body = (words.format(order=order) for words in WORDS[occasion])
    transaction.on_commit(
        lambda: send_mail(title, f"{body}\n\n工单号：{order.number}", None, [address], fail_silently=True)
    )
