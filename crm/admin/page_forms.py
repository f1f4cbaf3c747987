"""Forms of pages that are no record's own form, in the look of the others; ``crm/fields.html`` shows their fields."""

from django import forms
from unfold.widgets import (
    UnfoldAdminSelect2Widget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)


class DayInput(UnfoldAdminTextInputWidget):
    """The browser's own choice of a day."""

    input_type = "date"


_WIDGETS = {
    forms.BooleanField: UnfoldBooleanWidget,
    forms.CharField: UnfoldAdminTextInputWidget,
    forms.ChoiceField: UnfoldAdminSelectWidget,
    forms.DateField: DayInput,
    forms.DecimalField: UnfoldAdminTextInputWidget,
    forms.ModelChoiceField: UnfoldAdminSelect2Widget,
}


def field(kind, label, *, required=False, rows=0, **options):
    """A form field of ``kind``; ``rows`` makes a text one of several lines."""
    if rows:
        options["widget"] = UnfoldAdminTextareaWidget(attrs={"rows": rows})
    if kind is forms.ModelChoiceField:
        options = {"empty_label": "请选择", "queryset": None, **options}
    return kind(label=label, required=required, **{"widget": _WIDGETS[kind](), **options})


class ReasonForm(forms.Form):
    reason = field(forms.CharField, "原因", required=True, max_length=255, rows=3)


class OwnerForm(forms.Form):
    """Which of ``people`` is to own the records, and why."""

    owner = field(forms.ModelChoiceField, "负责人", required=True)
    reason = field(forms.CharField, "原因", max_length=255)

    def __init__(self, people, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["owner"].queryset = people.select_related("department").order_by("full_name")
        self.fields["owner"].label_from_instance = lambda person: (
            f"{person}（{person.department}）" if person.department else str(person)
        )
