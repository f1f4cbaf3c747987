"""What rows of a workbook mean for quotations and contracts. Imported ones are drafts, to be sent or reviewed."""

from django.core.exceptions import ValidationError

from crm import numbering, text
from crm.excel.resource import Resource, register
from crm.excel.widgets import LookupWidget, ParentWidget
from crm.models import Company
from crm.policies import policy_for
from customers.models import Customer
from customers.resources.interactions import CUSTOMER_WORDS
from customers.services.reviews import require_usable
from sales.models import Contract, Quotation
from sales.models.documents import DocumentFields
from sales.resources.lines import ContractItemResource, QuotationItemResource
from sales.resources.opportunities import BuyerWidget
from sales.services import contracts
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

    def closed(self, rows):
        refusal = f"{self.model.what}已不是草稿，不能用文件修改。"
        return {row["id"]: refusal for row in rows if row["status"] != DocumentFields.DRAFT}

    def describe(self, values):
        return str(values.get("number") or values.get("name") or "")[:200]


@register
class QuotationResource(DocumentRows, Resource):
    lines = QuotationItemResource

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
        notes = [
            "导入的报价单是草稿；报价单号留空时自动编号。已发送的报价单不能再用文件修改。",
            "要同时导入明细的新报价单请自己编号，在“报价明细”表里用同一个编号。",
        ]
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


class CompanyWidget(LookupWidget):
    """One of our own companies by its name or short name; exported by its name, which is its own."""

    def named(self, rows):
        return super().named(rows) | {text.fold(row.name): row.pk for row in rows}

    def shown(self, pk, context):
        return context.label(self.model, pk, "name")


class ContractCustomerWidget(BuyerWidget):
    """The customer of a contract, among those the person may see; named to nobody else."""

    def _visible(self, context):
        rows = policy_for(self.model).visible_to(context.user)
        return set(rows.filter(contracts__isnull=False).order_by().values_list("pk", flat=True))


@register
class ContractResource(DocumentRows, Resource):
    """New contracts are those of customers that may buy; whoever imports them owns them, unless he may assign."""

    lines = ContractItemResource

    class Meta:
        model = Contract
        fields = [
            "number",
            "name",
            "customer",
            "currency",
            "company",
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
        cells = {"customer": ContractCustomerWidget, "company": CompanyWidget}
        notes = [
            "导入的合同是草稿，要审核和签约；合同编号留空时自动编号。审核中、已审核、已签约的合同不能再用文件修改。",
            "要同时导入明细的新合同请自己编号，在“合同明细”表里用同一个编号。",
        ]
        synonyms = HEAD | {
            "number": ("合同号", "contract no", *HEAD["number"]),
            "name": ("名称", "合同", "contract name"),
            "company": ("签约公司", "签约主体", "我方公司", "公司主体", "our company"),
            "start_date": ("开始日期", "起始日期", "start date"),
            "end_date": ("结束日期", "截止日期", "end date"),
            "owner": ("业务员", "销售", "owner"),
        }
        examples = {
            "number": "HT2026001",
            "name": "变频器年度供货合同",
            "customer": "KH0001",
            "currency": "CNY",
            "company": "深圳客源贸易有限公司",
            "start_date": "2026-01-01",
            "end_date": "2026-12-31",
        }

    def fill_blanks(self, rows):
        super().fill_blanks(rows)
        companies = list(Company.objects.valid()[:2])
        if len(companies) == 1:
            for row in rows:
                row["company_id"] = row.get("company_id") or companies[0].pk

    def closed(self, rows):
        reviewed = contracts.reviewed([row["id"] for row in rows])
        return super().closed(rows) | dict.fromkeys(reviewed, "合同正在审核，审核期间不能修改。")

    def check_row(self, values, stored, context):
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
