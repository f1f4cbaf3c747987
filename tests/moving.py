"""Moving in from an old system in tests: a source goes through staging, loading and the report."""

from functools import partial
from pathlib import Path

from django.db import transaction

from crm.legacy import report, sources
from crm.legacy.context import Context
from crm.legacy.load import WORDS, run
from crm.legacy.staging import Staging
from crm.models import LegacyLoad, User
from tests.factories import make


def mover(folder, system="java-crm"):
    """``move(source, write=True)`` loads a dump, given as text, or any other source; gives the report."""
    return partial(move, Path(folder), make(User, is_superuser=True), system)


def move(folder, admin, system, source, *, write=True) -> dict:
    if isinstance(source, str) and not source.startswith("mysql://"):
        (folder / "dump.sql").write_text(source, encoding="utf-8")
        source = folder / "dump.sql"
    with Staging(str(folder / f"{LegacyLoad.objects.count()}.db")) as staging:
        sources.fill(staging, source)
        load = LegacyLoad.objects.create(system=system, source=sources.shown(source), user=admin)
        context = Context(load, staging, write=write)
        with transaction.atomic():
            run(context)
        return report.of(context)


def counts(found) -> dict:
    """``{table: {outcome: rows}}`` of a report, without the zeros."""
    return {
        table["table"]: {outcome: table[outcome] for outcome in WORDS if table[outcome]} for table in found["tables"]
    }
