"""Leads, the pools they wait in and what is planned for them.

Sources: fastapi ``crm_lead`` and ``crm_lead_pool``, java ``t_sale_chance`` (a sale chance is a lead) and
``t_cus_dev_plan``.
"""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db import models, transaction
from django.utils import timezone
from django_fsm import FSMField, FSMModelMixin, transition
from guardian.models import UserObjectPermissionBase

from crm import text
from crm.fields import DictionaryField, KeyField, PhoneField
from crm.models import BusinessSource, Operation, OwnedRecord, Record
from customers.models import Customer
from sales.models.marketing import MarketingActivity


class LeadStatus(models.TextChoices):
    """fastapi ``status`` 1–4, java ``dev_result`` 0–3."""

    NEW = "new", "新增"
    WORKING = "working", "跟进中"
    CONVERTED = "converted", "已转化"
    INVALID = "invalid", "失效"


OPEN = [LeadStatus.NEW, LeadStatus.WORKING]


class IntentLevel(models.IntegerChoices):
    LOW = 1, "低"
    MEDIUM = 2, "中"
    HIGH = 3, "高"


class PlanResult(models.TextChoices):
    PLANNED = "planned", "未执行"
    EFFECTIVE = "effective", "有进展"
    FRUITLESS = "fruitless", "无进展"


class LeadPool(Record):
    """Where leads wait for somebody to work on them. A private pool is open to its members and admins alone."""

    name = models.CharField("线索池名称", max_length=100)
    name_key = KeyField(source="name", max_length=100, unique=True)
    description = models.TextField("描述", blank=True, default="")
    is_public = models.BooleanField(
        "公共池", default=True, help_text="公共池里的线索人人可以领取；私有池只对成员开放。"
    )
    members = models.ManyToManyField(
        settings.AUTH_USER_MODEL,
        blank=True,
        related_name="lead_pools",
        verbose_name="成员",
        help_text="可以领取私有池里的线索。",
    )
    admins = models.ManyToManyField(
        settings.AUTH_USER_MODEL,
        blank=True,
        related_name="administered_lead_pools",
        verbose_name="池管理员",
        help_text="看得到池里的全部线索；角色有“分配线索”权限的，可以分配。",
    )

    business_source = BusinessSource.SALES

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "线索池"
        ordering = ["id"]

    def __str__(self):
        return self.name

    def clean(self):
        super().clean()
        same = LeadPool._base_manager.filter(name_key=text.fold(self.name)).exclude(pk=self.pk)
        if self.name and same.exists():
            raise ValidationError({"name": f"线索池“{self.name}”已存在，请换一个名称。"})


class Lead(FSMModelMixin, OwnedRecord):
    """Somebody who may become a customer. Without an owner it waits in its pool.

    ``phone_key`` is unique among valid leads: a second enquiry of the same number belongs to the same lead.
    """

    name = models.CharField("线索名称", max_length=100, help_text="联系人姓名；还不知道联系人时填企业名称。")
    company = models.CharField("公司名称", max_length=200, blank=True, default="")
    position = models.CharField("职位", max_length=100, blank=True, default="")
    phone = PhoneField("联系电话", help_text="同一个号码只能有一条线索。")
    phone_key = KeyField(normalize=text.phone_key, max_length=40, unique=True)
    source = DictionaryField("来源渠道", type="source")
    activity = models.ForeignKey(
        MarketingActivity,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="leads",
        verbose_name="来源活动",
    )
    intent_product = models.CharField("意向产品", max_length=200, blank=True, default="")
    intent_level = models.PositiveSmallIntegerField("意向度", choices=IntentLevel.choices, null=True, blank=True)
    success_probability = models.PositiveSmallIntegerField(
        "成功几率（%）", null=True, blank=True, validators=[MaxValueValidator(100)]
    )
    overview = models.CharField(
        "概要", max_length=300, blank=True, default="", help_text="线索池里人人可见，请勿写联系方式。"
    )
    description = models.TextField("详细描述", blank=True, default="")
    pool = models.ForeignKey(LeadPool, on_delete=models.PROTECT, related_name="leads", verbose_name="线索池")
    status = FSMField("状态", choices=LeadStatus.choices, default=LeadStatus.NEW, protected=True, editable=False)
    invalid_reason = models.CharField("失效原因", max_length=255, blank=True, default="", editable=False)
    assigned_at = models.DateTimeField("分配时间", null=True, blank=True, editable=False)
    enquiry_count = models.PositiveIntegerField("咨询次数", default=0, editable=False)
    last_enquiry_at = models.DateTimeField("最近咨询时间", null=True, blank=True, editable=False)
    customer = models.ForeignKey(
        Customer,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="leads",
        verbose_name="转化为客户",
    )
    converted_at = models.DateTimeField("转化时间", null=True, blank=True, editable=False)
    last_followed_at = models.DateTimeField("最近跟进时间", null=True, blank=True, editable=False, db_index=True)
    next_follow_at = models.DateTimeField("下次跟进时间", null=True, blank=True, editable=False, db_index=True)

    business_source = BusinessSource.SALES
    audit_exclude = ("assigned_at", "enquiry_count", "last_enquiry_at", "last_followed_at", "next_follow_at")

    class Meta(OwnedRecord.Meta):
        verbose_name = verbose_name_plural = "线索"
        ordering = ["-id"]
        default_permissions = ("add", "change", "delete", "view", "import", "export")
        permissions = [
            ("assign_lead", "分配线索"),
            ("share_lead", "共享线索"),
            ("release_lead", "退回线索"),
            ("convert_lead", "转化线索"),
        ]
        indexes = [
            models.Index(fields=["pool", "status"], name="lead_pool_status"),
            models.Index(fields=["owner", "status"], name="lead_owner_status"),
            models.Index(fields=["owner", "next_follow_at"], name="lead_owner_next"),
            models.Index(fields=["status", "id"], name="lead_status"),
        ]

    def __str__(self):
        return self.name

    @property
    def whereabouts(self) -> str:
        """What somebody without a right to this lead may be told about it: whom to ask."""
        if self.owner_id is None:
            return f"在线索池“{self.pool}”，还没有负责人"
        return f"归属：{self.owner.department or '其他同事'}"

    def clean(self):
        super().clean()
        key = text.phone_key(self.phone)
        same = Lead._base_manager.filter(phone_key=key, is_valid=True).exclude(pk=self.pk) if key else None
        if same is not None and (other := same.select_related("pool", "owner__department").first()):
            raise ValidationError(
                {"phone": f"“{self.phone}”已有线索（{other.whereabouts}），请改用“登记咨询”把这次来访记到它名下。"}
            )

    def save(self, *args, **kwargs):
        self.phone_key = (text.phone_key(self.phone) or None) if self.is_valid else None
        if self._state.adding and self.owner_id:
            self.assigned_at = self.assigned_at or timezone.now()
        super().save(*args, **kwargs)

    @transition(
        status,
        source=LeadStatus.NEW,
        target=LeadStatus.WORKING,
        custom={"label": "开始跟进", "action": "change"},
    )
    def begin(self):
        pass

    @transition(
        status,
        source=OPEN,
        target=LeadStatus.CONVERTED,
        custom={"label": "转为客户", "action": "convert", "style": "primary", "page": "convert"},
    )
    def convert(self, customer):
        self.customer, self.converted_at = customer, timezone.now()

    @transition(
        status,
        source=OPEN,
        target=LeadStatus.INVALID,
        custom={
            "label": "标为失效",
            "action": "change",
            "needs_reason": True,
            "reason_field": "invalid_reason",
            "style": "danger",
        },
    )
    def invalidate(self):
        pass

    @transition(
        status,
        source=LeadStatus.INVALID,
        target=LeadStatus.NEW,
        custom={"label": "重新启用", "action": "change"},
    )
    def reopen(self):
        self.invalid_reason = ""


class LeadUserObjectPermission(UserObjectPermissionBase):
    """The row grants of leads; written by ``crm.ownership`` alone."""

    content_object = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="grants")

    class Meta(UserObjectPermissionBase.Meta):
        default_permissions = ()


class PooledLead(Lead):
    """An open lead without owner as those see it who may claim it: little, and the phone masked."""

    class Meta:
        proxy = True
        verbose_name = verbose_name_plural = "待领线索"
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [("claim_pooledlead", "领取线索")]


class DevelopmentPlan(Record):
    """客户开发计划: one step towards winning a lead, and what came of it. Source: java ``t_cus_dev_plan``.

    The first plan for a new lead sets it to 跟进中.
    """

    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="plans", verbose_name="线索")
    content = models.CharField("计划内容", max_length=500)
    date = models.DateField("计划日期", db_index=True)
    effect = models.CharField("执行效果", max_length=500, blank=True, default="")
    result = models.CharField("开发结果", max_length=10, choices=PlanResult.choices, default=PlanResult.PLANNED)

    business_source = BusinessSource.SALES

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "开发计划"
        ordering = ["date", "id"]
        indexes = [models.Index(fields=["result", "date"], name="plan_result_date")]

    def __str__(self):
        return self.content[:50]

    def save(self, *args, **kwargs):
        with transaction.atomic():
            if self._state.adding:
                lead = Lead._base_manager.select_for_update().get(pk=self.lead_id)
                if lead.status == LeadStatus.NEW:
                    lead.begin()
                    lead.save(operation=Operation.TRANSITION, remark="制定开发计划")
            super().save(*args, **kwargs)


class LeadEnquiry(Record):
    """One time that the person behind a lead asked for us; written by ``services.leads.register_enquiry`` alone."""

    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="enquiries", verbose_name="线索")
    enquired_at = models.DateTimeField("咨询时间", default=timezone.now)
    name = models.CharField("来询人", max_length=100, blank=True, default="")
    company = models.CharField("来询公司", max_length=200, blank=True, default="")
    source = DictionaryField("来源渠道", type="source")
    content = models.TextField("咨询内容", blank=True, default="")

    business_source = BusinessSource.SALES

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "咨询记录"
        ordering = ["-enquired_at", "-id"]
        default_permissions = ("view",)

    def __str__(self):
        return f"{timezone.localtime(self.enquired_at):%Y-%m-%d %H:%M} {self.name}".strip()
