"""Company paths of a customer: several a scenario, exactly one of them the default."""

from threading import Barrier

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError

from crm import records
from crm.models import CompanyPath, DictionaryItem
from customers.models import Customer, CustomerPath
from customers.services.paths import default_path
from tests.factories import make
from tests.races import run_together


def scenario(code):
    return DictionaryItem.objects.get(type="path_scenario", code=code)


@pytest.fixture
def customer(db):
    return make(Customer)


@pytest.fixture
def add(customer):
    def added(code="export", **values):
        return make(CustomerPath, customer=customer, scenario=scenario(code), **values)

    return added


def defaults(customer, code="export"):
    rows = CustomerPath.objects.valid().filter(customer=customer, scenario__code=code, is_default=True)
    return list(rows.values_list("pk", flat=True))


def test_each_scenario_has_a_default_of_its_own(customer, add):
    first, second, imported = add(), add(), add("import")
    assert defaults(customer) == [first.pk]
    assert defaults(customer, "import") == [imported.pk]
    assert default_path(customer, "export") == first.path
    assert default_path(customer, "import") == imported.path
    assert default_path(customer, "domestic") is None
    assert second.default_of is None


def test_a_new_default_takes_over_in_its_scenario_only(customer, add):
    add(), add("import")
    newer = add(is_default=True)
    assert defaults(customer) == [newer.pk]
    assert len(defaults(customer, "import")) == 1


def test_the_only_default_cannot_be_unticked(customer, add):
    """Whoever has a path in a scenario has a default there."""
    first = add()
    first.is_default = False
    records.save(first, by=None)
    assert defaults(customer) == [first.pk]


def test_when_the_default_goes_the_oldest_of_the_rest_follows(customer, add):
    first, second, _ = add(), add(), add()
    records.remove(first, by=None)
    assert defaults(customer) == [second.pk]
    assert default_path(customer, "export") == second.path


def test_a_default_that_moves_to_another_scenario_leaves_an_heir_behind(customer, add):
    first, second, imported = add(), add(), add("import")
    first.scenario = scenario("import")
    records.save(first, by=None)
    assert defaults(customer) == [second.pk]
    assert defaults(customer, "import") == [first.pk]
    assert imported.pk not in defaults(customer, "import")


def test_a_path_is_listed_once_a_scenario_and_may_return_after_its_removal(customer, add):
    first = add()
    again = CustomerPath(customer=customer, scenario=first.scenario, path=first.path)
    with pytest.raises(ValidationError, match="已有路径"):
        again.full_clean()
    CustomerPath(customer=customer, scenario=scenario("import"), path=first.path).full_clean()
    records.remove(first, by=None)
    again.full_clean()
    records.save(again, by=None)
    assert defaults(customer) == [again.pk]


def test_a_company_path_in_use_is_not_removed(add):
    with pytest.raises(records.InUse, match="客户公司路径"):
        records.remove(add().path, by=None)


def test_the_seller_changes_paths_on_the_customers_page_and_finance_only_looks(person, browse, customer, add):
    from crm import ownership

    add()
    seller, finance = person("销售"), person("财务")
    ownership.set_owner(customer, seller, by=None)
    url = f"/customers/customer/{customer.pk}/change/"
    assert "customerpaths-0-path" in browse(seller).get(url).content.decode()
    page = browse(finance).get(url).content.decode()
    assert "公司路径" in page
    assert 'name="customerpaths-0-path"' not in page


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_sixteen_people_name_a_default_at_once_and_one_remains():
    customer, export = make(Customer), scenario("export")
    paths = [make(CompanyPath) for _ in range(16)]

    def work(number):
        CustomerPath.objects.create(customer=customer, scenario=export, path=paths[number], is_default=True)

    results = run_together(work)
    assert not [result for result in results if isinstance(result, Exception)]
    assert len(defaults(customer)) == 1
    assert CustomerPath.objects.filter(default_of=customer).count() == 1


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_without_lock_and_marker_several_defaults_remain():
    """Negative control: look for a default, find none, write one; then the same with the marker, which refuses."""
    customer, export = make(Customer), scenario("export")
    paths = [make(CompanyPath) for _ in range(16)]

    def race(marked):
        barrier = Barrier(16)

        def work(number):
            free = not CustomerPath.objects.filter(customer=customer, is_default=True, valid_of=marked).exists()
            barrier.wait()
            row = CustomerPath(customer=customer, scenario=export, path=paths[number], is_default=free)
            row.default_of = row.valid_of = marked
            CustomerPath.objects.bulk_create([row])

        return run_together(work)

    race(None)
    assert CustomerPath.objects.filter(is_default=True).count() > 1
    CustomerPath.objects.all().delete()
    refused = [result for result in race(customer) if result is not None]
    assert len(refused) == 15
    assert all(isinstance(error, IntegrityError) for error in refused)
