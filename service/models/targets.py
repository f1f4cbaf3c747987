"""How quickly work orders are to be answered and solved, and when the clock runs.

Source: the issue of the five-step service flow (java 五 服务管理); fastapi ``crm_work_order.priority``.
"""

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from crm.fields import DictionaryField
from crm.models import BusinessSource, Record
from customers.models import Priority, Stars

MOST_HOURS = 2000


def _hours(label, help_text=""):
    return models.DecimalField(
        label,
        max_digits=6,
        decimal_places=1,
        validators=[MinValueValidator(0), MaxValueValidator(MOST_HOURS)],
        help_text=help_text,
    )


class ServiceTarget(Record):
    """What is promised for work orders of one priority: hours to the first response and to the solution.

    Hours are working hours (``WorkingPeriod``, Chinese public holidays, ``SpecialDay``) unless ``is_continuous``.
    """

    priority = models.CharField("优先级", max_length=10, choices=Priority.choices, unique=True)
    response_hours = _hours("响应时限（小时）", "从创建到开始处理。")
    resolution_hours = _hours("解决时限（小时）", "从创建（重开的从重开）到提交结果。")
    warn_hours = _hours("提前提醒（小时）", "离时限还有这么久时标为“即将超时”并提醒处理人。")
    is_continuous = models.BooleanField("全天计时", default=False, help_text="不分昼夜和节假日；不勾选则只计工作时间。")
    reopen_at = models.PositiveSmallIntegerField(
        "自动重开的满意度",
        choices=Stars.choices,
        null=True,
        blank=True,
        help_text="客户给出的满意度不高于它时，工单自动重开；留空则不自动重开。",
    )
    service_level = DictionaryField(
        "服务标准", type="service_level", help_text="客户分类为该服务标准的，新建工单默认不低于这个优先级。"
    )

    business_source = BusinessSource.SERVICE

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "服务时限"
        ordering = ["response_hours", "id"]
        default_permissions = ("change", "view")

    def __str__(self):
        return self.get_priority_display()

    def clean(self):
        super().clean()
        if None not in (self.response_hours, self.resolution_hours) and self.response_hours > self.resolution_hours:
            raise ValidationError({"resolution_hours": "解决时限不能短于响应时限。"})


class WorkingPeriod(Record):
    """A stretch of every working day; there may be several (a lunch break lies between two)."""

    start = models.TimeField("开始")
    end = models.TimeField("结束")

    business_source = BusinessSource.SERVICE

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "工作时段"
        ordering = ["start"]
        constraints = [models.CheckConstraint(condition=Q(end__gt=F("start")), name="working_period_forwards")]

    def __str__(self):
        return f"{self.start:%H:%M}–{self.end:%H:%M}"

    def clean(self):
        super().clean()
        if self.start is None or self.end is None:
            return
        if self.end <= self.start:
            raise ValidationError({"end": "结束要晚于开始；跨过午夜的班次请分成两段。"})
        others = WorkingPeriod.objects.valid().exclude(pk=self.pk)
        if other := others.filter(start__lt=self.end, end__gt=self.start).first():
            raise ValidationError({"start": f"与时段“{other}”重叠。"})


class SpecialDay(Record):
    """A day on which the company does otherwise than the calendar of the country says."""

    date = models.DateField("日期", unique=True)
    is_working = models.BooleanField("上班", default=False, help_text="勾选为上班，不勾选为放假。")
    name = models.CharField("说明", max_length=100, blank=True, default="")

    business_source = BusinessSource.SERVICE

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "例外日期"
        ordering = ["-date"]

    def __str__(self):
        return f"{self.date} {'上班' if self.is_working else '放假'}"
