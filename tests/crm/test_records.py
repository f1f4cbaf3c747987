"""Saving and removing: one version and one log entry per edit, nobody's change is lost, what is in use stays."""

import pytest
from django.core.exceptions import PermissionDenied

from crm import actor, records
from crm.models import BusinessLog, Company, Department, DictionaryItem, Operation, Role, StaleRecord, User
from customers.models import BankAccount, Contact, Customer, CustomerCategory, RealCustomer, Tag
from tests.factories import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def clerk(person):
    return person("管理员")


def entries(obj):
    return BusinessLog.objects.filter(object_id=obj.pk, content_type__model=obj._meta.model_name).order_by("id")


def test_a_new_record_is_stamped_versioned_and_logged_once(clerk):
    customer = records.save(Customer(name="甲公司", code="C1"), by=clerk)
    entry = entries(customer).get()
    assert (customer.created_by, customer.updated_by, customer.lock_version) == (clerk, clerk, 1)
    assert (entry.operation, entry.user, entry.version, entry.business_no) == (Operation.CREATE, clerk, 1, "C1")
    assert entry.changes["name"] == [None, "甲公司"]
    assert customer.history.get().history_type == "+"


def test_an_edit_is_one_version_and_one_entry_with_old_and_new(clerk):
    customer = make(Customer, name="甲公司")
    customer.name, customer.address = "乙公司", "深圳"
    with actor.acting(clerk, ip="10.1.2.3"):
        customer.save()
    entry = entries(customer).last()
    assert entry.changes == {"name": ["甲公司", "乙公司"], "address": ["", "深圳"]}
    assert (entry.operation, entry.ip, entry.version) == (Operation.UPDATE, "10.1.2.3", 2)
    version = customer.history.first()
    assert (version.name, version.lock_version, version.history_user, version.ip) == ("乙公司", 2, clerk, "10.1.2.3")
    assert customer.history.count() == entries(customer).count() == 2


def test_an_unchanged_save_writes_nothing():
    customer = make(Customer)
    before = customer.updated_at
    customer.save()
    Customer.objects.get(pk=customer.pk).save()
    assert customer.history.count() == entries(customer).count() == 1
    assert Customer.objects.get(pk=customer.pk).updated_at == before


def test_equal_values_typed_differently_are_no_change():
    customer = make(Customer, tax_rate="13.00", address="")
    customer.tax_rate, customer.address = 13, ""
    customer.save()
    assert entries(customer).count() == 1


def test_tags_and_columns_edited_together_are_one_version_and_one_entry():
    old, new = make(Tag, name="旧"), make(Tag, name="新")
    customer = make(Customer, tags=[old])
    customer.address = "深圳"
    customer.save(m2m={"tags": [new], "categories": []})
    entry = entries(customer).last()
    assert entry.changes == {"address": ["", "深圳"], "tags": [["旧"], ["新"]]}
    assert customer.history.count() == entries(customer).count() == 2
    assert [row.tag for row in customer.history.first().tags.all()] == [new]


def test_tags_alone_are_a_version_and_the_same_tags_again_are_none():
    tag = make(Tag)
    customer = make(Customer)
    customer.save(m2m={"tags": [tag]})
    customer.save(m2m={"tags": [tag]})
    assert customer.lock_version == 2
    assert customer.history.count() == entries(customer).count() == 2


def test_a_stale_copy_is_refused_with_what_changed_meanwhile():
    customer = make(Customer, address="深圳")
    mine, theirs = Customer.objects.get(), Customer.objects.get()
    theirs.address = "广州"
    theirs.save()
    mine.postcode = "518000"
    with pytest.raises(StaleRecord) as stale:
        mine.save()
    assert stale.value.changes == {"address": ["广州", "深圳"], "postcode": ["", "518000"]}
    assert (Customer.objects.get().address, Customer.objects.get().postcode) == ("广州", "")
    assert customer.history.count() == 2


def test_saving_some_columns_logs_only_these_and_keeps_their_keys():
    customer = make(Customer, name="甲公司", phone="")
    customer.name, customer.phone, customer.address = "Ｂ公司", "138 0013 8000", "not saved"
    customer.save(update_fields=["name", "phone"])
    stored = Customer.objects.get()
    assert (stored.name_key, stored.phone_key, stored.address) == ("b公司", "+8613800138000", "")
    assert set(entries(customer).last().changes) == {"name", "phone"}


def test_everything_rolls_back_together(clerk):
    customer = make(Customer, address="深圳")
    customer.address = "广州"
    with pytest.raises(RuntimeError), records.transaction.atomic():
        records.save(customer, by=clerk)
        raise RuntimeError
    assert Customer.objects.get().address == "深圳"
    assert customer.history.count() == entries(customer).count() == 1


# --- Secrets ----------------------------------------------------------------------------------------------------------


def test_a_password_is_saved_and_logged_as_changed_but_never_written_down():
    user = make(User)
    user.set_password("correct-horse")
    user.save()
    assert User.objects.get(pk=user.pk).check_password("correct-horse")
    assert entries(user).last().changes == {"password": ["******", "******"]}
    logged = str(list(BusinessLog.objects.values()))
    assert user.password not in logged
    assert "correct-horse" not in logged


def test_logging_in_is_no_edit():
    user = make(User)
    version = user.lock_version
    user.last_login = user.created_at
    user.save(update_fields=["last_login"])
    stored = User.objects.get(pk=user.pk)
    assert (stored.lock_version, stored.last_login) == (version, user.created_at)


# --- The log ----------------------------------------------------------------------------------------------------------


def test_the_log_is_append_only():
    entry = entries(make(Customer)).get()
    for attempt in (
        lambda: BusinessLog.objects.all().delete(),
        lambda: BusinessLog.objects.update(remark="x"),
        entry.delete,
        entry.save,
    ):
        with pytest.raises(TypeError, match="只能追加"):
            attempt()


def test_an_entry_about_a_part_belongs_to_its_root():
    contact = make(Contact)
    entry = entries(contact).get()
    assert (entry.root_type.model, entry.root_id) == ("customer", contact.customer_id)
    assert entry.business_no == contact.customer.code


def test_acting_inside_acting_keeps_address_and_batch(clerk):
    with actor.acting(clerk, ip="10.1.1.1", batch="B1"), actor.acting(None, reason="导入"):
        customer = make(Customer)
    entry = entries(customer).get()
    assert (entry.user, entry.ip, entry.batch, entry.remark) == (clerk, "10.1.1.1", "B1", "导入")
    assert (customer.history.get().batch, customer.history.get().history_change_reason) == ("B1", "导入")


def test_what_nobody_did_was_done_by_the_system():
    entry = entries(make(Customer, owner=None)).get()
    assert (entry.user, entry.user_name) == (None, "系统")


# --- Removing ---------------------------------------------------------------------------------------------------------


def test_removing_keeps_the_row_out_of_sight_and_says_so_in_the_log(clerk):
    tag = make(Tag)
    records.remove(tag, by=clerk, reason="重复")
    assert not Tag.objects.get().is_valid
    assert not Tag.objects.valid().exists()
    entry = entries(tag).last()
    assert (entry.operation, entry.remark, entry.changes) == (Operation.DELETE, "重复", {"is_valid": [True, False]})


def test_removing_needs_the_right(person):
    tag = make(Tag)
    with pytest.raises(PermissionDenied):
        records.remove(tag, by=person("销售"))
    assert Tag.objects.get().is_valid


@pytest.mark.parametrize(
    ("used", "user"),
    [
        (lambda: make(DictionaryItem, type="level"), lambda item: make(Customer, level=item)),
        (lambda: make(RealCustomer), lambda real: make(Customer, real_customer=real)),
        (lambda: make(Company), lambda company: make(BankAccount, payee=company)),
        (lambda: make(Department), lambda department: make(User, department=department)),
        (lambda: make(Tag), lambda tag: make(Customer, tags=[tag])),
        (lambda: make(CustomerCategory), lambda category: make(Customer, categories=[category])),
        (lambda: make(Role), lambda role: make(User, groups=[role])),
    ],
    ids=["dictionary", "real customer", "company", "department", "tag", "category", "role"],
)
def test_what_is_in_use_cannot_be_removed(used, user, clerk):
    clerk.is_superuser = True
    obj = used()
    holder = user(obj)
    with pytest.raises(records.InUse) as refused:
        records.remove(obj, by=clerk)
    assert f"1 条{holder._meta.verbose_name}" in refused.value.messages[0]
    assert type(obj).objects.filter(pk=obj.pk).exists()


def test_what_only_removed_records_use_can_be_removed(clerk):
    real = make(RealCustomer)
    records.remove(make(Customer, real_customer=real), by=clerk)
    records.remove(real, by=clerk)
    assert not RealCustomer.objects.get().is_valid


def test_a_role_that_nobody_holds_is_removed_for_good_and_logged(clerk):
    role = make(Role, name="临时")
    records.remove(role, by=clerk)
    assert not Role.objects.filter(name="临时").exists()
    entry = BusinessLog.objects.filter(content_type__model="role").latest("id")
    assert (entry.operation, entry.object_repr, entry.changes["name"]) == (Operation.DELETE, "临时", ["临时", None])


def test_a_removed_customer_takes_its_parts_out_of_sight(clerk, browse):
    contact = make(Contact, name="王五")
    records.remove(contact.customer, by=clerk)
    assert browse(clerk).get(f"/customers/contact/{contact.pk}/change/").status_code == 404
    assert "王五" not in browse(clerk).get("/customers/contact/").content.decode()


def test_a_removed_code_stays_taken(clerk):
    """Numbers and codes are never used again: an old document must not point to a new customer."""
    records.remove(make(Customer, code="C1"), by=clerk)
    with pytest.raises(records.ValidationError, match="已被使用"):
        Customer(name="新客户", code="ｃ1").clean()


def test_the_page_refuses_to_remove_what_is_in_use(clerk, browse):
    tag = make(Tag, name="重点")
    make(Customer, tags=[tag])
    response = browse(clerk).post(f"/customers/tag/{tag.pk}/delete/", {"post": "yes"}, follow=True)
    assert "“重点”还被1 条客户使用，不能删除" in response.content.decode()
    assert Tag.objects.get().is_valid
