"""Rules about suspicious operations, and what they found."""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django_fsm import FSMField, FSMModelMixin, transition

from crm.models import BusinessSource, Record


class Watch(models.TextChoices):
    VIEWS = "views", "一小时内查看次数"
    NIGHT = "night", "夜间操作次数"
    FOREIGN = "foreign", "一小时内操作非本人客户次数"
    EXPORT = "export", "一次导出的行数"


class AlertRule(Record):
    """More than ``limit`` of what ``watch`` counts, by one person in one hour, makes an alert.

    Night lasts from ``night_from`` to ``night_until`` o'clock (Asia/Shanghai), over midnight if need be.
    """

    name = models.CharField("名称", max_length=50)
    watch = models.CharField("监视", max_length=10, choices=Watch.choices)
    limit = models.PositiveIntegerField("超过", help_text="同一个人超过这个数就告警；夜间填 0 表示有一次就告警。")
    night_from = models.PositiveSmallIntegerField("夜间从几点", default=22)
    night_until = models.PositiveSmallIntegerField("到几点", default=6)
    recipients = models.ManyToManyField(
        settings.AUTH_USER_MODEL,
        blank=True,
        related_name="+",
        verbose_name="通知谁",
        help_text="留空则通知所有能确认告警、并且管得到当事人的人。",
    )
    by_email = models.BooleanField("同时发邮件", default=True)
    is_active = models.BooleanField("启用", default=True)

    business_source = BusinessSource.SYSTEM

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "告警规则"
        ordering = ["id"]
        default_permissions = ("add", "change", "delete", "view")

    def __str__(self):
        return self.name

    def clean(self):
        super().clean()
        for name in ("night_from", "night_until"):
            if getattr(self, name) is not None and getattr(self, name) > 23:
                raise ValidationError({name: "请填写 0 到 23 之间的整点。"})
        if self.watch == Watch.NIGHT and self.night_from == self.night_until:
            raise ValidationError({"night_until": "夜间的起止时间不能相同。"})

    def is_night(self, hour: int) -> bool:
        """Whether the hour of the day ``hour`` lies in the night."""
        first, last = self.night_from, self.night_until
        return first <= hour < last if first < last else hour >= first or hour < last


class AlertState(models.TextChoices):
    OPEN = "open", "待确认"
    ACKNOWLEDGED = "acknowledged", "已确认"


class Alert(FSMModelMixin, Record):
    """A person exceeded a rule in one hour: told once, open until somebody has looked into it."""

    rule = models.ForeignKey(AlertRule, on_delete=models.PROTECT, related_name="alerts", verbose_name="规则")
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name="当事人"
    )
    hour = models.DateTimeField("时段", help_text="从这时起的一小时。")
    count = models.PositiveIntegerField("数量")
    state = FSMField("状态", choices=AlertState.choices, default=AlertState.OPEN, protected=True, editable=False)
    finding = models.CharField("处理意见", max_length=255, blank=True, default="")

    business_source = BusinessSource.SYSTEM

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "操作告警"
        ordering = ["-id"]
        default_permissions = ("change", "view")
        constraints = [models.UniqueConstraint(fields=["rule", "actor", "hour"], name="alert_once")]
        indexes = [models.Index(fields=["state", "id"], name="alert_state")]

    def __str__(self):
        return f"{self.actor} {self.rule}"

    @transition(
        state,
        source=AlertState.OPEN,
        target=AlertState.ACKNOWLEDGED,
        custom={
            "label": "确认",
            "action": "change",
            "needs_reason": True,
            "reason_label": "处理意见",
            "reason_field": "finding",
            "style": "primary",
        },
    )
    def acknowledge(self):
        pass
