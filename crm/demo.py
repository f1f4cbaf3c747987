"""Demo data: a believable trading company that is the same every time. This module holds the frame and the people.

Each app may have a module ``demo`` that adds a builder to ``builders``; they run in the order of the apps.
"""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import count
from random import Random

from django.contrib.auth.hashers import check_password, make_password
from django.db import transaction
from django.utils import timezone

from crm import actor, audit, records, search
from crm.models import (
    BusinessLog,
    Company,
    CompanyPath,
    CompanyPathNode,
    Department,
    ExchangeRate,
    Operation,
    Role,
    Side,
    User,
)
from crm.registries import Registry

PASSWORD = "keyuan2026"  # noqa: S105  (public on purpose; see in_use)
HISTORY_DAYS = 730
BATCH = 500

builders = Registry("demo data")


def in_use() -> bool:
    """Whether this installation has people: then nothing is added, least of all accounts with a public password."""
    return User.objects.exists()


def build(*, customers: int) -> dict[str, int]:
    """Fill an empty installation, whole or not at all; gives ``{what: how many}``."""
    with transaction.atomic():
        demo = Demo(customers)
        counts = {name: number for answer in builders.ask(demo).values() for name, number in answer.items()}
        demo.finish()
    return counts


class Demo:
    """One run. Builders ``create`` the past; what they put into ``recent`` runs last, through the real services.

    ``customers``: how many; ``today``: the day the story ends on; ``admin``: who set the system up.
    """

    def __init__(self, customers: int):
        self.customers = customers
        self.today = timezone.localdate()
        self.admin = None
        self.recent = []
        self._entries = []

    def moment(self, random: Random, day: date) -> datetime:
        """Some second within office hours of ``day``."""
        opening = timezone.make_aware(datetime.combine(day, time(8, 30)))
        return opening + timedelta(seconds=random.randrange(9 * 3600))

    @property
    def beginning(self) -> datetime:
        return timezone.make_aware(datetime.combine(self.today - timedelta(days=HISTORY_DAYS + 30), time(9)))

    def create(self, rows, **m2m):
        """Insert ``rows`` (new records of one model) as if ``created_by`` had saved each at ``created_at``.

        Rows, versions, log and search entries, set-wise; ``save()`` would date them all now. ``m2m`` gives one list of
        values per row: ``create(customers, tags=[[tag], []])``. What ``save()`` derives beyond ``KeyField`` is the
        caller's.
        """
        if not rows:
            return rows
        model = type(rows[0])
        _number(model, rows)
        for row in rows:
            row.updated_at, row.updated_by = row.created_at, row.created_by
        model._base_manager.bulk_create(rows, batch_size=BATCH)
        links = {name: _link(model, name, rows, values) for name, values in m2m.items()}
        if hasattr(model, "history"):
            _write_versions(model.history.model, rows, links)
        for position, row in enumerate(rows):
            values = {name: sorted(map(str, lists[position])) for name, lists in m2m.items()}
            changes = audit.diff(None, audit.state(row) | values)
            self.log(row, Operation.CREATE, changes, by=row.created_by, at=row.created_at)
        search.refresh(model, [row.pk for row in rows])
        return rows

    def log(self, instance, operation, changes, *, by, at):
        with actor.acting(by, ip=desk(by)):
            entry = audit.entry(instance, operation, changes)
        entry.created_at = at
        self._entries.append(entry)

    def finish(self):
        self._entries.sort(key=lambda entry: entry.created_at)
        BusinessLog.objects.bulk_create(self._entries, batch_size=BATCH)
        for work in self.recent:
            work()


def desk(user) -> str | None:
    """The address that ``user`` works from."""
    return f"10.8.{(user.department_id or 0) % 256}.{user.pk % 254 + 1}" if user else None


def mobile(random: Random) -> str:
    return random.choice(("13", "15", "18")) + random.choice("56789") + f"{random.randrange(10**8):08d}"


def _number(model, rows):
    """Keys are given here, since not every database tells them after a bulk insert."""
    last = model._base_manager.order_by("-pk").values_list("pk", flat=True).first() or 0
    for pk, row in enumerate(rows, last + 1):
        row.pk = pk


def _link(model, name, rows, values):
    """The rows of the many-to-many table, written."""
    field = model._meta.get_field(name)
    through = field.remote_field.through
    near, far = through._meta.get_field(field.m2m_field_name()), through._meta.get_field(field.m2m_reverse_field_name())
    links = [
        through(**{near.attname: row.pk, far.attname: value.pk})
        for row, chosen in zip(rows, values, strict=True)
        for value in chosen
    ]
    _number(through, links)
    through.objects.bulk_create(links, batch_size=BATCH)
    return near, far, links


def _write_versions(history, rows, links):
    last = history.objects.order_by("-history_id").values_list("history_id", flat=True).first() or 0
    versions = {
        row.pk: history(
            history_id=number,
            history_date=row.created_at,
            history_user=row.created_by,
            history_type="+",
            ip=desk(row.created_by),
            **{field.attname: getattr(row, field.attname) for field in history.tracked_fields},
        )
        for number, row in zip(count(last + 1), rows, strict=False)
    }
    history.objects.bulk_create(versions.values(), batch_size=BATCH)
    for name, (near, far, written) in links.items():
        past = getattr(history, name).model
        past.objects.bulk_create(
            [
                past(
                    history=versions[getattr(link, near.attname)],
                    id=link.pk,
                    **{attname: getattr(link, attname) for attname in (near.attname, far.attname)},
                )
                for link in written
            ],
            batch_size=BATCH,
        )


# --- The company -----------------------------------------------------------------------------------------------------

DEPARTMENTS = [  # name, above it, who leads it
    ("总经办", None, "songkai"),
    ("销售中心", None, "zhoumin"),
    ("华东销售部", "销售中心", "chenjing"),
    ("华南销售部", "销售中心", "huangqiang"),
    ("华北销售部", "销售中心", "zhaolei"),
    ("外贸部", "销售中心", "xujie"),
    ("欧美组", "外贸部", "guoxin"),
    ("亚太组", "外贸部", "hanmei"),
    ("供应链部", None, "luodan"),
    ("客服部", None, "yangxue"),
    ("财务部", None, "zhengyun"),
    ("市场部", None, "xieting"),
    ("信息部", None, "pengyong"),
    ("审计部", None, "yuanhong"),
]

STAFF = [  # user name, name, department, role
    ("zhangwei", "张伟", "华东销售部", "销售"),
    ("wangfang", "王芳", "华东销售部", "销售"),
    ("lina", "李娜", "华东销售部", "销售"),
    ("chenjing", "陈静", "华东销售部", "销售主管"),
    ("zhoumin", "周敏", "销售中心", "销售总监"),
    ("yangxue", "杨雪", "客服部", "客服"),
    ("zhengyun", "郑芸", "财务部", "财务"),
    ("xieting", "谢婷", "市场部", "市场"),
    ("songkai", "宋凯", "总经办", "审批人"),
    ("yuanhong", "袁红", "审计部", "审计"),
    ("pengyong", "彭勇", "信息部", "管理员"),
    ("huangqiang", "黄强", "华南销售部", "销售主管"),
    ("wumei", "吴梅", "华南销售部", "销售"),
    ("lijun", "李军", "华南销售部", "销售"),
    ("zhaolei", "赵磊", "华北销售部", "销售主管"),
    ("sunli", "孙丽", "华北销售部", "销售"),
    ("mahao", "马浩", "华北销售部", "销售"),
    ("xujie", "徐杰", "外贸部", "销售总监"),
    ("guoxin", "郭欣", "欧美组", "销售主管"),
    ("tangyan", "唐妍", "欧美组", "销售"),
    ("hanmei", "韩梅", "亚太组", "销售主管"),
    ("dengrong", "邓蓉", "亚太组", "销售"),
    ("luodan", "罗丹", "供应链部", "销售"),
    ("caoyu", "曹宇", "客服部", "客服"),
    ("fengtao", "冯涛", "财务部", "财务"),
    ("dongbin", "董斌", "总经办", "审批人"),
    ("heping", "何平", "客服部", "服务专员"),
    ("xiaolei", "肖蕾", "客服部", "服务专员"),
]
FORMER = ("lintao", "林涛", "华北销售部", "销售")

COMPANIES = [  # name, short name, tax number, address, telephone, bank, account
    (
        "深圳市客源进出口有限公司",
        "深圳客源",
        "91440300MA5EKY2026",
        "广东省深圳市南山区科苑路 18 号 A 座 12 层",
        "0755-26551200",
        "招商银行深圳科苑支行",
        "755900123410801",
    ),
    (
        "上海客源商贸有限公司",
        "上海客源",
        "91310115MA1KKY2026",
        "上海市浦东新区张杨路 500 号 23 层",
        "021-58206600",
        "中国工商银行上海陆家嘴支行",
        "1001260119200023456",
    ),
    (
        "客源国际（香港）有限公司",
        "香港客源",
        "",
        "香港九龙尖沙咀广东道 30 号 15 楼",
        "+852 2730 5500",
        "香港上海汇丰银行",
        "456789012838",
    ),
]

PATHS = {
    "深圳直签": ["深圳客源"],
    "上海直签": ["上海客源"],
    "深圳 → 香港出口": ["深圳客源", "香港客源"],
    "香港 → 上海进口": ["香港客源", "上海客源"],
}

RATES = {  # CNY for one unit
    "USD": "7.1200",
    "EUR": "7.7800",
    "GBP": "9.0500",
    "HKD": "0.9120",
    "JPY": "0.0476",
    "AUD": "4.6800",
    "CAD": "5.2100",
    "SGD": "5.2900",
}


def build_company(demo: Demo) -> dict[str, int]:
    random = Random("company")  # noqa: S311  (the same every time)
    start = demo.beginning
    demo.admin = User(
        username="admin", full_name="系统管理员", is_staff=True, is_superuser=True, created_at=start, date_joined=start
    )
    demo.admin.password = make_password(PASSWORD)
    demo.create([demo.admin])
    stamp = {"created_at": start, "created_by": demo.admin}

    departments = {}
    for sort, (name, above, _) in enumerate(DEPARTMENTS, 1):
        departments[name] = Department(name=name, parent=departments.get(above), sort=sort * 10, **stamp)
        demo.create([departments[name]])
    companies = demo.create(
        [
            Company(name=n, short_name=s, tax_no=t, address=a, phone=p, bank=b, bank_account=x, **stamp)
            for n, s, t, a, p, b, x in COMPANIES
        ]
    )
    people = _hire(demo, random, departments, companies, stamp)
    _lay_paths(demo, companies, stamp)
    rates = _publish_rates(demo, random)
    demo.recent.append(lambda: _appoint_managers(demo, departments, people))
    return {"部门": len(departments), "用户": len(people) + 1, "公司主体": len(companies), "汇率": len(rates)}


def _hire(demo, random, departments, companies, stamp):
    shenzhen, shanghai, hong_kong = companies
    employer = {"华东销售部": shanghai, "外贸部": hong_kong, "欧美组": hong_kong, "亚太组": hong_kong}
    roles = {role.name: role for role in Role.objects.all()}
    staff = [*STAFF, FORMER]
    users = [
        User(
            username=username,
            full_name=name,
            password=demo.admin.password,
            email=f"{username}@keyuan.example",
            phone=mobile(random),
            department=departments[department],
            company=employer.get(department, shenzhen),
            organization="海外业务" if employer.get(department) is hong_kong else "国内业务",
            side=Side.SUPPLY if department == "供应链部" else Side.SALES,
            is_staff=True,
            is_active=username != FORMER[0],
            date_joined=stamp["created_at"],
            **stamp,
        )
        for username, name, department, _ in staff
    ]
    demo.create(users, groups=[[roles[role]] for *_, role in staff])
    return {user.username: user for user in users}


def _lay_paths(demo, companies, stamp):
    by_name = {company.short_name: company for company in companies}
    paths = demo.create([CompanyPath(name=name, **stamp) for name in PATHS])
    demo.create(
        [
            CompanyPathNode(path=path, company=by_name[name], position=position, **stamp)
            for path in paths
            for position, name in enumerate(PATHS[path.name], 1)
        ]
    )


def _publish_rates(demo, random):
    """A rate a month for each currency, this month's included, wandering around its usual value."""
    months = [demo.today.replace(day=1)]
    while len(months) < 12:
        months.append((months[-1] - timedelta(days=1)).replace(day=1))
    return demo.create(
        [
            ExchangeRate(
                currency=currency,
                valid_from=month,
                rate=(Decimal(usual) * Decimal(random.uniform(0.985, 1.015))).quantize(Decimal("0.000001")),
                created_at=timezone.make_aware(datetime.combine(month, time(0, 5))),
                created_by=demo.admin,
            )
            for month in reversed(months)
            for currency, usual in RATES.items()
        ]
    )


def _appoint_managers(demo, departments, people):
    for name, _, manager in DEPARTMENTS:
        departments[name].manager = people[manager]
        with actor.acting(demo.admin, ip=desk(demo.admin)):
            records.save(departments[name], by=demo.admin)


builders.add("crm", build_company)


# --- Who may log in --------------------------------------------------------------------------------------------------


def accounts() -> list[tuple[str, str, str, str]]:
    """``(role, user name, name, what is seen)``: the superuser and one person per role, who still have ``PASSWORD``."""
    examples = {}
    for username, _, _, role in STAFF:
        examples.setdefault(role, username)
    people = User.objects.filter(username__in=["admin", *examples.values()], is_active=True).in_bulk(
        field_name="username"
    )
    # all were given one hash, so this asks once unless passwords were changed
    usable = {encoded: check_password(PASSWORD, encoded) for encoded in {user.password for user in people.values()}}
    people = {name: user for name, user in people.items() if usable[user.password]}
    roles = Role.objects.in_bulk(examples, field_name="name")
    rows = [("超级管理员", "admin", people["admin"].full_name, "全部功能，全部数据")] if "admin" in people else []
    return rows + [
        (role, name, people[name].full_name, f"{roles[role].get_data_scope_display()}：{roles[role].remark}")
        for role, name in examples.items()
        if name in people and role in roles
    ]
