"""Getting in and staying in: remember me, lock after failures, own password, out at once when disabled."""

import pytest
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.test import Client

from crm.models import BusinessLog, User

PASSWORD = "Guangzhou-2024-Spring"
OTHER = "Shenzhen-2025-Autumn"

pytestmark = pytest.mark.django_db


@pytest.fixture
def zhang(person):
    user = person("销售", username="zhangwei")
    user.set_password(PASSWORD)
    user.save()
    return user


def log_in(client, password=PASSWORD, *, ip="10.0.0.1", username="zhangwei", **fields):
    data = {"username": username, "password": password, "next": "/", **fields}
    return client.post("/login/", data, REMOTE_ADDR=ip)


def is_in(client):
    return client.get("/customers/customer/").status_code == 200


def test_the_right_password_lets_in(zhang, client):
    assert log_in(client).status_code == 302
    assert is_in(client)


def test_without_remember_me_the_session_ends_with_the_browser(zhang, client):
    log_in(client)
    assert client.cookies["sessionid"]["max-age"] == ""


def test_with_remember_me_it_lasts_for_days(zhang, client):
    log_in(client, remember="on")
    assert client.cookies["sessionid"]["max-age"] == settings.REMEMBER_ME_DAYS * 86400


def test_a_wrong_password_and_a_wrong_name_get_the_same_answer(zhang, client):
    """Whoever tries names must not learn which ones exist."""
    said = "用户名或密码不正确，或账号已停用。"
    assert said in log_in(client, "wrong").content.decode()
    assert said in log_in(client, username="nobody").content.decode()


def test_a_disabled_account_does_not_get_in(zhang, client):
    zhang.is_active = False
    zhang.save()
    assert "用户名或密码不正确，或账号已停用。" in log_in(client).content.decode()
    assert not is_in(client)


def test_who_is_disabled_is_out_at_the_next_request(zhang, client):
    log_in(client)
    assert is_in(client)
    zhang.refresh_from_db()
    zhang.is_active = False
    zhang.save()
    assert not is_in(client)


def test_a_role_switched_off_gives_nothing_from_the_next_request_on(zhang, client):
    log_in(client)
    role = zhang.groups.get().role
    role.is_active = False
    role.save()
    assert client.get("/customers/customer/").status_code == 403
    assert not User.objects.get(pk=zhang.pk).has_perm("customers.view_customer")


def test_five_failures_lock_this_person_from_this_address(zhang, client):
    for _ in range(4):
        assert log_in(client, "wrong").status_code == 200
    locked = log_in(client, "wrong")
    assert locked.status_code == 429
    assert "锁定" in locked.content.decode()
    assert log_in(client).status_code == 429
    assert SESSION_KEY not in client.session


def test_the_lock_holds_for_this_name_and_this_address_only(zhang, person, client):
    """Otherwise anybody could lock a colleague, or a whole office, out."""
    li = person("销售", username="lina")
    li.set_password(OTHER)
    li.save()
    for _ in range(5):
        log_in(client, "wrong")
    assert log_in(Client(), OTHER, username="lina").status_code == 302
    assert log_in(Client(), ip="10.0.0.2").status_code == 302


def test_a_success_forgets_the_failures_before_it(zhang, client):
    for _ in range(4):
        log_in(client, "wrong")
    log_in(client)
    for _ in range(4):
        assert log_in(Client(), "wrong").status_code == 200


def test_a_forged_forwarding_header_is_no_address(zhang, client):
    """Behind no proxy of ours the header is anybody's invention: it must not give five more tries."""
    for number in range(5):
        client.post(
            "/login/",
            {"username": "zhangwei", "password": "wrong"},
            REMOTE_ADDR="10.0.0.1",
            HTTP_X_FORWARDED_FOR=f"9.9.9.{number}",
        )
    assert log_in(client).status_code == 429


def test_behind_a_proxy_of_ours_the_header_counts_from_its_end(zhang, client, settings):
    settings.TRUSTED_PROXIES = 1
    for _ in range(5):
        client.post(
            "/login/",
            {"username": "zhangwei", "password": "wrong"},
            REMOTE_ADDR="127.0.0.1",
            HTTP_X_FORWARDED_FOR="6.6.6.6, 8.8.8.8",
        )
    again = {"username": "zhangwei", "password": PASSWORD}
    seen = client.post("/login/", again, REMOTE_ADDR="127.0.0.1", HTTP_X_FORWARDED_FOR="7.7.7.7, 8.8.8.8")
    assert seen.status_code == 429
    other = Client().post("/login/", again, REMOTE_ADDR="127.0.0.1", HTTP_X_FORWARDED_FOR="8.8.8.8, 5.5.5.5")
    assert other.status_code == 302


def test_logging_out_takes_a_post(zhang, client):
    log_in(client)
    client.get("/logout/")
    assert is_in(client)
    client.post("/logout/")
    assert not is_in(client)


class TestOwnPassword:
    def change(self, client, old=PASSWORD, new=OTHER, again=OTHER):
        return client.post("/password_change/", {"old_password": old, "new_password1": new, "new_password2": again})

    def test_it_changes_and_the_next_login_needs_the_new_one(self, zhang, client):
        log_in(client)
        assert self.change(client).status_code == 302
        assert is_in(client)
        assert log_in(Client()).status_code == 200
        assert log_in(Client(), OTHER).status_code == 302

    def test_other_sessions_end_with_the_old_password(self, zhang, client):
        log_in(client)
        elsewhere = Client()
        log_in(elsewhere)
        self.change(client)
        assert not is_in(elsewhere)

    def test_the_log_knows_that_it_changed_and_not_what_it_is(self, zhang, client):
        log_in(client)
        self.change(client)
        entry = BusinessLog.objects.filter(object_id=zhang.pk, content_type__model="user").latest("id")
        assert (entry.user, entry.changes) == (zhang, {"password": ["******", "******"]})

    @pytest.mark.parametrize(
        "values",
        [{"old": "wrong"}, {"new": "12345678", "again": "12345678"}, {"again": "different"}, {"new": "", "again": ""}],
        ids=["wrong old one", "weak", "mistyped", "empty"],
    )
    def test_a_bad_one_is_refused(self, zhang, client, values):
        log_in(client)
        assert self.change(client, **values).status_code == 200
        assert User.objects.get(pk=zhang.pk).check_password(PASSWORD)
