"""What customers' programs identify themselves by: who issues, who reveals, what leaks where, which signature fits."""

import hashlib
import hmac
from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.auth.models import Permission
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.management import call_command
from django.db import connection
from django.test import RequestFactory
from django.utils import timezone
from django.views.debug import ExceptionReporter

from crm import records, transitions
from crm.models import BusinessLog, Operation, User
from crm.secrets import Secret
from customers.models import ApiCredential, CancelKey, Customer, ReviewStatus
from customers.services import credentials
from tests.contract.probes import form_values
from tests.factories import make

pytestmark = pytest.mark.django_db
PASSWORD, SECRET = "Guangzhou-2024-Spring", "canary-secret-4711-canary"


@pytest.fixture
def administrator(person):
    user = person("管理员")
    user.set_password(PASSWORD)
    user.save()
    return user


@pytest.fixture
def customer():
    return make(Customer, review_status=ReviewStatus.APPROVED)


@pytest.fixture
def credential(customer, administrator):
    return credentials.issue_credential(ApiCredential(customer=customer), by=administrator, secret=SECRET)


@pytest.fixture
def key(customer):
    """A key with its token in ``key.plain``."""
    key = CancelKey(customer=customer)
    key.plain = credentials.issue_cancel_key(key, by=None)
    return key


def reveal_page(credential):
    return f"/customers/apicredential/{credential.pk}/reveal/"


def sign(token, message=b"order=1"):
    return hmac.new(token.encode(), message, hashlib.sha256).hexdigest()


def fits(key, token):
    return credentials.verify_signature(key.customer, key.app_key, b"order=1", sign(token))


def texts(response):
    return [str(message) for message in response.context["messages"]]


# --- Issuing ----------------------------------------------------------------------------------------------------------


def test_a_credential_gets_an_identifier_and_a_secret_of_its_own(customer, administrator):
    first, second = (credentials.issue_credential(ApiCredential(customer=customer), by=administrator) for _ in range(2))
    assert len({first.app_id, second.app_id}) == 2
    assert len({first.app_secret.open(), second.app_secret.open()}) == 2
    assert len(first.app_secret.open()) == 40


def test_identifiers_are_unique_letter_by_letter(customer, administrator):
    credentials.issue_credential(ApiCredential(customer=customer, app_id="AppOne"), by=administrator)
    credentials.issue_credential(ApiCredential(customer=customer, app_id="appone"), by=administrator)
    with pytest.raises(ValidationError, match="已被使用"):
        credentials.issue_credential(ApiCredential(customer=customer, app_id=" AppOne "), by=administrator)


@pytest.mark.parametrize(
    ("status", "enabled", "message"),
    [
        (ReviewStatus.PENDING, True, "待审核，不能新建取消密钥"),
        (ReviewStatus.REJECTED, True, "未通过，不能新建取消密钥"),
        (ReviewStatus.SUSPENDED, False, "已停用，不能新建取消密钥"),
        (ReviewStatus.APPROVED, False, "未启用，不能新建取消密钥"),
    ],
)
def test_only_approved_and_enabled_customers_get_a_cancel_key(administrator, status, enabled, message):
    customer = make(Customer, review_status=status, is_enabled=enabled)
    with pytest.raises(ValidationError, match=message):
        credentials.issue_cancel_key(CancelKey(customer=customer), by=administrator)
    key = make(CancelKey, customer=customer)
    with pytest.raises(ValidationError, match="不能更换取消密钥"):
        credentials.rotate_cancel_key(key, by=administrator, overlap_days=1)
    disabled = transitions.run(key, "disable", by=administrator, reason="测试")
    with pytest.raises(transitions.TransitionRefused):
        transitions.run(disabled, "enable", by=administrator)


def test_a_key_has_one_name_at_its_customer_for_ever(key, customer, administrator):
    """A removed key's name does not come back, so that an old signature never meets a new key."""
    other = make(Customer, review_status=ReviewStatus.APPROVED)
    credentials.issue_cancel_key(CancelKey(customer=other, app_key=key.app_key), by=administrator)
    records.remove(key, by=administrator)
    with pytest.raises(ValidationError, match="已有或曾有"):
        credentials.issue_cancel_key(CancelKey(customer=customer, app_key=key.app_key), by=administrator)


@pytest.mark.parametrize("role", ["销售", "销售总监", "审计", "财务"])
def test_nobody_but_administrators_issues_or_exchanges_anything(role, key, customer, person):
    user = person(role)
    for issue in (
        lambda: credentials.issue_credential(ApiCredential(customer=customer), by=user),
        lambda: credentials.issue_cancel_key(CancelKey(customer=customer), by=user),
        lambda: credentials.rotate_cancel_key(key, by=user, overlap_days=1),
    ):
        with pytest.raises(PermissionDenied):
            issue()


def test_a_secret_from_an_old_system_stays_in_use(customer, administrator):
    key = CancelKey(customer=customer, app_key="旧系统")
    assert credentials.issue_cancel_key(key, by=administrator, token=SECRET) == SECRET
    assert fits(key, SECRET)
    with pytest.raises(ValidationError, match="至少要有 8 个字符"):
        credentials.issue_cancel_key(CancelKey(customer=customer), by=administrator, token="short")


# --- Revealing --------------------------------------------------------------------------------------------------------


def test_with_permission_and_password_the_secret_is_shown_uncached_and_logged(credential, administrator, browse):
    answer = browse(administrator).post(reveal_page(credential), {"password": PASSWORD})
    assert answer.status_code == 200 and SECRET in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    entry = BusinessLog.objects.filter(object_id=credential.pk).latest("id")
    assert (entry.operation, entry.user, entry.remark) == (Operation.REVEAL, administrator, "查看应用密钥")
    assert entry.root_id == credential.customer_id


def test_a_wrong_password_shows_nothing_and_is_logged_too(credential, administrator, browse):
    answer = browse(administrator).post(reveal_page(credential), {"password": "wrong"}, follow=True)
    assert texts(answer) == ["登录密码不正确，密钥没有显示。"] and SECRET not in answer.content.decode()
    entry = BusinessLog.objects.filter(object_id=credential.pk).latest("id")
    assert entry.operation == Operation.REVEAL and "登录密码不正确" in entry.remark


def test_passwords_cannot_be_guessed_here(credential, administrator, browse, settings):
    """Who sits at somebody's open browser gets as many tries as at the login page."""
    browser = browse(administrator)
    for _ in range(settings.AXES_FAILURE_LIMIT):
        browser.post(reveal_page(credential), {"password": "wrong"})
    answer = browser.post(reveal_page(credential), {"password": PASSWORD}, follow=True)
    assert SECRET not in answer.content.decode() and "密码错误次数过多" in texts(answer)[-1]


def test_revealing_goes_by_post_and_needs_its_own_permission(credential, administrator, person, browse):
    assert browse(administrator).get(reveal_page(credential)).status_code == 404
    administrator.groups.get().permissions.remove(Permission.objects.get(codename="reveal_apicredential"))
    clipped = User.objects.get(pk=administrator.pk)
    answer = browse(clipped).post(reveal_page(credential), {"password": PASSWORD})
    assert answer.status_code == 403 and SECRET not in answer.content.decode()
    assert "显示密钥" not in browse(clipped).get(reveal_page(credential).replace("reveal", "change")).content.decode()
    assert browse(person("审计")).post(reveal_page(credential), {"password": PASSWORD}).status_code == 403
    assert browse(person("销售")).post(reveal_page(credential), {"password": PASSWORD}).status_code == 404
    assert not BusinessLog.objects.filter(operation=Operation.REVEAL).exists()
    with pytest.raises(PermissionDenied):
        credentials.reveal_secret(credential, by=clipped, password=PASSWORD)


# --- Pages of cancel keys ---------------------------------------------------------------------------------------------


def add_key(browser, customer, **values):
    url = f"/customers/cancelkey/add/?customer={customer.pk}"
    return browser.post(url, {**form_values(browser.get(url), CancelKey), **values}, follow=True)


def test_a_new_key_is_shown_once_and_the_same_form_sent_again_makes_no_second(customer, administrator, browse):
    browser = browse(administrator)
    answer = add_key(browser, customer, app_key="ck-1")
    key = CancelKey.objects.get()
    token = key.app_token.open()
    assert token in answer.content.decode() and "no-store" in answer["Cache-Control"]
    for page in ("change", "history"):
        assert token not in browser.get(f"/customers/cancelkey/{key.pk}/{page}/").content.decode()
    again = add_key(browser, customer, app_key="ck-1")
    assert CancelKey.objects.count() == 1 and "已有或曾有" in again.content.decode()


def test_the_form_says_why_a_customer_gets_no_key(administrator, browse):
    answer = add_key(browse(administrator), make(Customer))
    assert not CancelKey.objects.exists() and "不能新建取消密钥" in answer.content.decode()


def test_an_exchange_ordered_twice_happens_once(key, administrator, browse):
    """Reloading the page that shows the new token must not make it the former one."""
    browser, order = browse(administrator), {"overlap": "7", "version": key.lock_version}
    url = f"/customers/cancelkey/{key.pk}/rotate/"
    shown = browser.post(url, order).content.decode()
    key.refresh_from_db()
    assert key.app_token.open() in shown
    again = browser.post(url, order, follow=True)
    assert "没有再次更换" in texts(again)[0]
    assert CancelKey.objects.get(pk=key.pk).app_token == key.app_token
    assert browser.get(url).status_code == 404
    assert "请选择旧密钥保留多久" in texts(browser.post(url, {"overlap": "400"}, follow=True))[0]


def test_sellers_see_no_credentials_and_auditors_that_they_exist(credential, key, customer, person, browse):
    page = f"/customers/customer/{customer.pk}/change/"
    auditor = browse(person("审计")).get(page).content.decode()
    assert credential.app_id in auditor and key.app_key in auditor and "显示密钥" not in auditor
    manager = browse(person("客服")).get(page)
    assert manager.status_code == 200
    assert credential.app_id not in manager.content.decode() and key.app_key not in manager.content.decode()


# --- Nothing leaks ----------------------------------------------------------------------------------------------------


def every_cell():
    """All tables of the database as text: what a backup holds."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            for row in cursor.fetchall():
                yield table, " ".join(map(str, row))


def test_no_secret_is_in_the_database_a_backup_or_any_page_in_clear(customer, administrator, browse):
    """After everything that can be done to them: issued, revealed, exchanged, switched off, removed."""
    browser = browse(administrator)
    form = f"/customers/apicredential/add/?customer={customer.pk}"
    browser.post(form, {**form_values(browser.get(form), ApiCredential), "taken_over": SECRET, "app_id": "app-1"})
    credential = ApiCredential.objects.get()
    assert credential.app_secret.open() == SECRET
    browser.post(reveal_page(credential), {"password": PASSWORD})
    browser.post(reveal_page(credential), {"password": "wrong"})
    add_key(browser, customer, app_key="ck-1", taken_over="canary-token-4711-canary")
    key = CancelKey.objects.get()
    exchanged = credentials.rotate_cancel_key(key, by=administrator, overlap_days=7)
    transitions.run(credential, "disable", by=administrator, reason="测试")
    records_of = {"apicredential": credential.pk, "cancelkey": key.pk, "customer": customer.pk}
    pages = [f"/customers/{name}/{pk}/{page}/" for name, pk in records_of.items() for page in ("change", "history")]
    pages += [f"/customers/{name}/{query}" for name in records_of for query in ("", "?q=canary")]
    pages += ["/crm/businesslog/", f"/search/?s={SECRET[:10]}&extended=1"]
    shown = {page: browser.get(page) for page in pages}
    assert {page: answer.status_code for page, answer in shown.items()} == dict.fromkeys(pages, 200)
    records.remove(CancelKey.objects.get(), by=administrator)
    out = StringIO()
    call_command("dumpdata", stdout=out)
    hidden = [SECRET, "canary-token-4711-canary", exchanged, PASSWORD]
    texts = [*every_cell(), ("dumpdata", out.getvalue())]
    texts += [(page, answer.content.decode()) for page, answer in shown.items()]
    assert not [(where, word) for where, text in texts for word in hidden if word in text]
    assert any("app-1" in text for where, text in texts if where == "customers_apicredential")


def test_an_error_page_shows_no_secret(credential, key, administrator, settings):
    """Local variables of a crash are reported without them, wherever in the service it happens."""
    settings.DEBUG = False
    crashes = [
        lambda: credentials.issue_credential(ApiCredential(customer_id=0), by=None, secret=SECRET),
        lambda: credentials.issue_cancel_key(CancelKey(customer_id=0), by=None, token=SECRET),
        lambda: credentials.reveal_secret(credential, by=_Broken(administrator), password=SECRET),
        lambda: credentials.verify_signature(key.customer, key.app_key, "no bytes", "x"),
        lambda: Secret.seal(SECRET.encode()),
    ]
    for crash in crashes:
        with pytest.raises(Exception) as raised:
            crash()
        error = raised.value
        report = ExceptionReporter(RequestFactory().get("/"), type(error), error, error.__traceback__)
        page = report.get_traceback_html()
        assert "********************" in page
        assert SECRET not in page and key.plain not in page


class _Broken:
    """A user whose password cannot be checked."""

    def __init__(self, user):
        self._user = user

    def __getattr__(self, name):
        if name == "check_password":
            raise RuntimeError
        return getattr(self._user, name)


# --- Signatures -------------------------------------------------------------------------------------------------------


def test_a_signature_fits_with_the_right_token_alone_and_counts_as_use(key):
    assert key.last_used_at is None
    assert not fits(key, "wrong") and not credentials.verify_signature(key.customer, key.app_key, b"order=1", "")
    assert not credentials.verify_signature(key.customer, key.app_key, b"order=2", sign(key.plain))
    assert CancelKey.objects.get(pk=key.pk).last_used_at is None
    assert fits(key, key.plain)
    used = CancelKey.objects.get(pk=key.pk)
    assert used.last_used_at is not None and used.lock_version == key.lock_version


def test_being_used_all_day_is_written_once_a_minute(key, django_assert_num_queries):
    assert fits(key, key.plain)
    with django_assert_num_queries(1):
        assert fits(key, key.plain)


def test_keys_are_told_apart_letter_by_letter_and_customer_by_customer(key):
    signature = sign(key.plain)
    assert credentials.verify_signature(key.customer, key.app_key, b"order=1", signature)
    assert not credentials.verify_signature(key.customer, key.app_key.swapcase(), b"order=1", signature)
    other = make(Customer, review_status=ReviewStatus.APPROVED)
    assert not credentials.verify_signature(other, key.app_key, b"order=1", signature)
    assert credentials.active_secrets(key.customer, "unknown") == []


def test_in_the_overlap_both_tokens_fit_and_afterwards_only_the_new_one(key, administrator):
    new = credentials.rotate_cancel_key(key, by=administrator, overlap_days=7)
    assert fits(key, key.plain) and fits(key, new) and not fits(key, "wrong")
    assert credentials.active_secrets(key.customer, key.app_key) == [new, key.plain]
    stored = CancelKey.objects.get(pk=key.pk)
    assert timedelta(days=6) < stored.former_until - timezone.now() <= timedelta(days=7)
    stored.former_until = timezone.now()
    stored.save()
    assert not fits(key, key.plain) and fits(key, new)


def test_without_overlap_the_old_token_is_worth_nothing_at_once(key, administrator):
    new = credentials.rotate_cancel_key(key, by=administrator, overlap_days=0)
    assert credentials.active_secrets(key.customer, key.app_key) == [new]
    assert not CancelKey.objects.get(pk=key.pk).former_token
    with pytest.raises(ValidationError, match="0 到 30"):
        credentials.rotate_cancel_key(key, by=administrator, overlap_days=31)


def test_a_disabled_or_removed_key_signs_nothing(key, administrator):
    disabled = transitions.run(key, "disable", by=administrator, reason="怀疑泄露")
    assert not fits(key, key.plain)
    with pytest.raises(ValidationError, match="请先启用"):
        credentials.rotate_cancel_key(disabled, by=administrator, overlap_days=1)
    enabled = transitions.run(disabled, "enable", by=administrator)
    assert fits(key, key.plain)
    records.remove(enabled, by=administrator)
    assert not fits(key, key.plain)


def test_a_customer_that_is_suspended_or_removed_signs_nothing(key, customer, administrator):
    suspended = transitions.run(customer, "suspend", by=administrator, reason="欠款")
    assert not fits(key, key.plain)
    assert not fits(CancelKey.objects.get(pk=key.pk), key.plain)
    restored = transitions.run(suspended, "reinstate", by=administrator)
    assert fits(key, key.plain)
    records.remove(restored, by=administrator)
    assert not fits(key, key.plain)
