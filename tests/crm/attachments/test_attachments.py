"""Files that people attach: what comes in, where it lies, what goes out. Customers stand for every kind of root."""

import hashlib
import io
import os
import time
from pathlib import Path

import pytest
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from PIL import Image

from crm import ownership
from crm.attachments import Refused, background, checks, receive, scanner, store, types
from crm.attachments.uploads import clean_name
from crm.models import Job
from customers.models import Customer, CustomerAttachment
from tests.crm.attachments import samples
from tests.crm.attachments.samples import EXE, FALSE, HTML, PDF, SVG, TRUE, picture
from tests.factories import make

pytestmark = pytest.mark.django_db
MONTH_AND_MORE = 31 * 86400


@pytest.fixture(autouse=True)
def _own_folder(settings, tmp_path):
    settings.FILES_DIR = tmp_path


@pytest.fixture
def seller(person):
    return person("销售")


@pytest.fixture
def customer(seller):
    return make(Customer, owner=seller)


@pytest.fixture
def attach(customer, seller):
    def send(name="合同.pdf", content=PDF, **options):
        upload = SimpleUploadedFile("x", content)
        upload._name = name  # as a browser may send it, with a path or signs in it
        return receive(CustomerAttachment, customer, upload, **{"by": seller, **options})

    return send


def files():
    """Every file in the store, by its path within it."""
    root = store.folder()
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def age(path, seconds):
    past = time.time() - seconds
    os.utime(path, (past, past))


# --- What comes in ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TRUE)
def test_a_file_that_is_what_its_name_says_is_kept_as_it_was(attach, name):
    attachment = attach(name, TRUE[name])
    assert store.path_of(attachment).read_bytes() == TRUE[name]
    assert (attachment.name, attachment.size) == (name, len(TRUE[name]))
    assert attachment.digest == hashlib.sha256(TRUE[name]).hexdigest()


@pytest.mark.parametrize("name", FALSE)
def test_a_file_that_is_not_what_its_name_says_is_refused_and_leaves_nothing(attach, name):
    with pytest.raises(Refused) as refused:
        attach(name, FALSE[name])
    assert f"“{name}”没有上传" in refused.value.messages[0]
    assert files() == [] and not CustomerAttachment.objects.exists()


def test_the_message_says_what_a_disguised_file_really_is(attach):
    with pytest.raises(Refused, match="扩展名是 pdf，内容却是“Windows 程序”"):
        attach("发票.pdf", EXE)


@pytest.mark.parametrize("name", ["工具.exe", "页面.html", "图标.svg", "合同.pdf.js", "无扩展名", "宏.docm", ".pdf"])
def test_only_listed_types_come_in_whatever_they_hold(attach, name):
    with pytest.raises(Refused, match="可以上传：pdf"):
        attach(name)


def test_a_type_may_be_taken_off_the_list_or_added(attach, settings):
    settings.ATTACHMENT_TYPES = ["zip", "exe"]
    with pytest.raises(Refused):
        attach("合同.pdf", PDF)
    attach("资料.zip", TRUE["发票.ofd"])
    with pytest.raises(Refused):
        attach("工具.exe", EXE)


def test_an_empty_file_and_one_over_the_limit_are_refused(attach, settings):
    settings.ATTACHMENT_MAX_BYTES = 100
    with pytest.raises(Refused, match="文件是空的"):
        attach("空.txt", b"")
    attach("刚好.txt", b"x" * 100)
    with pytest.raises(Refused, match=r"超过上限 100.+字节"):
        attach("多一个.txt", b"x" * 101)


def test_a_declared_size_that_lies_does_not_help(attach, settings):
    """The bytes are counted while they are written."""
    settings.ATTACHMENT_MAX_BYTES = 100
    upload = SimpleUploadedFile("长.txt", b"x" * 5000)
    upload.size = 10
    with pytest.raises(Refused, match="超过上限"):
        receive(CustomerAttachment, make(Customer), upload, by=None)
    assert files() == []


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("C:\\合同\\甲.pdf", "甲.pdf"),
        ("../../etc/甲.pdf", "甲.pdf"),
        ("甲\u202efdp.pdf", "甲fdp.pdf"),
        ('甲"<>|?*\r\n.pdf', "甲.pdf"),
        ("  甲 . .pdf ", "甲 . .pdf"),
        ("长" * 400 + ".pdf", "长" * 247 + ".pdf"),
    ],
)
def test_a_name_is_shown_without_paths_and_signs_that_deceive(sent, kept):
    assert clean_name(sent) == kept


def test_a_picture_is_a_picture_unless_said_otherwise(attach):
    assert attach("照片.jpg", picture("JPEG")).kind.code == "picture"
    assert attach("合同.pdf").kind.code == "other"


def test_only_who_may_change_the_customer_now_may_add_to_it(attach, customer, seller, person):
    """The former owner is out from one request to the next, in the middle of nothing."""
    ownership.set_owner(customer, person("销售"), by=None)
    with pytest.raises(PermissionDenied):
        attach()
    assert files() == []


def test_who_loses_the_customer_while_the_file_is_being_checked_adds_nothing(attach, customer, person, settings):
    """The right is asked for again when the record is locked."""
    settings.ATTACHMENT_SCANNER = "tests.crm.attachments.samples.scan_slowly"
    samples.meanwhile.append(lambda: ownership.set_owner(customer, person("销售"), by=None))
    with pytest.raises(PermissionDenied):
        attach()
    assert not samples.meanwhile and files() == [] and not CustomerAttachment.objects.exists()


def test_the_file_lies_under_a_random_name_that_nobody_else_reads(attach):
    attachment = attach()
    path = store.path_of(attachment)
    assert "合同" not in str(path) and len(attachment.file) == 32
    assert path.stat().st_mode & 0o077 == 0 and store.folder().stat().st_mode & 0o077 == 0


def test_when_the_record_cannot_be_written_the_file_is_not_kept(attach, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError

    monkeypatch.setattr("crm.attachments.uploads.records.save", fail)
    with pytest.raises(RuntimeError):
        attach()
    assert files() == []


# --- Pictures ---------------------------------------------------------------------------------------------------------


def test_thumbnail_and_preview_are_drawn_anew_and_carry_nothing_along(attach):
    """A picture that is also a script, and one that knows where it was taken, lose both."""
    exif = Image.Exif()
    exif[0x010F] = "SECRETCAMERA"
    attachment = attach("照片.jpg", picture("JPEG", (2000, 1000), exif=exif) + b"<script>alert(1)</script>")
    assert attachment.has_preview
    for part, edge in ((store.PREVIEW, 1600), (store.THUMBNAIL, 240)):
        drawn = store.path_of(attachment, part).read_bytes()
        assert b"script" not in drawn and b"SECRETCAMERA" not in drawn
        with Image.open(io.BytesIO(drawn)) as shown:
            assert (shown.format, shown.size) == ("WEBP", (edge, edge // 2))


def test_a_small_picture_is_not_blown_up_and_a_turned_one_is_set_upright(attach):
    exif = Image.Exif()
    exif[0x0112] = 6
    attachment = attach("照片.jpg", picture("JPEG", (100, 50), exif=exif))
    with Image.open(store.path_of(attachment, store.PREVIEW)) as shown:
        assert shown.size == (50, 100)


def test_a_picture_of_too_many_points_is_kept_but_not_drawn(attach, monkeypatch):
    """A file of some kilobytes may unpack to gigabytes."""
    monkeypatch.setattr("crm.attachments.pictures.MAX_PIXELS_OTHERWISE", 1000)
    attachment = attach("大图.png", picture("PNG", (100, 100)))
    assert not attachment.has_preview and store.path_of(attachment).is_file()


# --- Scanner ----------------------------------------------------------------------------------------------------------


def test_what_the_scanner_finds_is_refused(attach, settings):
    settings.ATTACHMENT_SCANNER = "tests.crm.attachments.samples.find_eicar"
    attach("好.txt", b"ok")
    with pytest.raises(Refused, match="安全扫描发现“Eicar-Test”"):
        attach("坏.txt", b"EICAR")


@pytest.mark.parametrize(
    ("script", "outcome"),
    [("exit 0", None), ("echo {path}: Eicar-Test FOUND; exit 1", "Eicar-Test FOUND"), ("exit 1", "病毒")],
)
def test_a_scanner_command_says_by_its_exit_code(settings, tmp_path, script, outcome):
    settings.ATTACHMENT_SCANNER = f"sh -c '{script}' {{path}}"
    assert scanner.scan(tmp_path / "x", "x") == outcome


@pytest.mark.parametrize("command", ["sh -c 'exit 2' {path}", "/no/such/scanner {path}", "no.such.function"])
def test_without_an_answer_of_the_scanner_nothing_comes_in(attach, settings, command):
    settings.ATTACHMENT_SCANNER = command
    with pytest.raises(Refused, match="安全扫描暂时不可用"):
        attach()
    assert files() == []


def test_a_scanner_that_does_not_exist_stops_the_start(settings):
    for missing in ("/no/such/scanner {path}", "no.such.function"):
        settings.ATTACHMENT_SCANNER = missing
        assert [problem.id for problem in checks.check_scanner(None)] == ["crm.E031"]
    for right in ("", "sh -c true {path}", "os.path.exists"):
        settings.ATTACHMENT_SCANNER = right
        assert checks.check_scanner(None) == []


def test_a_type_that_cannot_be_checked_is_named_at_the_start(settings):
    assert checks.check_types(None) == []
    settings.ATTACHMENT_TYPES = ["pdf", "exe"]
    (problem,) = checks.check_types(None)
    assert problem.id == "crm.W032" and problem.msg.endswith("：exe")


# --- Clearing up ------------------------------------------------------------------------------------------------------


def clear():
    call_command("periodic", "attachments.clear")
    assert Job.objects.latest("id").state == Job.State.DONE


def test_half_uploads_go_after_a_day_and_not_before():
    old, young = store.incoming(), store.incoming()
    for path in (old, young):
        path.write_bytes(b"half")
    age(old, store.DAY + 60)
    clear()
    assert not old.exists() and young.exists()


def test_a_file_without_a_record_is_put_aside_for_thirty_days(attach):
    attachment = attach("照片.jpg", picture("JPEG"))
    kept = {str(path) for path in store.parts(store.path_of(attachment))}
    stray = store.folder("ab") / ("ab" + "0" * 30)
    stray.write_bytes(b"stray")
    for path in [*kept, stray]:
        age(path, store.DAY + 60)
    assert any(stray.name in line for line in background.preview())
    clear()
    lost = store.folder(store.LOST) / stray.name
    assert not stray.exists() and lost.read_bytes() == b"stray"
    assert len(kept) == 3 and all(Path(path).exists() for path in kept)
    clear()
    assert lost.exists()
    age(lost, MONTH_AND_MORE)
    clear()
    assert not lost.exists()


def test_the_file_of_a_removed_record_stays(attach, customer, seller, browse):
    """Removal is soft: what was attached can be asked for by the administrator of the server."""
    attachment = attach()
    browse(seller).post(f"/customers/customerattachment/{attachment.pk}/delete/", {"post": "yes"})
    assert not CustomerAttachment.objects.valid().exists()
    age(store.path_of(attachment), MONTH_AND_MORE)
    clear()
    assert store.path_of(attachment).read_bytes() == PDF


# --- Every other type -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extension", [extension for extension in types.TYPES if extension not in ("txt", "csv")])
@pytest.mark.parametrize("content", [EXE, HTML, SVG, b"plain text"], ids=["exe", "html", "svg", "text"])
def test_programs_pages_and_plain_text_pass_as_nothing_else(tmp_path, extension, content):
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(types.Mismatch):
        types.verify(path, extension)
