"""What people did to customers. Source: information-tracking ``informationtra`` and its record API."""

import uuid

from django.conf import settings
from django.db import models
from django.utils import timezone

from crm.models import BusinessSource, Side
from crm.trails import Kind
from customers.models import Customer


class Source(models.TextChoices):
    """Where the number of the customer comes from."""

    WECHAT = "wechat", "微信用户"
    CONTACT = "contact", "联系人"
    CUSTOMER = "customer", "客户"


class Delivery(models.TextChoices):
    PENDING = "pending", "待送达"
    DELIVERED = "delivered", "已送达"
    HELD = "held", "外键不允许"
    UNKNOWN = "unknown", "查无此号"
    LOCAL = "local", "不需送达"


class Trace(models.Model):
    """One thing that one person did to one customer: the record of it, and the outbox to the wechat database.

    Written once by ``services.recording``; afterwards only delivery fills in its own columns. Who the person was then
    stands in words, for departments and roles change. ``customer`` is empty for what was done to many at once (an
    export of ``rows`` records) and for wechat users who are not our customers. Links without database constraint: a
    trace neither waits for a customer that is being edited nor goes away with it.
    """

    uuid = models.UUIDField("记录标识", default=uuid.uuid4, unique=True, editable=False)
    kind = models.CharField("操作类型", max_length=10, choices=Kind.choices)
    event = models.TextField("操作事件")
    event_type = models.CharField("事件类型", max_length=50, blank=True, default="", help_text="接口参数 eventType。")
    customer = models.ForeignKey(
        Customer,
        on_delete=models.DO_NOTHING,
        null=True,
        blank=True,
        db_constraint=False,
        related_name="traces",
        verbose_name="客户",
    )
    phone = models.CharField("电话", max_length=40, blank=True, default="")
    rows = models.PositiveIntegerField("记录数", default=1)
    is_foreign = models.BooleanField("非本人客户", default=False, help_text="操作时，操作人不是该客户的负责人。")
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
        verbose_name="操作人",
    )
    user_name = models.CharField("姓名", max_length=100)
    company = models.CharField("公司", max_length=255, blank=True, default="")
    department = models.CharField("部门", max_length=255, blank=True, default="")
    organization = models.CharField("组织", max_length=255, blank=True, default="")
    role = models.CharField("角色", max_length=255, blank=True, default="")
    assistant = models.CharField("协助人", max_length=100, blank=True, default="")
    side = models.CharField("所属端", max_length=10, choices=Side.choices, default=Side.SALES)
    ip = models.GenericIPAddressField("IP 地址", null=True)
    operated_at = models.DateTimeField("操作时间", default=timezone.now, db_index=True)

    source = models.CharField("客户来源", max_length=10, choices=Source.choices, blank=True, default="")
    external_id = models.CharField("来源编号", max_length=100, blank=True, default="")
    delivery = models.CharField("送达", max_length=10, choices=Delivery.choices, default=Delivery.PENDING)
    delivered_at = models.DateTimeField("送达时间", null=True, blank=True)

    business_source = BusinessSource.CUSTOMER

    class Meta:
        verbose_name = verbose_name_plural = "操作记录"
        ordering = ["-id"]
        default_permissions = ("view", "export")
        indexes = [
            models.Index(fields=["customer", "id"], name="trace_customer"),
            models.Index(fields=["actor", "id"], name="trace_actor"),
            models.Index(fields=["kind", "id"], name="trace_kind"),
            models.Index(fields=["delivery", "id"], name="trace_delivery"),
        ]

    def __str__(self):
        return f"{self.user_name} {self.event}"[:100]

    @property
    def business_no(self):
        return self.customer.code if self.customer else ""
