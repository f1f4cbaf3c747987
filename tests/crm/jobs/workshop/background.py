"""Each row carries a random key, so that a row written twice is a row too many and not an error."""

import time
from uuid import uuid4

from crm.jobs import handler
from crm.models import Notification

CHUNK = 20


@handler("workshop.rows", title="写入行")
def write_rows(run):
    for start in range(run.checkpoint.get("next", 0), run.job.params["rows"], CHUNK):
        after = start + CHUNK
        with run.chunk(done=after, checkpoint={"next": after}, message=f"已写入 {after} 行"):
            Notification.objects.bulk_create(
                Notification(user=run.user, title="行", body=str(number), key=uuid4().hex)
                for number in range(start, after)
            )
            time.sleep(run.job.params["pause"])
    return {"rows": run.done}
