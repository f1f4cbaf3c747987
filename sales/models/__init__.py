from sales.models.followups import FollowUp
from sales.models.leads import (
    OPEN,
    DevelopmentPlan,
    IntentLevel,
    Lead,
    LeadEnquiry,
    LeadPool,
    LeadStatus,
    LeadUserObjectPermission,
    PlanResult,
    PooledLead,
)

__all__ = [
    "OPEN",
    "DevelopmentPlan",
    "FollowUp",
    "IntentLevel",
    "Lead",
    "LeadEnquiry",
    "LeadPool",
    "LeadStatus",
    "LeadUserObjectPermission",
    "PlanResult",
    "PooledLead",
]
