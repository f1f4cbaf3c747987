"""What was said between us and a customer, and the visits we plan to pay.

Sources: fastapi ``crm_customer_session`` and ``crm_visit_plan``, java ``t_customer_contact`` (交往记录).
"""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone
from django_fsm import FSMField, FSMModelMixin, transition

from crm import actor
from crm.fields import DictionaryField
from crm.models import BusinessSource, Record
from customers.models.accounts import Customer
from customers.models.contacts import Contact

SUMMARY_MAX = 5000


class VisitStatus(models.TextChoices):
    """fastapi ``status`` 1–3."""

    PLANNED = "planned", "计划中"
    DONE = "done", "已完成"
    CANCELLED = "cancelled", "已取消"


def _contact():
    return models.ForeignKey(
        Contact, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name="联系人"
    )


def refuse_foreign_contact(obj):
    """The contact is one of the customer's own."""
    if obj.contact_id and obj.customer_id and obj.contact.customer_id != obj.customer_id:
        raise ValidationError({"contact": "这位联系人不属于该客户，请重新选择。"})


class Interaction(Record):
    """One conversation or meeting with a customer, as it happened; ``author`` is who noted it."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="interactions", verbose_name="客户")
    contact = _contact()
    time = models.DateTimeField("会话时间", default=timezone.now, db_index=True)
    type = DictionaryField("会话类型", type="interaction_type")
    tag = DictionaryField("会话标签", type="interaction_tag")
    overview = models.CharField("概要", max_length=200, blank=True, default="")
    content = models.TextField("会话内容", blank=True, default="")
    address = models.CharField("地点", max_length=500, blank=True, default="")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name="记录人",
    )

    business_source = BusinessSource.CUSTOMER

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "会话记录"
        ordering = ["-time", "-id"]
        default_permissions = ("add", "change", "delete", "view", "import", "export")
        indexes = [models.Index(fields=["customer", "time"], name="interaction_customer_time")]

    def __str__(self):
        return (self.overview or self.content)[:50] or "会话"

    @property
    def business_no(self):
        return self.customer.code

    def clean(self):
        super().clean()
        refuse_foreign_contact(self)
        if not (self.overview or self.content):
            raise ValidationError({"overview": "概要和会话内容请至少填写一项。"})
        if self.time and self.time > timezone.now():
            raise ValidationError({"time": "会话时间不能晚于现在；以后要做的事请写成拜访计划或跟进的下一步。"})

    def save(self, *args, **kwargs):
        if self._state.adding and self.author_id is None:
            self.author = actor.current().user
        super().save(*args, **kwargs)


class VisitPlan(FSMModelMixin, Record):
    """A visit to a customer: planned, then done with a summary or cancelled with a reason."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="visit_plans", verbose_name="客户")
    contact = _contact()
    time = models.DateTimeField("计划时间", db_index=True)
    purpose = models.CharField("拜访目的", max_length=500)
    address = models.CharField("拜访地点", max_length=500, blank=True, default="")
    materials = models.CharField("携带资料", max_length=500, blank=True, default="")
    participants = models.ManyToManyField(
        settings.AUTH_USER_MODEL,
        blank=True,
        related_name="visit_plans",
        verbose_name="参与人",
        help_text="留空则由客户负责人前往；到期提醒发给参与人。",
    )
    status = FSMField("状态", choices=VisitStatus.choices, default=VisitStatus.PLANNED, protected=True, editable=False)
    summary = models.TextField("拜访总结", blank=True, default="", editable=False)
    cancel_reason = models.CharField("取消原因", max_length=255, blank=True, default="", editable=False)
    finished_at = models.DateTimeField("办结时间", null=True, blank=True, editable=False)

    business_source = BusinessSource.CUSTOMER

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "拜访计划"
        ordering = ["-time", "-id"]
        default_permissions = ("add", "change", "delete", "view", "import", "export")
        indexes = [
            models.Index(fields=["status", "time"], name="visit_status_time"),
            models.Index(fields=["customer", "time"], name="visit_customer_time"),
        ]

    def __str__(self):
        return self.purpose[:50]

    @property
    def business_no(self):
        return self.customer.code

    def clean(self):
        super().clean()
        refuse_foreign_contact(self)

    @transition(
        status,
        source=VisitStatus.PLANNED,
        target=VisitStatus.DONE,
        custom={
            "label": "完成拜访",
            "action": "change",
            "needs_reason": True,
            "reason_field": "summary",
            "reason_label": "拜访总结",
            "reason_max": SUMMARY_MAX,
            "style": "primary",
        },
    )
    def complete(self):
        self.finished_at = timezone.now()

    @transition(
        status,
        source=VisitStatus.PLANNED,
        target=VisitStatus.CANCELLED,
        custom={
            "label": "取消拜访",
            "action": "change",
            "needs_reason": True,
            "reason_field": "cancel_reason",
            "style": "danger",
        },
    )
    def cancel(self):
        self.finished_at = timezone.now()
