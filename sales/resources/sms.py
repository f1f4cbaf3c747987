"""What a row of a workbook means for people who want no messages; what was sent only goes out."""

from crm import text
from crm.excel.resource import Resource, register
from sales.models import OptOutSource, SmsDelivery, SmsOptOut


@register
class SmsOptOutResource(Resource):
    """Recognised by number, however it is written."""

    class Meta:
        model = SmsOptOut
        fields = ["phone", "source", "noted_at", "remark"]
        readonly = ["created_by", "created_at"]
        keys = [("phone", "phone_key")]
        notes = ["退订方式留空，记为“客户要求”；退订时间留空，就是导入的时间。"]
        synonyms = {
            "phone": ("电话", "手机", "号码", "手机号码", "联系电话", "phone", "mobile"),
            "source": ("方式", "来源", "source"),
            "noted_at": ("时间", "日期", "date"),
        }
        examples = {"phone": "13800138000", "source": OptOutSource.LIST.label}

    def fill_blanks(self, rows):
        for row in rows:
            self.derive(row)

    def derive(self, row):
        """What ``SmsOptOut.save`` derives."""
        row["phone_key"] = text.phone_key(row.get("phone") or "") or None

    def describe(self, values):
        return str(values.get("phone") or "")


@register
class SmsDeliveryResource(Resource):
    class Meta:
        model = SmsDelivery
        fields = [
            "campaign",
            "customer",
            "contact",
            "phone",
            "state",
            "skip_reason",
            "error",
            "tried_at",
            "arrived_at",
            "provider_number",
            "content",
        ]
