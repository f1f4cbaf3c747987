"""What customers have ordered. Sources: java ``t_customer_order`` and ``t_order_details``."""

from decimal import Decimal

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone
from django_fsm import FSMField, FSMModelMixin, transition

from crm.models import Record
from sales.models.contracts import Contract
from sales.models.documents import DocumentFields, DocumentLine


class OrderStatus(models.TextChoices):
    DRAFT = "draft", "草稿"
    CONFIRMED = "confirmed", "已确认"
    CANCELLED = "cancelled", "已取消"


class PaidState(models.TextChoices):
    """java ``state`` 0 未回款, 1 已回款; fastapi plan ``status`` 1–3."""

    UNPAID = "unpaid", "未回款"
    PARTIAL = "partial", "部分回款"
    PAID = "paid", "全部回款"

    @classmethod
    def of(cls, received, total) -> str:
        if received <= 0:
            return cls.UNPAID
        return cls.PAID if received >= total else cls.PARTIAL


class Order(FSMModelMixin, DocumentFields, Record):
    """An order, on its own or under a contract. The receipts of one under a contract are the contract's.

    ``received_amount`` and ``paid_state`` of an order without contract follow its receipts, under its lock.
    """

    series, what = "order", "订单"
    settled = ("total_amount", "paid_state")

    contract = models.ForeignKey(
        Contract, on_delete=models.PROTECT, null=True, blank=True, related_name="orders", verbose_name="合同"
    )
    order_date = models.DateField("下单日期", default=timezone.localdate, db_index=True)
    order_time = models.TimeField("下单时刻", null=True, blank=True)
    address = models.CharField("收货地址", max_length=500, blank=True, default="")
    status = FSMField("状态", choices=OrderStatus.choices, default=OrderStatus.DRAFT, protected=True, editable=False)
    cancel_reason = models.CharField("取消原因", max_length=255, blank=True, default="", editable=False)
    confirmed_at = models.DateTimeField("确认时间", null=True, blank=True, editable=False)
    cancelled_at = models.DateTimeField("取消时间", null=True, blank=True, editable=False)
    received_amount = models.DecimalField("已回款", max_digits=18, decimal_places=2, default=Decimal(0), editable=False)
    paid_state = models.CharField(
        "回款状态", max_length=10, choices=PaidState.choices, default=PaidState.UNPAID, editable=False
    )

    audit_exclude = ("total_amount", "received_amount", "paid_state", "confirmed_at", "cancelled_at")

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "订单"
        ordering = ["-id"]
        default_permissions = ("add", "change", "delete", "view", "import", "export")
        permissions = [("confirm_order", "确认订单"), ("cancel_order", "取消订单")]
        indexes = [
            models.Index(fields=["customer", "status", "order_date"], name="order_customer_date"),
            models.Index(fields=["status", "order_date"], name="order_status_date"),
            models.Index(fields=["paid_state", "id"], name="order_paid_state"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(received_amount__gte=0, received_amount__lte=models.F("total_amount")),
                name="order_not_overpaid",
            )
        ]

    @property
    def open_amount(self) -> Decimal:
        """What is still to be received, in ``currency``; what an order under a contract brings is the contract's."""
        return self.total_amount - self.received_amount

    def clean(self):
        super().clean()
        if self.contract_id is None:
            return
        if self.customer_id and self.contract.customer_id != self.customer_id:
            raise ValidationError({"contract": "这份合同不属于该客户，请重新选择。"})
        if self.contract.currency != self.currency:
            raise ValidationError({"currency": f"合同按 {self.contract.currency} 结算，订单的币种须与合同相同。"})

    def save(self, *args, **kwargs):
        names = kwargs.get("update_fields")
        if names is not None and {"received_amount", "total_amount"} & set(names):
            self.paid_state = PaidState.of(self.received_amount, self.total_amount)
            kwargs["update_fields"] = {*names, "paid_state"}
        super().save(*args, **kwargs)

    def take_total(self, total):
        super().take_total(total)
        self.paid_state = PaidState.of(self.received_amount, total)

    @transition(
        status,
        source=OrderStatus.DRAFT,
        target=OrderStatus.CONFIRMED,
        custom={"label": "确认订单", "action": "confirm", "style": "primary"},
    )
    def confirm(self):
        self.confirmed_at = timezone.now()

    @transition(
        status,
        source=[OrderStatus.DRAFT, OrderStatus.CONFIRMED],
        target=OrderStatus.CANCELLED,
        custom={
            "label": "取消订单",
            "action": "cancel",
            "needs_reason": True,
            "reason_field": "cancel_reason",
            "style": "danger",
        },
    )
    def cancel(self):
        self.cancelled_at = timezone.now()


class OrderItem(DocumentLine):
    head_field = "order"

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="items", verbose_name="订单")

    class Meta(DocumentLine.Meta):
        verbose_name = verbose_name_plural = "订单明细"

    def clean(self):
        if self._state.adding and self.order_id and not self.order.is_draft:
            raise ValidationError(f"订单“{self.order}”{self.order.get_status_display()}，明细不能再改。")
        super().clean()
