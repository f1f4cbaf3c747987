"""Forms of the sales pages."""

from django import forms

from crm.admin.forms import RecordForm
from crm.admin.page_forms import field
from crm.models import Currency, DictionaryItem
from crm.policies import policy_for
from crm.text import is_phone
from customers.models import Customer, Kind
from sales.models import LeadPool, Opportunity, OpportunityStage


class LeadForm(RecordForm):
    """The form of a new lead also asks whether whoever enters it keeps it."""

    to_pool = field(
        forms.BooleanField,
        "放入线索池",
        help_text="不勾选，线索归您负责；勾选后没有负责人，等人领取或分配。",
    )


class EnquiryForm(forms.Form):
    phone = field(forms.CharField, "联系电话", required=True, max_length=40)
    name = field(forms.CharField, "联系人", max_length=100)
    company = field(forms.CharField, "公司名称", max_length=200)
    source = field(forms.ModelChoiceField, "来源渠道")
    pool = field(forms.ModelChoiceField, "线索池", help_text="新的号码放进这个池；号码已有线索时，只记到那条线索名下。")
    content = field(forms.CharField, "咨询内容", rows=4)

    def __init__(self, user, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["source"].queryset = _sources_for(user)
        pools = policy_for(LeadPool).choices_for(user)
        self.fields["pool"].queryset = pools
        if pools.count() == 1:
            self.fields["pool"].initial = pools.get()

    def clean_phone(self):
        phone = self.cleaned_data["phone"]
        if not is_phone(phone):
            raise forms.ValidationError("这不是有效的电话号码，请检查位数和符号。")
        return phone


class ConversionForm(forms.Form):
    """``customer`` empty: a new one with the other values."""

    customer = forms.ModelChoiceField(queryset=Customer.objects.none(), required=False)
    name = field(forms.CharField, "客户名称", max_length=200)
    kind = field(forms.ChoiceField, "客户类型", choices=Kind.choices)
    phone = field(forms.CharField, "客户电话", max_length=40)
    source = field(forms.ModelChoiceField, "来源渠道")
    address = field(forms.CharField, "地址", max_length=500)
    contact_name = field(
        forms.CharField, "联系人姓名", max_length=100, help_text="留空则不建联系人；同号码的联系人已有时不会重复建立。"
    )
    contact_position = field(forms.CharField, "联系人职位", max_length=100)
    opportunity_name = field(
        forms.CharField, "商机名称", max_length=200, help_text="留空则不建商机；以后也可以在客户页面上新建。"
    )
    opportunity_stage = field(forms.ModelChoiceField, "商机阶段", help_text="留空则是第一个阶段。")
    opportunity_amount = field(forms.DecimalField, "预估金额", min_value=0, max_digits=18, decimal_places=2)
    opportunity_currency = field(forms.ChoiceField, "币种", choices=Currency.choices, initial=Currency.CNY)
    opportunity_close = field(forms.DateField, "预计成交日期")

    new = ("name", "kind", "phone", "source", "address")
    contact = ("contact_name", "contact_position")
    opportunity = (
        "opportunity_name",
        "opportunity_stage",
        "opportunity_amount",
        "opportunity_currency",
        "opportunity_close",
    )

    def __init__(self, user, customers, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["customer"].queryset = customers
        self.fields["source"].queryset = _sources_for(user)
        self.fields["opportunity_stage"].queryset = policy_for(OpportunityStage).choices_for(user)
        if not policy_for(Opportunity).allows(user, "add"):
            for name in self.opportunity:
                del self.fields[name]

    @property
    def new_fields(self):
        return [self[name] for name in self.new]

    @property
    def contact_fields(self):
        return [self[name] for name in self.contact]

    @property
    def opportunity_fields(self):
        return [self[name] for name in self.opportunity if name in self.fields]

    def clean(self):
        cleaned = super().clean()
        if cleaned.get("opportunity_name") and cleaned.get("opportunity_amount") is None:
            self.add_error("opportunity_amount", "请填写预估金额。")
        if cleaned.get("customer") is None and "customer" not in self.errors:
            for name, words in (("name", "请填写客户名称。"), ("kind", "请选择客户类型。")):
                if not cleaned.get(name):
                    self.add_error(name, words)
            if cleaned.get("phone") and not is_phone(cleaned["phone"]):
                self.add_error("phone", "这不是有效的电话号码，请检查位数和符号。")
        return cleaned

    @property
    def values(self):
        return {name: self.cleaned_data[name] for name in self.new}

    @property
    def opportunity_values(self) -> dict | None:
        """What the opportunity to begin with says; None: there is to be none."""
        given = self.cleaned_data
        if not given.get("opportunity_name"):
            return None
        first = self.fields["opportunity_stage"].queryset.order_by("sort", "id").first()
        return {
            "name": given["opportunity_name"],
            "stage": given["opportunity_stage"] or first,
            "estimated_amount": given["opportunity_amount"],
            "currency": given["opportunity_currency"] or Currency.CNY,
            "expected_close_date": given["opportunity_close"],
        }


def _sources_for(user):
    rows = policy_for(DictionaryItem).choices_for(user).filter(type="source")
    return rows.order_by("sort", "id")
