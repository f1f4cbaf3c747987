from django.contrib import admin

from crm.admin.base import ModelAdmin
from crm.admin.filters import ChoiceFilter
from crm.policies import policy_for
from sales.admin.documents import PaperMixin
from sales.models import Contract, PrintKind, PrintTemplate, Quotation
from sales.services import printing

PRINTED = {PrintKind.QUOTATION: Quotation, PrintKind.CONTRACT: Contract}


@admin.register(PrintTemplate)
class PrintTemplateAdmin(PaperMixin, ModelAdmin):
    nav_icon, nav_order = "print", 95
    head_template = "sales/print_template_head.html"
    empty_hint = "没有自己的模板时使用出厂模板。新建时内容留空，保存后就带出出厂模板，在它上面改即可。"
    list_display = ["name", "kind", "company", "is_active", "updated_at"]
    list_select_related = ["company"]
    list_filter = [("kind", ChoiceFilter), ("is_active", ChoiceFilter)]
    search_fields = ["name"]
    fieldsets = [(None, {"fields": [("name", "kind"), ("company", "is_active"), "body", "remark"]})]

    def save_model(self, request, obj, form, change):
        obj.body = obj.body if obj.body.strip() else printing.shipped(obj.kind)
        super().save_model(request, obj, form, change)

    def get_form(self, request, obj=None, change=False, **kwargs):
        form = super().get_form(request, obj, change=change, **kwargs)
        if "body" in form.base_fields:
            field = form.base_fields["body"]
            field.widget.attrs |= {"rows": 28, "spellcheck": "false"}
            field.help_text = f"留空则带出出厂模板。{printing.explained()}"
        return form

    def printed(self, request, obj):
        """The template with the newest document that its viewer may see, else with made-up values."""
        document = policy_for(PRINTED[obj.kind]).visible_to(request.user).order_by("-pk").first()
        if document is None:
            return printing.sample(obj.body)
        return printing.page(document, request.user, layout=obj.body)
