"""Forms on the pages of a contract."""

from django import forms
from django.utils import timezone
from unfold.widgets import UnfoldAdminTextInputWidget

from crm.admin.proposals import ReasonForm
from sales.services import contracts


class DayInput(UnfoldAdminTextInputWidget):
    """The browser's own calendar, which reads ISO dates only."""

    input_type = "date"

    def format_value(self, value):
        return value.isoformat() if hasattr(value, "isoformat") else value


class ContractReviewForm(ReasonForm):
    """A review needs no reason, but the reviewer may be told something."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["reason"].required = False
        self.fields["reason"].label = "说明"

    def values(self):
        return contracts.content(self.target)


class SignForm(forms.Form):
    sign_date = forms.DateField(label="签约日期", widget=DayInput, initial=timezone.localdate)
