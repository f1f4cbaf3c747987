"""Traces counted by hour: what statistics and rules about quantity read."""

from django.conf import settings
from django.db import models

from crm.trails import Kind


class TraceCount(models.Model):
    """What one person did in one hour, of one kind. Counted anew from the traces as long as the hour may change."""

    hour = models.DateTimeField("小时")
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
        verbose_name="操作人",
    )
    kind = models.CharField("操作类型", max_length=10, choices=Kind.choices)
    count = models.PositiveIntegerField("次数")
    foreign = models.PositiveIntegerField("非本人客户次数", default=0)
    most_rows = models.PositiveIntegerField("一次最多记录数", default=0)

    class Meta:
        verbose_name = verbose_name_plural = "操作统计"
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["hour", "actor", "kind"], name="trace_count_once")]


class Rollup(models.Model):
    """How far the counting has come: every trace before ``until`` is counted. One row."""

    until = models.DateTimeField("统计至", null=True)

    class Meta:
        verbose_name = verbose_name_plural = "统计进度"
        default_permissions = ()


class StaleDay(models.Model):
    """A day whose counts no longer hold because traces of it were written afterwards: the next count takes it again."""

    day = models.DateField("日期", unique=True)

    class Meta:
        verbose_name = verbose_name_plural = "待重新统计的日期"
        default_permissions = ()
