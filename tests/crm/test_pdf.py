"""PDFs are drawn from HTML alone: nothing is fetched, and where the system lacks Pango people read what to install."""

import base64
import contextlib
import io
import socket
import subprocess
import sys
import threading

import pytest
from PIL import Image

from crm import pdf

needs_pango = pytest.mark.skipif(not pdf.available(), reason="没有 Pango")


@needs_pango
def test_html_becomes_a_pdf():
    assert pdf.render("<h1>报价单</h1><p>人民币大写：壹佰元整</p>").startswith(b"%PDF-")


@needs_pango
@pytest.mark.parametrize(
    "markup",
    [
        '<img src="{url}">',
        '<link rel="stylesheet" href="{url}">',
        "<style>@import url({url});</style>",
        "<style>body {{ background: url({url}) }}</style>",
        "<style>@font-face {{ font-family: x; src: url({url}) }} body {{ font-family: x }}</style>",
        '<object data="{url}"></object>',
        '<svg xmlns="http://www.w3.org/2000/svg"><image href="{url}" width="9" height="9"/></svg>',
        '<link rel="attachment" href="{url}">',
    ],
)
def test_nothing_is_fetched(markup, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("canary-in-a-file")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.3)
        called = []

        def listen():
            with contextlib.suppress(TimeoutError):
                called.append(server.accept())

        listener = threading.Thread(target=listen)
        listener.start()
        web = pdf.render(markup.format(url=f"http://127.0.0.1:{server.getsockname()[1]}/x.png") + "页")
        listener.join()
    assert web.startswith(b"%PDF-") and not called
    local = pdf.render(markup.format(url=secret.as_uri()) + "页")
    assert local.startswith(b"%PDF-") and b"EmbeddedFile" not in local and b"canary" not in local


@needs_pango
def test_pictures_in_the_page_itself_are_drawn():
    content = io.BytesIO()
    Image.new("RGB", (2, 2)).save(content, "PNG")
    dot = "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()
    assert b"/Subtype /Image" in pdf.render(f'<img src="{dot}">')


def test_without_pango_people_read_what_to_install():
    """In a process of its own, in which no library of the system can be opened."""
    code = (
        "import cffi\n"
        "cffi.FFI.dlopen = lambda *a, **k: (_ for _ in ()).throw(OSError('missing'))\n"
        "from crm import pdf\n"
        "assert not pdf.available()\n"
        "try:\n    pdf.render('<p>x</p>')\n"
        "except pdf.Unavailable as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "apt-get install -y libpango" in done.stdout
