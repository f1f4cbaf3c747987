import pytest
from django.contrib import admin

from crm.checks import business_models
from tests.factories import FACTORIES, make


def test_every_model_has_a_factory():
    """Without one nobody can test a model in three words, and the contract tests would pass it over."""
    needed = {*business_models(), *admin.site._registry}
    assert {model._meta.label for model in needed} == {model._meta.label for model in FACTORIES}


@pytest.mark.django_db
@pytest.mark.parametrize("model", FACTORIES, ids=lambda model: model.__name__)
def test_a_factory_makes_any_number_of_rows(model):
    assert make(model).pk != make(model).pk
