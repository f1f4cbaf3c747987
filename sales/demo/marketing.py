"""Demo marketing: two years of fairs, live streams and promotions, and text messages to customers."""

from datetime import datetime, time, timedelta
from decimal import Decimal
from random import Random

from django.utils import timezone

from crm import text
from crm.demo import BATCH, Demo, mobile
from crm.exchange import CENT
from crm.models import DictionaryItem, User
from customers.models import Customer, Stage
from sales.models import (
    ActivityStatus,
    CampaignStatus,
    DeliveryState,
    MarketingActivity,
    OptOutSource,
    SmsCampaign,
    SmsDelivery,
    SmsOptOut,
    SmsTemplate,
    TemplateType,
)
from sales.services import sms_audience

SIGNATURE = "客源贸易"
ACTIVITIES = [  # name, type, begins so many days from today, days, budget, share of it that was spent
    ("{year} 年广交会春季展", "expo", -640, 5, 180_000, "0.94"),
    ("新品变频器直播专场", "live", -560, 1, 20_000, "0.85"),
    ("华东客户技术研讨会", "seminar", -470, 2, 45_000, "1.08"),
    ("{year} 年广交会秋季展", "expo", -400, 5, 190_000, "0.97"),
    ("年末促销季", "promotion", -330, 30, 60_000, "0.72"),
    ("{year} 年工博会", "expo", -230, 5, 150_000, "1.02"),
    ("伺服电机直播专场", "live", -150, 1, 25_000, "0.90"),
    ("搜索广告投放", "ads", -120, 90, 80_000, "0.95"),
    ("{year} 年行业自动化展", "expo", -60, 4, 120_000, "0.88"),
    ("老客户回馈促销", "promotion", -10, 30, 50_000, "0.30"),
    ("新品发布直播", "live", 25, 1, 30_000, ""),
    ("海外经销商推介会", "seminar", 50, 2, 90_000, ""),
]
CANCELLED = "华东客户技术研讨会"
TEMPLATES = [
    (
        "新品介绍",
        TemplateType.MARKETING,
        "${称呼}您好，新一代变频器现已到货，选型请联系${负责人} ${负责人电话}，拒收请回复R",
    ),
    (
        "老客户召回",
        TemplateType.MARKETING,
        "${客户名称}您好，许久未联系，老客户续订享九五折，详询${负责人}，拒收请回复R",
    ),
    ("放假通知", TemplateType.NOTICE, "${客户名称}您好，${公司}春节期间照常接单，发货顺延至初八。"),
]
ERRORS = ("空号", "关机或不在服务区", "手机终端存储已满")


def build_activities(demo: Demo) -> dict[str, int]:
    """Before the leads, some of which come from them."""
    kinds = {item.code: item for item in DictionaryItem.objects.filter(type="activity_type")}
    manager = User.objects.get(username="xieting")
    rows = []
    for name, kind, begins, days, budget, spent in ACTIVITIES:
        first = demo.today + timedelta(days=begins)
        last = first + timedelta(days=days - 1)
        status = ActivityStatus.ENDED if last < demo.today else ActivityStatus.RUNNING
        if first > demo.today:
            status = ActivityStatus.PLANNED
        cost = (Decimal(budget) * Decimal(spent)).quantize(CENT) if spent else None
        if name == CANCELLED:
            status, cost = ActivityStatus.CANCELLED, Decimal(3000)
        created = max(demo.beginning, _at(first - timedelta(days=45), 10))
        row = MarketingActivity(
            name=name.format(year=first.year),
            type=kinds[kind],
            start_time=_at(first, 9),
            end_time=_at(last, 18),
            manager=manager,
            budget=Decimal(budget),
            actual_cost=cost,
            status=status,
            cancel_reason="报名人数不足" if name == CANCELLED else "",
            description="展位、物料与差旅由市场部统一安排。" if kind == "expo" else "",
            created_at=min(created, _at(demo.today, 8)),
            created_by=manager,
        )
        rows.append(row)
    return {"市场活动": len(demo.create(rows))}


def _at(day, hour):
    return timezone.make_aware(datetime.combine(day, time(hour)))


class Origins:
    """Which activity a lead of some source and day may have come from."""

    SOURCES = {"expo": ("expo",), "ads": ("ads",), "search": ("ads",), "website": ("live", "promotion")}

    def __init__(self):
        held = MarketingActivity.objects.exclude(status=ActivityStatus.CANCELLED).select_related("type")
        self.held = list(held.order_by("-start_time"))

    def of(self, source, created):
        """The last one that had begun, within three months of its end; None: from none."""
        kinds = self.SOURCES.get(source, ())
        for one in self.held:
            if one.type.code in kinds and one.start_time <= created <= one.end_time + timedelta(days=90):
                return one
        return None

    def met(self, customer, created):
        """Where a third of the customers were met, if an activity was held in the two months before; None: nowhere."""
        for one in self.held:
            if customer.pk % 3 == 0 and one.start_time <= created <= one.end_time + timedelta(days=60):
                return one
        return None


def build_messages(demo: Demo) -> dict[str, int]:
    return Messages(demo).write()


class Messages:
    def __init__(self, demo: Demo):
        self.demo, self.random = demo, Random("sms")  # noqa: S311  (the same every time)
        self.sender = User.objects.get(username="xieting")

    def write(self):
        templates = self._templates()
        opted_out = self._opt_outs()
        done, *_ = campaigns = self._campaigns(templates)
        deliveries = self._deliveries(done)
        return {
            "短信模板": len(templates),
            "短信退订": len(opted_out),
            "短信活动": len(campaigns),
            "短信记录": len(deliveries),
        }

    def _stamp(self, days):
        return {"created_at": _at(self.demo.today - timedelta(days=days), 10), "created_by": self.sender}

    def _templates(self):
        rows = [
            SmsTemplate(
                name=name, type=kind, content=content, signature=SIGNATURE, provider_code=f"21{n:05}", **self._stamp(90)
            )
            for n, (name, kind, content) in enumerate(TEMPLATES, 1)
        ]
        return self.demo.create(rows)

    def _campaigns(self, templates):
        began = _at(self.demo.today - timedelta(days=20), 10)
        activity = MarketingActivity.objects.filter(status=ActivityStatus.RUNNING, type__code="promotion").first()
        rows = [
            SmsCampaign(
                name="变频器新品推介",
                template=templates[0],
                stages=[Stage.ORDINARY, Stage.KEY],
                status=CampaignStatus.DONE,
                sender=self.sender,
                started_at=began,
                finished_at=began + timedelta(minutes=12),
                enrolled_at=began,
                **self._stamp(21),
            ),
            SmsCampaign(
                name="失效客户自动召回",
                template=templates[1],
                trigger_stage=Stage.LAPSED,
                delay_days=3,
                status=CampaignStatus.SENDING,
                sender=self.sender,
                started_at=began,
                **self._stamp(20),
            ),
            SmsCampaign(
                name="沉睡客户续订优惠",
                template=templates[1],
                activity=activity,
                stages=[Stage.ORDINARY, Stage.KEY],
                idle_days=60,
                **self._stamp(1),
            ),
        ]
        return self.demo.create(rows)

    def _opt_outs(self):
        customers = Customer.objects.filter(stage__in=[Stage.ORDINARY, Stage.KEY]).order_by("pk")
        found = sms_audience.address(self.random.sample(list(customers), min(20, len(customers))), self.sender)
        numbers = [one.phone for one in found if one.phone_key][:3] + [mobile(self.random) for _ in range(4)]
        rows = [
            SmsOptOut(
                phone=phone,
                phone_key=text.phone_key(phone),
                source=self.random.choice([OptOutSource.REPLY, OptOutSource.REPLY, OptOutSource.REQUEST]),
                noted_at=_at(self.demo.today - timedelta(days=30 + n), 15),
                **self._stamp(30 + n),
            )
            for n, phone in enumerate(dict.fromkeys(numbers))
        ]
        return self.demo.create(rows)

    def _deliveries(self, campaign):
        """As the services would have written them twenty days ago."""
        customers = sms_audience.audience(campaign, self.sender).filter(created_at__lt=campaign.started_at)
        recipients = sms_audience.address(list(customers.select_related("owner__company").order_by("pk")), self.sender)
        sms_audience.mark_duplicates(recipients, set())
        sms_audience.judge(campaign, recipients, now=campaign.started_at)
        rows = [self._delivery(campaign, one, n) for n, one in enumerate(recipients)]
        return SmsDelivery.objects.bulk_create(rows, batch_size=BATCH)

    def _delivery(self, campaign, recipient, number):
        row = SmsDelivery(
            campaign=campaign,
            customer=recipient.customer,
            contact=recipient.contact,
            phone=recipient.phone,
            phone_key=recipient.phone_key or None,
            created_at=campaign.started_at,
        )
        if recipient.reason:
            row.state, row.skip_reason = DeliveryState.SKIPPED, recipient.reason
            return row
        row.content, row.tried_at = recipient.content, campaign.started_at + timedelta(seconds=number)
        row.judged_at, row.provider_number = campaign.started_at, f"2640:{number:06}"
        chance = self.random.random()
        if chance < 0.05:
            row.state, row.error = DeliveryState.FAILED, self.random.choice(ERRORS)
        elif chance < 0.055:
            row.state, row.error = DeliveryState.UNKNOWN, "短信平台没有回答"
        else:
            row.state = DeliveryState.SENT
            row.arrived_at = row.tried_at + timedelta(seconds=self.random.randint(3, 90))
        return row
