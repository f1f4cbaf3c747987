"""Asking customers how they fare after a contract or a work order. Source: fastapi ``crm_return_visit``."""

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django_fsm import FSMField, FSMModelMixin, transition

from crm.models import BusinessSource, Record
from customers.models import Contact, Customer, Stars
from customers.models.interactions import refuse_foreign_contact
from sales.models import Contract
from service.models.workorders import WorkOrder, refuse_foreign_contract


class VisitMethod(models.TextChoices):
    """fastapi ``visit_type`` 电话/上门/问卷."""

    PHONE = "phone", "电话"
    DOOR = "door", "上门"
    QUESTIONNAIRE = "questionnaire", "问卷"


class ReturnVisitStatus(models.TextChoices):
    """fastapi ``status`` 1–3."""

    PLANNED = "planned", "待执行"
    DONE = "done", "已完成"
    CANCELLED = "cancelled", "已取消"


class Trigger(models.TextChoices):
    SIGNED = "signed", "合同签约"
    ARCHIVED = "archived", "工单归档"


class ReturnVisitRule(Record):
    """After what a return visit is planned, and how many days of the calendar later (at nine in the morning)."""

    trigger = models.CharField("触发", max_length=10, choices=Trigger.choices)
    days = models.PositiveSmallIntegerField(
        "天数", validators=[MaxValueValidator(3650)], help_text="触发后第几天回访。"
    )
    method = models.CharField("回访方式", max_length=20, choices=VisitMethod.choices, default=VisitMethod.PHONE)
    is_active = models.BooleanField("启用", default=True)

    business_source = BusinessSource.SERVICE

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "回访规则"
        ordering = ["trigger", "days", "id"]
        constraints = [models.UniqueConstraint(fields=["trigger", "days", "method"], name="return_visit_rule_once")]

    def __str__(self):
        return f"{self.get_trigger_display()}后 {self.days} 天{self.get_method_display()}回访"


class ReturnVisit(FSMModelMixin, Record):
    """One visit, call or questionnaire: planned by a rule or a person, done with content and feedback, or cancelled.

    ``contract`` or ``work_order`` says what it is about. ``rule_key`` keeps a rule from planning it twice.
    """

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="return_visits", verbose_name="客户")
    contact = models.ForeignKey(
        Contact, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name="联系人"
    )
    contract = models.ForeignKey(
        Contract,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="return_visits",
        verbose_name="关联合同",
    )
    work_order = models.ForeignKey(
        WorkOrder,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="return_visits",
        verbose_name="关联工单",
    )
    method = models.CharField("回访方式", max_length=20, choices=VisitMethod.choices, default=VisitMethod.PHONE)
    planned_at = models.DateTimeField("计划回访时间", db_index=True)
    visited_at = models.DateTimeField("实际回访时间", null=True, blank=True)
    content = models.TextField("回访内容", blank=True, default="", help_text="计划问些什么；完成时写成谈了什么。")
    feedback = models.TextField("客户反馈", blank=True, default="")
    satisfaction = models.PositiveSmallIntegerField("满意度", choices=Stars.choices, null=True, blank=True)
    status = FSMField(
        "状态", choices=ReturnVisitStatus.choices, default=ReturnVisitStatus.PLANNED, protected=True, editable=False
    )
    cancel_reason = models.CharField("取消原因", max_length=255, blank=True, default="", editable=False)
    rule_key = models.CharField("规则标记", max_length=60, null=True, blank=True, unique=True, editable=False)

    business_source = BusinessSource.SERVICE
    audit_exclude = ("rule_key",)

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "回访"
        ordering = ["-planned_at", "-id"]
        default_permissions = ("add", "change", "delete", "view", "import", "export")
        permissions = [("serve_returnvisit", "回访看得到的客户")]
        indexes = [
            models.Index(fields=["status", "planned_at"], name="return_visit_status"),
            models.Index(fields=["customer", "planned_at"], name="return_visit_customer"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=~Q(status="done") | Q(visited_at__isnull=False), name="return_visit_done_when"
            )
        ]

    def __str__(self):
        return f"{VisitMethod(self.method).label}回访"

    @property
    def business_no(self):
        return self.customer.code

    def clean(self):
        super().clean()
        if self.customer_id:
            refuse_foreign_contact(self)
            refuse_foreign_contract(self)
            if self.work_order_id and self.work_order.customer_id != self.customer_id:
                raise ValidationError({"work_order": "这张工单不属于该客户，请重新选择。"})
        if self.visited_at and self.visited_at > timezone.now():
            raise ValidationError({"visited_at": "实际回访时间不能晚于现在。"})

    @transition(
        status,
        source=ReturnVisitStatus.PLANNED,
        target=ReturnVisitStatus.DONE,
        custom={"label": "完成回访", "action": "change", "style": "primary", "page": "complete"},
    )
    def complete(self, content, feedback, visited_at, satisfaction=None):
        self.content, self.feedback, self.satisfaction = content, feedback, satisfaction
        self.visited_at = visited_at

    @transition(
        status,
        source=ReturnVisitStatus.PLANNED,
        target=ReturnVisitStatus.CANCELLED,
        custom={
            "label": "取消回访",
            "action": "change",
            "needs_reason": True,
            "reason_field": "cancel_reason",
            "style": "danger",
        },
    )
    def cancel(self):
        pass
