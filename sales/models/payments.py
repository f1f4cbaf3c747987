"""Money due and received, and the invoices for it.

Sources: fastapi ``crm_payment_plan``, ``crm_payment_record`` and ``crm_invoice``.
"""

from decimal import Decimal

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models, transaction
from django.db.models import Sum
from django.utils import timezone
from django_fsm import FSMField, FSMModelMixin, transition

from crm import bulk, numbering, text
from crm.fields import DictionaryField, KeyField
from crm.models import AttachmentBase, BusinessSource, Currency, Record
from crm.models.base import RecordQuerySet
from customers.models import Customer
from sales.models.contracts import Contract, ContractStatus
from sales.models.orders import Order, PaidState


class PaymentPlanQuerySet(RecordQuerySet):
    def due(self):
        """Instalments that money is still wanted for: not paid, of a contract in force."""
        rows = self.valid().exclude(status=PaidState.PAID)
        return rows.filter(contract__is_valid=True, contract__status=ContractStatus.SIGNED)

    def overdue(self, today=None):
        return self.due().filter(date__lt=today or timezone.localdate())


class PaymentPlan(Record):
    """One instalment of a contract, in the contract's currency. Together never more than the contract comes to.

    ``received_amount`` and ``status`` follow the receipts that name the plan, kept by ``services.payments``.
    """

    contract = models.ForeignKey(Contract, on_delete=models.CASCADE, related_name="plans", verbose_name="合同")
    position = models.PositiveSmallIntegerField("期次", default=1)
    amount = models.DecimalField(
        "计划金额", max_digits=18, decimal_places=2, validators=[MinValueValidator(Decimal("0.01"))]
    )
    date = models.DateField("计划回款日期")
    term = models.CharField("付款条件", max_length=100, blank=True, default="", help_text="首付、尾款等。")
    received_amount = models.DecimalField("已回款", max_digits=18, decimal_places=2, default=Decimal(0), editable=False)
    status = models.CharField(
        "状态", max_length=10, choices=PaidState.choices, default=PaidState.UNPAID, editable=False
    )

    objects = PaymentPlanQuerySet.as_manager()
    business_source = BusinessSource.SALES
    audit_exclude = ("received_amount", "status")

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "回款计划"
        ordering = ["date", "id"]
        default_permissions = ("add", "change", "delete", "view", "import", "export")
        indexes = [models.Index(fields=["status", "date"], name="payment_plan_status_date")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(received_amount__gte=0, received_amount__lte=models.F("amount")),
                name="payment_plan_not_overpaid",
            )
        ]

    def __str__(self):
        return f"{self.contract.number} 第 {self.position} 期"

    @property
    def business_no(self):
        return self.contract.number

    @property
    def open_amount(self) -> Decimal:
        return self.amount - self.received_amount

    @classmethod
    def lock_above(cls, ids):
        """Lock the contracts of the instalments ``ids``, whose amounts bound each other."""
        contracts = set(cls._base_manager.filter(pk__in=ids).order_by().values_list("contract_id", flat=True))
        list(Contract._base_manager.select_for_update().filter(pk__in=contracts).order_by("pk").values_list("pk"))

    @property
    def is_overdue(self) -> bool:
        in_force = self.contract.status == ContractStatus.SIGNED
        return in_force and self.status != PaidState.PAID and self.date < timezone.localdate()

    def clean(self):
        super().clean()
        if self.amount is None or self.contract_id is None:
            return
        if self.amount < self.received_amount:
            raise ValidationError({"amount": f"已回款 {self.received_amount:,.2f}，计划金额不能比它少。"})
        others = PaymentPlan.objects.valid().filter(contract=self.contract).exclude(pk=self.pk)
        planned = others.aggregate(total=Sum("amount"))["total"] or Decimal(0)
        left = self.contract.total_amount - planned
        if self.amount > left:
            raise ValidationError(
                {"amount": f"各期合计不能超过合同金额 {self.contract.total_amount:,.2f}：本期最多 {left:,.2f}。"}
            )

    def save(self, *args, **kwargs):
        self.status = PaidState.of(self.received_amount, self.amount)
        if (names := kwargs.get("update_fields")) is not None:
            kwargs["update_fields"] = {*names, "status"}
        super().save(*args, **kwargs)


class ReceiptStatus(models.TextChoices):
    VALID = "valid", "有效"
    VOID = "void", "已作废"


class PaymentRecord(FSMModelMixin, Record):
    """Money received for a contract or an order without contract, never both; in its currency.

    Receipts are voided, not deleted; ``services.payments`` sees to it that they are never more than what is open. The
    sums on contract, order and plan follow with every way of writing.
    """

    number = models.CharField("回款单号", max_length=50, unique=True, blank=True, editable=False)
    number_key = KeyField(source="number", max_length=50, unique=True)
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, editable=False, related_name="payments", verbose_name="客户"
    )
    contract = models.ForeignKey(
        Contract, on_delete=models.PROTECT, null=True, blank=True, related_name="payments", verbose_name="合同"
    )
    order = models.ForeignKey(
        Order, on_delete=models.PROTECT, null=True, blank=True, related_name="payments", verbose_name="订单"
    )
    plan = models.ForeignKey(
        PaymentPlan, on_delete=models.PROTECT, null=True, blank=True, related_name="payments", verbose_name="回款计划"
    )
    amount = models.DecimalField(
        "回款金额", max_digits=18, decimal_places=2, validators=[MinValueValidator(Decimal("0.01"))]
    )
    currency = models.CharField("币种", max_length=3, choices=Currency.choices, editable=False)
    date = models.DateField("回款日期", default=timezone.localdate, db_index=True)
    method = DictionaryField("回款方式", type="payment_method")
    bank_flow = models.CharField("银行流水号", max_length=100, blank=True, default="")
    status = FSMField(
        "状态", choices=ReceiptStatus.choices, default=ReceiptStatus.VALID, protected=True, editable=False
    )
    void_reason = models.CharField("作废原因", max_length=255, blank=True, default="", editable=False)

    business_source = BusinessSource.SALES

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "回款记录"
        ordering = ["-date", "-id"]
        default_permissions = ("add", "change", "delete", "view", "import", "export")
        permissions = [("void_paymentrecord", "作废回款")]
        indexes = [models.Index(fields=["customer", "status", "date"], name="payment_customer_date")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(contract__isnull=False, order__isnull=True)
                | models.Q(contract__isnull=True, order__isnull=False),
                name="payment_one_root",
            ),
            models.CheckConstraint(condition=models.Q(amount__gt=0), name="payment_positive"),
        ]

    def __str__(self):
        return self.number

    @property
    def business_no(self):
        return self.number

    @property
    def root(self):
        return self.contract if self.contract_id else self.order

    def clean(self):
        super().clean()
        if bool(self.contract_id) == bool(self.order_id):
            raise ValidationError("回款属于一份合同或一张订单：请选择其中一个，不要都选。")
        if self.plan_id and self.plan.contract_id != self.contract_id:
            raise ValidationError({"plan": "这一期回款计划不属于该合同，请重新选择。"})
        if self.date and self.date > timezone.localdate():
            raise ValidationError({"date": "回款日期不能晚于今天；还没到账的请写成回款计划。"})

    def save(self, *args, **kwargs):
        with transaction.atomic():
            if self._state.adding:
                self.customer_id, self.currency = self.root.customer_id, self.root.currency
                self.number = self.number or numbering.next_number("payment")
            super().save(*args, **kwargs)
            self.settle_rows([vars(self)])

    @classmethod
    def settle_rows(cls, rows):
        """Bring the sums of the contracts, orders and plans of ``rows`` up to date."""
        counted = cls.objects.valid().filter(status=ReceiptStatus.VALID)
        for column, model in (("contract", Contract), ("order", Order), ("plan", PaymentPlan)):
            settle(model, {row[f"{column}_id"] for row in rows}, counted, column, "received_amount")

    @transition(
        status,
        source=ReceiptStatus.VALID,
        target=ReceiptStatus.VOID,
        custom={
            "label": "作废",
            "action": "void",
            "needs_reason": True,
            "reason_field": "void_reason",
            "style": "danger",
        },
    )
    def void(self):
        pass


class PaymentAttachment(AttachmentBase):
    """Bank slips. Source: fastapi ``crm_payment_record.bank_flow``."""

    payment = models.ForeignKey(
        PaymentRecord, on_delete=models.CASCADE, related_name="attachments", verbose_name="回款记录"
    )

    business_source = BusinessSource.SALES

    class Meta(AttachmentBase.Meta):
        verbose_name = verbose_name_plural = "回款凭证"
        ordering = ["-id"]
        default_permissions = ("add", "change", "delete", "view")

    @property
    def business_no(self):
        return self.payment.number


class InvoiceStatus(models.TextChoices):
    """fastapi ``status`` 1–3."""

    ISSUED = "issued", "已开票"
    DELIVERED = "delivered", "已寄达"
    CERTIFIED = "certified", "已认证"
    VOID = "void", "已作废"


class InvoiceType(models.TextChoices):
    """fastapi ``invoice_type``: 专票, 普票."""

    SPECIAL = "special", "增值税专用发票"
    ORDINARY = "ordinary", "增值税普通发票"


class Invoice(FSMModelMixin, Record):
    """An invoice for a contract, in its currency. The invoices of a contract never pass its total."""

    number = models.CharField("发票号码", max_length=50)
    number_key = KeyField(source="number", max_length=50, unique=True)
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, editable=False, related_name="invoices", verbose_name="客户"
    )
    contract = models.ForeignKey(Contract, on_delete=models.PROTECT, related_name="invoices", verbose_name="合同")
    payment = models.ForeignKey(
        PaymentRecord, on_delete=models.PROTECT, null=True, blank=True, related_name="invoices", verbose_name="回款记录"
    )
    type = models.CharField("发票类型", max_length=10, choices=InvoiceType.choices, default=InvoiceType.SPECIAL)
    title = models.CharField("发票抬头", max_length=200, blank=True, help_text="留空时取客户的开票抬头。")
    tax_no = models.CharField("税号", max_length=50, blank=True, default="")
    amount = models.DecimalField(
        "发票金额", max_digits=18, decimal_places=2, validators=[MinValueValidator(Decimal("0.01"))]
    )
    currency = models.CharField("币种", max_length=3, choices=Currency.choices, editable=False)
    issue_date = models.DateField("开票日期", default=timezone.localdate, db_index=True)
    status = FSMField(
        "状态", choices=InvoiceStatus.choices, default=InvoiceStatus.ISSUED, protected=True, editable=False
    )
    void_reason = models.CharField("作废原因", max_length=255, blank=True, default="", editable=False)

    business_source = BusinessSource.SALES

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "发票"
        ordering = ["-issue_date", "-id"]
        default_permissions = ("add", "change", "delete", "view", "import", "export")
        permissions = [("void_invoice", "作废发票")]
        indexes = [models.Index(fields=["status", "issue_date"], name="invoice_status_date")]
        constraints = [models.CheckConstraint(condition=models.Q(amount__gt=0), name="invoice_positive")]

    def __str__(self):
        return self.number

    @property
    def business_no(self):
        return self.number

    def clean(self):
        super().clean()
        same = Invoice._base_manager.filter(number_key=text.fold(self.number)).exclude(pk=self.pk)
        if self.number and same.exists():
            raise ValidationError({"number": f"发票号码“{self.number}”已登记过，请核对。"})
        if self.payment_id and self.contract_id and self.payment.contract_id != self.contract_id:
            raise ValidationError({"payment": "这笔回款不属于该合同，请重新选择。"})

    def save(self, *args, **kwargs):
        if self._state.adding:
            self.customer_id, self.currency = self.contract.customer_id, self.contract.currency
            self.title = self.title or self.contract.customer.invoice_title or self.contract.customer.name
            self.tax_no = self.tax_no or self.contract.customer.national_tax_no
        with transaction.atomic():
            super().save(*args, **kwargs)
            self.settle_rows([vars(self)])

    @classmethod
    def settle_rows(cls, rows):
        """Bring the invoiced sums of the contracts of ``rows`` up to date."""
        counted = cls.objects.valid().exclude(status=InvoiceStatus.VOID)
        settle(Contract, {row["contract_id"] for row in rows}, counted, "contract", "invoiced_amount")

    @transition(
        status,
        source=InvoiceStatus.ISSUED,
        target=InvoiceStatus.DELIVERED,
        custom={"label": "已寄达", "action": "change", "style": "primary"},
    )
    def deliver(self):
        pass

    @transition(
        status,
        source=InvoiceStatus.DELIVERED,
        target=InvoiceStatus.CERTIFIED,
        custom={"label": "已认证", "action": "change", "style": "primary"},
    )
    def certify(self):
        pass

    @transition(
        status,
        source=[InvoiceStatus.ISSUED, InvoiceStatus.DELIVERED],
        target=InvoiceStatus.VOID,
        custom={
            "label": "作废",
            "action": "void",
            "needs_reason": True,
            "reason_field": "void_reason",
            "style": "danger",
        },
    )
    def void(self):
        pass


def settle(model, keys, counted, column, total):
    """Write the sum of the ``counted`` rows into ``total`` of those records of ``model`` that have changed, locked."""
    keys -= {None}
    if not keys:
        return
    rows = bulk.stored_rows(model, keys, lock=True)
    sums = dict(counted.filter(**{f"{column}__in": keys}).order_by().values_list(column).annotate(total=Sum("amount")))
    changed = []
    for row in rows.values():
        amount = sums.get(row["id"], Decimal(0))
        if row[total] != amount:
            row[total] = amount
            if model in PAID_OF:
                state, whole = PAID_OF[model]
                row[state] = PaidState.of(amount, row[whole])
            changed.append(row)
    bulk.rewrite(model, changed)


# how a record says whether it is paid, and of what amount
PAID_OF = {Order: ("paid_state", "total_amount"), PaymentPlan: ("status", "amount")}


class InvoiceAttachment(AttachmentBase):
    """Scans of an invoice. Source: fastapi ``crm_invoice.file_url``."""

    invoice = models.ForeignKey(Invoice, on_delete=models.CASCADE, related_name="attachments", verbose_name="发票")

    business_source = BusinessSource.SALES

    class Meta(AttachmentBase.Meta):
        verbose_name = verbose_name_plural = "发票扫描件"
        ordering = ["-id"]
        default_permissions = ("add", "change", "delete", "view")

    @property
    def business_no(self):
        return self.invoice.number
