"""Work orders: what customers ask of us after the sale, in five steps 创建 → 分配 → 处理 → 反馈 → 归档.

Sources: fastapi ``crm_work_order``, java ``t_customer_serve`` (``assigner`` there is the person it was assigned to).
"""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils import timezone
from django_fsm import FSMField, FSMModelMixin, transition
from guardian.models import UserObjectPermissionBase

from crm import actor, numbering
from crm.fields import DictionaryField, KeyField
from crm.models import AttachmentBase, BusinessSource, OwnedRecord, Record
from customers.models import Contact, Customer, Priority, Stars
from customers.models.interactions import refuse_foreign_contact
from sales.models import Contract

LONG_TEXT = 5000


class WorkOrderStatus(models.TextChoices):
    """The five steps. fastapi ``status``: 待处理 is the first two, 处理中, 已解决, 已关闭."""

    CREATED = "created", "创建"
    ASSIGNED = "assigned", "分配"
    PROCESSING = "processing", "处理"
    SOLVED = "solved", "反馈"
    ARCHIVED = "archived", "归档"


OPEN = [
    WorkOrderStatus.CREATED,
    WorkOrderStatus.ASSIGNED,
    WorkOrderStatus.PROCESSING,
    WorkOrderStatus.SOLVED,
]
UNSOLVED = OPEN[:3]


class Origin(models.TextChoices):
    STAFF = "staff", "员工创建"
    CUSTOMER = "customer", "客户提交"


class EntryKind(models.TextChoices):
    NOTE = "note", "处理记录"
    OPENED = "opened", "创建"
    ASSIGNED = "assigned", "分配"
    STARTED = "started", "开始处理"
    SOLVED = "solved", "提交结果"
    ANSWERED = "answered", "客户反馈"
    REOPENED = "reopened", "重开"
    ARCHIVED = "archived", "归档"


def refuse_foreign_contract(obj):
    """The contract is one of the customer's own."""
    if obj.contract_id and obj.contract.customer_id != obj.customer_id:
        raise ValidationError({"contract": "这份合同不属于该客户，请重新选择。"})


def _moment(label, **options):
    return models.DateTimeField(label, null=True, blank=True, editable=False, **options)


class WorkOrder(FSMModelMixin, OwnedRecord):
    """One request of a customer. ``owner`` is the person it is assigned to; nobody while it is only created.

    ``due_at`` is the target that counts now: the response until somebody began, then the solution, then none;
    ``warn_at`` is when it becomes due soon. Both follow ``response_due`` and ``resolution_due``.
    """

    number = models.CharField("工单号", max_length=50, blank=True, help_text="留空则自动编号。")
    number_key = KeyField(source="number", max_length=64, unique=True)
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="work_orders", verbose_name="客户")
    contact = models.ForeignKey(
        Contact, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name="联系人"
    )
    contract = models.ForeignKey(
        Contract, on_delete=models.SET_NULL, null=True, blank=True, related_name="work_orders", verbose_name="关联合同"
    )
    type = DictionaryField("工单类型", type="work_order_type", null=False, blank=False)
    title = models.CharField("概要", max_length=500)
    content = models.TextField("问题描述")
    priority = models.CharField(
        "优先级",
        max_length=10,
        choices=Priority.choices,
        blank=True,
        help_text="新建时留空，则按客户的阶段和分类取默认值。",
    )
    origin = models.CharField("来源", max_length=10, choices=Origin.choices, default=Origin.STAFF, editable=False)
    status = FSMField(
        "状态", choices=WorkOrderStatus.choices, default=WorkOrderStatus.CREATED, protected=True, editable=False
    )
    solution = models.TextField("处理结果", blank=True, default="", editable=False)
    feedback = models.TextField("客户反馈", blank=True, default="", editable=False)
    satisfaction = models.PositiveSmallIntegerField(
        "满意度", choices=Stars.choices, null=True, blank=True, editable=False
    )
    reopen_reason = models.CharField("重开原因", max_length=255, blank=True, default="", editable=False)
    archive_reason = models.CharField("无反馈归档原因", max_length=255, blank=True, default="", editable=False)
    reopened_count = models.PositiveSmallIntegerField("重开次数", default=0, editable=False)

    assigned_at = _moment("分配时间")
    responded_at = _moment("开始处理时间")
    solved_at = _moment("提交结果时间")
    answered_at = _moment("客户反馈时间")
    archived_at = _moment("归档时间")
    response_due = _moment("响应时限")
    resolution_due = _moment("解决时限")
    due_at = _moment("当前时限", db_index=True)
    warn_at = _moment("提醒时间")
    warned_at = _moment("已提醒时间")
    escalated_at = _moment("已升级时间")

    business_source = BusinessSource.SERVICE
    audit_exclude = ("due_at", "warn_at", "warned_at", "escalated_at")

    class Meta(OwnedRecord.Meta):
        verbose_name = verbose_name_plural = "工单"
        ordering = ["-id"]
        default_permissions = ("add", "change", "delete", "view", "import", "export")
        permissions = [
            ("assign_workorder", "分配工单"),
            ("share_workorder", "共享工单"),
            ("process_workorder", "处理工单"),
            ("feedback_workorder", "登记工单反馈"),
            ("archive_workorder", "归档工单"),
            ("reopen_workorder", "重开工单"),
        ]
        indexes = [
            models.Index(fields=["owner", "status"], name="work_order_owner_status"),
            models.Index(fields=["customer", "status"], name="work_order_customer_status"),
            models.Index(fields=["status", "is_valid"], name="work_order_status"),
            models.Index(fields=["priority", "is_valid"], name="work_order_priority"),
        ]

    def __str__(self):
        return self.title[:50]

    @property
    def business_no(self):
        return self.number

    @property
    def is_open(self) -> bool:
        return self.status in OPEN

    @property
    def is_overdue(self) -> bool:
        return self.due_at is not None and self.due_at < timezone.now()

    @property
    def is_due_soon(self) -> bool:
        return self.due_at is not None and not self.is_overdue and self.warn_at <= timezone.now()

    @property
    def next_target(self) -> str:
        return "解决" if self.responded_at else "响应"

    def clean(self):
        super().clean()
        if self.customer_id:
            refuse_foreign_contact(self)
            refuse_foreign_contract(self)
        same = WorkOrder._base_manager.filter(number_key=self._meta.get_field("number_key").compute(self))
        if self.number and same.exclude(pk=self.pk).exists():
            raise ValidationError({"number": f"工单号“{self.number}”已被使用，请换一个。"})

    def save(self, *args, **kwargs):
        with transaction.atomic():
            if self._state.adding and not self.number:
                self.number = numbering.next_number("work_order")
            super().save(*args, **kwargs)

    # --- Steps -------------------------------------------------------------------------------------------------------

    @transition(
        status,
        source=[WorkOrderStatus.CREATED, WorkOrderStatus.ASSIGNED, WorkOrderStatus.PROCESSING],
        target=WorkOrderStatus.ASSIGNED,
    )
    def assign(self):
        """Runs within ``services.workorders.assign``."""
        self.assigned_at = timezone.now()

    @transition(
        status,
        source=WorkOrderStatus.CREATED,
        target=WorkOrderStatus.CREATED,
        custom={"label": "自动分配", "action": "assign", "page": "dispatch"},
    )
    def dispatch(self):
        """The button of ``services.dispatch.dispatch``, which ends in ``assign``."""

    @transition(
        status,
        source=WorkOrderStatus.ASSIGNED,
        target=WorkOrderStatus.PROCESSING,
        custom={"label": "开始处理", "action": "process", "style": "primary"},
    )
    def start(self):
        self.responded_at = self.responded_at or timezone.now()

    @transition(
        status,
        source=WorkOrderStatus.PROCESSING,
        target=WorkOrderStatus.SOLVED,
        custom={
            "label": "提交结果",
            "action": "process",
            "needs_reason": True,
            "reason_field": "solution",
            "reason_label": "处理结果",
            "reason_max": LONG_TEXT,
            "style": "primary",
        },
    )
    def solve(self):
        self.solved_at = timezone.now()

    @transition(
        status,
        source=WorkOrderStatus.SOLVED,
        target=WorkOrderStatus.SOLVED,
        conditions=[lambda order: order.satisfaction is None],
        custom={"label": "登记反馈", "action": "feedback", "style": "primary", "page": "answer"},
    )
    def answer(self, satisfaction, feedback):
        self.satisfaction, self.feedback, self.answered_at = satisfaction, feedback, timezone.now()

    @transition(
        status,
        source=WorkOrderStatus.SOLVED,
        target=WorkOrderStatus.ARCHIVED,
        conditions=[lambda order: order.satisfaction is not None],
        custom={"label": "归档", "action": "archive", "style": "primary"},
    )
    def archive(self):
        self.archived_at = timezone.now()

    @transition(
        status,
        source=WorkOrderStatus.SOLVED,
        target=WorkOrderStatus.ARCHIVED,
        conditions=[lambda order: order.satisfaction is None],
        custom={
            "label": "无反馈归档",
            "action": "archive",
            "needs_reason": True,
            "reason_field": "archive_reason",
        },
    )
    def close(self):
        self.archived_at = timezone.now()

    @transition(
        status,
        source=[WorkOrderStatus.SOLVED, WorkOrderStatus.ARCHIVED],
        target=WorkOrderStatus.PROCESSING,
        custom={
            "label": "重开",
            "action": "reopen",
            "needs_reason": True,
            "reason_field": "reopen_reason",
            "style": "danger",
        },
    )
    def reopen(self):
        """What was answered stays among the entries; the next answer is asked anew."""
        self.solved_at = self.answered_at = self.archived_at = self.satisfaction = None
        self.feedback = self.archive_reason = ""
        self.reopened_count += 1


class WorkOrderUserObjectPermission(UserObjectPermissionBase):
    """The row grants of work orders; written by ``crm.ownership`` alone."""

    content_object = models.ForeignKey(WorkOrder, on_delete=models.CASCADE, related_name="grants")

    class Meta(UserObjectPermissionBase.Meta):
        default_permissions = ()


class WorkOrderEntry(Record):
    """What was done about a work order, by whom and when: notes by people, steps by the services.

    Source: java ``service_proce``, ``service_proce_people``, ``service_proce_time``.
    """

    work_order = models.ForeignKey(WorkOrder, on_delete=models.CASCADE, related_name="entries", verbose_name="工单")
    kind = models.CharField("类别", max_length=10, choices=EntryKind.choices, default=EntryKind.NOTE, editable=False)
    time = models.DateTimeField("时间", default=timezone.now)
    content = models.TextField("内容")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name="处理人",
    )
    satisfaction = models.PositiveSmallIntegerField(
        "满意度", choices=Stars.choices, null=True, blank=True, editable=False
    )

    business_source = BusinessSource.SERVICE

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "处理记录"
        ordering = ["-time", "-id"]
        indexes = [models.Index(fields=["work_order", "time"], name="work_order_entry_time")]

    def __str__(self):
        return self.content[:50]

    @property
    def business_no(self):
        return self.work_order.number

    def clean(self):
        super().clean()
        if self.time and self.time > timezone.now():
            raise ValidationError({"time": "处理时间不能晚于现在。"})

    def save(self, *args, **kwargs):
        if self._state.adding and self.author_id is None:
            self.author = actor.current().user
        super().save(*args, **kwargs)


class WorkOrderAttachment(AttachmentBase):
    work_order = models.ForeignKey(WorkOrder, on_delete=models.CASCADE, related_name="attachments", verbose_name="工单")

    business_source = BusinessSource.SERVICE

    class Meta(AttachmentBase.Meta):
        verbose_name = verbose_name_plural = "工单附件"
        ordering = ["-id"]
        default_permissions = ("add", "change", "delete", "view")

    @property
    def business_no(self):
        return self.work_order.number


class ServedCustomer(Customer):
    """A customer as those see it who work on one of its open work orders: what they need, the phone masked."""

    class Meta:
        proxy = True
        verbose_name = verbose_name_plural = "服务客户"
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [("reveal_servedcustomer", "查看服务客户的联系方式")]
