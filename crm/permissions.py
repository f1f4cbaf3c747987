"""Policies of the kernel's models and what the shipped roles may do with them."""

from crm import policies
from crm.approvals.rows import RequestPolicy
from crm.models import (
    ApprovalLevel,
    ApprovalPolicy,
    ApprovalRequest,
    BusinessLog,
    Company,
    CompanyPath,
    CompanyPathNode,
    Department,
    DictionaryItem,
    ExchangeRate,
    ImportBatch,
    Job,
    LegacyLoad,
    Notification,
    NumberSeries,
    Role,
    StoredFile,
    User,
)
from crm.roles import allow

SETTINGS = (Company, CompanyPath, CompanyPathNode, Department, DictionaryItem, ExchangeRate)

policies.register(User, policies.AccountPolicy(User))
for model in (*SETTINGS, ApprovalPolicy, ApprovalLevel, NumberSeries, Role):
    policies.shared(model)
for model in (Job, Notification, StoredFile):
    policies.personal(model)
policies.register(ImportBatch, policies.ImportPolicy(ImportBatch))
policies.shared(LegacyLoad)
policies.register(BusinessLog, policies.LogPolicy(BusinessLog))
policies.register(ApprovalRequest, RequestPolicy(ApprovalRequest))

EVERYBODY = "销售 销售主管 销售总监 客服 财务 市场 审批人 审计 管理员"
for model in SETTINGS:
    allow("管理员", model, "add change delete view")
    allow("审计", model, "view")
for model in (Department, DictionaryItem):
    allow("管理员", model, "import export")
    allow("审计", model, "export")
allow("财务", ExchangeRate, "add change view")
allow("管理员", User, "add change view import export")
allow("管理员", Role, "add change delete view")
allow("管理员", NumberSeries, "change view")
allow("管理员", Job, "schedule")
allow("管理员", LegacyLoad, "add view")
allow("审计", LegacyLoad, "view")
allow("审计", User, "view export")
allow("审计", Role, "view")
allow("审计 管理员", BusinessLog, "view export")
allow("销售主管 销售总监 审批人", BusinessLog, "view")
for model in (ApprovalPolicy, ApprovalLevel):
    allow("管理员", model, "add change delete view")
    allow("审计", model, "view")
allow("管理员", ApprovalRequest, "reassign")
