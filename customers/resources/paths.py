"""What a row of a workbook means for the company paths of a customer."""

from crm.excel.resource import Resource, register
from crm.excel.widgets import ParentWidget
from customers.models import Customer, CustomerPath
from customers.services import changes


@register
class CustomerPathResource(Resource):
    """Recognised by customer, scenario and path. A file may say which new path is the default, never move a default."""

    class Meta:
        model = CustomerPath
        fields = ["customer", "scenario", "path", "is_default", "remark"]
        readonly = ["created_at", "updated_at"]
        keys = [("path", "path")]
        titles = {"customer": "客户代码"}
        cells = {"customer": ParentWidget}
        synonyms = {
            "customer": ("客户", "客户名称", "公司名称", "客户编号", "custcode", "customer"),
            "scenario": ("场景", "业务类型"),
            "path": ("路径", "路径名称", "公司路径名称"),
            "is_default": ("默认路径", "是否默认", "defaultflag"),
        }
        examples = {"customer": "KH0001", "scenario": "出口", "path": "深圳 → 香港出口", "is_default": "是"}

    def key_of(self, values):
        parts = [values.get(name) for name in ("customer", "scenario", "path")]
        return ("path", *map(str, parts)) if all(parts) else None

    def find(self, keys):
        found: dict = {}
        rows = CustomerPath._base_manager.filter(valid_of__in={int(key[1]) for key in keys})
        for pk, *parts in rows.values_list("pk", "customer_id", "scenario_id", "path_id"):
            key = ("path", *map(str, parts))
            if key in keys:
                found.setdefault(key, []).append(pk)
        return found

    def fill_blanks(self, rows):
        """What ``CustomerPath.save`` derives; of the new ones the first that is marked, else the first, is default."""
        stored = CustomerPath._base_manager.filter(default_of__in={row["customer_id"] for row in rows})
        served = set(stored.values_list("customer_id", "scenario_id"))
        for row in sorted(rows, key=lambda row: not row.get("is_default")):
            scope = row["customer_id"], row["scenario_id"]
            row["is_default"] = scope not in served
            row["default_of_id"] = row["customer_id"] if row["is_default"] else None
            row["valid_of_id"] = row["customer_id"]
            served.add(scope)

    def check_row(self, values, stored, context):
        if stored is None and self._needs_request(values.get("customer"), context):
            return [("customer", "该客户已审核，新增公司路径需要审批：请在客户页面提交变更。")]
        return self._check_default(values, stored)

    def _needs_request(self, customer, context):
        rows = Customer.objects.filter(pk=customer).values_list("review_status", flat=True)
        status = context.names(("review status", customer), rows.first)
        return changes.is_controlled(status, context.user)

    def _check_default(self, values, stored):
        wanted = values.get("is_default")
        if wanted is None or (stored is not None and wanted == stored["is_default"]):
            return []
        if stored is not None:
            return [("is_default", "已有路径的默认不能用导入更改，请在客户页面的“公司路径”里勾选新的默认路径。")]
        scope = {"default_of": values.get("customer"), "scenario": values.get("scenario")}
        if wanted and CustomerPath._base_manager.filter(**scope).exists():
            return [("is_default", "该客户在这个场景已有默认路径，请留空，导入后在客户页面更换默认路径。")]
        return []

    def describe(self, values):
        return ""
