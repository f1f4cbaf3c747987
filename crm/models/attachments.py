"""A file that belongs to a record. Sources: dms ``customer_attached``, eplus ``CUSTOMER`` annex and picture."""

from django.db import models
from django_fsm import FSMField, FSMModelMixin, transition

from crm.fields import DictionaryField
from crm.models.base import Record


class AttachmentState(models.TextChoices):
    """dms ``attached_status`` 1 and 0."""

    ACTIVE = "active", "正常"
    DISCARDED = "discarded", "废弃"


class AttachmentBase(FSMModelMixin, Record):
    """What every kind of attachment has; a subclass adds the foreign key to the record it belongs to.

    The content lies under the random name ``file`` (``crm.attachments``) and never changes: a new edition is a new
    attachment. Removal is soft and keeps the file.
    """

    name = models.CharField("文件名", max_length=255)
    kind = DictionaryField("附件类别", type="attachment_kind")
    extension = models.CharField("文件类型", max_length=16, editable=False)
    size = models.PositiveBigIntegerField("大小（字节）", editable=False)
    digest = models.CharField("校验值（SHA-256）", max_length=64, editable=False)
    file = models.CharField("存储名", max_length=32, unique=True, editable=False)
    has_preview = models.BooleanField("有预览图", default=False, editable=False)
    state = FSMField(
        "状态", choices=AttachmentState.choices, default=AttachmentState.ACTIVE, protected=True, editable=False
    )

    audit_exclude = ("file", "has_preview")

    class Meta(Record.Meta):
        abstract = True

    def __str__(self):
        return self.name

    @transition(
        state,
        source=AttachmentState.ACTIVE,
        target=AttachmentState.DISCARDED,
        custom={"label": "废弃", "action": "change", "needs_reason": True, "style": "danger"},
    )
    def discard(self):
        pass

    @transition(
        state,
        source=AttachmentState.DISCARDED,
        target=AttachmentState.ACTIVE,
        custom={"label": "恢复正常", "action": "change"},
    )
    def reinstate(self):
        pass
