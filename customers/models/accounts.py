"""Customers. Sources: dms ``customer`` and ``real_customers_info``, fastapi ``crm_customer``, eplus ``CUSTOMER`` and
``CATEGORY``, java ``t_customer``."""

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.utils import timezone
from django_fsm import RETURN_VALUE, FSMField, FSMModelMixin, transition
from guardian.models import UserObjectPermissionBase

from crm import numbering, text
from crm.fields import DictionaryField, KeyField, MultiChoiceField, PhoneField
from crm.models import BusinessSource, Currency, OwnedRecord, Record, TreeRecord, Versions


class ReviewStatus(models.TextChoices):
    """dms ``customer_status`` 0–3."""

    PENDING = "pending", "待审核"
    APPROVED = "approved", "已通过"
    REJECTED = "rejected", "未通过"
    SUSPENDED = "suspended", "已停用"


class DealStatus(models.TextChoices):
    """fastapi ``status`` 1–3."""

    POTENTIAL = "potential", "潜在"
    WON = "won", "成交"
    LOST = "lost", "流失"


class Stage(models.TextChoices):
    """eplus ``stageType``; its older words 潜在/正式/退休 are 线索/普通/失效."""

    LEAD = "lead", "线索"
    ORDINARY = "ordinary", "普通"
    KEY = "key", "重要"
    LAPSED = "lapsed", "失效"


class ChangeStatus(models.TextChoices):
    """How the last request for a change stands: eplus ``changeStatus``; ``changeFlag`` is anything but 无变更."""

    NONE = "none", "无变更"
    PENDING = "pending", "变更审批中"
    APPROVED = "approved", "变更已生效"
    REJECTED = "rejected", "变更未通过"


class Kind(models.TextChoices):
    PERSON = "person", "个人"
    COMPANY = "company", "企业"


class Stars(models.IntegerChoices):
    """java ``myd`` and ``xyd``: ☆ to ☆☆☆☆☆."""

    ONE = 1, "★"
    TWO = 2, "★★"
    THREE = 3, "★★★"
    FOUR = 4, "★★★★"
    FIVE = 5, "★★★★★"


BUSINESS_TYPES = [
    ("ecommerce", "电商"),
    ("importer", "进口商"),
    ("retailer", "零售商"),
    ("trader", "贸易商"),
    ("wholesaler", "批发商"),
    ("aftersales", "售后公司"),
    ("mailorder", "邮购商"),
]


class RealCustomer(Record):
    """The real legal person behind several customer codes. Source: dms ``real_customers_info``."""

    code = models.CharField("真实客户编码", max_length=32)
    code_key = KeyField(source="code", max_length=64, unique=True)
    name = models.CharField("真实客户名称", max_length=64)

    business_source = BusinessSource.CUSTOMER

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "真实客户"
        ordering = ["-id"]
        default_permissions = ("add", "change", "delete", "view", "import", "export")

    def __str__(self):
        return f"{self.name}（{self.code}）"

    @property
    def business_no(self):
        return self.code

    def clean(self):
        super().clean()
        refuse_taken_key(self, "code", "真实客户编码")


class CustomerCategory(TreeRecord):
    """A node of the tree of customer categories. Source: eplus ``CrmCategoryApi``.

    It carries the default credit policy and service level of its customers; what it leaves blank, its parent says
    (``customers.services.categories.terms``).
    """

    name = models.CharField("分类名称", max_length=100)
    credit_amount = models.DecimalField(
        "默认信用额度",
        max_digits=18,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="该分类客户申请额度时的建议值；留空则沿用上级分类。",
    )
    credit_currency = models.CharField("额度币种", max_length=3, choices=Currency.choices, default=Currency.CNY)
    payment_days = models.PositiveSmallIntegerField(
        "默认账期（天）", null=True, blank=True, validators=[MaxValueValidator(720)]
    )
    service_level = DictionaryField("服务标准", type="service_level")

    business_source = BusinessSource.CUSTOMER

    class Meta(TreeRecord.Meta):
        verbose_name = verbose_name_plural = "客户分类"
        ordering = ["sort", "id"]
        default_permissions = ("add", "change", "delete", "view", "import", "export")
        constraints = [models.UniqueConstraint(fields=["parent", "name"], name="category_name_in_parent")]

    def __str__(self):
        return self.name


class Tag(Record):
    name = models.CharField("标签", max_length=50, unique=True)
    color = models.CharField(
        "颜色",
        max_length=10,
        default="info",
        choices=[("info", "蓝"), ("success", "绿"), ("warning", "黄"), ("danger", "红"), ("primary", "紫")],
    )

    business_source = BusinessSource.CUSTOMER

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "客户标签"
        ordering = ["name"]
        default_permissions = ("add", "change", "delete", "view", "import", "export")

    def __str__(self):
        return self.name


class Customer(FSMModelMixin, OwnedRecord):
    """A customer. Four independent states, never mixed into one: review, deal, stage, enabled."""

    code = models.CharField("客户代码", max_length=32, blank=True, help_text="留空则自动编号。")
    code_key = KeyField(source="code", max_length=64, unique=True)
    name = models.CharField("客户名称", max_length=200)
    name_key = KeyField(source="name", max_length=200, db_index=True)
    short_name = models.CharField("客户简称", max_length=100, blank=True, default="")
    real_customer = models.ForeignKey(
        RealCustomer, on_delete=models.PROTECT, null=True, blank=True, related_name="customers", verbose_name="真实客户"
    )
    kind = models.CharField("客户类型", max_length=10, choices=Kind.choices, default=Kind.COMPANY)
    nature = DictionaryField("客户性质", type="nature")
    business_types = MultiChoiceField("经营类型", options=BUSINESS_TYPES)
    categories = models.ManyToManyField(CustomerCategory, blank=True, related_name="customers", verbose_name="客户分类")
    tags = models.ManyToManyField(Tag, blank=True, related_name="customers", verbose_name="标签")
    level = DictionaryField("客户等级", type="level", db_index=False)
    industry = DictionaryField("所属行业", type="industry", db_index=False)
    scale = DictionaryField("企业规模", type="scale")
    source = DictionaryField("来源渠道", type="source")

    review_status = FSMField(
        "审核状态", choices=ReviewStatus.choices, default=ReviewStatus.PENDING, protected=True, editable=False
    )
    deal_status = FSMField(
        "成交状态", choices=DealStatus.choices, default=DealStatus.POTENTIAL, protected=True, editable=False
    )
    stage = FSMField("客户阶段", choices=Stage.choices, default=Stage.LEAD, protected=True, editable=False)
    stage_since = models.DateTimeField("进入阶段时间", default=timezone.now, editable=False)
    is_enabled = models.BooleanField("启用", default=True)
    version_no = models.PositiveIntegerField(
        "审批版本", default=1, editable=False, help_text="每通过一次变更审批加一；与防止互相覆盖的版本无关。"
    )
    change_status = models.CharField(
        "变更状态", max_length=10, choices=ChangeStatus.choices, default=ChangeStatus.NONE, editable=False
    )

    owned_since = models.DateTimeField(
        "归属起始时间",
        default=timezone.now,
        editable=False,
        help_text="现任负责人从何时起负责；没有负责人时，即进入公海的时间。",
    )
    protected_until = models.DateField("保护至", null=True, blank=True, editable=False, help_text="含当天；不被回收。")
    last_followed_at = models.DateTimeField("最近跟进时间", null=True, blank=True, editable=False, db_index=True)
    last_deal_at = models.DateTimeField("最近成交时间", null=True, blank=True, editable=False)

    phone = PhoneField("联系电话")
    phone_key = KeyField(source="phone", normalize=text.phone_key, max_length=40, db_index=True)
    fax = PhoneField("传真")
    email = models.EmailField("联系邮箱", max_length=128, blank=True, default="")
    notify_email = models.EmailField(
        "通知邮箱", max_length=128, blank=True, default="", help_text="接收订单、发货与工单通知。"
    )
    billing_email = models.EmailField(
        "账单邮箱", max_length=128, blank=True, default="", help_text="接收发票与对账单。"
    )
    website = models.CharField("公司网址", max_length=200, blank=True, default="")
    country = DictionaryField("国家/地区", type="country")
    area = DictionaryField("所属地区", type="area")
    address = models.CharField("地址", max_length=500, blank=True, default="")
    postcode = models.CharField("邮编", max_length=20, blank=True, default="")

    currency = models.CharField("结算币种", max_length=3, choices=Currency.choices, default=Currency.CNY)
    trade_terms = DictionaryField("价格条款", type="trade_terms")
    transport = DictionaryField("运输方式", type="transport")
    invoice_title = models.CharField("开票抬头", max_length=200, blank=True, default="")
    tax_rate = models.DecimalField(
        "税率（%）",
        max_digits=5,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(0), MaxValueValidator(100)],
    )
    is_sinosure = models.BooleanField("中信保客户", default=False)
    is_credit_enabled = models.BooleanField(
        "启用信用额度", default=False, help_text="启用后，签约和下单不得超过信用额度；未启用则不检查。"
    )

    licence_no = models.CharField("营业执照注册号", max_length=50, blank=True, default="")
    licence_key = KeyField(source="licence_no", max_length=64, db_index=True)
    legal_representative = models.CharField("法人代表", max_length=50, blank=True, default="")
    capital_currency = models.CharField(
        "资金币种", max_length=3, choices=Currency.choices, default=Currency.CNY, help_text="注册资金与年营业额的币种。"
    )
    registered_capital = models.DecimalField(
        "注册资金（元）", max_digits=20, decimal_places=2, null=True, blank=True, validators=[MinValueValidator(0)]
    )
    annual_turnover = models.DecimalField(
        "年营业额（元）", max_digits=20, decimal_places=2, null=True, blank=True, validators=[MinValueValidator(0)]
    )
    national_tax_no = models.CharField("国税登记号", max_length=50, blank=True, default="")
    local_tax_no = models.CharField("地税登记号", max_length=50, blank=True, default="")
    satisfaction = models.PositiveSmallIntegerField("满意度", choices=Stars.choices, null=True, blank=True)
    credit_rating = models.PositiveSmallIntegerField("信用度", choices=Stars.choices, null=True, blank=True)

    next_follow_at = models.DateTimeField("下次跟进时间", null=True, blank=True, editable=False, db_index=True)
    created_at = models.DateTimeField("创建时间", default=timezone.now, editable=False)

    history = Versions(m2m_fields=[categories, tags])
    business_source = BusinessSource.CUSTOMER
    audit_exclude = (
        "change_status",
        "stage_since",
        "owned_since",
        "last_followed_at",
        "next_follow_at",
        "last_deal_at",
    )

    class Meta(OwnedRecord.Meta):
        verbose_name = verbose_name_plural = "客户"
        ordering = ["-id"]
        default_permissions = ("add", "change", "delete", "view", "import", "export")
        permissions = [
            ("assign_customer", "分配客户"),
            ("share_customer", "共享客户"),
            ("release_customer", "退回公海"),
            ("protect_customer", "保护客户"),
            ("merge_customer", "合并客户"),
            ("review_customer", "审核客户"),
            ("revise_customer", "直接修改已审核客户"),
        ]
        indexes = [
            models.Index(fields=["owner", "id"], name="customer_owner"),
            models.Index(fields=["owner", "next_follow_at"], name="customer_owner_next"),
            # counted from the index alone, in which rows of one value stand in the order of their ids
            models.Index(fields=["deal_status", "is_valid"], name="customer_deal"),
            models.Index(fields=["review_status", "is_valid"], name="customer_review"),
            models.Index(fields=["stage", "is_valid"], name="customer_stage"),
            models.Index(fields=["level", "is_valid"], name="customer_level"),
            models.Index(fields=["industry", "is_valid"], name="customer_industry"),
            models.Index(fields=["industry", "stage", "is_valid"], name="customer_industry_stage"),
            models.Index(fields=["is_closed", "is_valid"], name="customer_closed"),
            models.Index(fields=["created_at", "is_valid"], name="customer_created"),
            models.Index(fields=["business_types", "is_valid"], name="customer_business_types"),
            models.Index(fields=["stage", "stage_since"], name="customer_stage_since"),
            models.Index(fields=["owner", "owned_since"], name="customer_owned_since"),
        ]

    def __str__(self):
        return self.short_name or self.name

    @property
    def business_no(self):
        return self.code

    @property
    def sea_since(self):
        """When the customer fell into the public sea, which is where it is while it has no owner."""
        return self.owned_since if self.owner_id is None else None

    def clean(self):
        super().clean()
        refuse_taken_key(self, "code", "客户代码")

    def save(self, *args, **kwargs):
        with transaction.atomic():
            if self._state.adding and not self.code:
                self.code = numbering.next_number("customer")
            super().save(*args, **kwargs)

    @transition(
        review_status,
        source=[ReviewStatus.PENDING, ReviewStatus.REJECTED],
        target=ReviewStatus.APPROVED,
        custom={"label": "审核通过", "action": "review", "not_own": True, "style": "primary"},
    )
    def approve(self):
        pass

    @transition(
        review_status,
        source=ReviewStatus.PENDING,
        target=ReviewStatus.REJECTED,
        custom={"label": "审核不通过", "action": "review", "not_own": True, "needs_reason": True, "style": "danger"},
    )
    def reject(self):
        pass

    @transition(
        review_status,
        source=ReviewStatus.APPROVED,
        target=ReviewStatus.SUSPENDED,
        custom={"label": "停用", "action": "review", "needs_reason": True, "style": "danger"},
    )
    def suspend(self):
        self.is_enabled = False

    @transition(review_status, source=ReviewStatus.REJECTED, target=ReviewStatus.PENDING)
    def resubmit(self):
        """Corrected and asked for again; runs within a request for review."""

    @transition(deal_status, source="*", target=DealStatus.WON)
    def win(self):
        """Runs within ``customers.services.lifecycle.record_deal``."""

    @transition(stage, source="*", target=RETURN_VALUE(*Stage.values))
    def enter_stage(self, stage):
        """Runs within ``customers.services.lifecycle.change_stage``."""
        return stage

    @transition(deal_status, source="*", target=RETURN_VALUE(*DealStatus.values))
    def enter_deal(self, deal):
        """Runs within the services that know of deals: a confirmed loss, a recovery."""
        return deal

    @transition(
        review_status,
        source=ReviewStatus.SUSPENDED,
        target=ReviewStatus.APPROVED,
        custom={"label": "恢复使用", "action": "review", "style": "primary"},
    )
    def reinstate(self):
        self.is_enabled = True


class CustomerUserObjectPermission(UserObjectPermissionBase):
    """The row grants of customers; written by ``crm.ownership`` alone."""

    content_object = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="grants")

    class Meta(UserObjectPermissionBase.Meta):
        default_permissions = ()


class CustomerLink(Record):
    """A tie between two customers, e.g. parent company. Source: eplus ``custLinkCode``."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="links", verbose_name="客户")
    linked = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="linked_from", verbose_name="关联客户")
    type = DictionaryField("关联类型", type="link_type")

    business_source = BusinessSource.CUSTOMER

    named_by = ("type",)

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "关联客户"
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["customer", "linked"], name="customer_link_once"),
            models.CheckConstraint(condition=~models.Q(customer=models.F("linked")), name="customer_link_other"),
        ]

    def __str__(self):
        """Without the other customer's name, which not everybody may see who may see this one."""
        return f"{self.customer}的{self.type or self._meta.verbose_name}"

    @property
    def business_no(self):
        return self.customer.code


def refuse_taken_key(obj, name, label):
    """Refuse a value whose normal form another record, removed ones included, already has."""
    key_field = obj._meta.get_field(f"{name}_key")
    key = key_field.compute(obj)
    if key and type(obj)._base_manager.filter(**{key_field.name: key}).exclude(pk=obj.pk).exists():
        raise ValidationError({name: f"{label}“{getattr(obj, name)}”已被使用，请换一个。"})
