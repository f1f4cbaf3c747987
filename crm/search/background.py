"""Entering into the full-text table what was written since the last time."""

from crm import jobs
from crm.models import SearchEntry
from crm.search.index import JOB, settle


def preview() -> list[str]:
    return [f"{SearchEntry.objects.filter(is_settled=False).count()} 条记录待编入全文索引"]


@jobs.periodic(JOB, title="更新搜索索引", minutes=10, preview=preview)
def settle_all(run):
    count = 1
    while count:
        with run.chunk():
            count = settle()
            run.done += count
    return {"message": f"已编入 {run.done} 条记录"}
