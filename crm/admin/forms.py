"""The form behind every record page: scoped choices, and a stale copy is refused with what changed meanwhile."""

from django import forms
from django.core.exceptions import ValidationError

from crm.models import BusinessLog, Stamped
from crm.policies import HIDDEN_LABEL, SharedPolicy, policy_for, registered

VERSION = "lock_version"


class RecordForm(forms.ModelForm):
    """Carries the version that was read in ``lock_version``; ``user`` is set by the admin on the class it builds."""

    user = None

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if issubclass(self._meta.model, Stamped):
            self.fields[VERSION] = forms.IntegerField(
                required=False, widget=forms.HiddenInput, initial=self.instance.lock_version
            )
        for name, field in self.fields.items():
            if isinstance(field, forms.ModelChoiceField) and not isinstance(field, forms.ModelMultipleChoiceField):
                self._keep_current(name, field)

    def _keep_current(self, name, field):
        """The value a record already has stays: chosen again if it is shared data, frozen and unnamed if foreign."""
        model = field.queryset.model
        current = getattr(self.instance, f"{name}_id", None) if self.instance.pk else None
        if current is None or model not in registered() or field.queryset.filter(pk=current).exists():
            return
        rows = model._base_manager.filter(pk=current)
        field.queryset = rows
        if not isinstance(policy_for(model), SharedPolicy):
            field.disabled = True
            field.label_from_instance = lambda obj: HIDDEN_LABEL
            field.widget = forms.Select(attrs={"disabled": True})
            field.widget.choices = [(current, HIDDEN_LABEL)]

    def has_changed(self):
        return bool(set(self.changed_data) - {VERSION})

    def clean(self):
        cleaned = super().clean()
        if VERSION in self.fields and not self.instance._state.adding:
            read = cleaned.pop(VERSION, None)
            if read is None:
                raise ValidationError("页面已过期，请刷新后重新填写。", code="stale")
            if read != self.instance.lock_version:
                raise ValidationError(self._conflict(read), code="stale")
        return cleaned

    def _conflict(self, read):
        from crm.audit_display import describe

        entries = BusinessLog.objects.filter(
            content_type__app_label=self.instance._meta.app_label,
            content_type__model=self.instance._meta.model_name,
            object_id=self.instance.pk,
            version__gt=read,
        ).order_by("version")
        lines = ["您打开页面之后，这条记录已被修改，您的修改没有保存。请核对下面的变化，刷新页面后再修改："]
        for entry in describe(entries, self.user):
            changes = "；".join(f"{c.label}：{c.old or '空'} → {c.new or '空'}" for c in entry.changes)
            lines.append(f"{entry.time:%H:%M} {entry.user_name}{entry.operation}：{changes}")
        return lines

    def _save_m2m(self):
        """Many-to-many values travel with ``Stamped.save(m2m=…)``."""

    def m2m_values(self):
        names = {field.name for field in self._meta.model._meta.many_to_many}
        return {name: value for name, value in self.cleaned_data.items() if name in names}


def scoped_form(form, user):
    return type(form.__name__, (form,), {"user": user})
