"""What a row of a workbook means for dictionary items."""

from crm import text
from crm.excel.resource import Resource, register
from crm.models import DictionaryItem


@register
class DictionaryItemResource(Resource):
    """Recognised by code within its dictionary; a word belongs to one item of a dictionary."""

    class Meta:
        model = DictionaryItem
        fields = ["type", "code", "label", "aliases", "sort", "is_active", "remark"]
        readonly = ["created_at", "updated_at"]
        keys = [("code", "code")]
        fixed = ("type", "code")
        synonyms = {
            "type": ("字典", "字典类型", "data_dic_name"),
            "code": ("编码", "字典代码"),
            "label": ("名称", "字典项", "data_dic_value"),
            "aliases": ("别称", "同义词"),
            "is_active": ("状态", "有效", "is_valid"),
        }
        examples = {"type": "所属行业", "code": "ai", "label": "人工智能", "aliases": "AI;大模型"}

    def key_of(self, values):
        kind, code = values.get("type"), text.fold(values.get("code") or "")
        return ("code", kind, code) if kind and code else None

    def find(self, keys):
        found: dict = {}
        rows = DictionaryItem._base_manager.filter(type__in={kind for _, kind, _ in keys})
        for pk, kind, code, valid in rows.values_list("pk", "type", "code", "is_valid"):
            if (key := ("code", kind, text.fold(code))) in keys:
                found.setdefault(key, []).append(pk if valid else -pk)
        return found

    def check_row(self, values, stored, context):
        """A word that another item, of the table or of this file, has already."""
        kind, word = values.get("type") or (stored or {}).get("type"), text.fold(values.get("label") or "")
        if not kind or not word:
            return []
        holders = context.names(("labels",), _codes_by_label)
        code = text.fold(values.get("code") or (stored or {}).get("code") or "")
        if (holder := holders.setdefault((kind, word), code)) != code:
            return [("label", f"“{values['label']}”已是该字典中代码为“{holder}”的一项，请换一个。")]
        return []

    def describe(self, values):
        return str(values.get("label") or values.get("code") or "")[:200]


def _codes_by_label() -> dict[tuple[str, str], str]:
    rows = DictionaryItem._base_manager.values_list("type", "label_key", "code")
    return {(kind, word): text.fold(code) for kind, word, code in rows}
