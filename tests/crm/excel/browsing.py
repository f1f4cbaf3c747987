"""The steps of an import on its pages, and what they show."""

import io
from html import unescape

from crm import jobs
from crm.models import ImportBatch, ImportRow, Job

LIST = "/customers/customer/"


def fetched(response, name):
    file = io.BytesIO(b"".join(response.streaming_content))
    file.name = name
    return file


def saved(book):
    file = io.BytesIO()
    book.save(file)
    file.seek(0)
    file.name = "客户资料.xlsx"
    return file


def imported(page, file) -> ImportBatch:
    """Upload, the suggested mapping, the check by a worker."""
    assert page.post(f"{LIST}import/", {"file": file}).status_code == 302
    batch = ImportBatch.objects.latest("pk")
    columns = {f"column-{index}": name for index, name in batch.mapping.items()}
    page.post(f"/crm/importbatch/{batch.pk}/map/", columns)
    work()
    batch.refresh_from_db()
    return batch


def confirmed(page, batch):
    page.post(f"/crm/importbatch/{batch.pk}/confirm/")
    work()
    batch.refresh_from_db()
    return batch


def work():
    for job in Job.objects.filter(state=Job.State.QUEUED):
        jobs.execute(job.pk)
        job.refresh_from_db()
        assert job.state == Job.State.DONE, job.error or job.message


def kinds(batch):
    return {name: count for name, count in batch.counts.items() if name.upper() in ImportRow.Kind.__members__}


def shown(page, batch, query=""):
    return unescape(page.get(f"/crm/importbatch/{batch.pk}/change/{query}").content.decode())
