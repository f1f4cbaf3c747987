"""Pieces of five letters or digits instead of four: all is entered anew by ``search.settle``, and read until then."""

from django.db import migrations

EMPTY = {"mysql": "TRUNCATE TABLE crm_searchtokens", "sqlite": "DELETE FROM crm_searchtokens"}


def enter_anew(apps, schema_editor):
    schema_editor.execute(EMPTY[schema_editor.connection.vendor])
    schema_editor.execute("UPDATE crm_searchentry SET is_settled = 0")


class Migration(migrations.Migration):
    dependencies = [("crm", "0002_search_tokens")]

    operations = [migrations.RunPython(enter_anew, enter_anew, atomic=False, elidable=True)]
