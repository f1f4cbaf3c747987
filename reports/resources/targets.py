"""What a row of a workbook means for sales targets."""

import re
from datetime import date

from crm.excel.resource import Resource, register
from crm.excel.widgets import DateWidget
from customers.resources.credit import CurrencyWidget
from reports.models import SalesTarget

MONTH = re.compile(r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*月?")


class MonthWidget(DateWidget):
    """A month by any day of it, or as 2026-03, 2026/3, 2026年3月; kept as its first."""

    def _parse(self, shown):
        if match := MONTH.fullmatch(shown.strip()):
            year, month = map(int, match.groups())
            return date(year, month, 1) if 1 <= month <= 12 else None
        day = super()._parse(shown)
        return day and day.replace(day=1)

    def clean(self, value, row=None, context=None, **kwargs):
        day = super().clean(value, row, context, **kwargs)
        return day and f"{day[:8]}01"


@register
class SalesTargetResource(Resource):
    """Recognised by month and person or department."""

    class Meta:
        model = SalesTarget
        fields = ["month", "person", "department", "amount", "currency", "remark"]
        readonly = ["created_at", "updated_at"]
        keys = [("month", "month")]
        fixed = ("month", "person", "department")
        cells = {"month": MonthWidget, "currency": CurrencyWidget}
        notes = ("每行填员工或部门之一；月份填当月任意一天。",)
        synonyms = {
            "month": ("日期", "目标月份", "month"),
            "person": ("业务员", "姓名", "销售", "人员", "person", "owner"),
            "department": ("团队", "所属部门", "department"),
            "amount": ("目标", "业绩目标", "金额", "target", "amount"),
            "currency": ("币别", "currency"),
        }
        examples = {"month": "2026-03-01", "person": "zhangwei", "amount": "300000", "currency": "人民币 CNY"}

    def key_of(self, values):
        holder = f"p{values['person']}" if values.get("person") else f"d{values.get('department')}"
        month = values.get("month")
        return ("month", f"{month}/{holder}") if month and holder != "dNone" else None

    def find(self, keys):
        found: dict = {}
        for pk, place in SalesTarget._base_manager.filter(place__in=[key[1] for key in keys]).values_list(
            "pk", "place"
        ):
            found.setdefault(("month", place), []).append(pk)
        return found

    def fill_blanks(self, rows):
        for row in rows:
            holder = f"p{row['person_id']}" if row.get("person_id") else f"d{row['department_id']}"
            row["place"] = f"{row['month']}/{holder}"

    def check_row(self, values, stored, context):
        """Exactly one holder, within the reach of whoever imports."""
        if stored is not None:
            return []
        if bool(values.get("person")) == bool(values.get("department")):
            return [("person", "员工与部门请填其中一个，不要都填或都空着。")]
        name = "person" if values.get("person") else "department"
        if int(values[name]) not in self.policy.holders(context.user, "add")[name]:
            return [(name, "不在您的数据范围之内，您不能为其设定目标。")]
        return []
