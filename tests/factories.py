"""A valid row of every model: ``make(Customer, name="甲公司")`` says only what the test means.

A model without an entry in ``FACTORIES`` fails tests/contract/test_factories.py.
"""

from datetime import date, timedelta
from itertools import count

from django.contrib.contenttypes.models import ContentType
from django.utils import timezone

from crm.attachments import store
from crm.models import (
    ApprovalDecision,
    ApprovalLevel,
    ApprovalPolicy,
    ApprovalRequest,
    ApprovalTask,
    BusinessLog,
    ColumnMapping,
    Company,
    CompanyPath,
    CompanyPathNode,
    Department,
    DictionaryItem,
    ExchangeRate,
    ImportBatch,
    ImportRow,
    Job,
    Notification,
    NumberCounter,
    NumberSeries,
    Operation,
    Role,
    SearchEntry,
    Stamped,
    StoredFile,
    User,
)
from crm.secrets import Secret
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
    CustomerPath,
    Interaction,
    OwnershipPeriod,
    PoolRule,
    RealCustomer,
    RecycleBatch,
    RoleCategory,
    SeaCustomer,
    ShippingMark,
    Stage,
    StagePeriod,
    StagePolicy,
    Tag,
    TemporaryCredit,
    VisitPlan,
)
from sales.models import DevelopmentPlan, FollowUp, Lead, LeadEnquiry, LeadPool, PooledLead

_numbers = count(1)


def make(model, **values):
    """A saved ``model``; what ``values`` leave out is something valid that no other row has."""
    for name, value in FACTORIES[model](next(_numbers)).items():
        if name not in values:
            values[name] = value() if callable(value) else value
    m2m = {field.name: values.pop(field.name) for field in model._meta.many_to_many if field.name in values}
    obj = model._meta.concrete_model(**values)
    obj.save(**({"m2m": m2m} if issubclass(model, Stamped) else {}))
    return model._base_manager.get(pk=obj.pk) if model._meta.proxy else obj


def one(model, **values):
    """A factory of ``model`` for a column that must point somewhere."""
    return lambda: make(model, **values)


def lapsed_stage():
    """A stage without a policy: each has one from the start, so that the shipped one makes room."""
    StagePolicy.objects.filter(stage=Stage.LAPSED).delete()
    return Stage.LAPSED


def kept_file():
    """The name of a small file in the attachment store."""
    path = store.incoming()
    path.write_bytes(b"%PDF-1.4\n%%EOF\n")
    return store.place(path)


FACTORIES = {
    ApprovalDecision: lambda n: {"request": one(ApprovalRequest), "action": "submit", "user": one(User)},
    ApprovalLevel: lambda n: {"policy": one(ApprovalPolicy), "position": n, "name": f"级次{n}"},
    ApprovalPolicy: lambda n: {"kind": "customer.stage", "name": f"流程{n}", "min_amount": n},
    ApprovalRequest: lambda n: {
        "kind": "customer.stage",
        "target_type": lambda: ContentType.objects.get_for_model(Customer),
        "target_id": lambda: make(Customer).pk,
        "target_repr": f"客户{n}",
        "applicant": one(User),
        "values": {"from": "lead", "to": "ordinary"},
        "chain": [{"name": "部门主管", "approver": "manager", "role": None, "people": []}],
        "digest": f"{n:064}",
    },
    ApprovalTask: lambda n: {"request": one(ApprovalRequest), "level": 1, "user": one(User)},
    BusinessLog: lambda n: {
        "content_type": lambda: ContentType.objects.get_for_model(Tag),
        "object_id": n,
        "object_repr": f"标签{n}",
        "operation": Operation.UPDATE,
        "changes": {"name": [f"旧{n}", f"新{n}"]},
        "user": one(User),
        "user_name": f"操作人{n}",
    },
    Company: lambda n: {"name": f"公司{n}"},
    CompanyPath: lambda n: {"name": f"路径{n}"},
    CompanyPathNode: lambda n: {"path": one(CompanyPath), "company": one(Company)},
    ColumnMapping: lambda n: {"user": one(User), "resource": "customers.Customer", "shape": f"{n:064}"},
    Department: lambda n: {"name": f"部门{n}", "parent": one(Department, parent=None), "manager": one(User)},
    DictionaryItem: lambda n: {"type": "industry", "code": f"code{n}", "label": f"行业{n}"},
    ExchangeRate: lambda n: {"currency": "USD", "valid_from": date(2020, 1, 1) + timedelta(days=n), "rate": "7.1"},
    ImportBatch: lambda n: {
        "resource": "customers.Customer",
        "user": one(User),
        "file_name": f"文件{n}.xlsx",
        "state": ImportBatch.State.CHECKED,
    },
    ImportRow: lambda n: {"batch": one(ImportBatch), "number": n, "kind": ImportRow.Kind.NEW},
    Job: lambda n: {"kind": "import", "title": f"任务{n}", "user": one(User)},
    Notification: lambda n: {"user": one(User), "title": f"消息{n}", "key": f"key{n}"},
    NumberCounter: lambda n: {"series": one(NumberSeries), "period": ""},
    NumberSeries: lambda n: {"code": f"series{n}", "name": f"编号{n}", "pattern": "NO{seq:4}"},
    Role: lambda n: {"name": f"角色{n}"},
    SearchEntry: lambda n: {"id": n, "text": f"记录{n}"},
    StoredFile: lambda n: {
        "user": one(User),
        "name": f"文件{n}.xlsx",
        "file": f"file{n}",
        "expires_at": timezone.now() + timedelta(days=1),
    },
    User: lambda n: {
        "username": f"user{n}",
        "full_name": f"员工{n}",
        "is_staff": True,
        "password": "!",
        "department": one(Department, parent=None, manager=None),
    },
    ApiCredential: lambda n: {
        "customer": one(Customer),
        "app_id": f"app{n}",
        "app_secret": lambda: Secret.seal(f"app-secret-{n}"),
    },
    BankAccount: lambda n: {
        "customer": one(Customer),
        "bank": f"银行{n}",
        "account": f"{n:012}",
        "payee": one(Company),
    },
    CancelKey: lambda n: {
        "customer": one(Customer),
        "app_key": f"key{n}",
        "app_token": lambda: Secret.seal(f"app-token-{n}"),
    },
    Contact: lambda n: {"customer": one(Customer), "name": f"联系人{n}", "mobile": f"139{n:08}"},
    Customer: lambda n: {
        "name": f"客户{n}",
        "phone": f"138{n:08}",
        "owner": one(User),
        "level": one(DictionaryItem, type="level"),
        "industry": one(DictionaryItem, type="industry"),
        "area": one(DictionaryItem, type="area"),
        "real_customer": one(RealCustomer),
    },
    CustomerAttachment: lambda n: {
        "customer": one(Customer),
        "name": f"附件{n}.pdf",
        "kind": one(DictionaryItem, type="attachment_kind"),
        "extension": "pdf",
        "size": 15,
        "digest": f"{n:064}",
        "file": kept_file,
    },
    CustomerCategory: lambda n: {"name": f"分类{n}", "parent": one(CustomerCategory, parent=None)},
    CustomerLink: lambda n: {
        "customer": one(Customer),
        "linked": one(Customer),
        "type": one(DictionaryItem, type="link_type"),
    },
    CustomerPath: lambda n: {
        "customer": one(Customer),
        "scenario": one(DictionaryItem, type="path_scenario"),
        "path": one(CompanyPath),
    },
    CreditLimit: lambda n: {"customer": one(Customer), "currency": "CNY", "amount": "100000"},
    CreditReservation: lambda n: {
        "customer": one(Customer),
        "currency": "CNY",
        "amount": "100",
        "rate": "1",
        "source": "合同",
        "reference": f"HT{n:06}",
    },
    CreditRule: lambda n: {"rating": n, "max_amount": "1000000"},
    TemporaryCredit: lambda n: {
        "customer": one(Customer),
        "currency": "CNY",
        "amount": "5000",
        "valid_until": timezone.localdate() + timedelta(days=7),
        "reason": f"旺季备货{n}",
        "approved_by": one(User),
    },
    OwnershipPeriod: lambda n: {
        "customer": one(Customer),
        "owner": one(User),
        "former_owner": one(User),
        "next_owner": one(User),
        "started_at": timezone.now() - timedelta(days=n),
        "ended_at": timezone.now(),
        "ended": "transferred",
        "batch": one(RecycleBatch),
    },
    PoolRule: lambda n: {
        "level": one(DictionaryItem, type="level"),
        "category": one(CustomerCategory),
        "follow_days": 30,
        "deal_days": 90,
    },
    RealCustomer: lambda n: {"code": f"RC{n}", "name": f"真实客户{n}"},
    RecycleBatch: lambda n: {"day": date(2025, 1, 1) + timedelta(days=n), "count": n},
    RoleCategory: lambda n: {"role": one(Role), "category": one(CustomerCategory)},
    SeaCustomer: lambda n: {
        "name": f"公海客户{n}",
        "phone": f"135{n:08}",
        "level": one(DictionaryItem, type="level"),
        "industry": one(DictionaryItem, type="industry"),
        "area": one(DictionaryItem, type="area"),
    },
    ShippingMark: lambda n: {"customer": one(Customer), "content": f"唛头{n}"},
    StagePeriod: lambda n: {
        "customer": one(Customer),
        "stage": "lead",
        "next_stage": "ordinary",
        "started_at": timezone.now() - timedelta(days=n),
        "ended_at": timezone.now(),
    },
    StagePolicy: lambda n: {"stage": lapsed_stage},
    Interaction: lambda n: {
        "customer": one(Customer),
        "time": timezone.now() - timedelta(hours=n),
        "type": one(DictionaryItem, type="interaction_type"),
        "tag": one(DictionaryItem, type="interaction_tag"),
        "overview": f"概要{n}",
        "content": f"会话内容{n}",
        "author": one(User),
    },
    VisitPlan: lambda n: {
        "customer": one(Customer),
        "time": timezone.now() + timedelta(hours=n),
        "purpose": f"拜访目的{n}",
        "created_by": one(User),
    },
    Tag: lambda n: {"name": f"标签{n}"},
    DevelopmentPlan: lambda n: {"lead": one(Lead), "content": f"计划{n}", "date": date(2025, 1, 1) + timedelta(days=n)},
    FollowUp: lambda n: {
        "lead": None,
        "customer": one(Customer),
        "time": timezone.now() - timedelta(hours=n),
        "type": one(DictionaryItem, type="follow_up_type"),
        "content": f"跟进内容{n}",
        "next_time": timezone.now() + timedelta(hours=n),
        "next_content": f"下次跟进内容{n}",
        "author": one(User),
    },
    Lead: lambda n: {
        "name": f"线索{n}",
        "phone": f"137{n:08}",
        "pool": one(LeadPool),
        "owner": one(User),
        "source": one(DictionaryItem, type="source"),
    },
    LeadEnquiry: lambda n: {
        "lead": one(Lead),
        "name": f"来询人{n}",
        "source": one(DictionaryItem, type="source"),
        "created_by": one(User),
    },
    LeadPool: lambda n: {"name": f"线索池{n}"},
    PooledLead: lambda n: {
        "name": f"待领线索{n}",
        "phone": f"136{n:08}",
        "pool": one(LeadPool),
        "source": one(DictionaryItem, type="source"),
    },
}
