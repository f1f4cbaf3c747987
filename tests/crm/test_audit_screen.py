"""The business log as people read it: found by person, time, kind and action, field by field, within their reach."""

import csv
import io
from datetime import timedelta
from html import unescape

import pytest
from django.utils import timezone

from crm import actor, jobs, ownership, policies, records
from crm.excel import apply
from crm.models import BusinessLog, DictionaryItem, ImportBatch, Job, Operation, StoredFile
from crm.policies import policy_for
from customers.models import Contact, Customer, Tag
from tests.factories import make

pytestmark = pytest.mark.django_db
LOG = "/crm/businesslog/"


@pytest.fixture
def wang(person):
    return person("销售", full_name="王芳")


@pytest.fixture
def li(person):
    return person("销售", full_name="李雷")


@pytest.fixture
def auditor(person):
    return person("审计", full_name="周审")


@pytest.fixture
def busy(wang, li):
    """王芳 enters a customer and a contact and edits the customer; 李雷 enters one and loses it."""
    with actor.acting(ip="10.0.0.1"):
        mine = records.save(Customer(name="甲公司", code="C1"), by=wang)
        records.save(Contact(customer=mine, name="陈先生"), by=wang)
        mine.address, mine.level = "深圳", make(DictionaryItem, type="level", label="金牌")
        records.save(mine, by=wang)
    his = records.save(Customer(name="乙公司", code="C2"), by=li)
    ownership.set_owner(his, wang, by=None, reason="离职交接")


SEA = {"ownershipperiod", "poolrule"}


def shown(browser, **query):
    """``{(person, action, record), …}`` of the listed entries about customers and their parts, not about the sea."""
    response = browser.get(LOG, query)
    assert response.status_code == 200
    return {
        (entry.user_name, entry.get_operation_display(), entry.object_repr)
        for entry in response.context["cl"].result_list
        if entry.content_type.app_label == "customers" and entry.content_type.model not in SEA
    }


def exported(browser, query="", **form):
    columns = [field.name for field in browser.get(f"{LOG}export/").context["fields"]]
    response = browser.post(f"{LOG}export/{query}", {"columns": columns, "format": "csv", **form})
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


# --- Finding ----------------------------------------------------------------------------------------------------------


def test_entries_are_found_by_person(busy, wang, li, auditor, browse):
    assert {name for name, *_ in shown(browse(auditor), user=li.pk)} == {"李雷"}
    assert {name for name, *_ in shown(browse(auditor), user=wang.pk)} == {"王芳"}


def test_the_person_filter_knows_those_who_left(busy, li, auditor, browse):
    li.is_active = False
    li.save()
    response = browse(auditor).get(LOG)
    [spec] = [spec for spec in response.context["cl"].filter_specs if spec.title == "操作人"]
    assert (li.pk, "李雷（已停用）") in spec.options


def test_entries_are_found_by_day(busy, auditor, browse):
    today = timezone.localdate()
    for first, last, found in [(0, 0, True), (-9, -1, False), (1, 9, False), (-1, 1, True)]:
        query = {
            "created_at_from": str(today + timedelta(days=first)),
            "created_at_to": str(today + timedelta(days=last)),
        }
        assert bool(shown(browse(auditor), **query)) is found


def test_entries_are_found_by_kind_of_record_and_action(busy, auditor, browse):
    from crm import audit

    contacts = shown(browse(auditor), kind=audit.content_type_id(Contact))
    assert contacts == {("王芳", "创建", "陈先生")}
    assert shown(browse(auditor), operation=Operation.OWNERSHIP.value) == {("系统", "归属变更", "乙公司")}
    assert shown(browse(auditor), operation=Operation.UPDATE.value, kind=audit.content_type_id(Contact)) == set()


def test_entries_are_found_by_business_number_and_by_name(busy, auditor, browse):
    assert shown(browse(auditor), q="C2") == {("李雷", "创建", "乙公司"), ("系统", "归属变更", "乙公司")}
    assert ("王芳", "更新", "甲公司") in shown(browse(auditor), q="甲公")


def test_a_kind_that_is_never_logged_is_not_offered(auditor, browse):
    page = unescape(browse(auditor).get(LOG).content.decode())
    assert ">客户<" in page.replace("\n", "").replace(" ", "") and ">后台任务</option>" not in page


# --- Reading ----------------------------------------------------------------------------------------------------------


def test_the_change_is_shown_field_by_field_in_words(busy, auditor, browse):
    entry = BusinessLog.objects.get(operation=Operation.UPDATE, object_repr="甲公司")
    for page in (LOG, f"{LOG}{entry.pk}/change/"):
        text = unescape(browse(auditor).get(page).content.decode())
        assert "<b>地址</b> 空 → <ins>深圳</ins>" in text
        assert "<b>客户等级</b> 空 → <ins>金牌</ins>" in text
    assert "10.0.0.1" in text


def test_a_manager_reads_about_his_peoples_records_and_no_others(busy, wang, li, person, browse):
    """By present ownership: what 李雷 once did to a customer that is 王芳's now is her manager's to read."""
    manager = person("销售主管", department=wang.department)
    others = person("销售主管", department=li.department)
    assert {what for *_, what in shown(browse(manager))} == {"甲公司", "陈先生", "乙公司"}
    assert shown(browse(others)) == set()
    entry = BusinessLog.objects.filter(object_repr="甲公司").first()
    assert browse(others).get(f"{LOG}{entry.pk}/change/").status_code == 404


def test_salespeople_have_no_business_there(busy, wang, browse):
    assert browse(wang).get(LOG).status_code in (403, 404)


def test_nothing_of_it_can_be_changed(busy, auditor, person, browse):
    entry = BusinessLog.objects.first()
    for who in (auditor, person("管理员")):
        browser = browse(who)
        assert browser.post(f"{LOG}{entry.pk}/change/", {"remark": "改了"}).status_code in (403, 404)
        assert browser.post(f"{LOG}{entry.pk}/delete/", {"post": "yes"}).status_code in (403, 404)
        assert browser.get(f"{LOG}add/").status_code in (403, 404)
        assert browser.get(f"{LOG}import/").status_code in (403, 404)
    assert BusinessLog.objects.get(pk=entry.pk).remark == entry.remark


# --- Taking it out ----------------------------------------------------------------------------------------------------


def test_the_listed_entries_are_exported_in_words(busy, auditor, browse):
    rows = exported(browse(auditor), "?q=甲公司&operation=2")
    assert len(rows) == 1
    row = rows[0]
    assert (row["操作人"], row["操作"], row["记录类型"], row["记录"], row["业务单号"]) == (
        "王芳",
        "更新",
        "客户",
        "甲公司",
        "C1",
    )
    assert row["变更内容"] == "地址：空 → 深圳\n客户等级：空 → 金牌"
    assert (row["IP 地址"], row["版本"]) == ("10.0.0.1", "2")


def test_the_list_leads_there_for_those_who_may(busy, wang, auditor, person, browse):
    manager = person("销售主管", department=wang.department)
    assert f'href="{LOG}export/"' in browse(auditor).get(LOG).content.decode()
    assert f'href="{LOG}export/"' not in browse(manager).get(LOG).content.decode()
    assert browse(manager).get(f"{LOG}export/").status_code in (403, 404)
    assert browse(manager).post(f"{LOG}export/", {"columns": ["changes"], "format": "csv"}).status_code in (403, 404)


def test_columns_that_are_hidden_from_the_reader_are_not_in_the_file(busy, auditor, browse, monkeypatch):
    monkeypatch.setattr(policy_for(Customer), "hidden", {"address": "customers.share_customer"})
    assert "深圳" not in unescape(browse(auditor).get(LOG).content.decode())
    assert [row["变更内容"] for row in exported(browse(auditor), "?q=甲公司&operation=2")] == ["客户等级：空 → 金牌"]


def test_entries_beyond_reach_are_not_in_the_file(busy, wang, li, person, browse):
    """Somebody with the right, but for one department's records only."""
    reader = person("销售主管", department=li.department)
    reader.groups.get().role.permissions.add(
        policies.Permission.objects.get(content_type__app_label="crm", codename="export_businesslog")
    )
    assert {row["记录"] for row in exported(browse(reader))} & {"甲公司", "陈先生", "乙公司"} == set()


def test_taking_the_log_out_is_logged_and_the_auditor_reads_it(busy, auditor, browse):
    count = len(exported(browse(auditor)))
    entry = BusinessLog.objects.get(operation=Operation.EXPORT)
    assert (entry.user, entry.remark[: entry.remark.index("：")]) == (auditor, f"导出 {count} 行")
    assert entry in policy_for(BusinessLog).visible_to(auditor)


def test_a_large_one_is_made_in_the_background(busy, auditor, browse, settings, tmp_path):
    settings.EXPORT_IN_BACKGROUND_ABOVE, settings.FILES_DIR = 0, tmp_path
    browser = browse(auditor)
    browser.post(f"{LOG}export/?operation=2", {"columns": ["object_repr", "changes"], "format": "csv"})
    job = Job.objects.get()
    jobs.execute(job.pk)
    stored = StoredFile.objects.get()
    text = b"".join(browser.get(f"/downloads/{stored.pk}/").streaming_content).decode("utf-8-sig")
    assert "地址：空 → 深圳" in text


def test_a_longer_export_asks_no_more(auditor, django_assert_max_num_queries):
    from crm.excel import export
    from crm.excel.resource import resource_for

    for _ in range(30):
        make(Tag)
    exporter = export.Exporter(resource_for("crm.BusinessLog"), auditor)
    with django_assert_max_num_queries(20):
        assert len(list(exporter.rows(policy_for(BusinessLog).visible_to(auditor, "export")))) >= 30


def test_the_newest_entries_are_found_without_the_table_of_kinds(busy, browse, person, django_assert_max_num_queries):
    """Joined with so small a table, MariaDB reads all entries of a kind for a page of the log or a piece of an undo."""
    browser = browse(person("管理员"))
    with django_assert_max_num_queries(100) as captured:
        assert browser.get(LOG).status_code == 200
        apply.next_entries(ImportBatch(pk=1))
    asked = [query["sql"] for query in captured.captured_queries if "crm_businesslog" in query["sql"]]
    assert asked and not [sql for sql in asked if "JOIN `django_content_type`" in sql.replace('"', "`")]
