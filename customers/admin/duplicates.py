"""The page 查重, which comes before the form of a new customer."""

from django import forms
from django.core.exceptions import PermissionDenied
from django.urls import path, reverse
from django.utils.http import urlencode

from crm.admin.media import ordered
from crm.admin.page_forms import field
from customers.services import duplicates


class CheckForm(forms.Form):
    name = field(forms.CharField, "客户名称", max_length=200)
    phone = field(forms.CharField, "联系电话", max_length=40, help_text="完整号码；也会核对各客户的联系人。")
    licence_no = field(forms.CharField, "营业执照注册号", max_length=50)


class DuplicatePages:
    """Mixin of the customer's admin: the button 新建客户 leads to the check, and the check to the form."""

    add_page = "check"

    def get_urls(self):
        view = self.admin_site.admin_view(self.check_view)
        return [path("check/", view, name="customers_customer_check"), *super().get_urls()]

    def check_view(self, request):
        if not duplicates.allowed(request.user):
            raise PermissionDenied
        form, found = CheckForm(request.POST or None), None
        if request.method == "POST" and form.is_valid():
            try:
                found = duplicates.check(by=request.user, **form.cleaned_data)
            except duplicates.CheckRefused as error:
                form.add_error(None, str(error))
        typed = {name: value for name, value in form.cleaned_data.items() if value} if found else {}
        context = {
            "title": "客户查重",
            "crumb": "查重",
            "form": form,
            "found": found,
            "most": duplicates.MOST,
            "add_url": f"{self._url('add')}?{urlencode(typed)}" if typed else self._url("add"),
            "list_url": self._url("changelist"),
            "merge_url": self._merge_url(request, found),
            "media": ordered(self.media + form.media),
        }
        return self.page(request, "customers/duplicates.html", context)

    def _merge_url(self, request, found) -> str:
        """Where those of the found that he sees may be made one, if there are several and he has the right."""
        seen = [match for match in found.matches if match.link] if found else []
        return self._url("merge") if len(seen) > 1 and self.policy.allows(request.user, "merge") else ""


def in_sidebar(request):
    if duplicates.allowed(request.user):
        yield "客户", "客户查重", "content_copy", reverse("admin:customers_customer_check"), 8
