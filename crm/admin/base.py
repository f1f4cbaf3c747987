"""Our admin base: the one place that imports the third-party admin classes, and the one that closes every side door.

Rows and rights come from the policy of the model; foreign rows do not exist (404). Declarations in the apps say
columns, fieldsets and filters, nothing else.
"""

import unfold.admin
import unfold.forms
from django.contrib import messages
from django.contrib.admin import ShowFacets, helpers
from django.contrib.admin.utils import flatten_fieldsets, unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.db import IntegrityError, connection, models
from django.http import Http404, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.functional import cached_property
from django.utils.html import escape
from unfold.decorators import action, display
from unfold.fields import UnfoldAdminReadonlyField
from unfold.forms import AdminForm, Fieldline
from unfold.views import ChangeList as UnfoldChangeList
from unfold.widgets import UnfoldAdminSelect2MultipleWidget, UnfoldAdminSelect2Widget

from crm import actor, ownership, records, trails, transitions
from crm.admin import head, old_values, once
from crm.admin.forms import VERSION, RecordForm, scoped_form
from crm.admin.media import ordered
from crm.admin.row_sets import PARAMETER, RowSetFilter
from crm.fields import KeyField, MultiChoiceField
from crm.models import StaleRecord, Stamped, User
from crm.policies import ChildPolicy, LogPolicy, OwnedPolicy, name_for, policy_for, registered
from crm.widgets import Textarea

COUNT_LIMIT = 10_000
RELATION_LOOKUPS = ("", "__exact", "__id__exact", "__isnull", "__in")

__all__ = ["ModelAdmin", "ReadOnly", "StackedInline", "TabularInline", "action", "display"]


class ReadonlyField(UnfoldAdminReadonlyField):
    """A related record is named only to those who may see it, and a link only to those who may follow it.

    What a hint says of filling in a field is left out where nobody fills it in; what explains a derived one stays.
    """

    def __init__(self, form, field, *args, **kwargs):
        super().__init__(form, field, *args, **kwargs)
        meta = form._meta.model._meta
        if any(own.name == self.field["name"] and own.editable for own in meta.get_fields() if own.concrete):
            self.field["help_text"] = ""

    def contents(self):
        """Several choices of one field are shown by their names."""
        field, _, value = self.resolved_field or (None, None, None)
        if isinstance(field, MultiChoiceField):
            return escape("、".join(field.labels(value)) or self.empty_value_display)
        return super().contents()

    def get_admin_url(self, remote_field, remote_obj):
        user, policy = actor.current().user, registered().get(type(remote_obj))
        if policy is not None and policy.may(user, "view", remote_obj):
            return super().get_admin_url(remote_field, remote_obj)
        return name_for(user, remote_obj)


helpers.AdminForm = AdminForm
helpers.Fieldline = Fieldline
unfold.forms.UnfoldAdminReadonlyField = ReadonlyField


class BoundedPaginator(Paginator):
    """Counts no further than people read: 10,000 rows, beyond which filters and search lead on.

    A search for a word that is everywhere says itself how far (``count_limit``).
    """

    @property
    def limit(self) -> int:
        return getattr(self.object_list, "count_limit", COUNT_LIMIT)

    @cached_property
    def count(self):
        rows = self.object_list.order_by() if hasattr(self.object_list, "order_by") else self.object_list
        found = rows[: self.limit + 1].count() if hasattr(rows, "count") and hasattr(rows, "query") else len(rows)
        self.is_bounded = found > self.limit
        return min(found, self.limit)


def orders(model) -> dict[str, str]:
    """``{field: column}`` of the orders that an index of ``model`` has, with the key after it.

    A text is ordered by its stored key, a related record by its id, which keeps equal ones together.
    """
    fields = [field for field in model._meta.concrete_fields if field.db_index or field.unique]
    found = {field.name: field.attname for field in fields}
    for index in model._meta.indexes:
        if index.fields[1:] in ([], ["id"], ["is_valid"]):  # lists show valid rows alone
            field = model._meta.get_field(index.fields[0])
            found[field.name] = field.attname
    return found | {field.source: field.attname for field in fields if isinstance(field, KeyField) and field.source}


class ChangeList(UnfoldChangeList):
    """Bounded count; ties are broken by the key in the direction of the last column, which an index can follow.

    Records that grow without end are ordered only by what an index has in order.
    """

    def get_ordering_field(self, field_name):
        field = super().get_ordering_field(field_name)
        if not self.model_admin.grows or not isinstance(field, str):
            return field
        name = field.lstrip("-")
        column = orders(self.model).get(name)
        return field.replace(name, column) if column else None

    def get_results(self, request):
        super().get_results(request)
        self.is_bounded = getattr(self.paginator, "is_bounded", False)
        self.bound = f"{self.result_count:,}"

    def active_filters(self):
        """What narrows the list: ``(title, chosen value, query string without it)`` of each filter in use."""
        found = []
        for spec in self.filter_specs:
            used = {name: value for name, value in spec.used_parameters.items() if value not in (None, "", [])}
            if not used:
                continue
            chosen = [choice for choice in spec.choices(self) if choice.get("selected") and choice.get("value")]
            words = chosen[0]["display"] if chosen else " 至 ".join(str(value) for value in used.values())
            found.append((spec.title, words, self.get_query_string(remove=list(used))))
        return found

    def get_ordering(self, request, queryset):
        """A column that no index has in order leaves the list as it was."""
        ordering = super().get_ordering(request, queryset)
        usual = self.model_admin.get_ordering(request) or self._get_default_ordering()
        return self._get_deterministic_ordering(usual) if ordering == ["pk"] and usual else ordering

    def _get_deterministic_ordering(self, ordering):
        ordering = list(ordering)
        names = {str(item).lstrip("-") for item in ordering if isinstance(item, str)}
        if not names & {"pk", self.lookup_opts.pk.name}:
            descending = bool(ordering) and isinstance(ordering[-1], str) and ordering[-1].startswith("-")
            ordering.append("-pk" if descending else "pk")
        return ordering


class ScopedMixin:
    """What forms, inlines and lists have in common: choices and rights by policy."""

    form = RecordForm
    formfield_overrides = {models.TextField: {"widget": Textarea}}

    @property
    def policy(self):
        return policy_for(self.model)

    def _may(self, request, action, obj=None):
        """One answer per request, action and row; a write clears what was remembered."""
        remembered = request.__dict__.setdefault("_answers", {})
        key = (self.model, action, obj.pk if obj is not None else None)
        if key not in remembered:
            remembered[key] = self.policy.may(request.user, action, obj)
        return remembered[key]

    def get_field_queryset(self, db, db_field, request):
        related = db_field.related_model
        if related not in registered():
            return super().get_field_queryset(db, db_field, request)
        if isinstance(self.policy, ChildPolicy) and db_field.name in self.policy.roots:
            rows = self.policy.roots[db_field.name].visible_to(request.user, self.policy.writes_with)
        else:
            rows = policy_for(related).choices_for(request.user)
        ordering = related._meta.ordering
        return rows.order_by(*ordering) if ordering else rows

    def get_fieldsets(self, request, obj=None):
        """The version that was read travels with the form, unseen."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or not issubclass(self.model, Stamped) or not self.has_change_permission(request, obj):
            return fieldsets
        (title, options), *others = fieldsets
        return [(title, {**options, "fields": [*options["fields"], VERSION]}), *others]

    def _without_version(self, request, obj, options):
        """``options`` of a form whose model fields are asked for; the version is no field that a form may set."""
        fields = options["fields"] if "fields" in options else flatten_fieldsets(self.get_fieldsets(request, obj))
        return options if fields is None else {**options, "fields": [name for name in fields if name != VERSION]}

    def formfield_for_foreignkey(self, db_field, request, **kwargs):
        if db_field.name not in self.get_autocomplete_fields(request):
            kwargs.setdefault("widget", UnfoldAdminSelect2Widget())
            kwargs.setdefault("empty_label", "请选择")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def formfield_for_manytomany(self, db_field, request, **kwargs):
        if db_field.name not in self.get_autocomplete_fields(request):
            kwargs.setdefault("widget", UnfoldAdminSelect2MultipleWidget())
        field = super().formfield_for_manytomany(db_field, request, **kwargs)
        if isinstance(getattr(field, "widget", None), UnfoldAdminSelect2MultipleWidget):
            field.widget.attrs["class"] = "unfold-admin-autocomplete"
            field.help_text = db_field.help_text
        return field

    def formfield_for_dbfield(self, db_field, request, **kwargs):
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        widget = getattr(field, "widget", None)
        if hasattr(widget, "can_add_related"):
            widget.can_add_related = widget.can_change_related = False
            widget.can_delete_related = widget.can_view_related = False
        return field


class ModelAdmin(ScopedMixin, unfold.admin.ModelAdmin):
    """Base of all admin classes.

    ``nav_icon``/``nav_order``/``nav_group`` place the list in the sidebar (no icon, no entry); ``in_palette`` lets the
    command palette find its records; ``resource_class`` opens Excel import and export; ``extra_lookups`` are list
    parameters allowed besides the filters (drill-downs). ``head_labels`` names the display methods shown as labels on
    top of a record's page, ``add_head_template`` what stands above the form of a new one, ``empty_hint`` says how the
    first record comes about, ``add_page`` names the page that the button 新建 opens where something comes before the
    form.
    """

    class Media:
        css = UnfoldAdminSelect2Widget.Media.css
        # its words belong between Select2 and the script that takes the global jQuery away
        js = (*(_js := UnfoldAdminSelect2Widget.Media.js)[:2], "admin/js/vendor/select2/i18n/zh-CN.js", *_js[2:])

    nav_icon = ""
    nav_order = 50
    nav_group = ""
    in_palette = False
    resource_class = None
    extra_lookups: tuple[str, ...] = ()
    head_template = "crm/change_form_toolbar.html"
    add_head_template = ""
    head_labels: tuple[str, ...] = ()
    empty_hint = ""
    add_page = "add"

    list_per_page = 50
    list_max_show_all = 50
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    paginator = BoundedPaginator
    list_filter_sheet = True
    list_filter_submit = True
    list_before_template = "crm/active_filters.html"
    list_fullwidth = True
    warn_unsaved_form = True
    save_on_top = False
    object_history_template = "crm/history.html"

    # --- Rows and rights ---------------------------------------------------------------------------------------------

    def get_queryset(self, request):
        rows = self.policy.visible_to(request.user, "view")
        ordering = self.get_ordering(request)
        return rows.order_by(*ordering) if ordering else rows

    def get_object(self, request, object_id, from_field=None):
        """The row, or 404; locked while it is being edited, so that version check and save see the same state."""
        obj = super().get_object(request, object_id, from_field)
        if obj is not None and request.method == "POST" and connection.in_atomic_block:
            self.model._base_manager.select_for_update().filter(pk=obj.pk).first()
            obj = super().get_object(request, object_id, from_field)
        if obj is None:
            raise Http404(f"{self.opts.verbose_name}不存在，或您无权查看。")
        return obj

    def has_module_permission(self, request):
        return self.has_view_or_change_permission(request)

    def has_view_permission(self, request, obj=None):
        return self._may(request, "view", obj) or self._may(request, "change", obj)

    def has_add_permission(self, request):
        return self._may(request, "add")

    def has_change_permission(self, request, obj=None):
        return self._may(request, "change", obj)

    def has_delete_permission(self, request, obj=None):
        return self._may(request, "delete", obj)

    def has_import_permission(self, request):
        return self.resource_class is not None and self._may(request, "import")

    def has_export_permission(self, request):
        return self.resource_class is not None and self._may(request, "export")

    def to_field_allowed(self, request, to_field):
        return to_field == self.opts.pk.name

    def lookup_allowed(self, lookup, value, request=None):
        """Only what a filter of this list (or ``extra_lookups``) reads; no oracle on hidden columns or relations."""
        allowed = set(self.extra_lookups)
        for item in self.get_list_filter(request):
            if isinstance(item, type):
                allowed.add(item.parameter_name)
                continue
            name = item if isinstance(item, str) else item[0]
            if not isinstance(item, str):
                allowed |= {f"{name}_from", f"{name}_to", f"{name}_from_0", f"{name}_from_1"}
                allowed |= {f"{name}_to_0", f"{name}_to_1"}
            allowed |= {name + suffix for suffix in RELATION_LOOKUPS}
        return lookup in allowed

    # --- Fields nobody without a permission sees ---------------------------------------------------------------------

    def _visible(self, request, names):
        hidden = self.policy.hidden_fields(request.user)
        return [name for name in names if not (isinstance(name, str) and name in hidden)]

    def get_list_display(self, request):
        return self._visible(request, super().get_list_display(request))

    def get_list_filter(self, request):
        hidden = self.policy.hidden_fields(request.user) if request is not None else set()
        shown = [
            f for f in super().get_list_filter(request) if (f if isinstance(f, str | type) else f[0]) not in hidden
        ]
        return [*shown, RowSetFilter] if request is not None and PARAMETER in request.GET else shown

    def get_exclude(self, request, obj=None):
        return [*(super().get_exclude(request, obj) or ()), *self.policy.hidden_fields(request.user)]

    def get_fieldsets(self, request, obj=None):
        return [
            (title, {**options, "fields": self._visible_rows(request, options["fields"])})
            for title, options in super().get_fieldsets(request, obj)
        ]

    def _visible_rows(self, request, rows):
        kept = []
        for row in rows:
            if isinstance(row, str):
                kept += self._visible(request, [row])
            elif inner := self._visible(request, row):
                kept.append(tuple(inner))
        return kept

    # --- Lists -------------------------------------------------------------------------------------------------------

    @property
    def grows(self) -> bool:
        """Whether there may be millions of these, so that lists must follow an index."""
        return isinstance(self.policy, OwnedPolicy | ChildPolicy | LogPolicy)

    def get_sortable_by(self, request):
        names = self.get_list_display(request)
        if not self.grows:
            return names
        sortable = orders(self.model)
        return [name for name in names if self._order_of(name) in sortable]

    def _order_of(self, name):
        """The field by which the column ``name`` is ordered."""
        return getattr(getattr(self, name, None), "admin_order_field", name)

    def get_changelist(self, request, **kwargs):
        return ChangeList

    def changelist_view(self, request, extra_context=None):
        context = {
            "can_import": self.has_import_permission(request),
            "can_export": self.has_export_permission(request),
            **(extra_context or {}),
        }
        response = super().changelist_view(request, context)
        if hasattr(response, "context_data") and "media" in (response.context_data or {}):
            response.context_data["media"] = ordered(response.context_data["media"])
        return response

    def get_actions(self, request):
        """Removing many at once would hide which ones could not be removed: records are removed one by one."""
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def get_search_results(self, request, queryset, search_term):
        """Every word must be found somewhere in the row; folded like the stored keys."""
        search = getattr(self.model, "search", None)
        if search is not None and search_term:
            return search(queryset, search_term), False
        return super().get_search_results(request, queryset, search_term)

    def palette_title(self, obj):
        return str(obj)

    def waiting_rows(self, request):
        """The rows that wait for the person, whose number stands in the sidebar; None where nothing ever does."""
        return None

    # --- Saving ------------------------------------------------------------------------------------------------------

    def get_form(self, request, obj=None, change=False, **kwargs):
        options = self._without_version(request, obj, kwargs)
        return scoped_form(super().get_form(request, obj, change=change, **options), request.user)

    def save_form(self, request, form, change):
        return form.save(commit=False)

    def save_model(self, request, obj, form, change):
        is_new_child = isinstance(self.policy, ChildPolicy) and not change
        if is_new_child and not self.policy.may_add_to(request.user, self.policy.root_of(obj)):
            raise PermissionDenied
        m2m = form.m2m_values() if isinstance(form, RecordForm) else None
        if isinstance(obj, Stamped):
            records.save(obj, by=request.user, m2m=m2m)
        else:
            obj.save()
        request.__dict__.pop("_answers", None)

    def save_formset(self, request, form, formset, change):
        children = formset.save(commit=False)
        for child in formset.deleted_objects:
            records.remove(child, by=request.user)
        many = {id(form.instance): form.m2m_values() for form in formset.forms if form.is_valid()}
        for child in children:
            records.save(child, by=request.user, m2m=many.get(id(child)))

    def delete_model(self, request, obj):
        records.remove(obj, by=request.user)

    def get_deleted_objects(self, objs, request):
        """Removal is soft and takes no other row along, so that nothing but the object itself is named."""
        objs = list(objs)
        return [str(obj) for obj in objs], {self.opts.verbose_name_plural: len(objs)}, set(), []

    def _changeform_view(self, request, object_id, form_url, extra_context):
        """In the transaction of the save: a form of a new record counts once, unless it comes back with mistakes."""
        if object_id is not None or request.method != "POST":
            return super()._changeform_view(request, object_id, form_url, extra_context)
        request.once = once.claim(request, self.model)
        response = super()._changeform_view(request, object_id, form_url, extra_context)
        if request.once is not None and request.once.object_id is None:
            request.once.delete()
        return response

    def _repeated(self, request):
        """Where the form led when it was sent first."""
        self.message_user(request, "这张表单已经保存过，没有重复新建；下面就是那一次保存的内容。", messages.WARNING)
        made = self.get_queryset(request).filter(pk=once.made_by(request, self.model)).first()
        page = self._url("change", made.pk) if made is not None else self._url("changelist")
        return HttpResponseRedirect(page)

    def changeform_view(self, request, object_id=None, form_url="", extra_context=None):
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except once.Repeated:
            return self._repeated(request)
        except StaleRecord as error:
            self.message_user(request, str(error), messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
        except ValidationError as error:  # what a service sees under its lock only
            self.message_user(request, error.messages[0], messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
        except IntegrityError:
            taken = (
                "没有保存：有的值（如代码、手机号、名称）必须唯一，却已被另一条记录占用，或在本页重复。请核对后重试。"
            )
            self.message_user(request, taken, messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    def delete_view(self, request, object_id, extra_context=None):
        try:
            return super().delete_view(request, object_id, extra_context)
        except ValidationError as error:
            self.message_user(request, error.messages[0], messages.ERROR)
            return HttpResponseRedirect(self._url("change", object_id))

    def log_addition(self, request, obj, message):
        """The business log is the only log; Django's own would keep labels of rows that were given away."""
        if (form := getattr(request, "once", None)) is not None:
            form.object_id = obj.pk
            form.save(update_fields=["object_id"])

    def log_change(self, request, obj, message):
        pass

    def log_deletions(self, request, queryset):
        pass

    # --- Owners ------------------------------------------------------------------------------------------------------

    def assignees(self, request, obj):
        """Who may be made owner of ``obj`` on its page."""
        return policy_for(User).choices_for(request.user)

    def change_owner(self, obj, owner, *, by, reason):
        """What the button 分配 does; a model with rules of its own calls its service."""
        ownership.set_owner(obj, owner, by=by, reason=reason)

    # --- More pages of one record ------------------------------------------------------------------------------------

    def get_urls(self):
        name = f"{self.opts.app_label}_{self.opts.model_name}"
        view = self.admin_site.admin_view
        urls = [
            path(
                "<path:object_id>/transition/<str:transition>/", view(self.transition_view), name=f"{name}_transition"
            ),
            path("<path:object_id>/history/<int:version>/", view(self.version_view), name=f"{name}_version"),
        ]
        if isinstance(self.policy, OwnedPolicy):
            from crm.admin import owned

            urls += owned.urls(self, name)
        if self.resource_class is not None:
            from crm.admin import excel

            urls += excel.urls(self, name)
        return urls + super().get_urls()

    def _url(self, page, *args):
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_{page}", args=args)

    def visible_object(self, request, object_id):
        """The row as ``request.user`` may see it now, or 404."""
        return self.get_object(request, unquote(object_id))

    def response_add(self, request, obj, post_url_continue=None):
        trails.note(request, trails.Kind.EDIT, f"新建{self.opts.verbose_name}", obj=obj)
        return super().response_add(request, obj, post_url_continue)

    def response_change(self, request, obj):
        trails.note(request, trails.Kind.EDIT, f"修改{self.opts.verbose_name}", obj=obj)
        return super().response_change(request, obj)

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        if add:
            context["once"] = once.token(request)
        if change and obj is not None:
            if request.method == "GET":
                trails.note(request, trails.Kind.VIEW, f"查看{self.opts.verbose_name}", obj=obj)
            context["transitions"] = transitions.available(obj, request.user)
            context["head"] = head.context(self, obj)
            context["old_rows"] = old_values.of(self.model, request.user, obj)
            context["owned"] = isinstance(self.policy, OwnedPolicy)
            if context["owned"]:
                from crm.admin import owned

                context |= owned.context(self, request, obj)
        context["media"] = ordered(context["media"])
        return super().render_change_form(request, context, add, change, form_url, obj)

    def transition_view(self, request, object_id, transition):
        obj = self.visible_object(request, object_id)
        if request.method != "POST":
            raise Http404
        declared = transitions.declared(self.model).get(transition)
        try:
            if declared is not None and declared.custom.get("page"):
                raise transitions.TransitionRefused(f"“{declared.custom['label']}”请在它自己的页面上办理。")
            self.run_transition(obj, transition, by=request.user, reason=request.POST.get("reason", ""))
            label = declared.custom["label"] if declared else transition
            trails.note(request, trails.Kind.EDIT, f"{label}{self.opts.verbose_name}", obj=obj)
            self.message_user(request, f"“{obj}”已更新。", messages.SUCCESS)
        except transitions.TransitionRefused as error:
            self.message_user(request, str(error), messages.ERROR)
        except ValidationError as error:
            self.message_user(request, "".join(error.messages), messages.ERROR)
        return HttpResponseRedirect(self._url("change", obj.pk))

    def run_transition(self, obj, name, *, by, reason):
        """What the buttons of the page do; a model with rules of its own calls its service."""
        transitions.run(obj, name, by=by, reason=reason)

    def history_view(self, request, object_id, extra_context=None):
        from crm.admin import versions

        return versions.history(self, request, self.visible_object(request, object_id))

    def version_view(self, request, object_id, version):
        from crm.admin import versions

        return versions.version(self, request, self.visible_object(request, object_id), version)

    def page(self, request, template, context):
        """Render a page in the frame of this model's admin."""
        context = {**self.admin_site.each_context(request), "opts": self.opts, "model_admin": self, **context}
        request.current_app = self.admin_site.name
        return TemplateResponse(request, template, context)


class ReadOnly:
    """Mixin of what people only look at: services write it."""

    def has_add_permission(self, request, obj=None):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False


class InlineMixin(ScopedMixin):
    """Children on the page of their root: rights by the child's policy on that root."""

    extra = 0
    show_change_link = False
    hide_title = True
    template_before = "crm/inline_hint.html"
    empty_hint = ""
    tab = True

    def get_queryset(self, request):
        return self.policy.visible_to(request.user, "view")

    def _root(self, obj):
        return self.policy.root_policy if isinstance(self.policy, ChildPolicy) else None

    def has_view_permission(self, request, obj=None):
        return self.policy.allows(request.user, "view")

    def has_add_permission(self, request, obj=None):
        return self._may_touch(request, "add", obj)

    def has_change_permission(self, request, obj=None):
        return self._may_touch(request, "change", obj)

    def has_delete_permission(self, request, obj=None):
        return self._may_touch(request, "delete", obj)

    def _may_touch(self, request, action, obj):
        if not self.policy.allows(request.user, action):
            return False
        if obj is None or not obj.pk:
            return True
        remembered = request.__dict__.setdefault("_answers", {})
        needed = self.policy.writes_with if isinstance(self.policy, ChildPolicy) else "change"
        key = (type(obj), needed, obj.pk)
        if key not in remembered:
            remembered[key] = policy_for(type(obj)).may(request.user, needed, obj)
        return remembered[key]

    def get_formset(self, request, obj=None, **kwargs):
        formset = super().get_formset(request, obj, **self._without_version(request, obj, kwargs))
        formset.form = scoped_form(formset.form, request.user)
        return formset


class TabularInline(InlineMixin, unfold.admin.TabularInline):
    pass


class StackedInline(InlineMixin, unfold.admin.StackedInline):
    pass
