"""Forms of the steps that ask more than a reason."""

from django import forms
from django.utils import timezone
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from crm.admin.page_forms import field
from crm.admin.quick import MomentInput
from crm.models import DictionaryItem
from customers.models import Stars


class DayInput(UnfoldAdminTextInputWidget):
    """The browser's own choice of a day."""

    input_type = "date"


def _stars(*, required):
    choices = [(value, f"{label}（{value} 分）") for value, label in reversed(Stars.choices)]
    return forms.TypedChoiceField(
        label="满意度",
        required=required,
        choices=[("", "请选择"), *choices],
        coerce=int,
        empty_value=None,
        widget=UnfoldAdminSelectWidget(),
    )


class AnswerForm(forms.Form):
    """What the customer says of the result of a work order."""

    satisfaction = _stars(required=True)
    feedback = field(forms.CharField, "客户反馈", max_length=5000, rows=4)


class CompletionForm(forms.Form):
    """What came of a return visit."""

    visited_at = forms.DateTimeField(label="实际回访时间", widget=MomentInput())
    content = field(forms.CharField, "回访内容", required=True, max_length=5000, rows=4)
    feedback = field(forms.CharField, "客户反馈", max_length=5000, rows=4)
    satisfaction = _stars(required=False)

    def __init__(self, visit, *args, **kwargs):
        now = timezone.localtime().replace(second=0, microsecond=0, tzinfo=None)
        super().__init__(*args, initial={"visited_at": now, "content": visit.content}, **kwargs)


class LossForm(forms.Form):
    """Why a customer is lost."""

    kind = field(forms.ModelChoiceField, "流失原因", required=True)
    reason = field(forms.CharField, "说明", required=True, max_length=1000, rows=4, help_text="客户为什么不再合作。")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["kind"].queryset = DictionaryItem.objects.valid().filter(type="loss_reason", is_active=True)


class MeasureForm(forms.Form):
    """What is done to keep a customer."""

    day = forms.DateField(label="日期", initial=timezone.localdate, widget=DayInput())
    content = field(forms.CharField, "措施", required=True, max_length=500, rows=3)
    effect = field(forms.CharField, "效果", max_length=500, rows=2, help_text="还不知道的，以后再补。")
