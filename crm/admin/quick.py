"""Adding a part to a record in a few fields, from its row in the list or from its page, without leaving either.

A link with ``data-quick`` opens the small form in a dialog (``keyuan.js``); without scripts it is a page of its own.
"""

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from crm import trails
from crm.admin.forms import VERSION, RecordForm, scoped_form

ROW_LINK = '<a class="ky-button ky-small" href="{}" data-quick>{}</a>'
DIALOG = "dialog"  # sent by the script that shows the form in a dialog


class MomentInput(UnfoldAdminTextInputWidget):
    """The browser's own choice of day and time."""

    input_type = "datetime-local"

    def format_value(self, value):
        return value.strftime("%Y-%m-%dT%H:%M") if hasattr(value, "strftime") else value


def link(model, root, field, *, back="") -> str:
    """The address at which one of ``model`` is added to ``root``."""
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_quick"
    return f"{reverse(name)}?{urlencode({field: root.pk, **({'next': back} if back else {})})}"


def mark_changeable(policy, user, rows) -> None:
    """Say on each of ``rows`` of a list (``may_change``) whether ``user`` may change it; at most one query."""
    changeable = policy.of_these(user, "change", rows)
    for row in rows:
        row.may_change = row.pk in changeable


class QuickAddMixin:
    """``quick_fields`` are the few that the small form asks; the record it is added to comes with the address."""

    quick_fields: tuple[str, ...] = ()

    def get_urls(self):
        name = f"{self.opts.app_label}_{self.opts.model_name}_quick"
        return [path("quick/", self.admin_site.admin_view(self.quick_view), name=name), *super().get_urls()]

    def quick_view(self, request):
        if not self.has_add_permission(request):
            raise PermissionDenied
        field, root = self._quick_root(request)
        form = self._quick_form(request, field, root)
        if request.method == "POST" and form.is_valid():
            obj = form.save(commit=False)
            self.save_model(request, obj, form, change=False)
            trails.note(request, trails.Kind.EDIT, f"新建{self.opts.verbose_name}", obj=obj)
            self.message_user(request, f"“{root}”的{self.opts.verbose_name}已保存。", messages.SUCCESS)
            if DIALOG in request.POST:
                return HttpResponse(status=204)
            return HttpResponseRedirect(self._back(request, root))
        context = {
            "title": f"新建{self.opts.verbose_name}",
            "crumb": f"新建{self.opts.verbose_name}",
            "root": root,
            "form": form,
            "field": field,
            "dialog": DIALOG,
            "back": self._back(request, root),
            "whole_url": f"{self._url('add')}?{urlencode({field: root.pk})}",
        }
        template = "crm/quick_form.html" if DIALOG in request.GET or DIALOG in request.POST else "crm/quick.html"
        return self.page(request, template, context)

    def _quick_root(self, request):
        """``(foreign key, record)`` that the address names, if this person may add to it; else it does not exist."""
        for field, policy in self.policy.roots.items():
            key = request.POST.get(field) or request.GET.get(field, "")
            if key:
                root = policy.rows().filter(pk=key).first() if key.isdecimal() else None
                if root is None or not self.policy.may_add_to(request.user, root):
                    raise Http404("记录不存在，或您无权在它上面添加。")
                return field, root
        raise Http404("没有说明添加到哪条记录。")

    def _quick_form(self, request, field, root):
        kind = forms.modelform_factory(
            self.model,
            form=scoped_form(RecordForm, request.user),
            fields=self.quick_fields,
            formfield_callback=lambda column, **options: self._quick_field(request, root, column, options),
        )
        form = kind(request.POST or None, instance=self.model(**{field: root}), auto_id="quick_%s")
        form.fields.pop(VERSION, None)
        return form

    def _quick_field(self, request, root, column, options):
        if isinstance(column, models.ForeignKey):
            rows = self.get_field_queryset(None, column, request)
            if root._meta.model_name in [other.name for other in column.related_model._meta.fields]:
                rows = rows.filter(**{root._meta.model_name: root})
            options |= {"queryset": rows, "widget": UnfoldAdminSelectWidget, "empty_label": "请选择"}
        elif isinstance(column, models.DateTimeField):
            options["widget"] = MomentInput
        elif isinstance(column, models.TextField):
            options["widget"] = UnfoldAdminTextareaWidget(attrs={"rows": 3})
        else:
            options["widget"] = UnfoldAdminTextInputWidget
        return column.formfield(**options)

    def _back(self, request, root):
        """Where the person came from, if that is a page of ours; else the page of the record."""
        asked = request.POST.get("next") or request.GET.get("next", "")
        if asked and url_has_allowed_host_and_scheme(asked, allowed_hosts={request.get_host()}):
            return asked
        return reverse(f"admin:{root._meta.app_label}_{root._meta.model_name}_change", args=[root.pk])
