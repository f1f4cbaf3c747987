from customers.models.accounts import (
    BUSINESS_TYPES,
    ChangeStatus,
    Customer,
    CustomerCategory,
    CustomerLink,
    CustomerUserObjectPermission,
    DealStatus,
    Kind,
    RealCustomer,
    ReviewStatus,
    Stage,
    Stars,
    Tag,
)
from customers.models.attachments import CustomerAttachment
from customers.models.categories import RoleCategory
from customers.models.contacts import BankAccount, Contact, Sex, ShippingMark
from customers.models.credentials import ApiCredential, CancelKey, CredentialStatus
from customers.models.credit import (
    CreditLimit,
    CreditReservation,
    CreditRule,
    ReservationState,
    TemporaryCredit,
)
from customers.models.interactions import Interaction, VisitPlan, VisitStatus
from customers.models.lifecycle import Priority, StagePeriod, StagePolicy
from customers.models.merging import CustomerMerge
from customers.models.paths import CustomerPath
from customers.models.pool import OwnerChange, OwnershipPeriod, PoolRule, RecycleBatch, SeaCustomer

__all__ = [
    "BUSINESS_TYPES",
    "ApiCredential",
    "BankAccount",
    "CancelKey",
    "ChangeStatus",
    "Contact",
    "CredentialStatus",
    "CreditLimit",
    "CreditReservation",
    "CreditRule",
    "Customer",
    "CustomerAttachment",
    "CustomerCategory",
    "CustomerLink",
    "CustomerMerge",
    "CustomerPath",
    "CustomerUserObjectPermission",
    "DealStatus",
    "Interaction",
    "Kind",
    "OwnerChange",
    "OwnershipPeriod",
    "PoolRule",
    "Priority",
    "RealCustomer",
    "RecycleBatch",
    "ReservationState",
    "ReviewStatus",
    "RoleCategory",
    "SeaCustomer",
    "Sex",
    "ShippingMark",
    "Stage",
    "StagePeriod",
    "StagePolicy",
    "Stars",
    "Tag",
    "TemporaryCredit",
    "VisitPlan",
    "VisitStatus",
]
