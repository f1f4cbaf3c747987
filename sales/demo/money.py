"""Demo orders and money: two years of orders, instalments of the signed contracts, receipts and invoices."""

from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from django.utils import timezone

from crm import actor, numbering
from crm.demo import HISTORY_DAYS, Demo, desk
from crm.models import DictionaryItem, User
from customers.models import Customer, DealStatus, ReviewStatus
from customers.services.paths import default_path
from sales.models import (
    Contract,
    ContractStatus,
    Invoice,
    InvoiceStatus,
    InvoiceType,
    Order,
    OrderItem,
    OrderStatus,
    PaidState,
    PaymentPlan,
    PaymentRecord,
    Product,
    ReceiptStatus,
)
from sales.services import payments

BUYERS, MOST_ORDERS = 0.7, 5
SHARES = ((30, 0, "预付款"), (60, 30, "发货款"), (10, 90, "尾款"))
PUNCTUAL, IN_PARTS, MISTAKEN, UNINVOICED = 0.85, 0.25, 0.04, 0.25
MISTAKES = ("银行流水号录错，重新登记。", "客户付错账户，已原路退回。", "与另一笔款重复登记。")
WRONG_INVOICES = ("抬头有误，已红冲重开。", "税号有误，已红冲重开。")
REASONS = ("客户项目推迟，暂不需要。", "客户改从当地经销商采购。", "规格选错，重新下单。")


def build_money(demo: Demo) -> dict[str, int]:
    story = Story(demo)
    orders = story.write_orders()
    plans = story.write_plans()
    receipts = story.write_receipts(orders, plans)
    invoices = story.write_invoices(receipts)
    demo.recent.append(story.live_today)
    return {"订单": len(orders), "回款计划": len(plans), "回款记录": len(receipts), "发票": len(invoices)}


class Story:
    def __init__(self, demo: Demo):
        self.demo, self.random = demo, Random("money")  # noqa: S311  (the same every time)
        people = User.objects.in_bulk(field_name="username")
        self.finance = [people["zhengyun"], people["fengtao"]]
        methods = DictionaryItem.objects.filter(type="payment_method")
        self.methods = [method for method in methods if method.code in ("transfer", "acceptance", "online")]
        self.products = list(Product.objects.valid().filter(is_active=True).order_by("pk"))

    def _moment(self, day) -> datetime:
        return self.demo.moment(self.random, day)

    # --- Orders ------------------------------------------------------------------------------------------------------

    def write_orders(self) -> list[Order]:
        buyers = Customer.objects.valid().filter(deal_status=DealStatus.WON, review_status=ReviewStatus.APPROVED)
        buyers = list(buyers.exclude(owner=None).select_related("owner").order_by("pk")) if self.products else []
        chosen = self.random.sample(buyers, int(len(buyers) * BUYERS))
        drafts = [draft for customer in chosen for draft in self._orders_of(customer)]
        drafts.sort(key=lambda draft: draft[0].created_at)
        for order, lines in drafts:
            order.number = numbering.next_number("order", day=order.order_date)
            order.total_amount = sum((line.amount for line in lines), Decimal(0))
        orders = self.demo.create([order for order, _ in drafts])
        self.demo.create([line for _, lines in drafts for line in lines])
        for customer in chosen:
            self._note_deal(customer, [order for order in orders if order.customer_id == customer.pk])
        return orders

    def _orders_of(self, customer):
        path = default_path(customer, "domestic" if customer.currency == "CNY" else "export")
        first = max(self.demo.today - timedelta(days=HISTORY_DAYS), timezone.localdate(customer.created_at))
        for _ in range(self.random.randint(1, MOST_ORDERS)):
            day = first + timedelta(days=self.random.randint(0, max(0, (self.demo.today - first).days - 1)))
            made = max(self._moment(day), customer.created_at + timedelta(hours=1))
            order = Order(
                customer=customer,
                company_path=path,
                currency=customer.currency,
                order_date=timezone.localdate(made),
                order_time=timezone.localtime(made).time().replace(second=0, microsecond=0),
                address=customer.address,
                created_at=made,
                created_by=customer.owner,
            )
            self._set_course(order)
            yield order, [self._line(order) for _ in range(self.random.randint(1, 4))]

    def _set_course(self, order):
        fate = self.random.random()
        if fate < 0.05:
            order.__dict__["status"] = OrderStatus.CANCELLED
            order.cancel_reason, order.cancelled_at = self.random.choice(REASONS), order.created_at + timedelta(days=1)
        elif order.order_date < self.demo.today - timedelta(days=7) or fate < 0.6:
            order.__dict__["status"] = OrderStatus.CONFIRMED
            order.confirmed_at = order.created_at + timedelta(minutes=self.random.randint(5, 90))

    def _line(self, order):
        product = self.random.choice(self.products)
        line = OrderItem(
            order=order,
            product=product,
            name=product.name,
            specification=product.specification,
            unit=product.unit,
            quantity=self.random.choice((1, 2, 2, 4, 5, 10, 20)),
            unit_price=product.price
            if order.currency == product.currency
            else (product.price / 7).quantize(Decimal("0.01")),
            discount=self.random.choice((100, 100, 100, 95, 92)),
            created_at=order.created_at,
            created_by=order.created_by,
        )
        line.amount = line.amount_due()
        return line

    @staticmethod
    def _note_deal(customer, orders):
        deals = [order.confirmed_at for order in orders if order.confirmed_at]
        if deals and (customer.last_deal_at is None or customer.last_deal_at < max(deals)):
            customer.last_deal_at = max(deals)
            customer.save(update_fields=["last_deal_at"])

    # --- Money -------------------------------------------------------------------------------------------------------

    def write_plans(self) -> list[PaymentPlan]:
        """Most signed contracts are paid in three instalments, some at once."""
        rows = Contract.objects.valid().filter(status=ContractStatus.SIGNED, total_amount__gt=0)
        plans = []
        for contract in rows.select_related("customer", "owner").order_by("pk"):
            shares = SHARES if self.random.random() < 0.8 else ((100, 30, "货到付款"),)
            parts = payments.propose(contract, shares, start=contract.sign_date)
            made = self._moment(contract.sign_date)
            plans += [
                PaymentPlan(
                    contract=contract,
                    position=place,
                    amount=part.amount,
                    date=part.date,
                    term=part.term,
                    created_at=made,
                    created_by=contract.owner,
                )
                for place, part in enumerate(parts, 1)
            ]
        return self.demo.create(plans)

    def write_receipts(self, orders, plans) -> list[PaymentRecord]:
        owed = [(order, None, order.order_date) for order in orders if order.status == OrderStatus.CONFIRMED]
        owed += [(plan.contract, plan, plan.date) for plan in plans]
        receipts = [receipt for root, plan, due in owed for receipt in self._receipts_for(root, plan, due)]
        receipts.sort(key=lambda receipt: receipt.created_at)
        for receipt in receipts:
            receipt.number = numbering.next_number("payment", day=receipt.date)
        self.demo.create(receipts)
        PaymentRecord.settle_rows([vars(receipt) for receipt in receipts])
        return receipts

    def _receipts_for(self, root, plan, due):
        """What was due is mostly paid, around its day; some pay in two parts, some not yet."""
        day = due + timedelta(days=self.random.choice((-3, -1, 0, 0, 1, 2, 5, 12, 25)))
        if day >= self.demo.today or self.random.random() > PUNCTUAL:
            return
        amount = plan.amount if plan else root.total_amount
        parts = [amount] if self.random.random() > IN_PARTS else payments.split(amount, [40, 60])
        for part in parts:
            if part <= 0 or day >= self.demo.today:
                return
            if self.random.random() < MISTAKEN:
                wrong = self._receipt(root, plan, part, day)
                wrong.__dict__["status"], wrong.void_reason = ReceiptStatus.VOID, self.random.choice(MISTAKES)
                yield wrong
            yield self._receipt(root, plan, part, day)
            day += timedelta(days=20)
            if self.random.random() < 1 - PUNCTUAL:
                return

    def _receipt(self, root, plan, amount, day):
        return PaymentRecord(
            contract=root if plan else None,
            order=None if plan else root,
            plan=plan,
            customer=root.customer,
            currency=root.currency,
            amount=amount,
            date=max(day, timezone.localdate(root.created_at)),
            method=self.random.choice(self.methods),
            bank_flow=f"{day:%Y%m%d}{self.random.randrange(10**10):010d}",
            created_at=max(self._moment(day), root.created_at + timedelta(hours=1)),
            created_by=self.random.choice(self.finance),
        )

    def write_invoices(self, receipts) -> list[Invoice]:
        """Invoices follow the receipts of contracts; they are sent within days and certified within weeks."""
        invoices = []
        for receipt in receipts:
            if receipt.contract_id is None or receipt.status == ReceiptStatus.VOID:
                continue
            if self.random.random() < UNINVOICED:
                continue
            day = min(receipt.date + timedelta(days=self.random.randint(0, 6)), self.demo.today)
            if self.random.random() < MISTAKEN:
                wrong = self._invoice(receipt, day)
                wrong.__dict__["status"], wrong.void_reason = InvoiceStatus.VOID, self.random.choice(WRONG_INVOICES)
                invoices.append(wrong)
            invoice = self._invoice(receipt, day)
            age = (self.demo.today - day).days + self.random.randint(-5, 5)
            state = (
                InvoiceStatus.CERTIFIED if age > 45 else InvoiceStatus.DELIVERED if age > 10 else InvoiceStatus.ISSUED
            )
            invoice.__dict__["status"] = state
            invoices.append(invoice)
        self.demo.create(invoices)
        Invoice.settle_rows([vars(invoice) for invoice in invoices])
        return invoices

    def _invoice(self, receipt, day):
        customer = receipt.customer
        return Invoice(
            number=f"24{self.random.randrange(10**18):018d}",
            customer=customer,
            contract=receipt.contract,
            payment=receipt,
            type=InvoiceType.SPECIAL if customer.national_tax_no else InvoiceType.ORDINARY,
            title=customer.invoice_title or customer.name,
            tax_no=customer.national_tax_no,
            amount=receipt.amount,
            currency=receipt.currency,
            issue_date=day,
            created_at=max(self._moment(day), receipt.created_at + timedelta(minutes=20)),
            created_by=receipt.created_by,
        )

    def live_today(self):
        """A receipt of this morning, through the service itself."""
        finance = self.finance[0]
        plan = PaymentPlan.objects.overdue().select_related("contract").order_by("-date", "pk").first()
        order = Order.objects.filter(status=OrderStatus.CONFIRMED, contract=None, paid_state=PaidState.UNPAID).last()
        with actor.acting(finance, ip=desk(finance)):
            for root in filter(None, (plan and plan.contract, order)):
                link = {"contract": root} if isinstance(root, Contract) else {"order": root}
                amount = min(root.open_amount, plan.open_amount if plan and root == plan.contract else root.open_amount)
                payments.receive(
                    PaymentRecord(
                        **link, amount=amount, method=self.methods[0], bank_flow=f"{self.demo.today:%Y%m%d}0001"
                    ),
                    by=finance,
                )
