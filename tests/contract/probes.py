"""What an attacker tries on an admin page, written once for any admin site.

``Visitor`` is one of the cast in front of one model admin. Each probe tries something and notes a ``Finding`` when a
canary that he may not see comes back, a record that he may not change has changed, a foreign record answers other than
404, or the page breaks. Nothing here knows our admin classes: addresses, forms and filters are read off the site.
"""

import io
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from itertools import product

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.models import AnonymousUser, Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, models, transaction
from django.forms import ModelChoiceField
from django.test import Client
from django.urls import reverse
from django.urls.resolvers import RegexPattern
from django_fsm import FSMFieldMixin

from crm.approvals import kinds
from crm.approvals.rows import RequestPolicy
from crm.models import Role, User
from crm.policies import PersonalPolicy, SharedPolicy, policy_for, registered
from crm.transitions import declared
from tests.browsing import FormReader
from tests.cast import Row, World

# what stands for a parameter of an address, besides the record itself
ENOUGH_FOREIGN, ENOUGH_OWN = 6, 2
VERSIONS = {"version", "version_id"}
RECORDS = {"object_id", "id", "object_pk"}
# what a record says about its parts, which follows when one of them goes
SUMMED_UP = {"last_followed_at", "next_follow_at", "total_amount", "received_amount", "invoiced_amount", "paid_state"}
STAMPS = {"created_by", "updated_by", "created_at", "updated_at", "lock_version"}


@dataclass(frozen=True)
class Finding:
    probe: str
    detail: str

    def __str__(self):
        return f"[{self.probe}] {self.detail}"


@dataclass(frozen=True)
class Page:
    """One address of a model admin; ``needs`` are the parameters that it takes."""

    name: str
    needs: tuple[str, ...]
    pattern: object

    @property
    def of_record(self):
        return bool(RECORDS & set(self.needs)) or (self.needs and self.needs[0].isdigit())


class Visitor:
    def __init__(self, world: World, name: str, admin):
        self.world, self.name, self.admin = world, name, admin
        self.model, self.site = admin.model, admin.admin_site
        self.findings: list[Finding] = []
        self.client = Client()
        if name != "anonymous":
            self.client.force_login(world.people[name])

    # --- Looking and noting ------------------------------------------------------------------------------------------

    def note(self, probe, detail):
        self.findings.append(Finding(probe, f"{self.name} {self.model.__name__} {detail}"))

    def fetch(self, probe, method, url, data=None):
        """The response, or None when the page broke; canaries in it that are none of his are noted."""
        try:
            with transaction.atomic():
                response = getattr(self.client, method)(url, data or {})
        except Exception as error:
            self.note(probe, f"{method.upper()} {url} breaks: {error!r}")
            return None
        for word in sorted(self.world.leaks(self.name, text_of(response)))[:3]:
            self.note(probe, f"{method.upper()} {url} shows {self.world.source_of(word)}")
        return response

    def get(self, probe, url, data=None):
        return self.fetch(probe, "get", url, data)

    def post(self, probe, url, data=None):
        return self.fetch(probe, "post", url, data)

    @property
    def opens_list(self):
        """Whether he has any business with this kind of record."""
        return self.name in self.world.holders("view", self.model) or (
            self.name != "anonymous" and isinstance(policy_for(self.model), PersonalPolicy | RequestPolicy)
        )

    def url(self, page, *args):
        return reverse(f"{self.site.name}:{self.model._meta.app_label}_{self.model._meta.model_name}_{page}", args=args)

    def pages(self) -> Iterator[Page]:
        for pattern in self.admin.get_urls():
            if pattern.name is None:
                continue
            inner = pattern.pattern
            if isinstance(inner, RegexPattern):
                needs = tuple(inner.regex.groupindex) or tuple(str(i) for i in range(inner.regex.groups))
            else:
                needs = tuple(inner.converters)
            yield Page(pattern.name.split(f"{self.model._meta.model_name}_", 1)[-1], needs, pattern)

    def addresses(self, page: Page, row: Row | None) -> list[str]:
        """Every address of ``page`` for ``row``: one for each version or transition it could be asked for."""
        values = []
        for parameter in page.needs:
            if parameter in RECORDS or parameter == "0":
                values.append([row.obj.pk])
            elif parameter in VERSIONS or parameter == "1":
                values.append([1 if parameter == "version" else newest_version(row.obj)])
            elif parameter == "user_id":
                values.append([self.me.pk])
            elif parameter == "group_id":
                values.append([self.world.row(Role, "shared").obj.pk])
            elif parameter == "kind":
                values.append([kind.code for kind in kinds.registered() if kind.model is self.model])
            elif parameter in ("transition", "transition_name"):
                names = list(declared(self.model)) or ["approve"]
                values.append(names if self.name in row.view else names[:1])
            else:
                values.append(self._strangers(parameter))
        found = [[]]
        for options in values:
            found = [[*chosen, option] for chosen in found for option in options]
        name = f"{self.site.name}:{page.pattern.name}"
        if isinstance(page.pattern.pattern, RegexPattern) and not page.pattern.pattern.regex.groupindex:
            return [reverse(name, args=chosen) for chosen in found]
        return [reverse(name, kwargs=dict(zip(page.needs, chosen, strict=True))) for chosen in found]

    def _strangers(self, parameter):
        """Keys of somebody else's records for a parameter named after their model (``batch``, ``file``, ``job``)."""
        stem = parameter.removesuffix("_id").removesuffix("_pk").replace("_", "")
        found = [
            row.obj.pk for row in self.world.rows if stem in row.model._meta.model_name and self.name not in row.view
        ]
        assert found, (
            f"{self.model.__name__}: an address takes {parameter!r}; teach tests/contract/probes.py what it is"
        )
        return found[:1]

    @property
    def foreign(self) -> list[Row]:
        """Records that do not exist for him, one of each kind of hands."""
        return [row for row in self.world.rows_of(self.model) if self.name not in row.view][:ENOUGH_FOREIGN]

    @property
    def own(self) -> list[Row]:
        """Records that he sees: those that he may change least come first."""
        rows = [row for row in self.world.rows_of(self.model) if self.name in row.view]
        return sorted(rows, key=lambda row: self.name in row.change)[:ENOUGH_OWN]

    # --- Reading probes ----------------------------------------------------------------------------------------------

    def read_lists(self):
        """The list itself, searched, sorted, paged and as a pop-up."""
        url = self.url("changelist")
        response = self.get("list", url)
        if response is None:
            return
        if not self.opens_list:
            expected = (302,) if self.name == "anonymous" else (403, 404)
            if response.status_code not in expected:
                self.note("list without permission", f"answers {response.status_code}")
            return
        if response.status_code != 200:
            self.note("list", f"answers {response.status_code}")
        for row in self.foreign:
            self.get("search", url, {"q": row.label})
        for query in ({"o": "1.-2", "all": "", "_popup": "1"}, {"o": "99.x", "p": "x"}):
            self.get("list order", url, query)
        self.get("to_field", url, {"_to_field": "password", "_popup": "1"})

    def read_filters(self):
        """Choices offered by filters, and foreign or senseless values put into them."""
        if not self.opens_list:
            return
        url = self.url("changelist")
        request = self._request()
        for item in self.admin.get_list_filter(request):
            name = item if isinstance(item, str) else item.parameter_name if isinstance(item, type) else item[0]
            related = None
            if not isinstance(item, type):
                related = self.model._meta.get_field(name.split("__")[0]).related_model
            keys = [row.obj.pk for row in self.world.rows_of(related) if self.name not in row.view] if related else []
            for value in [*keys[:1], "x"]:
                self.get("filter", url, {name: value})
            if keys:
                self.get("filter", url, {f"{name}__id__exact": keys[0]})

    def read_oracles(self):
        """``?column__startswith=`` must not answer questions about columns that the list does not show."""
        if not self.opens_list:
            return
        url, request = self.url("changelist"), self._request()
        for lookup, value in self._lookups():
            if self.admin.lookup_allowed(lookup, value, request):
                response = self.get("lookup oracle", url, {lookup: value})
                if response is not None and response.status_code == 200:
                    probe = "relation oracle" if lookup.count("__") > 1 else "lookup oracle"
                    self.note(probe, f"?{lookup}= is answered")
        refused = self.get("lookup oracle", url, {"created_by__password__startswith": "a"})
        if refused is not None and refused.status_code == 200:
            self.note("relation oracle", "?created_by__password__startswith= is answered")

    def _lookups(self):
        for column in self.model._meta.concrete_fields:
            if isinstance(column, models.CharField | models.TextField):
                yield f"{column.name}__startswith", "a"
            elif column.many_to_one:
                for inner in column.related_model._meta.concrete_fields:
                    if isinstance(inner, models.CharField | models.TextField):
                        yield f"{column.name}__{inner.name}__startswith", "a"

    def read_records(self):
        """Every page of every record: foreign ones do not exist, his own show nothing of others."""
        for page in self.pages():
            if not page.of_record:
                continue
            for row in self.foreign:
                for url in self.addresses(page, row):
                    self._expect_nothing(page, self.get(f"GET {page.name}", url), url)
            for row in self.own:
                for url in self.addresses(page, row):
                    response = self.get(f"GET {page.name}", url)
                    if page.name == "change" and response is not None and response.status_code not in (200, 302):
                        self.note("GET change", f"his own {row} answers {response.status_code}")

    def _expect_nothing(self, page, response, url):
        if response is None:
            return
        login = response.status_code == 302 and "login" in response["Location"]
        if self.name == "anonymous":
            if not login:
                self.note("anonymous", f"{url} answers {response.status_code}")
        elif response.status_code != 404:
            kind = "foreign page opens" if response.status_code == 200 else "existence revealed"
            self.note(f"{kind}: {page.name}", f"{url} answers {response.status_code}")

    def read_other_pages(self):
        """Pages of the model that are about no single record: add, import, export and whatever an app has added."""
        for page in self.pages():
            if page.of_record or page.name == "changelist":
                continue
            for url in self.addresses(page, None):
                response = self.get(f"GET {page.name}", url)
                if response is None or self.opens_list:
                    continue
                expected = (302,) if self.name == "anonymous" else (403, 404)
                if response.status_code not in expected:
                    self.note(f"{page.name} without permission", f"GET answers {response.status_code}")

    def read_prefilled(self):
        """``add/?customer=<foreign id>`` must not name the record it fills in."""
        if not self.world.holds(self.name, "add", self.model):
            return
        for column in self.model._meta.concrete_fields:
            strangers = self._stranger_keys(column.related_model) if column.many_to_one else []
            for key in strangers[:1]:
                self.get("prefilled form", self.url("add"), {column.name: key})

    def read_choices(self):
        """What the drop-downs of this model's forms find by typing."""
        url = reverse(f"{self.site.name}:autocomplete")
        about = {"app_label": self.model._meta.app_label, "model_name": self.model._meta.model_name}
        for column in self.model._meta.concrete_fields:
            if not column.many_to_one or column.related_model not in self.site._registry:
                continue
            labels = [row.label for row in self.world.rows_of(column.related_model) if self.name not in row.view]
            for term in ["", *labels[:1]]:
                self.get("autocomplete", url, {**about, "field_name": column.name, "term": term})

    # --- Writing probes ----------------------------------------------------------------------------------------------

    def write_records(self, forms):
        """Every page of every record by POST. ``forms`` are valid form contents by record, as a superuser sees them."""
        for page in self.pages():
            if not page.of_record:
                continue
            for row in self.foreign + [row for row in self.own if self.name not in row.change]:
                allowed = self._may_by_page(page, row)
                for url in self.addresses(page, row):
                    before = state(row)
                    with rolled_back() if allowed else nullcontext():
                        response = self.post(f"POST {page.name}", url, self._data(page, row, forms))
                        if row in self.foreign:
                            self._expect_nothing(page, response, url)
                        if state(row) != before and not allowed:
                            self.note(f"POST {page.name} changes", f"{row}")

    def _may_by_page(self, page, row) -> bool:
        """Whether he may do this to a record that he may not edit: remove or undo it, or say who works on it."""
        undo = self.world.holders("undo", self.model)
        who = {"delete": row.delete, "owner": row.assign, "release": row.assign, "undo": undo}
        return self.name in who.get(page.name, ())

    @property
    def me(self):
        return self.world.people.get(self.name) or self.world.people["nobody"]

    def _data(self, page, row, forms):
        filled = {**forms.get(row, {}), "remark": page.name, "full_name": page.name}
        return {
            "delete": {"post": "yes"},
            "owner": {"owner": self.me.pk, "reason": "taken"},
            "collaborators": {"user": self.me.pk, "level": "change"},
            "transition": {"reason": "taken"},
            "password": {"password1": "taken-1234-taken", "password2": "taken-1234-taken"},
            "permissions_manage_user": {
                "permissions": [f"{action}_{self.model._meta.model_name}" for action in ("view", "change", "delete")]
            },
        }.get(page.name, filled)

    def write_other_pages(self):
        """Pages about no single record by POST with nothing in it: they must refuse, not break."""
        for page in self.pages():
            if page.of_record or page.name in ("changelist", "add"):
                continue
            for url in self.addresses(page, None):
                response = self.post(f"POST {page.name}", url)
                if response is not None and not self.opens_list and response.status_code not in (302, 403, 404):
                    self.note(f"{page.name} without permission", f"POST answers {response.status_code}")

    def write_actions(self):
        """Actions of the list on records that are not his, ticked one by one and "all of them"."""
        names = {"delete_selected", *self.admin.get_actions(self._request())}
        rows = [row for row in self.world.rows_of(self.model) if self.name not in row.delete]
        before = states(rows)
        for name, across in product(names, ("0", "1")):
            ticked = {ACTION_CHECKBOX_NAME: [row.obj.pk for row in rows]}
            with rolled_back():
                data = {"action": name, "select_across": across, "index": "0", "post": "yes", **ticked}
                self.post(f"action {name}", self.url("changelist"), data)
                for row, stored in states(rows).items():
                    if stored != before[row]:
                        self.note("bulk action changes", f"{row}")

    def write_links(self):
        """Foreign keys of others in the fields of one's own form; choices that were never offered."""
        row = next((row for row in self.world.rows_of(self.model) if self.name in row.change), None)
        if row is None:
            return
        page = self.get("form", self.url("change", row.obj.pk))
        if "adminform" not in context_of(page):
            return
        filled, form = form_values(page, self.model), page.context_data["adminform"].form
        for name, column in form.fields.items():
            if not isinstance(column, ModelChoiceField):
                continue
            strangers = self._stranger_keys(column.queryset.model)
            for key in [key for key in strangers if key not in linked(row.obj, name)][:1]:
                with rolled_back():
                    self.post("foreign key", self.url("change", row.obj.pk), {**filled, name: key})
                    if key in linked(row.obj, name):
                        self.note("foreign key", f"{row}.{name} now points to a foreign record")
                with rolled_back():
                    self._add_with(form, filled, name, key)
        formsets = [inline.formset for inline in page.context_data.get("inline_admin_formsets", [])]
        for extra in ({}, {"DELETE": "on"}):
            self._steal_children(row, filled, formsets, extra)

    def _add_with(self, form, filled, name, key):
        if not self.world.holds(self.name, "add", self.model):
            return
        newest = self.model._base_manager.order_by("-pk").values_list("pk", flat=True).first()
        data = {**filled, name: key} | {field: "0" for field in filled if field.endswith("INITIAL_FORMS")}
        for unique in ("code", "mobile", "name"):
            if unique in form.fields:
                data[unique] = f"139{key:08}"
        self.post("foreign key", self.url("add"), data)
        for obj in self.model._base_manager.filter(pk__gt=newest):
            if key in linked(obj, name):
                self.note("foreign key", f"a new record points {name} to a foreign record")

    def _steal_children(self, row, filled, formsets, extra):
        """Children of somebody else's record, smuggled into the formsets of one's own."""
        data, before = {**filled}, {}
        for formset in formsets:
            victims = [child for child in self.world.rows_of(formset.model) if self.name not in child.view]
            for victim in victims[:1]:
                before[victim] = state(victim)
                index = int(filled.get(f"{formset.prefix}-TOTAL_FORMS", 0))
                data[f"{formset.prefix}-TOTAL_FORMS"] = data[f"{formset.prefix}-INITIAL_FORMS"] = index + 1
                texts = {c.name: "1380013" for c in formset.model._meta.concrete_fields if c.name in victim.canaries}
                child = {"id": victim.obj.pk, formset.fk.name: row.obj.pk, **texts, **extra}
                data |= {f"{formset.prefix}-{index}-{name}": value for name, value in child.items()}
        if before:
            with rolled_back():
                self.post("inline child", self.url("change", row.obj.pk), data)
                for victim in (victim for victim, stored in before.items() if state(victim) != stored):
                    self.note("inline child", f"{victim} was taken over")

    def write_states(self):
        """State columns by button, by form and by smuggled values, without the right to."""
        row = next((row for row in self.world.rows_of(self.model) if self.name in row.change), None)
        denied = {
            name: transition
            for name, transition in declared(self.model).items()
            if not self.world.holds(self.name, transition.custom["action"], self.model)
        }
        if row is None or not denied:
            return
        own = form_values(self.get("form", self.url("change", row.obj.pk)), self.model)
        for name, transition in denied.items():
            smuggled = {"_fsm_transition_to": name} | dict.fromkeys(states_of(self.model), transition.target)
            with rolled_back():
                before = [state(row)[column] for column in states_of(self.model)]
                self.post("transition", self.url("transition", row.obj.pk, name), {"reason": "taken"})
                self.post("transition", self.url("change", row.obj.pk), {**own, **smuggled})
                if [state(row)[column] for column in states_of(self.model)] != before:
                    self.note("transition", f"{row} went through {name} without the right")

    def write_deletes(self):
        """Removing what one may remove takes nothing along that belongs to others."""
        row = next((row for row in self.world.rows_of(self.model) if self.name in row.delete), None)
        if row is None:
            return
        foreign = [other for other in self.world.rows if self.name not in other.delete]
        before = contents(foreign)
        with rolled_back():
            self.post("delete", self.url("delete", row.obj.pk), {"post": "yes"})
            after = states(touched(foreign, before))
        before = states(after)  # as they are again
        for other, stored in after.items():
            if any(stored.get(name) != value for name, value in before[other].items() if name not in SUMMED_UP):
                self.note("cascade", f"deleting {row} took {other} along")

    def write_escalation(self, forms):
        """Who looks after accounts does not make himself, or anybody, mightier than he is."""
        if self.model is not User or self.name == "superuser":
            return
        for row in self.world.rows_of(User):
            if self.name not in row.change or row.situation not in (self.name, "nobody"):
                continue
            every = list(Permission.objects.values_list("pk", flat=True))
            with rolled_back():
                asked = {"is_superuser": "on", "user_permissions": every}
                self.post("escalation", self.url("change", row.obj.pk), {**forms[row], **asked})
                changed = User.objects.get(pk=row.obj.pk)
                if changed.is_superuser or changed.user_permissions.exists():
                    self.note("escalation", f"made {row} mightier than himself")

    def write_workbook(self):
        """A workbook that names records of others by their keys: no old value comes back, no record is overwritten."""
        if not any(page.name == "import" for page in self.pages()):
            return
        victims = self.foreign[:2]
        texts = {name: "taken" for row in victims for name in row.canaries if name in ("name", "remark", "short_name")}
        rows = [{"id": row.obj.pk, "code": row.canaries.get("code", ""), **texts} for row in victims]
        before = states(victims)
        with rolled_back():
            response = self.post("import", self.url("import"), {**csv_upload(rows), "format": "0", "resource": ""})
            confirm = context_of(response).get("confirm_form")
            if confirm:
                self.post("import", self.url("process_import"), confirm.initial)
            for row, stored in states(victims).items():
                if stored != before[row]:
                    self.note("import changes", f"{row}")

    def read_site(self):
        """Pages that belong to no model: home, palette, password and scripts."""
        for name in ("index", "password_change", "jsi18n"):
            self.get(name, reverse(f"{self.site.name}:{name}"))
        for row in self.foreign:
            self.get("palette", reverse(f"{self.site.name}:search"), {"s": row.label, "extended": "1"})

    def _stranger_keys(self, model):
        """Keys of records in other hands; reference data may be picked by everybody."""
        if isinstance(registered().get(model, SharedPolicy(model)), SharedPolicy):
            return []
        return [row.obj.pk for row in self.world.rows_of(model) if self.name not in row.view]

    def _request(self):
        """A request as the admin's hooks get it."""
        from django.test import RequestFactory

        request = RequestFactory().get("/")
        request.user = self.world.user(self.name) or AnonymousUser()
        return request


# --- Helpers ----------------------------------------------------------------------------------------------------------


class rolled_back:
    """What happens inside leaves no trace."""

    def __enter__(self):
        self._block = transaction.atomic()
        self._block.__enter__()

    def __exit__(self, *error):
        transaction.set_rollback(True)
        return self._block.__exit__(*error)


def text_of(response) -> str:
    """Everything readable in a response; a workbook is unpacked."""
    content = b"".join(response.streaming_content) if response.streaming else response.content
    if content[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            content = b"\n".join(archive.read(name) for name in archive.namelist())
    moved = response.get("Location", "")
    return content.decode("utf-8", "replace") + moved


def context_of(response) -> dict:
    """What a page was made of; nothing for redirects, refusals and pages that broke."""
    return getattr(response, "context_data", None) or {}


def state(row: Row) -> dict:
    """Stored columns, many-to-many keys and row grants of a record: what must not change behind its owner's back."""
    return states([row])[row]


def states(rows) -> dict[Row, dict]:
    """``state`` of many rows, with a few queries a model."""
    by_model, found = defaultdict(list), {}
    for row in rows:
        by_model[row.model].append(row)
    for model, members in by_model.items():
        keys = [row.obj.pk for row in members]
        stored = {
            values["pk"]: values for values in model._base_manager.filter(pk__in=keys).values("pk", *columns(model))
        }
        sides = {
            c.name: model._base_manager.filter(pk__in=keys).values_list("pk", c.name) for c in model._meta.many_to_many
        }
        if hasattr(model, "grants"):
            sides["grants"] = model.grants.rel.related_model.objects.filter(content_object__in=keys).values_list(
                "content_object_id", "user_id", "permission_id"
            )
        for name, pairs in sides.items():
            for key, *rest in pairs:
                stored[key].setdefault(name, set()).add(tuple(rest))
        found |= {row: stored.get(row.obj.pk, {}) for row in members}
    return found


def contents(rows) -> dict[type, list]:
    """What the database holds of the models of ``rows``, as the driver gives it: ten times as fast as ``states``."""
    found = {}
    with connection.cursor() as cursor:
        for model in {row.model for row in rows}:
            found[model] = []
            for query in selections(model):
                cursor.execute(query)
                found[model].append(cursor.fetchall())
    return found


def touched(rows, before) -> list[Row]:
    """Those of ``rows`` whose model does not hold what it did when ``before`` was read."""
    now = contents(rows)
    return [row for row in rows if now[row.model] != before[row.model]]


@cache
def selections(model) -> list[str]:
    """Queries for all that ``states`` reads of ``model``."""
    names = defaultdict(list)
    for column in model._meta.concrete_fields:
        if column.attname in columns(model):
            names[column.model._meta.db_table].append(column.column)
    sides = [column.remote_field.through for column in model._meta.many_to_many]
    if hasattr(model, "grants"):
        sides.append(model.grants.rel.related_model)
    for side in sides:
        names[side._meta.db_table] = [column.column for column in side._meta.concrete_fields]
    quote = connection.ops.quote_name
    return [f"SELECT {', '.join(map(quote, found))} FROM {quote(table)}" for table, found in names.items()]


def columns(model) -> list[str]:
    return [column.attname for column in model._meta.concrete_fields if column.name != "last_login"]


def linked(obj, name) -> list:
    """Keys that the stored ``obj`` points to by ``name``."""
    column = obj._meta.get_field(name)
    if column.many_to_many:
        return list(getattr(obj, name).values_list("pk", flat=True))
    return [type(obj)._base_manager.filter(pk=obj.pk).values_list(column.attname, flat=True).first()]


def newest_version(obj) -> int:
    """The key of the newest stored version, by which simple-history's own pages ask for it."""
    history = getattr(type(obj), "history", None)
    return history.filter(id=obj.pk).latest("history_id").history_id if history is not None else 1


def form_values(response, model) -> dict:
    """What a browser would send back from the change form of ``model`` that nobody touched."""
    reader = FormReader(f"{model._meta.model_name}_form")
    reader.feed(response.content.decode())
    return {name: value for name, value in reader.values.items() if "__prefix__" not in name}


def states_of(model) -> list[str]:
    """The columns of ``model`` that only transitions may change."""
    return [column.attname for column in model._meta.concrete_fields if isinstance(column, FSMFieldMixin)]


def csv_upload(rows) -> dict:
    """``rows`` as an uploaded text file, under the names by which import forms ask for it."""
    lines = [",".join(rows[0]) if rows else "id", *(",".join(map(str, row.values())) for row in rows)]
    content = "\n".join(lines).encode()
    return {name: SimpleUploadedFile("rows.csv", content, "text/csv") for name in ("file", "import_file")}
