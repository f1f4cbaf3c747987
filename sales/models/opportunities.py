"""Chances to sell: what a customer may buy, for how much, how likely, by when. Source: fastapi ``crm_opportunity``."""

from decimal import Decimal

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.utils import timezone
from django_fsm import FSMField, FSMModelMixin, transition
from guardian.models import UserObjectPermissionBase

from crm import numbering, text
from crm.fields import KeyField
from crm.models import BusinessSource, Currency, OwnedRecord, Record
from customers.models import Contact, Customer
from sales.models.catalog import Product
from sales.models.leads import Lead
from sales.models.marketing import MarketingActivity


def days_between(start, end) -> int:
    """Calendar days in Asia/Shanghai."""
    return (timezone.localdate(end) - timezone.localdate(start)).days


class OpportunityStatus(models.TextChoices):
    """fastapi ``status`` 1–3."""

    OPEN = "open", "进行中"
    WON = "won", "已赢单"
    LOST = "lost", "已输单"


class OpportunityStage(Record):
    """A step on the way to a deal; users name their own. ``probability`` is what an opportunity takes on entering it.

    An opportunity that stays longer than ``stuck_days`` counts as stuck (停滞); empty: never.
    """

    name = models.CharField("阶段名称", max_length=50)
    name_key = KeyField(source="name", max_length=50, unique=True)
    probability = models.PositiveSmallIntegerField("默认赢单概率（%）", validators=[MaxValueValidator(100)])
    stuck_days = models.PositiveSmallIntegerField("停滞天数", null=True, blank=True)
    sort = models.IntegerField("排序", default=0)
    is_active = models.BooleanField("启用", default=True)

    business_source = BusinessSource.SALES

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "商机阶段"
        ordering = ["sort", "id"]

    def __str__(self):
        return self.name

    def clean(self):
        super().clean()
        same = OpportunityStage._base_manager.filter(name_key=text.fold(self.name)).exclude(pk=self.pk)
        if self.name and same.exists():
            raise ValidationError({"name": f"商机阶段“{self.name}”已存在，请换一个名称。"})


class Opportunity(FSMModelMixin, OwnedRecord):
    """Something a customer may buy. ``estimated_amount`` is in ``currency``; ``win_probability`` in percent.

    ``stage`` changes through ``services.opportunities.move``, which closes the interval (``OpportunityStagePeriod``);
    ``stage_since`` begins the present one. The customer stays the same for good: papers and follow-ups rely on it.
    """

    number = models.CharField("商机编号", max_length=50, unique=True, blank=True, editable=False)
    name = models.CharField("商机名称", max_length=200)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="opportunities", verbose_name="客户")
    contact = models.ForeignKey(
        Contact, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name="联系人"
    )
    lead = models.ForeignKey(
        Lead,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="opportunities",
        verbose_name="来源线索",
    )
    activity = models.ForeignKey(
        MarketingActivity,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="opportunities",
        verbose_name="来源活动",
        help_text="由线索转来的，自动取线索的来源活动。",
    )
    currency = models.CharField("币种", max_length=3, choices=Currency.choices, default=Currency.CNY)
    estimated_amount = models.DecimalField(
        "预估金额", max_digits=18, decimal_places=2, validators=[MinValueValidator(0)]
    )
    stage = models.ForeignKey(
        OpportunityStage, on_delete=models.PROTECT, related_name="opportunities", verbose_name="阶段"
    )
    stage_since = models.DateTimeField("进入阶段时间", default=timezone.now, editable=False)
    win_probability = models.PositiveSmallIntegerField(
        "赢单概率（%）", null=True, blank=True, validators=[MaxValueValidator(100)], help_text="留空时取阶段的默认值。"
    )
    expected_close_date = models.DateField("预计成交日期", null=True, blank=True, db_index=True)
    status = FSMField(
        "状态", choices=OpportunityStatus.choices, default=OpportunityStatus.OPEN, protected=True, editable=False
    )
    lose_reason = models.CharField("输单原因", max_length=500, blank=True, default="", editable=False)
    closed_at = models.DateTimeField("结束时间", null=True, blank=True, editable=False, db_index=True)
    last_followed_at = models.DateTimeField("最近跟进时间", null=True, blank=True, editable=False, db_index=True)
    next_follow_at = models.DateTimeField("下次跟进时间", null=True, blank=True, editable=False, db_index=True)

    business_source = BusinessSource.SALES
    audit_exclude = ("stage_since", "closed_at", "last_followed_at", "next_follow_at")

    class Meta(OwnedRecord.Meta):
        verbose_name = verbose_name_plural = "商机"
        ordering = ["-id"]
        default_permissions = ("add", "change", "delete", "view", "import", "export")
        permissions = [("assign_opportunity", "分配商机"), ("share_opportunity", "共享商机")]
        indexes = [
            models.Index(fields=["owner", "stage"], name="opportunity_owner_stage"),
            models.Index(fields=["status", "stage"], name="opportunity_status_stage"),
            models.Index(fields=["customer", "status"], name="opportunity_customer"),
        ]

    def __str__(self):
        return self.name

    @property
    def business_no(self):
        return self.number

    @property
    def weighted_amount(self) -> Decimal:
        """What the forecast counts: the estimate times the probability, rounded when it is shown."""
        return self.estimated_amount * (self.win_probability or 0) / 100

    @property
    def days_in_stage(self) -> int:
        """Calendar days in the present stage, to the day on which it was won or lost."""
        return days_between(self.stage_since, self.closed_at or timezone.now())

    @property
    def is_stuck(self) -> bool:
        limit = self.stage.stuck_days
        return self.status == OpportunityStatus.OPEN and limit is not None and self.days_in_stage > limit

    def clean(self):
        super().clean()
        if self.contact_id and self.customer_id and self.contact.customer_id != self.customer_id:
            raise ValidationError({"contact": "这位联系人不属于该客户，请重新选择。"})

    def save(self, *args, **kwargs):
        with transaction.atomic():
            if self._state.adding:
                self.number = self.number or numbering.next_number("opportunity")
                if self.activity_id is None and self.lead_id:
                    self.activity_id = self.lead.activity_id
            if self.win_probability is None:
                self.win_probability = self.stage.probability
            super().save(*args, **kwargs)

    @transition(
        status,
        source=OpportunityStatus.OPEN,
        target=OpportunityStatus.WON,
        custom={"label": "赢单", "action": "change", "style": "primary"},
    )
    def win(self):
        self.closed_at, self.win_probability = timezone.now(), 100

    @transition(
        status,
        source=OpportunityStatus.OPEN,
        target=OpportunityStatus.LOST,
        custom={
            "label": "输单",
            "action": "change",
            "needs_reason": True,
            "reason_field": "lose_reason",
            "reason_max": 500,
            "style": "danger",
        },
    )
    def lose(self):
        self.closed_at, self.win_probability = timezone.now(), 0

    @transition(
        status,
        source=[OpportunityStatus.WON, OpportunityStatus.LOST],
        target=OpportunityStatus.OPEN,
        custom={"label": "重新跟进", "action": "change", "needs_reason": True},
    )
    def reopen(self):
        self.closed_at, self.lose_reason, self.win_probability = None, "", self.stage.probability
        self.stage_since = timezone.now()


class OpportunityUserObjectPermission(UserObjectPermissionBase):
    """The row grants of opportunities; written by ``crm.ownership`` alone."""

    content_object = models.ForeignKey(Opportunity, on_delete=models.CASCADE, related_name="grants")

    class Meta(UserObjectPermissionBase.Meta):
        default_permissions = ()


class OpportunityItem(Record):
    """A product that the customer is interested in. Source: fastapi ``crm_opportunity.product_ids``."""

    opportunity = models.ForeignKey(Opportunity, on_delete=models.CASCADE, related_name="items", verbose_name="商机")
    product = models.ForeignKey(
        Product, on_delete=models.PROTECT, related_name="opportunity_items", verbose_name="产品"
    )
    quantity = models.DecimalField(
        "数量", max_digits=18, decimal_places=4, default=1, validators=[MinValueValidator(Decimal("0.0001"))]
    )
    unit_price = models.DecimalField(
        "意向单价", max_digits=18, decimal_places=4, null=True, blank=True, validators=[MinValueValidator(0)]
    )

    business_source = BusinessSource.SALES
    named_by = ("product",)

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "意向产品"
        ordering = ["id"]

    def __str__(self):
        return str(self.product)

    @property
    def business_no(self):
        return self.opportunity.number


class OpportunityStagePeriod(Record):
    """A stage that an opportunity has left: from when to when, how likely it was, where it went."""

    opportunity = models.ForeignKey(
        Opportunity, on_delete=models.CASCADE, related_name="stage_periods", verbose_name="商机"
    )
    stage = models.ForeignKey(OpportunityStage, on_delete=models.PROTECT, related_name="+", verbose_name="阶段")
    next_stage = models.ForeignKey(
        OpportunityStage,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="之后的阶段",
        help_text="空：在这个阶段赢单或输单。",
    )
    started_at = models.DateTimeField("进入时间")
    ended_at = models.DateTimeField("离开时间", db_index=True)

    business_source = BusinessSource.SALES

    named_by = ("stage",)

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "商机阶段历程"
        ordering = ["-ended_at", "-id"]
        default_permissions = ("view", "export")
        indexes = [models.Index(fields=["stage", "ended_at"], name="opportunity_period_stage")]

    def __str__(self):
        return f"{self.stage}"

    @property
    def days(self) -> int:
        return days_between(self.started_at, self.ended_at)
