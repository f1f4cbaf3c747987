"""Traces on paper: what a list shows (a customer's timeline, too), printed or as a PDF, and logged as taken out."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import path
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.clickjacking import xframe_options_sameorigin

from crm import pdf, trails
from crm.admin.paper import download, frame, paper
from crm.models import Operation
from customers.tracking.models import Trace

MOST = 500


class TooMany(ValueError):
    """More traces than fit on paper; the message says what to do."""

    def __init__(self):
        super().__init__(
            f"筛选出的操作记录超过 {MOST:,} 条，一次最多打印 {MOST:,} 条。"
            "请按客户、操作人或时间缩小范围，或改用导出 Excel。"
        )


def customer_words(trace) -> str:
    """The customer of ``trace`` in words, for those who may see the trace."""
    if trace.customer is None:
        return ""
    return str(trace.customer) if trace.customer.is_valid else f"{trace.customer}（已删除）"


class TracePapers:
    """Mixin of the admin of traces: print view and PDF of the list with the filters and the search of the address."""

    def get_urls(self):
        view = self.admin_site.admin_view
        return [
            path("print/", view(self.print_view), name="tracking_trace_print"),
            path("print/page/", view(self.paper_view), name="tracking_trace_paper"),
            path("pdf/", view(self.pdf_view), name="tracking_trace_pdf"),
            *super().get_urls(),
        ]

    def print_view(self, request):
        try:
            self._chosen(request)
        except TooMany as error:
            return self._back(request, error)
        return frame(
            self,
            request,
            title="打印操作记录",
            paper_url=self._here(request, "paper"),
            pdf_url=self._here(request, "pdf"),
            back=self._here(request, "changelist"),
        )

    @method_decorator(xframe_options_sameorigin)
    def paper_view(self, request):
        try:
            changes, traces = self._chosen(request)
        except TooMany as error:
            return HttpResponse(str(error), status=409, content_type="text/plain; charset=utf-8")
        self._taken_out(request, "打印操作记录", len(traces))
        return paper(self._page(request, changes, traces))

    def pdf_view(self, request):
        try:
            changes, traces = self._chosen(request)
            response = download(
                self._page(request, changes, traces), f"操作记录 {timezone.localtime():%Y-%m-%d %H%M}.pdf"
            )
        except (TooMany, pdf.Unavailable) as error:
            return self._back(request, error)
        self._taken_out(request, "下载操作记录 PDF", len(traces))
        return response

    def _chosen(self, request):
        """The list asked for, and its rows as far as they may be taken out. Raises PermissionDenied, TooMany."""
        if not self.has_export_permission(request):
            raise PermissionDenied
        changes = self.get_changelist_instance(request)
        rows = self.policy.limit(changes.get_queryset(request), request.user, "export")
        traces = list(rows.select_related("customer")[: MOST + 1])
        if len(traces) > MOST:
            raise TooMany
        return changes, traces

    def _page(self, request, changes, traces) -> str:
        conditions = [(title, words) for title, words, _ in changes.active_filters()]
        if changes.query:
            conditions.append(("搜索", changes.query))
        if (customer := self._asked_about(request, traces)) is not None:
            conditions.insert(0, ("客户", customer))
        rows = [(trace, self.time(trace), self.kind_name(trace), customer_words(trace)) for trace in traces]
        context = {"rows": rows, "conditions": conditions, "reader": request.user, "now": timezone.now()}
        return render_to_string("tracking/paper.html", context)

    def _asked_about(self, request, traces):
        """The customer whose timeline this is, as his own traces name him."""
        if "customer__id__exact" not in request.GET:
            return None
        return customer_words(traces[0]) if traces else "没有操作记录"

    def _taken_out(self, request, words, rows):
        self._log(request, f"{words} {rows} 条 {request.GET.urlencode()}", Operation.EXPORT)
        trails.note(request, trails.Kind.EXPORT, f"{words} {rows} 条", model=Trace, rows=rows)

    def _back(self, request, error):
        self.message_user(request, str(error), messages.ERROR)
        return HttpResponseRedirect(self._here(request, "changelist"))

    def _here(self, request, page):
        query = request.GET.urlencode()
        return f"{self._url(page)}?{query}" if query else self._url(page)
