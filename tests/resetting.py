"""What a test that commits leaves behind is replaced by the rows that ``migrate`` made, keys and all.

Django itself empties every table and sends ``post_migrate``, which then works out every permission, role and schedule
again after each of these tests.
"""

from datetime import time

from django.apps import apps
from django.db import connections, router, transaction


def stored_rows(using) -> dict[tuple, list]:
    """``{(table, columns): rows}`` of the tables that hold anything, as the driver gives them."""
    found, existing = {}, set(tables(using))
    for model in apps.get_models(include_auto_created=True):
        table = model._meta.db_table
        columns = tuple(field.column for field in model._meta.local_concrete_fields if not field.generated)
        if not model._meta.proxy and table in existing and router.allow_migrate_model(using, model):
            with connections[using].cursor() as cursor:
                cursor.execute(f"SELECT {quoted(using, *columns)} FROM {quoted(using, table)}")
                if rows := cursor.fetchall():
                    found[table, columns] = [tuple(map(as_sent, row)) for row in rows]
    return found


def restore(using, stored):
    """Nothing but ``stored`` (as from ``stored_rows``) is left in the tables of the models."""
    connection = connections[using]
    with connection.constraint_checks_disabled(), transaction.atomic(using), connection.cursor() as cursor:
        for table in tables(using):
            cursor.execute(f"DELETE FROM {quoted(using, table)}")
        for (table, columns), rows in stored.items():
            values = ", ".join(["%s"] * len(columns))
            cursor.executemany(
                f"INSERT INTO {quoted(using, table)} ({quoted(using, *columns)}) VALUES ({values})", rows
            )


def as_sent(value):
    """SQLite takes no time of day back that its driver has read."""
    return str(value) if isinstance(value, time) else value


def tables(using) -> list[str]:
    return connections[using].introspection.django_table_names(only_existing=True, include_views=False)


def quoted(using, *names) -> str:
    return ", ".join(map(connections[using].ops.quote_name, names))
