"""What is open of the contract or order that a new receipt or invoice is for: beside its form, and in its fields."""

from django.http import JsonResponse
from django.template.loader import render_to_string
from django.urls import path
from django.utils import timezone

from crm.exchange import money
from crm.policies import policy_for
from customers.activity import change_url
from sales.models import Contract
from sales.services import payments


class OpenAmountsMixin:
    """Mixin of the admin of receipts and invoices: their add form begins with what is open of the record it is opened
    from. Where another one is chosen, the script asks ``open/?contract=…`` for the same again.

    ``roots`` are the fields that say what the new record is for; only records that these fields offer are told about.
    """

    roots: tuple[str, ...] = ("contract",)
    add_head_template = "sales/open_amounts_head.html"

    class Media:
        js = ("crm/open_amounts.js",)

    def open_values(self, root, user) -> dict:
        """``{field: value}`` that a new record for ``root`` begins with."""
        raise NotImplementedError

    def refused(self, root) -> str:
        """Why nothing can be entered for ``root`` at all; empty if it can."""
        raise NotImplementedError

    def get_urls(self):
        view, name = self.admin_site.admin_view(self.open_view), f"{self.opts.app_label}_{self.opts.model_name}"
        return [path("open/", view, name=f"{name}_open"), *super().get_urls()]

    def open_view(self, request):
        """What is open of the chosen record in words and as values of the form, as JSON; nothing of foreign ones."""
        if not self.has_add_permission(request):
            return JsonResponse({}, status=403)
        root = self._root_of(request, request.GET)
        values = self.open_values(root, request.user) if root is not None and not self.refused(root) else {}
        return JsonResponse(
            {
                "html": render_to_string("sales/open_amounts.html", self._facts(root)),
                "values": {name: getattr(value, "pk", None) or str(value) for name, value in values.items()},
                "choices": {"plan": [[plan.pk, payments.in_words(plan)] for plan in payments.open_plans(root)]},
            }
        )

    def get_changeform_initial_data(self, request):
        given = super().get_changeform_initial_data(request)
        root = self._root_of(request, request.GET)
        return given if root is None or self.refused(root) else self.open_values(root, request.user) | given

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        if add:
            root = self._root_of(request, request.POST or request.GET)
            context |= self._facts(root) | {"open_url": self._url("open"), "open_roots": " ".join(self.roots)}
        return super().render_change_form(request, context, add, change, form_url, obj)

    def _root_of(self, request, given):
        for name in self.roots:
            key = given.get(name, "")
            if key.isdecimal():
                offered = self.get_field_queryset(None, self.opts.get_field(name), request)
                return offered.filter(pk=key).first()
        return None

    def _facts(self, root) -> dict:
        if root is None:
            return {"root": None}
        amounts = [
            ("合同金额" if isinstance(root, Contract) else "订单金额", root.total_amount),
            ("已回款", root.received_amount),
            ("未回款", root.open_amount),
        ]
        if isinstance(root, Contract):
            amounts += [("已开票", root.invoiced_amount), ("可开票", root.total_amount - root.invoiced_amount)]
        plan = payments.open_plans(root).first()
        return {
            "root": root,
            "root_url": change_url(root),
            "amounts": [(label, money(amount, root.currency)) for label, amount in amounts],
            "plan": plan,
            "plan_open": plan and money(plan.open_amount, root.currency),
            "plan_late": plan is not None and plan.is_overdue and (timezone.localdate() - plan.date).days,
            "refused": self.refused(root),
        }


def billing_values(customer, user) -> dict:
    """Title and tax number of ``customer`` for an invoice, to those who may see the customer."""
    if not policy_for(type(customer)).may(user, "view", customer):
        return {}
    return {"title": customer.invoice_title or customer.name, "tax_no": customer.national_tax_no}
