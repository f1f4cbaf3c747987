"""What a row means for follow-ups: of a customer by its code, a lead by its phone, an opportunity by its number."""

from datetime import datetime

from crm import text
from crm.excel.resource import register
from crm.excel.widgets import CellProblem, ParentWidget, as_text
from crm.policies import HIDDEN_LABEL, policy_for
from customers.resources.interactions import CUSTOMER_WORDS, ActivityResource, AuthorWidget
from sales.models import FollowUp
from sales.resources.opportunities import ByNumberWidget


class LeadByPhoneWidget(ParentWidget):
    """A lead that the person may change, by its phone however written; exported to those who may see the lead."""

    def __init__(self, field=None, **kwargs):
        super().__init__(field, keys=("phone_key",), label="phone", **kwargs)

    def preload(self, cells, context):
        words: dict = {}
        for cell in cells:
            try:
                shown = as_text(cell)
            except CellProblem:
                continue
            words.setdefault(text.phone_key(shown), set()).add(text.fold(shown))
        words.pop("", None)
        rows = policy_for(self.model).visible_to(context.user, "change").filter(phone_key__in=words)
        names = {word: pk for key, pk in rows.values_list("phone_key", "pk") for word in words[key]}
        context.replace(("lookup", self.field), names)
        return True

    def render(self, value, obj=None, context=None, **kwargs):
        if value and value not in context.names(("leads followed up",), lambda: self._visible(context)):
            return HIDDEN_LABEL
        return super().render(value, obj, context, **kwargs)

    def _visible(self, context):
        rows = policy_for(self.model).visible_to(context.user)
        return set(rows.filter(follow_ups__isnull=False).order_by().values_list("pk", flat=True))


@register
class FollowUpResource(ActivityResource):
    """Follow-ups of another system, each with the colleague who made it."""

    roots = ("customer", "lead", "opportunity")
    tellers = ("content",)

    class Meta:
        model = FollowUp
        fields = [
            "customer",
            "lead",
            "opportunity",
            "time",
            "type",
            "content",
            "next_time",
            "next_content",
            "author",
            "remark",
        ]
        readonly = ["created_at"]
        keys = [("time", "time")]
        fixed = ("customer", "lead", "opportunity")
        titles = {"customer": "客户代码", "lead": "线索电话", "opportunity": "商机编号"}
        cells = {
            "customer": ParentWidget,
            "lead": LeadByPhoneWidget,
            "opportunity": ByNumberWidget,
            "author": AuthorWidget,
        }
        notes = ("每行填客户代码、线索电话、商机编号之一；跟进人留空，就是导入的人。",)
        synonyms = {
            "customer": CUSTOMER_WORDS,
            "lead": ("线索", "线索手机", "电话", "手机", "联系电话", "lead", "phone"),
            "opportunity": ("商机", "opportunity"),
            "time": ("时间", "日期", "创建时间", "date", "time"),
            "type": ("方式", "类型", "跟进类型", "type"),
            "content": ("内容", "跟进记录", "content", "notes"),
            "next_time": ("下次联系时间", "下次时间", "next time"),
            "next_content": ("下次内容", "下一步", "next step"),
            "author": ("业务员", "创建人", "负责人", "销售", "author", "owner"),
        }
        examples = {
            "customer": "KH0001",
            "time": "2026-03-15 09:30",
            "type": "电话",
            "content": "确认了样品规格",
            "next_time": "2026-03-20 10:00",
            "next_content": "发送报价",
            "author": "zhangwei",
        }

    def check_row(self, values, stored, context):
        problems = super().check_row(values, stored, context)
        if stored is None and sum(values.get(root) is not None for root in self.roots) != 1:
            problems.append((None, "客户代码、线索电话、商机编号请填写其中一个，只填一个。"))
        times = [values.get("time"), values.get("next_time")]
        if all(times) and datetime.fromisoformat(times[1]) < datetime.fromisoformat(times[0]):
            problems.append(("next_time", "不能早于这次跟进的时间。"))
        if values.get("next_content") and not times[1] and not (stored and stored["next_time"]):
            problems.append(("next_time", "不能为空：写了下次跟进内容，请也填下次跟进时间。"))
        return problems
