"""People at a customer and what we send them money and goods by.

Sources: fastapi ``crm_contact``, eplus ``CONTACT``/``BANK_ACCOUNT``/``MARK``, java ``t_customer_linkman`` and the
``khyh``/``khzh`` columns of ``t_customer``.
"""

from django.core.exceptions import ValidationError
from django.db import models, transaction

from crm import text
from crm.fields import DictionaryField, KeyField, PhoneField
from crm.models import BusinessSource, Company, Record, Versions
from customers.models.accounts import Customer


class Sex(models.TextChoices):
    MALE = "male", "男"
    FEMALE = "female", "女"


class CustomerPart(Record):
    """Something that belongs to one customer; ``is_default`` marks the one that is used when nobody chooses.

    ``default_of`` repeats the customer on the default row only: a UNIQUE column that makes a second default impossible
    (MySQL has no partial index).
    """

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="%(class)ss", verbose_name="客户")
    is_default = models.BooleanField("默认", default=False)
    default_of = models.OneToOneField(
        Customer,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name="默认于",
    )

    business_source = BusinessSource.CONTACT
    audit_exclude = ("default_of",)
    default_within: tuple[str, ...] = ()  # columns besides the customer, each value of which has a default of its own

    class Meta(Record.Meta):
        abstract = True

    @property
    def business_no(self):
        return self.customer.code

    def save(self, *args, **kwargs):
        """The first part of a customer becomes its default; a new default takes over from the former one."""
        with transaction.atomic():
            Customer._base_manager.select_for_update().filter(pk=self.customer_id).first()
            self._settle_default()
            super().save(*args, **kwargs)

    def _settle_default(self):
        if self.is_valid:
            former = self._peers().filter(is_default=True).first()
            if self.is_default and former is not None:
                former.step_down()
            elif not self.is_default and self._state.adding and former is None:
                self.is_default = True
        self.default_of_id = self.customer_id if self.is_default and self.is_valid else None

    def step_down(self):
        """Another part is about to become the default."""
        self.is_default = False
        self.save()

    def _peers(self):
        """The other valid parts of which one is the default."""
        within = {name: getattr(self, name) for name in ("customer_id", *self.default_within)}
        return type(self)._base_manager.filter(**within, is_valid=True).exclude(pk=self.pk)

    def release_keys(self):
        """Called before removal: what must be unique among valid rows is given free."""
        self.is_default = False


class Contact(CustomerPart):
    """A person at a customer. The phone is unique within one customer."""

    name = models.CharField("姓名", max_length=100)
    sex = models.CharField("性别", max_length=10, choices=Sex.choices, blank=True, default="")
    position = models.CharField("职位", max_length=100, blank=True, default="")
    mobile = PhoneField("手机号")
    mobile_key = KeyField(max_length=40, db_index=True)
    telephone = PhoneField("座机")
    telephone_key = KeyField(source="telephone", normalize=text.phone_key, max_length=40, db_index=True)
    email = models.EmailField("邮箱", max_length=128, blank=True, default="")
    wechat = models.CharField("微信", max_length=50, blank=True, default="")
    qq = models.CharField("QQ 号", max_length=20, blank=True, default="")
    address = models.CharField("地址", max_length=500, blank=True, default="")
    is_key = models.BooleanField("关键决策人", default=False)
    preference = DictionaryField("沟通偏好", type="preference")
    birthday = models.DateField("生日", null=True, blank=True)

    history = Versions()

    class Meta(CustomerPart.Meta):
        verbose_name = verbose_name_plural = "联系人"
        ordering = ["-is_default", "id"]
        default_permissions = ("add", "change", "delete", "view", "import", "export")
        constraints = [models.UniqueConstraint(fields=["customer", "mobile_key"], name="contact_mobile_once")]

    def __str__(self):
        return self.name

    def clean(self):
        super().clean()
        key = text.phone_key(self.mobile)
        if key and self.customer_id:
            same = Contact._base_manager.filter(customer_id=self.customer_id, mobile_key=key).exclude(pk=self.pk)
            if same.exists():
                raise ValidationError({"mobile": f"该客户已有手机号为“{self.mobile}”的联系人“{same.first()}”。"})

    def save(self, *args, **kwargs):
        self.mobile_key = (text.phone_key(self.mobile) or None) if self.is_valid else None
        super().save(*args, **kwargs)


class BankAccount(CustomerPart):
    """A bank account of a customer. ``payee`` is our own company that pays to it or is paid from it."""

    bank = models.CharField("开户银行", max_length=100)
    bank_address = models.CharField("银行地址", max_length=200, blank=True, default="")
    bank_contact = models.CharField("银行联系人", max_length=50, blank=True, default="")
    bank_code = models.CharField("银行代码", max_length=50, blank=True, default="", help_text="SWIFT 或联行号。")
    account = models.CharField("银行账号", max_length=50)
    payee = models.ForeignKey(
        Company, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name="收款主体"
    )

    history = Versions()

    class Meta(CustomerPart.Meta):
        verbose_name = verbose_name_plural = "银行账户"
        ordering = ["-is_default", "id"]
        default_permissions = ("add", "change", "delete", "view", "import", "export")

    def __str__(self):
        return f"{self.bank} {self.account}"


class ShippingMark(Record):
    """唛头: the marking on the packages. Source: eplus ``MARK``."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="shipping_marks", verbose_name="客户")
    content = models.TextField("唛头内容")

    business_source = BusinessSource.CONTACT

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "唛头"
        ordering = ["id"]
        default_permissions = ("add", "change", "delete", "view", "import", "export")

    def __str__(self):
        return self.content.splitlines()[0][:50] if self.content else "唛头"

    @property
    def business_no(self):
        return self.customer.code
