"""What the pages of quotations and contracts have in common: lines under one total, print view and PDF."""

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import path
from django.utils.decorators import method_decorator
from django.views.decorators.clickjacking import xframe_options_sameorigin

from crm import audit, pdf
from crm.admin.base import ModelAdmin, TabularInline, display
from crm.admin.filters import LinkedFilter
from crm.admin.paper import download, frame, paper
from crm.exchange import money
from crm.models import Operation
from crm.printing import LayoutError, capitals
from sales.models import one_total
from sales.services import printing


class LineInline(TabularInline):
    fields = ["product", "name", "specification", "quantity", "unit", "unit_price", "discount", "amount"]
    readonly_fields = ["amount"]
    autocomplete_fields = ["product"]
    empty_hint = "还没有明细。选了产品，品名、规格、单位和同币种的价格会自动带出；金额和合计在保存时计算。"

    def get_extra(self, request, obj=None, **kwargs):
        return 0 if obj else 1


def line_fieldsets(head_field):
    """The page of one line of a document."""
    rows = [(head_field, "product"), ("name", "specification"), ("quantity", "unit"), ("unit_price", "discount")]
    return [(None, {"fields": [*rows, "amount", "remark"]})]


class LineAdmin(ModelAdmin):
    """The lines of all documents; they are entered on the page of their document."""

    head_field = ""
    search_help_text = "品名、单号"
    readonly_fields = ["amount"]
    list_display_links = ["name"]

    def get_list_display(self, request):
        return [
            self.head_field,
            "name",
            "specification",
            "quantity",
            "unit",
            "unit_price",
            "discount",
            "amount",
        ]

    def get_list_filter(self, request):
        return [(self.head_field, LinkedFilter), ("product", LinkedFilter)]

    def get_list_select_related(self, request):
        return [self.head_field]

    def get_search_fields(self, request):
        return ["name", f"{self.head_field}__number"]

    def get_autocomplete_fields(self, request):
        return [self.head_field, "product"]


class PaperMixin:
    """Print view and PDF of a record, from the same page."""

    def get_urls(self):
        view, name = self.admin_site.admin_view, f"{self.opts.app_label}_{self.opts.model_name}"
        return [
            path("<path:object_id>/print/", view(self.print_view), name=f"{name}_print"),
            path("<path:object_id>/print/page/", view(self.paper_view), name=f"{name}_paper"),
            path("<path:object_id>/pdf/", view(self.pdf_view), name=f"{name}_pdf"),
            *super().get_urls(),
        ]

    def printed(self, request, obj) -> str:
        """The page. Raises LayoutError."""
        return printing.page(obj, request.user)

    def print_view(self, request, object_id):
        obj = self.visible_object(request, object_id)
        return frame(
            self,
            request,
            title=f"打印：{obj}",
            original=obj,
            paper_url=self._url("paper", obj.pk),
            pdf_url=self._url("pdf", obj.pk),
            back=self._url("change", obj.pk),
        )

    @method_decorator(xframe_options_sameorigin)
    def paper_view(self, request, object_id):
        obj = self.visible_object(request, object_id)
        try:
            return paper(self.printed(request, obj))
        except LayoutError as error:
            return HttpResponse(f"打印模板有误：{error}", status=409, content_type="text/plain; charset=utf-8")

    def pdf_view(self, request, object_id):
        obj = self.visible_object(request, object_id)
        try:
            response = download(
                self.printed(request, obj), f"{self.opts.verbose_name} {getattr(obj, 'number', obj)}.pdf"
            )
        except (pdf.Unavailable, LayoutError) as error:
            self.message_user(request, str(error), messages.ERROR)
            return HttpResponseRedirect(self._url("print", obj.pk))
        audit.record(obj, Operation.EXPORT, remark="下载 PDF")
        return response


class DocumentColumns:
    @display(description="总金额")
    def amount(self, obj):
        return money(obj.total_amount, obj.currency)

    @display(description="大写金额")
    def amount_in_words(self, obj):
        return capitals(obj.total_amount, obj.currency)


class DocumentAdmin(DocumentColumns, PaperMixin, ModelAdmin):
    """``enter`` of a subclass saves a new document through its service."""

    def enter(self, obj, *, by):
        raise NotImplementedError

    def get_readonly_fields(self, request, obj=None):
        """The customer is chosen once: contacts, path and credit are his."""
        found = super().get_readonly_fields(request, obj)
        return [*found, "customer"] if obj is not None else found

    def get_fieldsets(self, request, obj=None):
        found = super().get_fieldsets(request, obj)
        return found if obj is not None else found[:1]

    def save_model(self, request, obj, form, change):
        if change:
            return super().save_model(request, obj, form, change)
        self.enter(obj, by=request.user)

    def save_related(self, request, form, formsets, change):
        with one_total(form.instance):
            super().save_related(request, form, formsets, change)
