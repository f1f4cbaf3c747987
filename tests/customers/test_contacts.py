"""Contacts, bank accounts and shipping marks of a customer: one default of each kind, one contact per phone."""

from concurrent.futures import ThreadPoolExecutor
from html import unescape
from threading import Barrier

import pytest
from django.core.exceptions import ValidationError
from django.db import Error, IntegrityError, connection, transaction

from crm import records
from crm.models import Record, StaleRecord
from customers.models import BankAccount, Contact, Customer, ShippingMark
from tests.contract.probes import form_values
from tests.factories import make

pytestmark = pytest.mark.django_db
PARTS = pytest.mark.parametrize("model", [Contact, BankAccount])


def defaults(model, customer):
    return list(model.objects.valid().filter(customer=customer, is_default=True).values_list("pk", flat=True))


# --- One default ------------------------------------------------------------------------------------------------------


@PARTS
def test_the_first_one_is_the_default_without_being_told(model):
    customer = make(Customer)
    first = make(model, customer=customer)
    make(model, customer=customer)
    assert defaults(model, customer) == [first.pk]


@PARTS
def test_a_new_default_takes_over_from_the_former_one(model):
    """The change of the former one is a version and a log entry of its own."""
    customer = make(Customer)
    former, latter = make(model, customer=customer), make(model, customer=customer)
    latter.is_default = True
    latter.save()
    assert defaults(model, customer) == [latter.pk]
    assert model.objects.get(pk=former.pk).lock_version == 2
    assert former.history.first().is_default is False


@PARTS
def test_a_default_of_one_customer_is_none_of_anothers_business(model):
    for _ in range(2):
        customer = make(Customer)
        part = make(model, customer=customer)
        assert defaults(model, customer) == [part.pk]


def test_contacts_and_accounts_have_their_defaults_apart():
    customer = make(Customer)
    contact, account = make(Contact, customer=customer), make(BankAccount, customer=customer)
    assert (defaults(Contact, customer), defaults(BankAccount, customer)) == ([contact.pk], [account.pk])


@PARTS
def test_the_database_itself_refuses_a_second_default(model):
    """Whoever gets past ``save`` meets the UNIQUE column."""
    customer = make(Customer)
    make(model, customer=customer)
    second = make(model, customer=customer)
    with pytest.raises(IntegrityError), transaction.atomic():
        model.objects.filter(pk=second.pk).update(is_default=True, default_of=customer)


@PARTS
def test_removing_the_default_leaves_none_until_somebody_names_one(model):
    """Nobody is made the person to write to without being chosen; a new one is the default again."""
    customer = make(Customer)
    first, second = make(model, customer=customer), make(model, customer=customer)
    records.remove(first, by=None)
    assert defaults(model, customer) == []
    second.is_default = True
    second.save()
    assert defaults(model, customer) == [second.pk]
    records.remove(second, by=None)
    assert defaults(model, customer) == []
    third = make(model, customer=customer)
    assert defaults(model, customer) == [third.pk]


def test_on_the_customers_page_another_contact_is_made_default_with_one_tick(person, browse):
    seller = person("销售")
    customer = make(Customer, owner=seller)
    former, latter = make(Contact, customer=customer), make(Contact, customer=customer)
    browser, page = browse(seller), f"/customers/customer/{customer.pk}/change/"
    filled = form_values(browser.get(page), Customer)
    rows = {filled[f"contacts-{n}-id"]: n for n in range(2)}
    filled.pop(f"contacts-{rows[str(former.pk)]}-is_default")
    filled[f"contacts-{rows[str(latter.pk)]}-is_default"] = "on"
    assert browser.post(page, filled).status_code == 302
    assert defaults(Contact, customer) == [latter.pk]


# --- One contact per phone --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("again", ["13800138000", "138 0013 8000", "+86-138-0013-8000", "１３８００１３８０００"])
def test_a_phone_belongs_to_one_contact_of_a_customer_however_it_is_written(again):
    customer = make(Customer)
    make(Contact, customer=customer, name="王芳", mobile="13800138000")
    with pytest.raises(ValidationError) as refused:
        Contact(customer=customer, name="李雷", mobile=again).clean()
    assert refused.value.message_dict == {"mobile": [f"该客户已有手机号为“{again}”的联系人“王芳”。"]}
    with pytest.raises(IntegrityError), transaction.atomic():
        make(Contact, customer=customer, mobile=again)


def test_two_customers_may_share_a_phone_and_contacts_without_phone_are_many():
    for _ in range(2):
        customer = make(Customer)
        make(Contact, customer=customer, mobile="13800138000")
        make(Contact, customer=customer, mobile="")
        make(Contact, customer=customer, mobile="")
    assert Contact.objects.count() == 6


def test_the_phone_of_a_removed_contact_is_free_again():
    customer = make(Customer)
    records.remove(make(Contact, customer=customer, mobile="13800138000"), by=None)
    Contact(customer=customer, name="李雷", mobile="13800138000").clean()
    assert make(Contact, customer=customer, mobile="13800138000").is_default


def test_the_page_says_whose_phone_it_is(person, browse):
    seller = person("销售")
    customer = make(Customer, owner=seller)
    make(Contact, customer=customer, name="王芳", mobile="13800138000")
    values = {"customer": customer.pk, "name": "李雷", "mobile": "138-0013-8000"}
    response = browse(seller).post("/customers/contact/add/", values)
    assert "该客户已有手机号为“138-0013-8000”的联系人“王芳”" in unescape(response.content.decode())


# --- Whose they are ---------------------------------------------------------------------------------------------------


def test_nobody_hangs_a_contact_on_somebody_elses_customer(person, browse):
    foreign = make(Customer, name="别人的公司")
    response = browse(person("销售")).post("/customers/contact/add/", {"customer": foreign.pk, "name": "李雷"})
    assert response.status_code == 200 and "别人的公司" not in unescape(response.content.decode())
    assert not Contact.objects.exists()


def test_a_shipping_mark_keeps_its_lines():
    mark = make(ShippingMark, content="N/M\nSHENZHEN\nC/NO. 1-100")
    assert ShippingMark.objects.get().content.splitlines() == ["N/M", "SHENZHEN", "C/NO. 1-100"]
    assert str(mark) == "N/M"


# --- Races ------------------------------------------------------------------------------------------------------------

THREADS = 8


@pytest.fixture
def race():
    """``race(function)``: what eight threads get that call ``function(number)`` at one moment, or their error."""
    if connection.vendor != "mysql":
        pytest.skip("SQLite 一次只有一个写者")
    barrier = Barrier(THREADS)

    def run(function):
        def one(number):
            try:
                connection.ensure_connection()
                barrier.wait()
                return function(number)
            except (Error, StaleRecord) as error:
                return error
            finally:
                connection.close()

        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(one, range(THREADS)))

    return run


def save_after_a_look(contact):
    """What ``CustomerPart.save`` must not be: look for a default without the customer's lock, then write."""
    with transaction.atomic():
        served = Contact.objects.filter(customer=contact.customer, is_default=True).exists()
        contact.is_default = not served
        Record.save(contact)


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
class TestRaces:
    def test_eight_first_contacts_give_one_default(self, race):
        for _ in range(5):
            customer = make(Customer)
            saved = race(lambda n, c=customer: Contact(customer_id=c.pk, name=f"联系人{n}").save())
            assert saved == [None] * THREADS
            assert len(defaults(Contact, customer)) == 1

    def test_looking_without_the_lock_would_give_several(self, race):
        several = 0
        for _ in range(5):
            customer = make(Customer)
            race(lambda n, c=customer: save_after_a_look(Contact(customer=c, name=f"联系人{n}")))
            several += len(defaults(Contact, customer)) > 1
        assert several

    def test_eight_people_make_eight_contacts_the_default_and_one_is(self, race):
        customer = make(Customer)
        contacts = [make(Contact, customer=customer, is_default=False) for _ in range(THREADS)]

        def choose(number):
            contact = Contact.objects.get(pk=contacts[number].pk)
            contact.is_default = True
            contact.save()

        outcome = race(choose)
        assert all(error is None or isinstance(error, StaleRecord) for error in outcome), outcome
        assert len(defaults(Contact, customer)) == 1

    def test_one_phone_entered_eight_times_at_once_is_one_contact(self, race):
        customer = make(Customer)
        outcome = race(lambda n: Contact(customer_id=customer.pk, name=f"人{n}", mobile="13800138000").save())
        assert sum(error is None for error in outcome) == 1
        assert all(error is None or isinstance(error, IntegrityError) for error in outcome)
        assert Contact.objects.get().mobile == "13800138000"
