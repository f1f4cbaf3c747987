"""Half a year of work orders with what was done about them, the visits that followed, and a day at the desk."""

from collections import Counter
from datetime import timedelta
from random import Random

from crm import actor, ownership, transitions
from crm.demo import BATCH, Demo, desk
from crm.models import DictionaryItem, User
from crm.policies import GRANTED_ACTIONS
from customers.models import Contact, Customer
from service.models import (
    DispatchRule,
    EntryKind,
    Origin,
    ReturnVisit,
    ReturnVisitStatus,
    WorkOrder,
    WorkOrderEntry,
    WorkOrderStatus,
    WorkOrderUserObjectPermission,
)
from service.services import dispatch, targets, visits, workorders

DAYS, COUNT, ENGINEERS = 180, 120, ("heping", "xiaolei")

CASES = {  # type: title, content, what was done, solution
    "aftersale": (
        (
            "变频器启动报警 E07",
            "三号线变频器开机即报 E07，断电重启无效。",
            "远程查看参数，怀疑主板。",
            "更换主板，复测正常。",
        ),
        (
            "到货轴承有两箱受潮",
            "外箱有水渍，内包装两箱受潮，请求补发。",
            "核对照片与装柜记录。",
            "补发两箱，已随下批货发出。",
        ),
        (
            "接线端子与样品不符",
            "批量到货的端子镀层颜色与样品不同。",
            "抽检五件送质检。",
            "确认为批次色差，不影响性能，客户接受。",
        ),
        (
            "说明书缺少英文版",
            "随货只有中文说明书，终端客户要英文版。",
            "联系技术部出英文版。",
            "已发英文说明书电子版，下批随货。",
        ),
    ),
    "consulting": (
        ("咨询防护等级能否做到 IP67", "户外项目，需要 IP67 的型号。", "与技术部确认。", "推荐 IP67 系列并发了参数表。"),
        ("询问备件交期", "想备一套易损件，问最快什么时候能发。", "查库存。", "常用备件现货，三天内发出。"),
    ),
    "complaint": (
        ("交货晚了一周", "合同交期已过一周，生产线等料。", "核对排产与物流。", "加急发空运，运费我方承担。"),
        ("电话总是打不通", "业务电话连续两天没有人接。", "与业务员核实。", "已更换联系人并留下值班手机。"),
    ),
    "suggestion": (("希望包装改用可循环木箱", "减少拆箱垃圾。", "转包装部评估。", "新包装方案下季度试用。"),),
}
WEIGHTS = {"aftersale": 5, "consulting": 3, "complaint": 2, "suggestion": 1}
ANSWERS = {5: "处理很快，满意。", 4: "问题解决了。", 3: "解决了，但等得有点久。"}


def build_service(demo: Demo) -> dict[str, int]:
    story = Story(demo)
    orders = story.write_orders()
    counts = {"工单": len(orders), "处理记录": len(story.write_entries()), "回访": len(story.write_visits())}
    demo.recent.append(story.live_today)
    return counts


class Story:
    def __init__(self, demo: Demo):
        self.demo, self.random = demo, Random("service")  # noqa: S311  (the same every time)
        people = {user.username: user for user in User.objects.all()}
        self.engineers = [people[name] for name in ENGINEERS]
        self.desk = people["caoyu"]
        self.types = {item.code: item for item in DictionaryItem.objects.filter(type="work_order_type")}
        owned = Customer.objects.filter(owner__is_active=True, is_enabled=True).select_related("owner").order_by("pk")
        self.customers = list(owned)
        self.contacts = dict(Contact.objects.filter(is_default=True).values_list("customer_id", "pk"))
        self.orders, self.stories = [], {}
        rule = DispatchRule(type=None, is_automatic=False)
        rule.save(m2m={"people": self.engineers})

    def write_orders(self):
        days = sorted(self.random.randint(1, DAYS) for _ in range(min(COUNT, len(self.customers) * 2)))
        numbers = Counter()
        for ago in reversed(days):
            created = self.demo.moment(self.random, self.demo.today - timedelta(days=ago))
            customer = self.random.choice(self.customers)
            if customer.created_at > created:
                continue
            kind = self.random.choices(list(WEIGHTS), WEIGHTS.values())[0]
            title, content, doing, solution = self.random.choice(CASES[kind])
            numbers[created.date()] += 1
            left = 5 if ago > 12 else self.random.choice((1, 2, 3, 4, 5))
            order = WorkOrder(
                status=WorkOrderStatus.values[left - 1],
                number=f"GD{created:%Y%m%d}{numbers[created.date()]:04}",
                customer=customer,
                contact_id=self.contacts.get(customer.pk),
                type=self.types[kind],
                title=title,
                content=content,
                priority=targets.default_priority(customer),
                origin=Origin.CUSTOMER if self.random.random() < 0.15 else Origin.STAFF,
                created_at=created,
                created_by=customer.owner,
            )
            self._course(order, left, doing, solution)
            self.orders.append(order)
        self.demo.create(self.orders)
        self._grant()
        return self.orders

    def _course(self, order, left, doing, solution):
        """How far it has come, one to five steps: the old ones are archived, of the last days some are still open."""
        targets.set_targets(order)
        story = self.stories[order.number] = [(EntryKind.OPENED, order.created_at, order.created_by, order.title)]
        if left < 2:
            return
        order.owner = self.random.choice(self.engineers)
        order.assigned_at = order.created_at + timedelta(minutes=self.random.randint(10, 90))
        story.append((EntryKind.ASSIGNED, order.assigned_at, self.desk, f"分配给{order.owner}"))
        if left < 3:
            return
        order.responded_at = self._within(order.response_due, order)
        story.append((EntryKind.STARTED, order.responded_at, order.owner, "开始处理"))
        story.append((EntryKind.NOTE, order.responded_at + timedelta(minutes=30), order.owner, doing))
        if left >= 4:
            order.solved_at = self._within(order.resolution_due, order)
            order.solution = solution
            story.append((EntryKind.SOLVED, order.solved_at, order.owner, solution))
        targets.set_due(order)
        if left < 5:
            return
        order.satisfaction = self.random.choice((5, 5, 4, 4, 3))
        order.feedback = ANSWERS[order.satisfaction]
        order.answered_at = order.solved_at + timedelta(hours=4)
        order.archived_at = order.answered_at + timedelta(hours=1)
        words = f"{order.get_satisfaction_display()} {order.feedback}"
        story.append((EntryKind.ANSWERED, order.answered_at, self.desk, words))
        story.append((EntryKind.ARCHIVED, order.archived_at, self.desk, "归档"))

    def _within(self, due, order):
        """Mostly in time, sometimes late, never before the last step nor in the future."""
        after = order.responded_at or order.assigned_at
        share = self.random.choice((0.3, 0.5, 0.7, 0.9, 1.2))
        moment = max(after + timedelta(minutes=45), order.created_at + (due - order.created_at) * share)
        return min(moment, self.demo.moment(self.random, self.demo.today) - timedelta(hours=12))

    def _grant(self):
        ids = ownership.permission_ids(WorkOrder)
        rows = [
            WorkOrderUserObjectPermission(content_object=order, user=user, permission_id=ids[action])
            for order in self.orders
            for user, actions in ((order.owner, GRANTED_ACTIONS), (order.created_by, ("view", "change")))
            if user
            for action in actions
        ]
        WorkOrderUserObjectPermission.objects.bulk_create(rows, batch_size=BATCH)

    def write_entries(self):
        stars = EntryKind.ANSWERED
        return self.demo.create(
            [
                WorkOrderEntry(
                    work_order=order,
                    kind=kind,
                    time=time,
                    content=content,
                    author=author,
                    satisfaction=order.satisfaction if kind == stars else None,
                    created_at=time,
                    created_by=author,
                )
                for order in self.orders
                for kind, time, author, content in self.stories[order.number]
            ]
        )

    def write_visits(self):
        """Three days after each archived work order; what is due these days waits."""
        rows = []
        for order in self.orders:
            if order.archived_at is None:
                continue
            moment = self.demo.moment(self.random, order.archived_at.date() + timedelta(days=3))
            done = {}
            if moment.date() < self.demo.today and self.random.random() < 0.95:
                done = {
                    "status": ReturnVisitStatus.DONE,
                    "visited_at": moment + timedelta(minutes=20),
                    "content": "电话回访，设备运行正常。",
                    "feedback": self.random.choice(list(ANSWERS.values())),
                    "satisfaction": self.random.choice((5, 4, 4, 3)),
                }
            about = {"content": f"工单 {order.number} 处理后的使用情况和满意度。"} | done
            visit = ReturnVisit(
                customer=order.customer,
                contact_id=order.contact_id,
                work_order=order,
                planned_at=moment,
                created_at=order.archived_at,
                created_by=self.desk,
                **about,
            )
            rows.append(visit)
        return self.demo.create(rows)

    def live_today(self):
        """Calls of this morning, through the services themselves."""
        cases = [(kind, case) for kind, known in CASES.items() for case in known]
        for place, (kind, (title, content, _, solution)) in enumerate(cases[:5]):
            customer = self.customers[place * 7 % len(self.customers)]
            order = WorkOrder(customer=customer, type=self.types[kind], title=title, content=content)
            with actor.acting(customer.owner, ip=desk(customer.owner)):
                order = workorders.open_order(order, by=customer.owner)
            if place == 0:
                continue
            with actor.acting(self.desk, ip=desk(self.desk)):
                order = dispatch.dispatch(order, by=self.desk)
            if place < 2:
                continue
            with actor.acting(order.owner, ip=desk(order.owner)):
                order = transitions.run(order, "start", by=order.owner)
                if place == 4:
                    transitions.run(order, "solve", by=order.owner, reason=solution)
        due = ReturnVisit.objects.filter(status=ReturnVisitStatus.PLANNED, planned_at__date__lt=self.demo.today).first()
        if due is not None:
            with actor.acting(self.desk, ip=desk(self.desk)):
                visits.complete(due, by=self.desk, content="电话回访，客户正在出差，一切正常。", satisfaction=4)
