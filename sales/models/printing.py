"""How quotations and contracts look on paper. A company may write its own; without one the shipped layout is used."""

from django.core.exceptions import ValidationError
from django.db import models

from crm import printing
from crm.models import BusinessSource, Company, Record

MAX_BODY = 100_000  # characters


class PrintKind(models.TextChoices):
    QUOTATION = "quotation", "报价单"
    CONTRACT = "contract", "合同"


class PrintTemplate(Record):
    """A layout in HTML, filled in within a sandbox (``crm.printing``). The newest active one counts; one for the
    company of ours that signs goes before one for all."""

    kind = models.CharField("用于", max_length=20, choices=PrintKind.choices)
    name = models.CharField("模板名称", max_length=100)
    company = models.ForeignKey(
        Company,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="print_templates",
        verbose_name="我方公司",
        help_text="只用于这家公司的单据；留空则用于没有自己模板的公司。",
    )
    body = models.TextField("内容（HTML）", max_length=MAX_BODY, blank=True)
    is_active = models.BooleanField("启用", default=True, help_text="同一用途有多个启用的模板时，用最后建立的一个。")

    business_source = BusinessSource.SALES

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "打印模板"
        ordering = ["kind", "-id"]
        indexes = [models.Index(fields=["kind", "is_active"], name="print_template_kind")]

    def __str__(self):
        return self.name

    def clean(self):
        super().clean()
        try:
            printing.check(self.body)
        except printing.LayoutError as error:
            raise ValidationError({"body": str(error)}) from error
