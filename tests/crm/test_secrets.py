"""Secrets that are used again: sealed in database and memory, with keys that lie elsewhere and can be changed."""

import copy
import pickle
import stat
from io import StringIO

import pytest
from cryptography.fernet import Fernet
from django.core import serializers
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connection, models
from django.test.utils import isolate_apps

from crm import secrets
from crm.fields import EncryptedField
from crm.models import BusinessLog, Record, Versions
from crm.secrets import Secret, Unreadable
from customers.models import ApiCredential, CancelKey
from tests.factories import make

PLAIN = "plain-text-𠮷-秘密"


@pytest.fixture
def key_file(settings, tmp_path):
    settings.ENCRYPTION_KEYS, settings.ENCRYPTION_KEYS_FILE = [], tmp_path / "encryption_keys"
    return settings.ENCRYPTION_KEYS_FILE


def rotate(**options):
    out = StringIO()
    call_command("rotate_secrets", stdout=out, **options)
    return out.getvalue()


def stored(credential):
    """What the database holds, as a thief of a backup would read it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT app_secret FROM customers_apicredential WHERE id = %s", [credential.pk])
        return cursor.fetchone()[0]


# --- Sealing ----------------------------------------------------------------------------------------------------------


def test_a_secret_shows_itself_nowhere():
    secret = Secret.seal(PLAIN)
    shown = [str(secret), repr(secret), f"{secret}", repr([secret]), repr(pickle.dumps(secret)), secret.token]
    assert not any("plain" in text or "秘密" in text for text in shown)
    assert secret.open() == copy.deepcopy(secret).open() == PLAIN


def test_the_same_text_is_sealed_differently_every_time():
    assert Secret.seal(PLAIN) != Secret.seal(PLAIN)


def test_nothing_is_no_secret():
    assert not Secret.seal("") and Secret.seal("").open() == "" and str(Secret()) == ""


@pytest.mark.django_db
def test_the_column_holds_the_sealed_text_alone_and_gives_it_back():
    credential = make(ApiCredential, app_secret=Secret.seal(PLAIN))
    assert stored(credential).startswith("gAAAA") and PLAIN not in stored(credential)
    assert ApiCredential.objects.get(pk=credential.pk).app_secret.open() == PLAIN


@pytest.mark.django_db
def test_plain_text_cannot_be_saved_by_mistake():
    with pytest.raises(ValidationError):
        make(ApiCredential, app_secret=PLAIN)
    assert not ApiCredential.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("format", ["json", "xml"])
def test_a_fixture_carries_the_secret_sealed_and_brings_it_back(format):
    credential = make(ApiCredential, app_secret=Secret.seal(PLAIN))
    dumped = serializers.serialize(format, [credential])
    assert PLAIN not in dumped
    (loaded,) = serializers.deserialize(format, dumped)
    assert loaded.object.app_secret.open() == PLAIN


@pytest.mark.django_db
def test_the_log_says_that_a_secret_changed_and_never_how():
    credential = make(ApiCredential)
    credential.app_secret = Secret.seal(PLAIN)
    credential.save()
    entry = BusinessLog.objects.filter(object_id=credential.pk).latest("id")
    assert entry.changes == {"app_secret": ["******", "******"]}


@isolate_apps("customers")
def test_a_model_whose_versions_would_keep_secrets_is_refused():
    class Versioned(Record):
        token = EncryptedField("密钥")
        history = Versions()

        class Meta(Record.Meta):
            app_label = "customers"

    problems = [problem.id for model in (Versioned, Versioned.history.model) for problem in model.check()]
    assert "crm.E005" in problems and Versioned.audit_secrets == ("token",)


@isolate_apps("customers")
def test_a_child_of_an_abstract_model_knows_its_secrets_once():
    class Base(Record):
        token = EncryptedField("密钥")

        class Meta(Record.Meta):
            abstract = True

    class Child(Base):
        name = models.CharField("名称", max_length=10)
        other = EncryptedField("另一个")

        class Meta(Base.Meta):
            app_label = "customers"

    assert sorted(Child.audit_secrets) == ["other", "token"]


# --- Keys -------------------------------------------------------------------------------------------------------------


def test_the_first_secret_makes_the_key_file_for_the_server_alone(key_file):
    secret = Secret.seal(PLAIN)
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600 and len(key_file.read_text().split()) == 1
    assert Secret.seal(PLAIN).open() == secret.open() == PLAIN
    assert list(key_file.parent.iterdir()) == [key_file]


def test_two_processes_that_make_the_first_key_at_once_agree_on_it(key_file):
    secrets._make_first_key()
    first = key_file.read_text()
    secrets._make_first_key()
    assert key_file.read_text() == first and list(key_file.parent.iterdir()) == [key_file]


def test_without_the_key_nothing_is_read_and_no_new_key_hides_the_loss(key_file):
    secret = Secret.seal(PLAIN)
    key_file.write_text(Fernet.generate_key().decode())
    with pytest.raises(Unreadable, match="encryption_keys"):
        secret.open()


def test_keys_of_the_environment_come_before_the_file(key_file, settings):
    Secret.seal(PLAIN)
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    secret = Secret.seal(PLAIN)
    settings.ENCRYPTION_KEYS = []
    with pytest.raises(Unreadable):
        secret.open()


# --- Rotation ---------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_rotation_seals_everything_anew_and_old_keys_can_then_go(key_file):
    credentials = [make(ApiCredential, app_secret=Secret.seal(f"{PLAIN}{number}")) for number in range(3)]
    key = make(CancelKey, app_token=Secret.seal("now"), former_token=Secret.seal("before"))
    before, old_key = [stored(credential) for credential in credentials], key_file.read_text()
    assert "重新加密了 5 个密钥" in rotate()
    assert key_file.read_text().endswith(old_key) and len(key_file.read_text().split()) == 2
    after = [stored(credential) for credential in credentials]
    assert not set(before) & set(after)
    assert "重新加密了 0 个密钥" in rotate(drop_old=True)
    assert old_key not in key_file.read_text() and len(key_file.read_text().split()) == 1
    opened = [ApiCredential.objects.get(pk=credential.pk).app_secret.open() for credential in credentials]
    assert opened == [f"{PLAIN}{number}" for number in range(3)]
    key.refresh_from_db()
    assert (key.app_token.open(), key.former_token.open()) == ("now", "before")
    with pytest.raises(Unreadable):
        Secret(before[0]).open()


@pytest.mark.django_db
def test_a_rotation_is_no_change_of_the_record(key_file):
    credential = make(ApiCredential, app_secret=Secret.seal(PLAIN))
    entries = BusinessLog.objects.count()
    rotate()
    assert ApiCredential.objects.get(pk=credential.pk).lock_version == 1 and BusinessLog.objects.count() == entries


@pytest.mark.django_db
def test_a_process_that_runs_on_reads_what_was_sealed_with_the_new_key(key_file):
    credential = make(ApiCredential, app_secret=Secret.seal(PLAIN))
    secrets.keys()
    rotate()
    assert ApiCredential.objects.get(pk=credential.pk).app_secret.open() == PLAIN


@pytest.mark.django_db
def test_old_keys_stay_while_a_secret_cannot_be_read(key_file):
    make(ApiCredential, app_secret=Secret.seal(PLAIN))
    foreign = Fernet(Fernet.generate_key()).encrypt(b"x").decode()
    make(ApiCredential, app_secret=Secret(foreign))
    rotate_with = key_file.read_text().split()
    with pytest.raises(CommandError, match="没有删除任何旧密钥"):
        rotate(drop_old=True)
    assert key_file.read_text().split() == rotate_with


@pytest.mark.django_db
def test_keys_of_the_environment_are_rotated_by_putting_one_in_front(settings):
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.ENCRYPTION_KEYS = [old]
    credential = make(ApiCredential, app_secret=Secret.seal(PLAIN))
    settings.ENCRYPTION_KEYS = [new, old]
    assert "只保留第一个密钥" in rotate()
    settings.ENCRYPTION_KEYS = [new]
    assert ApiCredential.objects.get(pk=credential.pk).app_secret.open() == PLAIN
