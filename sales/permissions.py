"""Policies of the sales room and what the shipped roles may do in it."""

from crm import policies
from crm.roles import allow
from crm.text import mask_phone
from sales.models import DevelopmentPlan, FollowUp, Lead, LeadEnquiry, LeadPool, LeadUserObjectPermission, PooledLead
from sales.policies import LeadPolicy, LeadPoolPolicy, PooledLeadPolicy

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
policies.register(FollowUp, policies.EitherPolicy(FollowUp, of=("lead", "customer"), also_read=("lead__customer",)))

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
