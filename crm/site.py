"""The admin site: the built-in one under its theme, without the doors that ask nobody."""

from django.contrib.admin.views.autocomplete import AutocompleteJsonView
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.template.response import TemplateResponse
from django.utils.functional import SimpleLazyObject
from unfold.sites import UnfoldAdminSite

from crm.policies import SharedPolicy, policy_for


class Autocomplete(AutocompleteJsonView):
    """Choices for one field of one form: what the policy lets this person pick, for those who may fill in the form."""

    def has_perm(self, request, obj=None):
        source = self.admin_site._registry.get(self.source_field.model)
        may_fill = bool(source) and (source.has_add_permission(request) or source.has_change_permission(request))
        policy = policy_for(self.model_admin.model)
        return may_fill and (isinstance(policy, SharedPolicy) or policy.allows(request.user, "view"))

    def get_queryset(self):
        rows = policy_for(self.model_admin.model).choices_for(self.request.user)
        rows = rows.complex_filter(self.source_field.get_limit_choices_to())
        rows, may_repeat = self.model_admin.get_search_results(self.request, rows, self.term)
        rows = rows.order_by(*(self.model_admin.get_ordering(self.request) or ("pk",)))
        return rows.distinct() if may_repeat else rows


class KeyuanSite(UnfoldAdminSite):
    site_header = site_title = "客源 CRM"
    index_title = "工作台"
    index_template = "crm/home.html"

    def get_urls(self):
        from crm.admin import pages

        own = pages.urls(self)
        return own + [url for url in super().get_urls() if getattr(url, "name", "") != "view_on_site"]

    def has_permission(self, request):
        return request.user.is_active and request.user.is_staff

    def autocomplete_view(self, request):
        return Autocomplete.as_view(admin_site=self)(request)

    def index(self, request, extra_context=None):
        from crm.admin import home

        return super().index(request, {**home.context(request), **(extra_context or {})})

    def app_index(self, request, app_label, extra_context=None):
        raise Http404

    def search(self, request, extra_context=None):
        """The command palette: pages and records within reach, asked afresh every time."""
        if not self.has_permission(request):
            raise PermissionDenied
        term = (request.GET.get("s") or "").strip()
        if not term:
            return HttpResponse()
        extended = "extended" in request.GET
        results = self._search_apps(super().get_app_list(request), term.lower())
        if extended:
            from crm.admin import navigation

            results += navigation.search(request, term)
        page = Paginator(results, 100).get_page(request.GET.get("page"))
        return TemplateResponse(
            request,
            "unfold/helpers/command_results.html" if extended else "unfold/helpers/search_results.html",
            {
                "page_obj": page.paginator,
                "results": page,
                "page_counter": (page.number - 1) * 100,
                "execution_time": 0,
                "command_show_history": False,
            },
            headers={"HX-Trigger": "search"},
        )

    def get_app_list(self, request, app_label=None):
        """Made only where it is read: our own sidebar takes its place, and asking every model takes time."""
        return SimpleLazyObject(lambda: super(KeyuanSite, self).get_app_list(request, app_label))

    def each_context(self, request):
        context = super().each_context(request)
        if request.user.is_authenticated:
            from crm.admin import navigation
            from crm.models import Notification

            context["unread_notifications"] = navigation.waiting(request).get(Notification, 0)
        return context
