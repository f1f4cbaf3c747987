"""Demo follow-ups, conversations and visits: two months of work on leads and customers, and what is due these days."""

from datetime import timedelta
from random import Random

from crm.demo import Demo
from crm.models import DictionaryItem
from customers.models import Contact, Customer, Interaction, VisitPlan, VisitStatus
from sales.models import FollowUp, Lead, LeadStatus
from sales.models.followups import settle

DAYS = 60
CUSTOMERS, LEADS = 160, 120

STEPS = (  # content, what is next
    ("电话沟通了下季度用量，对方希望价格再让两个点。", "发修改后的报价单"),
    ("发送了样册和报价，客户转给采购部比较。", "电话询问比较结果"),
    ("客户反馈样品测试合格，准备小批量试单。", "确认试单数量和交期"),
    ("微信确认了包装和唛头要求。", "发确认稿请客户回签"),
    ("催付上批货款，对方财务答应本周安排。", "核对到账情况"),
    ("介绍了新系列，客户技术部有兴趣。", "约技术交流会"),
    ("客户换了采购经理，重新建立联系。", "登门拜访新的采购经理"),
)
TALKS = (
    ("询问新规格的交期", "客户急需一批加长款，问能否四周内交货，已答应核实产能后回复。", "needs"),
    ("讨论年度框架价", "按年用量阶梯报价，客户接受前两档，第三档还要内部讨论。", "quotation"),
    ("确认到港时间", "提单已发，客户要求提前三天通知到港。", "delivery"),
    ("核对对账单", "上月两笔货款对不上，已发明细，客户财务核对中。", "payment"),
    ("反映外箱破损", "到货有六箱外箱破损，货物完好，要求下批改用加固箱。", "complaint"),
)
VISITS = (
    ("走访新厂区，了解扩产计划", "客户厂区", "公司介绍、新系列样册"),
    ("现场讲解技术方案", "客户会议室", "方案书、样机"),
    ("商谈年度合同", "客户总部", "合同草案、报价单"),
    ("陪同参观展会", "国家会展中心", "邀请函"),
)
SUMMARY = "见到了采购和技术负责人，扩产计划明年一季度启动；对方要求两周内给出正式方案。"


def build_followups(demo: Demo) -> dict[str, int]:
    return Story(demo).write()


class Story:
    def __init__(self, demo: Demo):
        self.demo, self.random = demo, Random("followups")  # noqa: S311  (the same every time)
        items = DictionaryItem.objects.filter(type__in=["follow_up_type", "interaction_type", "interaction_tag"])
        self.items: dict[str, dict] = {}
        for item in items:
            self.items.setdefault(item.type, {})[item.code] = item
        owned = Customer.objects.exclude(owner=None).filter(owner__is_active=True).select_related("owner")
        self.customers = self._some(list(owned.order_by("pk")), CUSTOMERS)
        self.contacts = dict(
            Contact.objects.filter(customer__in=self.customers, is_default=True).values_list("customer_id", "pk")
        )
        working = Lead.objects.filter(status__in=[LeadStatus.WORKING, LeadStatus.CONVERTED]).exclude(owner=None)
        self.leads = self._some(list(working.select_related("owner").order_by("pk")), LEADS)

    def _some(self, rows, most):
        return self.random.sample(rows, min(most, len(rows)))

    def _item(self, kind):
        return self.random.choice([item for code, item in self.items[kind].items() if code != "other"])

    def _past(self, root, days=DAYS):
        """A moment of the last ``days``, after ``root`` was entered and before today."""
        day = self.demo.today - timedelta(days=self.random.randint(1, days))
        return max(self.demo.moment(self.random, day), root.created_at + timedelta(minutes=30))

    def _soon(self, first, last):
        return self.demo.moment(self.random, self.demo.today + timedelta(days=self.random.randint(first, last)))

    def write(self) -> dict[str, int]:
        steps = [step for lead in self.leads for step in self._steps(lead, "lead")]
        steps += [step for customer in self.customers for step in self._steps(customer, "customer")]
        steps.sort(key=lambda step: step.time)
        self.demo.create(steps)
        settle("lead_id", self.leads)
        converted = [lead.customer_id for lead in self.leads if lead.customer_id]
        keys = {customer.pk for customer in self.customers} | set(converted)
        settle("customer_id", list(Customer.objects.filter(pk__in=keys).order_by("pk")))
        talks = self.demo.create([self._talk(customer) for customer in self._some(self.customers, 90)])
        return {"跟进记录": len(steps), "会话记录": len(talks), "拜访计划": len(self._write_visits())}

    def _steps(self, root, field):
        times = sorted(self._past(root) for _ in range(self.random.randint(1, 4)))
        for place, moment in enumerate(times):
            content, following = self.random.choice(STEPS)
            is_last = place == len(times) - 1
            next_time = None
            if is_last and self.random.random() < 0.7:
                next_time = max(self._soon(-3, 12), moment + timedelta(hours=2))
            elif not is_last:
                next_time = times[place + 1]
            yield FollowUp(
                **{field: root},
                time=moment,
                type=self._item("follow_up_type"),
                content=content,
                next_time=next_time,
                next_content=following if next_time else "",
                author=root.owner,
                created_at=moment,
                created_by=root.owner,
            )

    def _talk(self, customer):
        overview, content, tag = self.random.choice(TALKS)
        moment = self._past(customer)
        return Interaction(
            customer=customer,
            contact_id=self.contacts.get(customer.pk),
            time=moment,
            type=self._item("interaction_type"),
            tag=self.items["interaction_tag"][tag],
            overview=overview,
            content=content,
            author=customer.owner,
            created_at=moment,
            created_by=customer.owner,
        )

    def _write_visits(self):
        rows = [self._visit(customer) for customer in self._some(self.customers, 50)]
        return self.demo.create(rows, participants=[[row.customer.owner] for row in rows])

    def _visit(self, customer):
        purpose, address, materials = self.random.choice(VISITS)
        moment = self._soon(-25, 20)
        course = {}
        if moment.date() < self.demo.today:
            if self.random.random() < 0.15:
                course = {"status": VisitStatus.CANCELLED, "cancel_reason": "客户临时出差，另约时间。"}
            elif self.random.random() < 0.9:
                course = {"status": VisitStatus.DONE, "summary": SUMMARY}
            if course:
                course["finished_at"] = moment + timedelta(hours=3)
        planned = max(moment - timedelta(days=7), customer.created_at)
        return VisitPlan(
            customer=customer,
            contact_id=self.contacts.get(customer.pk),
            time=moment,
            purpose=purpose,
            address=address,
            materials=materials,
            created_at=min(planned, self.demo.moment(self.random, self.demo.today - timedelta(days=1))),
            created_by=customer.owner,
            **course,
        )
