"""Demo catalogue and opportunities: two years of deals, won, lost and open, from a fixed seed.

Later builders read them back: ``Opportunity`` with its ``items``, and ``Basket`` for more lines of the same kind.
"""

from datetime import datetime, time, timedelta
from decimal import Decimal
from itertools import groupby
from random import Random

from django.utils import timezone

from crm import actor, numbering, ownership, text
from crm.demo import BATCH, HISTORY_DAYS, Demo, desk
from crm.models import DictionaryItem, Operation
from crm.policies import GRANTED_ACTIONS
from customers.models import Contact, Customer
from sales.demo.followups import STEPS
from sales.demo.marketing import Origins
from sales.models import (
    FollowUp,
    Lead,
    Opportunity,
    OpportunityItem,
    OpportunityStage,
    OpportunityStagePeriod,
    OpportunityStatus,
    OpportunityUserObjectPermission,
    Product,
    ProductCategory,
    cents,
)
from sales.models.followups import settle
from sales.services import opportunities as service

SHARE = 0.6  # opportunities per customer
WON, LOST = 0.48, 0.4  # of those that had time to end
USUAL_QUANTITIES = {"台": (1, 12), "套": (1, 6), "米": (50, 800), "个": (20, 400), "次": (1, 4), "项": (1, 2)}

CATALOGUE = {  # category: subcategory: [(name, unit, cost share, [(specification, price in CNY)])]
    "自动化控制": {
        "变频器": [("变频器", "台", "0.68", [("7.5kW 380V", 2680), ("15kW 380V", 4150), ("37kW 380V", 8960)])],
        "伺服系统": [
            ("伺服电机", "台", "0.64", [("400W 带抱闸", 1580), ("750W", 1890), ("1.5kW", 3260)]),
            ("伺服驱动器", "台", "0.66", [("400W", 1350), ("750W EtherCAT", 1980)]),
        ],
        "控制器": [
            ("可编程控制器", "台", "0.6", [("24 点", 1260), ("40 点 以太网", 2350)]),
            ("人机界面", "台", "0.62", [("7 英寸", 980), ("10.1 英寸", 1680)]),
            ("控制柜", "套", "0.72", [("标准型", 18600), ("防爆型", 36800)]),
        ],
    },
    "视觉与传感": {
        "工业相机": [("工业相机", "台", "0.58", [("500 万像素", 3680), ("1200 万像素", 6980)])],
        "传感器": [
            ("光电传感器", "个", "0.5", [("对射 10m", 128), ("漫反射 300mm", 96)]),
            ("压力变送器", "个", "0.55", [("0-1.6MPa", 420), ("0-10MPa", 560)]),
        ],
    },
    "传动与气动": {
        "减速机": [("行星减速机", "台", "0.66", [("60 系列 1:10", 860), ("90 系列 1:20", 1480)])],
        "气动元件": [
            ("电磁阀", "个", "0.52", [("二位五通", 86), ("三位五通", 118)]),
            ("气缸", "个", "0.56", [("缸径 32 行程 100", 145), ("缸径 63 行程 200", 268)]),
        ],
    },
    "线缆与配件": {
        "线缆": [("柔性拖链电缆", "米", "0.7", [("4×1.5", 12), ("7×0.75 屏蔽", 18)])],
        "备品备件": [("伺服线束套件", "套", "0.6", [("3 米", 165), ("5 米", 210)])],
    },
    "技术服务": {
        "安装调试": [("现场安装调试", "次", "0.5", [("单机", 6000), ("整线", 28000)])],
        "维护保养": [("年度维保", "项", "0.45", [("标准", 12000), ("含备件", 26000)])],
    },
}
RETIRED = {("伺服电机", "400W 带抱闸"), ("压力变送器", "0-10MPa")}
EXPORTED = ("伺服电机", "工业相机", "变频器", "光电传感器", "气缸")  # also listed in US dollars
PURPOSES = ("{product}年度采购", "新产线{product}项目", "{product}替换进口", "{product}小批量试单", "二期扩建{product}")
LOSE_REASONS = (
    "价格高于竞争对手约 8%，客户选择了低价方案。",
    "客户项目延期，预算取消。",
    "交期不能满足，客户改用现货品牌。",
    "技术参数不符，缺少防爆认证。",
    "客户已与原供应商续签年度框架。",
)


def build_deals(demo: Demo) -> dict[str, int]:
    products = write_catalogue(demo)
    story = Story(demo)
    found = story.write()
    demo.recent.append(story.live_today)
    return {"产品": products, "商机": len(found), "商机跟进": story.write_follow_ups()}


def write_catalogue(demo: Demo) -> int:
    """Categories and products; gives how many products."""
    stamp = {"created_at": demo.beginning + timedelta(days=3), "created_by": demo.admin}
    tops = demo.create([ProductCategory(name=name, sort=n * 10, **stamp) for n, name in enumerate(CATALOGUE, 1)])
    leaves = demo.create(
        [
            ProductCategory(name=name, parent=top, sort=n * 10, **stamp)
            for top in tops
            for n, name in enumerate(CATALOGUE[top.name], 1)
        ]
    )
    products = []
    for leaf in leaves:
        for name, unit, share, kinds in CATALOGUE[leaf.parent.name][leaf.name]:
            for specification, price in kinds:
                listed = [("CNY", Decimal(price))]
                if name in EXPORTED:
                    listed.append(("USD", cents(Decimal(price) / Decimal("6.4"))))
                for currency, amount in listed:
                    products.append(
                        Product(
                            name=name if currency == "CNY" else f"{name}（出口）",
                            category=leaf,
                            specification=specification,
                            unit=unit,
                            currency=currency,
                            price=amount,
                            cost_price=cents(amount * Decimal(share)),
                            is_active=(name, specification) not in RETIRED,
                            description="标准交期 2–3 周，质保 18 个月。" if unit in ("台", "套") else "",
                            **stamp,
                        )
                    )
    codes = numbering.take("product", len(products))
    for product, code in zip(products, codes, strict=True):
        product.code, product.code_key = code, text.fold(code)
    return len(demo.create(products))


class Basket:
    """What customers put together: products of one currency with quantities that make sense for their units."""

    def __init__(self, random: Random):
        self.random, self.by_currency = random, {}
        for product in Product.objects.valid().filter(is_active=True).order_by("pk"):
            self.by_currency.setdefault(product.currency, []).append(product)

    def fill(self, currency, most=4) -> list[tuple[Product, int, Decimal]]:
        """``[(product, quantity, unit price)]``, the price a little below the list."""
        choices = self.by_currency[currency]
        chosen = self.random.sample(choices, self.random.randint(1, min(most, len(choices))))
        return [
            (product, self.random.randint(*USUAL_QUANTITIES[product.unit]), self._price(product)) for product in chosen
        ]

    def _price(self, product) -> Decimal:
        return cents(product.price * Decimal(self.random.choice(("1", "1", "0.98", "0.95", "0.92"))))


class Story:
    def __init__(self, demo: Demo):
        self.demo, self.random = demo, Random("deals")  # noqa: S311  (the same every time)
        self.basket, self.origins = Basket(self.random), Origins()
        self.stages = list(OpportunityStage.objects.order_by("sort", "id"))
        self.opportunities: list[Opportunity] = []
        self.items: list[OpportunityItem] = []
        self.periods: list[OpportunityStagePeriod] = []
        self.moves: list[tuple] = []

    def write(self) -> list[Opportunity]:
        customers = Customer.objects.exclude(owner=None).filter(owner__is_active=True).select_related("owner")
        customers = list(customers.order_by("pk"))
        self.contacts = dict(Contact.objects.filter(is_default=True).values_list("customer_id", "pk"))
        converted = Lead.objects.exclude(customer=None).filter(customer__owner__is_active=True)
        for lead in converted.select_related("customer__owner").order_by("pk"):
            if self.random.random() < 0.6:
                self._add(lead.customer, lead.converted_at + timedelta(minutes=1), lead)
        while len(self.opportunities) < max(40, int(self.demo.customers * SHARE)):
            customer = self.random.choice(customers)
            since = max(customer.created_at.date(), self.demo.today - timedelta(days=HISTORY_DAYS))
            days = max(1, (self.demo.today - since).days)
            day = since + timedelta(days=int(days * self.random.random() ** 0.8))
            self._add(customer, max(self.demo.moment(self.random, day), customer.created_at + timedelta(hours=1)))
        self._save()
        return self.opportunities

    def _add(self, customer, created, lead=None):
        if created >= self.demo.moment(self.random, self.demo.today):
            return
        currency = "USD" if customer.currency not in ("", "CNY") else "CNY"
        lines = self.basket.fill(currency)
        main = lines[0][0].name.removesuffix("（出口）")
        opportunity = Opportunity(
            name=self.random.choice(PURPOSES).format(product=main),
            customer=customer,
            contact_id=self.contacts.get(customer.pk),
            lead=lead,
            activity=lead.activity if lead else self.origins.met(customer, created),
            currency=currency,
            estimated_amount=cents(sum(quantity * price for _, quantity, price in lines)),
            owner=customer.owner,
            created_at=created,
            created_by=customer.owner,
        )
        self._course(opportunity)
        self.opportunities.append(opportunity)
        for product, quantity, price in lines:
            item = OpportunityItem(opportunity=opportunity, product=product, quantity=quantity, unit_price=price)
            item.created_at, item.created_by = created, customer.owner
            self.items.append(item)

    def _course(self, opportunity):
        """From stage to stage until it is won or lost, or today has come."""
        fate, since = self.random.random(), opportunity.created_at
        now = timezone.make_aware(datetime.combine(self.demo.today, time(8)))
        end = len(self.stages) if fate < WON or fate >= WON + LOST else self.random.randint(1, len(self.stages))
        opportunity.stage = self.stages[0]
        for place in range(end):
            left = since + timedelta(days=self.random.randint(2, 24), minutes=self.random.randrange(500))
            stays = fate >= WON + LOST and place == min(3, len(self.stages) - 1)
            if left >= now or stays:
                break
            following = self.stages[place + 1] if place + 1 < end else None
            period = OpportunityStagePeriod(opportunity=opportunity, stage=self.stages[place], next_stage=following)
            period.started_at, period.ended_at = since, left
            period.created_at, period.created_by = left, opportunity.owner
            self.periods.append(period)
            if following is None:
                self._close(opportunity, left, won=fate < WON)
                break
            self.moves.append((opportunity, {"stage": [self.stages[place].pk, following.pk]}, left))
            opportunity.stage, since = following, left
        opportunity.stage_since = since
        if opportunity.status == OpportunityStatus.OPEN:
            opportunity.win_probability = opportunity.stage.probability
            ahead = self.demo.today if self.random.random() > 0.15 else self.demo.today - timedelta(days=30)
            opportunity.expected_close_date = ahead + timedelta(days=self.random.randint(5, 90))
        opportunity.lock_version = 1 + sum(1 for moved, *_ in self.moves[-len(self.stages) :] if moved is opportunity)

    def _close(self, opportunity, moment, *, won):
        status = OpportunityStatus.WON if won else OpportunityStatus.LOST
        opportunity.__dict__["status"] = status  # a protected state, written here as history
        opportunity.closed_at, opportunity.win_probability = moment, 100 if won else 0
        opportunity.expected_close_date = moment.date() + timedelta(days=self.random.randint(-10, 20))
        opportunity.lose_reason = "" if won else self.random.choice(LOSE_REASONS)
        self.moves.append((opportunity, {"status": [OpportunityStatus.OPEN, status]}, moment))

    def _save(self):
        self.opportunities.sort(key=lambda opportunity: opportunity.created_at)
        for day, group in groupby(self.opportunities, lambda one: timezone.localdate(one.created_at)):
            rows = list(group)
            for row, number in zip(rows, numbering.take("opportunity", len(rows), day=day), strict=True):
                row.number = number
        self.demo.create(self.opportunities)
        ids = ownership.permission_ids(Opportunity)
        OpportunityUserObjectPermission.objects.bulk_create(
            [
                OpportunityUserObjectPermission(content_object=row, user=row.owner, permission_id=ids[action])
                for row in self.opportunities
                for action in GRANTED_ACTIONS
            ],
            batch_size=BATCH,
        )
        for part in (*self.items, *self.periods):
            part.opportunity = part.opportunity  # its key is known now
        self.demo.create(self.items)
        self.demo.create(self.periods)
        for opportunity, changes, moment in self.moves:
            self.demo.log(opportunity, Operation.TRANSITION, changes, by=opportunity.owner, at=moment)

    def write_follow_ups(self) -> int:
        """Follow-ups of what is open; gives how many."""
        kinds = [
            item for item in DictionaryItem.objects.filter(type="follow_up_type").order_by("pk") if item.code != "other"
        ]
        still_open = [one for one in self.opportunities if one.status == OpportunityStatus.OPEN]
        rows = []
        for opportunity in still_open:
            if self.random.random() < 0.2:
                continue
            days = max(1, (self.demo.today - opportunity.created_at.date()).days)
            back = self.random.randint(1, min(days, 25))
            moment = self.demo.moment(self.random, self.demo.today - timedelta(days=back))
            moment = max(moment, opportunity.created_at + timedelta(minutes=20))
            content, following = self.random.choice(STEPS)
            has_next = self.random.random() < 0.75
            due = self.demo.moment(self.random, self.demo.today + timedelta(days=self.random.randint(-2, 14)))
            rows.append(
                FollowUp(
                    opportunity=opportunity,
                    time=moment,
                    type=self.random.choice(kinds),
                    content=content,
                    next_time=max(due, moment + timedelta(hours=2)) if has_next else None,
                    next_content=following if has_next else "",
                    author=opportunity.owner,
                    created_at=moment,
                    created_by=opportunity.owner,
                )
            )
        rows.sort(key=lambda row: row.time)
        self.demo.create(rows)
        settle("opportunity_id", [row.opportunity for row in rows])
        keys = {row.opportunity.customer_id for row in rows}
        settle("customer_id", list(Customer.objects.filter(pk__in=keys).order_by("pk")))
        return len(rows)

    def live_today(self):
        """A day's work through the services themselves: some move on, one is won, one lost."""
        still_open = Opportunity.objects.filter(status=OpportunityStatus.OPEN).select_related("owner", "stage")
        chosen = list(still_open.order_by("-pk")[:5])
        for place, opportunity in enumerate(chosen):
            owner, following = opportunity.owner, self.stages.index(opportunity.stage) + 1
            with actor.acting(owner, ip=desk(owner)):
                if place == 3:
                    service.win(opportunity, by=owner)
                elif place == 4:
                    service.lose(opportunity, by=owner, reason=LOSE_REASONS[0])
                elif following < len(self.stages):
                    service.move(opportunity, self.stages[following], by=owner)
