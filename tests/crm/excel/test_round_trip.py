"""What leaves by Excel comes back by Excel and changes nothing, for every kind of record that does both."""

import pytest

from crm.excel import check, export
from crm.excel.reader import Row
from crm.excel.resource import registered, resource_for
from crm.models import ImportBatch, User
from crm.policies import policy_for
from tests.crm.excel.pipeline import kinds
from tests.factories import make

pytestmark = pytest.mark.django_db
BOTH = sorted(label for label, cls in registered().items() if policy_for(cls._meta.model).provides("import"))


@pytest.mark.parametrize("label", BOTH)
def test_an_export_read_back_changes_nothing(label):
    resource, boss = resource_for(label), make(User, is_superuser=True)
    for _ in range(3):
        make(resource.model)
    exporter = export.Exporter(resource, boss)
    rows = list(exporter.rows(policy_for(resource.model).visible_to(boss, "export")))
    importable = resource.visible(boss, importing=True)
    batch = ImportBatch.objects.create(
        resource=label,
        user=boss,
        header_row=1,
        titles=[column.name for column in exporter.columns],
        mapping={str(i): field.name for i, field in enumerate(exporter.fields) if field.name in importable},
    )
    check.stage(batch, check.Checker(batch, boss).chunk([Row(number, row) for number, row in enumerate(rows, 2)]))
    assert len(rows) >= 3
    assert set(kinds(batch)) == {"无变化"}, [(row.label, row.changes, row.problems) for row in batch.rows.all()]
