"""What rows of the second sheet mean: the lines of quotations, contracts and orders, the products of opportunities."""

from decimal import Decimal

from crm import audit
from crm.excel.resource import LineResource, register
from crm.excel.widgets import DecimalWidget, ParentWidget
from sales.models import ContractItem, OpportunityItem, OrderItem, Product, QuotationItem, cents

TOO_MUCH = Decimal(10) ** 16  # an amount has 16 digits before the point


class ProductWidget(ParentWidget):
    """A product by its code; its record is kept at hand for what a line takes from it."""

    action = "view"

    def __init__(self, field=None, **kwargs):
        super().__init__(field, keys=("code_key",), **kwargs)

    def preload(self, cells, context):
        found = super().preload(cells, context)
        context.load_labels(self.model, set(self.lookup(context).values()))
        return found


class DocumentLineResource(LineResource):
    """Amounts are worked out by the server, never taken from a file; totals of the heads follow by themselves."""

    class Meta(LineResource.Meta):
        fields = ["product", "name", "specification", "quantity", "unit", "unit_price", "discount", "remark"]
        readonly = ["amount"]
        titles = {"product": "产品编号"}
        cells = {"product": ProductWidget}
        synonyms = {
            "product": ("产品代码", "物料编码", "货号", "sku", "产品", "product"),
            "name": ("产品名称", "货物名称", "名称", "description"),
            "specification": ("规格", "型号", "spec", "model"),
            "quantity": ("订货数量", "qty", "quantity"),
            "unit": ("计量单位", "unit"),
            "unit_price": ("价格", "含税单价", "price", "unit price"),
            "discount": ("折扣", "折扣率", "discount"),
            "remark": ("说明", "notes"),
        }
        examples = {
            "product": "CP0001",
            "name": "变频器",
            "specification": "7.5kW 380V",
            "quantity": "2",
            "unit": "台",
            "unit_price": "2680",
            "discount": "100",
        }

    def derived(self, values, stored, head, context):
        """What ``DocumentLine.save`` takes from the product and works out."""
        line = self.model(**(stored or {}) | self.to_row(values)[0])
        setattr(line, self._meta.head, self.heads.model(currency=head["currency"]))
        if line.product_id:
            line.product = context.record(Product, line.product_id)
        line.take_from_product()
        taken = () if stored else ("name", "specification", "unit", "unit_price")
        found = {name: audit.json_value(getattr(line, name)) for name in taken if name not in values}
        if line.unit_price is not None:
            undiscounted = Decimal(line.quantity) * Decimal(line.unit_price)
            found["amount"] = audit.json_value(line.amount_due() if undiscounted < TOO_MUCH else TOO_MUCH)
        return {name: value for name, value in found.items() if value not in (None, "")}

    def check_row(self, values, stored, context):
        now = {name: (stored or {}).get(column) for name, column in self.attnames.items()} | values
        found = []
        if not now["name"]:
            found.append(("product", "和品名请至少填写一个。"))
        if now["unit_price"] is None:
            found.append(("unit_price", "不能为空：产品没有这个币种的价格可取。"))
        elif Decimal(now["amount"] or 0) >= TOO_MUCH:
            found.append(("quantity", "乘以单价之后金额太大，请核对。"))
        return found


@register
class QuotationItemResource(DocumentLineResource):
    class Meta(DocumentLineResource.Meta):
        model = QuotationItem
        head, sheet = "quotation", "报价明细"


@register
class ContractItemResource(DocumentLineResource):
    class Meta(DocumentLineResource.Meta):
        model = ContractItem
        head, sheet = "contract", "合同明细"


@register
class OrderItemResource(DocumentLineResource):
    class Meta(DocumentLineResource.Meta):
        model = OrderItem
        head, sheet = "order", "订单明细"


@register
class OpportunityItemResource(LineResource):
    """What the customer may want; what the product says and the amount are shown, not kept."""

    class Meta(LineResource.Meta):
        model = OpportunityItem
        head, sheet = "opportunity", "商机产品"
        fields = ["product", "quantity", "unit_price", "remark"]
        computed = LineResource.Meta.computed | {
            "name": "产品名称",
            "specification": "规格型号",
            "unit": "单位",
            "amount": "意向金额",
        }
        titles = {"product": "产品编号"}
        cells = {"product": ProductWidget, "amount": DecimalWidget}
        synonyms = {name: DocumentLineResource.Meta.synonyms[name] for name in ("product", "quantity", "remark")} | {
            "unit_price": ("单价", *DocumentLineResource.Meta.synonyms["unit_price"]),
        }
        examples = {"product": "CP0001", "quantity": "2", "unit_price": "2680"}

    def compute(self, ids, user):
        found = super().compute(ids, user)
        for row in OpportunityItem.objects.filter(pk__in=ids).select_related("product"):
            product, price = row.product, row.unit_price
            found[row.pk] |= {
                "name": product.name,
                "specification": product.specification,
                "unit": product.unit,
                "amount": None if price is None else cents(row.quantity * price),
            }
        return found
