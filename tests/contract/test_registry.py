"""Every model of the admin × everybody of the cast × every address: no canary, no foreign change, no broken page.

A model that registers its admin is in here by itself; so is an address that an app adds.
"""

import pytest
from django.conf import settings
from django.contrib import admin

from crm.models import Notification
from crm.policies import SharedPolicy, policy_for
from tests.cast import CAST
from tests.contract.probes import Visitor, contents, context_of, form_values, rolled_back, state, states, touched

REGISTRY = admin.site._registry
MODELS = sorted(REGISTRY, key=lambda model: model._meta.label)
# the same questions are asked in other SQL; the whole cast asks them in `make test-full`
ON_SQLITE = settings.DATABASES["default"]["ENGINE"].endswith("sqlite3")
ON_MARIADB = {"owner", "viewer", "administrator"}
# whose hands a record is in makes no difference to reference data: one of each role will do
ONE_OF_EACH_ROLE = {"anonymous", "nobody", "owner", "manager", "director", "auditor", "administrator", "superuser"}


def visits():
    for model in MODELS:
        for name in CAST:
            if name in ONE_OF_EACH_ROLE or not isinstance(policy_for(model), SharedPolicy):
                marks = [] if ON_SQLITE or name in ON_MARIADB else [pytest.mark.full]
                yield pytest.param(model, name, marks=marks, id=f"{model.__name__}-{name}")


VISITS = list(visits())


@pytest.fixture(scope="module", autouse=True)
def _no_contexts():
    """Pages are read as browsers get them; a tenth of the time went into copying the context of each template."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("django.test.client.store_rendered_templates", lambda *args, **kwargs: None)
        yield


@pytest.fixture(scope="module")
def untouched(_built, django_db_blocker):
    """``states`` and ``contents`` of the world as it was built, read once: each test leaves it as it found it."""
    with django_db_blocker.unblock():
        return states(_built.rows), contents(_built.rows)


@pytest.fixture(scope="module")
def known_forms():
    return {}


@pytest.fixture
def forms(world, model, known_forms):
    """Valid form contents of each record, as the superuser's browser would send them."""
    if model not in known_forms:
        insider = Visitor(world, "superuser", REGISTRY[model])
        rows = [row for row in world.rows_of(model) if "superuser" in row.change][:2]
        filled = {row: form_values(insider.get("form", insider.url("change", row.obj.pk)), model) for row in rows}
        for row in world.rows_of(model):
            filled.setdefault(row, next(iter(filled.values()), {}))
        known_forms[model] = filled
    return known_forms[model]


def changed(rows, untouched) -> list:
    before, held = untouched
    return [row for row, stored in states(touched(rows, held)).items() if stored != before[row]]


@pytest.mark.parametrize(("model", "name"), VISITS)
def test_nothing_foreign_can_be_read(world, model, name, untouched):
    """Lists, searches, filters, forms, histories, choices and custom pages show one's own; looking changes nothing."""
    visitor = Visitor(world, name, REGISTRY[model])
    visitor.read_lists()
    visitor.read_filters()
    visitor.read_oracles()
    visitor.read_records()
    visitor.read_other_pages()
    visitor.read_prefilled()
    visitor.read_choices()
    assert not visitor.findings, "\n".join(map(str, visitor.findings))
    others = [row for row in world.rows if row.model is not Notification]
    assert not changed(others, untouched), "opening a page changed something"


@pytest.mark.parametrize(("model", "name"), VISITS)
def test_nothing_foreign_can_be_changed(world, model, name, untouched, forms):
    """Forms, buttons, actions and links leave every record alone that is not one's own to change."""
    visitor = Visitor(world, name, REGISTRY[model])
    visitor.write_records(forms)
    visitor.write_actions()
    visitor.write_other_pages()
    visitor.write_links()
    visitor.write_states()
    visitor.write_deletes()
    visitor.write_escalation(forms)
    visitor.write_workbook()
    assert not visitor.findings, "\n".join(map(str, visitor.findings))
    foreign = [row for row in world.rows if name not in row.change | row.delete | {row.situation}]
    assert not changed(foreign, untouched), f"{name} changed what is not his"


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_the_probes_reach_their_aim(world, model, forms):
    """The same form contents that must fail in foreign hands do work in the right ones."""
    insider = Visitor(world, "superuser", REGISTRY[model])
    for row in world.rows_of(model)[:2]:
        if "superuser" in row.change and "remark" in forms[row]:
            with rolled_back():
                page = insider.post("form", insider.url("change", row.obj.pk), {**forms[row], "remark": "changed"})
                assert state(row)["remark"] == "changed", context_of(page).get("errors")
