"""Categories as a limit of roles. Source: document 002, 客户分类体系 ("与权限控制紧密结合")."""

from django.core.exceptions import ValidationError
from django.db import models

from crm.models import BusinessSource, Record, Role
from customers.models.accounts import CustomerCategory


class RoleCategory(Record):
    """The data scope of ``role`` reaches customers of ``category`` and below only; several rows add up.

    What was put into a person's hands (own customers, shared ones) he keeps whatever their category.
    """

    role = models.ForeignKey(Role, on_delete=models.CASCADE, related_name="customer_categories", verbose_name="角色")
    category = models.ForeignKey(
        CustomerCategory, on_delete=models.PROTECT, related_name="roles", verbose_name="客户分类"
    )

    business_source = BusinessSource.SYSTEM

    named_by = ("role", "category")

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "角色的客户分类"
        ordering = ["role", "id"]

    def __str__(self):
        return f"{self.role}：{self.category}"

    def clean(self):
        super().clean()
        same = RoleCategory.objects.valid().filter(role_id=self.role_id, category_id=self.category_id)
        if same.exclude(pk=self.pk).exists():
            raise ValidationError({"category": "该角色已限定到这个分类。"})
