"""The probes can fail: pointed at an admin that only overrides ``get_queryset``, they find what is wrong with it."""

import pytest
from django.contrib.admin.models import CHANGE, LogEntry

from crm.models import User
from customers.models import BankAccount, Contact, Customer
from tests.cast import Row
from tests.contract import naive
from tests.contract.probes import Visitor, form_values, rolled_back
from tests.contract.test_registry import REGISTRY
from tests.factories import make

VISITS = [
    (Customer, "viewer"),
    (Customer, "owner"),
    (Customer, "outsider"),
    (Customer, "ex_owner"),
    (Customer, "nobody"),
    (Contact, "owner"),
    (BankAccount, "owner"),
    (User, "administrator"),
]
LEAKS = {
    # read
    "list": "the list names records of others in a related column",
    "search": "a search finds them",
    "filter": "a filter offers them as choices",
    "lookup oracle": "?remark__startswith= answers guesses about a column that the list does not show",
    "GET add": "a drop-down offers them",
    "GET change": "an inline names the record at the other end",
    "prefilled form": "?customer=<id> turns an id into a name",
    "GET delete": "the confirmation lists what would go along, whoever it belongs to",
    "GET history": "the history page of somebody else's record",
    "GET simple_history": "a version of it in full",
    "index": "recent actions keep the names of records that were given away",
    "existence revealed: change": "a foreign record answers otherwise than one that does not exist",
    "existence revealed: delete": "so does its delete page",
    "import": "the import preview shows the old values of other people's rows",
    "import without permission": "anybody on the staff may open the import",
    "export without permission": "and the export",
    # write
    "POST change changes": "who was let in to read edits, because the model permission is all that is asked",
    "POST simple_history changes": "a version is put back by POST",
    "POST permissions_manage_user changes": "a reader gives himself every row right",
    "import changes": "an import overwrites other people's rows by id",
    "foreign key": "a form accepts a key that it never offered",
    "cascade": "deleting one's own record takes those of others along",
    "transition": "a state is changed without the right to",
    "escalation": "who looks after accounts makes a superuser",
}


def findings(world, registry, model, name):
    """What the whole set of probes finds; nothing of it stays in the database."""
    insider = Visitor(world, "superuser", registry[model])
    row = next(row for row in world.rows_of(model) if "superuser" in row.change)
    filled = form_values(insider.get("form", insider.url("change", row.obj.pk)), model)
    forms = dict.fromkeys(world.rows_of(model), filled)
    visitor = Visitor(world, name, registry[model])
    with rolled_back():
        for read in ("lists", "filters", "oracles", "records", "other_pages", "prefilled", "choices", "site"):
            getattr(visitor, f"read_{read}")()
        for write in ("records", "escalation"):
            getattr(visitor, f"write_{write}")(forms)
        for write in ("states", "actions", "other_pages", "links", "deletes", "workbook"):
            getattr(visitor, f"write_{write}")()
    return visitor.findings


def cascades(world):
    """A customer to whom nothing was sold yet can be deleted for good, with a contact that nobody may delete."""
    bare, mine = make(Customer, owner=world.people["outsider"]), {"outsider"}
    contact = make(Contact, customer=bare)
    kept, world.rows = world.rows, [Row(bare, "bare", mine, mine, mine), Row(contact, "bare", mine, set(), set())]
    visitor = Visitor(world, "outsider", naive.site._registry[Customer])
    visitor.write_deletes()
    world.rows = kept
    return {finding.probe for finding in visitor.findings}


@pytest.fixture
def remembered(world):
    """Django's own log keeps the name of a record for whoever once edited it."""
    row, user = world.row(Customer), world.people["ex_owner"]
    LogEntry.objects.log_actions(user.pk, [row.obj], CHANGE, change_message="changed", single_object=True)


def test_a_naive_admin_is_caught_leaking(world, remembered, settings):
    """At least 18 leaks, each by its name; without this nobody knows whether a green probe has looked at anything."""
    settings.ROOT_URLCONF = "tests.contract.naive"
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": []}]
    caught = set()
    for model, name in VISITS:
        caught |= {finding.probe for finding in findings(world, naive.site._registry, model, name)}
    caught |= cascades(world)
    assert caught >= set(LEAKS), f"not caught: {set(LEAKS) - caught}"
    assert len(LEAKS) >= 18


def test_home_and_palette_of_the_real_one_remember_nothing(world, remembered):
    for name in ("ex_owner", "owner", "nobody", "anonymous"):
        visitor = Visitor(world, name, REGISTRY[Customer])
        visitor.read_site()
        assert not visitor.findings
