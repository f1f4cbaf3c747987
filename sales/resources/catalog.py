"""What a row of a workbook means for the catalogue: categories by their path, products by their code."""

from crm import numbering, text
from crm.excel.resource import Resource, register
from crm.excel.widgets import CellProblem, TreeWidget
from sales.models import Product, ProductCategory


class AboveWidget(TreeWidget):
    """The category above, which must exist before those below it."""

    def resolve(self, shown, context):
        try:
            return super().resolve(shown, context)
        except CellProblem as error:
            if error.unknown is None:
                raise
            hint = f"没有“{shown[:40]}”这个分类；如果它也在本文件里，请先导入它，再导入它的下级。"
            raise CellProblem(hint, unknown=shown) from error


@register
class ProductCategoryResource(Resource):
    """Recognised by name below the same category: an import never moves one, so that it never makes a ring."""

    class Meta:
        model = ProductCategory
        fields = ["name", "parent", "sort", "remark"]
        readonly = ["created_at", "updated_at"]
        keys = [("name", "name_key")]
        titles = {"parent": "上级分类"}
        cells = {"parent": AboveWidget}
        notes = ["上级分类同名时写全路径，例如“自动化 / 变频器”；上级要先于下级导入。"]
        synonyms = {
            "name": ("分类", "名称", "category", "category name"),
            "parent": ("上级", "父分类", "parent"),
            "sort": ("顺序", "序号"),
        }
        examples = {"name": "变频器", "parent": "自动化"}

    def key_of(self, values):
        name = text.fold(values.get("name") or "")[:100]
        return ("name_key", str(values.get("parent") or ""), name) if name else None

    def find(self, keys):
        found: dict = {}
        rows = ProductCategory._base_manager.filter(name_key__in={name for _, _, name in keys})
        for pk, parent, name, valid in rows.values_list("pk", "parent_id", "name_key", "is_valid"):
            if (key := ("name_key", str(parent or ""), name)) in keys:
                found.setdefault(key, []).append(pk if valid else -pk)
        return found


@register
class ProductResource(Resource):
    """Recognised by code; without one a product is new and numbered."""

    class Meta:
        model = Product
        fields = [
            "code",
            "name",
            "category",
            "specification",
            "unit",
            "currency",
            "price",
            "cost_price",
            "is_active",
            "description",
            "remark",
        ]
        readonly = ["created_at", "updated_at"]
        keys = [("code", "code_key")]
        notes = ["产品编号留空，就是新产品，自动编号；分类同名时写全路径，例如“自动化 / 变频器”。"]
        synonyms = {
            "code": ("编号", "产品代码", "物料编码", "货号", "sku", "code", "item no"),
            "name": ("名称", "品名", "物料名称", "产品", "product", "name"),
            "category": ("分类", "类别", "产品类别", "category"),
            "specification": ("规格", "型号", "规格描述", "spec", "model"),
            "unit": ("计量单位", "unit"),
            "currency": ("货币", "currency"),
            "price": ("售价", "价格", "单价", "销售价", "price"),
            "cost_price": ("成本", "进价", "采购价", "cost"),
            "is_active": ("是否上架", "状态", "在售"),
            "description": ("描述", "说明", "description"),
        }
        examples = {
            "name": "变频器",
            "category": "自动化 / 变频器",
            "specification": "7.5kW 380V",
            "unit": "台",
            "price": "2680",
            "cost_price": "1900",
        }

    def fill_blanks(self, rows):
        blank = [row for row in rows if not row.get("code")]
        if blank:
            for row, code in zip(blank, numbering.take("product", len(blank)), strict=True):
                row["code"] = code
