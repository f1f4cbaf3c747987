"""A form of a new record makes one record, however often it is sent: by double clicks, reloads or two at a moment.

The form carries a token; whoever sends it first writes the token down in the transaction that makes the record, and a
second one waits for that transaction and is led to the first one's record.
"""

import secrets

from django.db import IntegrityError, transaction

from crm import audit
from crm.models import SubmittedForm

FIELD = "once"


class Repeated(Exception):
    """This form has made a record already."""


def token(request) -> str:
    """The token for the form that is shown: a new one, or the one that came back with mistakes."""
    return _sent(request) or secrets.token_urlsafe(16)


def claim(request, model) -> SubmittedForm | None:
    """Write the token down, in the caller's transaction; None where the form has none. Raises Repeated."""
    if not (sent := _sent(request)):
        return None
    key = f"{request.user.pk}:{sent}"
    try:
        with transaction.atomic():
            return SubmittedForm.objects.create(key=key, content_type_id=audit.content_type_id(model))
    except IntegrityError as error:
        raise Repeated from error


def made_by(request, model) -> int | None:
    """The id of the record that the form of this request has made."""
    rows = SubmittedForm.objects.filter(
        key=f"{request.user.pk}:{_sent(request)}", content_type_id=audit.content_type_id(model)
    )
    return rows.values_list("object_id", flat=True).first()


def _sent(request) -> str:
    return request.POST.get(FIELD, "")[:64] if request.method == "POST" else ""
