from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from unfold.utils import display_for_label
from unfold.widgets import UnfoldAdminPasswordWidget

from crm import login, trails
from crm.admin.base import ModelAdmin, ReadOnly, TabularInline, display
from crm.admin.filters import ChoiceFilter, RangeDateTimeFilter
from crm.admin.forms import RecordForm
from crm.secrets import Unreadable
from customers.models import ApiCredential, CancelKey
from customers.services import credentials, reviews

STATUS_LABELS = {"启用": "success", "停用": "danger"}
OVERLAPS = {"0": "立即失效", "1": "保留 1 天", "7": "保留 7 天", "30": "保留 30 天"}


class CredentialForm(RecordForm):
    """``taken_over``: a secret that an old system gave out and that stays in use; typed once, shown never."""

    taken_over = forms.CharField(
        label="沿用旧密钥",
        required=False,
        max_length=200,
        min_length=credentials.MIN_LENGTH,
        help_text="从旧系统迁来、对方已在使用的密钥填在这里；留空则自动生成。",
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            del self.fields["taken_over"]


class CredentialAdmin(ModelAdmin):
    """What both kinds have in common: a new one goes through its service, a secret stands on a page of its own."""

    form = CredentialForm
    identifier = ""
    add_fieldsets: list = []
    head_labels = ("status_name",)
    list_select_related = ["customer", "created_by"]
    list_filter = [("status", ChoiceFilter), ("created_at", RangeDateTimeFilter)]
    autocomplete_fields = ["customer"]
    ordering = ["-id"]

    def get_readonly_fields(self, request, obj=None):
        """What identifies a credential outside is never changed."""
        fields = super().get_readonly_fields(request, obj)
        return fields if obj is None else ["customer", self.identifier, *fields]

    def get_fieldsets(self, request, obj=None):
        return super().get_fieldsets(request, obj) if obj else self.add_fieldsets

    @method_decorator(sensitive_post_parameters("taken_over"))
    def changeform_view(self, request, object_id=None, form_url="", extra_context=None):
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except ValidationError as error:
            self.message_user(request, error.messages[0], messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    def posted_object(self, request, object_id):
        obj = self.visible_object(request, object_id)
        if request.method != "POST":
            raise Http404
        return obj

    @sensitive_variables("secret")
    def secret_page(self, request, obj, secret, **words):
        """``secret`` in clear, on a page that like all of the admin is never cached: gone when it is left."""
        context = {"original": obj, "secret": secret, "back": self._url("change", obj.pk), **words}
        response = self.page(request, "customers/secret.html", context).render()
        response["Referrer-Policy"] = "no-referrer"
        return response

    @display(description="状态", ordering="status", label=STATUS_LABELS)
    def status_name(self, obj):
        return obj.get_status_display()


@admin.register(ApiCredential)
class ApiCredentialAdmin(CredentialAdmin):
    nav_icon, nav_order = "key", 60
    identifier = "app_id"
    empty_hint = "客户的程序调用接口时用应用标识和密钥证明身份；一个客户可以有几组，例如正式环境和测试环境。"
    head_template = "customers/reveal_toolbar.html"
    list_display = ["app_id", "customer", "purpose", "status_name", "created_by", "created_at"]
    search_fields = ["app_id", "purpose", "customer__name"]
    search_help_text = "应用标识、用途、客户名称"
    add_fieldsets = [(None, {"fields": ["customer", ("purpose", "app_id"), "taken_over", "remark"]})]
    fieldsets = [(None, {"fields": ["customer", ("app_id", "purpose"), "remark", ("created_by", "created_at")]})]
    readonly_fields = ["created_by", "created_at"]

    def get_form(self, request, obj=None, change=False, **kwargs):
        form = super().get_form(request, obj, change, **kwargs)
        if "app_id" in form.base_fields:
            form.base_fields["app_id"].required = False
            form.base_fields["app_id"].help_text = "留空则自动生成；从旧系统迁来的填原值。"
        return form

    def get_urls(self):
        view = self.admin_site.admin_view
        page = path("<path:object_id>/reveal/", view(self.reveal_view), name="customers_apicredential_reveal")
        return [page, *super().get_urls()]

    def save_model(self, request, obj, form, change):
        if change:
            super().save_model(request, obj, form, change)
        else:
            credentials.issue_credential(obj, by=request.user, secret=form.cleaned_data["taken_over"])

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        if obj is not None:
            context["may_reveal"] = self.policy.may(request.user, "reveal", obj)
            context["reveal_url"] = self._url("reveal", obj.pk)
        return super().render_change_form(request, context, add, change, form_url, obj)

    @method_decorator(sensitive_post_parameters("password"))
    @method_decorator(sensitive_variables("secret"))
    def reveal_view(self, request, object_id):
        """By POST with the password, as often tried as a login may be."""
        credential = self.posted_object(request, object_id)
        if not self.policy.may(request.user, "reveal", credential):
            raise PermissionDenied
        back = HttpResponseRedirect(self._url("change", credential.pk))
        if not login.may_try_password(request):
            self.message_user(request, "密码错误次数过多，请过一会儿再试。", messages.ERROR)
            return back
        try:
            password = request.POST.get("password", "")
            secret = credentials.reveal_secret(credential, by=request.user, password=password)
        except credentials.WrongPassword as error:
            login.note_wrong_password(request)
            self.message_user(request, error.messages[0], messages.ERROR)
            return back
        except Unreadable as error:
            self.message_user(request, str(error), messages.ERROR)
            return back
        trails.note(request, trails.Kind.REVEAL, f"查看应用密钥：{credential.app_id}", obj=credential)
        words = {
            "title": "应用密钥",
            "identifier": credential.app_id,
            "label": "应用密钥（app_secret）",
            "advice": "本次查看已记入业务日志。请只通过安全的方式交给对方，不要截图或转发到群里。",
        }
        return self.secret_page(request, credential, secret, **words)


class CancelKeyForm(CredentialForm):
    def clean(self):
        cleaned = super().clean()
        if self.instance.pk is None and cleaned.get("customer"):
            reviews.require_usable(cleaned["customer"], "新建取消密钥")
        return cleaned


@admin.register(CancelKey)
class CancelKeyAdmin(CredentialAdmin):
    nav_icon, nav_order = "vpn_key", 61
    form = CancelKeyForm
    identifier = "app_key"
    empty_hint = "客户的程序取消订单时用取消密钥签名；只有已通过审核并启用的客户才能新建。"
    head_template = "customers/rotate_toolbar.html"
    list_display = ["app_key", "customer", "status_name", "last_used_at", "former_until", "created_by", "created_at"]
    search_fields = ["app_key", "customer__name"]
    search_help_text = "密钥标识、客户名称"
    add_fieldsets = [(None, {"fields": ["customer", "app_key", "taken_over", "remark"]})]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("customer", "app_key"),
                    "remark",
                    ("last_used_at", "rotated_at"),
                    ("former_until", "created_at"),
                    "is_closed",
                ]
            },
        )
    ]
    readonly_fields = ["last_used_at", "rotated_at", "former_until", "created_at"]

    def get_changeform_initial_data(self, request):
        """A name of its own for each form: sending the same form twice makes one key."""
        return {"app_key": credentials.new_app_key(), **super().get_changeform_initial_data(request)}

    def get_urls(self):
        view = self.admin_site.admin_view
        page = path("<path:object_id>/rotate/", view(self.rotate_view), name="customers_cancelkey_rotate")
        return [page, *super().get_urls()]

    def save_model(self, request, obj, form, change):
        if change:
            super().save_model(request, obj, form, change)
        else:
            request.new_token = credentials.issue_cancel_key(
                obj, by=request.user, token=form.cleaned_data["taken_over"]
            )

    def response_add(self, request, obj, post_url_continue=None):
        return self._show_once(request, obj, request.__dict__.pop("new_token"), "新建的取消密钥")

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        if obj is not None:
            context["may_rotate"] = obj.is_enabled and self.has_change_permission(request, obj)
            context["rotate_url"], context["overlaps"] = self._url("rotate", obj.pk), OVERLAPS.items()
        return super().render_change_form(request, context, add, change, form_url, obj)

    @method_decorator(sensitive_variables("token"))
    def rotate_view(self, request, object_id):
        key = self.posted_object(request, object_id)
        overlap, version = request.POST.get("overlap", ""), request.POST.get("version", "")
        if overlap not in OVERLAPS or not version.isdecimal():
            self.message_user(request, "请选择旧密钥保留多久。", messages.ERROR)
            return HttpResponseRedirect(self._url("change", key.pk))
        try:
            token = credentials.rotate_cancel_key(key, by=request.user, overlap_days=int(overlap), version=int(version))
        except ValidationError as error:
            self.message_user(request, error.messages[0], messages.ERROR)
            return HttpResponseRedirect(self._url("change", key.pk))
        return self._show_once(request, key, token, "更换后的取消密钥")

    @sensitive_variables("token")
    def _show_once(self, request, key, token, title):
        words = {
            "title": title,
            "identifier": key.app_key,
            "label": "取消密钥（app_token）",
            "advice": "密钥只显示这一次，离开本页后谁也查不到。请现在复制并交给对方；丢失了只能更换。",
        }
        return self.secret_page(request, key, token, **words)


class CredentialInline(ReadOnly, TabularInline):
    """What credentials a customer has; issuing and everything else happens on their own pages."""

    template_before = "customers/credential_inline.html"

    def get_formset(self, request, obj=None, **kwargs):
        formset = super().get_formset(request, obj, **kwargs)
        formset.add_url = None
        if obj is not None and self._may_touch(request, "add", obj):
            page = f"admin:{self.opts.app_label}_{self.opts.model_name}_add"
            formset.add_url = f"{reverse(page)}?customer={obj.pk}"
        return formset

    @display(description="状态")
    def status_name(self, obj):
        return display_for_label(obj.get_status_display(), "", STATUS_LABELS)

    @display(description="")
    def more(self, obj):
        page = f"admin:{self.opts.app_label}_{self.opts.model_name}_change"
        return format_html('<a class="ky-more" href="{}">打开</a>', reverse(page, args=[obj.pk]))


class ApiCredentialInline(CredentialInline):
    model = ApiCredential
    fields = readonly_fields = ["app_id", "purpose", "status_name", "created_at", "more"]
    verbose_name_plural = "接口凭证"
    empty_hint = "还没有接口凭证。"


class CancelKeyInline(CredentialInline):
    model = CancelKey
    fields = readonly_fields = ["app_key", "status_name", "last_used_at", "former_until", "more"]
    verbose_name_plural = "取消密钥"
    empty_hint = "还没有取消密钥。"
