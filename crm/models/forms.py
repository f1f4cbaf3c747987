"""Forms that made a record: sent twice, by a double click or a reload, they make one."""

from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.utils import timezone


class SubmittedForm(models.Model):
    """A form of a new record that was sent; ``key`` names who opened it and which copy of it."""

    key = models.CharField("表单", max_length=100, unique=True)
    content_type = models.ForeignKey(ContentType, on_delete=models.CASCADE, related_name="+", verbose_name="记录类型")
    object_id = models.BigIntegerField("记录", null=True)
    created_at = models.DateTimeField("提交时间", default=timezone.now, db_index=True)

    class Meta:
        verbose_name = verbose_name_plural = "已提交的新建表单"
        default_permissions = ()

    def __str__(self):
        return self.key
