"""A service desk: who opens work orders, who assigns them, who works on them, and their manager."""

from dataclasses import dataclass

import pytest

from crm.models import Department, DictionaryItem, User
from customers.models import Customer
from service.models import WorkOrder
from service.services import workorders
from tests.factories import make


@dataclass
class Desk:
    seller: User
    desk: User
    engineer: User
    second: User
    head: User
    customer: Customer

    def order(self, **values):
        """An order that the seller opens."""
        values = {
            "customer": self.customer,
            "type": DictionaryItem.objects.get(type="work_order_type", code="aftersale"),
            "title": "变频器启动报警",
            "content": "开机即报 E07。",
            **values,
        }
        return workorders.open_order(WorkOrder(**values), by=self.seller)

    def assigned(self, **values):
        return workorders.assign(self.order(**values), self.engineer, by=self.desk)


@pytest.fixture
def desk(person):
    head = person("客服", full_name="杨雪")
    service = make(Department, name="客服部", parent=None, manager=head)
    seller = person("销售", full_name="张伟")
    return Desk(
        seller=seller,
        desk=person("客服", full_name="曹宇", department=service),
        engineer=person("服务专员", full_name="何平", department=service),
        second=person("服务专员", full_name="肖蕾", department=service),
        head=head,
        customer=make(Customer, owner=seller, phone="13800001111", notify_email="notify@customer.example"),
    )
