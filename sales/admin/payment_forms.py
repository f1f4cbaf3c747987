"""Forms of instalments, receipts and invoices: what the services would refuse is said beside the field."""

from decimal import Decimal

from django import forms
from django.utils import timezone
from unfold.widgets import (
    UnfoldAdminDateWidget,
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminTextInputWidget,
)

from crm.admin.forms import RecordForm
from crm.admin.page_forms import field
from sales.services import payments

LINES = 6
USUAL = ((30, 0, "预付款"), (60, 30, "发货款"), (10, 90, "尾款"))


class PlanForm(RecordForm):
    """The rules are the model's own."""


class ReceiptForm(RecordForm):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if "plan" in self.fields:
            self.fields["plan"].label_from_instance = payments.in_words
            self.fields["plan"].help_text = "一笔款要付几期时请留空：按到期先后分到各期，够付几期就分成几条。"
        if "order" in self.fields:
            self.fields["order"].help_text = "没有合同的订单选这里；合同下的订单请选合同。"

    def _post_clean(self):
        super()._post_clean()
        record = self.instance
        if self.errors or not record._state.adding or record.root is None:
            return
        if problem := payments.refusal(record, record.root):
            self.add_error("amount", problem)


class InvoiceForm(RecordForm):
    def _post_clean(self):
        super()._post_clean()
        invoice = self.instance
        if self.errors or not invoice._state.adding:
            return
        if problem := payments.invoice_refusal(invoice, invoice.contract):
            self.add_error("amount", problem)


class ScheduleForm(forms.Form):
    """Shares of a contract: per cent, days after ``start``, condition; empty lines are left out."""

    start = forms.DateField(label="起算日", widget=UnfoldAdminDateWidget(), help_text="一般是签约日期。")
    replace = field(
        forms.BooleanField, "替换还没有回款的各期", help_text="勾选后，没有回款的旧计划先删除，再重新分配。"
    )

    def __init__(self, contract, *args, **kwargs):
        usual = {"start": contract.sign_date or timezone.localdate()}
        for place, values in enumerate(USUAL):
            usual |= {f"{name}_{place}": value for name, value in zip(("percent", "days", "term"), values, strict=True)}
        super().__init__(*args, initial=usual, **kwargs)
        for place in range(LINES):
            self.fields[f"percent_{place}"] = forms.DecimalField(
                required=False,
                min_value=Decimal("0.01"),
                max_value=100,
                decimal_places=2,
                widget=UnfoldAdminDecimalFieldWidget(attrs={"aria-label": f"第 {place + 1} 行：比例（%）"}),
            )
            self.fields[f"days_{place}"] = forms.IntegerField(
                required=False,
                min_value=0,
                max_value=3650,
                widget=UnfoldAdminIntegerFieldWidget(attrs={"aria-label": f"第 {place + 1} 行：起算日后几天"}),
            )
            self.fields[f"term_{place}"] = forms.CharField(
                required=False,
                max_length=100,
                widget=UnfoldAdminTextInputWidget(attrs={"aria-label": f"第 {place + 1} 行：付款条件"}),
            )

    @property
    def lines(self):
        return [[self[f"{name}_{place}"] for name in ("percent", "days", "term")] for place in range(LINES)]

    @property
    def shares(self):
        given = self.cleaned_data
        return [
            (given[f"percent_{place}"], given[f"days_{place}"] or 0, given[f"term_{place}"])
            for place in range(LINES)
            if given.get(f"percent_{place}")
        ]
