"""What customers' programs identify themselves by. Sources: dms ``customer.app_id``/``app_secret`` and
``customer_cancel_key``."""

from django.core.exceptions import ValidationError
from django.db import models
from django_fsm import FSMField, FSMModelMixin, transition

from crm.fields import EncryptedField, KeyField
from crm.models import BusinessSource, Record
from customers.models.accounts import Customer, ReviewStatus


class CredentialStatus(models.TextChoices):
    """dms ``customer_status`` of ``customer_cancel_key``: 1 and 0."""

    ENABLED = "enabled", "启用"
    DISABLED = "disabled", "停用"


def exactly(value) -> str:
    """Keys of programs are compared letter by letter, on every database."""
    return value.strip()


def in_good_standing(credential) -> bool:
    customer = credential.customer
    return customer.is_valid and customer.is_enabled and customer.review_status == ReviewStatus.APPROVED


class Credential(FSMModelMixin, Record):
    """Something secret that belongs to one customer and may be switched off."""

    status = FSMField(
        "状态",
        choices=CredentialStatus.choices,
        default=CredentialStatus.ENABLED,
        protected=True,
        editable=False,
    )

    business_source = BusinessSource.CUSTOMER

    class Meta(Record.Meta):
        abstract = True

    @property
    def business_no(self):
        return self.customer.code

    @property
    def is_enabled(self):
        return self.status == CredentialStatus.ENABLED

    @transition(
        status,
        source=CredentialStatus.ENABLED,
        target=CredentialStatus.DISABLED,
        custom={"label": "停用", "action": "change", "needs_reason": True, "style": "danger"},
    )
    def disable(self):
        pass

    @transition(
        status,
        source=CredentialStatus.DISABLED,
        target=CredentialStatus.ENABLED,
        conditions=[in_good_standing],
        custom={"label": "启用", "action": "change", "style": "primary"},
    )
    def enable(self):
        pass


class ApiCredential(Credential):
    """app_id and app_secret: used again and again, so the secret can be looked up by those with the right to."""

    customer = models.ForeignKey(
        Customer, on_delete=models.CASCADE, related_name="api_credentials", verbose_name="客户"
    )
    purpose = models.CharField("用途", max_length=50, blank=True, default="", help_text="例如：正式环境、测试环境。")
    app_id = models.CharField("应用标识", max_length=100, help_text="接口参数 app_id。")
    app_id_key = KeyField(source="app_id", normalize=exactly, max_length=100, unique=True)
    app_secret = EncryptedField("应用密钥")

    class Meta(Credential.Meta):
        verbose_name = verbose_name_plural = "接口凭证"
        ordering = ["-id"]
        default_permissions = ("add", "change", "delete", "view")
        permissions = [("reveal_apicredential", "查看接口密钥")]

    def __str__(self):
        return f"{self.app_id}（{self.purpose}）" if self.purpose else self.app_id

    def clean(self):
        super().clean()
        if ApiCredential._base_manager.filter(app_id_key=exactly(self.app_id)).exclude(pk=self.pk).exists():
            raise ValidationError({"app_id": f"应用标识“{self.app_id}”已被使用，请换一个。"})


class CancelKey(Credential):
    """A key that signs the cancelling of orders. Shown once; after an exchange the former one is good until a time.

    A removed key keeps its name, so that an old signature never fits a new key.
    """

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="cancel_keys", verbose_name="客户")
    app_key = models.CharField("密钥标识", max_length=100, help_text="接口参数 app_key。")
    app_key_key = KeyField(source="app_key", normalize=exactly, max_length=100)
    app_token = EncryptedField("取消密钥")
    former_token = EncryptedField("更换前的密钥")
    former_until = models.DateTimeField("旧密钥有效期至", null=True, blank=True, editable=False)
    rotated_at = models.DateTimeField("更换时间", null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField("最近使用", null=True, blank=True, editable=False)

    audit_exclude = ("last_used_at",)

    class Meta(Credential.Meta):
        verbose_name = verbose_name_plural = "取消密钥"
        ordering = ["-id"]
        default_permissions = ("add", "change", "delete", "view")
        constraints = [models.UniqueConstraint(fields=["customer", "app_key_key"], name="cancel_key_once")]
        indexes = [models.Index(fields=["app_key_key"], name="cancel_key_name")]

    def __str__(self):
        return self.app_key

    def clean(self):
        super().clean()
        same = CancelKey._base_manager.filter(customer_id=self.customer_id, app_key_key=exactly(self.app_key))
        if self.customer_id and same.exclude(pk=self.pk).exists():
            raise ValidationError({"app_key": f"该客户已有或曾有密钥标识“{self.app_key}”，请换一个。"})
