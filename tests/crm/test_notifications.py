"""Messages: told once, to active people, seen by nobody else, counted until they are read."""

from html import unescape

import pytest
from django.core import mail

from crm.models import Notification
from crm.notifications import notify
from tests.factories import make

pytestmark = pytest.mark.django_db
LIST = "/crm/notification/"


@pytest.fixture
def me(person):
    return person("销售", full_name="王芳", email="wangfang@example.com")


@pytest.fixture
def colleague(person):
    return person("销售", full_name="李雷")


def bell(browser):
    """``(count under the bell, count in the sidebar)`` as any page shows them."""
    page = browser.get("/").context
    items = [item for group in page["sidebar_navigation"] for item in group["items"]]
    badge = next(item.get("badge", 0) for item in items if item["link"] == LIST)
    return page["unread_notifications"], int(badge or 0)


def test_one_occasion_is_told_once_to_each(me, colleague):
    assert notify([me], title="合同到期", key="contract:7") == 1
    assert notify([me, colleague], title="合同到期", key="contract:7") == 1
    assert notify([me, colleague], title="合同到期", key="contract:7") == 0
    assert notify([me], title="合同到期", key="contract:8") == 1
    assert [Notification.objects.filter(user=user).count() for user in (me, colleague)] == [2, 1]


def test_what_was_read_is_not_told_again(me, browse):
    notify([me], title="合同到期", key="contract:7")
    browse(me).post(f"{LIST}read-all/")
    assert notify([me], title="合同到期", key="contract:7") == 0


def test_nobody_and_those_who_left_are_not_told(me):
    me.is_active = False
    assert notify([None, me], title="合同到期", key="contract:7") == 0


def test_by_e_mail_only_after_the_commit_and_only_where_it_is_set_up(
    me, colleague, settings, django_capture_on_commit_callbacks
):
    settings.SITE_URL = "https://crm.example.com"
    for enabled, sent in ((False, []), (True, ["wangfang@example.com"])):
        settings.NOTIFY_BY_EMAIL, mail.outbox[:] = enabled, []
        with django_capture_on_commit_callbacks(execute=True):
            notify([me, colleague], title="到期", key=f"contract:{enabled}", link="/x/", email=True)
            assert not mail.outbox
        assert [address for message in mail.outbox for address in message.to] == sent
    assert "https://crm.example.com/x/" in mail.outbox[0].body


def test_the_bell_counts_ones_own_unread_messages(me, colleague, browse):
    for number in range(3):
        notify([me], title=f"第 {number} 条", key=f"n:{number}")
    notify([colleague], title="别人的", key="n:1")
    browser = browse(me)
    assert bell(browser) == (3, 3)
    browser.get(f"{LIST}{Notification.objects.filter(user=me).first().pk}/change/")
    assert bell(browser) == (2, 2)
    browser.post(f"{LIST}read-all/")
    assert bell(browser) == (0, 0)
    assert bell(browse(colleague)) == (1, 1)


def test_only_ones_own_are_listed_and_opened(me, colleague, browse):
    """Not even for an administrator."""
    make(Notification, user=me, title="给王芳的")
    theirs = make(Notification, user=colleague, title="给李雷的", read_at=None)
    browser = browse(me)
    page = unescape(browser.get(LIST).content.decode())
    assert "给王芳的" in page and "给李雷的" not in page
    assert browser.get(f"{LIST}{theirs.pk}/change/").status_code == 404
    browser.post(f"{LIST}read-all/")
    theirs.refresh_from_db()
    assert theirs.read_at is None


def test_nobody_sees_anothers_even_as_administrator(me, person, browse):
    make(Notification, user=me, title="给王芳的")
    assert "给王芳的" not in unescape(browse(person("管理员")).get(LIST).content.decode())


def test_an_empty_list_says_what_will_be_here(me, browse):
    assert "审批、提醒、导入完成等消息会出现在这里" in unescape(browse(me).get(LIST).content.decode())
