"""Answers with the content of an attachment. Who may see it has been asked before."""

from django.http import FileResponse, Http404

from crm.attachments import pictures, store


def download(attachment) -> FileResponse:
    """The file as it was uploaded, to be saved and never to be shown by the browser."""
    response = FileResponse(
        _open(store.path_of(attachment)),
        as_attachment=True,
        filename=attachment.name,
        content_type="application/octet-stream",
    )
    return _harmless(response)


def picture(attachment, part) -> FileResponse:
    """The preview or the thumbnail, drawn anew when the file came in."""
    if not attachment.has_preview:
        raise Http404("没有预览图。")
    response = FileResponse(_open(store.path_of(attachment, part)), content_type=pictures.MEDIA_TYPE)
    response["Content-Disposition"] = "inline"
    return _harmless(response)


def _open(path):
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise Http404("附件的内容不在服务器上，请联系管理员。") from None


def _harmless(response):
    """Nothing in it runs, whatever the browser takes it for; it is asked for anew every time, and so is the right."""
    response["Cache-Control"] = "private, no-store"
    response["X-Content-Type-Options"] = "nosniff"
    # style is what browsers add themselves to a page that is one picture
    response["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    # keeps the compressing middleware away: most of it is compressed, and the browser wants the length
    response["Content-Encoding"] = "identity"
    return response
