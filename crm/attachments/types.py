"""What a file is by its content, and whether its name says the same."""

import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

import puremagic

from crm.excel.reading.ole import Compound
from crm.excel.reading.values import WorkbookError

ZIP_ENTRIES = 20_000
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f]")
# weaker matches of puremagic are two letters that ordinary words begin with
SURE = 0.3


class Mismatch(ValueError):
    """The content is not what the name says, or damaged; the text says what is wrong."""


@dataclass(frozen=True)
class Type:
    """One kind of file: ``signs`` are the extensions that puremagic may report, ``check`` looks further inside."""

    label: str
    signs: frozenset[str] = frozenset()
    check: Callable | None = None
    picture: str = ""


def _package(part, mimetype=""):
    """An Office, OpenDocument or OFD package: a zip archive with a certain part in it."""

    def check(path):
        names, declared = _entries(path)
        if not any(name.startswith(part) for name in names) or not declared.startswith(mimetype):
            raise Mismatch("内容不是扩展名所说的文档")
        if any(name.endswith("vbaproject.bin") for name in names):
            raise Mismatch("文档里有宏，请另存为不含宏的文档")

    return check


def _entries(path) -> tuple[list[str], str]:
    """Names in a zip archive and its ``mimetype``; nothing else is unpacked."""
    if path.read_bytes().count(b"PK\x01\x02") > ZIP_ENTRIES:
        raise Mismatch("压缩包里的文件太多")
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.lower().replace("\\", "/") for name in archive.namelist()]
            declared = b""
            if "mimetype" in names and archive.infolist()[names.index("mimetype")].file_size < 200:
                declared = archive.read(archive.namelist()[names.index("mimetype")])
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError, EOFError) as error:
        raise Mismatch("文件已损坏") from error
    return names, declared.decode("ascii", "replace")


def _compound(*streams):
    """A document of the Office 97 kind: a compound file with one of these streams."""

    def check(path):
        try:
            found = Compound(path.read_bytes()).streams
        except WorkbookError as error:
            raise Mismatch("文件已损坏") from error
        if not set(streams) & set(found):
            raise Mismatch("内容不是扩展名所说的文档")

    return check


def _office(part):
    """A package, or the compound file that a password makes of it."""
    plain, encrypted = _package(part), _compound("encryptedpackage")

    def check(path):
        with path.open("rb") as file:
            (plain if file.read(2) == b"PK" else encrypted)(path)

    return check


def _text(path):
    """Plain text in UTF-8, UTF-16 or GB18030, without a control character that no text has."""
    data = path.read_bytes()
    if any(match.confidence > SURE for match in _matches(path)):
        raise Mismatch("内容不是纯文本")
    for encoding in ("utf-16",) if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8", "gb18030"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if not _CONTROL.search(text):
            return
    raise Mismatch("内容不是纯文本")


_ZIP, _OLE = frozenset({".zip"}), frozenset({".doc"})
_OFFICE = _ZIP | _OLE

TYPES = {
    "pdf": Type("PDF 文档", frozenset({".pdf"})),
    "ofd": Type("OFD 版式文档", _ZIP, _package("ofd.xml")),
    "doc": Type("Word 文档", _OLE, _compound("worddocument")),
    "docx": Type("Word 文档", _OFFICE, _office("word/")),
    "xls": Type("Excel 工作簿", _OLE, _compound("workbook", "book")),
    "xlsx": Type("Excel 工作簿", _OFFICE, _office("xl/")),
    "ppt": Type("演示文稿", _OLE, _compound("powerpoint document")),
    "pptx": Type("演示文稿", _OFFICE, _office("ppt/")),
    "wps": Type("WPS 文字", _OLE, _compound("worddocument")),
    "et": Type("WPS 表格", _OLE, _compound("workbook", "book")),
    "dps": Type("WPS 演示", _OLE, _compound("powerpoint document")),
    "odt": Type("OpenDocument 文档", _ZIP, _package("content.xml", "application/vnd.oasis.opendocument.text")),
    "ods": Type("OpenDocument 表格", _ZIP, _package("content.xml", "application/vnd.oasis.opendocument.spreadsheet")),
    "odp": Type("OpenDocument 演示", _ZIP, _package("content.xml", "application/vnd.oasis.opendocument.presentation")),
    "rtf": Type("RTF 文档", frozenset({".rtf"})),
    "txt": Type("文本", check=_text),
    "csv": Type("CSV 表格", check=_text),
    "jpg": Type("图片", frozenset({".jpg"}), picture="JPEG"),
    "jpeg": Type("图片", frozenset({".jpg"}), picture="JPEG"),
    "png": Type("图片", frozenset({".png"}), picture="PNG"),
    "gif": Type("图片", frozenset({".gif"}), picture="GIF"),
    "webp": Type("图片", frozenset({".webp"}), picture="WEBP"),
    "bmp": Type("图片", frozenset({".bmp"}), picture="BMP"),
    "tif": Type("图片", frozenset({".tif"}), picture="TIFF"),
    "tiff": Type("图片", frozenset({".tif"}), picture="TIFF"),
    "dwg": Type("CAD 图纸", frozenset({".dwg"})),
    "zip": Type("压缩包", _ZIP),
    "rar": Type("压缩包", frozenset({".rar"})),
    "7z": Type("压缩包", frozenset({".7z"})),
}

# what people most often disguise, by what puremagic calls it; more telling ones first
_DISGUISED = [
    ({".exe", ".dll"}, "Windows 程序"),
    ({".msi"}, "Office 97 文档或安装包"),
    ({".html", ".hta"}, "网页"),
    ({".svg", ".xml"}, "SVG 或 XML"),
    ({".lnk"}, "Windows 快捷方式"),
    ({".jar", ".zip", ".docx"}, "压缩包或 Office 文档"),
    ({".AppImage", ".elf", ".so"}, "Linux 程序"),
]


def _matches(path):
    try:
        return puremagic.magic_file(path)
    except puremagic.PureError:
        return []


def verify(path, extension) -> None:
    """Raise Mismatch unless the content of ``path`` is what ``extension`` promises."""
    promised = TYPES[extension]
    if promised.signs:
        found = {match.extension for match in _matches(path)}
        if not promised.signs & found:
            raise Mismatch(f"扩展名是 {extension}，内容却是“{_spoken(found)}”")
    if promised.check is not None:
        promised.check(path)


def _spoken(found) -> str:
    for signs, words in _DISGUISED:
        if signs & found:
            return words
    for extension, known in TYPES.items():
        if known.signs & found:
            return f"{known.label}（{extension}）"
    return "无法识别的格式"
