"""Long work outside requests. The job row is the truth; the queue only says that there is something to do.

An app registers its work in a module ``background``::

    @handler("excel.apply", title="导入")
    def apply(run):
        while rows := pending(after=run.checkpoint.get("last", 0)):
            with run.chunk(done=run.done + len(rows), checkpoint={"last": rows[-1].pk}):
                write(rows)                 # commits together with the progress, or not at all
        return {"rows": run.done}

    @periodic("files.clear", title="清理过期的下载文件", daily="03:10", preview=what_would_go)
    def clear(run): ...

and a service starts it: ``enqueue("excel.apply", by=user, params={"batch": 7}, link=url)``.
"""

from crm.jobs.queue import cancel, enqueue
from crm.jobs.registry import handler, periodic
from crm.jobs.run import Cancelled, Interrupted, JobError, LeaseLost, Run, Stopped, UserDisabled, execute
from crm.jobs.schedule import start

__all__ = [
    "Cancelled",
    "Interrupted",
    "JobError",
    "LeaseLost",
    "Run",
    "Stopped",
    "UserDisabled",
    "cancel",
    "enqueue",
    "execute",
    "handler",
    "periodic",
    "start",
]
