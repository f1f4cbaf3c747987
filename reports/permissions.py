"""Policies of the reports and what the shipped roles may read."""

from crm import policies
from crm.roles import allow
from reports.models import ReportSummary, SalesTarget
from reports.policies import TargetPolicy

policies.shared(ReportSummary)
policies.register(SalesTarget, TargetPolicy(SalesTarget))

EVERYTHING = (
    "composition contribution lifecycle churn sea leads marketing activity funnel forecast ranking receipts service"
    " tracking"
)
allow("销售 销售主管 销售总监 审批人 审计 管理员", ReportSummary, EVERYTHING)
allow("财务", ReportSummary, "composition contribution marketing ranking receipts")
allow("市场", ReportSummary, "composition contribution lifecycle churn sea leads marketing activity funnel")
allow("客服", ReportSummary, "composition lifecycle churn activity service")
allow("服务专员", ReportSummary, "service")
allow("销售 财务 审批人", SalesTarget, "view")
allow("销售主管 销售总监 管理员", SalesTarget, "add change delete view import export")
allow("审计", SalesTarget, "view export")
