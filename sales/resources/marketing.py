"""What a row of a workbook means for marketing activities."""

from crm import text
from crm.excel.resource import Resource, register
from sales.models import MarketingActivity
from sales.services import marketing


@register
class MarketingActivityResource(Resource):
    """Recognised by name; what came of it is exported as the reader may count it."""

    class Meta:
        model = MarketingActivity
        fields = [
            "name",
            "type",
            "start_time",
            "end_time",
            "manager",
            "currency",
            "budget",
            "actual_cost",
            "description",
            "remark",
        ]
        readonly = ["status", "cancel_reason", "created_by", "created_at"]
        computed = {
            "leads": "线索数",
            "converted": "转化数",
            "opportunities": "商机数",
            "won_amount": "赢单金额",
            "roi": "投资回报率",
        }
        keys = [("name", "name_key")]
        synonyms = {
            "name": ("名称", "活动", "市场活动", "activity", "campaign", "name"),
            "type": ("类型", "type"),
            "start_time": ("开始日期", "开始", "start"),
            "end_time": ("结束日期", "结束", "end"),
            "manager": ("负责人", "owner"),
            "budget": ("预算", "budget"),
            "actual_cost": ("成本", "实际费用", "费用", "cost"),
            "description": ("描述", "说明", "description"),
        }
        examples = {
            "name": "2026 年春季广交会",
            "start_time": "2026-04-15 09:30",
            "end_time": "2026-04-19 18:00",
            "budget": "120000",
            "actual_cost": "98600.50",
        }

    def fill_blanks(self, rows):
        """What ``KeyField`` derives."""
        for row in rows:
            row["name_key"] = text.fold(row.get("name") or "") or None

    def check_row(self, values, stored, context):
        start = values.get("start_time", stored["start_time"] if stored else None)
        end = values.get("end_time", stored["end_time"] if stored else None)
        return [("end_time", "不能早于开始时间。")] if start and end and str(end) < str(start) else []

    def compute(self, ids, user):
        found = marketing.results(MarketingActivity.objects.filter(pk__in=ids), user)
        return {
            pk: {
                "leads": one.leads,
                "converted": one.converted,
                "opportunities": one.opportunities,
                "won_amount": one.won_amount if one.won_amount is not None else "缺汇率",
                "roi": f"{one.roi:.1%}" if one.roi is not None else "",
            }
            for pk, one in found.items()
        }
