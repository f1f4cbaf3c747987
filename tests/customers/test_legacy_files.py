"""The files of dms, in a folder beside its dump: what becomes an attachment, and what is told of the others."""

import os

import pytest

from crm import jobs
from crm.attachments import store
from crm.legacy import moves
from crm.legacy.attached import Missing, OldFiles
from crm.models import BusinessLog, Job, LegacyLoad, LegacyRecord, User
from customers.models import Customer, CustomerAttachment
from tests.crm.attachments.samples import PDF, picture
from tests.factories import make
from tests.moving import counts, mover

DUMP = """
CREATE TABLE customer (customer_id bigint, customer_code varchar(32), customer_name varchar(100),
 contract_name varchar(32), file_name varchar(255), create_user bigint);
INSERT INTO customer VALUES (1,'C1','甲公司','框架合同.pdf','营业执照',7),(2,'C2','乙公司','没有的合同.pdf',NULL,7);
CREATE TABLE customer_attached (attached_id bigint, file_name varchar(255), file_path varchar(255),
 file_type varchar(16), customer_id bigint, customer_code varchar(32), attached_status tinyint, attached_type tinyint,
 remark varchar(255), create_user bigint, create_time datetime);
INSERT INTO customer_attached VALUES
 (1,'合同一.pdf','/data/files/2023/1.pdf','pdf',1,'C1',1,1,'扫描件',7,'2023-04-05 06:07:08'),
 (2,'门头.png','D:\\\\upload\\\\门头.png','png',1,'C1',0,0,'',8,'2023-05-05 06:07:08'),
 (3,'丢了.pdf','/data/files/lost.pdf','pdf',1,'C1',1,0,'',7,'2023-04-05 06:07:08'),
 (4,'程序.exe','/data/files/x.exe','exe',1,'C1',1,0,'',7,'2023-04-05 06:07:08'),
 (5,'假的.pdf','/data/files/fake.pdf','pdf',1,'C1',1,0,'',7,'2023-04-05 06:07:08'),
 (6,'../../../etc/passwd','../../../../etc/passwd','',1,'C1',1,0,'',7,'2023-04-05 06:07:08'),
 (7,'链接.pdf','/data/files/link.pdf','pdf',1,'C1',1,0,'',7,'2023-04-05 06:07:08'),
 (8,'合同二.pdf','http://old.example.com/files/2024/1.pdf?token=9','pdf',2,'C2',1,1,'',7,'2024-04-05 06:07:08'),
 (9,'无主.pdf','/data/files/2023/1.pdf','pdf',99,'C99',1,1,'',7,'2023-04-05 06:07:08');
"""


@pytest.fixture(autouse=True)
def _own_folder(settings, tmp_path):
    settings.FILES_DIR = tmp_path / "ours"


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "theirs"
    contents = {
        "2023/1.pdf": PDF,
        "2024/1.pdf": PDF + b"%2024",
        "门头.PNG": picture(),
        "x.exe": b"MZ" * 50,
        "fake.pdf": b"MZ" * 50,
        "框架合同.pdf": PDF,
        "营业执照": b"",
    }
    for name, content in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    (tmp_path / "secret.pdf").write_bytes(PDF)
    (root / "link.pdf").symlink_to(tmp_path / "secret.pdf")
    (root / "outside").symlink_to("/etc", target_is_directory=True)
    return root


@pytest.fixture
def move(db, tmp_path):
    return mover(tmp_path, "dms-customer")


def reasons(found, table) -> str:
    (one,) = [each for each in found["tables"] if each["table"] == table]
    return "\n".join(sorted(why["reason"] for why in one["reasons"]))


def test_files_become_attachments_with_name_author_and_time(move, folder):
    move(DUMP, files=str(folder))
    contract = CustomerAttachment.objects.get(name="合同一.pdf")
    assert contract.customer.code == "C1" and contract.kind.code == "contract" and contract.remark == "扫描件"
    assert contract.created_by.username == "dms-7" and contract.created_at.isoformat() == "2023-04-04T22:07:08+00:00"
    assert store.path_of(contract).read_bytes() == PDF and contract.size == len(PDF)
    front = CustomerAttachment.objects.get(name="门头.png")
    assert front.state == "discarded" and front.has_preview and store.path_of(front, store.PREVIEW).exists()
    second = CustomerAttachment.objects.get(name="合同二.pdf")
    assert second.customer.code == "C2" and store.path_of(second).read_bytes().endswith(b"%2024")
    frame = CustomerAttachment.objects.get(name="框架合同.pdf")
    assert frame.customer.code == "C1" and frame.kind.code == "contract"
    assert CustomerAttachment.objects.count() == 4
    assert BusinessLog.objects.filter(object_repr="合同一.pdf", remark="从 dms-customer 迁入").exists()


def test_what_is_missing_or_no_upload_would_take_is_listed(move, folder):
    foretold, found = move(DUMP, write=False, files=str(folder)), move(DUMP, files=str(folder))
    told = reasons(found, "customer_attached")
    assert told == reasons(foretold, "customer_attached") and counts(found) == counts(foretold)
    for word in (
        "文件夹里没有“丢了.pdf”（在旧系统的 /data/files/lost.pdf）",
        "“程序.exe”没有上传：不支持 exe 文件",
        "“假的.pdf”没有上传：",
        "文件夹里没有“链接.pdf”",
        "文件夹里没有“../../../etc/passwd”",
    ):
        assert word in told
    assert "没有的合同.pdf" in reasons(found, "customer") and not Customer.objects.filter(code="C99").exists()


def test_a_folder_given_later_brings_the_files_once(move, folder):
    move(DUMP)
    assert not CustomerAttachment.objects.exists()
    found = move(DUMP, files=str(folder))
    assert found["made"]["客户附件"] == 4 and counts(found)["customer_attached"] == {"unchanged": 8, "refused": 1}
    assert "文件夹里没有“丢了.pdf”" in reasons(found, "customer_attached")
    (folder / "lost.pdf").write_bytes(PDF)
    assert move(DUMP, files=str(folder))["made"] == {"客户附件": 1}
    assert move(DUMP, files=str(folder))["made"] == {}
    assert CustomerAttachment.objects.count() == 5
    assert LegacyRecord.objects.filter(table="customer_attached.file").count() == 4


def test_names_that_several_files_have_are_told_apart_by_their_folders(tmp_path):
    for place in ("a/x/1.pdf", "b/x/1.pdf"):
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).write_bytes(PDF)
    found = OldFiles(tmp_path)
    assert found.find("合同.pdf", "/srv/b/x/1.pdf") == tmp_path / "b/x/1.pdf"
    with pytest.raises(Missing, match="2 个同名文件"):
        found.find("1.pdf", "")
    for hostile in ("../" * 9 + "etc/passwd", "/etc/passwd", "\x00", "", "..", "C:"):
        with pytest.raises(Missing):
            found.find("", hostile)


def test_the_page_offers_the_folders_below_one_directory_alone(db, settings, browse, tmp_path, folder):
    settings.LEGACY_FILES_DIR = tmp_path / "offered"
    settings.LEGACY_FILES_DIR.mkdir()
    os.rename(folder, settings.LEGACY_FILES_DIR / "dms")
    (settings.LEGACY_FILES_DIR / "etc").symlink_to("/etc", target_is_directory=True)
    page, address = browse(make(User, is_superuser=True)), "/crm/legacyload/new/"
    text = page.get(address).content.decode()
    assert 'value="dms"' in text and 'value="etc"' not in text
    for hostile in ("../theirs", "etc", "/etc"):
        (tmp_path / "dump.sql").write_text(DUMP, encoding="utf-8")
        with (tmp_path / "dump.sql").open("rb") as file:
            answer = page.post(address, {"system": "dms-customer", "file": file, "files": hostile})
        assert answer.status_code == 200 and not LegacyLoad.objects.exists()
    with (tmp_path / "dump.sql").open("rb") as file:
        page.post(address, {"system": "dms-customer", "file": file, "files": "dms"})
    load = LegacyLoad.objects.get()
    jobs.execute(load.job_id)
    moves.confirm(LegacyLoad.objects.get(), by=load.user)
    jobs.execute(LegacyLoad.objects.get().job_id)
    assert Job.objects.filter(state=Job.State.FAILED).count() == 0
    assert CustomerAttachment.objects.count() == 4
