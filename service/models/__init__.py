from service.models.dispatch import DispatchRule
from service.models.retention import PENDING, ChurnRule, CustomerLoss, LossStatus, RetentionMeasure
from service.models.targets import ServiceTarget, SpecialDay, WorkingPeriod
from service.models.visits import ReturnVisit, ReturnVisitRule, ReturnVisitStatus, Trigger, VisitMethod
from service.models.workorders import (
    OPEN,
    UNSOLVED,
    EntryKind,
    Origin,
    ServedCustomer,
    WorkOrder,
    WorkOrderAttachment,
    WorkOrderEntry,
    WorkOrderStatus,
    WorkOrderUserObjectPermission,
)

__all__ = [
    "OPEN",
    "PENDING",
    "UNSOLVED",
    "ChurnRule",
    "CustomerLoss",
    "DispatchRule",
    "EntryKind",
    "LossStatus",
    "Origin",
    "RetentionMeasure",
    "ReturnVisit",
    "ReturnVisitRule",
    "ReturnVisitStatus",
    "ServedCustomer",
    "ServiceTarget",
    "SpecialDay",
    "Trigger",
    "VisitMethod",
    "WorkOrder",
    "WorkOrderAttachment",
    "WorkOrderEntry",
    "WorkOrderStatus",
    "WorkOrderUserObjectPermission",
    "WorkingPeriod",
]
