"""Old databases of systems of which no public dump exists: the seed's own tables, with generated and odd rows."""

from functools import partial
from pathlib import Path

import pytest

from crm.legacy.load import WORDS
from crm.models import User
from tests import moving

HERE = Path(__file__).parent


def ddl(system) -> str:
    return (HERE / f"{system}.sql").read_text(encoding="utf-8")


def load(folder, system, *given, write=True) -> dict:
    """Load dumps or databases; gives the report."""
    admin, _ = User.objects.get_or_create(username="mover", defaults={"full_name": "迁入人", "is_superuser": True})
    return moving.move(folder, admin, system, *given, write=write)


@pytest.fixture
def move(db, tmp_path):
    """``move(system, source, …, write=)`` loads into a database that is as the test found it."""
    return partial(load, tmp_path)


def reconciled(found) -> None:
    """Every row has an outcome, and the money is the same on both sides."""
    for table in found["tables"]:
        assert table["missing"] == 0, table
        assert table["rows"] == sum(table[outcome] for outcome in WORDS)
    for each in found["sums"]:
        assert each["then"] == each["now"], each
