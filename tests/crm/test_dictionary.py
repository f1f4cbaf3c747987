"""What users may extend without a developer, and what they may not break by it."""

import pytest
from django.core.exceptions import ValidationError

from crm import setup
from crm.models import DictionaryItem, DictionaryType
from customers.models import Customer
from tests.contract.probes import form_values
from tests.factories import make

pytestmark = pytest.mark.django_db


def test_a_new_installation_has_every_dictionary():
    filled = set(DictionaryItem.objects.values_list("type", flat=True))
    assert filled >= set(DictionaryType.values) - {DictionaryType.POSITION}
    labels = set(DictionaryItem.objects.filter(type="level").values_list("code", flat=True))
    assert labels >= set("SPABC")


def test_what_users_changed_survives_the_next_migrate():
    item = DictionaryItem.objects.filter(type="level").first()
    item.label, item.is_active = "改过的名称", False
    item.save()
    count = DictionaryItem.objects.count()
    setup.load_dictionaries()
    stored = DictionaryItem.objects.get(pk=item.pk)
    assert (stored.label, stored.is_active) == ("改过的名称", False)
    assert DictionaryItem.objects.count() == count


def test_an_item_is_known_by_code_label_and_aliases_however_they_are_typed():
    item = DictionaryItem(type="industry", code="it", label="信息 技术", aliases="ＩＴ业；Software; 软件")
    assert item.names() == ["it", "信息技术", "it业", "software", "软件"]


@pytest.mark.parametrize("values", [{"code": "retail"}, {"label": "零 售"}])
def test_code_and_label_are_unique_within_a_dictionary(values):
    make(DictionaryItem, type="nature", code="retail", label="零售")
    twin = DictionaryItem(**{"type": "nature", "code": "other", "label": "其他", **values})
    with pytest.raises(ValidationError):
        twin.full_clean()
    DictionaryItem(**{"type": "scale", "code": "other", "label": "其他", **values}).full_clean()


@pytest.fixture
def page(person, browse):
    """``page(customer)`` is its form as an administrator's browser shows it."""
    browser = browse(person("管理员"))

    def show(customer):
        return browser, browser.get(f"/customers/customer/{customer.pk}/change/")

    return show


def offered(response, field):
    return set(response.context["adminform"].form.fields[field].queryset)


def test_a_field_offers_the_active_items_of_its_own_dictionary(page):
    active, idle = make(DictionaryItem, type="level"), make(DictionaryItem, type="level", is_active=False)
    other = make(DictionaryItem, type="industry")
    _, response = page(make(Customer, level=None))
    assert active in offered(response, "level")
    assert not {idle, other} & offered(response, "level")


def test_a_retired_item_stays_on_the_records_that_have_it(page):
    """Retiring a choice must not empty it in old records when somebody edits another field."""
    item = make(DictionaryItem, type="level", label="旧级别")
    customer = make(Customer, level=item)
    item.is_active = False
    item.save()
    browser, response = page(customer)
    assert item in offered(response, "level")
    browser.post(response.request["PATH_INFO"], {**form_values(response, Customer), "address": "深圳"})
    stored = Customer.objects.get(pk=customer.pk)
    assert (stored.address, stored.level) == ("深圳", item)


def test_a_value_of_another_dictionary_is_refused(page):
    customer = make(Customer, level=None)
    industry = make(DictionaryItem, type="industry")
    browser, response = page(customer)
    browser.post(response.request["PATH_INFO"], {**form_values(response, Customer), "level": industry.pk})
    assert Customer.objects.get(pk=customer.pk).level is None
