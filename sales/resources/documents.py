"""What rows of a workbook mean for quotations and contracts. Imported ones are drafts, to be sent or reviewed."""

from django.core.exceptions import ValidationError

from crm import numbering
from crm.excel.resource import Resource, register
from crm.excel.widgets import ParentWidget
from crm.policies import policy_for
from customers.models import Customer
from customers.resources.interactions import CUSTOMER_WORDS
from customers.services.reviews import require_usable
from sales.models import Contract, Quotation
from sales.models.documents import DocumentFields
from sales.resources.opportunities import BuyerWidget
from sales.services.orders import usual_path

HEAD = {
    "number": ("编号", "单号", "no", "number"),
    "customer": CUSTOMER_WORDS,
    "currency": ("货币", "currency"),
    "company_path": ("路径",),
    "terms": ("条件", "合同条款", "报价条款", "terms"),
    "remark": ("说明", "notes"),
}


class DocumentRows:
    """Mixin: recognised by number; states and amounts come about in the system, never by a file; only drafts change."""

    def fill_blanks(self, rows):
        """What ``DocumentFields.save`` and the services' ``enter`` derive."""
        blank = [row for row in rows if not row.get("number")]
        if blank:
            for row, number in zip(blank, numbering.take(self.model.series, len(blank)), strict=True):
                row["number"] = number
        without_path = [row for row in rows if not row.get("company_path_id")]
        customers = Customer.objects.in_bulk({row["customer_id"] for row in without_path})
        usual: dict = {}
        for row in without_path:
            key = row["customer_id"], row["currency"]
            if key not in usual:
                path = usual_path(customers[key[0]], key[1])
                usual[key] = path.pk if path else None
            row["company_path_id"] = usual[key]

    def check_row(self, values, stored, context):
        if stored is not None and stored["status"] != DocumentFields.DRAFT:
            return [("number", f"的{self.model.what}已不是草稿，不能用文件修改。")]
        return []

    def describe(self, values):
        return str(values.get("number") or values.get("name") or "")[:200]


@register
class QuotationResource(DocumentRows, Resource):
    class Meta:
        model = Quotation
        fields = ["number", "customer", "currency", "valid_until", "company_path", "terms", "remark"]
        readonly = [
            "total_amount",
            "status",
            "revision",
            "sent_at",
            "decided_at",
            "reject_reason",
            "created_by",
            "created_at",
        ]
        keys = [("number", "number_key")]
        fixed = ("customer", "currency")
        titles = {"number": "报价单号", "customer": "客户代码"}
        cells = {"customer": ParentWidget}
        notes = ["导入的报价单是草稿；报价单号留空时自动编号。已发送的报价单不能再用文件修改。"]
        synonyms = HEAD | {
            "number": ("报价编号", "quotation no", *HEAD["number"]),
            "valid_until": ("有效期", "有效期至", "截止日期", "valid until"),
        }
        examples = {
            "number": "QT2026001",
            "customer": "KH0001",
            "currency": "CNY",
            "valid_until": "2026-12-31",
            "terms": "款到发货",
        }


class ContractCustomerWidget(BuyerWidget):
    """The customer of a contract, among those the person may see; named to nobody else."""

    def _visible(self, context):
        rows = policy_for(self.model).visible_to(context.user)
        return set(rows.filter(contracts__isnull=False).order_by().values_list("pk", flat=True))


@register
class ContractResource(DocumentRows, Resource):
    """New contracts are those of customers that may buy; whoever imports them owns them, unless he may assign."""

    class Meta:
        model = Contract
        fields = [
            "number",
            "name",
            "customer",
            "currency",
            "company_path",
            "start_date",
            "end_date",
            "terms",
            "owner",
            "remark",
        ]
        readonly = [
            "total_amount",
            "received_amount",
            "invoiced_amount",
            "status",
            "sign_date",
            "terminate_reason",
            "version_no",
            "created_by",
            "created_at",
        ]
        keys = [("number", "number_key")]
        fixed = ("customer", "currency")
        titles = {"number": "合同编号", "customer": "客户代码"}
        cells = {"customer": ContractCustomerWidget}
        notes = ["导入的合同是草稿，要审核和签约；合同编号留空时自动编号。已审核、已签约的合同不能再用文件修改。"]
        synonyms = HEAD | {
            "number": ("合同号", "contract no", *HEAD["number"]),
            "name": ("名称", "合同", "contract name"),
            "start_date": ("开始日期", "起始日期", "start date"),
            "end_date": ("结束日期", "截止日期", "end date"),
            "owner": ("业务员", "销售", "owner"),
        }
        examples = {
            "number": "HT2026001",
            "name": "变频器年度供货合同",
            "customer": "KH0001",
            "currency": "CNY",
            "start_date": "2026-01-01",
            "end_date": "2026-12-31",
        }

    def check_row(self, values, stored, context):
        if found := super().check_row(values, stored, context):
            return found
        start = values.get("start_date") or (stored or {}).get("start_date")
        end = values.get("end_date") or (stored or {}).get("end_date")
        if start and end and str(end) < str(start):
            return [("end_date", "不能早于生效日期。")]
        if stored is not None:
            moved = values.get("owner") is not None and values["owner"] != stored["owner_id"]
            return [("owner", "不能通过导入更换，请在合同页面上“分配”。")] if moved else []
        return self._check_customer(values.get("customer"), context)

    @staticmethod
    def _check_customer(pk, context):
        def problem():
            try:
                require_usable(Customer.objects.get(pk=pk), "新建合同")
            except ValidationError as error:
                return error.messages[0]
            return ""

        words = context.names(("usable", pk), problem) if pk is not None else ""
        return [("customer", f"：{words}")] if words else []
