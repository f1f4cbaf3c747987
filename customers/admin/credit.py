"""The credit tab of a customer and the pages behind it."""

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpResponseRedirect
from django.urls import path

from crm import audit, exchange, transitions
from crm.admin.base import ModelAdmin, TabularInline, display
from crm.admin.filters import ChoiceFilter, RangeDateFilter
from crm.admin.proposals import ReasonForm
from crm.audit_display import describe
from crm.exchange import money
from crm.models import BusinessLog, Currency
from crm.policies import policy_for
from customers.models import (
    CreditLimit,
    CreditReservation,
    CreditRule,
    Customer,
    ReservationState,
    Stars,
    TemporaryCredit,
)
from customers.models.credit import RATINGS, UNRATED, refuse_beyond_rating
from customers.resources.credit import CreditLimitResource
from customers.services import categories, changes, credit, rating

HISTORY_LENGTH = 50
SHOWN_OF_CUSTOMER = {"is_credit_enabled", "credit_rating"}
SAID_BESIDE = {"customer", "currency", "reason", "approved_by"}  # in other columns of the history


class LimitFormSet(forms.BaseInlineFormSet):
    """Limits of one page are measured together against what the rating allows, a new customer's too."""

    def clean(self):
        super().clean()
        kept = [form for form in self.forms if form.is_valid() and not self._should_delete_form(form)]
        amounts = {form.instance.currency: form.instance.amount for form in kept if form.has_changed() or form.initial}
        if any(self._is_raised(form) for form in kept):
            refuse_beyond_rating(self.instance, amounts)

    @staticmethod
    def _is_raised(form):
        amount, former = form.cleaned_data.get("amount"), form.initial.get("amount")
        return amount is not None and (former is None or amount > former or "currency" in form.changed_data)


class CreditLimitInline(TabularInline):
    model = CreditLimit
    formset = LimitFormSet
    fk_name = "customer"
    fields = ["currency", "amount", "valid_from", "valid_until", "approval", "remark"]
    readonly_fields = ["approval"]
    verbose_name_plural = "信用额度"
    template_before = "customers/credit_lines.html"
    template_after = "customers/credit_details.html"
    empty_hint = "还没有信用额度。每个币种一条；启用信用额度后，没有额度的客户不能赊销。"

    def _may_touch(self, request, action, obj):
        """Without the right to set limits, only where saving the page becomes a request."""
        if not self.policy.allows(request.user, "set"):
            asks = obj is not None and obj.pk and changes.is_controlled(obj.review_status, request.user)
            if not asks or not policy_for(Customer).may(request.user, "change", obj):
                return False
        return super()._may_touch(request, action, obj)


# --- The credit page of one customer ---------------------------------------------------------------------------------


class DayInput(forms.DateInput):
    """The browser's own calendar, which reads ISO dates only."""

    input_type = "date"

    def __init__(self):
        super().__init__(format="%Y-%m-%d")


class MoneyForm(forms.Form):
    currency = forms.ChoiceField(label="币种", choices=Currency.choices)
    amount = forms.DecimalField(label="金额", min_value=0, max_digits=18, decimal_places=2)


class LimitForm(MoneyForm):
    valid_from = forms.DateField(label="生效日期（留空立即生效）", required=False, widget=DayInput)
    valid_until = forms.DateField(label="失效日期（留空长期有效）", required=False, widget=DayInput)


class TemporaryForm(MoneyForm):
    until = forms.DateField(label="有效期至（含当天）", widget=DayInput)


class TemporaryRequestForm(ReasonForm, TemporaryForm):
    """Asking for temporary credit."""

    field_order = ["currency", "amount", "until", "reason"]

    def clean_amount(self):
        if not self.cleaned_data["amount"]:
            raise ValidationError("请填写大于零的金额。")
        return self.cleaned_data["amount"]

    def values(self):
        given = self.cleaned_data
        return {"currency": given["currency"], "amount": str(given["amount"]), "until": given["until"].isoformat()}


def _values(form):
    if not form.is_valid():
        name, problems = next(iter(form.errors.items()))
        raise ValidationError(f"{form.fields[name].label}：{problems[0]}")
    return form.cleaned_data


def _set_limit(customer, user, post, reason):
    values = _values(LimitForm(post))
    credit.set_limit(customer, values.pop("currency"), values.pop("amount"), by=user, reason=reason, **values)
    return "信用额度已设定。"


def _grant(customer, user, post, reason):
    values = _values(TemporaryForm(post))
    credit.grant_temporary(customer, values["currency"], values["amount"], values["until"], by=user, reason=reason)
    return "临时额度已批准。"


def _switch(customer, user, post, reason):
    enabled = post.get("enabled") == "1"
    credit.set_enabled(customer, enabled, by=user, reason=reason)
    return "已启用信用额度。" if enabled else "已停用信用额度，签约和下单不再检查。"


def _stars(post):
    value = post.get("stars", "")
    return int(value) if value.isdecimal() else None


def _adopt(customer, user, post, reason):
    rating.adopt_rating(customer, _stars(post), by=user)
    return "信用度已按建议更新。"


def _rate(customer, user, post, reason):
    rating.rate(customer, _stars(post), by=user, reason=reason)
    return "信用度已评定。"


def _release(customer, user, post, reason):
    key = post.get("reservation", "")
    rows = CreditReservation.objects.valid().filter(customer=customer)
    held = rows.filter(pk=key).first() if key.isdecimal() else None
    if held is None:
        raise ValidationError("没有这条额度占用，请刷新页面。")
    transitions.run(held, "release", by=user, reason=reason)
    return "额度占用已释放。"


ACTIONS = {
    "limit": _set_limit,
    "temporary": _grant,
    "switch": _switch,
    "adopt": _adopt,
    "rate": _rate,
    "release": _release,
}


def summary(customer, user) -> dict:
    """What the credit tab shows, amounts in words; a missing exchange rate is told instead of the lines."""
    position, problem, beyond, lines = credit.Position(customer), "", "", []
    try:
        lines = position.lines if position.limits or position.temporary or position.exposure else []
        beyond = _beyond_bound(customer, position)
    except exchange.NoRate as error:
        problem = error.messages[0]
    held = CreditReservation.objects.valid().filter(customer=customer, state=ReservationState.ACTIVE)
    extra = TemporaryCredit.objects.valid().filter(customer=customer).select_related("approved_by")
    bound = CreditRule.bound_of(customer)
    return {
        "customer": customer,
        "main": _main_limit(position),
        "lines": [_line_words(line) for line in lines],
        "sources": [(name, [money(v, c) for c, v in amounts.items()]) for name, amounts in position.sources.items()],
        "problem": problem,
        "beyond": beyond,
        "bound": "不限" if bound is None else money(bound, Currency.CNY),
        "temporary": [(one, money(one.amount, one.currency)) for one in extra[:HISTORY_LENGTH]],
        "reservations": [(one, money(one.amount, one.currency)) for one in held[:HISTORY_LENGTH]],
        "today": position.on,
        "rating": dict(RATINGS)[customer.credit_rating or UNRATED],
        "suggestion": rating.suggest_rating(customer),
        "terms": [_terms_words(one, position) for one in categories.terms(customer)],
        "history": history(customer, user),
        "may_manage": credit.may_manage(user, customer),
    }


def _main_limit(position) -> dict:
    """What the form for a new limit starts with: the main limit as it stands."""
    currency = position.currencies[0]
    limit = position.limits.get(currency)
    names = ("amount", "valid_from", "valid_until")
    return {"currency": currency, **{name: getattr(limit, name, None) for name in names}}


def _line_words(line) -> dict:
    amounts = {name: money(getattr(line, name), line.currency) for name in ("limit", "temporary", "used", "headroom")}
    return {**amounts, "currency": Currency(line.currency).label, "is_over": line.headroom < 0}


def _terms_words(terms, position) -> dict:
    """A category's terms in words; its limit may be taken over where the customer has none in that currency."""
    amount = terms.credit_amount
    return {
        "category": terms.category,
        "amount": amount,
        "currency": terms.credit_currency,
        "credit": "" if amount is None else money(amount, terms.credit_currency),
        "days": terms.payment_days,
        "service": terms.service_level,
        "is_free": amount is not None and terms.credit_currency not in position.limits,
    }


def _beyond_bound(customer, position) -> str:
    try:
        refuse_beyond_rating(customer, {currency: limit.amount for currency, limit in position.limits.items()})
    except exchange.NoRate:
        raise
    except ValidationError:
        return "现有额度合计已超过该信用度的上限，下次调整时须降到上限以内。"
    return ""


def history(customer, user):
    """Changes of limits, temporary credit, the switch and the rating, newest first, in words."""
    kinds = [audit.content_type_id(model) for model in (CreditLimit, TemporaryCredit)]
    about = BusinessLog.objects.filter(root_type_id=audit.content_type_id(Customer), root_id=customer.pk)
    switched = about.filter(content_type_id=audit.content_type_id(Customer))
    rows = (
        about.filter(content_type_id__in=kinds)
        | switched.filter(changes__has_key="is_credit_enabled")
        | switched.filter(changes__has_key="credit_rating")
    )
    entries = describe(rows.order_by("-pk")[:HISTORY_LENGTH], user)
    for entry in entries:
        shown = SHOWN_OF_CUSTOMER if entry.kind == Customer._meta.verbose_name else None
        entry.changes[:] = [
            change
            for change in entry.changes
            if (change.field not in SAID_BESIDE if shown is None else change.field in shown)
        ]
    return entries


class CreditPages:
    """Mixin of the customer's admin: the credit tab and the page on which those with the right change credit."""

    def get_urls(self):
        name = f"{self.opts.app_label}_{self.opts.model_name}_credit"
        return [
            path("<path:object_id>/credit/", self.admin_site.admin_view(self.credit_view), name=name),
            *super().get_urls(),
        ]

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        if obj is not None and policy_for(CreditLimit).allows(request.user, "view"):
            context["credit"] = summary(obj, request.user)
        return super().render_change_form(request, context, add, change, form_url, obj)

    def credit_view(self, request, object_id):
        customer = self.visible_object(request, object_id)
        if not policy_for(CreditLimit).allows(request.user, "view"):
            raise Http404
        if request.method == "POST":
            return self._change_credit(request, customer)
        shown = summary(customer, request.user)
        return self.page(
            request,
            "customers/credit_page.html",
            {
                "title": f"信用：{customer}",
                "crumb": "信用",
                "original": customer,
                "back": self._url("change", customer.pk),
                "credit": shown,
                "limit_form": LimitForm(initial=shown["main"], auto_id="limit_%s"),
                "temporary_form": TemporaryForm(
                    initial={"currency": shown["main"]["currency"]}, auto_id="temporary_%s"
                ),
                "stars": Stars.choices,
            },
        )

    def _change_credit(self, request, customer):
        action = ACTIONS.get(request.POST.get("action"))
        try:
            if action is None:
                raise ValidationError("没有这个操作。")
            done = action(customer, request.user, request.POST, request.POST.get("reason", ""))
            self.message_user(request, done, messages.SUCCESS)
        except ValidationError as error:
            self.message_user(request, "；".join(error.messages), messages.ERROR)
        except (transitions.TransitionRefused, PermissionDenied) as error:
            self.message_user(request, str(error), messages.ERROR)
        return HttpResponseRedirect(self._url("credit", customer.pk))


# --- Lists -----------------------------------------------------------------------------------------------------------


@admin.register(CreditLimit)
class CreditLimitAdmin(ModelAdmin):
    nav_icon, nav_order = "credit_score", 35
    resource_class = CreditLimitResource
    list_display = ["customer", "currency_name", "amount_text", "valid_from", "valid_until", "approval", "updated_at"]
    list_filter = [("currency", ChoiceFilter), ("valid_until", RangeDateFilter)]
    list_select_related = ["customer"]
    search_fields = ["customer__name", "customer__code"]
    search_help_text = "客户名称、代码"
    empty_hint = "信用额度在客户页面的“信用额度”页签里设定，也可以导入。"
    autocomplete_fields = ["customer"]
    readonly_fields = ["approval"]
    ordering = ["-id"]
    fieldsets = [
        (None, {"fields": ["customer", ("currency", "amount"), ("valid_from", "valid_until"), "approval", "remark"]})
    ]

    def has_add_permission(self, request):
        return self.policy.allows(request.user, "set") and super().has_add_permission(request)

    @display(description="币种", ordering="currency")
    def currency_name(self, obj):
        return obj.get_currency_display()

    @display(description="信用额度", ordering="amount")
    def amount_text(self, obj):
        return f"{obj.amount:,.2f}"


@admin.register(TemporaryCredit)
class TemporaryCreditAdmin(ModelAdmin):
    list_display = ["customer", "currency", "amount_text", "valid_until", "reason", "approved_by"]
    list_filter = [("valid_until", RangeDateFilter)]
    list_select_related = ["customer", "approved_by"]
    search_fields = ["customer__name", "customer__code"]
    autocomplete_fields = ["customer"]
    readonly_fields = ["approved_by", "approval"]
    ordering = ["-id"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    "customer",
                    ("currency", "amount"),
                    ("valid_until", "reason"),
                    ("approved_by", "approval"),
                    "remark",
                ]
            },
        )
    ]

    @display(description="临时额度", ordering="amount")
    def amount_text(self, obj):
        return f"{obj.amount:,.2f}"


@admin.register(CreditReservation)
class CreditReservationAdmin(ModelAdmin):
    head_labels = ("state_name",)
    list_display = ["customer", "source", "reference", "currency", "amount_text", "state_name", "created_at"]
    list_filter = [("state", ChoiceFilter), ("currency", ChoiceFilter)]
    list_select_related = ["customer"]
    search_fields = ["customer__name", "reference"]
    readonly_fields = [
        "customer",
        "currency",
        "amount",
        "rate",
        "source",
        "reference",
        "released_at",
        "created_by",
        "created_at",
    ]
    ordering = ["-id"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    "customer",
                    ("source", "reference"),
                    ("currency", "amount"),
                    ("rate", "released_at"),
                    ("created_by", "created_at"),
                    "remark",
                ]
            },
        )
    ]

    @display(description="占用金额", ordering="amount")
    def amount_text(self, obj):
        return f"{obj.amount:,.2f}"

    @display(description="状态", ordering="state", label={"占用中": "warning", "已释放": "success"})
    def state_name(self, obj):
        return obj.get_state_display()


@admin.register(CreditRule)
class CreditRuleAdmin(ModelAdmin):
    nav_icon, nav_order, nav_group = "rule", 33, "系统管理"
    empty_hint = "每个信用度一条：该信用度的客户额度合计最高多少（人民币）。没有规则的信用度不设上限。"
    list_display = ["rating_name", "amount_text", "remark"]
    ordering = ["rating"]
    fieldsets = [(None, {"fields": [("rating", "max_amount"), "remark"]})]

    def get_readonly_fields(self, request, obj=None):
        """A rule stays with its rating."""
        return [*super().get_readonly_fields(request, obj), *(["rating"] if obj else [])]

    @display(description="信用度", ordering="rating")
    def rating_name(self, obj):
        return obj.get_rating_display()

    @display(description="额度合计上限（人民币）", ordering="max_amount")
    def amount_text(self, obj):
        return "不限" if obj.max_amount is None else f"{obj.max_amount:,.2f}"
