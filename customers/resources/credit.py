"""What a row of a workbook means for a customer's credit limit."""

from decimal import Decimal

from django.core.exceptions import ValidationError
from django.utils import timezone

from crm import text
from crm.excel.resource import Resource, register
from crm.excel.widgets import ChoiceWidget, ParentWidget
from customers.models import CreditLimit, Customer
from customers.models.credit import refuse_beyond_rating


class SeenCustomerWidget(ParentWidget):
    """The customer by code or name, among those the person may see: whose limits he sets, he need not edit."""

    action = "view"


class CurrencyWidget(ChoiceWidget):
    """A currency by its code, its name or both: USD, 美元, 美元 USD."""

    def __init__(self, field=None, **kwargs):
        super().__init__(field, **kwargs)
        self.codes |= {text.fold(label.split()[0]): code for code, label in field.flatchoices}


@register
class CreditLimitResource(Resource):
    """Recognised by customer and currency."""

    class Meta:
        model = CreditLimit
        fields = ["customer", "currency", "amount", "valid_from", "valid_until", "remark"]
        readonly = ["approval", "created_at", "updated_at"]
        keys = [("currency", "currency")]
        titles = {"customer": "客户代码"}
        cells = {"customer": SeenCustomerWidget, "currency": CurrencyWidget}
        synonyms = {
            "customer": ("客户", "客户名称", "公司名称", "客户编号", "custcode", "customer"),
            "currency": ("额度币种", "币别", "currency"),
            "amount": ("额度", "授信额度", "信用额", "creditlimit", "credit limit"),
            "valid_from": ("开始日期", "起始日期"),
            "valid_until": ("截止日期", "到期日", "有效期至"),
        }
        examples = {"customer": "KH0001", "currency": "美元 USD", "amount": "100000"}

    def key_of(self, values):
        customer, currency = values.get("customer"), values.get("currency")
        return ("currency", str(customer), currency) if customer and currency else None

    def find(self, keys):
        found: dict = {}
        rows = CreditLimit._base_manager.filter(limit_of__in={int(key[1]) for key in keys})
        for pk, customer, currency in rows.values_list("pk", "customer_id", "currency"):
            key = ("currency", str(customer), currency)
            if key in keys:
                found.setdefault(key, []).append(pk)
        return found

    def fill_blanks(self, rows):
        for row in rows:
            row["limit_of_id"] = row["customer_id"]

    def derive(self, row):
        row["approval"] = ""

    def check_row(self, values, stored, context):
        """The rules of ``CreditLimit.clean``, against the limits that are stored."""
        if not self.policy.allows(context.user, "set"):
            return [("amount", "没有直接设定信用额度的权限，请在客户页面提交变更。")]
        problems = []
        first, last = (
            values.get(name) or (stored and stored[name] and stored[name].isoformat())
            for name in ("valid_from", "valid_until")
        )
        if first and last and last < first:
            problems.append(("valid_until", "失效日期不能早于生效日期。"))
        amount = Decimal(values["amount"]) if values.get("amount") not in (None, "") else None
        if amount is not None and (stored is None or amount > stored["amount"]):
            customer = Customer.objects.filter(pk=values.get("customer")).first()
            if customer is not None:
                problems += self._beyond_rating(customer, values["currency"], amount)
        return problems

    def _beyond_rating(self, customer, currency, amount):
        limits = CreditLimit.objects.effective(timezone.localdate()).filter(customer=customer)
        try:
            refuse_beyond_rating(customer, dict(limits.values_list("currency", "amount")) | {currency: amount})
        except ValidationError as error:
            return [("amount", error.messages[0])]
        return []

    def describe(self, values):
        return str(values.get("currency") or "")
