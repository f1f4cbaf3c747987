"""What came from an old system: the moves, and for every old row where it lives now."""

from django.conf import settings
from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.utils import timezone


class LegacyLoad(models.Model):
    """One move from an old system: staged, tried in a dry run, loaded, reconciled.

    ``report`` is what ``crm.legacy.report`` makes of the outcome; ``workbook`` the stored file with every row that did
    not simply go in.
    """

    class State(models.TextChoices):
        STAGING = "staging", "读取中"
        STAGED = "staged", "待试运行"
        CHECKING = "checking", "试运行中"
        CHECKED = "checked", "待迁入"
        LOADING = "loading", "迁入中"
        LOADED = "loaded", "已迁入"
        FAILED = "failed", "失败"

    system = models.CharField("旧系统", max_length=30)
    source = models.CharField("来源", max_length=500, help_text="文件名，或不含密码的数据库地址。")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+", verbose_name="发起人"
    )
    state = models.CharField("状态", max_length=10, choices=State.choices, default=State.STAGING)
    staging = models.CharField("暂存文件", max_length=64, blank=True, default="")
    options = models.JSONField(
        "选项", default=dict, help_text="files：附件所在的文件夹；strangers：没有的客户按名称新建。"
    )
    report = models.JSONField("对账", default=dict)
    message = models.CharField("说明", max_length=500, blank=True, default="")
    job = models.ForeignKey(
        "crm.Job", on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name="任务"
    )
    workbook = models.ForeignKey(
        "crm.StoredFile", on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name="对账明细"
    )
    created_at = models.DateTimeField("开始时间", default=timezone.now)
    finished_at = models.DateTimeField("完成时间", null=True, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "旧系统迁入"
        ordering = ["-id"]
        default_permissions = ("add", "view")

    def __str__(self):
        return f"{self.system or '旧系统'} {timezone.localtime(self.created_at):%Y-%m-%d %H:%M}"


class LegacyRecord(models.Model):
    """One row of an old system and the record that it became or was merged into.

    ``key`` is its key there, so that a second run finds it again; ``row`` what it said, secrets left out; ``notes``
    what of it has no home here or could not be read, and what was done instead.
    """

    class Outcome(models.TextChoices):
        CREATED = "created", "新建"
        MERGED = "merged", "并入已有记录"
        REFUSED = "refused", "未迁入"

    load = models.ForeignKey(LegacyLoad, on_delete=models.PROTECT, related_name="records", verbose_name="迁入批次")
    system = models.CharField("旧系统", max_length=30)
    table = models.CharField("表", max_length=64)
    key = models.CharField("旧主键", max_length=190)
    content_type = models.ForeignKey(
        ContentType, on_delete=models.PROTECT, null=True, related_name="+", verbose_name="记录类型"
    )
    object_id = models.BigIntegerField("记录", null=True)
    target = GenericForeignKey()
    outcome = models.CharField("结果", max_length=10, choices=Outcome.choices)
    row = models.JSONField("旧值", default=dict)
    notes = models.JSONField("说明", default=list)

    class Meta:
        verbose_name = verbose_name_plural = "旧系统记录"
        ordering = ["-id"]
        default_permissions = ("view",)
        constraints = [models.UniqueConstraint(fields=["system", "table", "key"], name="legacy_row")]
        indexes = [
            models.Index(fields=["content_type", "object_id"], name="legacy_target"),
            models.Index(fields=["load", "table", "outcome"], name="legacy_load_outcome"),
        ]

    def __str__(self):
        return f"{self.system} {self.table} {self.key}"
