"""What we sell. Sources: fastapi ``crm_product`` and ``crm_product_category``."""

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models, transaction

from crm import numbering, text
from crm.fields import KeyField
from crm.models import BusinessSource, Currency, Record, TreeRecord


class ProductCategory(TreeRecord):
    name = models.CharField("分类名称", max_length=100)
    name_key = KeyField(source="name", max_length=100)

    business_source = BusinessSource.SALES

    class Meta(TreeRecord.Meta):
        verbose_name = verbose_name_plural = "产品分类"
        ordering = ["sort", "id"]
        default_permissions = ("add", "change", "delete", "view", "import", "export")

    def __str__(self):
        return self.name

    def clean(self):
        super().clean()
        same = ProductCategory.objects.valid().filter(parent=self.parent_id, name_key=text.fold(self.name))
        if self.name and same.exclude(pk=self.pk).exists():
            raise ValidationError({"name": f"同一上级下已有分类“{self.name}”。"})


class Product(Record):
    """A product or service. ``price`` and ``cost_price`` are for one ``unit``, in ``currency``.

    ``is_active`` is the seed's status: 下架 products stay on the documents that have them and cannot be picked anew.
    The cost is seen by those alone who may see costs (``sales.cost_product``).
    """

    code = models.CharField("产品编号", max_length=50, blank=True, help_text="留空时自动编号。")
    code_key = KeyField(source="code", max_length=50, unique=True)
    name = models.CharField("产品名称", max_length=200)
    name_key = KeyField(source="name", max_length=200, db_index=True)
    category = models.ForeignKey(
        ProductCategory, on_delete=models.PROTECT, related_name="products", verbose_name="产品分类"
    )
    specification = models.CharField("规格型号", max_length=500, blank=True, default="")
    unit = models.CharField("单位", max_length=20, blank=True, default="")
    currency = models.CharField("币种", max_length=3, choices=Currency.choices, default=Currency.CNY)
    price = models.DecimalField("标准售价", max_digits=18, decimal_places=4, validators=[MinValueValidator(0)])
    cost_price = models.DecimalField(
        "成本价", max_digits=18, decimal_places=4, null=True, blank=True, validators=[MinValueValidator(0)]
    )
    is_active = models.BooleanField("上架", default=True, help_text="下架后不能再选进新的单据，已有单据不受影响。")
    description = models.TextField("产品描述", blank=True, default="")

    business_source = BusinessSource.SALES

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "产品"
        ordering = ["-id"]
        default_permissions = ("add", "change", "delete", "view", "import", "export")
        permissions = [("cost_product", "查看产品成本价")]
        indexes = [models.Index(fields=["is_active", "id"], name="product_active")]

    def __str__(self):
        return f"{self.name} {self.specification}".strip()

    @property
    def business_no(self):
        return self.code

    def clean(self):
        super().clean()
        same = Product._base_manager.filter(code_key=text.fold(self.code)).exclude(pk=self.pk)
        if self.code and same.exists():
            raise ValidationError({"code": f"产品编号“{self.code}”已被使用，请换一个。"})

    def save(self, *args, **kwargs):
        with transaction.atomic():
            if self._state.adding and not self.code:
                self.code = numbering.next_number("product")
            super().save(*args, **kwargs)
