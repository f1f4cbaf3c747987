from crm.models.approvals import ApprovalDecision, ApprovalLevel, ApprovalPolicy, ApprovalRequest, ApprovalTask
from crm.models.attachments import AttachmentBase, AttachmentState
from crm.models.audit import BusinessLog, BusinessSource, Operation
from crm.models.base import OwnedRecord, Record, StaleRecord, Stamped
from crm.models.dictionary import DictionaryItem, DictionaryType
from crm.models.excel import ColumnMapping, ImportBatch, ImportRow, StoredFile
from crm.models.forms import SubmittedForm
from crm.models.history import Versions
from crm.models.jobs import Job
from crm.models.legacy import LegacyLoad, LegacyRecord
from crm.models.notifications import Notification
from crm.models.numbering import NumberCounter, NumberSeries
from crm.models.organization import (
    Company,
    CompanyPath,
    CompanyPathNode,
    Currency,
    Department,
    ExchangeRate,
    TreeRecord,
)
from crm.models.people import DataScope, Role, Side, User
from crm.models.search import SearchEntry

__all__ = [
    "ApprovalDecision",
    "ApprovalLevel",
    "ApprovalPolicy",
    "ApprovalRequest",
    "ApprovalTask",
    "AttachmentBase",
    "AttachmentState",
    "BusinessLog",
    "BusinessSource",
    "ColumnMapping",
    "Company",
    "CompanyPath",
    "CompanyPathNode",
    "Currency",
    "DataScope",
    "Department",
    "DictionaryItem",
    "DictionaryType",
    "ExchangeRate",
    "ImportBatch",
    "ImportRow",
    "Job",
    "LegacyLoad",
    "LegacyRecord",
    "Notification",
    "NumberCounter",
    "NumberSeries",
    "Operation",
    "OwnedRecord",
    "Record",
    "Role",
    "SearchEntry",
    "Side",
    "StaleRecord",
    "Stamped",
    "StoredFile",
    "SubmittedForm",
    "TreeRecord",
    "User",
    "Versions",
]
