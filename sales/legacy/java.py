"""Leads, plans and orders, from the old systems."""

from datetime import datetime, time
from decimal import Decimal

from django.db.models import Max, Sum
from django.utils import timezone

from crm import bulk, numbering, text
from crm.legacy import convert
from crm.legacy.tables import Table, table
from crm.models import LegacyRecord
from customers.models import Customer, DealStatus
from sales.models import (
    DevelopmentPlan,
    Lead,
    LeadPool,
    LeadStatus,
    Order,
    OrderItem,
    OrderStatus,
    PaidState,
    PaymentRecord,
    Product,
    totals_later,
)

PIECE = 500
MIDNIGHT = time()


def pool_for(context) -> int:
    """Where leads without a pool of their own wait."""
    return context.called(LeadPool, "旧系统迁入", is_public=False, description="请分配其中的线索，或移到其他线索池。")


@table(
    "java-crm",
    "t_sale_chance",
    order=40,
    synonyms={
        "success_possibility": "cgjl",
        "probability": "cgjl",
        "contract_person": "link_man",
        "contract_phone": "link_phone",
        "create_person": "create_man",
        "create_people": "create_man",
        "assign_person": "assign_man",
        "assigner": "assign_man",
        "assign_date": "assign_time",
    },
)
class SaleChances(Table):
    """A sale chance is a lead. One of a phone that is known belongs to the lead that has it."""

    model = Lead
    required = ("name",)

    def adjust(self, item, context):
        values = item.values
        values.setdefault("name", values.get("company", ""))
        values.setdefault("pool", pool_for(context))
        values.setdefault("status", LeadStatus.WORKING if values.get("owner") else LeadStatus.NEW)

    def complete(self, rows, items, context):
        for row in rows:
            if not row.get("is_valid", True):
                row["phone_key"] = None
        converted = [row for row in rows if row.get("status") == LeadStatus.CONVERTED and row.get("company")]
        names = {text.fold(row["company"]) for row in converted}
        customers = dict(Customer.objects.valid().filter(name_key__in=names).values_list("name_key", "pk"))
        for row in converted:
            row["customer_id"] = customers.get(text.fold(row["company"]))
            row["converted_at"] = row.get("assigned_at") or row.get("created_at")


@table("java-crm", "t_cus_dev_plan", order=45)
class DevelopmentPlans(Table):
    """Plans of sale chances; one whose chance is gone is refused and listed."""

    model = DevelopmentPlan
    required = ("lead", "content", "date")

    def adjust(self, item, context):
        if "lead" not in item.values:
            item.refused = f"销售机会 {item.get('sale_chance_id') or '（空）'} 不存在"
        if "date" not in item.values and (moment := item.values.get("created_at")):
            item.values["date"] = timezone.localtime(moment).date()
            item.notes.append("plan_date 为空，取录入日期")


@table(
    "java-crm",
    "t_customer_order",
    order=50,
    is_recognised=False,
    synonyms={"order_num": "order_no", "order_time": "order_date"},
)
class JavaOrders(Table):
    """Orders were placed, so they are confirmed; state 1 is paid."""

    model = Order
    required = ("customer", "order_date")

    def adjust(self, item, context):
        values = item.values
        values["status"] = OrderStatus.CONFIRMED
        if "customer" not in values:
            item.refused = f"客户 {item.get('cus_id') or '（空）'} 不存在"
        placed = convert.moment_or_none(item.get("order_date"))
        clock = timezone.localtime(placed).time() if placed else MIDNIGHT
        if clock != MIDNIGHT:
            values["order_time"] = clock
        if "order_date" not in values and (moment := values.get("created_at")):
            values["order_date"] = timezone.localtime(moment).date()
            item.notes.append("order_date 为空，取录入日期")

    def complete(self, rows, items, context):
        unnumbered = [row for row in rows if not row.get("number")]
        for row, number in zip(unnumbered, numbering.take("order", len(unnumbered)), strict=True):
            row["number"] = number
        wanted = {row["number"] for row in rows}
        taken = set(Order._base_manager.filter(number__in=wanted).values_list("number", flat=True))
        for row, item in zip(rows, items, strict=True):
            row["confirmed_at"] = row.get("created_at")
            if row["number"] in taken:
                item.notes.append(f"order_no：“{row['number']}”已有订单，编号后加旧主键区分")
                row["number"] = f"{row['number']}-{item.key}"[:50]
            taken.add(row["number"])

    def finish(self, context):
        """Customers with orders are 成交, and know when they last bought."""
        for ids in _pieces(_of(self, context)):
            orders = Order.objects.valid().filter(pk__in=ids)
            newest = dict(orders.values_list("customer").annotate(day=Max("order_date")).order_by())
            rows, changes = [], []
            for row in bulk.stored_rows(Customer, list(newest), lock=True).values():
                bought = timezone.make_aware(datetime.combine(newest[row["id"]], MIDNIGHT))
                newer = row["last_deal_at"] is None or row["last_deal_at"] < bought
                if not newer and row["deal_status"] != DealStatus.POTENTIAL:
                    continue
                row["last_deal_at"] = max(row["last_deal_at"] or bought, bought)
                change = {}
                if row["deal_status"] == DealStatus.POTENTIAL:
                    change = {"deal_status": [str(DealStatus.POTENTIAL), str(DealStatus.WON)]}
                    row["deal_status"] = DealStatus.WON
                rows.append(row)
                changes.append(change)
            bulk.update(Customer, rows, changes, keeps_stamps=True)


@table(
    "java-crm",
    "t_order_details",
    order=55,
    money={"sum": "amount"},
    is_recognised=False,
    synonyms={"total": "sum", "total_price": "sum", "product_name": "goods_name"},
)
class JavaOrderLines(Table):
    """Lines of orders. The product is found by its name where the catalogue has it; the old amount stands."""

    model = OrderItem
    required = ("order", "name")

    def writing(self):
        return totals_later()

    def adjust(self, item, context):
        values = item.values
        if "order" not in values:
            item.refused = f"订单 {item.get('order_id') or '（空）'} 不存在"
        quantity, price = values.get("quantity") or Decimal(1), values.get("unit_price")
        amount = values.get("amount")
        if price is None:
            values["unit_price"] = price = (amount or Decimal(0)) / quantity
        if amount is None:
            values["amount"] = amount = (quantity * price).quantize(Decimal("0.01"))
        if amount != (quantity * price).quantize(Decimal("0.01")):
            item.notes.append(f"sum：{amount} 与数量×单价不符，保留旧系统的金额")

    def complete(self, rows, items, context):
        names = {text.fold(row["name"]) for row in rows}
        products = dict(Product.objects.valid().filter(name_key__in=names).values_list("name_key", "pk"))
        for row in rows:
            row["product_id"] = products.get(text.fold(row["name"]))

    def finish(self, context):
        """Orders are worth the sum of their lines; those that were paid have a receipt over it."""
        for ids in _pieces(_of(JavaOrders(), context)):
            lines = OrderItem.objects.valid().filter(order__in=ids)
            totals = dict(lines.values_list("order").annotate(total=Sum("amount")).order_by())
            rows, receipts = [], []
            for row in bulk.stored_rows(Order, ids, lock=True).values():
                total = totals.get(row["id"], Decimal(0))
                if row["total_amount"] == total:
                    continue
                row["total_amount"] = total
                if row["paid_state"] == PaidState.PAID and total > row["received_amount"]:
                    receipts.append(_receipt(row, total - row["received_amount"]))
                    row["received_amount"] = total
                rows.append(row)
            bulk.update(Order, rows, [{} for _ in rows], keeps_stamps=True)
            for receipt, number in zip(receipts, numbering.take("payment", len(receipts)), strict=True):
                receipt["number"] = number
            bulk.insert(PaymentRecord, receipts)


def _receipt(order, amount) -> dict:
    return {
        "customer_id": order["customer_id"],
        "order_id": order["id"],
        "amount": amount,
        "currency": order["currency"],
        "date": order["order_date"],
        "created_at": timezone.make_aware(datetime.combine(order["order_date"], MIDNIGHT)),
        "remark": "旧系统里登记为已回款",
    }


def _of(table, context) -> list[int]:
    return list(
        LegacyRecord.objects.filter(system=table.system, table=table.name)
        .exclude(object_id=None)
        .values_list("object_id", flat=True)
    )


def _pieces(ids):
    for start in range(0, len(ids), PIECE):
        yield ids[start : start + PIECE]
