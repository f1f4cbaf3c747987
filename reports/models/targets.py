"""What people and departments are to sell. No document of the seeds has targets; rankings need something to rank by."""

from decimal import Decimal

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q

from crm.fields import KeyField
from crm.models import BusinessSource, Currency, Department, Record


class SalesTarget(Record):
    """The amount that a person or a department is to sell in a month, in ``currency``.

    ``month`` is the first of the month, whatever day is given. A department's target stands on its own: it is not the
    sum of those of its people. One valid target for each person or department and month (``place``).
    """

    month = models.DateField("月份", db_index=True, help_text="选当月任意一天即可。")
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="sales_targets",
        verbose_name="员工",
    )
    department = models.ForeignKey(
        Department,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="sales_targets",
        verbose_name="部门",
        help_text="员工与部门选填其一。",
    )
    amount = models.DecimalField(
        "目标金额", max_digits=18, decimal_places=2, validators=[MinValueValidator(Decimal("0.01"))]
    )
    currency = models.CharField("币种", max_length=3, choices=Currency.choices, default=Currency.CNY)
    place = KeyField(normalize=str, max_length=40, unique=True)

    business_source = BusinessSource.SALES

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "业绩目标"
        ordering = ["-month", "id"]
        default_permissions = ("add", "change", "delete", "view", "import", "export")
        constraints = [
            models.CheckConstraint(
                condition=Q(person__isnull=False, department__isnull=True)
                | Q(person__isnull=True, department__isnull=False),
                name="sales_target_one_holder",
            )
        ]

    def __str__(self):
        return f"{self.holder} {self.month:%Y-%m}"

    @property
    def holder(self):
        return self.person or self.department

    def place_key(self) -> str:
        return f"{self.month.replace(day=1)}/{f'p{self.person_id}' if self.person_id else f'd{self.department_id}'}"

    def clean(self):
        super().clean()
        if bool(self.person_id) == bool(self.department_id):
            raise ValidationError("业绩目标属于一位员工或一个部门：请选择其中一个，不要都选。")
        if self.month and SalesTarget._base_manager.filter(place=self.place_key()).exclude(pk=self.pk).exists():
            raise ValidationError({"month": f"{self.holder}在 {self.month:%Y 年 %m 月}已有目标，请修改那一条。"})

    def save(self, *args, **kwargs):
        self.month = self.month.replace(day=1)
        self.place = self.place_key() if self.is_valid else None
        if (names := kwargs.get("update_fields")) is not None:
            kwargs["update_fields"] = {*names, "month", "place"}
        super().save(*args, **kwargs)
