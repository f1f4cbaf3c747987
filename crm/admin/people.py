"""Users and roles. Nobody hands out more than he has: roles and permissions beyond one's own are out of reach."""

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, Permission
from django.core.exceptions import PermissionDenied, ValidationError
from unfold.forms import AdminPasswordChangeForm, UserCreationForm

from crm.admin.base import ModelAdmin, display
from crm.admin.filters import ChoiceFilter, SharedFilter
from crm.admin.forms import RecordForm
from crm.granting import beyond, grantable_roles
from crm.models import Role, User
from crm.policies import access, unlimited_scopes
from crm.resources.people import UserResource
from crm.widgets import PermissionMatrix


class UserForm(RecordForm):
    roles = forms.ModelMultipleChoiceField(
        Role.objects.none(), required=False, label="角色", widget=forms.CheckboxSelectMultiple
    )

    class Meta:
        model = User
        exclude = ["groups", "user_permissions", "password", "last_login", "date_joined"]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if "roles" in self.fields:
            held = Role.objects.filter(user=self.instance) if self.instance.pk else Role.objects.none()
            self.fields["roles"].queryset = (grantable_roles(self.user) | held).distinct().order_by("id")
            self.fields["roles"].initial = held

    def clean_roles(self):
        chosen = self.cleaned_data["roles"]
        held = set(Role.objects.filter(user=self.instance)) if self.instance.pk else set()
        allowed = set(grantable_roles(self.user))
        if refused := (set(chosen) ^ held) - allowed:
            raise ValidationError(f"不能授予或移除超出自己权限的角色：{'、'.join(map(str, refused))}。")
        return chosen

    def m2m_values(self):
        return {"groups": list(self.cleaned_data["roles"])} if "roles" in self.cleaned_data else {}


class NewUserForm(UserCreationForm):
    class Meta:
        model = User
        fields = ["username", "full_name"]


@admin.register(User)
class UserAdmin(ModelAdmin, DjangoUserAdmin):
    nav_icon, nav_order, in_palette = "group", 10, False
    resource_class = UserResource
    form = UserForm
    add_form = NewUserForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["username", "full_name", "department", "role_names", "phone", "active", "last_login"]
    list_select_related = ["department"]
    list_filter = [("department", SharedFilter), ("is_active", ChoiceFilter)]
    search_fields = ["username", "full_name", "phone"]
    ordering = ["username"]
    autocomplete_fields = ["assistant"]
    filter_horizontal = ()
    add_fieldsets = [
        (None, {"fields": ["username", "full_name", "usable_password", "password1", "password2"]}),
    ]
    fieldsets = [
        ("基本信息", {"fields": [("username", "full_name"), ("phone", "email"), "remark"]}),
        ("组织", {"fields": [("department", "company"), ("organization", "side"), "assistant"]}),
        ("权限", {"fields": ["is_active", "is_staff", "is_superuser", "roles"]}),
        ("记录", {"fields": ["last_login", "date_joined"]}),
    ]
    readonly_fields = ["last_login", "date_joined"]

    def get_queryset(self, request):
        return super().get_queryset(request).prefetch_related("groups")

    def get_form(self, request, obj=None, change=False, **kwargs):
        if obj is None:
            return DjangoUserAdmin.get_form(self, request, obj, **kwargs)
        return ModelAdmin.get_form(self, request, obj, change, **kwargs)

    def get_fieldsets(self, request, obj=None):
        return ModelAdmin.get_fieldsets(self, request, obj) if obj else self.add_fieldsets

    def get_readonly_fields(self, request, obj=None):
        fields = list(super().get_readonly_fields(request, obj))
        return fields if request.user.is_superuser else [*fields, "is_superuser", "is_staff"]

    def user_change_password(self, request, id, form_url=""):
        """Whoever sets a password can log in with it: not on an account that may do more than oneself."""
        account = self.get_object(request, unquote(id))
        if beyond(request.user, Role.objects.filter(user=account)):
            raise PermissionDenied("不能重设权限高于自己的账号的密码。")
        return super().user_change_password(request, id, form_url)

    def save_model(self, request, obj, form, change):
        if not change:
            obj.is_staff = True
        super().save_model(request, obj, form, change)

    @display(description="角色")
    def role_names(self, obj):
        return "、".join(group.name for group in obj.groups.all())

    @display(description="状态", ordering="is_active", label={"启用": "success", "停用": "danger"})
    def active(self, obj):
        return "启用" if obj.is_active else "停用"


class RoleForm(RecordForm):
    permissions = forms.ModelMultipleChoiceField(
        Permission.objects.none(), required=False, label="功能权限", widget=PermissionMatrix
    )

    class Meta:
        model = Role
        fields = ["name", "data_scope", "is_active", "remark", "permissions"]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if "permissions" in self.fields:
            self.fields["permissions"].queryset = self._offered()

    def _offered(self):
        from crm.checks import OUR_APPS

        rows = Permission.objects.filter(content_type__app_label__in=OUR_APPS).select_related("content_type")
        if not self.user.is_superuser:
            own = {name.split(".")[1] for name in access(self.user).scopes}
            held = self.instance.permissions.values("pk") if self.instance.pk else []
            rows = rows.filter(codename__in=own) | rows.filter(pk__in=held)
        return rows.order_by("content_type__app_label", "content_type__model", "pk")

    def clean(self):
        cleaned = super().clean()
        if cleaned and not self.user.is_superuser and "permissions" in cleaned:
            self._refuse_beyond(cleaned)
        return cleaned

    def _refuse_beyond(self, cleaned):
        scopes = unlimited_scopes(self.user)
        scope = cleaned.get("data_scope") or 0
        held = set(self.instance.permissions.all()) if self.instance.pk else set()
        idle = not self.instance.pk or not self.instance.is_active
        widened = scope > (self.instance.data_scope if self.instance.pk else 0) or (idle and cleaned.get("is_active"))
        for permission in cleaned["permissions"]:
            if permission in held and not widened:
                continue
            name = f"{permission.content_type.app_label}.{permission.codename}"
            if scopes.get(name, 0) < scope:
                self.add_error("permissions", f"不能授予超出自己权限或数据范围的“{permission.name}”。")
                return


admin.site.unregister(Group)


@admin.register(Role)
class RoleAdmin(ModelAdmin):
    nav_icon, nav_order = "shield_person", 11
    form = RoleForm
    list_display = ["name", "scope", "remark", "active"]
    search_fields = ["name"]
    ordering = ["id"]
    fieldsets = [
        (None, {"fields": [("name", "data_scope"), "is_active", "remark"]}),
        ("功能权限", {"fields": ["permissions"]}),
    ]

    @display(description="数据范围", ordering="data_scope", label={"全部": "danger", "本人": "info"})
    def scope(self, obj):
        return obj.get_data_scope_display()

    @display(description="状态", ordering="is_active", label={"启用": "success", "停用": "danger"})
    def active(self, obj):
        return "启用" if obj.is_active else "停用"
