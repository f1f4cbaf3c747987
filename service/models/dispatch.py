"""Who gets new work orders: by type, and among the people of the rule whoever has the fewest open ones."""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models

from crm.fields import DictionaryField, KeyField
from crm.models import BusinessSource, Record


class DispatchRule(Record):
    """The people for work orders of a type; the rule without a type is for all types that have none of their own."""

    type = DictionaryField("工单类型", type="work_order_type", help_text="留空适用于没有专门规则的类型。")
    scope_key = KeyField(normalize=str, max_length=20, unique=True)
    people = models.ManyToManyField(
        settings.AUTH_USER_MODEL,
        related_name="dispatch_rules",
        verbose_name="处理人",
        help_text="分给其中未完成工单最少的一位；停用的账号不参与。",
    )
    is_automatic = models.BooleanField("创建后立即分配", default=False, help_text="不勾选则由分配人点“自动分配”。")

    business_source = BusinessSource.SERVICE

    named_by = ("type",)

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "派单规则"
        ordering = ["type_id", "id"]

    def __str__(self):
        return str(self.type) if self.type_id else "其他类型"

    @property
    def _scope(self):
        return str(self.type_id or "*")

    def clean(self):
        super().clean()
        if DispatchRule._base_manager.filter(scope_key=self._scope).exclude(pk=self.pk).exists():
            raise ValidationError({"type": "这个类型已有派单规则，请修改那一条。"})

    def save(self, *args, **kwargs):
        self.scope_key = self._scope if self.is_valid else None
        super().save(*args, **kwargs)
