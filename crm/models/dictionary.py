"""What users may extend without a developer. Source: java ``t_datadic``; fixed state machines are never here."""

from django.core.exceptions import ValidationError
from django.db import models

from crm import text
from crm.fields import KeyField
from crm.models.base import Record


class DictionaryType(models.TextChoices):
    LEVEL = "level", "客户等级"
    NATURE = "nature", "客户性质"
    INDUSTRY = "industry", "所属行业"
    SCALE = "scale", "企业规模"
    SOURCE = "source", "来源渠道"
    AREA = "area", "所属地区"
    COUNTRY = "country", "国家/地区"
    TRADE_TERMS = "trade_terms", "价格条款"
    TRANSPORT = "transport", "运输方式"
    POSITION = "position", "职位"
    PREFERENCE = "preference", "沟通偏好"
    LINK_TYPE = "link_type", "客户关联类型"
    PATH_SCENARIO = "path_scenario", "业务场景"
    SERVICE_LEVEL = "service_level", "服务标准"
    FOLLOW_UP_TYPE = "follow_up_type", "跟进方式"
    INTERACTION_TYPE = "interaction_type", "会话类型"
    INTERACTION_TAG = "interaction_tag", "会话标签"
    ACTIVITY_TYPE = "activity_type", "市场活动类型"
    ATTACHMENT_KIND = "attachment_kind", "附件类别"
    WORK_ORDER_TYPE = "work_order_type", "工单类型"
    PAYMENT_METHOD = "payment_method", "回款方式"
    LOSS_REASON = "loss_reason", "流失原因"


class DictionaryItem(Record):
    """One choice of one dictionary. ``aliases`` are other words for it that imports recognise."""

    type = models.CharField("字典名", max_length=30, choices=DictionaryType.choices)
    code = models.CharField("代码", max_length=50, help_text="程序与导入使用，保存后请勿随意修改。")
    label = models.CharField("字典值", max_length=100)
    label_key = KeyField(source="label", max_length=100)
    aliases = models.CharField(
        "别名", max_length=500, blank=True, default="", help_text="导入时也认得的其他写法，用分号隔开。"
    )
    sort = models.IntegerField("排序", default=0)
    is_active = models.BooleanField("启用", default=True, help_text="停用后不再出现在选项里，已有数据不受影响。")

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "数据字典"
        ordering = ["type", "sort", "id"]
        default_permissions = ("add", "change", "delete", "view", "import", "export")
        constraints = [
            models.UniqueConstraint(fields=["type", "code"], name="dictionary_code"),
            models.UniqueConstraint(fields=["type", "label_key"], name="dictionary_label"),
        ]

    def __str__(self):
        return self.label

    @property
    def business_no(self):
        return f"{self.type}:{self.code}"

    def clean(self):
        super().clean()
        same = DictionaryItem._base_manager.filter(type=self.type, label_key=text.fold(self.label)).exclude(pk=self.pk)
        if same.exists():
            raise ValidationError({"label": f"该字典已有“{same.first()}”。"})

    def names(self) -> list[str]:
        """Every folded word that means this item."""
        words = [self.code, self.label, *self.aliases.replace("；", ";").split(";")]
        return [key for key in map(text.fold, words) if key]
