"""Who sees which records: own, shared, the department's, that and below, all. Every page gives the same answer."""

import csv
import io

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.management import call_command

from crm import ownership, records
from crm.models import BusinessLog, DataScope, ImportRow, Role, User
from crm.policies import access, members_in_scope, policy_for, reading
from customers.models import Contact, Customer
from sales.models import Contract, Lead, LeadPool
from tests.browsing import listed
from tests.cast import CAST
from tests.crm.excel.pipeline import checked
from tests.factories import make

EVERYTHING = {"mine", "colleagues", "neighbours", "elsewhere", "unowned", "in closed sea"}
SEES = {
    "anonymous": set(),
    "nobody": set(),
    "owner": {"mine"},
    "viewer": {"mine"},
    "editor": {"mine"},
    "colleague": {"colleagues"},
    "manager": {"mine", "colleagues"},
    "director": {"mine", "colleagues", "neighbours"},
    "outsider": {"elsewhere"},
    "ex_owner": set(),
    "auditor": EVERYTHING,
    "administrator": EVERYTHING,
    "superuser": EVERYTHING,
}
MAY_PICK_OWNERS = {
    "owner": {"owner"},
    "viewer": {"viewer"},
    "manager": {"owner", "colleague", "manager"},
    "director": {"owner", "colleague", "manager", "director", "neighbour"},
    "outsider": {"viewer", "editor", "outsider", "ex_owner"},
}


class Eyes:
    """What one of the cast finds on the pages, as the names of the customers' situations."""

    def __init__(self, world, name, browse):
        self.world, self.name = world, name
        self.user = world.user(name) or AnonymousUser()
        self.browser = browse(world.people.get(name))
        self.rows = {row.obj.pk: row for row in world.rows_of(Customer)}
        self.by_key = {pk: row.situation for pk, row in self.rows.items()}

    def customers(self, keys):
        return {self.by_key[key] for key in keys}

    def listed(self, model=Customer, **query):
        response = self.browser.get(f"/customers/{model._meta.model_name}/", query)
        if response.status_code != 200:
            return None
        found = response.context["cl"]
        assert found.result_count == len(found.result_list)
        return self.customers(getattr(obj, "customer_id", obj.pk) for obj in found.result_list)

    def filtered(self):
        """What the values of the owner filter lead to, all together, and the drill-down of an open state."""
        [spec] = [s for s in self.browser.get("/customers/customer/").context["cl"].filter_specs if s.title == "负责人"]
        by_owner = [self.listed(owner=value) for value, _ in spec.options]
        found = set().union(*by_owner)
        assert sum(map(len, by_owner)) == len(found)
        return found, self.listed(review_status="pending")

    def recognised(self):
        """Customers that an import takes for known and may look at; others are told to be somebody else's."""
        rows = [row for row in self.rows.values() if row.situation != "removed"]
        batch = checked(
            self.user, ["客户代码", "客户名称"], [[row.canaries["code"], row.canaries["name"]] for row in rows]
        )
        known = batch.rows.filter(kind=ImportRow.Kind.UNCHANGED).values_list("number", flat=True)
        return {rows[number - 2].situation for number in known}

    def searched(self):
        return {row.situation for row in self.rows.values() if (self.listed(q=row.label) or set())}

    def offered(self):
        """Customers that the form of a contact finds by typing."""
        about = {"app_label": "customers", "model_name": "contact", "field_name": "customer", "term": ""}
        response = self.browser.get("/autocomplete/", about)
        return self.customers(int(item["id"]) for item in response.json()["results"])

    def in_palette(self):
        found = set()
        for pk, row in self.rows.items():
            page = self.browser.get("/search/", {"s": row.label, "extended": "1"}).content.decode()
            if f"/customers/customer/{pk}/change/" in page:
                found.add(row.situation)
        return found

    def opened(self, page):
        return {
            situation
            for pk, situation in self.by_key.items()
            if self.browser.get(f"/customers/customer/{pk}/{page}/").status_code == 200
        }

    def exported(self):
        response = self.browser.post("/customers/customer/export/", {"columns": ["code"], "format": "csv"})
        text = b"".join(response.streaming_content).decode("utf-8-sig")
        codes = {row.canaries["code"]: row.situation for row in self.rows.values()}
        return {codes[line[0]] for line in list(csv.reader(io.StringIO(text)))[1:]}

    def counted_at_home(self):
        """Figures of the home page that miscount the rows they lead to; and how many customers there are."""
        figures = [figure for part in self.browser.get("/").context["parts"] for figure in part.figures]
        lists = [listed(self.browser.get(figure.link), figure.link) for figure in figures]
        customers = next(figure.value for figure in figures if figure.label.endswith("客户"))
        return [f.label for f, count in zip(figures, lists, strict=True) if f.value != count], customers


@pytest.fixture(params=CAST)
def eyes(request, world, browse):
    return Eyes(world, request.param, browse)


def test_every_page_agrees_on_who_sees_what(eyes):
    expected = SEES[eyes.name]
    assert eyes.customers(policy_for(Customer).visible_to(eyes.user).values_list("pk", flat=True)) == expected
    assert {s for pk, s in eyes.by_key.items() if policy_for(Customer).may(eyes.user, "view", eyes.rows[pk].obj)} == (
        expected
    )
    if eyes.name in ("anonymous", "nobody"):
        assert eyes.listed() is None
        assert eyes.opened("change") == set()
        return
    assert eyes.listed() == expected
    assert eyes.listed(Contact) == expected
    assert eyes.searched() == expected
    assert eyes.in_palette() == expected
    for page in ("change", "history", "history/1"):
        assert eyes.opened(page) == expected
    assert eyes.exported() == expected
    wrong, count = eyes.counted_at_home()
    assert not wrong
    assert count == (len(expected) if eyes.name not in ("viewer", "editor") else 0), "shared ones are counted apart"
    assert eyes.recognised() == expected
    by_owner, pending = eyes.filtered()
    assert pending == expected
    # a colleague whose customer is shared with me is not among my people, and so not in my filter
    assert by_owner == (expected if eyes.name not in ("viewer", "editor") else set())
    if eyes.name != "auditor":
        assert eyes.offered() == expected


def test_a_deleted_grant_takes_the_customer_out_of_the_owners_next_request(world, browse):
    """The row of the grant is the right; the owner column alone opens nothing."""
    mine = world.row(Customer).obj
    grants = policy_for(Customer).grants.objects.filter(content_object=mine, user=world.people["owner"])
    eyes = Eyes(world, "owner", browse)
    assert eyes.listed() == eyes.searched() == eyes.exported() == eyes.opened("change") == {"mine"}
    kept = list(grants.values_list("user_id", "permission_id"))
    grants.delete()
    assert eyes.listed() == eyes.listed(Contact) == eyes.searched() == eyes.in_palette() == eyes.exported() == set()
    assert eyes.opened("change") == eyes.opened("history") == eyes.offered() == set()
    assert eyes.counted_at_home() == ([], 0)
    with pytest.raises(SystemExit):
        call_command("check_grants", stdout=io.StringIO())
    call_command("check_grants", "--fix", stdout=io.StringIO())
    assert sorted(grants.values_list("user_id", "permission_id")) == sorted(kept)
    assert eyes.listed() == {"mine"}


def test_the_log_shows_what_happened_to_the_visible_ones(eyes):
    entries = policy_for(BusinessLog).visible_to(eyes.user).filter(root_type__model="customer")
    roots = entries.values_list("root_id", flat=True)
    reads_the_log = {"manager", "director", "outsider", "auditor", "administrator", "superuser"}
    expected = SEES[eyes.name] if eyes.name in reads_the_log else set()
    assert eyes.customers(roots) - {"removed"} == expected


@pytest.mark.parametrize("name", MAY_PICK_OWNERS)
def test_the_owner_filter_offers_the_people_within_reach(world, browse, name):
    response = browse(world.people[name]).get("/customers/customer/")
    [spec] = [spec for spec in response.context["cl"].filter_specs if spec.title == "负责人"]
    people = {world.people[key].pk: key for key in world.people}
    assert {people[value] for value, _ in spec.options if value != "-"} == MAY_PICK_OWNERS[name]


def test_an_owner_beyond_reach_filters_to_nothing(world, browse):
    rival = world.people["outsider"].pk
    assert not browse(world.people["manager"]).get("/customers/customer/", {"owner": rival}).context["cl"].result_list


@pytest.mark.parametrize(
    ("name", "action", "expected"),
    [
        ("owner", "change", {"mine"}),
        ("viewer", "change", set()),
        ("editor", "change", {"mine"}),
        ("owner", "delete", set()),
        ("manager", "delete", {"mine", "colleagues"}),
        ("manager", "assign", {"mine", "colleagues"}),
        ("owner", "share", {"mine"}),
        ("editor", "share", set()),
        ("auditor", "change", set()),
        ("administrator", "change", EVERYTHING),
        ("superuser", "assign", EVERYTHING),
        ("owner", "review", set()),
    ],
)
def test_what_one_may_do_is_a_question_of_role_and_row(world, name, action, expected):
    rows = policy_for(Customer).visible_to(world.user(name), action)
    by_key = {row.obj.pk: row.situation for row in world.rows_of(Customer)}
    assert {by_key[pk] for pk in rows.values_list("pk", flat=True)} == expected
    some = Customer.objects.filter(pk__in=by_key)
    limited = policy_for(Customer).limit(some, world.user(name), action)
    assert {by_key[pk] for pk in limited.values_list("pk", flat=True)} - {"removed"} == expected


def test_parts_follow_their_root_to_read_and_to_change(world):
    policy = policy_for(Contact)
    contact = world.row(Contact).obj
    rights = {
        name: [
            action for action in ("view", "change", "delete", "export") if policy.may(world.user(name), action, contact)
        ]
        for name in ("owner", "viewer", "editor", "colleague", "auditor", "ex_owner")
    }
    assert rights == {
        "owner": ["view", "change", "delete", "export"],
        "viewer": ["view", "export"],
        "editor": ["view", "change", "delete", "export"],
        "colleague": [],
        "auditor": ["view", "export"],
        "ex_owner": [],
    }
    mine = world.row(Customer).obj
    assert [n for n in ("owner", "viewer", "editor", "auditor") if policy.may_add_to(world.user(n), mine)] == [
        "owner",
        "editor",
    ]


def test_a_part_whose_kind_one_may_not_see_is_not_in_ones_log_either(world):
    """Customers without bank accounts: the entries about bank accounts are left out of the log of that customer."""
    role = Role.objects.create(name="看客户", data_scope=DataScope.ALL)
    granted = ("view_customer", "view_businesslog", "view_contact")
    role.permissions.set(Role.objects.get(name="管理员").permissions.filter(codename__in=granted))
    user = make(User, groups=[role])
    kinds = set(policy_for(BusinessLog).visible_to(user).values_list("content_type__model", flat=True))
    assert kinds == {"customer", "contact"}


class TestScopes:
    """Small cases beside the world's."""

    pytestmark = pytest.mark.django_db

    def test_the_widest_scope_that_gives_the_permission_counts(self, person):
        user = person("销售", "审计")
        others = make(Customer)
        policy = policy_for(Customer)
        assert policy.may(user, "view", others)
        assert not policy.may(user, "change", others)

    def test_a_role_switched_off_gives_nothing(self, person):
        user = person("审计")
        Role.objects.filter(name="审计").update(is_active=False)
        assert not policy_for(Customer).allows(User.objects.get(pk=user.pk), "view")
        assert not User.objects.get(pk=user.pk).has_perm("customers.view_customer")

    def test_a_disabled_person_may_nothing_whatever_he_holds(self, person):
        user = person("管理员", is_active=False)
        boss = make(User, is_superuser=True, is_active=False)
        for who in (user, boss):
            assert not policy_for(Customer).visible_to(who).exists()
            assert not policy_for(User).choices_for(who).exists()

    def test_a_single_permission_without_a_role_reaches_ones_own_rows(self, person):
        from django.contrib.auth.models import Permission

        user = person()
        user.user_permissions.add(Permission.objects.get(codename="view_customer"))
        mine, _ = make(Customer, owner=user), make(Customer)
        assert list(policy_for(Customer).visible_to(User.objects.get(pk=user.pk))) == [mine]

    def test_a_manager_without_a_department_reaches_his_own(self, person):
        boss = person("销售主管", department=None)
        mine, _ = make(Customer, owner=boss), make(Customer, owner=person("销售", department=None))
        assert list(policy_for(Customer).visible_to(boss)) == [mine]

    def test_a_department_tree_ends_where_it_ends(self, person):
        """Department 1 is not above department 11."""
        from crm.models import Department

        top = [make(Department, parent=None, manager=None) for _ in range(12)]
        director = person("销售总监", department=top[0])
        below = make(Department, parent=top[0], manager=None)
        deeper = make(Department, parent=below, manager=None)
        inside = {person("销售", department=each).pk for each in (top[0], below, deeper)}
        for each in top[1:]:
            person("销售", department=each)
        assert set(members_in_scope(director, DataScope.DEPARTMENT_TREE)) == inside | {director.pk}

    def test_people_who_move_take_their_customers_along(self, person):
        seller = person("销售")
        customer = make(Customer, owner=seller)
        old, new = person("销售主管", department=seller.department), person("销售主管")
        seller.department = new.department
        seller.save()
        policy = policy_for(Customer)
        assert not policy.may(User.objects.get(pk=old.pk), "view", customer)
        assert policy.may(User.objects.get(pk=new.pk), "view", customer)

    def test_more_shared_records_than_fit_into_a_query_still_count(self, person, monkeypatch):
        monkeypatch.setattr("crm.policies.MAX_LITERAL_IDS", 2)
        manager, owner = person("销售主管"), person("销售")
        shared = [make(Customer, owner=owner) for _ in range(4)]
        for customer in shared:
            ownership.add_collaborator(customer, manager, by=None, level="view")
        assert set(policy_for(Customer).visible_to(manager)) == set(shared)

    def test_while_a_page_is_read_what_was_shared_is_asked_once(self, person, django_assert_num_queries):
        """For all kinds and rights, and each keeps its own answer."""
        manager, owner = person("销售主管"), person("销售")
        shared = {level: make(Customer, owner=owner) for level in ("view", "change")}
        for level, customer in shared.items():
            ownership.add_collaborator(customer, manager, by=None, level=level)
        contract = make(Contract, owner=owner)
        ownership.add_collaborator(contract, manager, by=None, level="view")
        customers, contracts = policy_for(Customer), policy_for(Contract)
        with reading():
            customers.visible_to(manager)
            with django_assert_num_queries(0):
                found = [customers.visible_to(manager, action) for action in ("view", "change", "delete")]
                found += [contracts.visible_to(manager, action) for action in ("view", "change")]
            assert [set(rows) for rows in found] == [set(shared.values()), {shared["change"]}, set(), {contract}, set()]

    def test_a_right_taken_away_is_gone_at_once(self, person):
        """In the same request, and where people live longer than requests."""
        manager, owner, successor = person("销售主管"), person("销售"), person("销售")
        first, second, third = (make(Customer, owner=owner) for _ in range(3))
        for customer in (first, second, third):
            ownership.add_collaborator(customer, manager, by=None)
        seen = policy_for(Customer).visible_to
        with reading():
            assert set(seen(manager)) == {first, second, third}
            ownership.revoke(first, manager, by=None)
            assert set(seen(manager)) == {second, third}
            ownership.add_collaborator(first, manager, by=None)
            ownership.set_owner(second, successor, by=None)
            assert set(seen(manager)) == {first, second, third}
            assert set(seen(successor)) == {second}
        ownership.revoke(third, manager, by=None)
        assert set(seen(manager)) == {first, second}

    def test_a_right_taken_away_is_gone_in_the_next_request(self, person, browse):
        manager, customer = person("销售主管"), make(Customer, owner=person("销售"))
        ownership.add_collaborator(customer, manager, by=None)
        browser, page = browse(manager), f"/customers/customer/{customer.pk}/change/"
        assert browser.get(page).status_code == 200
        policy_for(Customer).grants.objects.filter(user=manager).delete()
        assert browser.get(page).status_code == 404
        assert not browser.get("/customers/customer/").context_data["cl"].result_count

    @pytest.mark.parametrize("role", ["销售", "销售主管", "销售总监", "管理员", "财务"])
    def test_what_may_be_changed_of_the_rows_of_a_page_is_told_as_the_database_would(self, person, role):
        reader = person(role)
        peer, stranger = person("销售", department=reader.department), person("销售")
        for owner in (reader, peer, stranger, stranger, stranger):
            make(Customer, owner=owner)
        *_, read, written, _ = Customer.objects.order_by("pk")
        ownership.add_collaborator(read, reader, by=None, level="view")
        ownership.add_collaborator(written, reader, by=None, level="change")
        for owner in (peer, stranger, stranger):
            make(Lead, owner=owner, pool=make(LeadPool, admins=[reader] if owner is peer else []))
        for model, actions in ((Customer, ("view", "change", "release")), (Lead, ("view", "change", "assign"))):
            policy = policy_for(model)
            for action in actions:
                expected = set(policy.visible_to(reader, action).values_list("pk", flat=True))
                assert policy.of_these(reader, action, model.objects.valid()) == expected

    def test_removed_records_are_gone_for_everybody(self, person):
        boss = make(User, is_superuser=True)
        customer = make(Customer)
        contact = make(Contact, customer=customer)
        records.remove(customer, by=boss)
        assert not policy_for(Customer).may(boss, "view", customer)
        assert not policy_for(Contact).may(boss, "view", contact)

    def test_what_a_model_does_not_provide_for_nobody_may(self):
        """Accounts are disabled, never deleted; the log is never edited: superusers are no exception."""
        boss = make(User, is_superuser=True)
        assert not policy_for(User).allows(boss, "delete")
        for action in ("add", "change", "delete"):
            assert not policy_for(BusinessLog).allows(boss, action)

    def test_rights_are_read_once_a_request(self, person, django_assert_num_queries):
        user = User.objects.get(pk=person("销售主管").pk)
        access(user)
        with django_assert_num_queries(0):
            for action in ("view", "change", "assign"):
                policy_for(Customer).allows(user, action)
