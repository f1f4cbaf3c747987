"""XML parts of a workbook by expat: streamed, without document types, hence without entities of their own."""

from xml.parsers import expat

from crm.excel.reading.values import WorkbookError

CHUNK = 1 << 18


def parser():
    """An expat parser that refuses document types: they define entities, and no spreadsheet program writes them."""
    xml = expat.ParserCreate()
    xml.buffer_text = True
    xml.StartDoctypeDeclHandler = _refuse
    return xml


def chunks(stream):
    """The bytes of a stream, a quarter of a mebibyte at a time."""
    while chunk := stream.read(CHUNK):
        yield chunk


def feed(xml, stream, events):
    """Parse the stream; after each chunk yield what the handlers have put into the list ``events``, and empty it."""
    for chunk in chunks(stream):
        xml.Parse(chunk, False)
        yield from events
        events.clear()
    xml.Parse(b"", True)
    yield from events


def start_tags(stream):
    """(name, attributes) of each element in document order, names without their prefix."""
    xml, tags = parser(), []

    def start(name, attributes):
        tags.append((local(name), {local(key): value for key, value in attributes.items()}))

    xml.StartElementHandler = start
    return feed(xml, stream, tags)


def local(name):
    """A name without its namespace prefix."""
    return name.rpartition(":")[2]


def _refuse(*_doctype):
    raise WorkbookError(
        "文件里含有外部实体声明（DOCTYPE），为安全起见不予读取。请用 Excel 或 WPS 打开后另存为 xlsx，再上传。"
    )
