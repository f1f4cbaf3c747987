"""What a row of a workbook means for orders and their lines. Imported orders are drafts, to be confirmed afterwards."""

from crm import numbering
from crm.excel.resource import Resource, register
from crm.excel.widgets import ParentWidget
from crm.policies import HIDDEN_LABEL, policy_for
from customers.models import Customer
from customers.resources.interactions import CUSTOMER_WORDS
from sales.models import Contract, Order, OrderStatus
from sales.resources.lines import OrderItemResource
from sales.services import orders


class ByNumberWidget(ParentWidget):
    """A document by its number, among those the person may see; named to nobody else."""

    action = "view"

    def __init__(self, field=None, **kwargs):
        super().__init__(field, keys=("number_key",), label="number", **kwargs)

    def render(self, value, obj=None, context=None, **kwargs):
        if value and value not in context.names(("visible", self.field), lambda: self._visible(context)):
            return HIDDEN_LABEL
        return super().render(value, obj, context, **kwargs)

    def _visible(self, context):
        rows = policy_for(self.model).visible_to(context.user)
        used = rows.filter(**{f"{self.field.related_query_name()}__isnull": False})
        return set(used.order_by().values_list("pk", flat=True))


@register
class OrderResource(Resource):
    """Recognised by number. States and what was received come about in the system, never by a file."""

    lines = OrderItemResource

    class Meta:
        model = Order
        fields = [
            "number",
            "customer",
            "order_date",
            "order_time",
            "currency",
            "contract",
            "company_path",
            "address",
            "remark",
        ]
        readonly = [
            "total_amount",
            "status",
            "paid_state",
            "received_amount",
            "confirmed_at",
            "cancel_reason",
            "created_by",
            "created_at",
        ]
        keys = [("number", "number_key")]
        fixed = ("customer", "contract", "currency")
        titles = {"number": "订单编号", "customer": "客户代码", "contract": "合同编号"}
        cells = {"customer": ParentWidget, "contract": ByNumberWidget}
        notes = [
            "导入的订单是草稿，导入后可在列表里勾选并“确认订单”；已确认的订单不能再用文件修改。",
            "订单编号留空时自动编号；要同时导入明细的新订单请自己编号，在“订单明细”表里用同一个编号。",
        ]
        synonyms = {
            "number": ("编号", "订单号", "单号", "order no", "order number", "订单编码"),
            "customer": CUSTOMER_WORDS,
            "order_date": ("下单时间", "日期", "订单日期", "order date", "date"),
            "order_time": ("时刻", "时间"),
            "currency": ("货币", "currency"),
            "contract": ("合同", "合同号", "contract"),
            "company_path": ("路径",),
            "address": ("地址", "送货地址", "address"),
            "remark": ("说明", "notes"),
        }
        examples = {
            "number": "DD2026001",
            "customer": "KH0001",
            "order_date": "2026-03-15",
            "order_time": "09:30",
            "currency": "CNY",
            "address": "苏州工业园区星湖街 328 号",
        }

    def fill_blanks(self, rows):
        """What ``Order.save`` and ``services.orders.enter`` derive."""
        blank = [row for row in rows if not row.get("number")]
        if blank:
            for row, number in zip(blank, numbering.take("order", len(blank)), strict=True):
                row["number"] = number
        without_path = [row for row in rows if not row.get("company_path_id")]
        customers = Customer.objects.in_bulk({row["customer_id"] for row in without_path})
        usual: dict = {}
        for row in without_path:
            key = row["customer_id"], row["currency"]
            if key not in usual:
                path = orders.usual_path(customers[key[0]], key[1])
                usual[key] = path.pk if path else None
            row["company_path_id"] = usual[key]

    def check_row(self, values, stored, context):
        if stored is not None or (contract := values.get("contract")) is None:
            return []
        found = context.names(("contract", contract), lambda: Contract.objects.get(pk=contract))
        if found.customer_id != values.get("customer"):
            return [("contract", f"“{found.number}”不属于该客户，请核对。")]
        if found.currency != values.get("currency", "CNY"):
            return [("currency", f"与合同的币种 {found.currency} 不同，请改成相同的。")]
        return []

    def closed(self, rows):
        return {row["id"]: "订单已不是草稿，不能用文件修改。" for row in rows if row["status"] != OrderStatus.DRAFT}

    def describe(self, values):
        return str(values.get("number") or "")[:200]
