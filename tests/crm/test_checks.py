"""The system checks that make a new model right by construction do fire."""

import pytest
from django.contrib import admin
from django.contrib.admin import ModelAdmin as DjangoModelAdmin
from django.db import connection, models
from django.test.utils import isolate_apps

from crm import checks
from crm.admin.base import ModelAdmin
from crm.models import Record
from customers.models import Contact, Customer


def ids(problems):
    return {problem.id for problem in problems}


def found_in(monkeypatch, *model_classes):
    monkeypatch.setattr(checks, "business_models", lambda: iter(model_classes))
    return checks.check_models(None)


def test_the_project_as_it_is_has_no_problem():
    assert checks.check_models(None) == []
    assert checks.check_admin(None) == []


@isolate_apps("customers")
def test_a_model_without_policy_chinese_names_or_log_is_refused(monkeypatch):
    class Bare(models.Model):
        amount = models.IntegerField()

        class Meta:
            app_label = "customers"

    assert ids(found_in(monkeypatch, Bare)) == {"crm.E001", "crm.E002", "crm.E003", "crm.E004"}


@isolate_apps("customers")
def test_a_record_with_chinese_names_lacks_only_its_policy(monkeypatch):
    class Good(Record):
        amount = models.IntegerField("金额")

        class Meta(Record.Meta):
            app_label = "customers"
            verbose_name = "好模型"

    assert ids(found_in(monkeypatch, Good)) == {"crm.E001"}


@pytest.fixture
def registered(monkeypatch):
    """``registered(model, admin_class)`` puts the class in the place of the model's own for one test."""

    def put(model, admin_class):
        monkeypatch.setitem(admin.site._registry, model, admin_class(model, admin.site))
        return ids(checks.check_admin(None))

    return put


def test_a_model_nobody_registered_is_refused(monkeypatch):
    monkeypatch.delitem(admin.site._registry, Contact)
    assert ids(checks.check_admin(None)) == {"crm.E011"}


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"raw_id_fields": ["customer"]}, "crm.E013"),
        ({"list_display": ["name", "position"], "list_editable": ["position"]}, "crm.E014"),
        ({"date_hierarchy": "created_at"}, "crm.E015"),
        ({"list_filter": ["customer"]}, "crm.E016"),
        ({"list_filter": [("customer", admin.RelatedFieldListFilter)]}, "crm.E016"),
        ({"list_filter": [("customer", admin.RelatedOnlyFieldListFilter)]}, None),
        ({"list_filter": ["is_key"]}, None),
    ],
)
def test_an_admin_that_opens_a_side_door_is_refused(attributes, expected, registered):
    assert registered(Contact, type("Bad", (ModelAdmin,), attributes)) == ({expected} if expected else set())


def test_a_related_filter_from_the_theme_is_refused(registered):
    """Its choices list every row of the related table."""
    from unfold.contrib.filters.admin import AutocompleteSelectFilter, RelatedDropdownFilter

    for kind in (RelatedDropdownFilter, AutocompleteSelectFilter):
        assert registered(Contact, type("Bad", (ModelAdmin,), {"list_filter": [("customer", kind)]})) == {"crm.E016"}


def test_a_filter_through_a_relation_is_refused(registered):
    """``customer__name`` lists the names of all customers."""
    assert registered(Contact, type("Bad", (ModelAdmin,), {"list_filter": ["customer__name"]})) == {"crm.E016"}
    deep = {"list_filter": [("customer__owner", admin.RelatedFieldListFilter)]}
    assert registered(Contact, type("Bad", (ModelAdmin,), deep)) == {"crm.E016"}


def test_an_admin_past_our_base_is_refused(registered):
    assert registered(Customer, DjangoModelAdmin) == {"crm.E012"}


@pytest.mark.mysql
@pytest.mark.django_db
class TestDatabaseFacts:
    def problems(self, statement=None):
        with connection.cursor() as cursor:
            if statement:
                cursor.execute(statement)
            return ids(checks.check_database(None, databases=["default"]))

    @pytest.fixture(autouse=True)
    def _restore(self):
        yield
        connection.close()

    def test_the_configured_database_is_fit(self):
        assert self.problems() <= {"crm.W024"}

    def test_repeatable_read_is_refused(self):
        """Its snapshot makes a row lock worthless: 39 of 40 limit checks overran."""
        assert "crm.E021" in self.problems("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")

    def test_a_forgiving_mode_is_refused(self):
        assert "crm.E022" in self.problems("SET SESSION sql_mode = ''")
