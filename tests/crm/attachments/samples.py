"""Small files of every kind, true and disguised."""

import io
import zipfile

import xlsxwriter
from PIL import Image

PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\ntrailer<<>>\n%%EOF\n"
EXE = b"MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff\x00\x00" + b"\0" * 300
HTML = b"<!DOCTYPE html><html><script>alert(1)</script></html>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'


def picture(format="PNG", size=(60, 40), **options) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", size, "#c02020").save(content, format, **options)
    return content.getvalue()


def archive(**parts) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        for name, text in parts.items():
            packed.writestr(name, text)
    return content.getvalue()


def office(part, **more) -> bytes:
    return archive(**{"[Content_Types].xml": "<Types/>", part: "<x/>"}, **more)


def workbook() -> bytes:
    content = io.BytesIO()
    book = xlsxwriter.Workbook(content)
    book.add_worksheet()
    book.close()
    return content.getvalue()


def open_document(kind) -> bytes:
    return archive(mimetype=f"application/vnd.oasis.opendocument.{kind}", **{"content.xml": "<x/>"})


def compound(stream) -> bytes:
    """The smallest compound file (Office 97) with one stream of this name."""
    free, end = b"\xff\xff\xff\xff", b"\xfe\xff\xff\xff"
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 16 + b"\x3e\0\x03\0\xfe\xff\x09\0\x06\0" + b"\0" * 6
    header += (0).to_bytes(4, "little") + (1).to_bytes(4, "little") + (1).to_bytes(4, "little") + b"\0" * 4
    header += (4096).to_bytes(4, "little") + end + b"\0" * 4 + end + b"\0" * 4
    header += (0).to_bytes(4, "little") + free * 108
    table = b"\xfd\xff\xff\xff" + end + free * 126
    root = _entry("Root Entry", 5, child=1)
    directory = root + _entry(stream, 2) + b"\0" * 256
    return header + table + directory


def _entry(name, kind, child=None) -> bytes:
    none = b"\xff\xff\xff\xff"
    text = name.encode("utf-16-le") + b"\0\0"
    below = none if child is None else child.to_bytes(4, "little")
    entry = text.ljust(64, b"\0") + len(text).to_bytes(2, "little") + bytes([kind, 1]) + none + none + below
    return entry + b"\0" * 36 + b"\xfe\xff\xff\xff" + b"\0" * 8


TRUE = {
    "合同.pdf": PDF,
    "发票.ofd": archive(**{"OFD.xml": "<x/>"}),
    "旧合同.doc": compound("WordDocument"),
    "合同.docx": office("word/document.xml"),
    "加密合同.docx": compound("EncryptedPackage"),
    "旧报价.xls": compound("Workbook"),
    "报价.xlsx": workbook(),
    "介绍.ppt": compound("PowerPoint Document"),
    "介绍.pptx": office("ppt/presentation.xml"),
    "合同.wps": compound("WordDocument"),
    "合同.odt": open_document("text"),
    "报价.ods": open_document("spreadsheet"),
    "说明.rtf": b"{\\rtf1\\ansi hi}",
    "说明.txt": "合同说明\n".encode(),
    "旧说明.txt": "合同说明，请查收。\r\n".encode("gbk"),
    "BM 报价.txt": "BM 公司的报价".encode(),
    "报价.csv": "名称,价格\n螺丝,1.5\n".encode("utf-8-sig"),
    "照片.jpg": picture("JPEG"),
    "照片.JPEG": picture("JPEG"),
    "截图.png": picture("PNG"),
    "动画.gif": picture("GIF"),
    "照片.webp": picture("WEBP"),
    "图.bmp": picture("BMP"),
    "扫描.tif": picture("TIFF"),
    "图纸.dwg": b"AC1027\0\0\0\0\0" + b"\0" * 100,
}

FALSE = {
    "发票.pdf": EXE,
    "照片.jpg": EXE,
    "合同.docx": archive(readme="x"),
    "报价.xlsx": office("word/document.xml"),
    "宏.docx": office("word/document.xml", **{"word/vbaProject.bin": "x"}),
    "安装包.doc": compound("SummaryInformation"),
    "截断.xls": compound("Workbook")[:600],
    "截断.docx": office("word/document.xml")[:60],
    "表格.odt": open_document("spreadsheet"),
    "图标.png": SVG,
    "换名.png": picture("JPEG"),
    "截断.png": picture("PNG", (400, 400))[:300],
    "网页.txt": HTML,
    "图标.txt": SVG,
    "程序.txt": EXE,
    "二进制.csv": b"a,b\0\0\x01\x02",
    "多重.pdf": b"MZ" + PDF,
}


def find_eicar(path, name) -> str | None:
    """A scanner that knows one virus."""
    return "Eicar-Test" if b"EICAR" in path.read_bytes() else None


meanwhile = []


def scan_slowly(path, name) -> None:
    """A scanner during which other things happen: those in ``meanwhile``."""
    while meanwhile:
        meanwhile.pop()()
