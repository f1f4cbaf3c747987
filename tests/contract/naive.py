"""An admin as the manuals of its libraries suggest it, with only ``get_queryset`` overridden: the probes' prey."""

import unfold.admin
import unfold.sites
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group
from django.urls import path
from django_fsm.admin import FSMAdminMixin
from guardian.admin import GuardedModelAdmin
from import_export.admin import ExportActionMixin, ImportExportModelAdmin
from simple_history.admin import SimpleHistoryAdmin

from crm.models import User
from customers.models import BankAccount, Contact, Customer, CustomerLink, CustomerUserObjectPermission


class NaiveAdmin(GuardedModelAdmin, ImportExportModelAdmin, ExportActionMixin, unfold.admin.ModelAdmin):
    """Shows people the rows that they hold a grant on."""

    path = "customer"

    def get_queryset(self, request):
        rows = super().get_queryset(request)
        if request.user.is_superuser:
            return rows
        grants = CustomerUserObjectPermission.objects.filter(user=request.user, permission__codename="view_customer")
        return rows.filter(**{f"{self.path}__in": grants.values("content_object")})


class LinkInline(unfold.admin.TabularInline):
    model = CustomerLink
    fk_name = "customer"
    extra = 0


class CustomerAdmin(FSMAdminMixin, SimpleHistoryAdmin, NaiveAdmin):
    path = "pk"
    change_form_template = None
    fsm_fields = ["review_status"]
    list_display = ["code", "name"]
    search_fields = ["name", "contacts__name"]
    inlines = [LinkInline]


class ContactAdmin(SimpleHistoryAdmin, NaiveAdmin):
    list_display = ["name", "customer"]
    list_filter = ["customer"]
    search_fields = ["name"]


class BankAccountAdmin(SimpleHistoryAdmin, NaiveAdmin):
    list_display = ["bank", "customer"]
    raw_id_fields = ["customer"]


class LinkAdmin(NaiveAdmin):
    list_display = ["customer", "linked"]
    search_fields = ["customer__name"]
    autocomplete_fields = ["customer", "linked"]


class StockUserAdmin(UserAdmin, unfold.admin.ModelAdmin):
    fieldsets = [
        (None, {"fields": ["username", "full_name", "is_active", "is_superuser", "groups", "user_permissions"]})
    ]
    list_display = ["username", "full_name"]
    search_fields = ["username"]


site = unfold.sites.UnfoldAdminSite(name="naive")
site.register(Customer, CustomerAdmin)
site.register(Contact, ContactAdmin)
site.register(BankAccount, BankAccountAdmin)
site.register(CustomerLink, LinkAdmin)
site.register(User, StockUserAdmin)
site.register(Group, GroupAdmin)

urlpatterns = [path("naive/", site.urls), path("", admin.site.urls)]
