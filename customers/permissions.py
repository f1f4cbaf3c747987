"""Policies of the customer room and what the shipped roles may do in it."""

from crm import policies
from crm.models import DataScope
from crm.policies import ChildPolicy, OwnedPolicy, ProjectionPolicy
from crm.roles import allow
from crm.text import mask_phone
from customers.models import (
    ApiCredential,
    BankAccount,
    CancelKey,
    Contact,
    CreditLimit,
    CreditReservation,
    CreditRule,
    Customer,
    CustomerAttachment,
    CustomerCategory,
    CustomerLink,
    CustomerMerge,
    CustomerPath,
    CustomerUserObjectPermission,
    Interaction,
    OwnershipPeriod,
    PoolRule,
    RealCustomer,
    RecycleBatch,
    RoleCategory,
    SeaCustomer,
    ShippingMark,
    StagePeriod,
    StagePolicy,
    Tag,
    TemporaryCredit,
    VisitPlan,
)
from customers.services import changes
from customers.services.categories import limits_of_roles
from customers.services.rulebook import IN_PLAY, Rulebook


class ControlledPolicy(ChildPolicy):
    """Parts that follow their customer and, once it is approved, change only by request (``services.changes``).

    The customer's own page may still edit them: what is saved there becomes a request.
    """

    def visible_to(self, user, action="view"):
        rows = super().visible_to(user, action)
        if action in ("view", "export") or policies.policy_for(Customer).allows(user, "revise"):
            return rows
        return rows.exclude(**{f"{self.path}__review_status__in": changes.UNDER_CONTROL})

    def may_add_to(self, user, root):
        return super().may_add_to(user, root) and not changes.is_controlled(root.review_status, user)


class CustomerPolicy(OwnedPolicy):
    """Only owners and their managers give a customer up, or keep it from being recycled."""

    rights = OwnedPolicy.rights | {"release": "delete", "protect": "delete"}


class SeaPolicy(ProjectionPolicy):
    """Customers without owner, as far as the rules open them to a person's department.

    All of the sea is shown to whoever sees all data.
    """

    def reach(self, rows, user, action):
        rows = rows.filter(owner=None, **IN_PLAY)
        if user.is_superuser or (action == "view" and self.scope(user, "view") == DataScope.ALL):
            return rows
        return self.open_to(rows, user)

    def open_to(self, rows, user):
        closed = Rulebook().closed_to(user)
        return rows if closed is None else rows.exclude(closed)


policies.register(Customer, CustomerPolicy(Customer, grants=CustomerUserObjectPermission))
policies.register(
    SeaCustomer,
    SeaPolicy(
        SeaCustomer,
        fields=["name", "short_name", "phone", "industry", "area", "level", "owned_since"],
        masks={"phone": mask_phone},
    ),
)
policies.child(CustomerMerge, of="survivor")
for model in (PoolRule, RecycleBatch):
    policies.shared(model)
FREE_PARTS, CONTROLLED_PARTS = (Contact, ShippingMark, CustomerLink), (BankAccount, CustomerPath)
PARTS = FREE_PARTS + CONTROLLED_PARTS
for model in (*FREE_PARTS, StagePeriod, OwnershipPeriod):
    policies.child(model, of="customer")
for model in CONTROLLED_PARTS:
    policies.register(model, ControlledPolicy(model, of="customer"))
CREDENTIALS = (ApiCredential, CancelKey)
for model in (CustomerAttachment, *CREDENTIALS):
    policies.child(model, of="customer")
ACTIVITIES = (Interaction, VisitPlan)
for model in ACTIVITIES:
    policies.child(model, of="customer")
SHARED = (RealCustomer, CustomerCategory, Tag)
policies.shared(StagePolicy)
for model in SHARED:
    policies.shared(model)


class LimitPolicy(ChildPolicy):
    """Limits are written by those with the right to set them, for any customer they see: finance does not edit it.

    Whoever may only add, change and delete proposes them on the page of an approved customer.
    """

    def visible_to(self, user, action="view"):
        if action not in ("view", "export") and not self.allows(user, "set"):
            return self.model._default_manager.none()
        return super().visible_to(user, action)

    def may_add_to(self, user, root):
        return self.allows(user, "set") and super().may_add_to(user, root)


policies.register(CreditLimit, LimitPolicy(CreditLimit, of="customer", writes_with="view"))
for model in (TemporaryCredit, CreditReservation):
    policies.child(model, of="customer", writes_with="view")
policies.shared(CreditRule)


class RoleCategoryPolicy(policies.SharedPolicy):
    """Nobody whose own reach is narrowed changes what narrows it."""

    def scope(self, user, action):
        scope = super().scope(user, action)
        if scope is None or action == "view" or user.is_superuser:
            return scope
        return None if policies.row_limits(user, Customer) else scope


policies.register(RoleCategory, RoleCategoryPolicy(RoleCategory))
policies.ROW_LIMITS.add("categories", limits_of_roles)

SELLERS = "销售 销售主管 销售总监"
allow(SELLERS, Customer, "add change view import export share release protect")
allow("销售主管 销售总监", Customer, "assign delete merge")
allow("审批人", Customer, "view review export")
allow("客服 财务 市场 审计", Customer, "view export")
allow("管理员", Customer, "add change delete view import export assign share review revise release protect merge")
for model in PARTS:
    allow(SELLERS + " 管理员", model, "add change delete view")
    allow("审批人 审计", model, "view")
for model in (Contact, BankAccount, ShippingMark, CustomerPath):
    allow(SELLERS + " 管理员", model, "import export")
    allow("审批人 审计", model, "export")
for model in (Contact, ShippingMark):
    allow("客服 财务 市场", model, "view")
for model in ACTIVITIES:
    allow(SELLERS + " 管理员", model, "add change delete view import export")
    allow("客服 市场 审批人", model, "view")
    allow("审计", model, "view export")
allow("财务", BankAccount, "view")
allow("财务", CustomerPath, "view export")
allow(SELLERS, CreditLimit, "add change delete view")
allow("审批人 审计", CreditLimit, "view")
allow("审批人 审计", CreditLimit, "export")
allow("财务 管理员", CreditLimit, "set add change delete view import export")
allow("财务 管理员", TemporaryCredit, "add change delete view export")
allow("财务 管理员", CreditReservation, "change view export")
for model in (TemporaryCredit, CreditReservation):
    allow(SELLERS + " 审批人 审计", model, "view")
allow("审批人 审计", CreditRule, "view")
allow("财务 管理员", CreditRule, "add change view")
allow("管理员", RoleCategory, "add change delete view")
allow("审计", RoleCategory, "view")
for model in SHARED:
    allow(SELLERS + " 客服 财务 市场 审批人 审计", model, "view")
    allow("管理员", model, "add change delete view import export")
allow("市场 销售总监", Tag, "add change")
allow(SELLERS + " 客服 财务 市场 审批人 审计 管理员", StagePeriod, "view")
allow("销售总监 审批人 审计 管理员", StagePeriod, "export")
allow("审批人 审计 管理员", StagePolicy, "view")
allow("管理员", StagePolicy, "change")
allow(SELLERS + " 管理员", CustomerAttachment, "add change delete view")
allow("客服 财务 审批人 审计", CustomerAttachment, "view")
for model in CREDENTIALS:
    allow("管理员", model, "add change delete view")
    allow("审计", model, "view")
allow("管理员", ApiCredential, "reveal")
allow(SELLERS + " 客服 财务 市场 审批人 审计 管理员", OwnershipPeriod, "view")
allow(SELLERS + " 管理员", SeaCustomer, "view claim")
allow("销售主管 销售总监 市场 管理员", SeaCustomer, "view assign reveal")
allow("客服 审计", SeaCustomer, "view")
allow("市场 审计 销售主管 销售总监", PoolRule, "view")
allow("管理员", PoolRule, "add change delete view")
allow("销售总监 审计", RecycleBatch, "view")
allow("管理员", RecycleBatch, "view undo")
allow("销售主管 销售总监 管理员", CustomerMerge, "view undo")
allow("审计", CustomerMerge, "view")
