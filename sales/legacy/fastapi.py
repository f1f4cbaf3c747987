"""Leads, selling, money and marketing of fastapi-crm. Source: document 001, tables 3, 4, 8 and 11–23."""

import re
from collections import Counter
from decimal import Decimal

from django.db.models import Max, Sum
from django.utils import timezone

from crm import audit, bulk, text
from crm.legacy import convert
from crm.legacy.tables import Table, table, table_named
from crm.models import LegacyRecord
from customers.models import Customer, Tag
from sales.legacy.java import pool_for
from sales.models import (
    CampaignStatus,
    Contract,
    ContractItem,
    ContractStatus,
    ContractVersion,
    FollowUp,
    Invoice,
    Lead,
    LeadPool,
    LeadStatus,
    MarketingActivity,
    Opportunity,
    OpportunityItem,
    OpportunityStage,
    OpportunityStatus,
    PaidState,
    PaymentPlan,
    PaymentRecord,
    Product,
    ProductCategory,
    Quotation,
    QuotationItem,
    QuotationStatus,
    SmsCampaign,
    SmsTemplate,
    cents,
    totals_later,
)
from sales.services.contracts import HEAD, LINE

SYSTEM = "fastapi-crm"
MIGRATED = "旧系统迁入"


def changed_at(item, otherwise=None):
    """When the old row was last changed: the nearest there is to when it came into its present state."""
    return convert.moment_or_none(item.get("updated_at")) or item.values.get("created_at") or otherwise


# --- Leads -----------------------------------------------------------------------------------------------------------


@table(SYSTEM, "crm_lead_pool", order=15, by="name")
class FastapiLeadPools(Table):
    """Pools by name. A private one has no members yet."""

    model = LeadPool
    required = ("name",)


@table(SYSTEM, "crm_lead", order=27, closes="crm_customer")
class FastapiLeads(Table):
    """Leads by phone. One whose pool is gone waits in a pool of its own."""

    model = Lead
    required = ("name",)

    def adjust(self, item, context):
        values = item.values
        values.setdefault("name", values.get("company") or values.get("phone", ""))
        if "pool" not in values:
            values["pool"] = pool_for(context)
        values.setdefault("status", LeadStatus.NEW)
        if values["status"] == LeadStatus.INVALID:
            values["invalid_reason"] = "旧系统里已失效"
        if values.get("owner"):
            values["assigned_at"] = values.get("created_at")
        if values["status"] == LeadStatus.CONVERTED:
            values["converted_at"] = changed_at(item)

    def close(self, ids, context):
        """``source_lead_id`` of a customer is read backwards: the lead knows what it became."""
        customers = LegacyRecord.objects.filter(
            system=SYSTEM, table="crm_customer", content_type=context.type_of(Customer), object_id__in=ids
        ).exclude(row__sourceleadid=None)
        sources = [(record, record.row["sourceleadid"]) for record in customers]
        leads = context.targets(self, {key for _, key in sources})
        became = {leads[key]: record.object_id for record, key in sources if key in leads}
        rows = [row for row in bulk.stored_rows(Lead, became, lock=True).values() if row["customer_id"] is None]
        for row in rows:
            row["customer_id"] = became[row["id"]]
        bulk.update(Lead, rows, [{"customer": [None, row["customer_id"]]} for row in rows])
        orphans = [(record, f"source_lead_id：找不到“{key}”对应的线索") for record, key in sources if key not in leads]
        orphans = [(record, note) for record, note in orphans if note not in record.notes]
        for record, note in orphans:
            record.notes = [*record.notes, note]
        LegacyRecord.objects.bulk_update([record for record, _ in orphans], ["notes"])


@table(SYSTEM, "crm_follow_up", order=37, is_recognised=False, fills_blanks=False)
class FastapiFollowUps(Table):
    """Follow-ups of a lead or a customer, which ``relation_type`` says."""

    model = FollowUp
    required = ("content", "time")
    roots = {
        "lead": ("crm_lead", "线索"),
        "customer": ("crm_customer", "客户"),
        "opportunity": ("crm_opportunity", "商机"),
    }

    def prepare(self, items, context):
        for root, (name, label) in self.roots.items():
            own = [item for item in items if item.get("relation_type").strip().lower() in (root, label)]
            found = context.targets(table_named(SYSTEM, name), {item.get("relation_id") for item in own})
            for item in own:
                if (pk := found.get(item.get("relation_id"))) is not None:
                    item.values[root] = pk
                else:
                    item.refused = f"{label} {item.get('relation_id') or '（空）'} 不存在"

    def adjust(self, item, context):
        values = item.values
        values.setdefault("time", changed_at(item))
        if not item.refused and not values.keys() & self.roots.keys():
            item.refused = f"不认识的关联类型“{item.get('relation_type')}”"
        if values.get("time"):
            values["created_at"] = values["time"]
        if "author" in values:
            values["created_by"] = values["author"]


# --- Catalogue -------------------------------------------------------------------------------------------------------


@table(SYSTEM, "crm_product_category", order=16, tree="parent_id")
class FastapiCategories(Table):
    model = ProductCategory
    required = ("name",)


@table(SYSTEM, "crm_product", order=17)
class FastapiProducts(Table):
    """Products have no number there, so each gets one; one whose category is gone is 未分类."""

    model = Product
    required = ("name", "price")

    def adjust(self, item, context):
        if "category" not in item.values:
            item.values["category"] = context.called(ProductCategory, "未分类")


# --- Opportunities ---------------------------------------------------------------------------------------------------


@table(
    SYSTEM,
    "crm_opportunity",
    order=40,
    is_recognised=False,
    money={"estimated_amount": "estimated_amount"},
    handled=("stage",),
)
class FastapiOpportunities(Table):
    """Opportunities by their old key alone: a customer may have two of one name. Products become lines of one piece."""

    model = Opportunity
    required = ("customer", "name")

    def adjust(self, item, context):
        values = item.values
        values.setdefault("estimated_amount", Decimal(0))
        name = text.clean_text(item.get("stage"))
        if len(name) > 50:
            item.notes.append("stage：超过 50 个字，已截断，原文保留在旧值里")
        values["stage"] = context.called(OpportunityStage, name[:50] or "未分阶段", probability=0, sort=900)
        values["stage_since"] = values.get("created_at") or timezone.now()
        if values.get("status", OpportunityStatus.OPEN) != OpportunityStatus.OPEN:
            values["closed_at"] = changed_at(item, timezone.now())
        if values.get("status") == OpportunityStatus.LOST:
            values.setdefault("lose_reason", "旧系统没有写原因")

    def arrived(self, pairs, context):
        asked = {key for item, _ in pairs for key in _keys(item)}
        products = context.targets(table_named(SYSTEM, "crm_product"), asked)
        rows = []
        for item, opportunity in pairs:
            for key in _keys(item):
                if key in products:
                    rows.append({"opportunity_id": opportunity, "product_id": products[key]})
                else:
                    item.notes.append(f"product_ids：产品“{key}”不存在")
        bulk.insert(OpportunityItem, rows)


def _keys(item) -> list[str]:
    return list(dict.fromkeys(re.findall(r"[^\s,，;；、\[\]\"]+", item.get("product_ids"))))


# --- Documents -------------------------------------------------------------------------------------------------------


class Numbered(Table):
    """Its number is another record's already: both come, the later one with its old key behind."""

    is_recognised = False
    fills_blanks = False
    column = "number"

    def complete(self, rows, items, context):
        limit = self.model._meta.get_field("number").max_length
        taken = self._taken([row["number"] for row in rows])
        again = [
            f"{row['number'][: limit - len(item.key) - 1]}-{item.key}" for row, item in zip(rows, items, strict=True)
        ]
        for row, item, other in zip(rows, items, again, strict=True):
            if text.fold(row["number"]) in taken:
                item.notes.append(f"{self.column}：“{row['number']}”已被使用，编号后加旧主键区分")
                row["number"] = other
            taken.add(text.fold(row["number"]))

    def _taken(self, numbers):
        keys = {text.fold(number) for number in numbers}
        return set(self.model._base_manager.filter(number_key__in=keys).values_list("number_key", flat=True))


class Document(Numbered):
    """A head whose ``total_amount`` is kept; where its lines say otherwise, a line of the difference is added."""

    required = ("customer", "number")

    def adjust(self, item, context):
        item.values.setdefault("total_amount", Decimal(0))


@table(SYSTEM, "crm_quotation", order=45, money={"total_amount": "total_amount"}, column="quotation_no")
class FastapiQuotations(Document):
    model = Quotation

    def adjust(self, item, context):
        super().adjust(item, context)
        values = item.values
        status = values.setdefault("status", QuotationStatus.DRAFT)
        if status != QuotationStatus.DRAFT:
            values["sent_at"] = values.get("created_at")
        if status in (QuotationStatus.ACCEPTED, QuotationStatus.REJECTED):
            values["decided_at"] = changed_at(item)
        if status == QuotationStatus.REJECTED:
            values["reject_reason"] = "旧系统没有写原因"

    def complete(self, rows, items, context):
        super().complete(rows, items, context)
        drop_foreign(rows, items, "opportunity", Opportunity)


@table(
    SYSTEM,
    "crm_contract",
    order=50,
    money={"total_amount": "total_amount"},
    column="contract_no",
    handled=("file_url",),
)
class FastapiContracts(Document):
    """Contracts belong to whom the customer belongs to, else to who entered them. Drafts have no day of signing here;
    the address of the file stays in the remark."""

    model = Contract

    def adjust(self, item, context):
        super().adjust(item, context)
        values = item.values
        values.setdefault("name", values.get("number", ""))
        if values["total_amount"] < 0:
            item.refused = f"合同总金额不能小于 0（旧系统是 {values['total_amount']}）"
        status = values.setdefault("status", ContractStatus.DRAFT)
        if status in (ContractStatus.DRAFT, ContractStatus.APPROVED) and values.pop("sign_date", None):
            item.notes.append("sign_date：还没有签约的合同没有签约日期，旧值保留")
        if status == ContractStatus.TERMINATED:
            values |= {"terminated_at": changed_at(item), "terminate_reason": "旧系统里已终止"}
        keep_address(item, "file_url", "旧系统的合同文件")

    def foreseen(self, pairs, context):
        totals = {pk: item.values["total_amount"] for item, pk in pairs if "total_amount" in item.values}
        context.foreseen.setdefault(self.name, {}).update(totals)

    def complete(self, rows, items, context):
        super().complete(rows, items, context)
        drop_foreign(rows, items, "opportunity", Opportunity)
        drop_foreign(rows, items, "quotation", Quotation)
        customers = Customer._base_manager.filter(pk__in={row["customer_id"] for row in rows})
        owners = dict(customers.values_list("pk", "owner_id"))
        for row in rows:
            row["owner_id"] = owners.get(row["customer_id"]) or row.get("created_by_id")


def keep_address(item, column, label) -> None:
    """An address of a file on the old server is for people to read: nothing is fetched from there."""
    if not convert.is_blank(address := item.get(column)):
        remark = item.values.get("remark", "")
        item.values["remark"] = f"{remark}\n{label}：{address}".strip()


def drop_foreign(rows, items, name, model) -> None:
    """What belongs to another customer is not linked; the note says so."""
    asked = {row[f"{name}_id"] for row in rows if row.get(f"{name}_id")}
    customers = dict(model._base_manager.filter(pk__in=asked).values_list("pk", "customer_id"))
    for row, item in zip(rows, items, strict=True):
        if row.get(f"{name}_id") and customers.get(row[f"{name}_id"]) != row["customer_id"]:
            item.notes.append(f"{name}_id：“{item.get(f'{name}_id')}”属于另一个客户，未关联")
            row[f"{name}_id"] = None


class Lines(Table):
    """Lines of documents. The old amount stands; the name is the product's."""

    is_recognised = False
    head = ""

    def writing(self):
        return totals_later()

    def adjust(self, item, context):
        values = item.values
        quantity, price = values.setdefault("quantity", Decimal(1)), values.get("unit_price")
        if price is None:
            values["unit_price"] = price = values.get("amount", Decimal(0)) / (quantity or 1)
        due = cents(quantity * price * values.get("discount", Decimal(100)) / 100)
        if values.setdefault("amount", due) != due:
            item.notes.append(f"amount：{values['amount']} 与数量×单价×折扣（{due}）不符，保留旧系统的金额")

    def complete(self, rows, items, context):
        names = dict(
            Product._base_manager.filter(pk__in={row.get("product_id") for row in rows}).values_list("pk", "name")
        )
        for row, item in zip(rows, items, strict=True):
            row["name"] = names.get(row.get("product_id")) or f"产品 {item.get('product_id')}"

    def close(self, ids, context):
        """Heads whose total is not that of their lines get a line of the difference."""
        heads = bulk.stored_rows(self.head, ids, lock=True)
        lines = self.model.objects.valid().filter(**{f"{self.model.head_field}__in": ids})
        sums = dict(lines.values_list(self.model.head_field).annotate(total=Sum("amount")).order_by())
        rows = []
        for pk, head in heads.items():
            difference = head["total_amount"] - (sums.get(pk) or Decimal(0))
            if difference:
                name = "旧系统总金额与明细的差额" if pk in sums else "旧系统没有明细"
                rows.append(
                    {
                        f"{self.model.head_field}_id": pk,
                        "name": name,
                        "quantity": Decimal(1),
                        "unit_price": difference,
                        "amount": difference,
                    }
                )
        bulk.insert(self.model, rows)
        return heads


@table(SYSTEM, "crm_quotation_item", order=46, money={"amount": "amount"}, closes="crm_quotation")
class FastapiQuotationLines(Lines):
    model, head = QuotationItem, Quotation
    required = ("quotation",)


@table(SYSTEM, "crm_contract_item", order=51, money={"amount": "amount"}, closes="crm_contract")
class FastapiContractLines(Lines):
    model, head = ContractItem, Contract
    required = ("contract",)

    def close(self, ids, context):
        """Contracts in force keep what they said as their first version; the customer knows when it last bought."""
        heads = super().close(ids, context)
        signed = {pk: head for pk, head in heads.items() if head["status"] in IN_FORCE}
        kept = set(ContractVersion.objects.filter(contract__in=signed).values_list("contract_id", flat=True))
        lines: dict = {}
        for line in (
            ContractItem.objects.valid().filter(contract__in=signed).order_by("id").values("id", "contract_id", *LINE)
        ):
            values = {name: audit.json_value(line[name]) for name in LINE}
            lines.setdefault(line["contract_id"], []).append({"id": line["id"]} | values)
        attnames = {name: Contract._meta.get_field(name).attname for name in HEAD}
        rows = [
            {
                "contract_id": pk,
                "version_no": 1,
                "total_amount": head["total_amount"],
                "content": {
                    "fields": {name: audit.json_value(head[attname]) for name, attname in attnames.items()},
                    "items": lines.get(pk, []),
                },
            }
            for pk, head in signed.items()
            if pk not in kept
        ]
        bulk.insert(ContractVersion, rows)
        self._note_deals({head["customer_id"] for head in signed.values()})

    def _note_deals(self, customers):
        contracts = Contract.objects.valid().filter(customer__in=customers, status__in=IN_FORCE)
        newest = dict(contracts.values_list("customer").annotate(day=Max("sign_date")).order_by())
        rows = []
        for row in bulk.stored_rows(Customer, [pk for pk, day in newest.items() if day], lock=True).values():
            day = newest[row["id"]]
            bought = timezone.make_aware(timezone.datetime(day.year, day.month, day.day))
            if row["last_deal_at"] is None or row["last_deal_at"] < bought:
                row["last_deal_at"] = bought
                rows.append(row)
        bulk.rewrite(Customer, rows)


IN_FORCE = (ContractStatus.SIGNED, ContractStatus.TERMINATED)


# --- Money -----------------------------------------------------------------------------------------------------------


@table(
    SYSTEM,
    "crm_payment_plan",
    order=55,
    is_recognised=False,
    fills_blanks=False,
    money={"plan_amount": "amount"},
    handled=("status",),
)
class FastapiPlans(Table):
    """Instalments, numbered within their contract. Whether they are paid follows from the receipts."""

    model = PaymentPlan
    required = ("contract", "amount", "date")

    def adjust(self, item, context):
        if item.values.get("amount", 0) < 0:
            item.refused = f"计划金额不能小于 0（旧系统是 {item.values['amount']}）"
        if item.get("status").strip() in ("2", "3"):
            item.notes.append(
                f"status：旧系统是“{'部分' if item.get('status').strip() == '2' else '全部'}回款”，这里由回款记录得出"
            )

    def complete(self, rows, items, context):
        plans = PaymentPlan.objects.valid().filter(contract__in={row["contract_id"] for row in rows})
        last = Counter(dict(plans.values_list("contract").annotate(last=Max("position")).order_by()))
        for row in rows:
            last[row["contract_id"]] += 1
            row["position"] = last[row["contract_id"]]
            row["status"] = PaidState.UNPAID


class OfContracts(Numbered):
    """Money of a contract, never more of it than the contract comes to: what is beyond is refused and told."""

    done, noun = "", ""

    def adjust(self, item, context):
        if item.values.get("amount", 1) <= 0:
            item.refused = f"{self.noun}金额必须大于 0（旧系统是 {item.values['amount']}）"

    def judge(self, items, context):
        known = {key for key, pk in context.targets(self, {item.key for item in items}).items() if pk > 0}
        waiting = [item for item in items if not item.refused and item.key not in known]
        left = self._left({item.values["contract"] for item in waiting}, context)
        for item in waiting:
            contract, amount = item.values["contract"], item.values["amount"]
            if contract in left and amount > left[contract]:
                item.refused = f"{self.noun} {amount} 超出合同金额：合同还可以{self.noun} {left[contract]}"
            elif contract in left:
                left[contract] -= amount

    def _left(self, contracts, context) -> dict:
        """What is open of each contract. A dry run remembers what the rows before would have taken, and contracts that
        would be changed."""
        stored = Contract._base_manager.filter(pk__in=contracts).values_list("pk", "total_amount", self.done)
        totals = context.foreseen.get("crm_contract", {})
        left = {pk: totals.get(pk, total) - done for pk, total, done in stored}
        if context.write:
            return left
        planned = context.foreseen.setdefault(self.name, {})
        for pk in contracts:
            planned.setdefault(pk, left.get(pk, totals.get(pk)))
        return planned


@table(
    SYSTEM,
    "crm_payment_record",
    order=56,
    money={"payment_amount": "amount"},
    column="payment_no",
    handled=("bank_flow",),
)
class FastapiReceipts(OfContracts):
    model = PaymentRecord
    required = ("contract", "number", "amount", "date")
    done, noun = "received_amount", "回款"

    def adjust(self, item, context):
        super().adjust(item, context)
        keep_address(item, "bank_flow", "旧系统的银行流水凭证")

    def complete(self, rows, items, context):
        super().complete(rows, items, context)
        take_from_contract(rows)
        plans = bulk.stored_rows(PaymentPlan, {row["plan_id"] for row in rows if row.get("plan_id")}, lock=True)
        for row, item in zip(rows, items, strict=True):
            plan = plans.get(row.get("plan_id"))
            if plan is None:
                continue
            if plan["contract_id"] != row["contract_id"] or plan["received_amount"] + row["amount"] > plan["amount"]:
                item.notes.append(f"plan_id：“{item.get('plan_id')}”不是该合同的，或放不下这笔回款，未归到这一期")
                row["plan_id"] = None
            else:
                plan["received_amount"] += row["amount"]


def take_from_contract(rows):
    contracts = Contract._base_manager.filter(pk__in={row["contract_id"] for row in rows})
    known = {pk: values for pk, *values in contracts.values_list("pk", "customer_id", "currency")}
    for row in rows:
        row["customer_id"], row["currency"] = known[row["contract_id"]]


@table(
    SYSTEM,
    "crm_invoice",
    order=57,
    money={"amount": "amount"},
    handled=("file_url",),
    is_recognised=True,
    column="invoice_no",
)
class FastapiInvoices(OfContracts):
    """Invoices; the same number is the same invoice."""

    model = Invoice
    required = ("contract", "number", "amount", "issue_date")
    done, noun = "invoiced_amount", "开票"

    def adjust(self, item, context):
        super().adjust(item, context)
        keep_address(item, "file_url", "旧系统的发票扫描件")

    def complete(self, rows, items, context):
        take_from_contract(rows)
        payments = {row["payment_id"] for row in rows if row.get("payment_id")}
        contracts = dict(PaymentRecord._base_manager.filter(pk__in=payments).values_list("pk", "contract_id"))
        customers = Customer._base_manager.in_bulk({row["customer_id"] for row in rows})
        for row, item in zip(rows, items, strict=True):
            customer = customers[row["customer_id"]]
            row |= {"title": customer.invoice_title or customer.name, "tax_no": customer.national_tax_no}
            if row.get("payment_id") and contracts.get(row["payment_id"]) != row["contract_id"]:
                item.notes.append(f"payment_id：“{item.get('payment_id')}”不是该合同的回款，未关联")
                row["payment_id"] = None


# --- Marketing -------------------------------------------------------------------------------------------------------


@table(SYSTEM, "crm_marketing_activity", order=18, money={"budget": "budget", "actual_cost": "actual_cost"})
class FastapiActivities(Table):
    """Activities by name."""

    model = MarketingActivity
    required = ("name", "type", "start_time", "end_time")

    def adjust(self, item, context):
        values = item.values
        if "type" not in values:
            values["type"] = context.item("activity_type", "其他")
        start, end = values.get("start_time"), values.get("end_time")
        if start or end:
            values |= {"start_time": start or end, "end_time": end or start}


@table(SYSTEM, "crm_sms_template", order=19, by="name")
class FastapiSmsTemplates(Table):
    """Templates by name. They have no signature yet: nothing is sent with one before somebody has filled it in."""

    model = SmsTemplate
    required = ("name", "content")

    def adjust(self, item, context):
        item.values["signature"] = ""


@table(
    SYSTEM,
    "crm_sms_marketing",
    order=58,
    is_recognised=False,
    handled=("target_tag", "total_count", "success_count", "fail_count"),
)
class FastapiCampaigns(Table):
    """Campaigns that were sent; the old counts stay in the remark, since no message of them is known singly. One that
    was not sent yet is a draft."""

    model = SmsCampaign
    required = ("template", "send_time", "name")

    def adjust(self, item, context):
        values = item.values
        moment = values.get("send_time") or values.get("created_at")
        if moment is None:
            return
        values["send_time"] = moment
        values["name"] = f"{MIGRATED} {timezone.localtime(moment):%Y-%m-%d %H:%M} 短信 {item.key}"
        was_sent = moment <= timezone.now()
        values["status"] = CampaignStatus.DONE if was_sent else CampaignStatus.DRAFT
        if was_sent:
            values |= {"started_at": moment, "finished_at": moment}
            if "created_by" in values:
                values["sender"] = values["created_by"]
        counts = [item.get(column) or "0" for column in ("total_count", "success_count", "fail_count")]
        values["remark"] = "旧系统统计：发送 {} 条，成功 {} 条，失败 {} 条".format(*counts)
        names = filter(None, re.split(r"[,，、;；]", text.clean_text(item.get("target_tag"))))
        item.many["tags"] = sorted({context.called(Tag, name.strip()[:50]) for name in names if name.strip()})
