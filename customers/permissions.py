"""Policies of the customer room and what the shipped roles may do in it."""

from crm import policies
from crm.roles import allow
from customers.models import (
    BankAccount,
    Contact,
    Customer,
    CustomerCategory,
    CustomerLink,
    CustomerUserObjectPermission,
    RealCustomer,
    ShippingMark,
    Tag,
)

policies.owned(Customer, grants=CustomerUserObjectPermission)
PARTS = (Contact, BankAccount, ShippingMark, CustomerLink)
for model in PARTS:
    policies.child(model, of="customer")
SHARED = (RealCustomer, CustomerCategory, Tag)
for model in SHARED:
    policies.shared(model)

SELLERS = "销售 销售主管 销售总监"
allow(SELLERS, Customer, "add change view import export share")
allow("销售主管 销售总监", Customer, "assign delete")
allow("审批人", Customer, "view review export")
allow("客服 财务 市场 审计", Customer, "view export")
allow("管理员", Customer, "add change delete view import export assign share review")
for model in PARTS:
    allow(SELLERS + " 管理员", model, "add change delete view")
    allow("审批人 审计", model, "view")
for model in (Contact, BankAccount, ShippingMark):
    allow(SELLERS + " 管理员", model, "import export")
    allow("审批人 审计", model, "export")
for model in (Contact, ShippingMark):
    allow("客服 财务 市场", model, "view")
allow("财务", BankAccount, "view")
for model in SHARED:
    allow(SELLERS + " 客服 财务 市场 审批人 审计", model, "view")
    allow("管理员", model, "add change delete view import export")
allow("市场 销售总监", Tag, "add change")
