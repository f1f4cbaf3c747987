"""Approvals: who must agree before something takes effect. Source: eplus ``auditStatus`` and its approval flows.

A policy says for one kind of action which levels must agree; a request carries the proposed values, which touch nothing
before its last level has agreed; tasks are the people a level waits for; decisions are what they did, append-only.
"""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.utils import timezone

from crm.models.audit import AppendOnlyQuerySet
from crm.models.base import Record
from crm.models.people import Role


def kind_choices():
    from crm.approvals import kinds

    return kinds.choices()


class ApprovalPolicy(Record):
    """The levels one kind of request passes; the policy with the highest threshold that the amount reaches applies.

    Without an active policy a kind needs no approval and takes effect at once.
    """

    kind = models.CharField("审批事项", max_length=50, choices=kind_choices)
    name = models.CharField("流程名称", max_length=100)
    min_amount = models.DecimalField(
        "起批金额（元）",
        max_digits=20,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="涉及金额（折合人民币）达到这个数时用本流程；留空适用于任何金额。",
    )
    is_active = models.BooleanField("启用", default=True)

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "审批流程"
        ordering = ["kind", "min_amount", "id"]
        default_permissions = ("add", "change", "delete", "view")

    def __str__(self):
        return self.name

    def clean(self):
        super().clean()
        same = ApprovalPolicy.objects.valid().filter(kind=self.kind, min_amount=self.min_amount).exclude(pk=self.pk)
        if self.is_active and same.filter(is_active=True).exists():
            raise ValidationError({"min_amount": "同一事项、同一起批金额已有启用的流程，请停用它或换一个金额。"})


class ApprovalLevel(Record):
    """One level of a policy: any one of its approvers decides."""

    class Approver(models.TextChoices):
        MANAGER = "manager", "负责人的部门主管"
        ROLE = "role", "角色"
        PEOPLE = "people", "指定人员"

    policy = models.ForeignKey(ApprovalPolicy, on_delete=models.CASCADE, related_name="levels", verbose_name="审批流程")
    position = models.PositiveSmallIntegerField("级次", default=1, validators=[MinValueValidator(1)])
    name = models.CharField("名称", max_length=50)
    approver = models.CharField("审批人", max_length=10, choices=Approver.choices, default=Approver.MANAGER)
    role = models.ForeignKey(
        Role, on_delete=models.PROTECT, null=True, blank=True, related_name="approval_levels", verbose_name="角色"
    )
    people = models.ManyToManyField(
        settings.AUTH_USER_MODEL, blank=True, related_name="approval_levels", verbose_name="指定人员"
    )

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "审批级次"
        ordering = ["policy", "position"]
        constraints = [models.UniqueConstraint(fields=["policy", "position"], name="approval_level_position")]

    def __str__(self):
        return f"{self.position}. {self.name}"

    def clean(self):
        super().clean()
        if self.approver == self.Approver.ROLE and self.role is None:
            raise ValidationError({"role": "由角色审批时，请选择角色。"})

    def release_keys(self):
        """A removed level gives its position free."""
        self.position = 10_000 + self.pk


class ApprovalRequest(models.Model):
    """One proposal about one record, waiting for decisions.

    ``values`` are as the kind wrote them; ``chain`` is the policy's levels as they stood at submission:
    ``[{"name", "approver", "role", "people"}]``. ``digest`` identifies what the approvers see; a decision names it.
    ``amount`` is in CNY. Its story is told by ``ApprovalDecision`` and by the log of the target.
    """

    class State(models.TextChoices):
        PENDING = "pending", "审批中"
        APPROVED = "approved", "已通过"
        REJECTED = "rejected", "已驳回"
        WITHDRAWN = "withdrawn", "已撤回"

    kind = models.CharField("审批事项", max_length=50, choices=kind_choices)
    target_type = models.ForeignKey(
        "contenttypes.ContentType", on_delete=models.PROTECT, related_name="+", verbose_name="对象类型"
    )
    target_id = models.BigIntegerField("对象编号")
    target_repr = models.CharField("对象", max_length=200)
    applicant = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="approval_requests", verbose_name="申请人"
    )
    reason = models.CharField("申请原因", max_length=500, blank=True, default="")
    values = models.JSONField("申请内容", default=dict, blank=True)
    base_version = models.PositiveIntegerField("提交时的版本", default=0)
    amount = models.DecimalField("涉及金额（元）", max_digits=20, decimal_places=2, null=True, blank=True)
    digest = models.CharField("内容摘要", max_length=64)
    chain = models.JSONField("审批级次", default=list, blank=True)
    level = models.PositiveSmallIntegerField("当前级次", default=1)
    state = models.CharField("状态", max_length=10, choices=State.choices, default=State.PENDING)
    created_at = models.DateTimeField("提交时间", default=timezone.now)
    closed_at = models.DateTimeField("办结时间", null=True, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = "审批", "我的审批"
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [("reassign_approvalrequest", "改派审批")]
        indexes = [
            models.Index(fields=["target_type", "target_id", "state"], name="approval_target"),
            models.Index(fields=["applicant", "state"], name="approval_applicant"),
            models.Index(fields=["state", "id"], name="approval_state"),
        ]

    def __str__(self):
        return f"{self.get_kind_display()} #{self.pk}"

    @property
    def target(self):
        model = self.target_type.model_class()
        return model._base_manager.filter(pk=self.target_id).first()

    @property
    def is_pending(self):
        return self.state == self.State.PENDING


class ApprovalTask(models.Model):
    """Somebody a level waits for. One decision of the level closes the tasks of the others."""

    class State(models.TextChoices):
        OPEN = "open", "待办"
        DONE = "done", "已办"
        CLOSED = "closed", "已由他人办理"

    request = models.ForeignKey(ApprovalRequest, on_delete=models.CASCADE, related_name="tasks", verbose_name="审批")
    level = models.PositiveSmallIntegerField("级次")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="approval_tasks", verbose_name="审批人"
    )
    state = models.CharField("状态", max_length=10, choices=State.choices, default=State.OPEN)
    created_at = models.DateTimeField("到达时间", default=timezone.now)

    class Meta:
        verbose_name = verbose_name_plural = "审批待办"
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["request", "level", "user"], name="approval_task_once")]
        indexes = [models.Index(fields=["user", "state"], name="approval_task_user")]

    def __str__(self):
        return f"{self.request} {self.user}"


class ApprovalDecision(models.Model):
    """What somebody did to a request, when, from where, having seen which content."""

    class Action(models.TextChoices):
        SUBMIT = "submit", "提交"
        APPROVE = "approve", "同意"
        REJECT = "reject", "驳回"
        WITHDRAW = "withdraw", "撤回"
        TRANSFER = "transfer", "转交"
        REMIND = "remind", "催办"

    request = models.ForeignKey(
        ApprovalRequest, on_delete=models.PROTECT, related_name="decisions", verbose_name="审批"
    )
    level = models.PositiveSmallIntegerField("级次", default=0)
    level_name = models.CharField("级次名称", max_length=50, blank=True, default="")
    action = models.CharField("动作", max_length=10, choices=Action.choices)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name="操作人"
    )
    to_user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="转交给",
    )
    comment = models.CharField("意见", max_length=500, blank=True, default="")
    digest = models.CharField("所见内容摘要", max_length=64, blank=True, default="")
    ip = models.GenericIPAddressField("IP 地址", null=True, blank=True)
    created_at = models.DateTimeField("时间", default=timezone.now)

    objects = AppendOnlyQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "审批意见"
        ordering = ["id"]
        default_permissions = ()

    def __str__(self):
        return f"{self.user}{self.get_action_display()}"

    def save(self, *args, **kwargs):
        if self.pk:
            raise TypeError("审批意见只能追加，不能修改。")
        super().save(*args, **kwargs)

    def delete(self, *args, **kwargs):
        raise TypeError("审批意见只能追加，不能删除。")
