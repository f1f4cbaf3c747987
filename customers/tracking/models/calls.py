"""Calls of customers' programs: the log, the nonces that were used, the answers that are given again."""

from django.db import models
from django.utils import timezone

from crm.models import BusinessSource
from customers.models import CancelKey, Customer


class ApiCall(models.Model):
    """One signed call, whatever became of it. ``code`` is the word of the answer that programs read."""

    method = models.CharField("方法", max_length=10)
    path = models.CharField("地址", max_length=200)
    app_key = models.CharField("密钥标识", max_length=100, blank=True, default="")
    customer = models.ForeignKey(
        Customer, on_delete=models.DO_NOTHING, null=True, db_constraint=False, related_name="+", verbose_name="客户"
    )
    status = models.PositiveSmallIntegerField("状态码")
    code = models.CharField("结果", max_length=50)
    idempotency_key = models.CharField("幂等键", max_length=100, blank=True, default="")
    is_repeated = models.BooleanField("重复请求", default=False)
    ip = models.GenericIPAddressField("IP 地址", null=True)
    milliseconds = models.PositiveIntegerField("耗时（毫秒）", default=0)
    called_at = models.DateTimeField("调用时间", default=timezone.now, db_index=True)

    business_source = BusinessSource.CUSTOMER

    class Meta:
        verbose_name = verbose_name_plural = "接口调用日志"
        ordering = ["-id"]
        default_permissions = ("view", "export")
        indexes = [
            models.Index(fields=["customer", "id"], name="api_call_customer"),
            models.Index(fields=["status", "id"], name="api_call_status"),
        ]

    def __str__(self):
        return f"{self.method} {self.path} {self.status}"

    @property
    def business_no(self):
        return self.customer.code if self.customer else ""


class UsedNonce(models.Model):
    """A nonce that a key has signed with: never again while its timestamp would be accepted."""

    key = models.ForeignKey(CancelKey, on_delete=models.CASCADE, related_name="+", verbose_name="取消密钥")
    nonce = models.CharField("随机数", max_length=64)
    used_at = models.DateTimeField("使用时间", default=timezone.now, db_index=True)

    class Meta:
        verbose_name = verbose_name_plural = "已用随机数"
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["key", "nonce"], name="nonce_once")]


class Reply(models.Model):
    """What was answered to an idempotency key of a customer; the same call gets the same answer, without effect.

    ``digest`` tells whether it is the same call: method, path and body.
    """

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="+", verbose_name="客户")
    idempotency_key = models.CharField("幂等键", max_length=100)
    digest = models.CharField("请求摘要", max_length=64)
    status = models.PositiveSmallIntegerField("状态码")
    body = models.JSONField("答复")
    created_at = models.DateTimeField("时间", default=timezone.now, db_index=True)

    class Meta:
        verbose_name = verbose_name_plural = "幂等答复"
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["customer", "idempotency_key"], name="reply_once")]
