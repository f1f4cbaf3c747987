"""The database ``wechat``: another product's tables, named and shaped as that product knows them.

We look up ``users`` and deliver to ``informationtra``; nothing else reads or writes here. Source: information-tracking.
"""

from django.db import models


class WechatUser(models.Model):
    """A customer in the wechat product. Only what the lookup by telephone needs."""

    user_id = models.CharField("用户编号", max_length=100, primary_key=True, db_column="userId")
    phone = models.CharField("手机号", max_length=100, blank=True, default="", db_column="phoneNumber", db_index=True)

    class Meta:
        db_table = "users"
        verbose_name = verbose_name_plural = "微信用户"
        default_permissions = ()

    def __str__(self):
        return self.user_id


class OperationTrace(models.Model):
    """The copy of a trace in the shape of the seed's ``informationtra``, written once and never changed.

    ``user_id`` is the customer's number in ``source``; there is no foreign key to ``users``, since whoever is found
    only among our contacts is not there. ``trace_uuid`` names our own trace: it makes a second delivery impossible.
    """

    id = models.AutoField("编号", primary_key=True)
    company = models.CharField("公司", max_length=255, null=True, db_column="tracompany")
    department = models.CharField("部门", max_length=255, null=True, db_column="tradepartment")
    organization = models.CharField("组织", max_length=255, null=True, db_column="traorganization")
    role = models.CharField("角色", max_length=255, null=True, db_column="trarole")
    user_name = models.CharField("姓名", max_length=100, null=True, db_column="trauserName")
    assistant = models.CharField("协助人", max_length=100, null=True, db_column="traassistant")
    user_id = models.CharField("客户编号", max_length=100, db_column="userId")
    event = models.TextField("操作事件", null=True, db_column="operationEvent")
    operated_at = models.DateTimeField("操作时间", null=True, db_column="operationTime")
    created_at = models.DateTimeField("创建时间", null=True, auto_now_add=True)
    updated_at = models.DateTimeField("更新时间", null=True, auto_now=True)
    source = models.CharField("客户来源", max_length=10, null=True, db_column="traSource")
    trace_uuid = models.CharField("记录标识", max_length=36, null=True, unique=True, db_column="traUuid")

    class Meta:
        db_table = "informationtra"
        verbose_name = verbose_name_plural = "信息跟踪"
        default_permissions = ()
        indexes = [
            models.Index(fields=["user_id"], name="idx_userId"),
            models.Index(fields=["operated_at"], name="idx_operationTime"),
            models.Index(fields=["user_name"], name="idx_trauserName"),
        ]

    def __str__(self):
        return f"{self.user_name} {self.event}"
