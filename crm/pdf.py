"""HTML to PDF for what people print: quotations, contracts, reports.

The library draws with Pango, which is a part of the system and may be missing: then ``available()`` says no,
``MISSING`` says what to install, and the print view of the browser still works. Nothing is ever fetched while a page is
drawn: pictures come as ``data:`` addresses, styles stand in the page itself.
"""

import logging
import os
from contextlib import redirect_stdout
from functools import cache

from PIL import ImageFile

PACKAGES = "libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-noto-cjk"
MISSING = (
    "这台服务器缺少生成 PDF 的系统组件，请管理员执行："
    f"sudo apt-get install -y {PACKAGES}，然后重启服务。在此之前可以用“打印”，在浏览器里另存为 PDF。"
)


class Unavailable(RuntimeError):
    """The system parts that draw a PDF are missing; the message says what to install."""

    def __init__(self):
        super().__init__(MISSING)


@cache
def _library():
    """WeasyPrint, or None where Pango is missing, which it also prints to stdout."""
    try:
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
            import weasyprint
    except OSError:
        return None
    # it makes Pillow take half a picture for a whole one, everywhere: uploads are checked by what Pillow refuses
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    logging.getLogger("weasyprint").setLevel(logging.ERROR)
    logging.getLogger("fontTools").setLevel(logging.ERROR)
    return weasyprint


def available() -> bool:
    return _library() is not None


def render(html: str) -> bytes:
    """``html`` (a whole page with its styles) as a PDF. Raises Unavailable."""
    library = _library()
    if library is None:
        raise Unavailable
    fetcher = library.urls.URLFetcher(allowed_protocols=("data",), allow_redirects=False)
    return library.HTML(string=html, base_url=None, url_fetcher=fetcher).write_pdf()
