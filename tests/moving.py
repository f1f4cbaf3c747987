"""Moving in from an old system in tests: a source goes through staging, loading and the report."""

from functools import partial
from pathlib import Path
from uuid import uuid4

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


def move(folder, admin, system, *given, write=True, **options) -> dict:
    """Load ``given`` dumps (text or path) or databases (address) as ``admin``; ``options`` as of a ``LegacyLoad``."""
    found = [_written(folder / f"dump{place}.sql", source) for place, source in enumerate(given)]
    with Staging(str(folder / f"{uuid4().hex}.db")) as staging:
        for source in found:
            sources.fill(staging, source)
        load = LegacyLoad.objects.create(system=system, source=sources.shown(found[0]), user=admin, options=options)
        context = Context(load, staging, write=write)
        with transaction.atomic():
            run(context)
        return report.of(context)


def _written(path, source):
    """A script becomes a file; paths and addresses, several in lines too, stay what they are."""
    if not isinstance(source, str) or ";" not in source:
        return source
    path.write_text(source, encoding="utf-8")
    return path


def counts(found) -> dict:
    """``{table: {outcome: rows}}`` of a report, without the zeros."""
    return {
        table["table"]: {outcome: table[outcome] for outcome in WORDS if table[outcome]} for table in found["tables"]
    }
