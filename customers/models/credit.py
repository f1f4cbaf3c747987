"""Credit: limits, temporary credit and reservations of a customer, and how high a rating lets a limit go.

What the figures mean and how they are added up: docs/credit.md. Source: eplus ``creditFlag``, ``creditLimit``.
"""

from decimal import Decimal

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models, transaction
from django.utils import timezone
from django_fsm import FSMField, FSMModelMixin, transition

from crm import actor, exchange, text
from crm.fields import KeyField
from crm.models import BusinessSource, Currency, Record, Versions
from crm.models.base import RecordQuerySet
from customers.models.accounts import Customer, Stars

UNRATED = 0
RATINGS = [(UNRATED, "未评定"), *Stars.choices]


class CreditRule(Record):
    """The highest total of limits, in CNY, that may be asked for at a credit rating; empty: no bound."""

    rating = models.PositiveSmallIntegerField("信用度", choices=RATINGS, unique=True)
    max_amount = models.DecimalField(
        "额度合计上限（人民币）",
        max_digits=18,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="各币种额度按当日汇率折合人民币后的合计；留空表示不限。",
    )

    business_source = BusinessSource.CUSTOMER

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "信用规则"
        ordering = ["rating"]
        default_permissions = ("add", "change", "view")

    def __str__(self):
        return f"信用度 {self.get_rating_display()}"

    @classmethod
    def bound_of(cls, customer) -> Decimal | None:
        """What ``customer``'s rating allows, None for no bound."""
        rules = cls.objects.valid().filter(rating=customer.credit_rating or UNRATED)
        return rules.values_list("max_amount", flat=True).first()


class CreditPart(Record):
    """Money of one currency that counts in a customer's credit."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="%(class)ss", verbose_name="客户")
    currency = models.CharField("币种", max_length=3, choices=Currency.choices)

    business_source = BusinessSource.CUSTOMER

    class Meta(Record.Meta):
        abstract = True

    @property
    def business_no(self):
        return self.customer.code


class CreditLimitQuerySet(RecordQuerySet):
    def effective(self, day):
        """Limits that count on ``day``; both ends included."""
        return self.valid().filter(
            models.Q(valid_from=None) | models.Q(valid_from__lte=day),
            models.Q(valid_until=None) | models.Q(valid_until__gte=day),
        )


class CreditLimit(CreditPart):
    """How much a customer may owe us in one currency. Source: eplus ``creditLimit`` (JsonAmount: amount, currency).

    ``limit_of`` repeats the customer on valid rows: one limit per currency. ``approval`` is the number of the approval
    by which the present amount was set, empty when somebody with the right set it directly.
    """

    amount = models.DecimalField("信用额度", max_digits=18, decimal_places=2, validators=[MinValueValidator(0)])
    valid_from = models.DateField("生效日期", null=True, blank=True, help_text="留空表示立即生效。")
    valid_until = models.DateField("失效日期", null=True, blank=True, help_text="当天仍有效；留空表示长期有效。")
    approval = models.CharField("审批单", max_length=64, blank=True, default="", editable=False)
    limit_of = models.ForeignKey(
        Customer,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name="额度属于",
    )

    objects = CreditLimitQuerySet.as_manager()
    history = Versions()
    audit_exclude = ("limit_of",)

    class Meta(CreditPart.Meta):
        verbose_name = verbose_name_plural = "信用额度"
        ordering = ["customer", "currency"]
        default_permissions = ("add", "change", "delete", "view", "import", "export")
        permissions = [("set_creditlimit", "直接设定信用额度")]
        constraints = [
            models.UniqueConstraint(fields=["limit_of", "currency"], name="credit_limit_once"),
            models.CheckConstraint(condition=models.Q(amount__gte=0), name="credit_limit_not_negative"),
        ]

    def __str__(self):
        return f"{self.currency} 信用额度"

    def clean(self):
        super().clean()
        if self.valid_from and self.valid_until and self.valid_until < self.valid_from:
            raise ValidationError({"valid_until": "失效日期不能早于生效日期。"})
        if self.customer_id and self.currency:
            same = CreditLimit._base_manager.filter(limit_of=self.customer_id, currency=self.currency)
            if same.exclude(pk=self.pk).exists():
                raise ValidationError(
                    {"currency": f"该客户已有{self.get_currency_display()}额度，请直接修改那一条，不要重复添加。"}
                )
            if self.amount is not None and self._is_raised():
                others = CreditLimit.objects.effective(timezone.localdate()).filter(customer_id=self.customer_id)
                amounts = dict(others.exclude(pk=self.pk).values_list("currency", "amount"))
                refuse_beyond_rating(self.customer, amounts | {self.currency: self.amount})

    def _is_raised(self):
        stored = CreditLimit._base_manager.filter(pk=self.pk).first() if self.pk else None
        return stored is None or stored.currency != self.currency or stored.amount < self.amount

    def save(self, *args, **kwargs):
        with transaction.atomic():
            Customer._base_manager.select_for_update().filter(pk=self.customer_id).first()
            if not self._state.adding:
                stored = CreditLimit._base_manager.get(pk=self.pk)
                if stored.amount != self.amount and stored.approval == self.approval:
                    self.approval = ""
            self.limit_of_id = self.customer_id if self.is_valid else None
            super().save(*args, **kwargs)


class TemporaryCredit(CreditPart):
    """Extra credit until a day, that day included, granted by a person for a reason."""

    amount = models.DecimalField(
        "临时额度", max_digits=18, decimal_places=2, validators=[MinValueValidator(Decimal("0.01"))]
    )
    valid_until = models.DateField("有效期至", help_text="当天仍有效。")
    reason = models.CharField("原因", max_length=255)
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name="批准人",
    )
    approval = models.CharField("审批单", max_length=64, blank=True, default="", editable=False)

    class Meta(CreditPart.Meta):
        verbose_name = verbose_name_plural = "临时额度"
        ordering = ["-valid_until", "-id"]
        default_permissions = ("add", "change", "delete", "view", "export")
        constraints = [models.CheckConstraint(condition=models.Q(amount__gt=0), name="temporary_credit_positive")]

    def __str__(self):
        return f"{self.currency} 临时额度"

    def clean(self):
        super().clean()
        if self._state.adding and self.valid_until and self.valid_until < timezone.localdate():
            raise ValidationError({"valid_until": "有效期不能早于今天。"})

    def save(self, *args, **kwargs):
        if self._state.adding and self.approved_by_id is None:
            self.approved_by = actor.current().user
        super().save(*args, **kwargs)


class ReservationState(models.TextChoices):
    ACTIVE = "active", "占用中"
    RELEASED = "released", "已释放"


class CreditReservation(FSMModelMixin, CreditPart):
    """Credit held for a document that no exposure provider counts yet, e.g. a contract waiting for its signature.

    Written by ``customers.services.credit``. ``rate`` is CNY for one unit of ``currency`` on the day it was made.
    ``active_key`` keeps one document from holding credit twice.
    """

    amount = models.DecimalField(
        "占用金额", max_digits=18, decimal_places=2, validators=[MinValueValidator(Decimal("0.01"))], editable=False
    )
    rate = models.DecimalField("当日汇率", max_digits=16, decimal_places=8, null=True, editable=False)
    source = models.CharField("单据类型", max_length=30, editable=False)
    reference = models.CharField("单据", max_length=64, editable=False)
    state = FSMField(
        "状态", choices=ReservationState.choices, default=ReservationState.ACTIVE, protected=True, editable=False
    )
    released_at = models.DateTimeField("释放时间", null=True, blank=True, editable=False)
    active_key = KeyField(max_length=120, unique=True)

    class Meta(CreditPart.Meta):
        verbose_name = verbose_name_plural = "额度占用"
        ordering = ["-id"]
        default_permissions = ("change", "view", "export")
        indexes = [models.Index(fields=["customer", "state"], name="credit_reservation_state")]
        constraints = [models.CheckConstraint(condition=models.Q(amount__gt=0), name="credit_reservation_positive")]

    def __str__(self):
        return f"{self.source} {self.reference}"

    @staticmethod
    def key_of(source, reference):
        return text.fold(f"{source}:{reference}")[:120]

    def save(self, *args, **kwargs):
        is_active = self.is_valid and self.state == ReservationState.ACTIVE
        self.active_key = self.key_of(self.source, self.reference) if is_active else None
        super().save(*args, **kwargs)

    @transition(
        state,
        source=ReservationState.ACTIVE,
        target=ReservationState.RELEASED,
        custom={"label": "释放占用", "action": "change", "needs_reason": True, "style": "danger"},
    )
    def release(self):
        self.released_at = timezone.now()


def refuse_beyond_rating(customer, amounts: dict[str, Decimal]):
    """Refuse limits ``{currency: amount}`` that together pass what the customer's rating allows, by today's rates.

    Raises ValidationError, NoRate.
    """
    bound = CreditRule.bound_of(customer)
    if bound is None:
        return
    today = timezone.localdate()
    total = sum((exchange.convert(amount, c, Currency.CNY, on=today) for c, amount in amounts.items()), Decimal(0))
    if total > bound:
        rating = dict(RATINGS)[customer.credit_rating or UNRATED]
        raise ValidationError(
            f"信用度“{rating}”的客户额度合计最高 {exchange.money(bound, Currency.CNY)}，"
            f"本次设定后合计 {exchange.money(total, Currency.CNY)}。请降低额度，或先重新评定信用度。",
            code="beyond_rating",
        )
