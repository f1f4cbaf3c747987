"""Form widgets of our own."""

from django import forms
from django.apps import apps
from django.template.loader import render_to_string
from unfold.widgets import UnfoldAdminTextareaWidget

from crm.permission_names import ACTIONS
from crm.policies import PersonalPolicy, registered


class Textarea(UnfoldAdminTextareaWidget):
    """Lines end as they are stored: a browser sends CRLF, and a text nobody touched would count as changed."""

    def value_from_datadict(self, data, files, name):
        value = super().value_from_datadict(data, files, name)
        return value.replace("\r\n", "\n") if isinstance(value, str) else value


COLUMNS = ["view", "add", "change", "delete", "import", "export"]


class PermissionMatrix(forms.CheckboxSelectMultiple):
    """Permissions as a table per domain: a row per kind of record, a column per usual action, the rest at the end."""

    template_name = "crm/widgets/permission_matrix.html"

    def get_context(self, name, value, attrs):
        context = super().get_context(name, value, attrs)
        chosen = {str(item) for item in value or []}
        policies = registered()
        offered: dict[type, dict] = {}
        for permission in self.choices.queryset:
            action = permission.codename.partition("_")[0]
            model = permission.content_type.model_class()
            if action in COLUMNS and isinstance(policies.get(model), PersonalPolicy):
                continue  # everybody sees his own, and nobody else's
            offered.setdefault(model, {})[action] = {
                "value": permission.pk,
                "label": ACTIONS.get(action, permission.name),
                "checked": str(permission.pk) in chosen,
            }
        context["columns"] = [ACTIONS[action] for action in COLUMNS]
        context["domains"] = list(_domains(offered))
        return context

    def _render(self, template_name, context, renderer=None):
        """From the project's templates, where Django's form renderer does not look."""
        return render_to_string(template_name, context)


def _domains(offered):
    """``(domain, [(kind, [permission or None per column], [other permissions]), …])``, the settings last."""
    policies = registered()
    for config in sorted(apps.get_app_configs(), key=lambda config: config.label == "crm"):
        kinds = [
            (
                model._meta.verbose_name,
                [offered[model].get(action) for action in COLUMNS],
                [permission for action, permission in offered[model].items() if action not in COLUMNS],
            )
            for model in config.get_models()
            if model in offered and model in policies
        ]
        if kinds:
            yield config.verbose_name, kinds
