"""What we offer to a customer at what price. Sources: fastapi ``crm_quotation`` and ``crm_quotation_item``."""

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone
from django_fsm import FSMField, FSMModelMixin, transition

from crm.models import Record
from sales.models.documents import DocumentFields, DocumentLine
from sales.models.opportunities import Opportunity


class QuotationStatus(models.TextChoices):
    """fastapi ``status`` 1–4; a quotation whose date has passed unanswered expires."""

    DRAFT = "draft", "草稿"
    SENT = "sent", "已发送"
    ACCEPTED = "accepted", "已接受"
    REJECTED = "rejected", "已拒绝"
    EXPIRED = "expired", "已过期"


class Quotation(FSMModelMixin, DocumentFields, Record):
    """An offer. A new revision (``revision_of``) replaces an offer that was sent; the old one stays as it was."""

    series, what = "quotation", "报价单"

    opportunity = models.ForeignKey(
        Opportunity,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="quotations",
        verbose_name="商机",
    )
    valid_until = models.DateField("报价有效期", null=True, blank=True, help_text="当天仍有效。")
    terms = models.TextField("条款", blank=True, default="", help_text="交货、付款、质保等，印在报价单上。")
    status = FSMField(
        "状态", choices=QuotationStatus.choices, default=QuotationStatus.DRAFT, protected=True, editable=False
    )
    revision_of = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="revisions",
        verbose_name="修订自",
    )
    revision = models.PositiveSmallIntegerField("版次", default=1, editable=False)
    sent_at = models.DateTimeField("发送时间", null=True, blank=True, editable=False)
    decided_at = models.DateTimeField("答复时间", null=True, blank=True, editable=False)
    reject_reason = models.CharField("拒绝原因", max_length=255, blank=True, default="", editable=False)

    audit_exclude = ("total_amount", "sent_at", "decided_at")

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "报价单"
        ordering = ["-id"]
        default_permissions = ("add", "change", "delete", "view", "import", "export")
        permissions = [("decide_quotation", "发送报价与登记答复")]
        indexes = [
            models.Index(fields=["status", "valid_until"], name="quotation_status_until"),
            models.Index(fields=["customer", "status"], name="quotation_customer"),
        ]

    @property
    def is_late(self) -> bool:
        """Whether its last day has passed."""
        return self.valid_until is not None and self.valid_until < timezone.localdate()

    @property
    def newer(self):
        """The revision that replaces this offer, or None."""
        return self.revisions.filter(is_valid=True).order_by("-revision").first()

    def clean(self):
        super().clean()
        known = Quotation._base_manager.filter(pk=self.pk).values_list("opportunity_id", flat=True).first()
        if self.opportunity_id in (None, known) or not self.customer_id:
            return
        if self.opportunity.customer_id != self.customer_id:
            raise ValidationError({"opportunity": "这个商机不属于该客户，请重新选择。"})

    @transition(
        status,
        source=QuotationStatus.DRAFT,
        target=QuotationStatus.SENT,
        custom={"label": "标为已发送", "action": "decide", "style": "primary"},
    )
    def send(self):
        self.sent_at = timezone.now()

    @transition(
        status,
        source=QuotationStatus.SENT,
        target=QuotationStatus.ACCEPTED,
        custom={"label": "客户接受", "action": "decide", "style": "primary"},
    )
    def accept(self):
        self.decided_at = timezone.now()

    @transition(
        status,
        source=QuotationStatus.SENT,
        target=QuotationStatus.REJECTED,
        custom={
            "label": "客户拒绝",
            "action": "decide",
            "needs_reason": True,
            "reason_field": "reject_reason",
            "style": "danger",
        },
    )
    def reject(self):
        self.decided_at = timezone.now()

    @transition(status, source=QuotationStatus.SENT, target=QuotationStatus.EXPIRED)
    def expire(self):
        """Its date has passed; runs within the periodic job."""


class QuotationItem(DocumentLine):
    head_field = "quotation"

    quotation = models.ForeignKey(Quotation, on_delete=models.CASCADE, related_name="items", verbose_name="报价单")

    class Meta(DocumentLine.Meta):
        verbose_name = verbose_name_plural = "报价明细"
