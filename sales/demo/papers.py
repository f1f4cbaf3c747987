"""Demo quotations and contracts: what became of the opportunities, and what is on somebody's desk today."""

from datetime import timedelta
from decimal import Decimal
from itertools import groupby
from random import Random

from django.utils import timezone

from crm import actor, numbering, ownership
from crm.demo import BATCH, Demo, desk
from crm.models import Company
from crm.policies import GRANTED_ACTIONS
from customers.models import DealStatus, ReviewStatus
from sales.models import (
    Contract,
    ContractItem,
    ContractStatus,
    ContractUserObjectPermission,
    ContractVersion,
    Opportunity,
    OpportunityItem,
    OpportunityStatus,
    Quotation,
    QuotationItem,
    QuotationStatus,
)
from sales.services import contracts, quotations
from sales.services.orders import usual_path

TERMS = (
    "一、以上价格为含税价，含标准包装。\n二、付款方式：预付 30%，发货前付 60%，验收后付 10%。\n"
    "三、交货期：收到预付款后 3 周内，交货地点为需方工厂。\n四、质保期：自验收之日起 18 个月。\n"
    "五、争议解决：双方协商，协商不成由供方所在地法院管辖。"
)
REFUSALS = ("价格高出预算，需要再降。", "交期太长，改用现货。", "方案调整，规格要重新确认。")
ENDED = ("客户产线搬迁，双方协商终止。", "客户付款逾期超过 90 天，按约终止。")
QUOTED = 2  # from this stage on an opportunity has a quotation


def build_papers(demo: Demo) -> dict[str, int]:
    story = Story(demo)
    story.write()
    demo.recent.append(story.live_today)
    return {"报价单": len(story.quotations), "合同": len(story.contracts)}


class Story:
    def __init__(self, demo: Demo):
        self.demo, self.random = demo, Random("papers of sales")  # noqa: S311  (the same every time)
        self.company = Company.objects.valid().order_by("pk").first()
        self.quotations: list[Quotation] = []
        self.contracts: list[Contract] = []
        self.lines: list = []

    def write(self):
        wanted = OpportunityItem.objects.valid().select_related("product").order_by("pk")
        self.wanted = {key: list(rows) for key, rows in groupby(wanted, lambda item: item.opportunity_id)}
        rows = (
            Opportunity.objects.valid().select_related("customer", "owner", "stage", "contact").order_by("created_at")
        )
        for deal in rows:
            if deal.pk in self.wanted and (deal.status != OpportunityStatus.OPEN or deal.stage.sort >= QUOTED):
                self._quote(deal)
        self._save(Quotation, "quotation", self.quotations)
        self._save(Contract, "contract", self.contracts)
        self._grant()
        for line in self.lines:
            setattr(line, line.head_field, line.head)  # its key is known now
        for model in (QuotationItem, ContractItem):
            self.demo.create([line for line in self.lines if type(line) is model])
        self._keep_versions()

    def _quote(self, deal):
        made = min(deal.stage_since, deal.closed_at or deal.stage_since) + timedelta(hours=self.random.randint(1, 30))
        now = self.demo.moment(self.random, self.demo.today - timedelta(days=1))
        made = min(max(made, deal.created_at + timedelta(minutes=30)), now)
        quotation = Quotation(
            **self._head(deal, made),
            valid_until=timezone.localdate(made) + timedelta(days=self.random.choice((15, 30))),
        )
        self.quotations.append(quotation)
        self._add_lines(quotation, QuotationItem, deal)
        if deal.status == OpportunityStatus.OPEN and self.random.random() < 0.2:
            return
        quotation.sent_at = min(made + timedelta(minutes=self.random.randint(10, 300)), now)
        status = QuotationStatus.EXPIRED if quotation.is_late else QuotationStatus.SENT
        if deal.status != OpportunityStatus.OPEN:
            won = deal.status == OpportunityStatus.WON
            status = QuotationStatus.ACCEPTED if won else QuotationStatus.REJECTED
            quotation.decided_at = max(deal.closed_at, quotation.sent_at)
            quotation.reject_reason = "" if won else self.random.choice(REFUSALS)
            if won and deal.customer.review_status == ReviewStatus.APPROVED:
                self._agree(deal, quotation)
        quotation.__dict__["status"] = status  # a protected state, written here as history

    def _agree(self, deal, quotation):
        made = quotation.decided_at + timedelta(minutes=20)
        day = timezone.localdate(made) + timedelta(days=self.random.randint(1, 9))
        contract = Contract(
            **self._head(deal, made),
            name=f"{deal.customer}{deal.name}合同"[:200],
            quotation=quotation,
            company=self.company,
            owner=deal.owner,
        )
        status = ContractStatus.DRAFT
        if day < self.demo.today and deal.customer.deal_status == DealStatus.WON:
            status = ContractStatus.SIGNED
            contract.sign_date = contract.start_date = day
            contract.end_date = day + timedelta(days=self.random.choice((180, 365, 365, 730)))
            if self.random.random() < 0.04:
                status, contract.terminate_reason = ContractStatus.TERMINATED, self.random.choice(ENDED)
                ended = self.demo.moment(self.random, day) + timedelta(days=40)
                contract.terminated_at = min(ended, self.demo.moment(self.random, self.demo.today))
            self._note_deal(deal.customer, self.demo.moment(self.random, day))
        elif self.random.random() < 0.5:
            status = ContractStatus.APPROVED
        contract.__dict__["status"] = status
        self.contracts.append(contract)
        self._add_lines(contract, ContractItem, deal)

    def _head(self, deal, made):
        return {
            "customer": deal.customer,
            "contact": deal.contact,
            "opportunity": deal,
            "company_path": usual_path(deal.customer, deal.currency),
            "currency": deal.currency,
            "terms": TERMS,
            "created_at": made,
            "created_by": deal.owner,
        }

    def _add_lines(self, head, model, deal):
        total = Decimal(0)
        for item in self.wanted[deal.pk]:
            product = item.product
            line = model(
                **{model.head_field: head},
                product=product,
                name=product.name,
                specification=product.specification,
                unit=product.unit,
                quantity=item.quantity,
                unit_price=item.unit_price or product.price,
                discount=100 if item.pk % 4 else 95,
                created_at=head.created_at,
                created_by=head.created_by,
            )
            line.amount = line.amount_due()
            total += line.amount
            self.lines.append(line)
        head.total_amount = total

    @staticmethod
    def _note_deal(customer, moment):
        if customer.last_deal_at is None or customer.last_deal_at < moment:
            customer.last_deal_at = moment
            customer.save(update_fields=["last_deal_at"])

    def _save(self, model, series, rows):
        rows.sort(key=lambda row: row.created_at)
        for day, group in groupby(rows, lambda row: timezone.localdate(row.created_at)):
            group = list(group)
            for row, number in zip(group, numbering.take(series, len(group), day=day), strict=True):
                row.number = number
        for row in rows:
            if getattr(row, "quotation", None) is not None:
                row.quotation = row.quotation  # its key is known now
        self.demo.create(rows)

    def _grant(self):
        ids = ownership.permission_ids(Contract)
        grants = [
            ContractUserObjectPermission(content_object=row, user=row.owner, permission_id=ids[action])
            for row in self.contracts
            for action in GRANTED_ACTIONS
        ]
        ContractUserObjectPermission.objects.bulk_create(grants, batch_size=BATCH)

    def _keep_versions(self):
        signed = [row for row in self.contracts if row.sign_date]
        self.demo.create(
            [
                ContractVersion(
                    contract=row,
                    version_no=1,
                    content=contracts.content(row),
                    total_amount=row.total_amount,
                    created_at=max(self.demo.moment(self.random, row.sign_date), row.created_at),
                    created_by=row.owner,
                )
                for row in signed
            ]
        )

    def live_today(self):
        """A day's work through the services themselves: one offer is revised, one contract waits for its review."""
        sent = Quotation.objects.filter(status=QuotationStatus.SENT, opportunity__owner__is_active=True)
        quotation = sent.select_related("opportunity__owner", "customer").order_by("-pk").first()
        if quotation is not None:
            with actor.acting(quotation.opportunity.owner, ip=desk(quotation.opportunity.owner)):
                quotations.revise(quotation, by=quotation.opportunity.owner)
        drafts = Contract.objects.filter(status=ContractStatus.DRAFT, customer__is_enabled=True)
        for contract in drafts.select_related("owner").order_by("-pk")[:3]:
            with actor.acting(contract.owner, ip=desk(contract.owner)):
                contracts.submit(contract, by=contract.owner, reason="客户已确认报价，请审核。")
