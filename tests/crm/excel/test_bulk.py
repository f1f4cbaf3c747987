"""The set-wise path writes, field by field, what ``save()`` writes."""

import pytest
from django.db import transaction
from django.utils import timezone

from crm import actor, audit, bulk, ownership
from crm.models import BusinessLog, DictionaryItem, Operation
from customers.models import Contact, Customer, CustomerCategory, CustomerUserObjectPermission, Tag

pytestmark = pytest.mark.django_db

STAMPS = {"id", "created_at", "updated_at", "stage_since", "owned_since"}
STAMPS |= {"history_id", "history_date", "m2m_history_id", "object_id", "root_id"}


def columns(instance, ignore=()):
    fields = instance._meta.concrete_fields
    return {f.attname: f.value_from_object(instance) for f in fields if f.attname not in STAMPS | set(ignore)}


def values(seller):
    level = DictionaryItem.objects.get(type="level", code="A")
    return {
        "name": "深圳市𠮷祥（Ａ）科技有限公司",
        "short_name": "𠮷祥",
        "level_id": level.pk,
        "phone": "0755-8601 2345",
        "tax_rate": "13",
        "registered_capital": "5000000.5",
        "business_types": ["trader", "importer"],
        "licence_no": "９１４４ 0300ma5",
        "is_sinosure": True,
        "satisfaction": 4,
        "owner_id": seller.pk,
        "remark": "第一行\n第二行😀",
    }


@pytest.fixture
def pair(acting):
    """The same customer written by ``save()`` and set-wise."""
    tags = [Tag.objects.create(name="重点"), Tag.objects.create(name="外贸")]
    category = CustomerCategory.objects.create(name="渠道")
    given = values(acting)
    saved = Customer(code="A1", **given)
    saved.save(m2m={"tags": tags, "categories": [category]})
    many = {"tags": [tag.pk for tag in tags], "categories": [category.pk]}
    with transaction.atomic():
        [pk] = bulk.insert(Customer, [{"code": "A2", **given}], m2m=[many])
    return Customer.objects.get(pk=saved.pk), Customer.objects.get(pk=pk)


def test_insert_writes_the_same_columns_as_save(pair):
    saved, written = pair
    ignore = {"code", "code_key"}
    assert columns(written, ignore) == columns(saved, ignore)
    assert written.code_key == "a2"
    assert set(written.tags.all()) == set(saved.tags.all())


def test_insert_writes_the_same_version_as_save(pair):
    saved, written = pair
    ignore = {"code", "code_key", "customer_id", "history_id"}
    one, two = saved.history.get(), written.history.get()
    assert columns(two, ignore) == columns(one, ignore)
    for name in ("tags", "categories"):
        target = f"{name.removesuffix('s').replace('categorie', 'customercategory')}_id"
        assert set(getattr(two, name).values_list(target)) == set(getattr(one, name).values_list(target))


def test_insert_writes_the_same_log_entry_as_save(pair):
    saved, written = pair
    one, two = (BusinessLog.objects.get(object_id=c.pk, operation=Operation.CREATE, business_no=c.code) for c in pair)
    ignore = {"business_no", "changes"}
    assert columns(two, ignore) == columns(one, ignore)
    assert two.changes | {"code": 0} == one.changes | {"code": 0}
    assert two.root_id == written.pk and one.root_id == saved.pk


def test_insert_gives_the_owner_the_grants_that_save_gives(pair):
    rights = [
        set(CustomerUserObjectPermission.objects.filter(content_object=c).values_list("user_id", "permission_id"))
        for c in pair
    ]
    assert rights[0] == rights[1] and len(rights[0]) == 3
    assert not any(found.exists() for found in ownership.disagreements(Customer).values())


def test_update_writes_what_save_writes(pair, acting):
    saved, written = pair
    new_tag = Tag.objects.create(name="新")
    saved.name, saved.tax_rate = "新名称", "9"
    saved.save(m2m={"tags": [new_tag]})
    row = bulk.stored_rows(Customer, [written.pk], lock=False)[written.pk]
    before = bulk.states(Customer, [row])[0]
    row |= {"name": "新名称", "tax_rate": "9"}
    changes = audit.diff({n: before[n] for n in ("name", "tax_rate")}, {"name": "新名称", "tax_rate": "9"})
    changes["tags"] = [sorted(["重点", "外贸"]), ["新"]]
    with transaction.atomic():
        bulk.update(Customer, [row], [changes], m2m=[{"tags": [new_tag.pk]}])
    one, two = Customer.objects.get(pk=saved.pk), Customer.objects.get(pk=written.pk)
    ignore = {"code", "code_key"}
    assert columns(two, ignore) == columns(one, ignore)
    assert two.lock_version == 2
    assert columns(two.history.first(), ignore) == columns(one.history.first(), ignore)
    logs = [
        BusinessLog.objects.filter(object_id=c.pk, operation=Operation.UPDATE, business_no=c.code).get() for c in pair
    ]
    assert columns(logs[1], {"business_no"}) == columns(logs[0], {"business_no"})


def test_parts_are_written_as_save_writes_them(pair):
    saved, written = pair
    Contact.objects.create(customer=saved, name="王芳", mobile="138 0013 8000", position="采购经理")
    row = {"customer_id": written.pk, "name": "王芳", "mobile": "138 0013 8000", "position": "采购经理"}
    row |= {"is_default": True, "default_of_id": written.pk, "mobile_key": "+8613800138000"}
    bulk.insert(Contact, [row])
    one, two = saved.contacts.get(), written.contacts.get()
    ignore = {"customer_id", "default_of_id"}
    assert columns(two, ignore) == columns(one, ignore)
    assert columns(two.history.get(), ignore) == columns(one.history.get(), ignore)
    logs = [BusinessLog.objects.get(object_id=c.pk, object_repr="王芳") for c in (one, two)]
    assert [log.root_id for log in logs] == [saved.pk, written.pk]
    assert logs[0].changes.keys() == logs[1].changes.keys()


def test_any_text_is_written_and_logged_as_it_is(acting):
    texts = ["it's", "back\\slash", "\\'", 'say "yes"', "100%s", "a\0b", "𠮷😀\\", "一\n二", "", "'); --"]
    rows = [{"code": f"T{n}", "name": f"客户{n}", "remark": text} for n, text in enumerate(texts)]
    ids = bulk.insert(Customer, rows)
    stored = bulk.stored_rows(Customer, ids)
    assert [stored[pk]["remark"] for pk in ids] == texts
    versions = dict(Customer.history.filter(id__in=ids).values_list("id", "remark"))
    assert [versions[pk] for pk in ids] == texts
    logged = dict(
        BusinessLog.objects.filter(object_id__in=ids, business_no__startswith="T").values_list("object_id", "changes")
    )
    assert [logged[pk].get("remark") for pk in ids] == [[None, text] if text else None for text in texts]


def test_many_scattered_records_are_all_found(acting):
    ids = bulk.insert(Tag, [{"name": f"标签{n}"} for n in range(2100)])[::2]
    assert list(bulk.stored_rows(Tag, ids)) == ids


def test_delete_leaves_no_row_and_no_grant_but_a_version_and_a_log_entry(pair):
    _, written = pair
    row = bulk.stored_rows(Customer, [written.pk], lock=False)[written.pk]
    bulk.delete(Customer, [row])
    assert not Customer.objects.filter(pk=written.pk).exists()
    assert not CustomerUserObjectPermission.objects.filter(content_object_id=written.pk).exists()
    assert not Tag.customers.through.objects.filter(customer_id=written.pk).exists()
    assert Customer.history.filter(id=written.pk, history_type="-").count() == 1
    assert BusinessLog.objects.filter(object_id=written.pk, operation=Operation.DELETE).count() == 1


def test_moments_are_those_of_the_insertion_not_of_the_process(person):
    """A default that is a moment is taken anew for every insertion."""
    seller, before = person("销售"), []
    for number in range(2):
        before.append(timezone.now())
        with transaction.atomic(), actor.acting(seller):
            bulk.insert(Customer, [{"name": f"客户{number}", "code": f"M{number}", "owner_id": seller.pk}])
    entered = Customer.objects.order_by("pk").values_list("stage_since", flat=True)
    assert all(moment >= start for moment, start in zip(entered, before, strict=True))
