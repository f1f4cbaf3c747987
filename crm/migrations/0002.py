"""The full-text table beside ``SearchEntry``: FULLTEXT on MySQL/MariaDB, FTS5 on SQLite; no model can declare it."""

from django.db import migrations

TABLES = {
    "mysql": (
        "CREATE TABLE crm_searchtokens (rowid BIGINT NOT NULL PRIMARY KEY,"
        " tokens MEDIUMTEXT CHARACTER SET ascii COLLATE ascii_bin NOT NULL, FULLTEXT KEY (tokens)) ENGINE=InnoDB"
    ),
    "sqlite": "CREATE VIRTUAL TABLE crm_searchtokens USING fts5(tokens, detail=none, tokenize=\"ascii tokenchars '_'\")",
}


def create_tokens(apps, schema_editor):
    schema_editor.execute(TABLES[schema_editor.connection.vendor])


def drop_tokens(apps, schema_editor):
    schema_editor.execute("DROP TABLE crm_searchtokens")


class Migration(migrations.Migration):
    dependencies = [("crm", "0001_initial")]

    operations = [migrations.RunPython(create_tokens, drop_tokens, atomic=False, elidable=False)]
