from customers.models.accounts import (
    BUSINESS_TYPES,
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
from customers.models.contacts import BankAccount, Contact, Sex, ShippingMark

__all__ = [
    "BUSINESS_TYPES",
    "BankAccount",
    "Contact",
    "Customer",
    "CustomerCategory",
    "CustomerLink",
    "CustomerUserObjectPermission",
    "DealStatus",
    "Kind",
    "RealCustomer",
    "ReviewStatus",
    "Sex",
    "ShippingMark",
    "Stage",
    "Stars",
    "Tag",
]
