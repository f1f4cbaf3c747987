"""Patterns and counters of document numbers."""

from django.core.exceptions import ValidationError
from django.db import models

from crm.models.base import Record


class NumberSeries(Record):
    """How numbers of one kind look: ``QT{yyyyMMdd}{seq:4}``. The counter restarts with each period of the pattern."""

    code = models.CharField("业务", max_length=30, unique=True, editable=False)
    name = models.CharField("名称", max_length=50)
    pattern = models.CharField(
        "编号规则", max_length=60, help_text="可用 {yyyy} {yyyyMM} {yyyyMMdd} 和 {seq:位数}，例如 KH{yyyyMM}{seq:5}。"
    )

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "编号规则"
        default_permissions = ("change", "view")
        ordering = ["code"]

    def __str__(self):
        return self.name

    def clean(self):
        from crm import numbering

        super().clean()
        try:
            numbering.parse(self.pattern)
        except ValueError as error:
            raise ValidationError({"pattern": str(error)}) from error


class NumberCounter(models.Model):
    series = models.ForeignKey(NumberSeries, on_delete=models.CASCADE, related_name="+", verbose_name="编号规则")
    period = models.CharField("周期", max_length=8, blank=True, default="")
    value = models.PositiveBigIntegerField("已用到", default=0)

    class Meta:
        verbose_name = verbose_name_plural = "编号计数"
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["series", "period"], name="counter_per_period")]

    def __str__(self):
        return f"{self.series} {self.period}"
