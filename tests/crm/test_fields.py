"""Fields that several domains share."""

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from crm.models import DictionaryItem, User
from customers.models import Customer
from tests.factories import make

pytestmark = pytest.mark.django_db


def test_a_key_follows_its_text_by_every_way_of_saving():
    customer = make(Customer, name="甲 公司")
    assert Customer.objects.get(name_key="甲公司") == customer
    customer.name = "ＡＢ"
    customer.save(update_fields=["name"])
    assert Customer.objects.get(name_key="ab") == customer
    Customer.objects.bulk_create([Customer(name="丙　公司", code="C9")])
    assert Customer.objects.get(name_key="丙公司").code_key == "c9"


def test_an_empty_key_is_null_so_that_blanks_do_not_collide():
    first, second = make(Customer, phone=""), make(Customer, phone="")
    assert (first.phone_key, second.phone_key) == (None, None)


@pytest.mark.parametrize("twin", ["ab01", "ＡＢ０１", "ab 01", "Ab01\u200b"])
def test_codes_that_look_alike_are_one_code(twin):
    make(Customer, code="AB01")
    with pytest.raises(IntegrityError), transaction.atomic():
        make(Customer, code=twin)


@pytest.mark.parametrize(("one", "other"), [("é1", "e1"), ("①", "1x"), ("𠮷", "吉"), ("😀", "😁")])
def test_codes_that_only_a_collation_would_equate_are_two(one, other):
    make(Customer, code=one)
    make(Customer, code=other)
    assert Customer.objects.filter(code_key__isnull=False).count() == 2


@pytest.mark.parametrize("number", ["abc", "12", "13800138000 张三"])
def test_a_telephone_number_that_is_none_is_refused(number):
    field = User._meta.get_field("phone")
    with pytest.raises(ValidationError, match="不是有效的电话号码"):
        field.clean(number, None)


def test_several_choices_are_stored_in_one_order_and_found_one_by_one():
    customer = make(Customer, business_types=["trader", "importer"])
    assert Customer.objects.get().business_types == ["importer", "trader"]
    assert Customer.objects.filter(business_types__contains=",trader,").get() == customer
    assert not Customer.objects.filter(business_types__contains=",retailer,").exists()
    assert Customer._meta.get_field("business_types").labels(["importer", "trader"]) == ["进口商", "贸易商"]


def test_a_choice_that_does_not_exist_is_refused():
    with pytest.raises(ValidationError, match="不在可选范围内"):
        Customer._meta.get_field("business_types").clean(["spaceship"], None)


def test_a_dictionary_field_takes_items_of_its_own_dictionary_only():
    field = Customer._meta.get_field("level")
    with pytest.raises(ValidationError):
        field.clean(make(DictionaryItem, type="industry").pk, None)
    field.clean(make(DictionaryItem, type="level").pk, None)
