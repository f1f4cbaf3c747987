"""Old databases of systems of which no public dump exists: the seed's own tables, with generated and odd rows."""

from functools import partial
from pathlib import Path

import pytest
from django.db import connection, transaction

from crm.legacy import report, sources
from crm.legacy.context import Context
from crm.legacy.load import WORDS, run
from crm.legacy.staging import Staging
from crm.models import LegacyLoad, User

HERE = Path(__file__).parent


def ddl(system) -> str:
    return (HERE / f"{system}.sql").read_text(encoding="utf-8")


def load(folder, system, *given, write=True) -> dict:
    """Load dumps or databases; gives the report."""
    admin, _ = User.objects.get_or_create(username="mover", defaults={"full_name": "迁入人", "is_superuser": True})
    with Staging(str(folder / f"{LegacyLoad.objects.count()}.db")) as staging:
        for source in given:
            sources.fill(staging, source)
        begun = LegacyLoad.objects.create(system=system, source=str(given[0]), user=admin)
        context = Context(begun, staging, write=write)
        with transaction.atomic():
            run(context)
        return report.of(context)


@pytest.fixture
def move(db, tmp_path):
    """``move(system, source, …, write=)`` loads into a database that is as the test found it."""
    return partial(load, tmp_path)


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


def outcomes(found) -> dict:
    """``{table: {outcome: rows}}`` of a report."""
    return {
        table["table"]: {outcome: table[outcome] for outcome in WORDS if table[outcome]} for table in found["tables"]
    }


def reconciled(found) -> None:
    """Every row has an outcome, and the money is the same on both sides."""
    for table in found["tables"]:
        assert table["missing"] == 0, table
        assert table["rows"] == sum(table[outcome] for outcome in WORDS)
    for each in found["sums"]:
        assert each["then"] == each["now"], each
