"""The page 移交: whose records, which kinds, to whom; then what will happen; then the job."""

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from unfold.widgets import UnfoldAdminSelect2MultipleWidget

from crm import handover
from crm.admin.base import ModelAdmin
from crm.admin.media import ordered
from crm.admin.page_forms import field
from crm.approvals import engine
from crm.models import User


def named(person) -> str:
    words = [str(person.department)] if person.department else []
    words += [] if person.is_active else ["已停用"]
    return f"{person}（{'，'.join(words)}）" if words else str(person)


class LeaverForm(forms.Form):
    leaver = field(
        forms.ModelChoiceField, "移交谁的记录", required=True, help_text="离职或转岗的同事；账号可以已停用。"
    )

    def __init__(self, user, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["leaver"].queryset = _listed(handover.leavers(user))
        self.fields["leaver"].label_from_instance = named


class HandoverForm(forms.Form):
    kinds = forms.MultipleChoiceField(label="移交哪些", required=False)
    owners = forms.ModelMultipleChoiceField(
        User.objects.none(),
        label="接手人",
        required=False,
        widget=UnfoldAdminSelect2MultipleWidget(attrs={"class": "unfold-admin-autocomplete"}),
        help_text="选几位，就由他们轮流接手，每人数量相当。",
    )
    approver = field(forms.ModelChoiceField, "待审批改派给", help_text="留空则不改派。")
    reason = field(forms.CharField, "原因", required=True, max_length=200, help_text="记入每条记录的归属和日志。")

    def __init__(self, user, leaver, counts, *args, **kwargs):
        super().__init__(*args, **kwargs)
        people = _listed(handover.successors(user).exclude(pk=leaver.pk))
        for name in ("owners", "approver"):
            self.fields[name].queryset = people
            self.fields[name].label_from_instance = named
        self.fields["kinds"].choices = [(name, name) for name in counts]
        if not (engine.may_reassign(user) and handover.waiting(leaver).exists()):
            del self.fields["approver"]

    @property
    def shown(self):
        return [self[name] for name in self.fields if name != "kinds"]


def _listed(people):
    return people.select_related("department").order_by("-is_active", "full_name")


def urls(site):
    return [path("handover/", site.admin_view(lambda request: page(site, request)), name="handover")]


def in_sidebar(request):
    if handover.allowed(request.user):
        yield "客户", "移交", "move_up", reverse("admin:handover"), 26


def page(site, request):
    if not handover.allowed(request.user):
        raise PermissionDenied
    given = request.POST if request.method == "POST" else request.GET
    choice = LeaverForm(request.user, given if given.get("leaver") else None)
    context = {
        **site.each_context(request),
        "title": "移交",
        "choice": choice,
        "media": ordered(forms.Media(ModelAdmin.Media)),
    }
    if choice.is_bound and choice.is_valid():
        leaver = choice.cleaned_data["leaver"]
        counts = handover.counts(leaver, by=request.user)
        form = HandoverForm(request.user, leaver, counts, request.POST or None, initial={"kinds": list(counts)})
        chosen = form["kinds"].value() or []
        context |= {
            "leaver": leaver,
            "form": form,
            "kinds": [(name, kind, counts[name], name in chosen) for name, kind in handover.kinds().items()],
            "waiting": handover.waiting(leaver).count(),
            "none": not any(counts.values()),
        }
        if request.method == "POST" and form.is_valid():
            if "confirmed" in request.POST:
                return _start(request, leaver, form, site, context)
            context["plan"] = _plan(form, counts)
    return TemplateResponse(request, "crm/handover.html", context)


def _start(request, leaver, form, site, context):
    values = form.cleaned_data
    try:
        job = handover.start(
            leaver,
            list(values["owners"]),
            values["kinds"],
            by=request.user,
            reason=values["reason"],
            approver=values.get("approver"),
        )
    except handover.HandoverError as error:
        messages.error(request, str(error))
        return TemplateResponse(request, "crm/handover.html", context)
    return HttpResponseRedirect(reverse("admin:crm_job_change", args=[job.pk]))


def _plan(form, counts) -> dict | None:
    """What the answers would do, in numbers; None with an error on the form where they make no sense."""
    values, owners = form.cleaned_data, list(form.cleaned_data["owners"])
    chosen = [name for name in counts if name in values["kinds"] and counts[name]]
    if not owners and chosen:
        form.add_error("owners", "请选择接手的同事。")
        return None
    if not chosen and not values.get("approver"):
        form.add_error(None, "请至少选择一类有记录的。")
        return None
    known = handover.kinds()
    return {
        "rows": [(known[name].label, known[name].unit, counts[name]) for name in chosen],
        "owners": [named(person) for person in owners],
        "approver": values.get("approver"),
        "total": sum(counts[name] for name in chosen),
    }
