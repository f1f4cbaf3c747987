"""Policies of the service room and what the shipped roles may do in it."""

from crm import policies
from crm.roles import allow
from crm.text import mask_phone
from service.models import (
    ChurnRule,
    CustomerLoss,
    DispatchRule,
    RetentionMeasure,
    ReturnVisit,
    ReturnVisitRule,
    ServedCustomer,
    ServiceTarget,
    SpecialDay,
    WorkingPeriod,
    WorkOrder,
    WorkOrderAttachment,
    WorkOrderEntry,
    WorkOrderUserObjectPermission,
)
from service.policies import ReturnVisitPolicy, ServedCustomerPolicy, WorkOrderPolicy

policies.register(WorkOrder, WorkOrderPolicy(WorkOrder, grants=WorkOrderUserObjectPermission))
for model in (WorkOrderEntry, WorkOrderAttachment):
    policies.child(model, of="work_order")
policies.register(
    ServedCustomer,
    ServedCustomerPolicy(
        ServedCustomer,
        fields=["code", "name", "short_name", "level", "stage", "area", "address", "phone"],
        masks={"phone": mask_phone},
    ),
)
policies.register(ReturnVisit, ReturnVisitPolicy(ReturnVisit, of="customer"))
policies.child(CustomerLoss, of="customer")
policies.child(RetentionMeasure, of="loss__customer")
SETTINGS = (DispatchRule, ServiceTarget, SpecialDay, WorkingPeriod)
RULES = (ReturnVisitRule, ChurnRule)
for model in SETTINGS + RULES:
    policies.shared(model)

SELLERS = "销售 销售主管 销售总监"
STAFF = SELLERS + " 客服 服务专员 管理员"
allow(SELLERS, WorkOrder, "add change view export reopen")
allow("销售主管 销售总监", WorkOrder, "assign delete")
allow("客服", WorkOrder, "add change view import export assign share feedback archive reopen")
allow("服务专员", WorkOrder, "view change process")
allow("财务 市场 审批人", WorkOrder, "view")
allow("审计", WorkOrder, "view export")
allow("管理员", WorkOrder, "add change delete view import export assign share process feedback archive reopen")
for model in (WorkOrderEntry, WorkOrderAttachment):
    allow(STAFF, model, "add change view")
    allow("管理员", model, "delete")
    allow("财务 市场 审批人 审计", model, "view")
allow("服务专员 管理员", ServedCustomer, "view reveal")
for model in SETTINGS:
    allow("客服 审计 管理员", model, "view")
    allow("管理员", model, "change")
for model in (DispatchRule, SpecialDay, WorkingPeriod):
    allow("管理员", model, "add delete")
for model in (DispatchRule, SpecialDay):
    allow("客服", model, "add change delete")
allow(SELLERS + " 管理员", ReturnVisit, "add change delete view import export")
allow("客服", ReturnVisit, "add change view import export serve")
allow("市场 审批人", ReturnVisit, "view")
allow("审计", ReturnVisit, "view export")
allow(SELLERS + " 管理员", CustomerLoss, "view change export")
allow("销售主管 销售总监 管理员", CustomerLoss, "confirm")
allow("客服 市场", CustomerLoss, "view")
allow("审批人 审计", CustomerLoss, "view export")
allow(SELLERS + " 管理员", RetentionMeasure, "add change delete view")
allow("客服 市场 审批人 审计", RetentionMeasure, "view")
for model in RULES:
    allow("销售总监 客服 审计", model, "view")
    allow("管理员", model, "add change delete view")
allow("管理员", ReturnVisit, "serve")
