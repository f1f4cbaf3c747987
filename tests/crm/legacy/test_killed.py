"""A fastapi-crm load whose process is killed, in the closing of documents too, ends as one that was not."""

import pytest
from django.db import transaction

from benchmarks import fastapi
from crm import jobs
from crm.legacy import moves
from crm.models import BusinessLog, DictionaryItem, Job, LegacyLoad, LegacyRecord, User
from crm.policies import policy_for
from customers.models import Contact, Customer, Interaction, OwnershipPeriod, VisitPlan
from sales.models import (
    Contract,
    ContractItem,
    ContractVersion,
    FollowUp,
    Invoice,
    Lead,
    Opportunity,
    OpportunityItem,
    PaymentPlan,
    PaymentRecord,
    Quotation,
    QuotationItem,
)
from service.models import ReturnVisit, WorkOrder
from tests.crm.legacy.conftest import ddl
from tests.crm.legacy.test_fastapi import ODD, SYSTEM
from tests.crm.test_legacy_killed import die, left
from tests.factories import make

ROWS, CHUNK = 200, 15
READING = [("crm.legacy.sources", "_copy", 7), ("crm.legacy.staging.Staging", "settle", 30)]
LOADING = [  # what has just been done when the process dies, for the so-and-so-many-th time
    ("crm.legacy.load.Loader", "load", 12),
    ("crm.bulk.Insertion", "write", 6),
    ("sales.legacy.fastapi.FastapiLeads", "close", 2),
    ("crm.legacy.staging.Staging", "settle", 4),
    ("crm.jobs.run.Run", "_store", 5),
    ("sales.legacy.fastapi.FastapiQuotationLines", "close", 1),
    ("sales.legacy.fastapi.FastapiContractLines", "_note_deals", 1),
    ("sales.legacy.fastapi.FastapiContractLines", "close", 1),
    ("sales.legacy.fastapi.FastapiReceipts", "insert", 1),
    ("crm.legacy.report", "of", 1),
]
GRANTED = "content_object_id", "user__full_name", "permission__codename"
OURS = {
    Customer: ["name", "owner__full_name", "deal_status", "last_deal_at", "last_followed_at", "lock_version"],
    OwnershipPeriod: ["customer__name", "owner__full_name", "started_at", "ended_at"],
    Contact: ["customer__name", "name", "mobile", "is_default"],
    Interaction: ["customer__name", "content", "time", "author__full_name"],
    VisitPlan: ["customer__name", "purpose", "status"],
    Lead: ["name", "phone", "status", "customer__name", "owner__full_name", "lock_version"],
    FollowUp: ["content", "lead__name", "customer__name", "time"],
    Opportunity: ["name", "customer__name", "estimated_amount", "stage__name", "status"],
    OpportunityItem: ["opportunity__name", "product__name"],
    Quotation: ["number", "total_amount", "status", "lock_version"],
    QuotationItem: ["quotation__number", "name", "quantity", "amount"],
    Contract: ["number", "owner__full_name", "status", "total_amount", "received_amount", "invoiced_amount"],
    ContractItem: ["contract__number", "name", "quantity", "amount"],
    ContractVersion: ["contract__number", "version_no", "total_amount"],
    PaymentPlan: ["contract__number", "position", "amount", "received_amount", "status"],
    PaymentRecord: ["number", "contract__number", "amount", "plan__position"],
    Invoice: ["number", "contract__number", "amount", "payment__number"],
    WorkOrder: ["number", "title", "status", "customer__name"],
    ReturnVisit: ["customer__name", "status", "planned_at"],
    DictionaryItem: ["type", "label"],
    User: ["username", "full_name", "is_active"],
    LegacyRecord: ["table", "key", "outcome", "row", "notes", "content_type__model"],
    BusinessLog: ["content_type__model", "operation", "object_repr", "user_name", "version"],
    Customer.history.model: ["name", "lock_version", "history_type"],
    Contract.history.model: ["number", "lock_version", "history_type", "total_amount"],
    policy_for(Customer).grants: ["content_object__name", *GRANTED[1:]],
    policy_for(Lead).grants: ["content_object__name", *GRANTED[1:]],
    policy_for(Contract).grants: ["content_object__number", *GRANTED[1:]],
}


def begun(source) -> LegacyLoad:
    return moves.begin(source, by=User.objects.get(username="loader"), system=SYSTEM)


def confirmed(load) -> LegacyLoad:
    return moves.confirm(LegacyLoad.objects.get(pk=load.pk), by=User.objects.get(username="loader"))


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_it_ends_as_one_that_was_not_read_from_the_old_database(tmp_path, monkeypatch, old_database):
    monkeypatch.setattr("crm.legacy.load.CHUNK", CHUNK)
    make(User, username="loader", is_superuser=True)
    fastapi.dump(tmp_path / "dump.sql", ROWS, ddl(SYSTEM))
    source = old_database((tmp_path / "dump.sql").read_text(encoding="utf-8") + ODD)
    with transaction.atomic():
        load = begun(source)
        jobs.execute(load.job_id)
        foretold = LegacyLoad.objects.get(pk=load.pk).report
        load = confirmed(load)
        jobs.execute(load.job_id)
        whole = left(load, OURS)
        transaction.set_rollback(True)
    assert whole["state"] == LegacyLoad.State.LOADED and len(whole["ContractItem"]) > 10

    load = begun(source)
    die(load.job_id, READING, CHUNK)
    load = LegacyLoad.objects.get(pk=load.pk)
    assert load.report == foretold
    load = confirmed(load)
    die(load.job_id, LOADING, CHUNK)
    assert Job.objects.get(pk=load.job_id).attempt == len(LOADING) + 1
    killed = left(load, OURS)
    for what in whole:
        assert killed[what] == whole[what], what
