"""Whoever waits too long for records that others hold is told so; nothing of his is half done."""

import threading

import pytest
from django.db import OperationalError, connection, transaction
from django.test import RequestFactory
from django.urls import reverse

from crm.middleware import BusyMiddleware
from customers.models import Tag
from tests.browsing import form_of
from tests.factories import make

SPOKEN = "什么都没有保存"


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_a_change_that_waits_for_a_lock_in_vain_says_so_and_changes_nothing(person, browse):
    browser, tag = browse(person("管理员")), make(Tag, name="旧")
    address = reverse("admin:customers_tag_change", args=[tag.pk])
    form = form_of(browser, address) | {"name": "新", "_save": "1"}
    held, done = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic():
            Tag.objects.select_for_update().get(pk=tag.pk)
            held.set()
            done.wait(20)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert held.wait(20)
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION innodb_lock_wait_timeout = 1")
        answer = browser.post(address, form)
    finally:
        done.set()
        holder.join()
    assert answer.status_code == 503 and answer["Retry-After"] and SPOKEN in answer.content.decode()
    tag.refresh_from_db()
    assert tag.name == "旧"
    assert browser.post(address, form).status_code == 302
    tag.refresh_from_db()
    assert tag.name == "新"


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (OperationalError(1205, "Lock wait timeout exceeded"), True),
        (OperationalError(1213, "Deadlock found"), True),
        (OperationalError("database is locked"), True),
        (OperationalError(2002, "Can't connect"), False),
        (OperationalError(), False),
        (ValueError("is locked"), False),
    ],
)
def test_only_locks_are_called_so(error, shown):
    answer = BusyMiddleware(None).process_exception(RequestFactory().get("/"), error)
    assert (answer is not None) == shown
