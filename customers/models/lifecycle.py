"""Life cycle of customers. Source: eplus ``CustomerStageEnum`` and its stage history."""

from django.core.validators import MinValueValidator
from django.db import models
from django.utils import timezone

from crm.models import ApprovalRequest, BusinessSource, Currency, Record
from customers.models.accounts import Customer, Stage


class Priority(models.TextChoices):
    """How urgent a work order of such a customer is unless somebody says otherwise."""

    LOW = "low", "低"
    NORMAL = "normal", "中"
    HIGH = "high", "高"
    URGENT = "urgent", "紧急"


class StagePolicy(Record):
    """How customers of a stage are treated, and what lifts one into it.

    ``yearly_amount`` (CNY): deals of the last twelve months from which on this stage is suggested.
    """

    stage = models.CharField("客户阶段", max_length=10, choices=Stage.choices, unique=True)
    priority = models.CharField(
        "工单优先级", max_length=10, choices=Priority.choices, default=Priority.NORMAL, help_text="新建工单时的默认值。"
    )
    credit_amount = models.DecimalField(
        "默认信用额度",
        max_digits=20,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="进入该阶段时建议申请的额度；留空表示不建议。",
    )
    credit_currency = models.CharField("额度币种", max_length=3, choices=Currency.choices, default=Currency.CNY)
    needs_manager = models.BooleanField("要求专属客户经理", default=False, help_text="没有负责人的客户不能进入该阶段。")
    yearly_amount = models.DecimalField(
        "升级门槛（元）",
        max_digits=20,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="近 12 个月成交额（折合人民币）达到后，系统建议升级到该阶段；只建议，不自动变更。",
    )

    business_source = BusinessSource.CUSTOMER

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "阶段策略"
        ordering = ["id"]
        default_permissions = ("change", "view")

    def __str__(self):
        return self.get_stage_display()


class StagePeriod(Record):
    """A stay in a stage that has ended; the present one is ``Customer.stage`` since ``Customer.stage_since``."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="stage_periods", verbose_name="客户")
    stage = models.CharField("客户阶段", max_length=10, choices=Stage.choices)
    started_at = models.DateTimeField("进入时间")
    ended_at = models.DateTimeField("离开时间")
    next_stage = models.CharField("转入阶段", max_length=10, choices=Stage.choices)
    reason = models.CharField("原因", max_length=500, blank=True, default="")
    request = models.ForeignKey(
        ApprovalRequest, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name="审批"
    )

    business_source = BusinessSource.CUSTOMER

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "阶段记录"
        ordering = ["-id"]
        default_permissions = ("view", "export")
        indexes = [
            models.Index(fields=["customer", "started_at"], name="stage_period_customer"),
            models.Index(fields=["stage", "ended_at"], name="stage_period_stage"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(ended_at__gte=models.F("started_at")), name="stage_period_forwards"
            )
        ]

    def __str__(self):
        return f"{self.get_stage_display()} {timezone.localtime(self.started_at):%Y-%m-%d}"

    @property
    def business_no(self):
        return self.customer.code

    @property
    def days(self) -> int:
        """停留天数, begun days not counted."""
        return (self.ended_at - self.started_at).days
