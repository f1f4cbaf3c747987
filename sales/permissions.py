"""Policies of the sales room and what the shipped roles may do in it."""

from crm import policies
from crm.roles import allow
from crm.text import mask_phone
from sales.models import (
    Contract,
    ContractAttachment,
    ContractItem,
    ContractUserObjectPermission,
    ContractVersion,
    DevelopmentPlan,
    FollowUp,
    Invoice,
    InvoiceAttachment,
    Lead,
    LeadEnquiry,
    LeadPool,
    LeadUserObjectPermission,
    MarketingActivity,
    Opportunity,
    OpportunityItem,
    OpportunityStage,
    OpportunityStagePeriod,
    OpportunityUserObjectPermission,
    Order,
    OrderItem,
    PaymentAttachment,
    PaymentPlan,
    PaymentRecord,
    PooledLead,
    PrintTemplate,
    Product,
    ProductCategory,
    Quotation,
    QuotationItem,
    SmsCampaign,
    SmsDelivery,
    SmsOptOut,
    SmsRule,
    SmsTemplate,
)
from sales.policies import (
    KEEP,
    ContractPolicy,
    DocumentPolicy,
    LeadPolicy,
    LeadPoolPolicy,
    LinePolicy,
    PooledLeadPolicy,
    SmsCampaignPolicy,
)

policies.register(LeadPool, LeadPoolPolicy(LeadPool))
policies.register(Lead, LeadPolicy(Lead, grants=LeadUserObjectPermission))
policies.register(
    PooledLead,
    PooledLeadPolicy(
        PooledLead,
        fields=["name", "phone", "source", "overview", "pool", "created_at"],
        masks={"phone": mask_phone},
    ),
)
for model in (DevelopmentPlan, LeadEnquiry):
    policies.child(model, of="lead")
policies.register(
    FollowUp,
    policies.EitherPolicy(
        FollowUp,
        of=("lead", "customer", "opportunity"),
        also_read=("lead__customer", "opportunity__customer"),
    ),
)

for model in (ProductCategory, OpportunityStage):
    policies.shared(model)
policies.shared(Product, hidden={"cost_price": "sales.cost_product"})
policies.owned(Opportunity, grants=OpportunityUserObjectPermission)
for model in (OpportunityItem, OpportunityStagePeriod):
    policies.child(model, of="opportunity")
for model in (Quotation, Order):
    policies.register(model, DocumentPolicy(model, of="customer"))
policies.register(Contract, ContractPolicy(Contract, grants=ContractUserObjectPermission))
policies.register(QuotationItem, LinePolicy(QuotationItem, of="quotation__customer", document="quotation"))
policies.register(OrderItem, LinePolicy(OrderItem, of="order__customer", document="order"))
policies.register(ContractItem, LinePolicy(ContractItem, of="contract", document="contract"))
for model in (ContractAttachment, PaymentPlan):
    policies.child(model, of="contract", writes_with=KEEP)
policies.child(ContractVersion, of="contract")
policies.shared(PrintTemplate)
RECEIPT_OF = ("contract", "order__customer")
policies.register(PaymentRecord, policies.EitherPolicy(PaymentRecord, of=RECEIPT_OF, writes_with="view"))
policies.register(
    PaymentAttachment,
    policies.EitherPolicy(PaymentAttachment, of=tuple(f"payment__{path}" for path in RECEIPT_OF), writes_with="view"),
)
policies.child(Invoice, of="contract", writes_with="view")
policies.child(InvoiceAttachment, of="invoice__contract", writes_with="view")
for model in (MarketingActivity, SmsTemplate, SmsRule, SmsOptOut):
    policies.shared(model)
policies.register(SmsCampaign, SmsCampaignPolicy(SmsCampaign))
# the text may name the contact
policies.child(
    SmsDelivery, of="customer", hidden={"phone": "customers.view_contact", "content": "customers.view_contact"}
)

SELLERS = "销售 销售主管 销售总监"
allow(SELLERS, Lead, "add change view import export share release convert")
allow("销售主管 销售总监", Lead, "assign delete")
allow("市场", Lead, "add change view import export assign release")
allow("客服", Lead, "add view")
allow("审批人", Lead, "view")
allow("审计", Lead, "view export")
allow("管理员", Lead, "add change delete view import export assign share release convert")
allow(SELLERS + " 管理员", PooledLead, "view claim")
allow("市场 客服 审计", PooledLead, "view")
allow(SELLERS + " 客服 审批人 审计", LeadPool, "view")
allow("市场 管理员", LeadPool, "add change delete view")
allow(SELLERS + " 市场 管理员", DevelopmentPlan, "add change delete view")
allow("客服 审批人 审计", DevelopmentPlan, "view")
allow(SELLERS + " 市场 客服 审批人 审计 管理员", LeadEnquiry, "view")
allow(SELLERS + " 管理员", FollowUp, "add change delete view import export")
allow("市场", FollowUp, "add change view")
allow("客服 审批人", FollowUp, "view")
allow("审计", FollowUp, "view export")

EVERYBODY = SELLERS + " 客服 财务 市场 审批人 审计"
for model in (ProductCategory, OpportunityStage):
    allow(EVERYBODY, model, "view")
allow("市场 管理员", ProductCategory, "add change delete view import export")
allow("管理员", OpportunityStage, "add change delete view")
allow(EVERYBODY, Product, "view")
allow("市场 管理员", Product, "add change delete view import export")
allow("销售总监 财务 管理员", Product, "cost export")
allow(SELLERS, Opportunity, "add change view import export share")
allow("销售主管 销售总监", Opportunity, "assign delete")
allow("市场 客服 财务 审批人", Opportunity, "view")
allow("审计", Opportunity, "view export")
allow("管理员", Opportunity, "add change delete view import export assign share")
allow(SELLERS + " 管理员", OpportunityItem, "add change delete view")
allow("市场 客服 财务 审批人 审计", OpportunityItem, "view")
allow(EVERYBODY + " 管理员", OpportunityStagePeriod, "view")
for model in (Quotation, Order):
    allow(SELLERS + " 管理员", model, "add change delete view import export")
    allow("客服 财务 审批人", model, "view")
    allow("审计", model, "view export")
allow(SELLERS + " 管理员", Quotation, "decide")
allow(SELLERS + " 管理员", Order, "confirm cancel")
allow(SELLERS, Contract, "add change view import export share sign amend")
allow("销售主管 销售总监", Contract, "assign delete terminate")
allow("客服", Contract, "view")
allow("财务 审批人", Contract, "view export")
allow("审计", Contract, "view export")
allow("管理员", Contract, "add change delete view import export assign share sign amend terminate")
for model in (QuotationItem, OrderItem, ContractItem):
    allow(SELLERS + " 管理员", model, "add change delete view")
    allow("客服 财务 审批人 审计", model, "view")
allow(SELLERS + " 客服 财务 审批人 审计 管理员", ContractVersion, "view")
allow("审计", PrintTemplate, "view")
allow("管理员", PrintTemplate, "add change delete view")
allow(SELLERS + " 管理员", ContractAttachment, "add change delete view")
allow("客服 财务 审批人 审计", ContractAttachment, "view")
allow(SELLERS + " 管理员", PaymentPlan, "add change delete view import export")
allow("财务", PaymentPlan, "view export")
allow("财务 管理员", PaymentRecord, "add change view import export void")
allow("财务 管理员", Invoice, "add change view import export void")
for model in (PaymentRecord, Invoice):
    allow(SELLERS + " 审批人", model, "view")
    allow("销售主管 销售总监", model, "export")
    allow("审计", model, "view export")
allow("审批人 审计", PaymentPlan, "view")
for model in (PaymentAttachment, InvoiceAttachment):
    allow("财务 管理员", model, "add change delete view")
    allow(SELLERS + " 审批人 审计", model, "view")

allow("市场 管理员", MarketingActivity, "add change delete view import export")
allow("销售总监", MarketingActivity, "add change view export")
allow("销售 销售主管 客服 财务 审批人", MarketingActivity, "view")
allow("审计", MarketingActivity, "view export")
allow("市场 管理员", SmsTemplate, "add change delete view")
allow(SELLERS + " 客服 审计", SmsTemplate, "view")
allow("市场 管理员", SmsRule, "change view")
allow("销售主管 销售总监 审计", SmsRule, "view")
allow("市场 管理员", SmsOptOut, "add change delete view import export")
allow("客服", SmsOptOut, "add view")
allow("审计", SmsOptOut, "view export")
allow("市场 销售主管 销售总监 管理员", SmsCampaign, "add change delete view send")
allow("销售 客服 审计", SmsCampaign, "view")
allow(SELLERS + " 市场 客服 审计 管理员", SmsDelivery, "view")
allow("市场 销售总监 审计 管理员", SmsDelivery, "export")
