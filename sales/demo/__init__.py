"""Demo leads: a year of enquiries in three pools, from a fixed seed; some have become the demo's customers."""

from datetime import timedelta
from random import Random

from crm import actor, ownership, text
from crm.demo import BATCH, Demo, builders, desk, mobile
from crm.models import DictionaryItem, User
from crm.policies import GRANTED_ACTIONS
from customers.demo import words
from customers.models import Contact, Kind
from sales.demo.deals import build_deals
from sales.demo.followups import build_followups
from sales.demo.marketing import Origins, build_activities, build_messages
from sales.demo.money import build_money
from sales.demo.papers import build_papers
from sales.models import (
    DevelopmentPlan,
    IntentLevel,
    Lead,
    LeadEnquiry,
    LeadPool,
    LeadStatus,
    LeadUserObjectPermission,
    PlanResult,
)
from sales.services import leads as service

DAYS = 365
CONVERTED_SHARE, INVALID_SHARE, WAITING_SHARE, AGAIN_SHARE = 0.22, 0.12, 0.2, 0.18

POOLS = [  # name, description, public, departments of its members, who runs it
    ("公共池", "官网、广告和电话咨询来的线索，人人可以领取。", True, [], ["xieting"]),
    (
        "展会名片池",
        "广交会、工博会收集的名片，由国内销售跟进。",
        False,
        ["华东销售部", "华南销售部", "华北销售部"],
        ["chenjing"],
    ),
    ("外贸询盘池", "海外平台的询盘，由外贸部跟进。", False, ["外贸部", "欧美组", "亚太组"], ["xujie"]),
]
SOURCES = {
    "公共池": ("website", "ads", "search", "telemarketing"),
    "展会名片池": ("expo",),
    "外贸询盘池": ("ecommerce",),
}
PRODUCTS = (
    "变频器",
    "伺服电机",
    "工业相机",
    "传感器套件",
    "减速机",
    "控制柜",
    "连接线束",
    "气动元件",
    "包装设备",
    "备品备件",
)
OVERVIEWS = (
    "咨询{product}的价格和交期",
    "现有供应商供货不稳定，想找{product}的第二家",
    "新建产线，需要一批{product}",
    "索取{product}样册和报价",
    "同行推荐，想先试用{product}",
)
STEPS = (
    ("电话了解用量和预算", "对方介绍了年用量，愿意看方案"),
    ("寄送样册和报价", "已收到，转给采购比较"),
    ("安排样品试用", "试用正常，技术认可"),
    ("上门拜访技术负责人", "谈妥技术参数"),
    ("跟进报价反馈", "价格还有分歧，下月再谈"),
)
REASONS = ("号码打不通，多次联系无人接听。", "同行询价，没有采购意向。", "需求不在我们的产品范围内。", "项目已取消。")


def build_leads(demo: Demo) -> dict[str, int]:
    story = Story(demo)
    leads = story.write_leads()
    counts = {"线索": len(leads), "开发计划": len(story.write_plans()), "咨询记录": len(story.write_enquiries())}
    demo.recent.append(story.live_today)
    return counts


builders.add("sales.activities", build_activities)
builders.add("sales", build_leads)
builders.add("sales.deals", build_deals)
builders.add("sales.followups", build_followups)
builders.add("sales.sms", build_messages)
builders.add("sales.papers", build_papers)
builders.add("sales.money", build_money)


class Story:
    def __init__(self, demo: Demo):
        self.demo, self.random = demo, Random("leads")  # noqa: S311  (the same every time)
        self.people = {user.username: user for user in User.objects.select_related("department")}
        self.sources = {item.code: item for item in DictionaryItem.objects.filter(type="source")}
        self.sellers: dict[str, list[User]] = {}
        sellers = User.objects.filter(is_active=True, groups__name__in=["销售", "销售主管"])
        for user in sellers.select_related("department").order_by("pk"):
            self.sellers.setdefault(user.department.name, []).append(user)
        self.marketing = self.people["xieting"]
        self.pools, self.origins = self._write_pools(), Origins()
        self.phones: set[str] = set()
        self.leads: list[Lead] = []

    def chance(self, share) -> bool:
        return self.random.random() < share

    def _write_pools(self):
        stamp = {"created_at": self.demo.beginning + timedelta(days=2), "created_by": self.demo.admin}
        members = [[user for name in teams for user in self.sellers.get(name, [])] for *_, teams, _ in POOLS]
        admins = [[self.people[name] for name in names] for *_, names in POOLS]
        pools = [
            LeadPool(name=name, description=description, is_public=public, **stamp)
            for name, description, public, *_ in POOLS
        ]
        self.demo.create(pools, members=members, admins=admins)
        return {pool.name: (pool, people) for pool, people in zip(pools, members, strict=True)}

    # --- Leads -------------------------------------------------------------------------------------------------------

    def write_leads(self):
        wanted = max(40, self.demo.customers * 18 // 100)
        self.leads = self._converted(int(wanted * CONVERTED_SHARE))
        while len(self.leads) < wanted:
            if lead := self._lead():
                self.leads.append(lead)
        self.leads.sort(key=lambda lead: lead.created_at)
        for lead in self.leads:
            if self.chance(AGAIN_SHARE):
                days = max(1, (self.demo.today - lead.created_at.date()).days)
                lead.enquiry_count = self.random.choice((1, 1, 2))
                day = lead.created_at.date() + timedelta(days=self.random.randrange(days))
                lead.last_enquiry_at = max(self.demo.moment(self.random, day), lead.created_at + timedelta(hours=1))
        self.demo.create(self.leads)
        ids = ownership.permission_ids(Lead)
        LeadUserObjectPermission.objects.bulk_create(
            [
                LeadUserObjectPermission(content_object=lead, user=lead.owner, permission_id=ids[action])
                for lead in self.leads
                if lead.owner
                for action in GRANTED_ACTIONS
            ],
            batch_size=BATCH,
        )
        return self.leads

    def _converted(self, count):
        """Leads that the contacts of this year's customers once were."""
        since = self.demo.today - timedelta(days=DAYS)
        contacts = Contact.objects.filter(
            is_default=True, customer__created_at__date__gte=since, customer__kind=Kind.COMPANY
        ).exclude(customer__owner=None)
        found = []
        for contact in contacts.select_related("customer__owner__department", "customer__source").order_by("pk"):
            customer = contact.customer
            if len(found) == count or not self.chance(0.4) or not self._take(contact.mobile):
                continue
            created = customer.created_at - timedelta(days=self.random.randint(3, 40))
            team = customer.owner.department.name
            pool = self.pools["外贸询盘池" if team in ("外贸部", "欧美组", "亚太组") else "公共池"][0]
            lead = Lead(
                **self._needs(contact.name, contact.mobile, pool, created),
                company=customer.name,
                position=contact.position,
                owner=customer.owner,
                assigned_at=created + timedelta(hours=2),
                status=LeadStatus.CONVERTED,
                customer=customer,
                converted_at=customer.created_at,
                success_probability=100,
            )
            lead.source = customer.source or lead.source
            found.append(lead)
        return found

    def _take(self, phone) -> bool:
        """Whether no lead has this number yet."""
        key = text.phone_key(phone)
        if not key or key in self.phones:
            return False
        self.phones.add(key)
        return True

    def _needs(self, name, phone, pool, created):
        product = self.random.choice(PRODUCTS)
        source = self.random.choice(SOURCES[pool.name])
        return {
            "name": name,
            "phone": phone,
            "phone_key": text.phone_key(phone),
            "pool": pool,
            "source": self.sources[source],
            "activity": self.origins.of(source, created),
            "intent_product": product,
            "intent_level": self.random.choice(IntentLevel.values),
            "overview": self.random.choice(OVERVIEWS).format(product=product),
            "created_at": created,
            "created_by": self.marketing,
        }

    def _lead(self):
        name = self.random.choice([pool for pool, *_ in POOLS])
        pool, members = self.pools[name]
        overseas = name == "外贸询盘池"
        person = words.foreign(self.random) if overseas else words.chinese(self.random)
        profile = words.overseas_company(self.random) if overseas else words.domestic_company(self.random)
        phone = words.telephone_in(self.random, profile) if overseas else mobile(self.random)
        if not self._take(phone):
            return None
        ago = int(DAYS * self.random.random() ** 1.5)
        created = self.demo.moment(self.random, self.demo.today - timedelta(days=ago + 1))
        people = members or [user for team in self.sellers.values() for user in team]
        return Lead(
            **self._needs(person.name, phone, pool, created) | self._course(people, created),
            company=profile.name if self.chance(0.8) else "",
            position=self.random.choice(("采购经理", "总经理", "技术负责人", "")),
        )

    def _course(self, people, created):
        """Who took the lead, and how far it has come."""
        if self.chance(WAITING_SHARE):
            return {}
        owner = self.random.choice(people)
        course = {"owner": owner, "assigned_at": created + timedelta(minutes=self.random.randint(20, 2000))}
        if self.chance(0.25):
            course["created_by"] = owner
        if self.chance(INVALID_SHARE / (1 - WAITING_SHARE)):
            reason = self.random.choice(REASONS)
            return course | {"status": LeadStatus.INVALID, "invalid_reason": reason, "intent_level": IntentLevel.LOW}
        if self.chance(0.75):
            likely = self.random.choice((20, 30, 40, 50, 60, 70, 80))
            return course | {"status": LeadStatus.WORKING, "success_probability": likely}
        return course

    # --- What belongs to them ----------------------------------------------------------------------------------------

    def write_plans(self):
        plans = []
        for lead in self.leads:
            if lead.status not in (LeadStatus.WORKING, LeadStatus.CONVERTED):
                continue
            day = lead.created_at.date()
            for content, effect in self.random.sample(STEPS, self.random.randint(1, 3)):
                day += timedelta(days=self.random.randint(2, 12))
                plans.append(self._plan(lead, day, content, effect))
        return self.demo.create(plans)

    def _plan(self, lead, day, content, effect):
        past = day < self.demo.today and (lead.status == LeadStatus.CONVERTED or self.chance(0.85))
        result = PlanResult.PLANNED
        if past:
            result = PlanResult.EFFECTIVE if "分歧" not in effect else PlanResult.FRUITLESS
        return DevelopmentPlan(
            lead=lead,
            content=content,
            date=day,
            effect=effect if past else "",
            result=result,
            created_at=lead.created_at + timedelta(hours=3),
            created_by=lead.owner,
        )

    def write_enquiries(self):
        rows = [
            LeadEnquiry(
                lead=lead,
                enquired_at=lead.last_enquiry_at - timedelta(minutes=30 * place),
                name=lead.name,
                company=lead.company,
                source=self.sources["telemarketing"],
                content=f"再次询问{lead.intent_product}的价格。",
                created_at=lead.last_enquiry_at,
                created_by=self.marketing,
            )
            for lead in self.leads
            for place in range(lead.enquiry_count)
        ]
        return self.demo.create(rows)

    def live_today(self):
        """A day's work through the services themselves: somebody claims, calls come in again, cards are handed out."""
        waiting = [lead for lead in self.leads if lead.owner is None and lead.pool.is_public]
        seller = self.people["wangfang"]
        for lead in waiting[-4:-2]:
            with actor.acting(seller, ip=desk(seller)):
                service.claim(lead, by=seller)
        working = [lead for lead in self.leads if lead.status == LeadStatus.WORKING]
        for lead in working[-3:]:
            with actor.acting(self.marketing, ip=desk(self.marketing)):
                service.register_enquiry(
                    lead.phone, by=self.marketing, name=lead.name, content="来电催问报价，请尽快回复。"
                )
        admin = self.people["chenjing"]
        team = self.sellers[admin.department.name]
        held = [lead for lead in self.leads if lead.owner is None and lead.pool.name == "展会名片池"]
        for lead in held[-2:]:
            with actor.acting(admin, ip=desk(admin)):
                service.assign(lead, self.random.choice(team), by=admin, reason="展会后分配")
