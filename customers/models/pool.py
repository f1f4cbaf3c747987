"""The public sea 公海: by which rules customers fall into it and are claimed, and who owned which customer when.

A customer is in the sea if and only if it has no owner. Sources: fastapi ``crm_customer`` (is_in_sea, sea_time), eplus
客户认领流程.
"""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from crm.fields import DictionaryField, KeyField
from crm.models import BusinessSource, Department, Record
from customers.models.accounts import Customer, CustomerCategory, Stage


def _count(label, default=None, *, most=3650, least=1, help_text=""):
    optional = default is None
    return models.PositiveSmallIntegerField(
        label,
        default=default,
        null=optional,
        blank=optional,
        validators=[MinValueValidator(least), MaxValueValidator(most)],
        help_text=help_text,
    )


class OwnerChange(models.TextChoices):
    """How somebody, or the sea, came by a customer."""

    ENTERED = "entered", "录入"
    CLAIMED = "claimed", "认领"
    ASSIGNED = "assigned", "分配"
    TRANSFERRED = "transferred", "移交"
    RELEASED = "released", "退回公海"
    RECYCLED = "recycled", "自动回收"
    RESTORED = "restored", "撤销回收"
    MERGED = "merged", "合并"
    UNMERGED = "unmerged", "撤销合并"


class PoolRule(Record):
    """How customers of a level and category are kept out of the sea and got out of it; the most specific rule applies.

    Days are days of the calendar in Asia/Shanghai. A limit that is empty does not exist.
    """

    level = DictionaryField("客户等级", type="level", help_text="留空适用于所有等级。")
    category = models.ForeignKey(
        CustomerCategory,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="pool_rules",
        verbose_name="客户分类",
        help_text="含下级分类；留空适用于所有分类。",
    )
    scope_key = KeyField(normalize=str, max_length=40, unique=True)
    follow_days = _count("未跟进回收（天）", help_text="连续这么多天没有跟进就回收；留空则不按跟进回收。")
    deal_days = _count("未成交回收（天）", help_text="连续这么多天没有成交就回收；留空则不按成交回收。")
    warn_days = _count("提前预警（天）", 7, most=90, help_text="回收前这么多天起，每天提醒负责人。")
    protect_limit = _count("每人保护上限", help_text="一个人同时最多保护多少个适用本规则的客户；留空不限。")
    protect_days = _count("最长保护（天）", 90, help_text="一次保护最多到多少天以后。")
    owner_limit = _count(
        "每人客户上限", most=30000, help_text="认领时检查：一个人最多拥有多少个适用本规则的客户；留空不限。"
    )
    daily_limit = _count("每人每天认领上限", help_text="一个人一天最多认领多少个适用本规则的客户；留空不限。")
    wait_days = _count("原负责人等待（天）", 7, least=0, help_text="原负责人在客户进入公海这么多天以后才能再认领。")
    hold_hours = _count("认领冻结（小时）", 0, least=0, most=720, help_text="客户刚落入公海时，过这么久才开放认领。")
    claim_stage = models.CharField(
        "认领后进入阶段",
        max_length=10,
        choices=Stage.choices,
        blank=True,
        default="",
        help_text="留空则认领不改变客户阶段。",
    )
    departments = models.ManyToManyField(
        Department,
        blank=True,
        related_name="+",
        verbose_name="开放部门",
        help_text="公海里适用本规则的客户只对这些部门（含下级）开放；留空对所有部门开放。",
    )

    business_source = BusinessSource.CUSTOMER

    named_by = ("level", "category")

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "公海规则"
        ordering = ["id"]

    def __str__(self):
        parts = [str(part) for part in (self.level, self.category) if part]
        return "、".join(parts) or "全部客户"

    @property
    def _scope(self):
        return f"{self.level_id or '*'}/{self.category_id or '*'}"

    def clean(self):
        super().clean()
        if PoolRule._base_manager.filter(scope_key=self._scope).exclude(pk=self.pk).exists():
            raise ValidationError({"level": "这个等级和分类已有规则，请修改那一条。"})

    def save(self, *args, **kwargs):
        self.scope_key = self._scope if self.is_valid else None
        super().save(*args, **kwargs)


class RecycleBatch(Record):
    """The customers that one night's run took; written by ``customers.services.recycling`` alone."""

    day = models.DateField("回收日期", db_index=True)
    count = models.PositiveIntegerField("回收客户数", default=0)
    undone_at = models.DateTimeField("撤销时间", null=True, blank=True)

    business_source = BusinessSource.CUSTOMER

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "回收批次"
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [("undo_recyclebatch", "撤销回收")]

    def __str__(self):
        return f"{self.day:%Y-%m-%d} 回收"


def _person(label):
    return models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=label
    )


class OwnershipPeriod(Record):
    """A time in one person's hands, or in the sea, that has ended: 认领记录. Source: eplus ``CLAIM_HISTORY``.

    The present one is ``Customer.owner`` since ``Customer.owned_since``. A claim is a period of the sea (no owner)
    that ended by being claimed: ``former_owner`` is 原业务员, ``next_owner`` 新业务员, ``ended_at`` 认领时间.
    ``team`` are the collaborators that the fall into the sea took away: ``{user id: level}``.
    """

    customer = models.ForeignKey(
        Customer, on_delete=models.CASCADE, related_name="ownership_periods", verbose_name="客户"
    )
    owner = _person("负责人")
    started_at = models.DateTimeField("开始时间")
    ended_at = models.DateTimeField("结束时间", db_index=True)
    began = models.CharField("取得方式", max_length=12, choices=OwnerChange.choices, default=OwnerChange.ENTERED)
    ended = models.CharField("结束方式", max_length=12, choices=OwnerChange.choices)
    former_owner = _person("原负责人")
    next_owner = _person("新负责人")
    reason = models.CharField("原因", max_length=255, blank=True, default="")
    team = models.JSONField("当时的协作人", default=dict, blank=True, editable=False)
    batch = models.ForeignKey(
        RecycleBatch, on_delete=models.PROTECT, null=True, blank=True, related_name="periods", verbose_name="回收批次"
    )

    business_source = BusinessSource.CUSTOMER

    named_by = ("owner",)

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "归属记录"
        ordering = ["-id"]
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["customer", "started_at"], name="ownership_period_customer"),
            models.Index(fields=["next_owner", "ended", "ended_at"], name="ownership_period_next"),
            models.Index(fields=["owner", "ended_at"], name="ownership_period_owner"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(ended_at__gte=models.F("started_at")), name="ownership_period_forwards"
            )
        ]

    def __str__(self):
        return f"{self.holder} {timezone.localtime(self.started_at):%Y-%m-%d}"

    @property
    def holder(self):
        return self.owner or "公海"

    @property
    def business_no(self):
        return self.customer.code

    @property
    def days(self) -> int:
        """负责天数, begun days not counted."""
        return (self.ended_at - self.started_at).days


class SeaCustomer(Customer):
    """A customer without owner as those see it who may claim it: little, and the phone masked."""

    class Meta:
        proxy = True
        verbose_name = verbose_name_plural = "公海客户"
        ordering = ["-owned_since", "-id"]
        default_permissions = ("view",)
        permissions = [
            ("claim_seacustomer", "认领公海客户"),
            ("assign_seacustomer", "分配公海客户"),
            ("reveal_seacustomer", "查看公海客户联系方式"),
        ]
