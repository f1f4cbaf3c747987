"""Files and credentials of some demo customers, through the services that people use."""

import io
import random as randomness
from collections.abc import Iterator

from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image, ImageDraw

from crm import actor, transitions
from crm.attachments import receive
from crm.demo import desk
from crm.models import DictionaryItem, User
from customers.models import ApiCredential, CancelKey, Customer, CustomerAttachment, ReviewStatus
from customers.services import credentials

CUSTOMERS_WITH_FILES, CUSTOMERS_WITH_KEYS = 12, 5
COLORS = ["#1d4ed8", "#0f766e", "#b45309", "#7c3aed", "#be123c", "#4d7c0f"]


def add_papers() -> None:
    random = randomness.Random("papers")  # noqa: S311  (the same every time)
    kinds = {item.code: item for item in DictionaryItem.objects.filter(type="attachment_kind")}
    rows = Customer.objects.filter(review_status=ReviewStatus.APPROVED, is_enabled=True, owner__isnull=False)
    customers = list(rows.select_related("owner").order_by("-pk")[:CUSTOMERS_WITH_FILES])
    for customer in customers:
        with actor.acting(customer.owner, ip=desk(customer.owner)):
            for name, code, content, remark in _files(random, customer):
                upload = SimpleUploadedFile(name, content)
                attachment = receive(
                    CustomerAttachment, customer, upload, by=customer.owner, kind=kinds[code], remark=remark
                )
            if customer is customers[0]:
                transitions.run(attachment, "discard", by=customer.owner, reason="照片拍糊了，已重拍。")
    administrator = User.objects.get(username="pengyong")
    with actor.acting(administrator, ip=desk(administrator)):
        for customer in customers[:CUSTOMERS_WITH_KEYS]:
            _issue(customer, administrator)


def _files(random, customer) -> Iterator[tuple[str, str, bytes, str]]:
    year = customer.created_at.year
    title = f"{customer.name} {year} 年度框架合同"
    yield f"{year}年度框架合同.pdf", "contract", contract(title, customer.code), "双方盖章扫描件"
    yield "营业执照.png", "other", picture(random, "PNG", (900, 640)), ""
    if random.random() < 0.6:
        yield "样品照片.jpg", "picture", picture(random, "JPEG", (1200, 900)), "展会样品"
    yield "门店照片.jpg", "picture", picture(random, "JPEG", (1280, 720)), ""


def _issue(customer, administrator) -> None:
    production = ApiCredential(customer=customer, purpose="正式环境", app_id=f"{customer.code}-prod")
    credentials.issue_credential(production, by=administrator)
    trial = ApiCredential(customer=customer, purpose="测试环境", app_id=f"{customer.code}-test")
    trial = credentials.issue_credential(trial, by=administrator)
    transitions.run(trial, "disable", by=administrator, reason="联调结束")
    key = CancelKey(customer=customer, app_key=f"{customer.code}-cancel", remark="订单取消接口")
    credentials.issue_cancel_key(key, by=administrator)


def picture(random, format, size) -> bytes:
    """Boxes on a shelf, in the colours of the year."""
    width, height = size
    image = Image.new("RGB", size, "#f1f5f9")
    draw = ImageDraw.Draw(image)
    for shelf in range(3):
        floor = height * (shelf + 1) // 3 - 20
        draw.rectangle([0, floor, width, floor + 12], fill="#94a3b8")
        left = random.randrange(20, 60)
        while left < width - 120:
            across, up = random.randrange(70, 160), random.randrange(60, height // 3 - 50)
            draw.rectangle([left, floor - up, left + across, floor], fill=random.choice(COLORS))
            draw.rectangle([left + 10, floor - up // 2, left + across - 10, floor - up // 2 + 14], fill="#f8fafc")
            left += across + random.randrange(10, 50)
    content = io.BytesIO()
    image.save(content, format)
    return content.getvalue()


def contract(title, code) -> bytes:
    """A PDF of one page; its Chinese font is one that every viewer brings along."""
    lines = [(24, 760, title), (14, 720, f"合同编号：{code}-K"), (12, 680, "（演示文件，没有法律效力）")]
    text = b"".join(
        b"BT /F1 %d Tf 60 %d Td <%s> Tj ET\n" % (size, y, words.encode("utf-16-be").hex().encode())
        for size, y, words in lines
    )
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%sendstream" % (len(text), text),
        b"<< /Type /Font /Subtype /Type0 /BaseFont /STSong-Light /Encoding /UniGB-UCS2-H /DescendantFonts [6 0 R] >>",
        b"<< /Type /Font /Subtype /CIDFontType0 /BaseFont /STSong-Light"
        b" /CIDSystemInfo << /Registry (Adobe) /Ordering (GB1) /Supplement 2 >> /FontDescriptor 7 0 R >>",
        b"<< /Type /FontDescriptor /FontName /STSong-Light /Flags 6 /FontBBox [-25 -254 1000 880] /ItalicAngle 0"
        b" /Ascent 880 /Descent -120 /CapHeight 880 /StemV 93 >>",
    ]
    document, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(document))
        document += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size, start = len(objects) + 1, len(document)
    tail = b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, start)
    return document + b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, table) + tail
