"""A form of a new record makes one record, however often it is sent."""

import pytest
from django.test import Client
from django.urls import reverse

from crm.models import SubmittedForm
from customers.models import Tag
from tests.browsing import form_of
from tests.races import run_together

ADD = reverse("admin:customers_tag_add")


@pytest.fixture
def admin(person):
    return person("管理员")


def test_a_form_sent_twice_makes_one_record_and_leads_to_it(admin, browse):
    browser = browse(admin)
    form = form_of(browser, ADD) | {"name": "展会", "_save": "1"}
    assert form["once"]
    browser.post(ADD, form)
    again = browser.post(ADD, form | {"name": "展会2"}, follow=True)
    made = Tag.objects.get()
    assert again.redirect_chain[-1][0] == reverse("admin:customers_tag_change", args=[made.pk])
    assert "没有重复新建" in again.content.decode()


def test_a_corrected_form_is_saved(admin, browse):
    browser = browse(admin)
    form = form_of(browser, ADD) | {"name": "", "_save": "1"}
    assert browser.post(ADD, form).status_code == 200
    assert not SubmittedForm.objects.exists()
    assert browser.post(ADD, form | {"name": "展会"}).status_code == 302 and Tag.objects.count() == 1


def test_another_copy_of_the_form_and_another_person_make_their_own(admin, person, browse):
    browser = browse(admin)
    form = form_of(browser, ADD) | {"name": "一", "_save": "1"}
    browser.post(ADD, form)
    browser.post(ADD, form_of(browser, ADD) | {"name": "二", "_save": "1"})
    browse(person("管理员")).post(ADD, form | {"name": "三"})
    assert Tag.objects.count() == 3


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("with_token", "made"), [(True, 1), (False, 8)], ids=["protected", "negative control"])
def test_sent_by_eight_clicks_at_one_moment(person, with_token, made):
    user = person("管理员")
    browsers = [Client() for _ in range(8)]
    for browser in browsers:
        browser.force_login(user)
    form = form_of(browsers[0], ADD) | {"_save": "1"}
    if not with_token:
        form.pop("once")
    results = run_together(lambda n: browsers[n].post(ADD, form | {"name": f"标签{n}"}).status_code, threads=8)
    assert results == [302] * 8 and Tag.objects.count() == made
