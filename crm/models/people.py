"""Users and roles. Sources: fastapi ``sys_user``, java ``t_user`` and ``t_role``, tracking ``ManagerAuthInfo``."""

from django.contrib.auth.models import AbstractUser, Group
from django.db import models

from crm import text
from crm.fields import KeyField, PhoneField
from crm.models.base import Stamped


class DataScope(models.IntegerChoices):
    """Which rows a role's permissions reach. A wider scope has the larger number."""

    SELF = 1, "本人"
    DEPARTMENT = 2, "本部门"
    DEPARTMENT_TREE = 3, "本部门及下级"
    ALL = 4, "全部"


class Side(models.TextChoices):
    SALES = "sales", "销售端"
    SUPPLY = "supply", "供应端"


class User(Stamped, AbstractUser):
    """A member of staff. Disabled users (``is_active`` off) are out at their next request."""

    first_name = last_name = None
    full_name = models.CharField("姓名", max_length=50)
    phone = PhoneField("手机号")
    phone_key = KeyField(source="phone", normalize=text.phone_key, max_length=40, db_index=True)
    department = models.ForeignKey(
        "crm.Department", on_delete=models.PROTECT, null=True, blank=True, related_name="members", verbose_name="部门"
    )
    company = models.ForeignKey(
        "crm.Company", on_delete=models.PROTECT, null=True, blank=True, related_name="members", verbose_name="公司"
    )
    organization = models.CharField("组织", max_length=100, blank=True, default="")
    assistant = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="assisted", verbose_name="协助人"
    )
    side = models.CharField("所属端", max_length=10, choices=Side.choices, default=Side.SALES)
    remark = models.TextField("备注", blank=True, default="")

    REQUIRED_FIELDS = ["full_name"]
    audit_exclude = ("last_login",)
    audit_secrets = ("password",)

    class Meta(Stamped.Meta):
        verbose_name = verbose_name_plural = "用户"
        ordering = ["username"]
        default_permissions = ("add", "change", "view", "import", "export")

    def __str__(self):
        return self.full_name or self.username

    def get_full_name(self):
        return str(self)

    def get_short_name(self):
        return str(self)

    @property
    def business_no(self):
        return self.username


class Role(Stamped, Group):
    """What a group of people may do (permissions) and to whose rows (data scope)."""

    data_scope = models.PositiveSmallIntegerField("数据范围", choices=DataScope.choices, default=DataScope.SELF)
    is_active = models.BooleanField("启用", default=True, help_text="停用后，该角色的权限立即失效。")
    remark = models.CharField("角色备注", max_length=255, blank=True, default="")

    class Meta(Stamped.Meta):
        verbose_name = verbose_name_plural = "角色"
        default_permissions = ("add", "change", "view", "delete")

    @property
    def business_no(self):
        return self.name
