"""Actions of a list that ask something first: which colleague, what reason."""

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME

from crm.admin.media import ordered

ASKED = "answered"  # the form of the question was sent, not just the list


def ask(model_admin, request, queryset, *, action, title, lead, form, submit="确定"):
    """The page that puts ``form`` before ``action`` runs on ``queryset``; it comes back to the same action."""
    across = request.POST.get("select_across") == "1"
    return model_admin.page(
        request,
        "crm/action.html",
        {
            "title": title,
            "lead": lead,
            "form": form,
            "media": ordered(model_admin.media + form.media),
            "submit": submit,
            "action": action,
            "across": across,
            "checkbox": ACTION_CHECKBOX_NAME,
            "keys": [] if across else request.POST.getlist(ACTION_CHECKBOX_NAME),
            "anchor": request.POST.getlist(ACTION_CHECKBOX_NAME)[:1],
            "asked": ASKED,
            "count": queryset.count(),
            "some": [str(obj) for obj in queryset[:20]],
            "list_url": model_admin._url("changelist"),
        },
    )


def answered(request) -> bool:
    return ASKED in request.POST
