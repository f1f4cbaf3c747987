"""What was agreed with a customer. Sources: fastapi ``crm_contract`` and ``crm_contract_item``."""

from decimal import Decimal

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone
from django_fsm import FSMField, FSMModelMixin, transition
from guardian.models import UserObjectPermissionBase

from crm.models import ApprovalRequest, AttachmentBase, BusinessSource, Company, OwnedRecord, Record, Versions
from sales.models.documents import DocumentFields, DocumentLine
from sales.models.opportunities import Opportunity
from sales.models.quotations import Quotation


class ContractStatus(models.TextChoices):
    """fastapi ``status`` 1–4."""

    DRAFT = "draft", "草稿"
    APPROVED = "approved", "已审核"
    SIGNED = "signed", "已签约"
    TERMINATED = "terminated", "已终止"


class Contract(FSMModelMixin, DocumentFields, OwnedRecord):
    """An agreement. Drafts are reviewed by approval, then signed; a signed one changes only by an approved amendment.

    ``received_amount`` and ``invoiced_amount`` are the sums of its valid receipts and invoices, in ``currency``, kept
    under the lock of the contract by ``services.payments``. ``version_no`` counts the approved amendments.
    """

    series, what = "contract", "合同"

    name = models.CharField("合同名称", max_length=200)
    opportunity = models.ForeignKey(
        Opportunity, on_delete=models.PROTECT, null=True, blank=True, related_name="contracts", verbose_name="商机"
    )
    quotation = models.ForeignKey(
        Quotation,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="contracts",
        verbose_name="来源报价单",
    )
    company = models.ForeignKey(
        Company, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name="我方签约公司"
    )
    sign_date = models.DateField("签约日期", null=True, blank=True, editable=False, db_index=True)
    start_date = models.DateField("生效日期", null=True, blank=True)
    end_date = models.DateField("到期日期", null=True, blank=True, db_index=True)
    terms = models.TextField("条款", blank=True, default="", help_text="交货、付款、质保、违约等，印在合同上。")
    status = FSMField(
        "状态", choices=ContractStatus.choices, default=ContractStatus.DRAFT, protected=True, editable=False
    )
    terminate_reason = models.CharField("终止原因", max_length=255, blank=True, default="", editable=False)
    terminated_at = models.DateTimeField("终止时间", null=True, blank=True, editable=False)
    received_amount = models.DecimalField("已回款", max_digits=18, decimal_places=2, default=Decimal(0), editable=False)
    invoiced_amount = models.DecimalField("已开票", max_digits=18, decimal_places=2, default=Decimal(0), editable=False)
    version_no = models.PositiveIntegerField("合同版本", default=1, editable=False)

    history = Versions()
    audit_exclude = ("total_amount", "received_amount", "invoiced_amount", "terminated_at")

    class Meta(OwnedRecord.Meta):
        verbose_name = verbose_name_plural = "合同"
        ordering = ["-id"]
        default_permissions = ("add", "change", "delete", "view", "import", "export")
        permissions = [
            ("assign_contract", "分配合同"),
            ("share_contract", "共享合同"),
            ("sign_contract", "签订合同"),
            ("terminate_contract", "终止合同"),
            ("amend_contract", "申请变更已签约的合同"),
        ]
        indexes = [
            models.Index(fields=["owner", "id"], name="contract_owner"),
            models.Index(fields=["status", "end_date"], name="contract_status_end"),
            models.Index(fields=["customer", "status"], name="contract_customer"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(received_amount__gte=0, received_amount__lte=models.F("total_amount")),
                name="contract_not_overpaid",
            ),
            models.CheckConstraint(
                condition=models.Q(invoiced_amount__gte=0, invoiced_amount__lte=models.F("total_amount")),
                name="contract_not_overinvoiced",
            ),
        ]

    def __str__(self):
        return self.name

    @property
    def days_left(self) -> int | None:
        """Days until a signed contract ends, negative once it has; None: it does not end, or is not signed."""
        if self.status != ContractStatus.SIGNED or self.end_date is None:
            return None
        return (self.end_date - timezone.localdate()).days

    @property
    def open_amount(self) -> Decimal:
        """What is still to be received, in ``currency``."""
        return self.total_amount - self.received_amount

    def clean(self):
        super().clean()
        if self.start_date and self.end_date and self.end_date < self.start_date:
            raise ValidationError({"end_date": "到期日期不能早于生效日期。"})
        if self.opportunity_id and self.customer_id and self.opportunity.customer_id != self.customer_id:
            raise ValidationError({"opportunity": "这个商机不属于该客户，请重新选择。"})

    @transition(status, source=ContractStatus.DRAFT, target=ContractStatus.APPROVED)
    def approve(self):
        """Runs within an approved request for review."""

    @transition(
        status,
        source=ContractStatus.APPROVED,
        target=ContractStatus.DRAFT,
        custom={"label": "退回修改", "action": "sign", "needs_reason": True},
    )
    def rework(self):
        """Taken back before it is signed; it has to be reviewed again."""

    @transition(
        status,
        source=ContractStatus.APPROVED,
        target=ContractStatus.SIGNED,
        custom={"label": "签约", "action": "sign", "style": "primary", "page": "sign"},
    )
    def sign(self, sign_date):
        self.sign_date = sign_date

    @transition(
        status,
        source=ContractStatus.SIGNED,
        target=ContractStatus.TERMINATED,
        custom={
            "label": "终止合同",
            "action": "terminate",
            "needs_reason": True,
            "reason_field": "terminate_reason",
            "style": "danger",
        },
    )
    def terminate(self):
        self.terminated_at = timezone.now()


class ContractUserObjectPermission(UserObjectPermissionBase):
    """The row grants of contracts; written by ``crm.ownership`` alone."""

    content_object = models.ForeignKey(Contract, on_delete=models.CASCADE, related_name="grants")

    class Meta(UserObjectPermissionBase.Meta):
        default_permissions = ()


class ContractItem(DocumentLine):
    head_field = "contract"

    contract = models.ForeignKey(Contract, on_delete=models.CASCADE, related_name="items", verbose_name="合同")

    class Meta(DocumentLine.Meta):
        verbose_name = verbose_name_plural = "合同明细"


class ContractVersion(Record):
    """What a contract said, head and lines, when it was signed (version 1) and after each approved amendment.

    ``content`` is ``{"fields": {name: value}, "items": [{"id": …, name: value, …}]}`` as the business log keeps values.
    """

    contract = models.ForeignKey(Contract, on_delete=models.CASCADE, related_name="versions_kept", verbose_name="合同")
    version_no = models.PositiveIntegerField("合同版本")
    content = models.JSONField("内容")
    total_amount = models.DecimalField("总金额", max_digits=18, decimal_places=2)
    request = models.ForeignKey(
        ApprovalRequest, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name="审批"
    )

    business_source = BusinessSource.SALES

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "合同版本"
        ordering = ["-id"]
        default_permissions = ("view",)
        constraints = [models.UniqueConstraint(fields=["contract", "version_no"], name="contract_version_once")]

    def __str__(self):
        return f"v{self.version_no}"

    @property
    def business_no(self):
        return self.contract.number


class ContractAttachment(AttachmentBase):
    """Files of a contract. Source: fastapi ``crm_contract.file_url``."""

    contract = models.ForeignKey(Contract, on_delete=models.CASCADE, related_name="attachments", verbose_name="合同")

    business_source = BusinessSource.SALES

    class Meta(AttachmentBase.Meta):
        verbose_name = verbose_name_plural = "合同附件"
        ordering = ["-id"]
        default_permissions = ("add", "change", "delete", "view")

    @property
    def business_no(self):
        return self.contract.number
