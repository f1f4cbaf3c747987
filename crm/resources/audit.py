"""The business log as a workbook: in words, within what the reader may see now. Nothing comes back in."""

from crm.audit_display import describe
from crm.excel.resource import Resource, register
from crm.models import BusinessLog


@register
class BusinessLogResource(Resource):
    class Meta:
        model = BusinessLog
        fields = ["created_at", "user_name", "operation", "business_no", "object_repr", "version", "ip", "remark"]
        computed = {"kind": "记录类型", "changes": "变更内容"}
        titles = {"created_at": "操作时间", "user_name": "操作人", "operation": "操作"}

    def compute(self, ids, user):
        entries = BusinessLog.objects.filter(pk__in=ids)
        return {entry.id: {"kind": entry.kind, "changes": _lines(entry.changes)} for entry in describe(entries, user)}


def _lines(changes) -> str:
    """``地址：空 → 深圳``, a line for each field."""
    return "\n".join(f"{change.label}：{change.old or '空'} → {change.new or '空'}" for change in changes)
