"""Merging duplicates: which one stays, whose values survive, what moves; and the list of merges with their undoing."""

from django import forms
from django.apps import apps
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.http import urlencode

from crm import audit
from crm.admin.base import ModelAdmin, ReadOnly, action, display
from crm.admin.page_forms import field
from crm.audit_display import Words
from crm.policies import policy_for
from customers.models import Customer, CustomerMerge
from customers.services import merging, unmerging
from customers.services.merging import MergeError


class MergeForm(forms.Form):
    reason = field(forms.CharField, "原因", max_length=200, help_text="选填，记入合并记录。")


class MergePages:
    """Mixin of the customer's admin."""

    def get_actions(self, request):
        found = super().get_actions(request)
        if not self.policy.allows(request.user, "merge"):
            found.pop("merge_selected", None)
        return found

    @action(description="合并重复客户")
    def merge_selected(self, request, queryset):
        ids = list(queryset.order_by("pk").values_list("pk", flat=True)[: merging.MOST + 1])
        if not 2 <= len(ids) <= merging.MOST:
            self.message_user(request, f"请勾选 2 到 {merging.MOST} 个客户再合并。", messages.WARNING)
            return None
        return HttpResponseRedirect(f"{self._url('merge')}?{urlencode([('id', pk) for pk in ids])}")

    def get_urls(self):
        view = self.admin_site.admin_view(self.merge_view)
        return [path("merge/", view, name="customers_customer_merge"), *super().get_urls()]

    def merge_view(self, request):
        if not self.policy.allows(request.user, "merge"):
            raise PermissionDenied
        customers = self._chosen(request)
        survivor = _survivor(customers, request.GET.get("survivor") or request.POST.get("survivor"))
        comparison = _comparison(customers, survivor, request)
        choices = {row["name"]: row["source"] for row in comparison}
        form, outcome = MergeForm(request.POST or None), None
        reason = form.cleaned_data["reason"] if form.is_valid() else ""
        try:
            if request.method == "POST" and form.is_valid():
                rehearse = "confirmed" not in request.POST
                outcome = merging.merge(
                    customers, survivor, by=request.user, choices=choices, reason=reason, rehearse=rehearse
                )
                if not rehearse:
                    self.message_user(request, f"{len(outcome.merges)} 个客户已并入“{survivor}”。", messages.SUCCESS)
                    return HttpResponseRedirect(self._url("change", survivor.pk))
            else:
                merging.check(customers, survivor, by=request.user)
        except MergeError as error:
            self.message_user(request, str(error), messages.ERROR)
        query = urlencode([("id", customer.pk) for customer in customers])
        context = {
            "title": "合并重复客户",
            "crumb": "合并",
            "customers": [(customer, f"?{query}&survivor={customer.pk}") for customer in customers],
            "survivor": survivor,
            "comparison": comparison,
            "form": form,
            "reason": reason,
            "outcome": outcome,
            "back": self._url("changelist"),
        }
        return self.page(request, "customers/merge.html", context)

    def _chosen(self, request) -> list[Customer]:
        """The customers that the address names, if all of them are within reach; else they do not exist."""
        ids = [key for key in request.GET.getlist("id") if key.isdecimal()]
        rows = self.policy.visible_to(request.user, "merge").filter(pk__in=ids).select_related("owner")
        customers = list(rows.order_by("pk"))
        if not customers or len(customers) < len(set(ids)):
            raise Http404("请从客户列表勾选要合并的客户。")
        return customers

    def change_view(self, request, object_id, form_url="", extra_context=None):
        """A bookmark of a customer that was merged leads to the one it is now a part of."""
        try:
            return super().change_view(request, object_id, form_url, extra_context)
        except Http404:
            found = merging.successor(int(object_id)) if object_id.isdecimal() else None
            if request.method != "GET" or found is None or not self.policy.may(request.user, "view", found):
                raise
            self.message_user(request, f"您打开的客户已并入 {found.code} {found}。", messages.INFO)
            return HttpResponseRedirect(self._url("change", found.pk))


def _survivor(customers, key) -> Customer:
    """The one that was chosen; at first the oldest of those that somebody owns."""
    chosen = next((customer for customer in customers if str(customer.pk) == key), None)
    return chosen or next((customer for customer in customers if customer.owner_id), customers[0])


def _comparison(customers, survivor, request) -> list[dict]:
    """The columns in which they differ, with the value of each and whose is to survive: the survivor's unless blank."""
    words, columns = Words(request.user), merging.fields_for(request.user)
    raw = {(c.pk, f.name): audit.json_value(getattr(c, f.attname)) for c in customers for f in columns}
    for column in columns:
        words.want(Customer, column.name, *(raw[c.pk, column.name] for c in customers))
    found, order = [], sorted(customers, key=lambda customer: customer.pk != survivor.pk)
    for column in columns:
        values = {customer.pk: raw[customer.pk, column.name] for customer in customers}
        if len({str(value) for value in values.values()}) == 1:
            continue
        key = request.POST.get(f"value_{column.name}", "")
        first = next((c for c in order if values[c.pk] not in (None, "", [])), survivor)
        source = next((c for c in customers if str(c.pk) == key), first)
        cells = [(c, words.text(Customer, column.name, values[c.pk]), c == source) for c in customers]
        found.append({"name": column.name, "label": column.verbose_name, "cells": cells, "source": source})
    return found


@admin.register(CustomerMerge)
class CustomerMergeAdmin(ReadOnly, ModelAdmin):
    nav_icon, nav_order = "merge", 28
    head_template = "customers/merge_head.html"
    list_display = ["created_at", "loser_name", "survivor", "reason", "created_by", "reversed_at"]
    list_display_links = ["created_at", "loser_name"]
    list_select_related = ["survivor", "created_by"]
    empty_hint = "在客户列表勾选重复的客户，用“合并重复客户”合并后，记录在这里，可以撤销。"
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("survivor", "loser_name"),
                    ("created_by", "created_at"),
                    "reason",
                    "what_moved",
                    "what_stayed",
                    "reversed_at",
                ]
            },
        )
    ]

    @display(description="移动的记录")
    def what_moved(self, obj):
        counts: dict[str, int] = {}
        for row in obj.moved:
            name = str(apps.get_model(row["model"])._meta.verbose_name)
            counts[name] = counts.get(name, 0) + 1
        return "、".join(f"{name} {count}" for name, count in counts.items())

    @display(description="没有移动的")
    def what_stayed(self, obj):
        return format_html("{}", "；".join(obj.left))

    def get_urls(self):
        view = self.admin_site.admin_view(self.undo_view)
        return [path("<path:object_id>/undo/", view, name="customers_customermerge_undo"), *super().get_urls()]

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        if obj is not None and obj.reversed_at is None and self.policy.may(request.user, "undo", obj):
            context["may_undo"], context["changed"] = True, unmerging.changed_since(obj)
        return super().render_change_form(request, context, add, change, form_url, obj)

    def undo_view(self, request, object_id):
        done = self.visible_object(request, object_id)
        if request.method != "POST":
            raise Http404
        try:
            left = unmerging.undo(done, by=request.user)
        except MergeError as error:
            self.message_user(request, str(error), messages.ERROR)
            return HttpResponseRedirect(self._url("change", done.pk))
        self.message_user(request, f"已撤销合并，“{done.loser_name}”恢复原样。", messages.SUCCESS)
        if left:
            self.message_user(request, "；".join(left), messages.WARNING)
        seen = policy_for(Customer).may(request.user, "view", done.loser)
        page = [done.loser_id] if seen else [done.survivor_id]
        return HttpResponseRedirect(reverse("admin:customers_customer_change", args=page))
