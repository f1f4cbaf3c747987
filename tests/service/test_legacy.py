"""Work orders, churn and measures of java-crm: what becomes of them, in both spellings of its columns."""

from datetime import date

import pytest
from django.utils import timezone

from crm.models import LegacyRecord
from customers.models import Customer
from service.models import CustomerLoss, EntryKind, LossStatus, RetentionMeasure, WorkOrder, WorkOrderStatus
from service.services import retention, workorders
from tests.moving import counts

CUSTOMERS = """
CREATE TABLE `t_customer` (`id` int, `khno` varchar(20), `name` varchar(20), `cus_manager` varchar(20));
INSERT INTO `t_customer` VALUES (1,'KH1','腾讯','小张'),(2,'KH2','百度','小红'),(3,'kh1','腾讯分公司','小张');
CREATE TABLE `t_user` (`id` int, `user_name` varchar(20), `true_name` varchar(20));
INSERT INTO `t_user` VALUES (42,'scott','斯考特');
CREATE TABLE `t_datadic` (`id` int, `data_dic_name` varchar(50), `data_dic_value` varchar(50));
INSERT INTO `t_datadic` VALUES (6,'服务类型','咨询'),(7,'服务类型','建议'),(8,'客户等级','大客户');
"""
SERVICES = """
CREATE TABLE `t_customer_serve` (`id` int, `serve_type` varchar(30), `overview` varchar(900), `customer` varchar(30),
 `state` varchar(20), `service_request` varchar(500), `create_people` varchar(100), `assigner` varchar(100),
 `assign_time` datetime, `service_proce` varchar(500), `service_proce_people` varchar(20),
 `service_proce_time` datetime, `service_proce_result` varchar(500), `myd` varchar(50), `is_valid` int,
 `update_date` datetime, `create_date` datetime);
INSERT INTO `t_customer_serve` VALUES
 (1,'6','打不开','腾讯','fw_005','系统打不开','scott','42','2020-02-20 16:32:57','重装了','小红','2020-02-20 18:32:35',
  '已恢复','☆☆',1,'2020-02-21 20:49:12','2020-01-18 09:31:53'),
 (2,'9','','百度','fw_001','','scott',NULL,NULL,NULL,NULL,NULL,NULL,NULL,1,'2021-02-06 18:11:26','2021-02-06 18:11:26'),
 (3,'建议','改进','百度',NULL,'改','scott','小红','2021-02-07 09:00:00','在看','小红','2021-02-07 10:00:00',NULL,NULL,
  1,NULL,'2021-02-06 18:11:26'),
 (4,'7','无主','阿里','fw_001','x','scott',NULL,NULL,NULL,NULL,NULL,NULL,NULL,1,NULL,NULL);
"""
CAMEL = """
CREATE TABLE `t_customer_service` (`id` int, `serveType` varchar(30), `overview` varchar(500), `customer` varchar(30),
 `state` varchar(20), `servicerequest` varchar(500), `createPeople` varchar(100), `createTime` datetime,
 `assigner` varchar(100), `assignTime` datetime, `serviceProce` varchar(500), `serviceProcePeople` varchar(20),
 `serviceProceTime` datetime, `serviceProceResult` varchar(500), `myd` varchar(50));
insert into `t_customer_service` values (1,'投诉','坏了','腾讯','已归档','刚用就坏','Jack','2015-08-25 00:00:00','小红',
 '2015-08-27 00:00:00','换新','Jack','2015-08-31 00:00:00','OK','☆☆☆☆☆'),
 (2,'投诉','又坏了','腾讯','已处理','刚用就坏','Jack','2015-08-25 00:00:00','小红',
 '2015-08-27 00:00:00','换新','Jack','2015-08-31 00:00:00',NULL,NULL);
"""
LOSSES = """
CREATE TABLE `t_customer_loss` (`id` int, `cusNo` varchar(40), `cusName` varchar(20), `lastOrderTime` date,
 `confirmLossTime` date, `state` int, `lossreason` varchar(1000), `create_date` datetime, `is_valid` int);
INSERT INTO `t_customer_loss` VALUES
 (10,'KH1','腾讯','2020-03-03','2021-02-07',1,'公司转型','2021-02-06 10:44:08',1),
 (11,'kh1','腾讯','2019-03-03',NULL,0,'嫌贵','2020-02-06 10:44:08',1),
 (12,'KH2','百度',NULL,NULL,1,NULL,'2021-03-06 10:44:08',1),
 (13,'KH2','百度',NULL,NULL,0,NULL,'2021-01-06 10:44:08',0),
 (14,'KH9','没有的',NULL,NULL,0,NULL,NULL,1);
CREATE TABLE `t_customer_reprieve` (`id` int, `lossId` int, `measure` varchar(500), `create_date` datetime);
INSERT INTO `t_customer_reprieve` VALUES (1,10,'请吃饭','2021-02-06 13:00:00'),(2,11,'打折',NULL),(3,14,'没有的',NULL),
 (4,NULL,'无主',NULL);
"""


def local(moment):
    return f"{timezone.localtime(moment):%F %T}"


@pytest.mark.parametrize("stars", ["myd", "satisfaction"])
def test_an_archived_service_keeps_its_steps_people_times_and_stars(move, stars):
    move(CUSTOMERS + SERVICES.replace("myd", stars))
    order = WorkOrder.objects.get(title="打不开")
    assert (order.customer.code, order.type.code, order.status) == ("KH1", "consulting", WorkOrderStatus.ARCHIVED)
    assert (order.created_by.username, order.owner.username) == ("scott", "scott")
    assert (local(order.created_at), local(order.updated_at)) == ("2020-01-18 09:31:53", "2020-02-21 20:49:12")
    assert (order.solution, order.satisfaction, order.due_at) == ("已恢复", 2, None)
    entries = order.entries.order_by("time", "pk").values_list("kind", "content", "author__full_name")
    assert list(entries) == [
        (EntryKind.OPENED, "员工创建：打不开", "斯考特"),
        (EntryKind.ASSIGNED, "分配给斯考特", None),
        (EntryKind.NOTE, "重装了", "小红"),
        (EntryKind.SOLVED, "已恢复", "小红"),
        (EntryKind.ANSWERED, "★★", None),
        (EntryKind.ARCHIVED, "归档", None),
    ]


def test_an_open_service_goes_on_here_and_its_time_runs_from_now(move, person):
    move(CUSTOMERS + SERVICES)
    order = WorkOrder.objects.get(title="（旧系统没有写概要）")
    assert (order.status, order.type.code, order.owner) == (WorkOrderStatus.CREATED, "other", None)
    assert order.due_at > timezone.now()
    engineer = person("服务专员")
    assert workorders.assign(order, engineer, by=person("客服")).status == WorkOrderStatus.ASSIGNED


def test_a_service_without_a_state_stands_where_its_work_shows(move):
    move(CUSTOMERS + SERVICES)
    assert WorkOrder.objects.get(title="改进").status == WorkOrderStatus.PROCESSING


def test_a_service_of_a_customer_that_nobody_knows_is_refused_and_kept(move):
    found = move(CUSTOMERS + SERVICES)
    assert counts(found)["t_customer_serve"] == {"created": 3, "refused": 1}
    record = LegacyRecord.objects.get(table="t_customer_serve", key="4")
    assert record.row["overview"] == "无主" and record.notes[0] == "没有名为“阿里”的客户"


def test_the_older_spelling_means_the_same(move):
    move(CUSTOMERS + CAMEL)
    done, handled = WorkOrder.objects.order_by("pk")
    assert (done.status, done.satisfaction, done.content) == (WorkOrderStatus.ARCHIVED, 5, "刚用就坏")
    assert (done.owner.full_name, local(done.assigned_at)) == ("小红", "2015-08-27 00:00:00")
    assert handled.status == WorkOrderStatus.PROCESSING
    assert handled.entries.get(kind=EntryKind.NOTE).content == "换新"


def test_churn_rows_that_repeat_a_customer_number_are_one_case_in_order_of_time(move):
    found = move(CUSTOMERS + LOSSES)
    assert counts(found)["t_customer_loss"] == {"created": 3, "merged": 1, "refused": 1}
    loss = CustomerLoss.objects.get(customer__code="KH1")
    assert (loss.status, loss.reason) == (LossStatus.LOST, "嫌贵；公司转型")
    assert (loss.last_order_date, loss.confirmed_on) == (date(2020, 3, 3), date(2021, 2, 7))
    assert (loss.warned_on, loss.open_key) == (date(2020, 2, 6), None)
    assert set(loss.measures.values_list("content", "date")) == {
        ("请吃饭", date(2021, 2, 6)),
        ("打折", date(2021, 2, 7)),
    }


def test_the_last_row_says_how_the_case_stands(move):
    move(CUSTOMERS + LOSSES.replace("2020-02-06 10:44:08", "2022-02-06 10:44:08"))
    loss = CustomerLoss.objects.get(customer__code="KH1")
    assert (loss.status, loss.confirmed_on, loss.reason) == (LossStatus.REPRIEVED, None, "公司转型；嫌贵")
    assert loss.open_key == loss.customer_id


def test_a_lost_customer_without_a_day_gets_the_day_of_the_row_and_a_note(move):
    move(CUSTOMERS + LOSSES)
    assert CustomerLoss.objects.get(customer__code="KH2", is_valid=True).confirmed_on == date(2021, 3, 6)
    assert "确认流失日期取 2021-03-06" in LegacyRecord.objects.get(table="t_customer_loss", key="12").notes[0]


def test_measures_whose_case_is_gone_are_listed(move):
    found = move(CUSTOMERS + LOSSES)
    assert counts(found)["t_customer_reprieve"] == {"created": 2, "refused": 2}
    assert RetentionMeasure.objects.count() == 2


def test_a_dry_run_foretells_it_and_a_second_load_changes_nothing(move):
    text = CUSTOMERS + SERVICES + LOSSES
    foretold = counts(move(text, write=False))
    assert not WorkOrder.objects.exists()
    assert counts(move(text)) == foretold
    loss = CustomerLoss.objects.get(customer__code="KH1")
    version = loss.lock_version
    assert {outcome for table in counts(move(text)).values() for outcome in table} == {"unchanged", "refused"}
    loss.refresh_from_db()
    assert loss.lock_version == version and WorkOrder.objects.count() == 3


def test_a_case_that_was_settled_here_stays_settled(move, person):
    text = CUSTOMERS + LOSSES.replace("2020-02-06 10:44:08", "2022-02-06 10:44:08")
    move(text)
    retention.confirm(CustomerLoss.objects.get(customer__code="KH1"), by=None, reason="倒闭")
    move(text)
    assert CustomerLoss.objects.get(customer__code="KH1").reason == "倒闭"


def test_two_customers_of_one_name_mean_the_older(move):
    move(CUSTOMERS.replace("'百度'", "'腾讯'") + CAMEL)
    assert set(WorkOrder.objects.values_list("customer__code", flat=True)) == {"KH1"}
    assert Customer.objects.filter(name="腾讯").count() == 2


def test_work_that_went_on_in_the_old_system_is_taken_over_with_its_times(move):
    move(CUSTOMERS + CAMEL)
    move(CUSTOMERS + CAMEL.replace("'已处理'", "'已归档'"))
    order = WorkOrder.objects.get(title="又坏了")
    assert order.status == WorkOrderStatus.ARCHIVED and order.archived_at is not None


# --- Services of customers whom nobody knows -------------------------------------------------------------------------


def test_services_of_strangers_make_customers_only_if_that_is_wanted(move):
    found = counts(move(CUSTOMERS + SERVICES, write=False, strangers=True))
    assert found["t_customer_serve"] == {"created": 4} and not Customer.objects.exists()
    refused = counts(move(CUSTOMERS + SERVICES))["t_customer_serve"]
    assert refused == {"created": 3, "refused": 1} and not Customer.objects.filter(name="阿里").exists()
    assert counts(move(CUSTOMERS + SERVICES, strangers=True))["t_customer_serve"] == {"unchanged": 3, "created": 1}
    stranger = Customer.objects.get(name="阿里")
    assert WorkOrder.objects.get(customer=stranger).title == "无主" and "只有服务记录" in stranger.remark
    assert stranger.history.exists() and stranger.code  # numbered as one that somebody enters
    again = counts(move(CUSTOMERS + SERVICES, strangers=True))
    assert again["t_customer_serve"] == {"unchanged": 4} and Customer.objects.filter(name="阿里").count() == 1


def test_several_services_of_one_stranger_are_of_one_customer(move):
    more = SERVICES + "INSERT INTO t_customer_serve (id, overview, customer) VALUES (5, '也是', '阿 里');"
    foretold = move(CUSTOMERS + more, write=False, strangers=True)
    found = move(CUSTOMERS + more, strangers=True)
    assert counts(found) == counts(foretold) and found["made"] == foretold["made"]
    assert WorkOrder.objects.filter(customer__name__startswith="阿").values("customer").distinct().count() == 1


UNNUMBERED = """
CREATE TABLE `t_customer_loss` (`id` int, `cusNo` varchar(40), `cusName` varchar(20), `state` int,
 `create_date` datetime);
INSERT INTO `t_customer_loss` VALUES (1,'','百 度',0,'2021-02-06 10:44:08'),(2,NULL,'腾讯',0,'2021-02-06 10:44:08'),
 (3,NULL,'阿里',0,NULL),(4,'KH9','百度',0,NULL);
"""


def test_a_churn_row_without_a_number_is_of_the_only_customer_of_its_name(move):
    text = CUSTOMERS.replace("'腾讯分公司'", "'腾讯'").replace("'kh1'", "'KH3'") + UNNUMBERED
    foretold = counts(move(text, write=False))["t_customer_loss"]
    assert counts(move(text))["t_customer_loss"] == foretold == {"created": 1, "refused": 3}
    assert CustomerLoss.objects.get().customer.name == "百度"
    assert "按名称“百 度”对应" in LegacyRecord.objects.get(table="t_customer_loss", key="1").notes[0]
    assert counts(move(text))["t_customer_loss"] == {"unchanged": 1, "refused": 3}
