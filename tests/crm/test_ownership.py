"""Owner column, row grants, version and log change together, and only through crm.ownership."""

import pytest
from django.core.exceptions import PermissionDenied

from crm import ownership
from crm.models import BusinessLog, Operation, User
from crm.policies import policy_for
from customers.models import Customer, CustomerUserObjectPermission
from tests.factories import make

pytestmark = pytest.mark.django_db


def fresh(user):
    """``user`` as the next request loads him."""
    return User.objects.get(pk=user.pk)


def may(user, action, obj):
    return policy_for(type(obj)).may(fresh(user), action, obj)


def sees(user):
    return set(policy_for(Customer).visible_to(fresh(user)))


@pytest.fixture
def seller(person):
    return person("销售")


@pytest.fixture
def customer(seller):
    return make(Customer, owner=seller)


@pytest.fixture
def manager(person, seller):
    return person("销售主管", department=seller.department)


def assert_agreement():
    found = ownership.disagreements(Customer)
    assert not found["missing"]
    assert not found["stray"]


def test_who_creates_a_record_as_its_owner_may_do_what_owners_do(customer, seller):
    assert sees(seller) == {customer}
    assert customer.grants.filter(user=seller).count() == 3
    assert_agreement()


def test_an_owner_without_his_grants_is_out_at_the_next_request(customer, seller, browse):
    """The row right is the access: the owner column alone opens nothing."""
    page = f"/customers/customer/{customer.pk}/change/"
    browser = browse(seller)
    assert browser.get(page).status_code == 200
    customer.grants.filter(user=seller).delete()
    assert browser.get(page).status_code == 404
    assert customer.name not in browser.get("/customers/customer/").content.decode()
    ownership.repair(Customer)
    assert browser.get(page).status_code == 200


def test_a_new_owner_takes_everything_and_the_former_one_keeps_nothing(customer, seller, manager, person):
    heir = person("销售", department=seller.department)
    ownership.set_owner(customer, heir, by=manager, reason="离职交接")
    assert sees(heir) == {customer}
    assert sees(seller) == set()
    assert Customer.objects.get().owner == heir
    assert_agreement()


def test_a_change_of_owner_is_one_version_and_one_entry(customer, seller, manager, person):
    heir = person("销售", department=seller.department)
    ownership.set_owner(customer, heir, by=manager, reason="离职交接")
    entry = BusinessLog.objects.filter(object_id=customer.pk, operation=Operation.OWNERSHIP).get()
    assert entry.changes == {"owner": [seller.pk, heir.pk]}
    assert (entry.user, entry.remark, entry.version) == (manager, "离职交接", 2)
    assert customer.history.count() == 2
    assert customer.history.first().owner == heir


def test_the_same_owner_again_changes_nothing(customer, seller, manager):
    before = BusinessLog.objects.count()
    ownership.set_owner(customer, seller, by=manager)
    assert BusinessLog.objects.count() == before


def test_a_record_may_be_left_without_an_owner(customer, seller, manager):
    ownership.set_owner(customer, None, by=manager)
    assert sees(seller) == set()
    assert not customer.grants.exists()
    assert_agreement()


def test_nobody_disabled_becomes_owner_or_collaborator(customer, manager, person):
    leaver = person("销售", is_active=False)
    with pytest.raises(ownership.OwnershipError, match="已停用"):
        ownership.set_owner(customer, leaver, by=manager)
    with pytest.raises(ownership.OwnershipError, match="已停用"):
        ownership.add_collaborator(customer, leaver, by=manager)


def test_assigning_needs_the_right_and_the_row(customer, seller, person):
    elsewhere = person("销售主管")
    for by in (seller, elsewhere):
        with pytest.raises(PermissionDenied):
            ownership.set_owner(customer, by, by=fresh(by))
    assert Customer.objects.get().owner == seller


def test_a_reader_reads_an_editor_edits_and_neither_does_what_owners_do(customer, seller, person):
    reader, editor = person("销售主管"), person("销售主管")
    ownership.add_collaborator(customer, reader, by=seller, level="view")
    ownership.add_collaborator(customer, editor, by=seller, level="change")
    rights = {
        name: [
            action
            for action in ("view", "export", "change", "import", "delete", "assign", "share")
            if may(user, action, customer)
        ]
        for name, user in {"reader": reader, "editor": editor}.items()
    }
    assert rights == {"reader": ["view", "export"], "editor": ["view", "export", "change", "import"]}


def test_a_reader_cannot_promote_himself(customer, seller, person):
    """Sharing and assigning by somebody who was only let in to read would hand him the record."""
    reader = person("销售主管")
    ownership.add_collaborator(customer, reader, by=seller, level="view")
    with pytest.raises(PermissionDenied):
        ownership.add_collaborator(customer, reader, by=fresh(reader), level="change")
    with pytest.raises(PermissionDenied):
        ownership.set_owner(customer, reader, by=fresh(reader))
    assert ownership.collaborators(customer) == {reader.pk: "view"}


def test_a_collaborators_level_can_be_changed_and_taken_away(customer, seller, person):
    colleague = person("销售")
    ownership.add_collaborator(customer, colleague, by=seller, level="view")
    ownership.add_collaborator(customer, colleague, by=seller, level="change")
    assert ownership.collaborators(customer) == {colleague.pk: "change"}
    ownership.revoke(customer, colleague, by=seller)
    assert sees(colleague) == set()
    entries = BusinessLog.objects.filter(operation=Operation.OWNERSHIP).order_by("id")
    assert [entry.changes["collaborators"] for entry in entries] == [
        [None, f"{colleague}（只读）"],
        [f"{colleague}（只读）", f"{colleague}（可编辑）"],
        [f"{colleague}（可编辑）", None],
    ]
    assert_agreement()


def test_the_owners_own_rights_are_no_collaboration(customer, seller, manager):
    with pytest.raises(ownership.OwnershipError, match="已是负责人"):
        ownership.add_collaborator(customer, seller, by=manager)
    with pytest.raises(ownership.OwnershipError, match="不能移除"):
        ownership.revoke(customer, seller, by=manager)
    with pytest.raises(ownership.OwnershipError, match="只读或可编辑"):
        ownership.add_collaborator(customer, manager, by=manager, level="everything")


def test_a_collaborator_who_becomes_owner_has_each_right_once(customer, seller, manager, person):
    heir = person("销售", department=seller.department)
    ownership.add_collaborator(customer, heir, by=manager, level="change")
    ownership.set_owner(customer, heir, by=manager)
    assert customer.grants.filter(user=heir).count() == 3
    assert ownership.collaborators(customer) == {}
    assert_agreement()


def test_an_owner_assigned_past_the_module_is_refused(customer, manager):
    customer.owner = manager
    with pytest.raises(TypeError, match=r"crm\.ownership"):
        customer.save()
    assert Customer.objects.get().owner != manager


@pytest.mark.parametrize("field", ["owner", "collaborators"])
def test_the_buttons_of_the_page_answer_nonsense_in_chinese(field, customer, manager, browse):
    for value in ("", "abc", "999999"):
        page = f"/customers/customer/{customer.pk}/{field}/"
        data = {"user": value, "level": "view"} if field == "collaborators" else {"owner": value or "x"}
        response = browse(manager).post(page, data, follow=True)
        assert "请选择一位同事。" in response.content.decode()
    assert CustomerUserObjectPermission.objects.count() == 3


def test_the_buttons_of_the_page_do_their_work(customer, seller, manager, person, browse):
    heir, helper = person("销售", department=seller.department), person("销售")
    page = f"/customers/customer/{customer.pk}"
    browse(seller).post(f"{page}/collaborators/", {"user": helper.pk, "level": "view"})
    assert sees(helper) == {customer}
    browse(seller).post(f"{page}/collaborators/", {"user": helper.pk, "level": "revoke"})
    assert sees(helper) == set()
    assert browse(seller).post(f"{page}/owner/", {"owner": heir.pk}).status_code == 403
    browse(manager).post(f"{page}/owner/", {"owner": heir.pk, "reason": "调岗"})
    assert sees(heir) == {customer}
