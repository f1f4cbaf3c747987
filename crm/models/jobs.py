"""Long work as a row: the truth about its progress, whatever happens to the process that does it."""

from datetime import timedelta

from django.conf import settings
from django.db import models
from django.utils import timezone

WAITING_LONG = timedelta(seconds=30)


class Job(models.Model):
    """One piece of background work. ``kind`` names its handler; ``checkpoint`` is where a successor goes on.

    A worker holds the job while ``lease_until`` lies ahead and renews it with every chunk; a job whose lease ran out
    belongs to whoever takes it next (``attempt`` grows), and the former worker's next checkpoint is refused. Of a
    waiting job, ``lease_until`` says until when the queue is trusted to pass it on. ``retries`` counts attempts since
    the last chunk; ``key`` is held by one unfinished job at most.
    """

    class State(models.TextChoices):
        QUEUED = "queued", "排队中"
        RUNNING = "running", "进行中"
        DONE = "done", "已完成"
        FAILED = "failed", "失败"
        CANCELLED = "cancelled", "已取消"

    kind = models.CharField("任务类型", max_length=50)
    key = models.CharField("唯一键", max_length=100, null=True, unique=True)
    title = models.CharField("任务", max_length=200)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="jobs",
        verbose_name="发起人",
    )
    ip = models.GenericIPAddressField("IP 地址", null=True, blank=True)
    state = models.CharField("状态", max_length=10, choices=State.choices, default=State.QUEUED)
    params = models.JSONField("参数", default=dict)
    checkpoint = models.JSONField("检查点", default=dict)
    done = models.PositiveBigIntegerField("已处理", default=0)
    total = models.PositiveBigIntegerField("总数", default=0)
    message = models.CharField("说明", max_length=500, blank=True, default="")
    result = models.JSONField("结果", default=dict)
    error = models.TextField("错误", blank=True, default="")
    attempt = models.PositiveSmallIntegerField("次数", default=0)
    retries = models.PositiveSmallIntegerField("无进展的次数", default=0)
    worker = models.CharField("执行者", max_length=80, blank=True, default="")
    lease_until = models.DateTimeField("租约到期", null=True, blank=True)
    cancel_requested = models.BooleanField("要求取消", default=False)
    link = models.CharField("链接", max_length=300, blank=True, default="")
    created_at = models.DateTimeField("创建时间", default=timezone.now)
    started_at = models.DateTimeField("开始时间", null=True, blank=True)
    finished_at = models.DateTimeField("结束时间", null=True, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "后台任务"
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [("schedule_job", "管理定时任务")]
        indexes = [
            models.Index(fields=["state", "lease_until"], name="job_state_lease"),
            models.Index(fields=["user", "created_at"], name="job_user"),
        ]

    def __str__(self):
        return self.title

    @property
    def is_finished(self):
        return self.state in {self.State.DONE, self.State.FAILED, self.State.CANCELLED}

    @property
    def is_stalled(self):
        """Whether nobody took it up for so long that perhaps no worker runs."""
        return self.state == self.State.QUEUED and timezone.now() - self.created_at > WAITING_LONG

    @property
    def percent(self) -> int:
        if self.state == self.State.DONE:
            return 100
        return min(99, self.done * 100 // self.total) if self.total else 0

    @property
    def elapsed(self) -> timedelta | None:
        return (self.finished_at or timezone.now()) - self.started_at if self.started_at else None

    @property
    def remaining(self) -> timedelta | None:
        """An estimate from the pace so far."""
        if self.state != self.State.RUNNING or not self.done or self.done > self.total:
            return None
        return self.elapsed * (self.total - self.done) / self.done
