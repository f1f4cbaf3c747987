"""Saving a record that may only be changed by request: the form leads to a page with differences and effects, and from
there to a request. Mixed into the admin class of a model whose kinds are registered in ``crm.approvals``."""

from django import forms
from django.contrib import messages
from django.core import signing
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpResponseRedirect
from django.urls import path

from crm import audit, trails
from crm.admin.forms import RecordForm
from crm.approvals import engine, kinds
from crm.approvals.proposals import RecordChange

SALT, MAX_AGE = "crm.proposal", 4 * 60 * 60


class Proposed(Exception):
    """What was entered is not saved but proposed; the transaction of the form is rolled back."""

    def __init__(self, obj, kind, values):
        self.obj, self.kind, self.values = obj, kind, values


class ReasonForm(forms.Form):
    """What every request carries; kinds with more to ask extend it."""

    reason = forms.CharField(
        label="申请原因", max_length=500, widget=forms.Textarea(attrs={"rows": 3, "placeholder": "写给审批人看。"})
    )

    def __init__(self, *args, target=None, user=None, **kwargs):
        self.target, self.user = target, user
        super().__init__(*args, **kwargs)

    def values(self) -> dict:
        """What the request asks for."""
        return {}


class ProposesMixin:
    """``change_kind`` says which kind a change of ``obj`` has to go through; ``asks`` are the forms of its other
    requests: ``{kind code: form class}``."""

    asks: dict[str, type[ReasonForm]] = {}
    restore_kind: RecordChange | None = None  # None: old versions are only read

    def change_kind(self, request, obj) -> RecordChange | None:
        """The kind of request that a change of ``obj`` by this person needs; None: he may save it."""
        return None

    def kind_of(self, kind, values) -> RecordChange:
        """The kind to submit ``values`` under."""
        return kind

    def may_ask(self, request, obj, code) -> bool:
        """Whether the button of this request is offered on the page of ``obj``."""
        return self.policy.may(request.user, kinds.get(code).action, obj)

    # --- From the form to the page of differences --------------------------------------------------------------------

    def save_model(self, request, obj, form, change):
        request.proposing = self.change_kind(request, obj) if change else None
        if request.proposing is None:
            super().save_model(request, obj, form, change)

    def save_related(self, request, form, formsets, change):
        if request.proposing is not None:
            values = collect(request.proposing, form, formsets)
            if request.proposing.needs_request(values):
                raise Proposed(form.instance, self.kind_of(request.proposing, values), values)
        super().save_related(request, form, formsets, change)

    def changeform_view(self, request, object_id=None, form_url="", extra_context=None):
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except Proposed as proposed:
            return self.proposal_page(request, proposed.obj, proposed.kind, proposed.values)

    def proposal_page(self, request, obj, kind, values):
        """The differences, what they affect, who will decide; nothing is stored yet."""
        target = self.model._base_manager.get(pk=obj.pk)
        problems, chain = [], []
        try:
            kind.check(target, values, by=request.user)
            chain = engine.preview_chain(kind, target, values, request.user)
        except ValidationError as error:
            problems += error.messages
        overlapping = engine.overlapping(kind, target, values)
        conflicts = kind.conflicts(target, values)
        context = {
            "title": f"{kind.label}：{target}",
            "original": target,
            "kind": kind,
            "sections": kind.sections(target, values, request.user),
            "impact": kind.impact(target, values, request.user),
            "chain": chain,
            "overlapping": overlapping,
            "problems": problems + conflicts,
            "blocked": bool(problems or overlapping or conflicts),
            "proposal": seal(kind, target, values, request.user),
            "propose_url": self._url("propose", target.pk),
            "back": self._url("change", target.pk),
        }
        return self.page(request, "crm/approvals/proposal.html", context)

    def propose_view(self, request, object_id):
        obj = self.visible_object(request, object_id)
        if request.method != "POST":
            raise Http404
        try:
            kind, values = unseal(request.POST.get("proposal", ""), obj, request.user)
        except signing.BadSignature:
            self.message_user(request, "页面已过期，请重新填写。", messages.ERROR)
            return HttpResponseRedirect(self._url("change", obj.pk))
        return self.submit(request, obj, kind.code, values, request.POST.get("reason", ""))

    def restore_view(self, request, object_id, version):
        """An old version is asked back like any other change."""
        from crm.admin import versions

        obj = self.visible_object(request, object_id)
        if request.method != "POST" or self.restore_kind is None:
            raise Http404
        if not self.has_change_permission(request, obj):
            raise PermissionDenied
        values = {"fields": versions.restoring(obj, version), "parts": []}
        return self.proposal_page(request, obj, self.kind_of(self.restore_kind, values), values)

    # --- Other requests ----------------------------------------------------------------------------------------------

    def ask_view(self, request, object_id, kind):
        """The form of one kind of request about one record, with what it would affect."""
        obj = self.visible_object(request, object_id)
        if kind not in self.asks:
            raise Http404
        asked = kinds.get(kind)
        if not self.policy.may(request.user, asked.action, obj):
            raise PermissionDenied
        given = {"data": request.POST} if request.method == "POST" else {"initial": request.GET.dict()}
        form = self.asks[kind](**given, target=obj, user=request.user)
        if request.method == "POST" and form.is_valid():
            try:
                return self.submit(request, obj, kind, form.values(), form.cleaned_data["reason"], strict=True)
            except ValidationError as error:
                form.add_error(None, error)
            except engine.ApprovalRefused as error:
                form.add_error(None, str(error))
        context = {
            "title": f"{asked.label}：{obj}",
            "original": obj,
            "kind": asked,
            "form": form,
            "impact": asked.impact(obj, {}, request.user),
            "chain": engine.preview_chain(asked, obj, {}, request.user),
            "back": self._url("change", obj.pk),
        }
        return self.page(request, "crm/approvals/ask.html", context)

    def submit(self, request, obj, code, values, reason, *, strict=False):
        try:
            made = engine.submit(code, obj, by=request.user, values=values, reason=reason)
        except (ValidationError, engine.ApprovalRefused) as error:
            if strict:
                raise
            words = "；".join(error.messages) if isinstance(error, ValidationError) else str(error)
            self.message_user(request, f"没有提交：{words}", messages.ERROR)
            return HttpResponseRedirect(self._url("change", obj.pk))
        trails.note(request, trails.Kind.EDIT, f"提交{made.get_kind_display()}", obj=obj)
        if made.is_pending:
            people = "、".join(map(str, engine.waiting_for(made)[:3]))
            self.message_user(request, f"{made}已提交，等待{people}审批。", messages.SUCCESS)
        else:
            self.message_user(request, f"{made}无需审批，已生效。", messages.SUCCESS)
        return HttpResponseRedirect(engine.link(made))

    # --- Frame -------------------------------------------------------------------------------------------------------

    def get_urls(self):
        name, view = f"{self.opts.app_label}_{self.opts.model_name}", self.admin_site.admin_view
        return [
            path("<path:object_id>/propose/", view(self.propose_view), name=f"{name}_propose"),
            path("<path:object_id>/history/<int:version>/restore/", view(self.restore_view), name=f"{name}_restore"),
            path("<path:object_id>/ask/<str:kind>/", view(self.ask_view), name=f"{name}_ask"),
            *super().get_urls(),
        ]

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        if change and obj is not None:
            context["pending"] = engine.pending_about(obj).select_related("applicant")
            context["by_request"] = self.change_kind(request, obj)
            context["asks"] = [
                (kinds.get(code), self._url("ask", obj.pk, code))
                for code in self.asks
                if self.may_ask(request, obj, code)
            ]
        return super().render_change_form(request, context, add, change, form_url, obj)


def collect(kind, form, formsets) -> dict:
    """What a valid form and its formsets would change, as the values of a request."""
    stored = type(form.instance)._base_manager.get(pk=form.instance.pk)
    m2m = form.m2m_values() if isinstance(form, RecordForm) else {}
    values = {"fields": differences(stored, form.instance, m2m), "parts": []}
    for formset in formsets:
        model = formset.model
        if model not in kind.parts:
            continue
        formset.save(commit=False)
        given = {id(item.instance): item.m2m_values() for item in formset.forms if hasattr(item, "cleaned_data")}
        for row in formset.deleted_objects:
            values["parts"].append(_part(row, "remove", {}))
        for row, _ in formset.changed_objects:
            stored = model._base_manager.get(pk=row.pk)
            if fields := differences(stored, row, given.get(id(row), {})):
                values["parts"].append(_part(stored, "change", fields))
        for row in formset.new_objects:
            fields = differences(None, row, given.get(id(row), {}))
            fields.pop(kind.parts[model], None)
            values["parts"].append(_part(row, "add", fields))
    return values


def differences(stored, row, m2m) -> dict:
    before = audit.state(stored) if stored is not None else None
    after = audit.state(row)
    for name, chosen in m2m.items():
        after[name] = sorted(item.pk for item in chosen)
        if before is not None:
            before[name] = sorted(getattr(stored, name).values_list("pk", flat=True))
    return audit.diff(before, after)


def _part(row, operation, fields) -> dict:
    return {"model": row._meta.label, "op": operation, "id": row.pk, "label": str(row)[:100], "fields": fields}


def seal(kind, target, values, user) -> str:
    """The proposal as it travels through the confirmation page: signed, for this person and this record only."""
    content = {"kind": kind.code, "target": target.pk, "user": user.pk, "values": values}
    return signing.dumps(content, salt=SALT, compress=True)


def unseal(text, target, user) -> tuple:
    content = signing.loads(text, salt=SALT, max_age=MAX_AGE)
    if content["target"] != target.pk or content["user"] != user.pk:
        raise signing.BadSignature("the proposal is somebody else's")
    return kinds.get(content["kind"]), content["values"]
