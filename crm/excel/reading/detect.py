"""What a file is by its content, whatever it is called; archives are weighed before anything in them is unpacked."""

import re
import zipfile

from crm.excel.reading.values import DAMAGED, EMPTY, ENCRYPTED, MIB, WorkbookError

ARCHIVE, COMPOUND, TEXT = "archive", "compound", "text"

_MAGIC = [
    (b"PK\x03\x04", ARCHIVE),
    (b"PK\x05\x06", ARCHIVE),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", COMPOUND),
]
_OLD_EXCEL = "这是 Excel 95 之前的旧格式，无法读取。请用 Excel 或 WPS 打开后另存为 xlsx，再上传。"
_FOREIGN = [
    (b"%PDF", "这是 PDF 文件，不是表格。请上传 Excel 或 CSV 文件。"),
    (b"\x89PNG", "这是图片，不是表格。请上传 Excel 或 CSV 文件。"),
    (b"\xff\xd8\xff", "这是图片，不是表格。请上传 Excel 或 CSV 文件。"),
    (b"GIF8", "这是图片，不是表格。请上传 Excel 或 CSV 文件。"),
    (b"II*\0", "这是图片，不是表格。请上传 Excel 或 CSV 文件。"),
    (b"MM\0*", "这是图片，不是表格。请上传 Excel 或 CSV 文件。"),
    (b"RIFF", "这是图片或媒体文件，不是表格。请上传 Excel 或 CSV 文件。"),
    (b"{\\rtf", "这是 Word 文档，不是表格。请把数据放进 Excel 后再上传。"),
    (b"Rar!", "这是压缩包。请先解压，再上传其中的表格文件。"),
    (b"7z\xbc\xaf", "这是压缩包。请先解压，再上传其中的表格文件。"),
    (b"\x1f\x8b", "这是压缩包。请先解压，再上传其中的表格文件。"),
    (b"\x09\x00\x04\x00", _OLD_EXCEL),
    (b"\x09\x02\x06\x00", _OLD_EXCEL),
    (b"\x09\x04\x06\x00", _OLD_EXCEL),
    (b"\x09\x08", _OLD_EXCEL),
    (b"ID;P", "这是 SYLK 格式的表格，无法读取。请用 Excel 或 WPS 打开后另存为 xlsx，再上传。"),
]
_MARKUP = (
    "这个文件是网页或 XML（扩展名可能是 xls），不是真正的 Excel 文件。请用 Excel 或 WPS 打开后另存为 xlsx，再上传。"
)
_UNKNOWN = "这不是表格文件。请上传 Excel（xlsx、xls）或 CSV 文件。"
_WEB_PAGE = re.compile(
    rb"(\xef\xbb\xbf)?\s*(<(!|\?xml|html|head|body|table|meta|style|div|script)|mime-version:)", re.IGNORECASE
)
_CONTROL = re.compile(rb"[\x01-\x08\x0e-\x19\x1b-\x1f\x7f]")
_ENTRIES = 10_000
# Small archives may be packed as tightly as they like: they do no harm.
_HARMLESS = 32 * MIB


def kind(path, limits):
    """ARCHIVE (xlsx, xlsb, ods …), COMPOUND (xls) or TEXT; WorkbookError for what can be no table."""
    with open(path, "rb") as file:
        head = file.read(4096)
        size = file.seek(0, 2)
    if not head:
        raise WorkbookError(EMPTY)
    if size > limits.max_bytes:
        raise WorkbookError(
            f"文件有 {size / MIB:,.1f} MB，超过 {limits.max_bytes / MIB:,.0f} MB 的上限。请拆成几个文件分别上传。"
        )
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    for magic, message in _FOREIGN:
        if head.startswith(magic):
            raise WorkbookError(message)
    if _WEB_PAGE.match(head):
        raise WorkbookError(_MARKUP)
    utf16 = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    if not utf16 and len(_CONTROL.findall(head)) > len(head) // 50:
        raise WorkbookError(_UNKNOWN)
    return TEXT


def open_archive(path, limits):
    """The ZipFile, once its directory has shown it to be no bomb. Nothing is unpacked here."""
    archive = zipfile.ZipFile(path)
    entries = archive.infolist()
    packed = archive.fp.seek(0, 2)
    unpacked = sum(entry.file_size for entry in entries)
    if any(entry.flag_bits & 1 for entry in entries):
        raise WorkbookError(ENCRYPTED)
    if any(entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for entry in entries):
        raise WorkbookError(DAMAGED)
    tight = unpacked > _HARMLESS and unpacked > limits.max_ratio * packed
    if len(entries) > _ENTRIES or unpacked > limits.max_uncompressed or tight:
        size = f"文件解压后有 {unpacked / MIB:,.0f} MB、{len(entries):,} 个部分"
        raise WorkbookError(f"{size}，超出上限，为安全起见不予读取。请只保留要导入的数据，另存后再上传。")
    return archive


def archive_kind(archive):
    """``xlsx``, ``xlsb`` or ``ods`` by the parts of the archive; WorkbookError for anything else packed as zip."""
    names = {name.lower().replace("\\", "/").lstrip("/") for name in archive.namelist()}
    if "content.xml" in names:
        mimetype = archive.read("mimetype")[:100] if "mimetype" in names else b""
        if mimetype and b"spreadsheet" not in mimetype:
            raise WorkbookError("这是文档或演示文稿，不是表格。请上传 Excel 或 CSV 文件。")
        return "ods"
    if any(name.endswith("workbook.bin") for name in names):
        return "xlsb"
    if any(name.startswith("word/") for name in names):
        raise WorkbookError("这是 Word 文档，不是表格。请把数据放进 Excel 后再上传。")
    if any(name.startswith("ppt/") for name in names):
        raise WorkbookError("这是演示文稿，不是表格。请把数据放进 Excel 后再上传。")
    if any(name.endswith(".iwa") for name in names):
        raise WorkbookError("这是苹果的 Numbers、Pages 或 Keynote 文件，无法读取。请在其中导出为 Excel 后再上传。")
    if "[content_types].xml" in names or "_rels/.rels" in names or "xl/workbook.xml" in names:
        return "xlsx"
    raise WorkbookError("这是压缩包。请先解压，再上传其中的表格文件。" if names else DAMAGED)
