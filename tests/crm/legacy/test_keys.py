"""Old keys of other kinds, and numbers that several old customers have."""

import pytest

from crm.models import LegacyRecord, User
from customers.models import Contact, Customer, Interaction
from sales.models import DevelopmentPlan, Lead, Order, OrderItem
from service.models import CustomerLoss, RetentionMeasure, WorkOrder
from tests.moving import counts, mover


@pytest.fixture
def move(db, tmp_path):
    return mover(tmp_path)


U, V = "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "c0ffee00c0ffee00c0ffee00c0ffee01"
STRANGER = "00000000000000000000000000000009"
KEYED = f"""
CREATE TABLE t_user (id varchar(40), user_name varchar(20), true_name varchar(20), is_valid int);
INSERT INTO t_user VALUES ('{U}','scott','斯考特',1),('{V}','jack','杰克',1);
CREATE TABLE t_datadic (id varchar(36), data_dic_name varchar(50), data_dic_value varchar(50));
INSERT INTO t_datadic VALUES ('{U}','服务类型','咨询'),('{V}','客户等级','大客户');
CREATE TABLE t_customer (id varchar(36), khno varchar(20), name varchar(20), cus_manager varchar(40), level text);
INSERT INTO t_customer VALUES ('{U}','K1','甲公司','{V}','大客户'),('{V}','K2','乙公司','{STRANGER}','{STRANGER}');
CREATE TABLE t_customer_linkman (id varchar(36), cus_id varchar(36), link_name varchar(20), phone varchar(20));
INSERT INTO t_customer_linkman VALUES ('{U}','{V}','王五','13900000009'),('{V}','{STRANGER}','赵六','13900000008');
CREATE TABLE t_customer_contact (id varchar(36), cus_id varchar(36), contact_time datetime, overview text);
INSERT INTO t_customer_contact VALUES ('{U}','{U}','2020-01-02 03:04:05','见面');
CREATE TABLE t_sale_chance (id varchar(36), customer_name text, link_man text, link_phone text, create_man varchar(40),
  assign_man varchar(40));
INSERT INTO t_sale_chance VALUES ('{U}','丙','孙七','13700000001','{U}','{V}'),
  ('{V}','丁','周八','13700000002','{STRANGER}','{STRANGER}');
CREATE TABLE t_cus_dev_plan (id varchar(36), sale_chance_id varchar(36), plan_item text, plan_date date);
INSERT INTO t_cus_dev_plan VALUES ('{U}','{V}','拜访','2020-02-01');
CREATE TABLE t_customer_order (id varchar(36), cus_id varchar(36), order_no text, order_date datetime, state int);
INSERT INTO t_customer_order VALUES ('{U}','{U}','{V}','2020-03-02 00:00:00',0),
  ('{V}','{V}','{V}','2020-03-02 00:00:00',0);
CREATE TABLE t_order_details (id varchar(36), order_id varchar(36), goods_name text, goods_num int, price float,
  sum float);
INSERT INTO t_order_details VALUES ('{U}','{V}','电脑',2,100,200);
CREATE TABLE t_customer_serve (id varchar(36), serve_type varchar(40), overview text, customer text,
  create_people varchar(40), assigner varchar(40));
INSERT INTO t_customer_serve VALUES ('{U}','{U}','打不开','甲公司','{U}','{V}'),
  ('{V}','{STRANGER}','坏了','甲公司','{U}','{V}');
CREATE TABLE t_customer_loss (id varchar(36), cus_no varchar(40), state int, create_date datetime);
INSERT INTO t_customer_loss VALUES ('{U}','K2',0,'2021-02-03 00:00:00');
CREATE TABLE t_customer_reprieve (id varchar(36), loss_id varchar(36), measure text, create_date datetime);
INSERT INTO t_customer_reprieve VALUES ('{V}','{U}','打折','2021-02-04 00:00:00');
"""


def test_keys_that_are_no_numbers_relate_rows_all_the_same(move):
    foretold = counts(move(KEYED, write=False))
    found = move(KEYED)
    assert counts(found) == foretold
    assert {table: each.get("refused") for table, each in foretold.items() if "refused" in each} == {
        "t_customer_linkman": 1
    }
    first, second = Customer.objects.order_by("code")
    assert (first.owner.username, first.level.label, second.owner, second.level) == ("jack", "大客户", None, None)
    assert Contact.objects.get().customer == second and Interaction.objects.get().customer == first
    lead, unowned = Lead.objects.order_by("phone")
    assert (lead.created_by.username, lead.owner.username, unowned.owner) == ("scott", "jack", None)
    assert DevelopmentPlan.objects.get().lead == unowned
    assert set(Order.objects.values_list("customer__code", "number")) == {("K1", V), ("K2", f"{V}-{V}"[:50])}
    assert OrderItem.objects.get().order.customer == second
    asked, other = WorkOrder.objects.order_by("pk")
    assert (asked.type.code, asked.owner.username, other.type.code) == ("consulting", "jack", "other")
    assert RetentionMeasure.objects.get().loss == CustomerLoss.objects.get(customer=second)
    assert LegacyRecord.objects.get(table="t_customer", key=U).object_id == first.pk
    assert not User.objects.filter(username__in=[U, V, STRANGER]).exists()
    assert {outcome for table in counts(move(KEYED)).values() for outcome in table} == {"unchanged", "refused"}


AGAIN = """
CREATE TABLE t_customer (id int, customer_no varchar(32), name text, is_valid int);
INSERT INTO t_customer VALUES (1,'K1','删了的',0),(2,'K2','删了的乙',0),(3,'K2','又删了的乙',0),(4,'K1','甲公司',1);
CREATE TABLE t_customer_loss (id int, cus_no varchar(40), state int, create_date datetime);
INSERT INTO t_customer_loss VALUES (1,'K1',0,'2021-02-03 00:00:00');
"""


def test_a_deleted_customer_leaves_its_number_to_the_valid_one(move):
    foretold = counts(move(AGAIN, write=False))
    assert counts(move(AGAIN)) == foretold == {"t_customer": {"created": 4}, "t_customer_loss": {"created": 1}}
    assert dict(Customer.objects.values_list("name", "code")) == {
        "删了的": "K1-1",
        "删了的乙": "K2",
        "又删了的乙": "K2-3",
        "甲公司": "K1",
    }
    assert CustomerLoss.objects.get().customer.name == "甲公司"
    assert counts(move(AGAIN)) == {"t_customer": {"unchanged": 4}, "t_customer_loss": {"unchanged": 1}}
