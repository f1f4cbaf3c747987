"""What quotations, contracts and orders have in common: a head with a number and lines whose amounts make its total."""

from contextlib import contextmanager
from contextvars import ContextVar
from decimal import ROUND_HALF_UP, Decimal

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.db.models import Sum

from crm import numbering
from crm.fields import KeyField
from crm.models import BusinessSource, CompanyPath, Currency, Record
from customers.models import Contact, Customer
from customers.models.accounts import refuse_taken_key
from sales.models.catalog import Product

CENT = Decimal("0.01")
_deferred: ContextVar[bool] = ContextVar("document_totals_deferred", default=False)


def cents(amount: Decimal) -> Decimal:
    """``amount`` rounded to the cent, half up: the one way amounts are rounded here."""
    return amount.quantize(CENT, ROUND_HALF_UP)


class DocumentFields(models.Model):
    """The head of a document. ``total_amount`` is the sum of its valid lines, in ``currency``; nobody types it.

    ``series`` names the number series, ``what`` the thing in refusals. Only drafts (``DRAFT``) are edited.
    """

    DRAFT = "draft"
    series = what = ""

    number = models.CharField("单号", max_length=50, unique=True, blank=True, help_text="留空时自动编号。")
    number_key = KeyField(source="number", max_length=50, unique=True)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="%(class)ss", verbose_name="客户")
    contact = models.ForeignKey(
        Contact, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name="联系人"
    )
    company_path = models.ForeignKey(
        CompanyPath,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="公司路径",
        help_text="这笔业务经过我方哪些公司；客户有默认路径时自动带出。",
    )
    currency = models.CharField("币种", max_length=3, choices=Currency.choices, default=Currency.CNY)
    total_amount = models.DecimalField("总金额", max_digits=18, decimal_places=2, default=Decimal(0), editable=False)

    business_source = BusinessSource.SALES

    class Meta:
        abstract = True

    def __str__(self):
        return self.number

    def save(self, *args, **kwargs):
        with transaction.atomic():
            if self._state.adding and not self.number:
                self.number = numbering.next_number(self.series)
            super().save(*args, **kwargs)

    @property
    def business_no(self):
        return self.number

    @property
    def is_draft(self) -> bool:
        return self.status == self.DRAFT

    def clean(self):
        super().clean()
        refuse_taken_key(self, "number", "单号")
        if self.contact_id and self.customer_id and self.contact.customer_id != self.customer_id:
            raise ValidationError({"contact": "这位联系人不属于该客户，请重新选择。"})

    settled = ("total_amount",)  # the columns that follow from the lines

    @classmethod
    def settle(cls, *pks) -> None:
        """Write the sums of the lines of the documents ``pks`` into their heads, locked in the caller's transaction.

        Raises ValidationError where more was received or invoiced already.
        """
        lines = cls._meta.get_field("items").related_model.objects.valid().filter(**{f"{cls._line_head()}__in": pks})
        sums = dict(lines.order_by().values_list(cls._line_head()).annotate(total=Sum("amount")))
        changed = []
        for head in cls._base_manager.select_for_update().filter(pk__in=pks).order_by("pk"):
            total = sums.get(head.pk) or Decimal(0)
            if head.total_amount == total:
                continue
            for name in ("received_amount", "invoiced_amount"):
                if total < getattr(head, name, 0):
                    done = f"{cls._meta.get_field(name).verbose_name} {getattr(head, name):,.2f}"
                    raise ValidationError(f"{cls.what}“{head.number}”{done}，总金额不能减到 {total:,.2f}。")
            head.take_total(total)
            changed.append(head)
        cls._base_manager.bulk_update(changed, cls.settled)

    @classmethod
    def _line_head(cls) -> str:
        return cls._meta.get_field("items").field.name

    def take_total(self, total) -> None:
        self.total_amount = total


class DocumentLine(Record):
    """One line: ``amount`` = quantity × unit price × discount %, rounded half up to the cent, in the head's currency.

    What the product says (name, specification, unit, price) is copied when the line is made, so that the catalogue may
    change without changing documents. A subclass names its head in ``head_field``.
    """

    head_field = ""

    product = models.ForeignKey(
        Product, on_delete=models.PROTECT, null=True, blank=True, related_name="%(class)ss", verbose_name="产品"
    )
    name = models.CharField("品名", max_length=200, blank=True, help_text="留空时取产品名称。")
    specification = models.CharField("规格型号", max_length=500, blank=True, default="")
    quantity = models.DecimalField(
        "数量", max_digits=18, decimal_places=4, default=1, validators=[MinValueValidator(Decimal("0.0001"))]
    )
    unit = models.CharField("单位", max_length=20, blank=True, default="")
    unit_price = models.DecimalField(
        "单价", max_digits=18, decimal_places=4, blank=True, validators=[MinValueValidator(0)]
    )
    discount = models.DecimalField(
        "折扣（%）",
        max_digits=10,
        decimal_places=2,
        default=100,
        validators=[MinValueValidator(0), MaxValueValidator(100)],
        help_text="100 表示不打折，85 表示八五折。",
    )
    amount = models.DecimalField("金额", max_digits=18, decimal_places=2, default=Decimal(0), editable=False)

    business_source = BusinessSource.SALES

    class Meta(Record.Meta):
        abstract = True
        ordering = ["id"]

    def __str__(self):
        return self.name

    @property
    def head(self):
        return getattr(self, self.head_field)

    @property
    def business_no(self):
        return self.head.number

    def clean(self):
        super().clean()
        self.take_from_product()
        if not self.name:
            raise ValidationError({"product": "请选择产品，或填写品名。"})
        if self.unit_price is None:
            raise ValidationError({"unit_price": "请填写单价。"})
        if None not in (self.quantity, self.discount):
            self.amount = self.amount_due()

    def take_from_product(self) -> None:
        """Fill what was left blank from the product; its price only where it is in the document's currency."""
        if self.product_id is None:
            return
        self.name = self.name or self.product.name
        self.specification = self.specification or self.product.specification
        self.unit = self.unit or self.product.unit
        if self.unit_price is None and self.head.currency == self.product.currency:
            self.unit_price = self.product.price

    def amount_due(self) -> Decimal:
        return cents(Decimal(self.quantity) * Decimal(self.unit_price) * Decimal(self.discount) / 100)

    def save(self, *args, **kwargs):
        head = self._meta.get_field(self.head_field).related_model
        with transaction.atomic():
            head._base_manager.select_for_update().get(pk=getattr(self, f"{self.head_field}_id"))
            self.take_from_product()
            self.amount = self.amount_due()
            if (names := kwargs.get("update_fields")) is not None:
                kwargs["update_fields"] = {*names, "amount"}
            super().save(*args, **kwargs)
            self.settle_rows([vars(self)])

    @classmethod
    def settle_rows(cls, rows) -> None:
        """Bring the totals of the heads of ``rows`` up to date, each once; not while somebody does it later."""
        if _deferred.get():
            return
        head = cls._meta.get_field(cls.head_field).related_model
        head.settle(*{row[f"{cls.head_field}_id"] for row in rows})


@contextmanager
def totals_later():
    """Lines written meanwhile leave the totals of their heads to the caller."""
    token = _deferred.set(True)
    try:
        yield
    finally:
        _deferred.reset(token)


@contextmanager
def one_total(head):
    """Many lines of ``head`` in one go: its total is settled once at the end."""
    with totals_later(), transaction.atomic():
        type(head)._base_manager.select_for_update().get(pk=head.pk)
        yield
        type(head).settle(head.pk)
