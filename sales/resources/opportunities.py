"""What a row of a workbook means for opportunities: recognised by number, else by customer and name."""

from collections import defaultdict

from crm import numbering, text
from crm.excel.resource import Resource, register
from crm.excel.widgets import CellProblem, CellWidget, ParentWidget, as_text
from crm.policies import HIDDEN_LABEL, policy_for
from customers.resources.interactions import CUSTOMER_WORDS
from sales.models import Opportunity, OpportunityItem, OpportunityStage, cents
from sales.resources.lines import OpportunityItemResource


class NumberWidget(CellWidget):
    """The number as it is stored, however it was typed."""

    def clean(self, value, row=None, context=None, **kwargs):
        return normalize(super().clean(value, row, context, **kwargs))


class BuyerWidget(ParentWidget):
    """The customer, among those the person may see; named to nobody else."""

    action = "view"

    def render(self, value, obj=None, context=None, **kwargs):
        if value and value not in context.names(("customers of opportunities",), lambda: self._visible(context)):
            return HIDDEN_LABEL
        return super().render(value, obj, context, **kwargs)

    def _visible(self, context):
        rows = policy_for(self.model).visible_to(context.user)
        return set(rows.filter(opportunities__isnull=False).order_by().values_list("pk", flat=True))


class ByNumberWidget(ParentWidget):
    """An opportunity that the person may change, by its number; exported to those who may see it."""

    def __init__(self, field=None, **kwargs):
        super().__init__(field, keys=("number",), label="number", **kwargs)

    def preload(self, cells, context):
        numbers = set()
        for cell in cells:
            try:
                numbers.add(normalize(as_text(cell)))
            except CellProblem:
                continue
        rows = policy_for(self.model).visible_to(context.user, self.action).filter(number__in=numbers - {""})
        context.replace(
            ("lookup", self.field), {text.fold(number): pk for number, pk in rows.values_list("number", "pk")}
        )
        return True

    def render(self, value, obj=None, context=None, **kwargs):
        if value and value not in context.names(("opportunities followed up",), lambda: self._visible(context)):
            return HIDDEN_LABEL
        return super().render(value, obj, context, **kwargs)

    def _visible(self, context):
        rows = policy_for(self.model).visible_to(context.user)
        return set(rows.filter(follow_ups__isnull=False).order_by().values_list("pk", flat=True))


def normalize(number) -> str:
    """A number as it is stored."""
    return text.fold(number).upper()


@register
class OpportunityResource(Resource):
    """Stage and customer of a stored opportunity are not changed by a file: its stages are timed."""

    lines = OpportunityItemResource

    class Meta:
        model = Opportunity
        fields = [
            "number",
            "name",
            "customer",
            "currency",
            "estimated_amount",
            "stage",
            "win_probability",
            "expected_close_date",
            "activity",
            "owner",
            "remark",
        ]
        readonly = [
            "status",
            "lose_reason",
            "closed_at",
            "stage_since",
            "last_followed_at",
            "next_follow_at",
            "created_by",
            "created_at",
        ]
        computed = {"weighted": "加权金额", "products": "意向产品"}
        keys = [("number", "number")]
        fixed = ("customer",)
        titles = {"customer": "客户代码"}
        cells = {"number": NumberWidget, "customer": BuyerWidget}
        notes = [
            "商机编号留空，就是新商机，自动编号；已有商机的阶段请在看板或商机页面上更换。",
            "要同时导入意向产品的新商机请自己编号，在“商机产品”表里用同一个编号。",
        ]
        synonyms = {
            "number": ("编号", "number"),
            "name": ("名称", "商机", "机会名称", "opportunity", "name"),
            "customer": CUSTOMER_WORDS,
            "currency": ("货币", "currency"),
            "estimated_amount": ("金额", "预计金额", "商机金额", "amount"),
            "stage": ("销售阶段", "商机阶段", "stage"),
            "win_probability": ("赢单率", "成功率", "概率", "probability"),
            "expected_close_date": ("预计成交时间", "预计签单日期", "close date"),
            "activity": ("市场活动", "活动", "campaign"),
            "owner": ("业务员", "销售", "owner"),
            "remark": ("说明", "notes"),
        }
        examples = {
            "name": "二期产线变频器",
            "customer": "KH0001",
            "currency": "CNY",
            "estimated_amount": "120000",
            "stage": "需求分析",
            "expected_close_date": "2026-09-30",
        }

    def key_of(self, values):
        if number := values.get("number"):
            return ("number", number)
        name, customer = text.fold(values.get("name") or ""), values.get("customer")
        return ("name", str(customer), name) if name and customer else None

    def find(self, keys):
        found: dict = {}
        numbers = {key[1] for key in keys if key[0] == "number"}
        for number, pk, valid in self._rows(number__in=numbers).values_list("number", "pk", "is_valid"):
            found.setdefault(("number", number), []).append(pk if valid else -pk)
        customers = {int(key[1]) for key in keys if key[0] == "name"}
        rows = self._rows(customer__in=customers, is_valid=True) if customers else self._rows().none()
        for customer, name, pk in rows.values_list("customer_id", "name", "pk"):
            if (key := ("name", str(customer), text.fold(name))) in keys:
                found.setdefault(key, []).append(pk)
        return found

    def _rows(self, **which):
        return self.model._base_manager.filter(**which)

    def fill_blanks(self, rows):
        """What ``Opportunity.save`` derives."""
        blank = [row for row in rows if not row.get("number")]
        if blank:
            for row, number in zip(blank, numbering.take("opportunity", len(blank)), strict=True):
                row["number"] = number
        usual = dict(OpportunityStage.objects.values_list("pk", "probability"))
        for row in rows:
            if row.get("win_probability") is None:
                row["win_probability"] = usual[row["stage_id"]]

    def check_row(self, values, stored, context):
        if stored is None:
            return []
        return [
            (name, words)
            for name, column, words in (
                ("stage", "stage_id", "不能通过导入更换，请在看板或商机页面上推进。"),
                ("owner", "owner_id", "不能通过导入更换，请在商机页面上“分配”。"),
            )
            if values.get(name) is not None and values[name] != stored[column]
        ]

    def compute(self, ids, user):
        products = defaultdict(list)
        items = OpportunityItem.objects.valid().filter(opportunity__in=ids).select_related("product").order_by("pk")
        for item in items:
            products[item.opportunity_id].append(f"{item.product} ×{item.quantity.normalize():f}")
        rows = self._rows(pk__in=ids).only("estimated_amount", "win_probability")
        return {
            row.pk: {"weighted": cents(row.weighted_amount), "products": "、".join(products[row.pk])} for row in rows
        }
