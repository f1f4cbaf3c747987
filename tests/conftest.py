"""Fixtures that every test may use: fast passwords, a logged-in browser per person, the world of tests/cast.py."""

import gc
import tempfile
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.conf import settings
from django.core.cache import cache
from django.db import DEFAULT_DB_ALIAS, connection, transaction
from django.test import Client, TransactionTestCase

from crm import ownership
from crm.models import Role, User
from tests import cast
from tests.factories import make
from tests.moving import mover
from tests.resetting import restore, stored_rows


def pytest_configure(config):
    """Nothing here touches the files and keys of the installation."""
    folder = tempfile.TemporaryDirectory(prefix="keyuan-tests-")
    config.add_cleanup(folder.cleanup)
    settings.FILES_DIR = Path(folder.name) / "files"
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def pytest_collection_finish(session):
    """Modules, models and tests stay to the end: looking for garbage among them took a twentieth of the time."""
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    """A test that commits leaves the databases as ``migrate`` made them."""
    with django_db_blocker.unblock():
        made = {DEFAULT_DB_ALIAS: stored_rows(DEFAULT_DB_ALIAS)}  # the others start empty

    def restore_all(case):
        for using in case._databases_names(include_mirrors=False):
            restore(using, made.get(using, {}))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", restore_all)
        yield


@pytest.fixture(autouse=True)
def _no_memory():
    """What one test cached is not there for the next."""
    cache.clear()


@pytest.fixture
def browse():
    """``browse(user)`` is a browser in which ``user`` is logged in; None is a stranger."""

    def logged_in(user=None):
        client = Client()
        if user is not None:
            client.force_login(user)
        return client

    return logged_in


@pytest.fixture
def move(db, tmp_path):
    """``move(source)`` loads a dump of java-crm; gives its report."""
    return mover(tmp_path)


@pytest.fixture(scope="module")
def old_database(django_db_setup):
    """``old_database(script)`` is the ``mysql://`` address of a database of its own that ``script`` has filled."""
    import MySQLdb

    config = connection.settings_dict
    made = []

    def server(**more):
        return MySQLdb.connect(
            host=config["HOST"] or "127.0.0.1",
            port=int(config["PORT"] or 3306),
            user=config["USER"],
            password=config["PASSWORD"] or "",
            charset="utf8mb4",
            **more,
        )

    def filled(script):
        name = f"{config['NAME']}_old{len(made)}"
        with server() as link:
            link.cursor().execute(f"DROP DATABASE IF EXISTS `{name}`")
            link.cursor().execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
        made.append(name)
        with server(database=name) as link:
            cursor = link.cursor()
            # as in the old installations: zero dates, and keys that the engine does not enforce
            cursor.execute("SET SESSION sql_mode = '', foreign_key_checks = 0")
            for statement in script.split(";\n"):
                if statement.strip():
                    cursor.execute(statement)
            link.commit()
        login = f"{config['USER']}:{config['PASSWORD'] or ''}" if config["PASSWORD"] else config["USER"]
        return f"mysql://{login}@{config['HOST'] or '127.0.0.1'}:{config['PORT'] or 3306}/{name}"

    yield filled
    for name in made:
        with server() as link:
            link.cursor().execute(f"DROP DATABASE `{name}`")


@pytest.fixture(scope="module")
def _built(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock(), transaction.atomic():
        yield cast.build()
        transaction.set_rollback(True)


@pytest.fixture(scope="module")
def _agreement(_built):
    """``(model, kind, query, parameters)`` for what must find no row, put into SQL once a module."""
    return [
        (model.__name__, kind, *rows.query.sql_with_params())
        for model in ownership.owned_models()
        for kind, rows in ownership.disagreements(model).items()
    ]


@pytest.fixture
def world(_built, _agreement, db):
    """People, departments and records of tests/cast.py, built once a module. Owners and grants agree afterwards."""
    yield _built
    with connection.cursor() as cursor:
        for model, kind, query, parameters in _agreement:
            cursor.execute(query, parameters)
            assert not (rows := cursor.fetchall()), f"负责人与行权限不符（{kind}）：{model} {rows}"


@pytest.fixture
def person(db):
    """``person("销售", "财务")`` is a new member of staff with these shipped roles."""

    def hire(*roles, **values):
        return make(User, groups=list(Role.objects.filter(name__in=roles)), **values)

    return hire
