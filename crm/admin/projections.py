"""Lists of what people outside a record may see of it: a few columns, some masked, no page behind them."""

import unfold.admin
from django.http import Http404, HttpResponseRedirect

from crm.admin.base import ModelAdmin, ReadOnly, display, orders


class ProjectionAdmin(ReadOnly, ModelAdmin):
    """The list of a model under ``crm.policies.ProjectionPolicy``; what is done to a row, a service decides.

    Columns that the policy masks are listed as ``masked_<field>``; only fields it shows unmasked may be searched.
    """

    list_display_links = None
    grows = True

    def get_list_display(self, request):
        shown = super().get_list_display(request)
        return [self._masked(name) if name in self.policy.masks else name for name in shown]

    def _masked(self, name):
        @display(description=self.model._meta.get_field(name).verbose_name)
        def column(obj):
            return self.policy.shown(obj, name)

        column.__name__ = f"masked_{name}"
        return column

    def get_sortable_by(self, request):
        """By an index, and by nothing that is masked: the order would tell what the mask hides."""
        sortable = orders(self.model) | orders(self.model._meta.concrete_model)
        return [name for name in self.get_list_display(request) if name in sortable]

    def get_search_results(self, request, queryset, search_term):
        """By the columns of the list alone: the index of the model behind knows more than these people may."""
        return unfold.admin.ModelAdmin.get_search_results(self, request, queryset, search_term)

    def get_object(self, request, object_id, from_field=None):
        raise Http404("这里只有列表。")

    def change_view(self, request, object_id, form_url="", extra_context=None):
        """A link to a row leads to the list that shows it."""
        if not object_id.isdecimal() or not self.policy.visible_to(request.user).filter(pk=object_id).exists():
            raise Http404("记录不存在，或您无权查看。")
        return HttpResponseRedirect(self._url("changelist"))

    def has_view_permission(self, request, obj=None):
        return self._may(request, "view", obj)
