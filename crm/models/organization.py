"""Our own side of every deal: departments, companies, company paths, exchange rates.

Sources: fastapi ``sys_dept``, eplus ``COMPANY_PATH``.
"""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from tree_queries.fields import TreeNodeForeignKey
from tree_queries.query import TreeQuerySet

from crm.models.base import Record, RecordQuerySet


class Currency(models.TextChoices):
    """ISO 4217 codes of the currencies we settle in."""

    CNY = "CNY", "人民币 CNY"
    USD = "USD", "美元 USD"
    EUR = "EUR", "欧元 EUR"
    GBP = "GBP", "英镑 GBP"
    HKD = "HKD", "港币 HKD"
    JPY = "JPY", "日元 JPY"
    AUD = "AUD", "澳元 AUD"
    CAD = "CAD", "加元 CAD"
    CHF = "CHF", "瑞士法郎 CHF"
    SGD = "SGD", "新加坡元 SGD"
    KRW = "KRW", "韩元 KRW"
    TWD = "TWD", "新台币 TWD"
    MYR = "MYR", "马来西亚林吉特 MYR"
    THB = "THB", "泰铢 THB"
    VND = "VND", "越南盾 VND"
    INR = "INR", "印度卢比 INR"
    RUB = "RUB", "卢布 RUB"
    BRL = "BRL", "巴西雷亚尔 BRL"
    AED = "AED", "阿联酋迪拉姆 AED"
    SEK = "SEK", "瑞典克朗 SEK"


class TreeRecordQuerySet(RecordQuerySet, TreeQuerySet):
    pass


class TreeRecord(Record):
    """A record in a tree; a node can never be its own ancestor."""

    parent = TreeNodeForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="children", verbose_name="上级"
    )
    sort = models.IntegerField("排序", default=0)

    objects = TreeRecordQuerySet.as_manager()

    class Meta(Record.Meta):
        abstract = True

    def clean(self):
        super().clean()
        above, seen = self.parent, set()
        while above is not None:
            if above.pk == self.pk and self.pk:
                raise ValidationError({"parent": "不能把自己或自己的下级设为上级。"})
            if above.pk in seen:
                break
            seen.add(above.pk)
            above = above.parent


class Department(TreeRecord):
    name = models.CharField("部门名称", max_length=100)
    manager = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="managed_departments",
        verbose_name="部门主管",
    )

    class Meta(TreeRecord.Meta):
        verbose_name = verbose_name_plural = "部门"
        ordering = ["sort", "id"]
        default_permissions = ("add", "change", "delete", "view", "import", "export")
        constraints = [models.UniqueConstraint(fields=["parent", "name"], name="department_name_in_parent")]

    def __str__(self):
        return self.name


class Company(Record):
    """A legal entity of our own that signs, ships or is paid."""

    name = models.CharField("公司名称", max_length=100, unique=True)
    short_name = models.CharField("简称", max_length=50, blank=True, default="")
    tax_no = models.CharField("税号", max_length=50, blank=True, default="")
    address = models.CharField("地址", max_length=500, blank=True, default="")
    phone = models.CharField("电话", max_length=40, blank=True, default="")
    bank = models.CharField("开户银行", max_length=100, blank=True, default="")
    bank_account = models.CharField("银行账号", max_length=50, blank=True, default="")

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "公司主体"
        ordering = ["id"]

    def __str__(self):
        return self.short_name or self.name


class CompanyPath(Record):
    """The ordered own companies a deal runs through, e.g. 深圳贸易 → 香港公司."""

    name = models.CharField("路径名称", max_length=100, unique=True)

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "公司路径"
        ordering = ["id"]

    def __str__(self):
        return self.name


class CompanyPathNode(Record):
    path = models.ForeignKey(CompanyPath, on_delete=models.CASCADE, related_name="nodes", verbose_name="公司路径")
    company = models.ForeignKey(Company, on_delete=models.PROTECT, related_name="+", verbose_name="公司主体")
    position = models.PositiveSmallIntegerField("次序", default=1)

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "路径节点"
        ordering = ["path", "position"]
        constraints = [models.UniqueConstraint(fields=["path", "position"], name="path_position")]

    def __str__(self):
        return f"{self.path} {self.position}"


class ExchangeRate(Record):
    """How many CNY one unit of ``currency`` is worth from ``valid_from`` on, until a later rate begins."""

    currency = models.CharField("币种", max_length=3, choices=Currency.choices)
    valid_from = models.DateField("生效日期")
    rate = models.DecimalField(
        "对人民币汇率", max_digits=16, decimal_places=8, validators=[MinValueValidator(0.00000001)]
    )

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "汇率"
        ordering = ["-valid_from", "currency"]
        constraints = [models.UniqueConstraint(fields=["currency", "valid_from"], name="rate_per_day")]

    def __str__(self):
        return f"{self.currency} {self.valid_from}"
