"""The steps of an import as jobs, over a real file that spans several chunks."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from crm import jobs
from crm.excel import apply, check, files, mapping
from crm.excel.resource import resource_for
from crm.jobs import run as runs
from crm.models import BusinessLog, ImportBatch, ImportRow, Job
from customers.models import Customer, CustomerUserObjectPermission

pytestmark = pytest.mark.django_db
Kind, Outcome = ImportRow.Kind, ImportRow.Outcome
ROWS = 25


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch, settings, tmp_path):
    settings.FILES_DIR = tmp_path
    monkeypatch.setattr(check, "CHUNK", 10)
    monkeypatch.setattr(apply, "CHUNK", 10)


def uploaded(user, rows):
    (files.folder() / "upload").write_text("\n".join(["客户代码,客户名称,联系人", *map(",".join, rows)]), "utf-8")
    resource = resource_for("customers.Customer")
    batch = ImportBatch(resource=resource.label, user=user, file_name="客户.csv", file="upload")
    found = mapping.peek(batch, resource, user)
    batch.sheet, batch.header_row, batch.titles = found.sheet, found.header_row, found.titles
    batch.mapping, batch.options = mapping.suggest(resource, user, found.titles)
    batch.save()
    return batch


def step(kind, batch, **values):
    job = jobs.enqueue(kind, by=batch.user, params={"batch": batch.pk})
    Job.objects.filter(pk=job.pk).update(**values)
    jobs.execute(job.pk)
    job.refresh_from_db()
    assert job.state == Job.State.DONE, job.error or job.message
    batch.refresh_from_db()


def customers(count=ROWS):
    return [(f"A{n}", f"第{n}号公司", f"李{n}") for n in range(count)]


def kinds(batch):
    return list(batch.rows.order_by("number").values_list("kind", flat=True))


def test_a_file_of_several_chunks_is_checked_written_and_undone(seller):
    batch = uploaded(seller, customers())
    step("excel.check", batch)
    assert kinds(batch) == [Kind.NEW] * ROWS
    step("excel.apply", batch)
    assert sorted(Customer.objects.values_list("code", "name", "contacts__name")) == sorted(customers())
    assert set(batch.rows.values_list("outcome", flat=True)) == {Outcome.APPLIED}
    step("excel.undo", batch)
    assert not Customer.objects.exists() and not CustomerUserObjectPermission.objects.exists()


def test_a_key_is_recognised_chunks_later(seller):
    """The same row again is skipped, another one under the same code is an error that names the first."""
    first, *others = customers()
    batch = uploaded(seller, [first, *others, first, ("A0", "别的公司", "")])
    step("excel.check", batch)
    assert kinds(batch)[-2:] == [Kind.UNCHANGED, Kind.ERROR]
    assert "与第 2 行重复" in batch.rows.get(number=ROWS + 3).problems[0]["text"]


def test_numbers_are_given_where_the_file_has_none_and_logged(seller):
    batch = uploaded(seller, [("", f"第{n}号公司", "") for n in range(ROWS)])
    step("excel.check", batch)
    step("excel.apply", batch)
    codes = dict(Customer.objects.values_list("pk", "code"))
    assert len(set(codes.values())) == ROWS and all(codes.values())
    for entry in BusinessLog.objects.filter(object_id__in=codes, object_repr__contains="号公司"):
        assert entry.changes["code"] == [None, codes[entry.object_id]] and entry.business_no == codes[entry.object_id]
        assert "is_valid" not in entry.changes


def test_a_check_goes_on_where_another_died_with_signs_of_life_on_the_way(seller, monkeypatch):
    """What the dead one had staged counts when keys are compared."""
    batch = uploaded(seller, [*customers(1500), ("A3", "别的公司", "")])
    step("excel.check", batch)
    ImportRow.objects.filter(batch=batch, number__gt=1490).delete()
    monkeypatch.setattr(runs, "BEAT_SECONDS", 0)
    with CaptureQueriesContext(connection) as captured:
        step("excel.check", batch, checkpoint={"number": 1490})
    beats = [item for item in captured if 'UPDATE "crm_job" SET "done"' in item["sql"].replace("`", '"')]
    assert kinds(batch) == [Kind.NEW] * 1500 + [Kind.ERROR]
    chunks = 2 + 1
    assert len(beats) > chunks


def test_an_import_goes_on_where_another_died(seller):
    batch = uploaded(seller, customers())
    step("excel.check", batch)
    applier, rows = apply.Applier(batch, seller), apply.pending(batch)
    with apply.actor.acting(seller, batch=apply.tag(batch)):
        applier.write(applier.prepare(rows))
    step("excel.apply", batch, checkpoint={"number": rows[-1].number, "done": len(rows)})
    assert Customer.objects.count() == ROWS
    assert not batch.rows.exclude(outcome=Outcome.APPLIED).exists()
    assert batch.counts["applied_new"] == ROWS
