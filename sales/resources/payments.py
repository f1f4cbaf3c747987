"""What a row of a workbook means for instalments, receipts and invoices. What they are for is named by its number."""

from decimal import Decimal

from crm.excel.resource import Resource, register
from crm.excel.widgets import ParentWidget
from sales.models import Contract, Invoice, Order, PaidState, PaymentPlan, PaymentRecord
from sales.policies import KEEP
from sales.resources.orders import ByNumberWidget
from sales.services import payments

CONTRACT_WORDS = ("合同", "合同号", "contract", "contract no")


class PlannedWidget(ByNumberWidget):
    """A contract whose instalments the person keeps."""

    action = KEEP


class PlanWidget(ParentWidget):
    """The instalment that a receipt was divided up to; a file does not choose one."""

    def render(self, value, obj=None, context=None, **kwargs):
        return context.label(self.model, value, "position") if value else ""


@register
class PaymentPlanResource(Resource):
    """Recognised by contract and number of the instalment."""

    one_by_one = True

    class Meta:
        model = PaymentPlan
        fields = ["contract", "position", "date", "amount", "term", "remark"]
        readonly = ["received_amount", "status"]
        keys = [("position", "position")]
        fixed = ("contract",)
        titles = {"contract": "合同编号"}
        cells = {"contract": PlannedWidget}
        notes = ["期次留空，就是新的一期，排在最后；各期合计不能超过合同金额。"]
        synonyms = {
            "contract": CONTRACT_WORDS,
            "position": ("期数", "期号", "no"),
            "date": ("计划日期", "到期日", "日期", "plan date", "due date"),
            "amount": ("金额", "计划回款", "plan amount", "amount"),
            "term": ("条件", "款项", "payment term"),
        }
        examples = {
            "contract": "HT202603150001",
            "position": "1",
            "date": "2026-04-15",
            "amount": "30000",
            "term": "预付款",
        }

    def key_of(self, values):
        contract, position = values.get("contract"), values.get("position")
        return ("position", str(contract), str(position)) if contract and position else None

    def find(self, keys):
        contracts = {int(key[1]) for key in keys}
        rows = PaymentPlan.objects.valid().filter(contract__in=contracts).order_by("pk")
        found: dict = {}
        for pk, contract, position in rows.values_list("pk", "contract_id", "position"):
            found.setdefault(("position", str(contract), str(position)), []).append(pk)
        return {key: ids for key, ids in found.items() if key in keys}

    def check_row(self, values, stored, context):
        if "amount" not in values:
            return []
        contract = stored["contract_id"] if stored else values.get("contract")
        if contract is None:
            return []
        left = context.names(("unplanned", contract), lambda: {"amount": self._left(contract)})
        amount = Decimal(values["amount"])
        if stored and amount < stored["received_amount"]:
            return [("amount", f"不能少于已回款 {stored['received_amount']:,.2f}。")]
        more = amount - (stored["amount"] if stored else 0)
        if more > left["amount"]:
            return [("amount", f"超出合同金额：这份合同还可以排 {left['amount']:,.2f}。")]
        left["amount"] -= more
        return []

    @staticmethod
    def _left(contract):
        found = Contract.objects.get(pk=contract)
        planned = PaymentPlan.objects.valid().filter(contract=contract).values_list("amount", flat=True)
        return found.total_amount - sum(planned, Decimal(0))

    def derive(self, row):
        row["status"] = PaidState.of(Decimal(row["received_amount"]), Decimal(row["amount"]))

    def create(self, values, *, by):
        plan = PaymentPlan(**columns(PaymentPlan, values))
        if not values.get("position"):
            taken = PaymentPlan.objects.valid().filter(contract=plan.contract_id).values_list("position", flat=True)
            plan.position = max(taken, default=0) + 1
        payments.save_plan(plan, by=by)

    def describe(self, values):
        return f"第 {values['position']} 期" if values.get("position") else ""


class OpenAmounts:
    """Mixin of what is checked against an amount that is open: rows of one file count together."""

    def over(self, values, context, roots) -> list:
        for name, model in roots.items():
            if (pk := values.get(name)) is not None and "amount" in values:
                return self._over(name, model, pk, Decimal(values["amount"]), context)
        return []

    def _over(self, name, model, pk, amount, context):
        root = context.names(("open", model, pk), lambda: model.objects.get(pk=pk))
        probe = self.model(**{f"{name}_id": pk}, amount=amount)
        if problem := self.refusal(probe, root):
            return [("amount" if "超出" in problem else name, f"：{problem}")]
        self.take(root, amount)
        return []


@register
class PaymentRecordResource(OpenAmounts, Resource):
    """Recognised by number. New receipts are divided up among the instalments as if they had been entered."""

    one_by_one = True

    class Meta:
        model = PaymentRecord
        fields = ["number", "contract", "order", "amount", "date", "method", "bank_flow", "remark"]
        readonly = ["plan", "customer", "currency", "status", "void_reason", "created_by", "created_at"]
        keys = [("number", "number_key")]
        fixed = ("contract", "order", "amount", "number")
        titles = {"contract": "合同编号", "order": "订单编号", "plan": "期次"}
        cells = {"contract": ByNumberWidget, "order": ByNumberWidget, "plan": PlanWidget}
        notes = [
            "每行填合同编号或订单编号之一；回款单号留空时自动编号。",
            "金额自动按到期先后分到合同的各期；超过未回款金额的行不会导入。已有的回款只更新日期、方式、流水号和备注。",
        ]
        synonyms = {
            "number": ("单号", "编号", "payment no"),
            "contract": CONTRACT_WORDS,
            "order": ("订单", "订单号", "order no"),
            "amount": ("金额", "到账金额", "贷方金额", "收入", "payment amount", "amount"),
            "date": ("日期", "到账日期", "交易日期", "payment date", "date"),
            "method": ("方式", "支付方式", "payment method"),
            "bank_flow": ("流水号", "交易流水号", "银行流水", "bank flow"),
            "remark": ("摘要", "说明", "notes"),
        }
        examples = {
            "contract": "HT202603150001",
            "amount": "30000",
            "date": "2026-04-15",
            "method": "银行转账",
            "bank_flow": "2026041500012345",
        }

    def check_row(self, values, stored, context):
        if stored is not None:
            return []
        if (values.get("contract") is None) == (values.get("order") is None):
            return [(None, "合同编号和订单编号请填写其中一个，不要都填或都不填。")]
        return self.over(values, context, {"contract": Contract, "order": Order})

    refusal = staticmethod(payments.refusal)

    @staticmethod
    def take(root, amount):
        root.received_amount += amount

    def create(self, values, *, by):
        payments.receive(PaymentRecord(**columns(PaymentRecord, values)), by=by)

    def describe(self, values):
        return str(values.get("number") or values.get("bank_flow") or "")[:200]


@register
class InvoiceResource(OpenAmounts, Resource):
    """Recognised by number."""

    one_by_one = True

    class Meta:
        model = Invoice
        fields = ["number", "contract", "type", "amount", "issue_date", "title", "tax_no", "remark"]
        readonly = ["payment", "customer", "currency", "status", "void_reason", "created_by", "created_at"]
        keys = [("number", "number_key")]
        fixed = ("contract", "amount", "number")
        titles = {"contract": "合同编号"}
        cells = {"contract": ByNumberWidget}
        notes = ["一份合同的发票合计不能超过合同金额；抬头和税号留空时取客户的开票资料。"]
        synonyms = {
            "number": ("号码", "发票号", "invoice no"),
            "contract": CONTRACT_WORDS,
            "type": ("类型", "票种", "invoice type"),
            "amount": ("金额", "价税合计", "amount"),
            "issue_date": ("日期", "issue date"),
            "title": ("抬头", "购方名称"),
            "tax_no": ("纳税人识别号", "购方税号"),
        }
        examples = {
            "number": "24312000000012345678",
            "contract": "HT202603150001",
            "type": "增值税专用发票",
            "amount": "30000",
            "issue_date": "2026-04-20",
        }

    def check_row(self, values, stored, context):
        return [] if stored is not None else self.over(values, context, {"contract": Contract})

    refusal = staticmethod(payments.invoice_refusal)

    @staticmethod
    def take(root, amount):
        root.invoiced_amount += amount

    def create(self, values, *, by):
        payments.issue(Invoice(**columns(Invoice, values)), by=by)

    def describe(self, values):
        return str(values.get("number") or "")[:200]


def columns(model, values) -> dict:
    """``values`` of a row as the model takes them: links by id, numbers and days by their types."""
    fields = {field.name: field for field in model._meta.concrete_fields}
    return {fields[name].attname: fields[name].to_python(value) for name, value in values.items() if name in fields}
