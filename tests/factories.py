"""A valid row of every model: ``make(Customer, name="甲公司")`` says only what the test means.

A model without an entry in ``FACTORIES`` fails tests/contract/test_factories.py.
"""

from datetime import date, time, timedelta
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
    LegacyLoad,
    LegacyRecord,
    Notification,
    NumberCounter,
    NumberSeries,
    Operation,
    Role,
    SearchEntry,
    Stamped,
    StoredFile,
    SubmittedForm,
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
    CustomerMerge,
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
from customers.tracking.models import (
    Alert,
    AlertRule,
    ApiCall,
    Reply,
    Rollup,
    StaleDay,
    Trace,
    TraceCount,
    UsedNonce,
)
from reports.models import ReportSummary, SalesTarget
from sales.models import (
    Contract,
    ContractAttachment,
    ContractItem,
    ContractVersion,
    DevelopmentPlan,
    FollowUp,
    Invoice,
    InvoiceAttachment,
    Lead,
    LeadEnquiry,
    LeadPool,
    MarketingActivity,
    Opportunity,
    OpportunityItem,
    OpportunityStage,
    OpportunityStagePeriod,
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
    TemplateType,
)
from service.models import (
    ChurnRule,
    CustomerLoss,
    DispatchRule,
    RetentionMeasure,
    ReturnVisit,
    ReturnVisitRule,
    ServiceTarget,
    SpecialDay,
    WorkingPeriod,
    WorkOrder,
    WorkOrderAttachment,
    WorkOrderEntry,
)

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


def spare_priority():
    """A priority without a target: each has one from the start, so that a shipped one makes room."""
    ServiceTarget.objects.filter(priority="low").delete()
    return "low"


def marketing_rule():
    """A type of message without a rule: each has one from the start, so that the shipped one makes room."""
    SmsRule.objects.filter(type=TemplateType.MARKETING).delete()
    return TemplateType.MARKETING


def kept_file():
    """The name of a small file in the attachment store."""
    path = store.incoming()
    path.write_bytes(b"%PDF-1.4\n%%EOF\n")
    return store.place(path)


def attachment(n):
    """What every kind of attachment needs."""
    return {
        "name": f"附件{n}.pdf",
        "kind": one(DictionaryItem, type="attachment_kind"),
        "extension": "pdf",
        "size": 15,
        "digest": f"{n:064}",
        "file": kept_file,
    }


def line(n):
    """What every document line needs: two pieces at 50."""
    return {"product": one(Product), "name": f"明细{n}", "quantity": "2", "unit": "台", "unit_price": "50"}


FACTORIES = {
    Alert: lambda n: {
        "rule": one(AlertRule),
        "actor": one(User),
        "hour": timezone.now() - timedelta(hours=n),
        "count": n,
    },
    AlertRule: lambda n: {"name": f"规则{n}", "watch": "views", "limit": n},
    ApiCall: lambda n: {
        "method": "POST",
        "path": f"/api/orders/{n}/cancel",
        "app_key": f"ck{n}",
        "customer": one(Customer),
        "status": 200,
        "code": "ok",
    },
    Reply: lambda n: {
        "customer": one(Customer),
        "idempotency_key": f"key{n}",
        "digest": f"{n:064}",
        "status": 200,
        "body": {},
    },
    Rollup: lambda n: {"until": timezone.now()},
    StaleDay: lambda n: {"day": timezone.localdate() - timedelta(days=n)},
    Trace: lambda n: {
        "kind": "view",
        "event": f"查看客户{n}",
        "customer": one(Customer),
        "actor": one(User),
        "user_name": f"操作人{n}",
    },
    TraceCount: lambda n: {
        "hour": timezone.now() - timedelta(hours=n),
        "actor": one(User),
        "kind": "view",
        "count": n,
    },
    UsedNonce: lambda n: {"key": one(CancelKey), "nonce": f"nonce{n}"},
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
    LegacyLoad: lambda n: {"system": "java-crm", "source": f"旧库{n}.sql", "user": one(User)},
    LegacyRecord: lambda n: {
        "load": one(LegacyLoad),
        "system": "java-crm",
        "table": "t_customer",
        "key": f"{n}",
        "outcome": "refused",
    },
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
    SubmittedForm: lambda n: {"key": f"form{n}", "content_type": lambda: ContentType.objects.get_for_model(Tag)},
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
    CustomerMerge: lambda n: {
        "survivor": one(Customer),
        "loser": one(Customer),
        "loser_name": f"并入{n}",
        "kept": {"values": {}, "derived": {}, "added": {}, "team": {}, "loser": {"owner": None, "version": 0}},
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
        "opportunity": None,
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
    Contract: lambda n: {
        "name": f"合同{n}",
        "customer": one(Customer),
        "owner": one(User),
        "company": one(Company),
        "total_amount": "1000000",
        "end_date": date(2030, 1, 1) + timedelta(days=n),
    },
    ContractAttachment: lambda n: {"contract": one(Contract), **attachment(n)},
    ContractItem: lambda n: {"contract": one(Contract), **line(n)},
    ContractVersion: lambda n: {
        "contract": one(Contract),
        "version_no": n,
        "content": {"fields": {"name": f"合同{n}"}, "items": [{"id": n, "name": f"明细{n}", "amount": "100.00"}]},
        "total_amount": "100",
    },
    Invoice: lambda n: {
        "number": f"{n:08}",
        "contract": one(Contract),
        "amount": "100",
        "title": f"抬头{n}",
        "tax_no": f"9144{n:014}",
    },
    InvoiceAttachment: lambda n: {"invoice": one(Invoice), **attachment(n)},
    Opportunity: lambda n: {
        "name": f"商机{n}",
        "customer": one(Customer),
        "owner": one(User),
        "stage": one(OpportunityStage),
        "estimated_amount": "50000",
    },
    OpportunityItem: lambda n: {"opportunity": one(Opportunity), "product": one(Product), "unit_price": "10"},
    OpportunityStage: lambda n: {"name": f"阶段{n}", "probability": 20},
    OpportunityStagePeriod: lambda n: {
        "opportunity": one(Opportunity),
        "stage": one(OpportunityStage),
        "next_stage": one(OpportunityStage),
        "started_at": timezone.now() - timedelta(days=n),
        "ended_at": timezone.now(),
    },
    Order: lambda n: {"customer": one(Customer), "address": f"收货地址{n}", "total_amount": "1000000"},
    OrderItem: lambda n: {"order": one(Order), **line(n)},
    PaymentAttachment: lambda n: {"payment": one(PaymentRecord), **attachment(n)},
    PaymentPlan: lambda n: {
        "contract": one(Contract),
        "position": n,
        "amount": "100",
        "date": date(2025, 1, 1) + timedelta(days=n),
        "term": f"条件{n}",
    },
    PaymentRecord: lambda n: {
        "contract": one(Contract),
        "order": None,
        "amount": "100",
        "method": one(DictionaryItem, type="payment_method"),
        "bank_flow": f"流水{n}",
    },
    PrintTemplate: lambda n: {
        "kind": "contract",
        "name": f"模板{n}",
        "body": f"<p>第{n}种 {{{{ number }}}}</p>",
        "is_active": False,  # an active one is read by whoever prints
    },
    Product: lambda n: {
        "name": f"产品{n}",
        "category": one(ProductCategory),
        "specification": f"规格{n}",
        "unit": "台",
        "price": "100",
        "cost_price": "60",
    },
    ProductCategory: lambda n: {"name": f"产品分类{n}", "parent": one(ProductCategory, parent=None)},
    Quotation: lambda n: {"customer": one(Customer), "terms": f"条款{n}"},
    QuotationItem: lambda n: {"quotation": one(Quotation), **line(n)},
    ChurnRule: lambda n: {"level": one(DictionaryItem, type="level"), "idle_months": 6, "remark": f"说明{n}"},
    CustomerLoss: lambda n: {
        "customer": one(Customer),
        "last_order_date": date(2024, 1, 1) + timedelta(days=n),
        "warned_on": date(2025, 1, 1) + timedelta(days=n),
        "warning": f"预警{n}",
    },
    DispatchRule: lambda n: {
        "type": one(DictionaryItem, type="work_order_type"),
        "people": lambda: [make(User, groups=[Role.objects.get(name="服务专员")])],
    },
    RetentionMeasure: lambda n: {
        "loss": one(CustomerLoss),
        "content": f"措施{n}",
        "effect": f"效果{n}",
        "author": one(User),
    },
    ReturnVisit: lambda n: {
        "customer": one(Customer),
        "planned_at": timezone.now() + timedelta(hours=n),
        "content": f"回访内容{n}",
        "created_by": one(User),
    },
    ReturnVisitRule: lambda n: {"trigger": "signed", "days": n % 3650 + 1},
    ServiceTarget: lambda n: {
        "priority": spare_priority,
        "response_hours": "8",
        "resolution_hours": "40",
        "warn_hours": "4",
    },
    SpecialDay: lambda n: {"date": date(2030, 1, 1) + timedelta(days=n), "name": f"厂庆{n}"},
    WorkOrder: lambda n: {
        "customer": one(Customer),
        "owner": one(User),
        "type": one(DictionaryItem, type="work_order_type"),
        "title": f"工单{n}",
        "content": f"问题{n}",
        "priority": "normal",
        "due_at": timezone.now() + timedelta(hours=n),
        "warn_at": timezone.now(),
        "created_by": one(User),
    },
    WorkOrderAttachment: lambda n: {"work_order": one(WorkOrder), **attachment(n)},
    WorkOrderEntry: lambda n: {
        "work_order": one(WorkOrder),
        "content": f"处理{n}",
        "time": timezone.now() - timedelta(hours=n),
        "author": one(User),
    },
    # five minutes each, in the evening: they overlap neither one another nor the shipped ones
    WorkingPeriod: lambda n: {
        "start": time(19 + n % 48 // 12, n % 12 * 5),
        "end": time(19 + n % 48 // 12, n % 12 * 5 + 4),
    },
    MarketingActivity: lambda n: {
        "name": f"活动{n}",
        "type": one(DictionaryItem, type="activity_type"),
        "start_time": timezone.now() - timedelta(days=n),
        "end_time": timezone.now(),
        "manager": one(User),
    },
    SmsCampaign: lambda n: {
        "name": f"短信活动{n}",
        "template": one(SmsTemplate),
        "activity": one(MarketingActivity),
        "sender": one(User),
    },
    SmsDelivery: lambda n: {
        "campaign": one(SmsCampaign),
        "customer": one(Customer),
        "phone": f"134{n:08}",
        "phone_key": f"+86134{n:08}",
        "content": f"短信内容{n}",
    },
    SmsOptOut: lambda n: {"phone": f"133{n:08}"},
    SmsRule: lambda n: {"type": marketing_rule},
    SmsTemplate: lambda n: {
        "name": f"短信模板{n}",
        "type": TemplateType.NOTICE,
        "signature": "客源",
        "content": f"货物{n}已发出",
    },
    ReportSummary: lambda n: {
        "key": f"{n:064}",
        "report": "composition",
        "query": "",
        "data": {},
        "counted_at": timezone.now(),
        "used_at": timezone.now(),
        "seconds": 1,
    },
    SalesTarget: lambda n: {
        "month": date(2020 + n // 12 % 80, n % 12 + 1, 1),
        "person": one(User),
        "department": None,
        "amount": "100000",
    },
}
