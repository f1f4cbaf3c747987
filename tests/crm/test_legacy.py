"""Moving in from an old system: what a dump says, what becomes of every row, and that nothing is doubled or lost."""

import gzip
from collections import Counter
from pathlib import Path

import openpyxl
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from crm import files, jobs
from crm.admin import old_values
from crm.legacy import dumps, moves, sources
from crm.legacy.staging import Staging
from crm.models import BusinessLog, LegacyLoad, LegacyRecord, User
from customers.models import BankAccount, Contact, Customer, DealStatus
from sales.models import DevelopmentPlan, Lead, LeadStatus, Order, OrderItem, PaymentRecord
from tests.factories import make
from tests.moving import counts

REAL = Path(__file__).parents[3] / "shared" / "data" / "legacy_t_crm"

DUMP = r"""
/* Navicat */ SET NAMES utf8;
DROP TABLE IF EXISTS `t_user`;
CREATE TABLE `t_user` (`id` int(11) NOT NULL, `userName` varchar(20), `password` varchar(50), `trueName` varchar(20),
  `roleName` varchar(20), PRIMARY KEY (`id`)) ENGINE=InnoDB;
INSERT INTO `t_user` VALUES (1, 'jack', 'e10adc3949ba59abbe56e057f20f883e', '杰克', '系统管理员');
CREATE TABLE `t_customer` (`id` int, `khno` varchar(20), `name` varchar(20), `area` varchar(20),
  `cusManager` varchar(20), `level` varchar(30), `myd` varchar(30), `phone` varchar(20), `zczj` varchar(20),
  `khyh` varchar(50), `khzh` varchar(50), `state` int, PRIMARY KEY (`id`));
insert  into `t_customer`(`id`,`khno`,`name`,`area`,`cusManager`,`level`,`myd`,`phone`,`zczj`,`khyh`,
 `khzh`,`state`) values
 (7,'KH7','北京大牛;''科技','北京','小张','战略合作伙伴','☆☆☆','010-62263393','20,000','中国银行','623','0') /* 好 */ ,
 (8,'KH8','风驰(科技)','上海','小红','大客户','☆','13800138000','很多',NULL,NULL,b'1'), -- 流失
 (9,'kh7','北京大牛分公司','北京','小张',NULL,NULL,NULL,'5万','','',0);
CREATE TABLE `t_customer_linkman` (`id` int, `cusId` int, `linkName` varchar(20), `sex` varchar(20),
  `phone` varchar(20));
INSERT INTO t_customer_linkman VALUES ('1','7','张三','男','13900000001'),('2','7','李四','女','13900000002');
CREATE TABLE `t_sale_chance` (`id` int, `chanceSource` varchar(20), `customerName` varchar(20), `cgjl` int,
  `linkMan` varchar(20), `linkPhone` varchar(20), `createMan` varchar(20), `createTime` datetime,
  `assignMan` varchar(20), `devResult` int);
INSERT INTO `t_sale_chance` VALUES
 (1,'主动来找的','风驰(科技)',90,'王五','13700000001','jack','2014-01-02 03:04:05','小红',2);
CREATE TABLE `t_cus_dev_plan` (`id` int, `saleChanceId` int, `planItem` varchar(100), `planDate` date);
INSERT INTO `t_cus_dev_plan` VALUES (1,1,'拜访','2014-02-01'),(2,99,'没有机会的计划','2014-02-01');
CREATE TABLE `t_customer_order` (`id` int, `cusId` int, `orderNo` varchar(40), `orderDate` datetime, `state` int);
INSERT INTO `t_customer_order` VALUES (1,7,'DD1','2014-03-02 10:20:30',1),(2,8,'DD1','2014-02-02 00:00:00',0),
 (3,55,'DD3','0000-00-00 00:00:00',0);
CREATE TABLE `t_order_details` (`id` int, `orderId` int, `goodsName` varchar(100), `goodsNum` int, `unit` varchar(20),
  `price` float, `sum` float);
INSERT INTO `t_order_details` VALUES (1,1,'联想笔记本',2,'台',4900,9800),(2,1,'惠普音响',4,'台',200,800);
UPDATE t_customer SET state = 1;
"""


def test_the_command_tries_first_writes_when_told_and_acts_for_the_first_administrator(db, tmp_path, capsys):
    source = tmp_path / "old.sql"
    source.write_text(DUMP, encoding="utf-8")
    with pytest.raises(CommandError, match="createsuperuser"):
        call_command("load_legacy", "java-crm", str(source))
    make(User)
    first, _ = make(User, is_superuser=True), make(User, is_superuser=True)
    call_command("load_legacy", "java-crm", str(source))
    assert "试运行" in capsys.readouterr().out and not Customer.objects.exists()
    call_command("load_legacy", "java-crm", str(source), "--apply")
    assert Customer.objects.get(code="KH8").phone == "13800138000"
    assert {load.user for load in LegacyLoad.objects.all()} == {first}
    with pytest.raises(CommandError, match="没有启用的账号“谁”"):
        call_command("load_legacy", "java-crm", str(source), "--user", "谁")


# --- Dumps -----------------------------------------------------------------------------------------------------------


def rows_of(text, tmp_path, **how):
    path = tmp_path / "dump.sql"
    path.write_bytes(text.encode(how.get("encoding", "utf-8")))
    if how.get("packed"):
        path.write_bytes(gzip.compress(path.read_bytes()))
    return [row for part in dumps.read(path) if isinstance(part, dumps.Rows) for row in part.rows]


def test_quotes_comments_bits_and_signs_are_read_as_the_server_reads_them(tmp_path):
    text = r"INSERT INTO t VALUES (b'0', 'a\'b''c;(', NULL, -1.5, /* x) */ TRUE, 'x\ny') -- ), ('no')" + "\n;"
    assert rows_of(text, tmp_path) == [["0", "a'b'c;(", None, "-1.5", "1", "x\ny"]]


@pytest.mark.parametrize("how", [{}, {"encoding": "gbk"}, {"packed": True}, {"packed": True, "encoding": "gbk"}])
def test_encodings_and_gzip(tmp_path, how):
    assert rows_of("insert into `客户`(`名称`) values ('客户甲'),('客户乙');", tmp_path, **how) == [
        ["客户甲"],
        ["客户乙"],
    ]


def test_blocks_may_end_anywhere(tmp_path, monkeypatch):
    text = (
        "INSERT INTO t VALUES (1, 'it''s -- /* ; ) fine', '中文'), (2, \"x\"\"y\", `a`);\n"
        "INSERT INTO t VALUES (3, '#', '--');"
    )
    whole = rows_of(text, tmp_path)
    for size in range(1, 12):
        monkeypatch.setattr(dumps, "BLOCK", size)
        assert rows_of(text, tmp_path) == whole


def test_a_dump_that_breaks_off_says_where(tmp_path):
    with pytest.raises(dumps.DumpError, match="第 2 行附近"):
        rows_of("INSERT INTO t VALUES (1, 'a'),\n(2, 'b", tmp_path)


def test_what_is_no_dump_is_refused(tmp_path):
    path = tmp_path / "dump.sql"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    with Staging(str(tmp_path / "s.db")) as staging, pytest.raises(sources.SourceError):
        sources.fill(staging, path)


def test_no_password_is_staged(tmp_path):
    (tmp_path / "dump.sql").write_text(DUMP, encoding="utf-8")
    with Staging(str(tmp_path / "s.db")) as staging:
        sources.fill(staging, tmp_path / "dump.sql")
        (_, row), *_ = staging.chunk("t_user", 0, 1)
    assert set(row) == {"id", "userName", "trueName", "roleName"}
    assert b"e10adc3949" not in (tmp_path / "s.db").read_bytes()


# --- Loading ---------------------------------------------------------------------------------------------------------


def test_a_dry_run_foretells_the_load_and_writes_nothing(move):
    logs = BusinessLog.objects.count()
    foretold = counts(move(DUMP, write=False))
    assert not Customer.objects.exists() and not LegacyRecord.objects.exists() and not Order.objects.exists()
    assert BusinessLog.objects.count() == logs
    assert counts(move(DUMP)) == foretold


def test_every_row_has_an_outcome_and_the_sums_agree(move):
    found = move(DUMP)
    assert not any(table["missing"] for table in found["tables"])
    assert {each["column"]: (each["then"], each["now"]) for each in found["sums"]}["sum"] == ("10600.00", "10600.00")
    assert found["notes"] == ["未执行的语句：UPDATE t_customer SET state = 1"]


def test_customers_come_with_owner_rights_history_and_log(move):
    move(DUMP)
    customer = Customer.objects.get(code="KH7")
    assert (customer.name, customer.level.code, customer.satisfaction) == ("北京大牛;'科技", "strategic", 3)
    assert customer.registered_capital == 20000
    assert customer.owner.full_name == "小张" and not customer.owner.is_active
    assert customer.grants.filter(user=customer.owner).count() == 3
    assert customer.history.count() >= 1
    assert BusinessLog.objects.filter(object_id=customer.pk, remark="从 java-crm 迁入").exists()
    assert BankAccount.objects.get(customer=customer).account == "623"
    assert list(Contact.objects.filter(customer=customer).values_list("name", "is_default")) == [
        ("张三", True),
        ("李四", False),
    ]


def test_a_number_that_another_row_has_is_the_same_customer_and_what_differs_is_noted(move):
    move(DUMP)
    record = LegacyRecord.objects.get(table="t_customer", key="9")
    assert record.outcome == "merged" and record.target == Customer.objects.get(code="KH7")
    assert any("北京大牛分公司" in note for note in record.notes)


def test_a_dry_run_notes_what_differs_from_a_record_that_is_here(move):
    make(Customer, code="K1", name="甲公司", phone="010-1", address="")
    script = """
    CREATE TABLE t_customer (id int, khno text, name text, phone text, address text);
    INSERT INTO t_customer VALUES (1,'K1','甲集团','010-2','北京');
    """
    (tried,) = move(script, write=False)["tables"]
    assert Customer.objects.get().name == "甲公司" and not Customer.objects.get().address
    (loaded,) = move(script)["tables"]
    assert tried["reasons"] == loaded["reasons"] and "已有“甲公司”，旧系统是“甲集团”" in loaded["reasons"][0]["reason"]


def test_what_cannot_be_read_stays_in_the_old_values(move):
    move(DUMP)
    record = LegacyRecord.objects.get(table="t_customer", key="8")
    assert record.row["zczj"] == "很多" and any("不是数字" in note for note in record.notes)
    assert record.target.deal_status == DealStatus.LOST


def test_words_of_the_old_dictionary_are_known_to_the_rows_that_use_them_even_deleted_ones(move):
    script = """
    CREATE TABLE t_datadic (id int, data_dic_name text, data_dic_value text, is_valid int);
    INSERT INTO t_datadic VALUES (1,'客户等级','区域代理',1),(2,'客户等级','试用客户',0);
    CREATE TABLE t_customer (id int, khno text, name text, level text);
    INSERT INTO t_customer VALUES (1,'K1','甲公司','区域代理'),(2,'K2','乙公司','试用客户');
    """
    tried, loaded = move(script, write=False), move(script)
    assert counts(tried) == counts(loaded) == {"t_datadic": {"created": 2}, "t_customer": {"created": 2}}
    assert tried["made"] == loaded["made"] == {}
    levels = Customer.objects.values_list("level__label", "level__is_valid").order_by("code")
    assert list(levels) == [("区域代理", True), ("试用客户", False)]
    assert set(counts(move(script))["t_customer"]) == {"unchanged"}


def test_a_sale_chance_becomes_a_lead_and_a_plan_without_one_is_listed(move):
    found = move(DUMP)
    lead = Lead.objects.get()
    assert (lead.status, lead.owner.full_name, lead.created_by.username) == (LeadStatus.CONVERTED, "小红", "jack")
    assert lead.created_at.isoformat() == "2014-01-01T19:04:05+00:00"
    assert lead.customer == Customer.objects.get(code="KH8")
    assert DevelopmentPlan.objects.get().lead == lead
    assert counts(found)["t_cus_dev_plan"] == {"created": 1, "refused": 1}


def test_orders_keep_number_lines_and_payment(move):
    move(DUMP)
    order = Order.objects.get(number="DD1")
    assert (order.total_amount, order.received_amount, order.paid_state) == (10600, 10600, "paid")
    receipt = PaymentRecord.objects.get()
    assert receipt.amount == 10600
    assert timezone.localdate(receipt.created_at) == receipt.date  # the timeline tells it where it happened
    assert (str(order.order_date), str(order.order_time)) == ("2014-03-02", "10:20:30")
    assert OrderItem.objects.filter(order=order).count() == 2
    assert order.customer.deal_status == DealStatus.WON and order.customer.last_deal_at is not None
    assert Order.objects.get(number="DD1-2").customer.code == "KH8"
    refused = LegacyRecord.objects.get(table="t_customer_order", key="3")
    assert refused.outcome == "refused" and refused.row["orderno"] == "DD3"


def test_passwords_never_come_along(move):
    move(DUMP)
    jack = User.objects.get(username="jack")
    assert jack.full_name == "杰克" and not jack.has_usable_password()
    assert not any("e10adc" in str(row) for row in LegacyRecord.objects.values_list("row", flat=True))


def test_an_account_that_is_here_already_stays_as_it_is(move):
    """The old system's Jack may be somebody else."""
    ours = make(User, username="Jack", full_name="我们的", email="", phone="")
    move(
        DUMP.replace("`roleName` varchar(20)", "`email` varchar(50)").replace("'系统管理员'", "'jack@old.example.com'")
    )
    ours.refresh_from_db()
    assert (ours.email, ours.full_name) == ("", "我们的")
    assert LegacyRecord.objects.get(table="t_user").target == ours


def test_an_account_that_was_here_before_is_not_renamed_by_a_later_load(move):
    """Another dump of the family calls somebody else number 1; who has our administrator's login stays himself."""
    ours = make(User, username="jack", full_name="我们的", is_superuser=True)
    move(DUMP)
    later = DUMP.replace("'jack'", "'java1234'", 1)
    assert later != DUMP
    assert counts(move(later))["t_user"] == {"unchanged": 1}
    ours.refresh_from_db()
    assert (ours.username, ours.full_name) == ("jack", "我们的")


def test_a_second_load_changes_nothing(move):
    move(DUMP)
    before = [model.objects.count() for model in (Customer, Contact, Lead, Order, OrderItem, PaymentRecord, User)]
    logs = BusinessLog.objects.count()
    again = counts(move(DUMP))
    after = [model.objects.count() for model in (Customer, Contact, Lead, Order, OrderItem, PaymentRecord, User)]
    assert after == before and BusinessLog.objects.count() == logs
    assert {outcome for table in again.values() for outcome in table} == {"unchanged", "refused"}


def test_what_changed_over_there_is_taken_over_and_what_changed_here_stays(move):
    move(DUMP)
    customer = Customer.objects.get(code="KH8")
    customer.address = "这里改的地址"
    customer.save()
    found = move(DUMP.replace("'13800138000'", "'13800138999'"))
    customer.refresh_from_db()
    assert (customer.phone, customer.address) == ("13800138999", "这里改的地址")
    assert counts(found)["t_customer"] == {"updated": 1, "unchanged": 2}


@pytest.mark.skipif(not REAL.exists(), reason="公开的旧系统转储 ../shared/data/legacy_t_crm 不在")
@pytest.mark.parametrize(
    "name", ["shiiiiyd__crm.sql", "Etoakor__CRM.sql", "ZNingJ__CRM.sql", "dora-ops__data.sql", "cjgithub326_per_table"]
)
def test_dumps_that_nobody_here_made(move, name):
    foretold = counts(move(REAL / name, write=False))
    found = move(REAL / name)
    assert counts(found) == foretold
    assert not any(table["missing"] for table in found["tables"])
    assert all(each["then"] == each["now"] for each in found["sums"])
    again = counts(move(REAL / name))
    assert {outcome for table in again.values() for outcome in table} <= {"unchanged", "refused"}


# --- Old values on the page of a record ------------------------------------------------------------------------------


def test_what_has_no_home_is_on_the_page_of_the_record(move, browse):
    move(DUMP)
    page = browse(User.objects.get(is_superuser=True))
    text = page.get(f"/crm/user/{User.objects.get(username='jack').pk}/change/").content.decode()
    assert "旧系统的值" in text and "系统管理员" in text
    customer = Customer.objects.get(code="KH8")
    text = page.get(f"/customers/customer/{customer.pk}/change/").content.decode()
    assert "很多" in text and "不是数字" in text
    customer = Customer.objects.get(code="KH7")
    assert "北京大牛分公司" in page.get(f"/customers/customer/{customer.pk}/change/").content.decode()


def test_old_values_of_what_somebody_may_not_see_stay_hidden(move, person):
    """Bank accounts stood in the row of the customer; who sees no bank accounts sees no old ones."""
    move(DUMP.replace("'中国银行','623'", f"'中国银行','{'6' * 70}'"))
    customer = Customer.objects.get(code="KH7")
    shown = {role: str(old_values.of(Customer, person(role), customer)) for role in ("财务", "市场")}
    assert "6" * 70 in shown["财务"] and "6" * 12 not in shown["市场"]


def test_a_record_that_came_from_nowhere_has_no_panel(db):
    admin = make(User, is_superuser=True)
    assert old_values.of(Customer, admin, make(Customer)) == []


# --- Authors and times -----------------------------------------------------------------------------------------------


def test_the_last_change_is_the_old_one_and_nobody_is_named_for_it(move):
    move(
        "CREATE TABLE `t_customer` (`id` int, `khno` varchar(20), `name` varchar(20), `update_date` datetime);"
        "INSERT INTO `t_customer` VALUES (1,'KH1','甲','2019-05-06 07:08:09'),(2,'KH2','乙',NULL);"
        "CREATE TABLE `t_customer_order` (`id` int, `cusId` int, `orderNo` varchar(40), `orderDate` datetime);"
        "INSERT INTO `t_customer_order` VALUES (1,1,'DD1','2014-03-02 10:20:30');"
    )
    first, second = Customer.objects.order_by("code")
    assert (first.updated_at.isoformat(), first.updated_by) == ("2019-05-05T23:08:09+00:00", None)
    assert (first.deal_status, first.lock_version) == (DealStatus.WON, 2)
    assert second.updated_at.year >= 2025 and second.lock_version == 1


# --- The workbook of details -----------------------------------------------------------------------------------------


def test_a_dry_run_has_a_workbook_too_and_it_holds_no_secret(db, tmp_path):
    """What cannot go in is corrected in the old system before the move, so the rows are needed then."""
    (tmp_path / "dump.sql").write_text(DUMP, encoding="utf-8")
    load = moves.begin(tmp_path / "dump.sql", by=make(User, is_superuser=True))
    jobs.execute(load.job_id)
    load.refresh_from_db()
    with files.path_of(load.workbook).open("rb") as file:
        rows = list(openpyxl.load_workbook(file).active.iter_rows(values_only=True))
    assert any("没有机会的计划" in row[5] for row in rows)
    assert not any("e10adc" in str(cell) for row in rows for cell in row)


def test_the_workbook_names_every_row_of_which_there_is_something_to_say(db, tmp_path):
    admin = make(User, is_superuser=True)
    (tmp_path / "dump.sql").write_text(DUMP, encoding="utf-8")
    load = moves.begin(tmp_path / "dump.sql", by=admin, system="java-crm")
    jobs.execute(load.job_id)
    load = moves.confirm(LegacyLoad.objects.get(pk=load.pk), by=admin)
    jobs.execute(load.job_id)
    load.refresh_from_db()
    with files.path_of(load.workbook).open("rb") as file:
        sheet = openpyxl.load_workbook(file).active
    head, *rows = sheet.iter_rows(values_only=True)
    assert head == ("表", "行", "旧主键", "结果", "说明", "旧值")
    values = "id：2；saleChanceId：99；planItem：没有机会的计划；planDate：2014-02-01"
    assert ("t_cus_dev_plan", "2", "2", "未迁入", "销售机会 99 不存在", values) in rows
    told = {
        (table["table"], why["outcome"], why["reason"]): why["rows"]
        for table in load.report["tables"]
        for why in table["reasons"]
    }
    assert Counter((table, outcome, reason) for table, _, _, outcome, reason, _ in rows) == told
