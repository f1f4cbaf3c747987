"""Moving in from information-tracking: operations and users of one database, contacts of the other."""

import pytest
from django.db import connection, transaction
from django.utils import timezone

from crm import jobs
from crm.legacy import fieldmap, tables
from crm.models import LegacyRecord, User
from customers.models import Contact
from customers.tracking.models import Rollup, Trace, TraceCount
from tests.crm.legacy.conftest import ddl, load, reconciled
from tests.factories import make
from tests.moving import counts

SYSTEM = "information-tracking"
AT = "'2024-03-01 10:00:00'"
WECHAT = f"""
INSERT INTO users VALUES ('wx1', '138 0000 0001'), ('wx2', '13800000002'), ('wx3', NULL);
INSERT INTO informationtra VALUES
 (1, '客源公司', '销售一部', '华东', '销售', '赵敏', '小刘', 'wx1', '查看客户详情', {AT}, {AT}, {AT}),
 (2, '客源公司', '销售一部', '华东', '销售', '赵敏', NULL, 'wx2', '修改客户信息', {AT}, {AT}, {AT}),
 (3, NULL, NULL, NULL, NULL, NULL, NULL, '77', NULL, '0000-00-00 00:00:00', '2024-03-02 08:00:00', NULL),
 (4, '{"长" * 255}', NULL, NULL, NULL, '新人', NULL, 'nobody', '更新客户跟进', {AT}, {AT}, {AT});
"""
PRIMARY = """CREATE TABLE `contacts` (`id` varchar(64) NOT NULL, `phoneNumber` varchar(64), PRIMARY KEY (`id`));
INSERT INTO contacts VALUES ('77', '138-0000-0003'), ('78', '13900000000');
"""


@pytest.fixture(scope="module")
def _loaded(request, django_db_setup, django_db_blocker, tmp_path_factory):
    """Two dumps, or on MariaDB two databases: tried first, then loaded."""
    folder, scripts = tmp_path_factory.mktemp("staging"), [ddl(SYSTEM) + WECHAT, PRIMARY]
    given = [folder / f"{number}.sql" for number, _ in enumerate(scripts)]
    for path, script in zip(given, scripts, strict=True):
        path.write_text(script, encoding="utf-8")
    if connection.vendor == "mysql":
        given = list(map(request.getfixturevalue("old_database"), scripts))
    source = "\n".join(map(str, given))
    with django_db_blocker.unblock(), transaction.atomic():
        make(User, username="zhaomin", full_name="赵敏")
        for number in (1, 3):
            make(Contact, mobile=f"1380000000{number}")
        foretold = load(folder, SYSTEM, source, write=False)
        yield foretold, load(folder, SYSTEM, source), source
        transaction.set_rollback(True)


@pytest.fixture
def moved(_loaded, db):
    return _loaded[1]


def old(key) -> LegacyRecord:
    return LegacyRecord.objects.get(system=SYSTEM, table="informationtra", key=str(key))


def test_every_table_has_a_loader():
    """The record API is a way in, not a table."""
    assert {table.name for table in tables.tables_of(SYSTEM)} | {"record API"} == set(fieldmap.tables(SYSTEM))


def test_every_row_of_both_sources_is_accounted_for_as_foretold(_loaded, moved):
    reconciled(moved)
    assert counts(moved) == counts(_loaded[0])
    assert counts(moved) == {
        "contacts": {"merged": 1, "refused": 1},
        "users": {"merged": 1, "refused": 2},
        "informationtra": {"created": 4},
    }


def test_the_same_again_changes_nothing(_loaded, moved, move):
    before = Trace.objects.count(), User.objects.count()
    again = move(SYSTEM, _loaded[2])
    assert (Trace.objects.count(), User.objects.count()) == before
    assert {outcome for found in counts(again).values() for outcome in found} == {"unchanged", "refused"}


def test_an_operation_keeps_who_what_when_and_whose(moved):
    trace = old(1).target
    assert (trace.kind, trace.event, trace.source, trace.external_id) == ("view", "查看客户详情", "wechat", "wx1")
    assert (trace.company, trace.department, trace.organization) == ("客源公司", "销售一部", "华东")
    assert (trace.role, trace.assistant, trace.actor.username) == ("销售", "小刘", "zhaomin")
    assert trace.operated_at.isoformat() == "2024-03-01T02:00:00+00:00"
    assert trace.customer == Contact.objects.get(mobile="13800000001").customer


def test_one_found_among_the_contacts_of_the_other_database(moved):
    trace = old(3).target
    assert trace.source == "contact" and trace.customer == Contact.objects.get(mobile="13800000003").customer
    assert trace.operated_at.isoformat() == "2024-03-02T00:00:00+00:00" and trace.user_name == "未知操作人"


def test_whoever_is_not_here_keeps_the_number_and_the_words(moved):
    assert old(2).target.customer is None and old(2).target.phone == "+8613800000002"
    odd = old(4)
    assert odd.target.source == "" and odd.target.kind == "follow_up" and not odd.target.actor.is_active
    assert any("nobody" in note for note in odd.notes)


def test_nothing_is_delivered_a_second_time(moved):
    assert not Trace.objects.exclude(delivery="delivered").exists()


def test_the_statistics_take_in_the_days_that_were_loaded(moved):
    """Though everything up to now had been counted before."""
    Rollup.objects.update_or_create(pk=1, defaults={"until": timezone.now()})
    jobs.execute(jobs.start("tracking.count").pk)
    counted = TraceCount.objects.values_list("actor", "kind", "count")
    assert sorted(counted) == sorted((trace.actor_id, trace.kind, 1) for trace in Trace.objects.all())
