"""Customers that are about to be lost, what is done about it, and what came of it.

Sources: java ``t_customer_loss`` and ``t_customer_reprieve`` (暂缓流失的措施).
"""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django_fsm import FSMField, FSMModelMixin, transition

from crm import actor
from crm.fields import DictionaryField, KeyField
from crm.models import BusinessSource, Record
from customers.models import Customer


class LossStatus(models.TextChoices):
    """java ``state``: 0 暂缓流失, 1 确认流失."""

    WARNING = "warning", "流失预警"
    REPRIEVED = "reprieved", "暂缓流失"
    LOST = "lost", "确认流失"
    RECOVERED = "recovered", "已挽回"


PENDING = [LossStatus.WARNING, LossStatus.REPRIEVED]


def _months(label, help_text):
    return models.PositiveSmallIntegerField(
        label,
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(120)],
        help_text=help_text,
    )


class ChurnRule(Record):
    """When customers of a level count as about to be lost; the rule without a level is for all other levels.

    Months are those of the calendar: six months after 31 August is 28 (29) February.
    """

    level = DictionaryField("客户等级", type="level", help_text="留空适用于没有专门规则的等级。")
    scope_key = KeyField(normalize=str, max_length=20, unique=True)
    idle_months = _months("未下单（月）", "最近一次下单或签约过去这么多个月即预警；留空则不按下单预警。")
    never_months = _months("从未下单（月）", "建档这么多个月仍没有下过单即预警；留空则不预警。")
    releases = models.BooleanField("确认流失后退回公海", default=False)

    business_source = BusinessSource.SERVICE

    named_by = ("level",)

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "流失规则"
        ordering = ["level_id", "id"]

    def __str__(self):
        return str(self.level) if self.level_id else "其他等级"

    @property
    def _scope(self):
        return str(self.level_id or "*")

    def clean(self):
        super().clean()
        if ChurnRule._base_manager.filter(scope_key=self._scope).exclude(pk=self.pk).exists():
            raise ValidationError({"level": "这个等级已有流失规则，请修改那一条。"})

    def save(self, *args, **kwargs):
        self.scope_key = self._scope if self.is_valid else None
        super().save(*args, **kwargs)


class CustomerLoss(FSMModelMixin, Record):
    """One time that a customer was about to be lost: warned of, reprieved by measures, then lost or recovered.

    ``open_key`` is the customer while this is not settled: there is one at a time. Written by ``services.retention``.
    """

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="losses", verbose_name="客户")
    open_key = models.PositiveBigIntegerField("未了结标记", null=True, blank=True, unique=True, editable=False)
    last_order_date = models.DateField("最后下单日期", null=True, blank=True, help_text="空白表示从未下单。")
    warned_on = models.DateField("预警日期", default=timezone.localdate, db_index=True)
    warning = models.CharField("预警原因", max_length=200, blank=True, default="")
    status = FSMField(
        "流失状态", choices=LossStatus.choices, default=LossStatus.WARNING, protected=True, editable=False
    )
    reason_type = DictionaryField("流失原因", type="loss_reason", editable=False)
    reason = models.CharField("原因说明", max_length=1000, blank=True, default="", editable=False)
    confirmed_on = models.DateField("确认流失日期", null=True, blank=True, editable=False, db_index=True)
    recovered_on = models.DateField("挽回日期", null=True, blank=True, editable=False)
    recovered_by = models.CharField("挽回依据", max_length=200, blank=True, default="", editable=False)

    business_source = BusinessSource.SERVICE
    audit_exclude = ("open_key",)

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "客户流失"
        ordering = ["-id"]
        default_permissions = ("view", "change", "export")
        permissions = [("confirm_customerloss", "确认客户流失")]
        indexes = [
            models.Index(fields=["status", "is_valid"], name="loss_status"),
            models.Index(fields=["customer", "status"], name="loss_customer"),
        ]
        constraints = [
            models.CheckConstraint(condition=~Q(status="lost") | Q(confirmed_on__isnull=False), name="loss_dated")
        ]

    def __str__(self):
        return f"{self.customer}（{LossStatus(self.status).label}）"

    @property
    def business_no(self):
        return self.customer.code

    def save(self, *args, **kwargs):
        self.open_key = self.customer_id if self.is_valid and self.status in PENDING else None
        if kwargs.get("update_fields") is not None:
            kwargs["update_fields"] = {*kwargs["update_fields"], "open_key"}
        super().save(*args, **kwargs)

    @transition(status, source=LossStatus.WARNING, target=LossStatus.REPRIEVED)
    def reprieve(self):
        """Runs with the first measure."""

    @transition(
        status,
        source=PENDING,
        target=LossStatus.LOST,
        custom={"label": "确认流失", "action": "confirm", "style": "danger", "page": "confirm"},
    )
    def confirm(self):
        """Runs within ``services.retention.confirm``."""
        self.confirmed_on = timezone.localdate()

    @transition(status, source=[*PENDING, LossStatus.LOST], target=LossStatus.RECOVERED)
    def recover(self):
        """Runs within ``services.retention.recover``."""
        self.recovered_on = timezone.localdate()


class RetentionMeasure(Record):
    """暂缓流失的措施: what was done to keep the customer, when, by whom, and its effect."""

    loss = models.ForeignKey(CustomerLoss, on_delete=models.CASCADE, related_name="measures", verbose_name="客户流失")
    date = models.DateField("日期", default=timezone.localdate)
    content = models.CharField("措施", max_length=500)
    effect = models.CharField("效果", max_length=500, blank=True, default="")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name="采取人",
    )

    business_source = BusinessSource.SERVICE

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "暂缓措施"
        ordering = ["-date", "-id"]

    def __str__(self):
        return self.content[:50]

    @property
    def business_no(self):
        return self.loss.customer.code

    def save(self, *args, **kwargs):
        if self._state.adding and self.author_id is None:
            self.author = actor.current().user
        super().save(*args, **kwargs)
