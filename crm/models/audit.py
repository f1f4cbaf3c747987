"""The business log table. Append-only."""

from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.utils import timezone


class Operation(models.IntegerChoices):
    CREATE = 1, "创建"
    UPDATE = 2, "更新"
    DELETE = 3, "删除"
    RESTORE = 4, "恢复"
    TRANSITION = 5, "状态变更"
    OWNERSHIP = 6, "归属变更"
    EXPORT = 7, "导出"
    REVEAL = 8, "查看敏感信息"
    LOGIN = 9, "登录"
    APPROVAL = 10, "审批"
    CHECK = 11, "查重"
    MERGE = 12, "合并"


class BusinessSource(models.IntegerChoices):
    """Where a log entry comes from. 5 is the customer log (dms ``business_source``)."""

    SYSTEM = 0, "系统管理"
    CUSTOMER = 5, "客户"
    CONTACT = 6, "联系人与资料"
    SALES = 7, "销售"
    SERVICE = 8, "服务"


class AppendOnlyQuerySet(models.QuerySet):
    def update(self, **kwargs):
        raise TypeError("业务日志只能追加，不能修改。")

    def delete(self):
        raise TypeError("业务日志只能追加，不能删除。")


class BusinessLog(models.Model):
    """Who did what to which record, when, from where, and what changed. Source: dms ``dms_business_log``.

    ``root`` is the owned record the entry belongs to (the customer of a contact): who may see that record now, may
    read the entry now.
    """

    content_type = models.ForeignKey(
        "contenttypes.ContentType", on_delete=models.PROTECT, related_name="+", verbose_name="记录类型"
    )
    object_id = models.BigIntegerField("记录编号")
    object_repr = models.CharField("记录", max_length=200)
    business_no = models.CharField("业务单号", max_length=64, blank=True, default="")
    business_source = models.PositiveSmallIntegerField("业务来源", choices=BusinessSource.choices, default=0)
    root_type = models.ForeignKey(
        "contenttypes.ContentType", on_delete=models.PROTECT, null=True, related_name="+", verbose_name="所属记录类型"
    )
    root_id = models.BigIntegerField("所属记录编号", null=True)
    version = models.PositiveIntegerField("版本", null=True)
    operation = models.PositiveSmallIntegerField("操作类型", choices=Operation.choices)
    changes = models.JSONField("变更内容", default=dict)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+", verbose_name="操作人"
    )
    user_name = models.CharField("操作人姓名", max_length=100)
    ip = models.GenericIPAddressField("IP 地址", null=True)
    batch = models.CharField("批次", max_length=40, blank=True, default="")
    remark = models.CharField("备注", max_length=255, blank=True, default="")
    created_at = models.DateTimeField("操作时间", default=timezone.now)

    objects = AppendOnlyQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "业务日志"
        ordering = ["-id"]
        default_permissions = ("view", "export")
        indexes = [
            models.Index(fields=["business_no", "business_source"], name="log_business_no"),
            models.Index(fields=["content_type", "object_id"], name="log_object"),
            models.Index(fields=["root_type", "root_id"], name="log_root"),
            models.Index(fields=["created_at"], name="log_created"),
            models.Index(fields=["batch"], name="log_batch"),
        ]

    def __str__(self):
        return f"{self.user_name}{self.get_operation_display()}{self.object_repr}"

    def save(self, *args, **kwargs):
        if self.pk:
            raise TypeError("业务日志只能追加，不能修改。")
        super().save(*args, **kwargs)

    def delete(self, *args, **kwargs):
        raise TypeError("业务日志只能追加，不能删除。")

    @property
    def record_model(self):
        """The model of the record, from what the process remembers: joined with so small a table, a server reads all
        entries of a kind and sorts them for the newest few."""
        return ContentType.objects.get_for_id(self.content_type_id).model_class()
