"""Marketing activities and what came of them. Source: fastapi ``crm_marketing_activity``."""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django_fsm import FSMField, FSMModelMixin, transition

from crm import text
from crm.fields import DictionaryField, KeyField
from crm.models import BusinessSource, Currency, Record


class ActivityStatus(models.TextChoices):
    """fastapi ``status`` 1–3; what never took place is 已取消."""

    PLANNED = "planned", "策划中"
    RUNNING = "running", "进行中"
    ENDED = "ended", "已结束"
    CANCELLED = "cancelled", "已取消"


class MarketingActivity(FSMModelMixin, Record):
    """A fair, a live stream, a promotion: its budget and cost, and through leads and opportunities its return.

    Amounts are in ``currency``. What came of it is counted by ``sales.services.marketing``, never stored.
    """

    name = models.CharField("活动名称", max_length=200)
    name_key = KeyField(source="name", max_length=200, unique=True)
    type = DictionaryField("活动类型", type="activity_type", null=False, blank=False)
    start_time = models.DateTimeField("开始时间")
    end_time = models.DateTimeField("结束时间", db_index=True)
    manager = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="活动负责人",
    )
    currency = models.CharField("币种", max_length=3, choices=Currency.choices, default=Currency.CNY)
    budget = models.DecimalField(
        "预算金额", max_digits=18, decimal_places=2, null=True, blank=True, validators=[MinValueValidator(0)]
    )
    actual_cost = models.DecimalField(
        "实际成本", max_digits=18, decimal_places=2, null=True, blank=True, validators=[MinValueValidator(0)]
    )
    status = FSMField(
        "状态", choices=ActivityStatus.choices, default=ActivityStatus.PLANNED, protected=True, editable=False
    )
    cancel_reason = models.CharField("取消原因", max_length=255, blank=True, default="", editable=False)
    description = models.TextField("活动描述", blank=True, default="")

    business_source = BusinessSource.SALES

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "市场活动"
        ordering = ["-start_time", "-id"]
        default_permissions = ("add", "change", "delete", "view", "import", "export")
        indexes = [models.Index(fields=["start_time", "end_time", "status"], name="activity_time_status")]

    def __str__(self):
        return self.name

    def clean(self):
        super().clean()
        same = MarketingActivity._base_manager.filter(name_key=text.fold(self.name)).exclude(pk=self.pk)
        if self.name and same.exists():
            raise ValidationError({"name": f"市场活动“{self.name}”已存在；每年都办的活动，请在名称里写上年份。"})
        if self.start_time and self.end_time and self.end_time < self.start_time:
            raise ValidationError({"end_time": "结束时间不能早于开始时间。"})

    @transition(
        status,
        source=ActivityStatus.PLANNED,
        target=ActivityStatus.RUNNING,
        custom={"label": "开始", "action": "change", "style": "primary"},
    )
    def begin(self):
        pass

    @transition(
        status,
        source=ActivityStatus.RUNNING,
        target=ActivityStatus.ENDED,
        custom={"label": "结束", "action": "change", "style": "primary"},
    )
    def finish(self):
        pass

    @transition(
        status,
        source=[ActivityStatus.PLANNED, ActivityStatus.RUNNING],
        target=ActivityStatus.CANCELLED,
        custom={
            "label": "取消活动",
            "action": "change",
            "needs_reason": True,
            "reason_field": "cancel_reason",
            "style": "danger",
        },
    )
    def cancel(self):
        pass

    @transition(
        status,
        source=[ActivityStatus.ENDED, ActivityStatus.CANCELLED],
        target=ActivityStatus.RUNNING,
        custom={"label": "重新开始", "action": "change"},
    )
    def reopen(self):
        self.cancel_reason = ""
