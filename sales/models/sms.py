"""Text messages to customers: templates, campaigns, what became of each message, who wants none.

Sources: fastapi ``crm_sms_template`` and ``crm_sms_marketing``; eplus: marketing on a change of stage.
"""

from uuid import uuid4

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django_fsm import FSMField, FSMModelMixin, transition

from crm import text
from crm.fields import DictionaryField, KeyField, MultiChoiceField, PhoneField
from crm.models import BusinessSource, Record
from customers.models import Contact, Customer, CustomerCategory, DealStatus, Stage, Tag
from sales.models.marketing import MarketingActivity
from sales.sms import text as wording


class TemplateType(models.TextChoices):
    MARKETING = "marketing", "营销"
    NOTICE = "notice", "通知"


class CampaignStatus(models.TextChoices):
    DRAFT = "draft", "草稿"
    SCHEDULED = "scheduled", "已排期"
    SENDING = "sending", "发送中"
    PAUSED = "paused", "已暂停"
    DONE = "done", "已完成"
    CANCELLED = "cancelled", "已取消"


IN_USE = [CampaignStatus.SCHEDULED, CampaignStatus.SENDING, CampaignStatus.PAUSED]


class DeliveryState(models.TextChoices):
    PENDING = "pending", "待发送"
    SENDING = "sending", "发送中"
    SENT = "sent", "成功"
    FAILED = "failed", "失败"
    SKIPPED = "skipped", "已跳过"
    UNKNOWN = "unknown", "结果未知"


class SkipReason(models.TextChoices):
    NO_NUMBER = "no_number", "没有国内手机号"
    DUPLICATE = "duplicate", "与另一个客户同号"
    OPTED_OUT = "opted_out", "已退订"
    CAPPED = "capped", "超过频次"
    INCOMPLETE = "incomplete", "缺少变量的内容"
    OUT_OF_REACH = "out_of_reach", "发送人无权查看，或客户已停用"
    LEFT_STAGE = "left_stage", "已离开该阶段"
    CANCELLED = "cancelled", "活动已取消"


class OptOutSource(models.TextChoices):
    REPLY = "reply", "回复退订"
    REQUEST = "request", "客户要求"
    LIST = "list", "名单导入"


class SmsTemplate(Record):
    """The text of a message. ``provider_code`` is its number at the provider, who sends registered templates alone."""

    name = models.CharField("模板名称", max_length=100)
    name_key = KeyField(source="name", max_length=100, unique=True)
    type = models.CharField("模板类型", max_length=50, choices=TemplateType.choices, default=TemplateType.MARKETING)
    signature = models.CharField("短信签名", max_length=20, help_text="在短信平台报备过的签名，不含【】。")
    content = models.TextField(
        "短信内容",
        help_text="不含签名。变量："
        + "、".join(f"${{{variable.label}}}" for variable in wording.VARIABLES)
        + "。营销短信要写明退订方式，如“拒收请回复R”。",
    )
    provider_code = models.CharField(
        "平台模板编号",
        max_length=50,
        blank=True,
        default="",
        help_text="在短信平台报备通过的模板编号；平台模板的参数顺序与这里变量出现的顺序一致。",
    )
    is_active = models.BooleanField("启用", default=True, help_text="停用后不能用于新的短信活动。")

    business_source = BusinessSource.SALES

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "短信模板"
        ordering = ["-id"]
        indexes = [models.Index(fields=["type", "is_active"], name="sms_template_type")]

    def __str__(self):
        return self.name

    def clean(self):
        super().clean()
        same = SmsTemplate._base_manager.filter(name_key=text.fold(self.name)).exclude(pk=self.pk)
        if self.name and same.exists():
            raise ValidationError({"name": f"短信模板“{self.name}”已存在，请换一个名称。"})
        if "【" in self.signature or "】" in self.signature:
            raise ValidationError({"signature": "签名不用写【】，发送时会自动加上。"})
        try:
            wording.variables(self.content)
        except (wording.UnknownVariables, wording.StrayBrace) as error:
            raise ValidationError({"content": str(error)}) from error
        says_how = any(word in self.content for word in wording.OPT_OUT_WORDS)
        if self.type == TemplateType.MARKETING and self.content and not says_how:
            raise ValidationError({"content": "营销短信必须写明退订方式，例如在结尾加上“拒收请回复R”。"})
        self._refuse_change_in_use()

    def _refuse_change_in_use(self):
        """What people agreed to send is what is sent."""
        stored = SmsTemplate._base_manager.filter(pk=self.pk).first() if self.pk else None
        fixed = ("type", "signature", "content", "provider_code")
        if stored is None or all(getattr(stored, name) == getattr(self, name) for name in fixed):
            return
        user = self.campaigns.filter(status__in=IN_USE, is_valid=True).first()
        if user is not None:
            raise ValidationError(
                f"短信活动“{user}”{user.get_status_display()}，正在使用这个模板：请先撤回或结束它，或者另建一个模板。"
            )


class SmsRule(Record):
    """How often and when messages of a type may go out; one row for each type."""

    type = models.CharField("模板类型", max_length=50, choices=TemplateType.choices, unique=True)
    cap_count = models.PositiveSmallIntegerField(
        "每个号码最多（条）",
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="同一号码在下面的天数之内最多收到几条这类短信，不论来自哪个活动；留空不限。",
    )
    cap_days = models.PositiveSmallIntegerField("频次天数", default=7, validators=[MinValueValidator(1)])
    quiet_from = models.TimeField("免打扰开始", null=True, blank=True, help_text="北京时间；留空不设免打扰。")
    quiet_until = models.TimeField("免打扰结束", null=True, blank=True)

    business_source = BusinessSource.SALES

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "短信规则"
        ordering = ["id"]
        default_permissions = ("change", "view")

    def __str__(self):
        return self.get_type_display()

    def clean(self):
        super().clean()
        if (self.quiet_from is None) != (self.quiet_until is None):
            raise ValidationError({"quiet_until": "免打扰的开始和结束要么都填，要么都留空。"})

    def is_quiet(self, moment) -> bool:
        """Whether nobody is to be disturbed at ``moment``; the hours may reach over midnight."""
        if self.quiet_from is None:
            return False
        now = timezone.localtime(moment).time()
        if self.quiet_from <= self.quiet_until:
            return self.quiet_from <= now < self.quiet_until
        return now >= self.quiet_from or now < self.quiet_until


class SmsOptOut(Record):
    """A number that gets no messages of any campaign. Removing the row is consenting again."""

    phone = PhoneField("手机号", blank=False)
    phone_key = KeyField(normalize=text.phone_key, max_length=40, unique=True)
    source = models.CharField("退订方式", max_length=10, choices=OptOutSource.choices, default=OptOutSource.REQUEST)
    noted_at = models.DateTimeField("退订时间", default=timezone.now, db_index=True)

    business_source = BusinessSource.SALES

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "短信退订"
        ordering = ["-noted_at", "-id"]
        default_permissions = ("add", "change", "delete", "view", "import", "export")

    def __str__(self):
        return self.phone

    def clean(self):
        super().clean()
        key = text.phone_key(self.phone)
        if key and SmsOptOut._base_manager.filter(phone_key=key).exclude(pk=self.pk).exists():
            raise ValidationError({"phone": f"“{self.phone}”已经在退订名单里。"})

    def save(self, *args, **kwargs):
        self.phone_key = (text.phone_key(self.phone) or None) if self.is_valid else None
        super().save(*args, **kwargs)


class SmsCampaign(FSMModelMixin, Record):
    """A message to all customers that meet its conditions and that ``sender`` may see, or, with ``trigger_stage``, to
    each that enters that stage from its start on.

    An empty condition does not narrow; several values of one condition are alternatives.
    """

    name = models.CharField("短信活动名称", max_length=200)
    template = models.ForeignKey(
        SmsTemplate, on_delete=models.PROTECT, related_name="campaigns", verbose_name="短信模板"
    )
    activity = models.ForeignKey(
        MarketingActivity,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="sms_campaigns",
        verbose_name="市场活动",
    )
    send_time = models.DateTimeField(
        "计划发送时间", null=True, blank=True, db_index=True, help_text="留空：确认收件人后立即发送。"
    )
    tags = models.ManyToManyField(Tag, blank=True, related_name="sms_campaigns", verbose_name="客户标签")
    categories = models.ManyToManyField(
        CustomerCategory, blank=True, related_name="sms_campaigns", verbose_name="客户分类"
    )
    stages = MultiChoiceField("客户阶段", options=Stage.choices)
    deals = MultiChoiceField("成交状态", options=DealStatus.choices)
    level = DictionaryField("客户等级", type="level")
    industry = DictionaryField("所属行业", type="industry")
    area = DictionaryField("所属地区", type="area")
    idle_days = models.PositiveSmallIntegerField(
        "超过多少天没有跟进", null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(3650)]
    )
    trigger_stage = models.CharField(
        "进入阶段时自动发送",
        max_length=10,
        choices=Stage.choices,
        blank=True,
        default="",
        help_text="选了阶段，就是长期运行的自动活动：从启动起，客户进入该阶段即收到短信，直到暂停或结束。",
    )
    delay_days = models.PositiveSmallIntegerField(
        "进入后几天发送", default=0, validators=[MaxValueValidator(365)], help_text="到时已离开该阶段的客户不发。"
    )
    includes_new = models.BooleanField(
        "含新建的客户", default=False, help_text="勾选后，新建和导入的客户也算进入所在阶段。"
    )
    status = FSMField(
        "状态", choices=CampaignStatus.choices, default=CampaignStatus.DRAFT, protected=True, editable=False
    )
    sender = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name="发送人",
    )
    started_at = models.DateTimeField("开始发送时间", null=True, blank=True, editable=False)
    finished_at = models.DateTimeField("完成时间", null=True, blank=True, editable=False)
    problem = models.CharField("暂停原因", max_length=255, blank=True, default="", editable=False)
    enrolled_to = models.BigIntegerField("收件人生成进度", default=0, editable=False)
    enrolled_at = models.DateTimeField("收件人生成时间", null=True, blank=True, editable=False)

    business_source = BusinessSource.SALES
    audit_exclude = ("enrolled_to", "enrolled_at")

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "短信活动"
        ordering = ["-id"]
        permissions = [("send_smscampaign", "发送短信活动")]
        indexes = [models.Index(fields=["status", "send_time"], name="sms_campaign_status")]

    def __str__(self):
        return self.name

    @property
    def is_automatic(self):
        return bool(self.trigger_stage)

    def clean(self):
        super().clean()
        if self.is_automatic and self.send_time:
            raise ValidationError({"send_time": "自动活动从启动起长期运行，不用计划发送时间；请留空。"})
        if self.includes_new and not self.is_automatic:
            raise ValidationError(
                {"includes_new": "只有自动活动才分新建的客户：请选择“进入阶段时自动发送”，或取消勾选。"}
            )

    @transition(
        status,
        source=CampaignStatus.DRAFT,
        target=CampaignStatus.SCHEDULED,
        custom={"label": "定时发送", "action": "send", "page": "recipients"},
    )
    def schedule(self, sender):
        self.sender = sender

    @transition(
        status,
        source=[CampaignStatus.DRAFT, CampaignStatus.SCHEDULED],
        target=CampaignStatus.SENDING,
        custom={"label": "开始发送", "action": "send", "page": "recipients"},
    )
    def start(self, sender):
        self.sender, self.started_at = sender, timezone.now()

    @transition(
        status,
        source=CampaignStatus.SCHEDULED,
        target=CampaignStatus.DRAFT,
        custom={"label": "撤回排期", "action": "send"},
    )
    def unschedule(self):
        pass

    @transition(
        status,
        source=CampaignStatus.SENDING,
        target=CampaignStatus.PAUSED,
        custom={"label": "暂停", "action": "send", "needs_reason": True, "reason_field": "problem"},
    )
    def pause(self):
        pass

    @transition(
        status,
        source=CampaignStatus.PAUSED,
        target=CampaignStatus.SENDING,
        custom={"label": "继续发送", "action": "send", "style": "primary"},
    )
    def resume(self):
        self.problem = ""

    @transition(
        status,
        source=[CampaignStatus.DRAFT, *IN_USE],
        target=CampaignStatus.CANCELLED,
        custom={"label": "取消活动", "action": "send", "needs_reason": True, "style": "danger"},
    )
    def cancel(self):
        self.finished_at = timezone.now()

    @transition(status, source=CampaignStatus.SENDING, target=CampaignStatus.DONE)
    def finish(self):
        """Runs within ``sales.services.sms_sending`` when nothing is left to send."""
        self.finished_at = timezone.now()


class SmsDelivery(models.Model):
    """One message to one number: the journal that keeps anybody from getting it twice (``docs/sms.md``).

    Written by conditional UPDATEs of ``services.sms_sending`` alone; being a journal, it is in no other log. A number
    stands once in a campaign, and in an automatic one once for each ``occasion`` (the day it entered the stage); what
    is skipped from the start has no ``phone_key``.
    """

    unaudited = "本身就是逐条的发送记录"

    campaign = models.ForeignKey(
        SmsCampaign, on_delete=models.PROTECT, related_name="deliveries", verbose_name="短信活动"
    )
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="sms_deliveries", verbose_name="客户")
    contact = models.ForeignKey(
        Contact, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name="联系人"
    )
    occasion = models.CharField("触发日期", max_length=10, blank=True, default="")
    phone = PhoneField("手机号")
    phone_key = KeyField(normalize=text.phone_key, max_length=40)
    content = models.TextField("短信内容", blank=True, default="")
    state = models.CharField("结果", max_length=10, choices=DeliveryState.choices, default=DeliveryState.PENDING)
    skip_reason = models.CharField("跳过原因", max_length=20, choices=SkipReason.choices, blank=True, default="")
    error = models.CharField("说明", max_length=255, blank=True, default="")
    out_id = models.UUIDField("发送编号", default=uuid4, unique=True, editable=False)
    provider_number = models.CharField("平台流水号", max_length=64, blank=True, default="", db_index=True)
    attempts = models.PositiveSmallIntegerField("尝试次数", default=0)
    created_at = models.DateTimeField("生成时间", default=timezone.now)
    judged_at = models.DateTimeField("核对时间", null=True, blank=True)
    tried_at = models.DateTimeField("发送时间", null=True, blank=True, db_index=True)
    arrived_at = models.DateTimeField("送达时间", null=True, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "短信记录"
        ordering = ["-id"]
        default_permissions = ("view", "export")
        constraints = [
            models.UniqueConstraint(fields=["campaign", "phone_key", "occasion"], name="sms_delivery_number_once"),
            models.UniqueConstraint(fields=["campaign", "customer", "occasion"], name="sms_delivery_customer_once"),
            models.CheckConstraint(
                condition=Q(state=DeliveryState.SKIPPED, skip_reason__gt="")
                | (~Q(state=DeliveryState.SKIPPED) & Q(skip_reason="")),
                name="sms_delivery_skipped_why",
            ),
        ]
        indexes = [
            models.Index(fields=["campaign", "state", "id"], name="sms_delivery_campaign"),
            models.Index(fields=["phone_key", "tried_at"], name="sms_delivery_number"),
            models.Index(fields=["customer", "tried_at"], name="sms_delivery_customer"),
            models.Index(fields=["state", "tried_at"], name="sms_delivery_state"),
        ]

    def __str__(self):
        return f"短信 {self.pk}"
