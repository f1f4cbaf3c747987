"""Demo customers: two years of a trading company's business, from a fixed seed."""

from datetime import timedelta
from decimal import Decimal
from itertools import groupby
from random import Random

from crm import actor, numbering, ownership, text, transitions
from crm.demo import BATCH, HISTORY_DAYS, Demo, builders, desk
from crm.models import Company, Department, DictionaryItem, Operation, User
from crm.policies import GRANTED_ACTIONS
from customers.demo import credit, papers, sea, stages, words
from customers.demo.requests import write_requests
from customers.models import (
    BUSINESS_TYPES,
    BankAccount,
    Contact,
    Customer,
    CustomerCategory,
    CustomerLink,
    CustomerUserObjectPermission,
    DealStatus,
    Kind,
    RealCustomer,
    ReviewStatus,
    ShippingMark,
    Stage,
    Tag,
)

OVERSEAS_SHARE, PRIVATE_SHARE, UNOWNED_SHARE, SHARED_SHARE = 0.18, 0.05, 0.12, 0.15

CATEGORIES = {
    "内销客户": ["经销商", "终端企业", "工程项目", "个人客户"],
    "外贸客户": ["进口商", "零售连锁", "品牌商"],
    "电商客户": ["平台卖家", "独立站"],
    "战略客户": [],
}
TAGS = {
    "重点跟进": "danger",
    "展会获取": "info",
    "价格敏感": "warning",
    "账期客户": "primary",
    "年框客户": "success",
    "沉睡客户": "warning",
    "新品试用": "info",
    "转介绍": "success",
}
TEAMS = {  # area: the department that looks after it
    "east": "华东销售部",
    "south": "华南销售部",
    "southwest": "华南销售部",
    "north": "华北销售部",
    "northeast": "华北销售部",
    "central": "华北销售部",
    "northwest": "华北销售部",
}
ASIA = {"JP", "SG", "HK", "MY", "TH", "AU"}
REMARKS = (
    "对交期要求高，报价前先确认库存。",
    "每年三月、九月集中采购。",
    "要求开具增值税专用发票，月结 30 天。",
    "老板喜欢喝茶，拜访前提前预约。",
    "竞争对手也在接触，注意价格保护。",
    "样品已寄出，等待反馈 📦",
)


def build_customers(demo: Demo) -> dict[str, int]:
    story = Story(demo)
    customers = story.write_customers()
    counts = {
        "客户": len(customers),
        "联系人": len(story.write_contacts()),
        "银行账户": len(story.write_bank_accounts()),
        "唛头": len(story.write_marks()),
        "客户关联": len(story.write_links()),
        "真实客户": len(story.real_customers),
        **credit.Credit(story).write(),
    }
    counts["归属记录"] = sea.write(story)
    story.share()
    demo.recent += [story.live_today, papers.add_papers]
    return counts


builders.add("customers", build_customers)


class Story:
    """The customers of one run; ``profiles`` and ``customers`` lie side by side."""

    def __init__(self, demo: Demo):
        self.demo, self.random = demo, Random("customers")  # noqa: S311  (the same every time)
        self.dictionary = {(item.type, item.code): item for item in DictionaryItem.objects.all()}
        self.people = {user.username: user for user in User.objects.select_related("department")}
        self.sellers: dict[str, list[User]] = {}
        for user in User.objects.filter(is_active=True, groups__name__in=["销售", "销售主管"]).select_related(
            "department"
        ):
            self.sellers.setdefault(user.department.name, []).append(user)
        self.companies = list(Company.objects.all())
        stamp = {"created_at": demo.beginning + timedelta(days=1), "created_by": demo.admin}
        self.tags = demo.create([Tag(name=name, color=color, **stamp) for name, color in TAGS.items()])
        self.categories = self._write_categories(stamp)
        self.profiles = self._imagine()
        self.real_customers = self._write_real_customers(stamp)
        self.customers: list[Customer] = []

    def chance(self, share) -> bool:
        return self.random.random() < share

    def pick(self, type, *, likely=()):
        """An item of a dictionary, three times out of four one of the ``likely`` codes."""
        codes = likely if likely and self.chance(0.75) else [code for kind, code in self.dictionary if kind == type]
        return self.dictionary[type, self.random.choice(codes)]

    # --- Around the customers ----------------------------------------------------------------------------------------

    def _write_categories(self, stamp):
        tops = self.demo.create(
            [
                CustomerCategory(name=name, sort=sort * 10, **credit.terms_of(name, self.dictionary), **stamp)
                for sort, name in enumerate(CATEGORIES, 1)
            ]
        )
        nodes = self.demo.create(
            [
                CustomerCategory(
                    name=name, parent=top, sort=sort * 10, **credit.terms_of(name, self.dictionary), **stamp
                )
                for top in tops
                for sort, name in enumerate(CATEGORIES[top.name], 1)
            ]
        )
        return {node.name: node for node in [*tops, *nodes]}

    def _imagine(self) -> list[words.Profile]:
        """As many profiles as customers are wanted, no two with the same name."""
        profiles = {}
        rare = words.domestic_company(self.random, brand=words.RARE_BRAND)
        profiles[rare.name] = rare
        while len(profiles) < self.demo.customers:
            draw = self.random.random()
            if draw < OVERSEAS_SHARE:
                profile = words.overseas_company(self.random)
            elif draw < OVERSEAS_SHARE + PRIVATE_SHARE:
                profile = words.private_person(self.random)
            else:
                profile = words.domestic_company(self.random)
            profiles.setdefault(profile.name, profile)
        profiles = list(profiles.values())
        self.random.shuffle(profiles)
        return profiles

    def _write_real_customers(self, stamp):
        groups = sorted({"".join(pair[0] for pair in self.random.sample(words.BRANDS, 2)) for _ in range(60)})
        return self.demo.create(
            [
                RealCustomer(code=f"RC{number:04d}", name=f"{name}控股集团有限公司", **stamp)
                for number, name in enumerate(groups[: max(2, self.demo.customers // 40)], 1)
            ]
        )

    # --- Customers ---------------------------------------------------------------------------------------------------

    def write_customers(self):
        days = sorted((1 + int((HISTORY_DAYS - 1) * self.random.random() ** 1.2) for _ in self.profiles), reverse=True)
        self.customers = [
            self._customer(profile, self.demo.moment(self.random, self.demo.today - timedelta(days=ago)), ago)
            for profile, ago in zip(self.profiles, days, strict=True)
        ]
        for month, group in groupby(self.customers, lambda customer: customer.created_at.date().replace(day=1)):
            group = list(group)
            for customer, code in zip(group, numbering.take("customer", len(group), day=month), strict=True):
                customer.code = code
        for customer in self.customers:
            customer.is_credit_enabled = credit.is_enabled(customer)
        pairs = zip(self.customers, self.profiles, strict=True)
        categories = [self._categories_of(customer, profile) for customer, profile in pairs]
        tags = [self.random.sample(self.tags, self.random.choice((0, 0, 1, 1, 2))) for _ in self.customers]
        periods = stages.pass_through(self.demo, self.customers)
        self.demo.create(self.customers, categories=categories, tags=tags)
        self.demo.create(periods)
        self._grant([(customer, customer.owner, GRANTED_ACTIONS) for customer in self.customers if customer.owner])
        return self.customers

    def _customer(self, profile, created_at, age):
        review, deal, stage = self._states(age)
        seller = self._seller(profile)
        unowned = self.chance(UNOWNED_SHARE)
        customer = Customer(
            name=profile.name,
            short_name=profile.short_name,
            kind=Kind.PERSON if profile.is_person else Kind.COMPANY,
            nature=self.dictionary["nature", "normal"],
            level=self._level(deal, stage),
            source=self.pick("source", likely=("website", "expo", "referral", "telemarketing")),
            review_status=review,
            deal_status=deal,
            stage=stage,
            is_enabled=review != ReviewStatus.SUSPENDED,
            is_closed=deal == DealStatus.LOST and self.chance(0.2),
            phone=profile.phone,
            fax=profile.fax,
            country=self.dictionary["country", profile.country],
            area=self.dictionary["area", profile.area],
            address=profile.address,
            postcode=profile.postcode,
            currency=profile.currency,
            satisfaction=self.random.choice((3, 4, 4, 5)) if deal == DealStatus.WON else None,
            credit_rating=self.random.randint(2, 5) if deal != DealStatus.POTENTIAL else None,
            remark=self.random.choice(REMARKS) if self.chance(0.2) else "",
            owner=None if unowned else seller,
            owned_since=created_at,
            stage_since=created_at,
            created_at=created_at,
            created_by=self.people["lintao"] if unowned and self.chance(0.3) else seller,
        )
        if not profile.is_person:
            self._add_company_data(customer, profile)
        sea.place(customer, age, self.random, self.demo)
        return customer

    def _states(self, age):
        """Review, deal and stage that go together: young customers wait for review, old ones have bought or left."""
        if self.chance(0.5 if age < 30 else 0.03):
            return ReviewStatus.PENDING, DealStatus.POTENTIAL, Stage.LEAD
        if self.chance(0.05):
            return ReviewStatus.REJECTED, DealStatus.POTENTIAL, Stage.LEAD
        if self.chance(0.05):
            return ReviewStatus.SUSPENDED, DealStatus.LOST, Stage.LAPSED
        if self.chance(0.5):
            return ReviewStatus.APPROVED, DealStatus.WON, Stage.KEY if self.chance(0.25) else Stage.ORDINARY
        if self.chance(0.2):
            return ReviewStatus.APPROVED, DealStatus.LOST, Stage.LAPSED
        return ReviewStatus.APPROVED, DealStatus.POTENTIAL, Stage.ORDINARY if self.chance(0.4) else Stage.LEAD

    def _level(self, deal, stage):
        if stage == Stage.KEY:
            return self.pick("level", likely=("S", "A", "partner", "big"))
        return self.pick("level", likely=("A", "B", "P") if deal == DealStatus.WON else ("B", "C", "normal"))

    def _seller(self, profile) -> User:
        if profile.is_overseas:
            team = "亚太组" if profile.country in ASIA else "欧美组"
        else:
            team = "供应链部" if profile.industry == "logistics" else TEAMS[profile.area]
        return self.random.choice(self.sellers[team])

    def _add_company_data(self, customer, profile):
        random, domain = self.random, profile.domain
        capital = random.choice((50, 100, 200, 500, 1000, 3000, 5000)) * 10_000
        customer.industry = self.dictionary["industry", profile.industry]
        customer.scale = self.pick("scale", likely=("micro", "small", "medium"))
        customer.email = f"info@{domain}"
        customer.notify_email = f"order@{domain}" if self.chance(0.5) else ""
        customer.billing_email = f"finance@{domain}" if self.chance(0.5) else ""
        customer.website = f"www.{domain}" if self.chance(0.7) else ""
        customer.business_types = random.sample([code for code, _ in BUSINESS_TYPES], random.choice((0, 1, 1, 2)))
        customer.registered_capital = Decimal(capital)
        customer.annual_turnover = Decimal(capital * random.randint(2, 12)) if self.chance(0.6) else None
        customer.capital_currency = profile.currency
        customer.real_customer = random.choice(self.real_customers) if self.chance(0.12) else None
        if profile.is_overseas:
            customer.trade_terms = self.pick("trade_terms", likely=("FOB", "CIF", "EXW"))
            customer.transport = self.pick("transport", likely=("sea", "air"))
            customer.legal_representative = words.foreign(random).name
            customer.tax_rate = Decimal(0)
            customer.is_sinosure = self.chance(0.3)
        else:
            customer.transport = self.pick("transport", likely=("truck", "express"))
            customer.invoice_title = profile.name
            customer.tax_rate = Decimal(random.choice((13, 13, 9, 6)))
            customer.licence_no = customer.national_tax_no = profile.licence_no
            customer.local_tax_no = f"{profile.division}{profile.licence_no[8:17]}" if self.chance(0.3) else ""
            customer.legal_representative = words.chinese(random).name

    def _categories_of(self, customer, profile):
        if profile.is_overseas:
            names = ["进口商", "零售连锁", "品牌商"]
        elif profile.is_person:
            return [self.categories["个人客户"]]
        else:
            names = ["平台卖家", "独立站"] if profile.industry == "ecommerce" else ["经销商", "终端企业", "工程项目"]
        strategic = [self.categories["战略客户"]] if customer.stage == Stage.KEY and self.chance(0.3) else []
        return [self.categories[self.random.choice(names)], *strategic]

    # --- What belongs to them ----------------------------------------------------------------------------------------

    def _part(self, customer, minutes):
        return {
            "customer": customer,
            "created_at": customer.created_at + timedelta(minutes=minutes),
            "created_by": customer.created_by,
        }

    def write_contacts(self):
        rare = iter([words.Person(*person) for person in words.RARE_PEOPLE])
        contacts = []
        for customer, profile in zip(self.customers, self.profiles, strict=True):
            numbers = set()
            for place in range(1 if profile.is_person else self.random.choice((1, 1, 1, 2, 2, 3))):
                if profile.is_person:
                    person = words.Person(profile.name, "", "")
                elif profile.is_overseas:
                    person = words.foreign(self.random)
                else:
                    person = next(rare, None) or words.chinese(self.random)
                number = profile.phone if profile.is_person else words.telephone_in(self.random, profile)
                if number not in numbers:
                    numbers.add(number)
                    contacts.append(self._contact(customer, profile, person, number, place))
        return self.demo.create(contacts)

    def _contact(self, customer, profile, person, number, place):
        random, business = self.random, not profile.is_person
        likely = ("ceo", "purchasing", "sales", "finance")
        return Contact(
            **self._part(customer, 5 + place),
            name=person.name,
            sex=person.sex,
            position=str(self.pick("position", likely=likely)) if business else "",
            mobile=number,
            mobile_key=text.phone_key(number),
            telephone=f"{profile.phone} 转 {random.randint(800, 899)}" if business and self.chance(0.3) else "",
            email=f"{person.handle}@{profile.domain}" if business and self.chance(0.7) else "",
            wechat=f"{person.handle}{random.randrange(100, 9999)}" if business and self.chance(0.4) else "",
            qq=str(random.randrange(10**7, 10**10)) if not profile.is_overseas and self.chance(0.3) else "",
            is_key=place == 0 and self.chance(0.6),
            preference=self.pick("preference") if self.chance(0.6) else None,
            birthday=self.demo.today - timedelta(days=random.randint(22, 60) * 365 + random.randrange(365))
            if self.chance(0.4)
            else None,
            is_default=place == 0,
            default_of=customer if place == 0 else None,
        )

    def write_bank_accounts(self):
        accounts = []
        for customer, profile in zip(self.customers, self.profiles, strict=True):
            if customer.deal_status == DealStatus.POTENTIAL or profile.is_person:
                continue
            for place in range(self.random.choice((1, 1, 2))):
                accounts.append(self._bank_account(customer, profile, place))
        return self.demo.create(accounts)

    def _bank_account(self, customer, profile, place):
        if profile.is_overseas:
            bank, code = self.random.choice(words.OVERSEAS_BANKS)
            details = {"bank": f"{bank} {profile.city}", "bank_code": code, "bank_address": profile.city}
            account = words.fill(self.random, "N###########")
        else:
            details = {"bank": f"{self.random.choice(words.DOMESTIC_BANKS)}{profile.city}分行"}
            details["bank_code"] = words.fill(self.random, "10N##########")
            account = words.fill(self.random, "62N################")
        return BankAccount(
            **self._part(customer, 20 + place),
            **details,
            account=account,
            payee=self.random.choice(self.companies),
            is_default=place == 0,
            default_of=customer if place == 0 else None,
        )

    def write_marks(self):
        marks = []
        for customer, profile in zip(self.customers, self.profiles, strict=True):
            if profile.is_overseas and self.chance(0.8):
                content = f"{profile.short_name.upper()}\n{profile.city.upper()}\nC/NO. 1-UP\nMADE IN CHINA"
                marks.append(ShippingMark(**self._part(customer, 30), content=content))
        return self.demo.create(marks)

    def write_links(self):
        companies = [customer for customer in self.customers if customer.kind == Kind.COMPANY]
        links = []
        for customer in self.random.sample(companies, len(companies) // 15):
            linked = self.random.choice(companies)
            if linked is not customer:
                latest = max(customer, linked, key=lambda one: one.created_at)
                stamp = self._part(customer, 0) | {"created_at": latest.created_at + timedelta(minutes=40)}
                links.append(CustomerLink(**stamp, linked=linked, type=self.pick("link_type")))
        return self.demo.create(links)

    # --- Who works on them -------------------------------------------------------------------------------------------

    def share(self):
        """Collaborators: a colleague of the owner's team, or customer service."""
        helpers = [user for user in self.people.values() if user.department and user.department.name == "客服部"]
        granted = []
        for customer in self.customers:
            if customer.owner is None or not self.chance(SHARED_SHARE):
                continue
            team = self.sellers[customer.owner.department.name]
            user = self.random.choice([user for user in team if user != customer.owner] + helpers)
            level = self.random.choice(list(ownership.LEVELS))
            granted.append((customer, user, ("view", "change") if level == "change" else ("view",)))
            self.demo.log(
                customer,
                Operation.OWNERSHIP,
                {"collaborators": [None, f"{user}（{ownership.LEVELS[level]}）"]},
                by=customer.owner,
                at=customer.created_at + timedelta(minutes=50),
            )
        self._grant(granted)

    def _grant(self, granted):
        ids = ownership.permission_ids(Customer)
        CustomerUserObjectPermission.objects.bulk_create(
            [
                CustomerUserObjectPermission(content_object=customer, user=user, permission_id=ids[action])
                for customer, user, actions in granted
                for action in actions
            ],
            batch_size=BATCH,
        )

    def live_today(self):
        """A day's work through the services themselves: reviews, edits by two people, handovers."""
        approver, random = self.people["songkai"], self.random
        waiting = [c for c in self.customers if c.review_status == ReviewStatus.PENDING]
        for place, customer in enumerate(random.sample(waiting, min(len(waiting) // 2, 12))):
            name, reason = ("reject", "营业执照信息与工商登记不一致。") if place % 4 == 3 else ("approve", "")
            with actor.acting(approver, ip=desk(approver)):
                transitions.run(customer, name, by=approver, reason=reason)

        owned = [c for c in self.customers if c.owner and c.review_status == ReviewStatus.APPROVED]
        managers = {department.name: department.manager for department in Department.objects.select_related("manager")}
        write_requests(self)

        for customer in random.sample(owned, min(len(owned), 6)):
            team = customer.owner.department.name
            manager = managers[team]
            heirs = [user for user in self.sellers[team] if user not in (customer.owner, manager)]
            if heirs:
                with actor.acting(manager, ip=desk(manager)):
                    ownership.set_owner(customer, heirs[0], by=manager, reason="区域调整")
