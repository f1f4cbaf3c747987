"""Merging: of duplicates one customer stays, nothing is lost, and it can be taken back."""

from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.urls import reverse
from django.utils import timezone

from crm import ownership
from crm.models import ApprovalRequest, BusinessLog, Operation
from crm.policies import policy_for
from customers.models import (
    BankAccount,
    CancelKey,
    Contact,
    CreditLimit,
    Customer,
    CustomerAttachment,
    CustomerLink,
    CustomerMerge,
    CustomerPath,
    Interaction,
    OwnershipPeriod,
    PoolRule,
    Tag,
    VisitPlan,
)
from customers.services import merge_ledger, merging, unmerging
from sales.models import FollowUp, Lead
from tests.factories import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def boss(person):
    PoolRule.objects.all().delete()
    return person("管理员", full_name="彭勇")


@pytest.fixture
def sellers(person):
    return [person("销售", full_name=name) for name in ("张伟", "王芳")]


@pytest.fixture
def pair(sellers, boss):
    return [make(Customer, name=name, owner=owner) for name, owner in zip(("甲公司", "乙公司"), sellers, strict=True)]


@pytest.fixture(autouse=True)
def _owners_and_grants_agree(db):
    yield
    for model in ownership.owned_models():
        assert not any(rows.exists() for rows in ownership.disagreements(model).values()), model


def stored(obj):
    return type(obj)._base_manager.get(pk=obj.pk)


def merged(pair, boss, **values):
    outcome = merging.merge(pair, pair[0], by=boss, **values)
    return outcome.merges[0]


BOOKKEEPING = {"lock_version", "updated_at", "updated_by_id"}


def picture(*customers):
    """Every row of every table that points to one of the customers, them and their grants included."""
    found = {}
    for key, column in merge_ledger.relations().items():
        if column.model is not CustomerMerge and column.model is not OwnershipPeriod:
            rows = column.model._base_manager.filter(**{f"{column.name}__in": customers})
            found[key] = {row["id"]: {k: v for k, v in row.items() if k not in BOOKKEEPING} for row in rows.values()}
    for customer in customers:
        row = Customer._base_manager.filter(pk=customer.pk).values().get()
        found[customer.pk] = {k: v for k, v in row.items() if k not in BOOKKEEPING}
        found[customer.pk, "labels"] = sorted(stored(customer).tags.values_list("pk", flat=True))
        grants = policy_for(Customer).grants.objects.filter(content_object=customer)
        found[customer.pk, "grants"] = sorted(grants.values_list("user_id", "permission_id"))
    return found


# --- Nothing is forgotten ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", sorted(merge_ledger.relations()))
def test_whatever_points_to_a_customer_moves_or_is_said_to_stay(key, pair, boss):
    """Fails for a new foreign key whose rows a merge would leave behind on a removed customer."""
    survivor, loser = pair
    column = merge_ledger.relations()[key]
    if dict(merge_ledger.MERGES).get(key) is merge_ledger.stays:
        return
    row = make(column.model, **{column.name: loser})
    column.model._base_manager.filter(pk=row.pk).update(**{column.name: loser})  # an invoice takes its contract's
    done = merged(pair, boss)
    assert getattr(stored(row), column.attname) == survivor.pk
    unmerging.undo(done, by=boss)
    assert getattr(stored(row), column.attname) == loser.pk


def test_what_is_said_to_stay_exists():
    known = merge_ledger.relations()
    assert not [key for key, _ in merge_ledger.MERGES if key not in known]


def test_what_points_to_a_customer_and_is_no_record_is_known():
    """Grants and labels are handled with the customer itself, journals say how they move; logs that machines write tell
    of the one customer."""
    others = {
        relation.related_model._meta.label
        for relation in Customer._meta.get_fields(include_hidden=True)
        if relation.auto_created and not relation.concrete and relation.one_to_many
        if f"{relation.related_model._meta.label}.{relation.field.name}" not in merge_ledger.relations()
        if not relation.related_model.__name__.startswith("Historical")
    }
    own = {"Customer_categories", "Customer_tags", "CustomerUserObjectPermission"}
    logs = {"tracking.ApiCall", "tracking.Reply"}
    assert others == {f"customers.{name}" for name in own} | logs | {name for name, _ in merging.JOURNALS}


# --- What becomes of the parts ----------------------------------------------------------------------------------------


def test_contacts_of_one_number_are_united_and_named_where_the_other_was(pair, boss):
    survivor, loser = pair
    kept = make(Contact, customer=survivor, name="刘经理", mobile="13800138000")
    gone = make(Contact, customer=loser, name="刘总", mobile="13800138000", wechat="liu", is_default=True)
    other = make(Contact, customer=loser, name="周工", mobile="13800138001")
    talk = make(Interaction, customer=loser, contact=gone)
    merged(pair, boss)
    assert (stored(kept).wechat, stored(kept).name, stored(kept).is_default) == ("liu", "刘经理", True)
    assert not stored(gone).is_valid and stored(talk).contact == kept and stored(talk).customer == survivor
    assert (stored(other).customer, stored(other).is_default) == (survivor, False)
    assert Contact.objects.valid().filter(customer=survivor, is_default=True).count() == 1


def test_one_default_stays_and_the_survivors_limit_counts(pair, boss):
    survivor, loser = pair
    for customer, amount in ((survivor, "100"), (loser, "999")):
        make(BankAccount, customer=customer)
        make(CreditLimit, customer=customer, currency="CNY", amount=amount)
    make(CreditLimit, customer=loser, currency="USD", amount="50")
    done = merged(pair, boss)
    assert BankAccount.objects.valid().filter(customer=survivor).count() == 2
    assert BankAccount.objects.valid().filter(customer=survivor, is_default=True).count() == 1
    limits = dict(CreditLimit.objects.valid().filter(customer=survivor).values_list("currency", "amount"))
    assert {currency: int(amount) for currency, amount in limits.items()} == {"CNY": 100, "USD": 50}
    assert any("999.00" in line and "100.00" in line for line in done.left)


def test_same_paths_keys_and_ties_are_not_doubled(pair, boss):
    survivor, loser = pair
    path = make(CustomerPath, customer=survivor)
    make(CustomerPath, customer=loser, scenario=path.scenario, path=path.path)
    for customer in pair:
        make(CancelKey, customer=customer, app_key="K1")
    third = make(Customer)
    ties = [make(CustomerLink, customer=survivor, linked=loser), make(CustomerLink, customer=survivor, linked=third)]
    ties += [make(CustomerLink, customer=loser, linked=third), make(CustomerLink, customer=third, linked=loser)]
    done = merged(pair, boss)
    assert CustomerPath.objects.valid().filter(customer=survivor).count() == 1
    assert [stored(tie).is_valid for tie in ties] == [False, True, False, True] and stored(ties[3]).linked == survivor
    assert len(done.left) == 2


def test_chosen_values_tags_and_the_later_times_survive(pair, boss):
    survivor, loser = pair
    now = timezone.now()
    Customer.objects.filter(pk=loser.pk).update(last_deal_at=now, address="新地址", phone="13900000000")
    tags = [make(Tag), make(Tag)]
    survivor.save(m2m={"tags": tags[:1]})
    stored(loser).save(m2m={"tags": tags})
    make(FollowUp, customer=loser, time=now - timedelta(hours=1), next_time=now + timedelta(days=1))
    merged(pair, boss, choices={"address": loser, "code": loser}, reason="同一家")
    now_is = stored(survivor)
    assert (now_is.address, now_is.phone, now_is.code) == ("新地址", survivor.phone, survivor.code)
    assert set(now_is.tags.all()) == set(tags)
    assert now_is.last_deal_at == now and now_is.last_followed_at and now_is.next_follow_at


def test_the_loser_is_removed_its_period_says_why_and_its_people_work_on(pair, boss, sellers, person):
    survivor, loser = pair
    viewer = person("销售")
    ownership.add_collaborator(loser, viewer, by=None, level="view")
    merged(pair, boss, reason="同一家")
    assert not stored(loser).is_valid and stored(loser).owner is None
    assert loser.ownership_periods.get().get_ended_display() == "合并"
    assert f"已并入 {survivor.code}：同一家" in loser.ownership_periods.get().reason
    assert stored(survivor).owner == sellers[0]
    assert ownership.collaborators(stored(survivor)) == {sellers[1].pk: "change", viewer.pk: "view"}
    remarks = list(BusinessLog.objects.filter(operation=Operation.MERGE).values_list("remark", flat=True))
    assert f"并入“乙公司”（{loser.code}）：同一家" in remarks and f"已并入 {survivor.code}：同一家" in remarks


def test_the_former_owners_bookmarks_lead_to_the_survivor_or_nowhere(pair, boss, sellers, browse, person):
    survivor, loser = pair
    file = make(CustomerAttachment, customer=loser)
    version = loser.history.latest().pk
    merged(pair, boss)
    page = reverse("admin:customers_customer_change", args=[loser.pk])
    assert browse(sellers[1]).get(page).url == reverse("admin:customers_customer_change", args=[survivor.pk])
    stranger = browse(person("销售"))
    pages = [page, reverse("admin:customers_customer_version", args=[loser.pk, version])]
    pages += [reverse("admin:customers_customer_history", args=[loser.pk])]
    pages += [reverse("admin:customers_customerattachment_change", args=[file.pk])]
    assert {stranger.get(address).status_code for address in pages} == {404}
    assert {browse(sellers[1]).get(address).status_code for address in pages[1:3]} == {404}


def test_three_become_one_at_once(pair, boss):
    third = make(Customer, owner=None)
    contacts = [make(Contact, customer=customer) for customer in (*pair, third)]
    outcome = merging.merge([*pair, third], pair[0], by=boss)
    assert len(outcome.merges) == 2 and {stored(contact).customer for contact in contacts} == {pair[0]}
    assert merging.successor(third.pk) == pair[0]


# --- What is refused --------------------------------------------------------------------------------------------------


def test_a_rehearsal_tells_what_would_happen_and_does_nothing(pair, boss):
    make(Contact, customer=pair[1])
    before = picture(*pair)
    outcome = merging.merge(pair, pair[0], by=boss, rehearse=True)
    assert outcome.moved == {"联系人": 1}
    assert picture(*pair) == before and not CustomerMerge.objects.exists()


def test_an_open_request_about_the_loser_blocks(pair, boss):
    request = make(ApprovalRequest, target_id=pair[1].pk)
    with pytest.raises(merging.MergeError, match="审批在途"):
        merged(pair, boss)
    ApprovalRequest.objects.filter(pk=request.pk).update(state="withdrawn")
    assert merged(pair, boss)


def test_both_must_be_within_reach_with_the_right(pair, boss, sellers, person):
    manager = person("销售主管", department=sellers[0].department)
    with pytest.raises(PermissionDenied):
        merged(pair, manager)
    with pytest.raises(PermissionDenied):
        merged(pair, sellers[0])
    sellers[1].department = sellers[0].department
    sellers[1].save()
    assert merged(pair, type(manager).objects.get(pk=manager.pk))


def test_an_approved_customer_takes_another_in_only_by_who_may_revise_it(pair, boss, sellers, person):
    manager = person("销售总监", department=None)
    director = person("管理员")
    for customer in pair:
        Customer.objects.filter(pk=customer.pk).update(review_status="approved")
    approved = [stored(customer) for customer in pair]
    with pytest.raises((merging.MergeError, PermissionDenied)):
        merging.merge(approved, approved[0], by=manager)
    assert merging.merge(approved, approved[0], by=director).merges


def test_one_in_the_sea_does_not_swallow_one_that_somebody_owns(pair, boss):
    sea = make(Customer, owner=None)
    with pytest.raises(merging.MergeError, match="公海"):
        merging.merge([sea, pair[0]], sea, by=boss)
    assert merging.merge([sea, pair[0]], pair[0], by=boss).merges


def test_a_customer_merged_meanwhile_is_not_merged_again(pair, boss):
    merged(pair, boss)
    with pytest.raises(merging.MergeError, match="刷新"):
        merged(pair, boss)


# --- Parting again ----------------------------------------------------------------------------------------------------


def furnish(survivor, loser, person):
    """A bit of everything, with conflicts."""
    now = timezone.now()
    for customer in (survivor, loser):
        contact = make(Contact, customer=customer, mobile="13800138000")
        make(Contact, customer=customer)
        make(BankAccount, customer=customer), make(BankAccount, customer=customer)
        make(CreditLimit, customer=customer, currency="CNY")
        make(CustomerPath, customer=customer), make(CustomerPath, customer=customer)
        make(CancelKey, customer=customer, app_key="K1")
        make(Interaction, customer=customer, contact=contact)
        make(VisitPlan, customer=customer, contact=contact)
        make(FollowUp, customer=customer, next_time=now + timedelta(days=2))
        make(Lead, customer=customer)
        ownership.add_collaborator(customer, person("销售"), by=None, level="view")
        stored(customer).save(m2m={"tags": [make(Tag)]})
    make(CustomerLink, customer=loser, linked=survivor)
    make(CreditLimit, customer=loser, currency="USD")
    Customer.objects.filter(pk=loser.pk).update(
        last_deal_at=now, protected_until=timezone.localdate() + timedelta(days=5), address="乙地址"
    )
    return stored(survivor), stored(loser)


def test_undoing_restores_every_row_value_and_grant(pair, boss, person):
    survivor, loser = furnish(*pair, person)
    before = picture(survivor, loser)
    done = merged([survivor, loser], boss, choices={"address": loser, "phone": loser})
    assert picture(survivor, loser) != before
    assert unmerging.changed_since(done) == [] == unmerging.undo(done, by=boss)
    assert picture(survivor, loser) == before
    with pytest.raises(merging.MergeError, match="撤销"):
        unmerging.undo(done, by=boss)
    assert merged([stored(survivor), stored(loser)], boss), "撤销之后可以再合并"


def test_what_was_changed_since_stays_and_is_listed_beforehand(pair, boss):
    survivor, loser = pair
    touched, other = make(Contact, customer=loser, name="周工"), make(Contact, customer=loser, name="吴工")
    Customer.objects.filter(pk=loser.pk).update(address="乙地址")
    done = merged([survivor, stored(loser)], boss, choices={"address": loser})
    contact = stored(touched)
    contact.position = "厂长"
    contact.save()
    kept = stored(survivor)
    kept.address = "更新的地址"
    kept.save()
    done = stored(done)
    listed = unmerging.changed_since(done)
    assert len(listed) == 2 and "周工" in listed[0] and "地址" in listed[1]
    assert unmerging.undo(done, by=boss) == listed
    assert (stored(touched).customer, stored(other).customer) == (survivor, loser)
    assert stored(survivor).address == "更新的地址"


def test_a_survivor_that_was_merged_itself_is_parted_last_first(pair, boss):
    third = make(Customer, owner=pair[0].owner)
    first = merged(pair, boss)
    second = merging.merge([stored(pair[0]), third], third, by=boss).merges[0]
    assert merging.successor(pair[1].pk) == third
    with pytest.raises(PermissionDenied):
        unmerging.undo(first, by=boss)
    unmerging.undo(second, by=boss)
    unmerging.undo(first, by=boss)
    assert all(stored(customer).is_valid for customer in (*pair, third))


def test_an_owner_who_has_left_gets_nothing_back(pair, boss, sellers):
    done = merged(pair, boss)
    sellers[1].is_active = False
    sellers[1].save()
    assert "已停用" in unmerging.undo(done, by=boss)[0]
    assert stored(pair[1]).owner is None and stored(pair[1]).is_valid


# --- Pages ------------------------------------------------------------------------------------------------------------


def test_the_pages_lead_from_the_list_to_the_merge_and_back(pair, boss, browse):
    make(Contact, customer=pair[1])
    browser, listing = browse(boss), reverse("admin:customers_customer_changelist")
    ticked = {"action": "merge_selected", "_selected_action": [customer.pk for customer in pair]}
    page = browser.post(listing, ticked).url
    assert "2 到 5" in browser.post(listing, {**ticked, "_selected_action": [pair[0].pk]}, follow=True).content.decode()
    shown = browser.get(page)
    names = {row["name"]: row["source"] for row in shown.context["comparison"]}
    assert names["name"] == pair[0]
    chosen = {"survivor": pair[0].pk, "value_name": pair[1].pk}
    preview = browser.post(page, chosen)
    assert preview.context["outcome"].moved == {"联系人": 1} and stored(pair[1]).is_valid
    answer = browser.post(page, {**chosen, "confirmed": "1", "reason": "同一家"})
    assert answer.url == reverse("admin:customers_customer_change", args=[pair[0].pk])
    assert stored(pair[0]).name == "乙公司" and not stored(pair[1]).is_valid
    done = CustomerMerge.objects.get()
    assert "撤销合并" in browser.get(reverse("admin:customers_customermerge_change", args=[done.pk])).content.decode()
    browser.post(reverse("admin:customers_customermerge_undo", args=[done.pk]))
    assert stored(pair[0]).name == "甲公司" and stored(pair[1]).is_valid


def test_a_page_about_foreign_customers_does_not_exist(pair, person, browse):
    manager = person("销售主管", department=pair[0].owner.department)
    page = reverse("admin:customers_customer_merge")
    both = f"{page}?id={pair[0].pk}&id={pair[1].pk}"
    assert browse(manager).get(both).status_code == 404
    assert browse(manager).post(both, {"survivor": pair[0].pk, "confirmed": "1"}).status_code == 404
    assert browse(pair[0].owner).get(both).status_code == 403
    assert browse(manager).get(page).status_code == 404
