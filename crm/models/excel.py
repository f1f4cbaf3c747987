"""Uploaded workbooks on their way into the database, and files made for download."""

from django.conf import settings
from django.db import models
from django.utils import timezone


class ImportBatch(models.Model):
    """One uploaded file: mapped, checked into staged rows, previewed, applied, perhaps undone.

    The lines on a second sheet of the file are a batch of their own (``lines``) with columns and rows; it goes the way
    of its ``heads``, and only that has a state.
    """

    class State(models.TextChoices):
        UPLOADED = "uploaded", "待匹配列"
        CHECKING = "checking", "检查中"
        CHECKED = "checked", "待确认"
        APPLYING = "applying", "导入中"
        APPLIED = "applied", "已导入"
        UNDOING = "undoing", "撤销中"
        UNDONE = "undone", "已撤销"
        FAILED = "failed", "失败"

    resource = models.CharField("导入对象", max_length=60)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="imports", verbose_name="导入人"
    )
    state = models.CharField("状态", max_length=10, choices=State.choices, default=State.UPLOADED)
    file_name = models.CharField("文件名", max_length=255)
    file = models.CharField("存储名", max_length=100, blank=True, default="")
    sheet = models.CharField("工作表", max_length=100, blank=True, default="")
    header_row = models.PositiveIntegerField("表头行", default=0)
    titles = models.JSONField("表头", default=list)
    mapping = models.JSONField("列匹配", default=dict)
    options = models.JSONField("选项", default=dict)
    counts = models.JSONField("统计", default=dict)
    job = models.ForeignKey(
        "crm.Job", on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name="任务"
    )
    message = models.CharField("说明", max_length=500, blank=True, default="")
    heads = models.OneToOneField(
        "self", on_delete=models.CASCADE, null=True, blank=True, related_name="lines", verbose_name="所属导入"
    )
    created_at = models.DateTimeField("上传时间", default=timezone.now)
    finished_at = models.DateTimeField("完成时间", null=True, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "导入记录"
        ordering = ["-id"]
        default_permissions = ("view",)
        indexes = [models.Index(fields=["user", "created_at"], name="import_user")]

    def __str__(self):
        return self.file_name

    @property
    def parts(self) -> list["ImportBatch"]:
        """The sheets of the file: the batch itself, then its lines if there are any."""
        return [self, self.lines] if hasattr(self, "lines") else [self]


class ImportRow(models.Model):
    """One row of a checked file: what it would do, on which record in which version, or why it cannot.

    ``values`` are cleaned values by column (``{name: JSON value}``), ``changes`` the difference ``{field: [old, new]}``
    that was previewed, ``problems`` ``[{"index": column of the file, "text": what is wrong}]``, ``key`` the fingerprint
    by which a second row about the same record is noticed; of a line, ``head`` is the key of its head and ``position``
    its place there.
    """

    class Kind(models.IntegerChoices):
        NEW = 1, "新增"
        CHANGED = 2, "更新"
        UNCHANGED = 3, "无变化"
        CONFLICT = 4, "冲突"
        ERROR = 5, "错误"

    class Outcome(models.IntegerChoices):
        PENDING = 0, "待处理"
        APPLIED = 1, "已导入"
        REFUSED = 2, "未导入"

    batch = models.ForeignKey(ImportBatch, on_delete=models.CASCADE, related_name="rows", verbose_name="导入记录")
    number = models.PositiveIntegerField("行号")
    kind = models.PositiveSmallIntegerField("类型", choices=Kind.choices)
    outcome = models.PositiveSmallIntegerField("结果", choices=Outcome.choices, default=Outcome.PENDING)
    label = models.CharField("记录", max_length=200, blank=True, default="")
    values = models.JSONField("内容", default=dict)
    changes = models.JSONField("变更", default=dict)
    problems = models.JSONField("问题", default=list)
    key = models.CharField("识别键", max_length=32, blank=True, default="")
    head = models.CharField("所属单据", max_length=32, blank=True, default="")
    position = models.PositiveIntegerField("明细行号", null=True)
    target_id = models.BigIntegerField("目标记录", null=True)
    target_version = models.PositiveIntegerField("目标版本", null=True)

    class Meta:
        verbose_name = verbose_name_plural = "导入行"
        ordering = ["batch", "number"]
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["batch", "number"], name="import_row_number")]
        indexes = [
            models.Index(fields=["batch", "kind", "number"], name="import_row_kind"),
            models.Index(fields=["batch", "key"], name="import_row_key"),
            models.Index(fields=["batch", "head"], name="import_row_head"),
        ]

    def __str__(self):
        return f"第 {self.number} 行"


class ColumnMapping(models.Model):
    """How a person matched a file of this shape last time: the next one starts there."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", verbose_name="用户")
    resource = models.CharField("导入对象", max_length=60)
    shape = models.CharField("表头指纹", max_length=64)
    mapping = models.JSONField("列匹配", default=dict)
    options = models.JSONField("选项", default=dict)
    updated_at = models.DateTimeField("更新时间", auto_now=True)

    class Meta:
        verbose_name = verbose_name_plural = "列匹配记忆"
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["user", "resource", "shape"], name="mapping_shape")]

    def __str__(self):
        return f"{self.resource} {self.shape[:8]}"


class StoredFile(models.Model):
    """A file made for one person to download; it expires."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", verbose_name="所属人"
    )
    name = models.CharField("文件名", max_length=255)
    file = models.CharField("存储名", max_length=100)
    size = models.PositiveBigIntegerField("大小（字节）", default=0)
    rows = models.PositiveBigIntegerField("行数", default=0)
    created_at = models.DateTimeField("生成时间", default=timezone.now)
    expires_at = models.DateTimeField("过期时间")

    class Meta:
        verbose_name = verbose_name_plural = "下载文件"
        ordering = ["-id"]
        default_permissions = ("view",)

    def __str__(self):
        return self.name
