"""Every model of the admin × everybody of the cast × every address: no canary, no foreign change, no broken page.

A model that registers its admin is in here by itself; so is an address that an app adds.
"""

import pytest
from django.conf import settings
from django.contrib import admin

from crm.models import Notification
from crm.policies import SharedPolicy, policy_for
from tests.cast import CAST
from tests.contract.probes import Visitor, form_values, rolled_back, state, states

REGISTRY = admin.site._registry
MODELS = sorted(REGISTRY, key=lambda model: model._meta.label)
ON_SQLITE = settings.DATABASES["default"]["ENGINE"].endswith("sqlite3")
# Who visits in `make test`; everybody else of the cast comes in `make test-full`. Whose hands a record is in makes no
# difference to reference data, and what hangs on another record has its rights from there.
OF_REFERENCE_DATA = {"anonymous", "nobody", "owner", "manager", "administrator"}
OF_PARTS = {"anonymous", "owner", "viewer", "manager", "outsider", "administrator"}
# on MariaDB the same questions are asked in other SQL
ON_MARIADB = {"owner", "viewer", "administrator"}


def visits():
    """Every model × everybody of the cast, of which the representative ones are in every run."""
    for model in MODELS:
        policy = policy_for(model)
        usual = set(CAST)
        if isinstance(policy, SharedPolicy):
            usual = OF_REFERENCE_DATA if ON_SQLITE else {"owner"}
        elif getattr(policy, "roots", None):
            usual = OF_PARTS if ON_SQLITE else {"owner"}
        elif not ON_SQLITE:
            usual = ON_MARIADB
        for name in CAST:
            marks = [] if name in usual else [pytest.mark.full]
            yield pytest.param(model, name, marks=marks, id=f"{model.__name__}-{name}")


VISITS = list(visits())


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


@pytest.mark.parametrize(("model", "name"), VISITS)
def test_nothing_foreign_can_be_read(world, model, name):
    """Lists, searches, filters, forms, histories, choices and custom pages show one's own; looking changes nothing."""
    visitor = Visitor(world, name, REGISTRY[model])
    before = states(row for row in world.rows if row.model is not Notification)
    visitor.read_lists()
    visitor.read_filters()
    visitor.read_oracles()
    visitor.read_records()
    visitor.read_other_pages()
    visitor.read_prefilled()
    visitor.read_choices()
    assert not visitor.findings, "\n".join(map(str, visitor.findings))
    changed = [row for row, stored in states(before).items() if stored != before[row]]
    assert not changed, f"opening a page changed {changed}"


@pytest.mark.parametrize(("model", "name"), VISITS)
def test_nothing_foreign_can_be_changed(world, model, name, forms):
    """Forms, buttons, actions and links leave every record alone that is not one's own to change."""
    visitor = Visitor(world, name, REGISTRY[model])
    before = states(row for row in world.rows if name not in row.change | row.delete | {row.situation})
    visitor.write_records(forms)
    visitor.write_actions()
    visitor.write_other_pages()
    visitor.write_links()
    visitor.write_states()
    visitor.write_deletes()
    visitor.write_escalation(forms)
    visitor.write_workbook()
    assert not visitor.findings, "\n".join(map(str, visitor.findings))
    changed = [row for row, stored in states(before).items() if stored != before[row]]
    assert not changed, f"{name} changed {changed}"


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_the_probes_reach_their_aim(world, model, forms):
    """The same form contents that must fail in foreign hands do work in the right ones."""
    insider = Visitor(world, "superuser", REGISTRY[model])
    for row in world.rows_of(model)[:2]:
        if "superuser" in row.change and "remark" in forms[row]:
            with rolled_back():
                page = insider.post("form", insider.url("change", row.obj.pk), {**forms[row], "remark": "changed"})
                assert state(row)["remark"] == "changed", page.context and page.context["errors"]
