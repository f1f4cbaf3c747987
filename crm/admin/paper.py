"""Pages for paper: shown in a frame, from which the browser prints them, or drawn as a PDF, from the same HTML."""

from django.http import HttpResponse
from django.utils.http import content_disposition_header

from crm import pdf

# a page on paper runs no script, sends no form and fetches nothing, whoever wrote its layout
PAPER_POLICY = (
    "sandbox allow-same-origin allow-modals; default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "frame-ancestors 'self'"
)


def frame(model_admin, request, *, title, paper_url, pdf_url, back, **context) -> HttpResponse:
    """The page with the paper in a frame, the button that prints it and the link to its PDF."""
    context |= {"title": title, "crumb": "打印", "paper_url": paper_url, "back": back}
    context |= {"pdf_url": pdf_url if pdf.available() else "", "pdf_missing": pdf.MISSING}
    return model_admin.page(request, "crm/print.html", context)


def paper(html) -> HttpResponse:
    """What the frame shows; its view needs ``xframe_options_sameorigin``."""
    response = HttpResponse(html)
    response["Content-Security-Policy"] = PAPER_POLICY
    return response


def download(html, name) -> HttpResponse:
    """``html`` as the file ``name``. Raises pdf.Unavailable."""
    response = HttpResponse(pdf.render(html), content_type="application/pdf")
    response["Content-Disposition"] = content_disposition_header(True, name)
    return response
