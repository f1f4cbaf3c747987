"""What was done to a customer, on its page."""

from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.http import urlencode

from crm.policies import policy_for
from crm.trails import Kind
from customers.tracking.models import Trace

SHOWN = 20
ICONS = {
    Kind.VIEW: "visibility",
    Kind.EDIT: "edit",
    Kind.FOLLOW_UP: "history_edu",
    Kind.EXPORT: "download",
    Kind.REVEAL: "lock_open",
    Kind.DOWNLOAD: "file_download",
    Kind.OTHER: "radio_button_checked",
}


def panel(customer, user) -> str | None:
    """The newest traces, for those who may read them. The customer is in sight already: its own index suffices."""
    if not policy_for(Trace).allows(user, "view"):
        return None
    traces = list(Trace.objects.filter(customer_id=customer.pk).order_by("-id")[:SHOWN])
    for trace in traces:
        trace.icon = ICONS.get(trace.kind, "radio_button_checked")
    query = urlencode({"customer__id__exact": customer.pk})
    context = {"traces": traces, "link": f"{reverse('admin:tracking_trace_changelist')}?{query}"}
    if policy_for(Trace).allows(user, "export"):
        context["print_link"] = f"{reverse('admin:tracking_trace_print')}?{query}"
    return render_to_string("tracking/timeline.html", context)
