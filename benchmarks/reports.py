"""Every report over growing numbers, against the best SQL by hand for the same numbers on the same indexes.

``python -m benchmarks.reports [customers …]``, default 10,000; with it as many orders and three times as many
receipts. The reader sees everything, the slowest case. Processor time, the server's too.
"""

import sys
from datetime import date

from benchmarks import _common

RUNS = 3
TIMES = 2  # as long as by hand at most
SLOW = 1.0  # seconds from which on figures are kept (reports.summaries)
SMALL = 0.1  # seconds by hand below which what the page itself costs is most of it
ACTIVITIES = 200


def cny(amount, day, row=""):
    """``amount`` in CNY by the rate of ``day`` for the currency of ``row``, as the reports value it."""
    row = row or amount.partition(".")[0]
    rate = (
        f"(SELECT r.rate FROM crm_exchangerate r WHERE r.is_valid = 1 AND r.currency = {row}.currency"
        f" AND r.valid_from <= {day} ORDER BY r.valid_from DESC LIMIT 1)"
    )
    return f"CASE WHEN {row}.currency = 'CNY' THEN {amount} ELSE {amount} * {rate} END"


ORDER, RECEIPT = cny("o.total_amount", "o.order_date"), cny("p.amount", "p.date")
FREE = f"CASE WHEN o.contract_id IS NULL THEN {ORDER} END"
# what belongs to a removed record is not counted: by leaving those out, or where the owner is asked for, by joining
GONE = "(SELECT id FROM customers_customer WHERE is_valid = 0)"
OF_YEAR = " AND {0} >= '{{from}}' AND {0} < '{{after}}'"
SOLD = "o.is_valid = 1 AND o.status = 'confirmed'" + OF_YEAR.format("o.order_date")
ORDERS = f"sales_order o WHERE {SOLD} AND o.customer_id NOT IN {GONE}"
ORDERS_OF = f"sales_order o JOIN customers_customer k ON k.id = o.customer_id AND k.is_valid = 1 WHERE {SOLD}"
CAME = "p.is_valid = 1 AND p.status = 'valid'" + OF_YEAR.format("p.date")
RECEIPTS = (
    f"sales_paymentrecord p WHERE {CAME} AND (p.contract_id IS NOT NULL"
    " AND p.contract_id NOT IN (SELECT id FROM sales_contract WHERE is_valid = 0) OR p.order_id IS NOT NULL"
    f" AND p.order_id NOT IN (SELECT id FROM sales_order WHERE is_valid = 0 OR customer_id IN {GONE}))"
)
RECEIPTS_OF = (
    "sales_paymentrecord p LEFT JOIN sales_contract h ON h.id = p.contract_id"
    " LEFT JOIN sales_order o ON o.id = p.order_id LEFT JOIN customers_customer k ON k.id = o.customer_id"
    f" WHERE {CAME} AND (h.is_valid = 1 OR (o.is_valid = 1 AND k.is_valid = 1))"
)
CONTRACTS = (
    "sales_contract h WHERE h.is_valid = 1 AND h.status IN ('signed', 'terminated')"
    " AND h.sign_date >= '{from}' AND h.sign_date < '{after}'"
)
CONTRACT, INVOICE = cny("h.total_amount", "h.sign_date"), cny("v.amount", "v.issue_date")
PLANNED, PAID = cny("i.amount", "i.date", "h"), cny("i.received_amount", "i.date", "h")


def of_customers(row, table, day, more="", *, joined=False):
    """Rows of customers that are not removed, of the period by their moment ``day``; ``joined`` with them as ``k``."""
    join = f" JOIN customers_customer k ON k.id = {row}.customer_id AND k.is_valid = 1" if joined else ""
    left_out = "" if joined else f" AND {row}.customer_id NOT IN {GONE}"
    return (
        f"{table} {row}{join} WHERE {row}.is_valid = 1{left_out}{more}"
        f" AND {row}.{day} >= '{{since}}' AND {row}.{day} < '{{until}}'"
    )


def month(path):
    return f"EXTRACT(YEAR_MONTH FROM {path}) m"


def days(row, start, end, unit="DAY"):
    return f"TIMESTAMPDIFF({unit}, {row}.{start}, {row}.{end}) d"


STAGES = of_customers("t", "customers_stageperiod", "ended_at")
FALLEN = of_customers(
    "t", "customers_ownershipperiod", "ended_at", " AND t.ended IN ('released', 'recycled') AND t.owner_id IS NOT NULL"
)
LEFT = " AND t.ended IN ('claimed', 'assigned') AND t.owner_id IS NULL"
TAKEN = of_customers("t", "customers_ownershipperiod", "ended_at", LEFT)
TAKEN_OF = of_customers("t", "customers_ownershipperiod", "ended_at", LEFT, joined=True)
LOSSES = f"service_customerloss l WHERE l.is_valid = 1 AND l.customer_id NOT IN {GONE}"
WARNED, LOST, BACK = (
    f"{LOSSES} AND l.{day} >= '{{from}}' AND l.{day} < '{{after}}'"
    for day in ("warned_on", "confirmed_on", "recovered_on")
)
WITHIN = " WHERE t.is_valid = 1 AND t.ended_at >= '{since}' AND t.ended_at < '{until}'"
PERIODS = (
    f"sales_opportunitystageperiod t{WITHIN} AND t.opportunity_id NOT IN"
    " (SELECT id FROM sales_opportunity WHERE is_valid = 0)"
)
FURTHER = (
    "sales_opportunitystageperiod t JOIN sales_opportunity c ON c.id = t.opportunity_id AND c.is_valid = 1" + WITHIN
).replace(
    " WHERE",
    " JOIN sales_opportunitystage a ON a.id = t.stage_id"
    " LEFT JOIN sales_opportunitystage b ON b.id = t.next_stage_id WHERE",
)
CHANCE, TODAYS = (cny("c.estimated_amount", day) for day in ("c.closed_at", "CURRENT_DATE"))
OF_ACTIVITY = (
    "JOIN sales_marketingactivity a ON a.id = {row}.activity_id AND a.is_valid = 1"
    " AND a.start_time >= '{since}' AND a.start_time < '{until}'"
)
SERVED = "service_workorder w WHERE w.is_valid = 1 AND w.created_at >= '{since}' AND w.created_at < '{until}'"
PLANS = (
    "sales_paymentplan i JOIN sales_contract h ON h.id = i.contract_id AND h.is_valid = 1 AND h.status = 'signed'"
    " WHERE i.is_valid = 1 AND i.date >= '{from}' AND i.date < '{after}'"
)
INVOICES = (
    "sales_invoice v JOIN sales_contract h ON h.id = v.contract_id AND h.is_valid = 1"
    " WHERE v.is_valid = 1 AND v.status <> 'void' AND v.issue_date >= '{from}' AND v.issue_date < '{after}'"
)
KINDS = ("view", "edit", "follow_up", "export", "reveal", "download", "other")

# (what, report, filters, the same numbers by hand): each report as it opens, and what is asked of the largest tables
CASES = [
    (
        "客户构成，按等级",
        "composition",
        {"by": "level"},
        [
            "SELECT level_id, COUNT(*), SUM(review_status = 'approved'), SUM(deal_status = 'won'),"
            " SUM(deal_status = 'lost') FROM customers_customer WHERE is_valid = 1 GROUP BY level_id",
            "SELECT level_id, COUNT(*) FROM customers_customer WHERE is_valid = 1"
            " AND created_at >= '{since}' AND created_at < '{until}' GROUP BY level_id",
        ],
    ),
    (
        "客户贡献，前 20 名",
        "contribution",
        {"by": "customer"},
        [
            f"SELECT o.customer_id, COUNT(*), SUM({ORDER}) s, SUM({FREE}) FROM {ORDERS}"
            " GROUP BY o.customer_id ORDER BY s DESC LIMIT 20",
            f"SELECT COUNT(*), SUM({ORDER}), SUM({FREE}) FROM {ORDERS}",
            f"SELECT COUNT(*), SUM({RECEIPT}) FROM {RECEIPTS}",
            f"SELECT COUNT(*), SUM({CONTRACT}) FROM {CONTRACTS}",
        ],
    ),
    (
        "客户贡献，按月",
        "contribution",
        {"by": "time"},
        [
            f"SELECT {month('o.order_date')}, COUNT(*), SUM({ORDER}), SUM({FREE}) FROM {ORDERS} GROUP BY m",
            f"SELECT {month('p.date')}, COUNT(*), SUM({RECEIPT}) FROM {RECEIPTS} GROUP BY m",
            f"SELECT {month('h.sign_date')}, COUNT(*), SUM({CONTRACT}) FROM {CONTRACTS} GROUP BY m",
        ],
    ),
    (
        "生命周期，按阶段",
        "lifecycle",
        {"by": "stage"},
        [
            "SELECT stage, COUNT(*) FROM customers_customer WHERE is_valid = 1 GROUP BY stage",
            "SELECT t.stage, COUNT(*), SUM(t.next_stage = 'lead'), SUM(t.next_stage = 'ordinary'),"
            f" SUM(t.next_stage = 'key'), SUM(t.next_stage = 'lapsed') FROM {STAGES} GROUP BY 1",
            f"SELECT t.stage, {days('t', 'started_at', 'ended_at')}, COUNT(*) FROM {STAGES} GROUP BY 1, 2",
            f"SELECT t.next_stage, COUNT(*) FROM {STAGES} GROUP BY 1",
        ],
    ),
    (
        "客户流失，按月",
        "churn",
        {"by": "time"},
        [
            f"SELECT {month('l.warned_on')}, COUNT(*), SUM(EXISTS (SELECT 1 FROM service_retentionmeasure e"
            " WHERE e.loss_id = l.id AND e.is_valid = 1)), SUM(l.status IN ('warning', 'reprieved')),"
            f" SUM(l.status = 'lost'), SUM(l.status = 'recovered') FROM {WARNED} GROUP BY m",
            f"SELECT {month('l.confirmed_on')}, COUNT(*) FROM {LOST} GROUP BY m",
            f"SELECT {month('l.recovered_on')}, COUNT(*) FROM {BACK} AND l.status = 'recovered' GROUP BY m",
            f"SELECT {month('l.recovered_on')}, {days('l', 'warned_on', 'recovered_on')}, COUNT(*) FROM {BACK}"
            " AND l.status = 'recovered' GROUP BY 1, 2",
            f"SELECT {month('e.date')}, COUNT(*) FROM service_retentionmeasure e JOIN service_customerloss l"
            " ON l.id = e.loss_id JOIN customers_customer k ON k.id = l.customer_id AND k.is_valid = 1"
            " WHERE e.is_valid = 1 AND e.date >= '{from}' AND e.date < '{after}' GROUP BY m",
        ],
    ),
    (
        "公海与认领，按月",
        "sea",
        {"by": "time"},
        [
            f"SELECT {month('t.ended_at')}, COUNT(*), SUM(t.ended = 'recycled') FROM {FALLEN} GROUP BY m",
            f"SELECT {month('t.ended_at')}, SUM(t.ended = 'claimed'), SUM(t.ended = 'assigned'),"
            " SUM(t.ended = 'claimed' AND k.last_followed_at >= t.ended_at),"
            f" SUM(t.ended = 'claimed' AND k.last_deal_at >= t.ended_at) FROM {TAKEN_OF} GROUP BY m",
            f"SELECT {month('t.ended_at')}, {days('t', 'started_at', 'ended_at')}, COUNT(*) FROM {TAKEN}"
            " AND t.ended = 'claimed' GROUP BY 1, 2",
        ],
    ),
    (
        "线索转化，按来源",
        "leads",
        {"by": "source"},
        [
            "SELECT source_id, COUNT(*), SUM(status IN ('new', 'working')), SUM(status = 'converted'),"
            " SUM(status = 'invalid') FROM sales_lead WHERE is_valid = 1"
            " AND created_at >= '{since}' AND created_at < '{until}' GROUP BY 1",
            "SELECT source_id, TIMESTAMPDIFF(DAY, created_at, converted_at) d, COUNT(*) FROM sales_lead"
            " WHERE is_valid = 1 AND status = 'converted' AND converted_at >= '{since}' AND converted_at < '{until}'"
            " GROUP BY 1, 2",
        ],
    ),
    (
        "营销活动，按活动",
        "marketing",
        {"by": "activity"},
        [
            "SELECT id, budget, actual_cost FROM sales_marketingactivity WHERE is_valid = 1"
            " AND start_time >= '{since}' AND start_time < '{until}'",
            "SELECT n.activity_id, COUNT(*), SUM(n.status = 'converted') FROM sales_lead n"
            f" {OF_ACTIVITY.replace('{row}', 'n')} WHERE n.is_valid = 1 GROUP BY 1",
            f"SELECT c.activity_id, COUNT(*) FROM sales_opportunity c {OF_ACTIVITY.replace('{row}', 'c')}"
            " WHERE c.is_valid = 1 GROUP BY 1",
            f"SELECT c.activity_id, COUNT(*), SUM({CHANCE}) FROM sales_opportunity c"
            f" {OF_ACTIVITY.replace('{row}', 'c')} WHERE c.is_valid = 1 AND c.status = 'won' GROUP BY 1",
            f"SELECT c.activity_id, COUNT(*), SUM({CONTRACT}) FROM sales_opportunity c"
            f" {OF_ACTIVITY.replace('{row}', 'c')} JOIN sales_contract h ON h.opportunity_id = c.id"
            " WHERE h.is_valid = 1 AND h.status IN ('signed', 'terminated') GROUP BY 1",
        ],
    ),
    (
        "跟进与拜访，按人员",
        "activity",
        {"by": "person"},
        [
            "SELECT f.author_id, COUNT(*), SUM(f.lead_id IS NOT NULL) FROM sales_followup f WHERE f.is_valid = 1"
            f" AND (f.customer_id NOT IN {GONE} OR f.lead_id NOT IN (SELECT id FROM sales_lead WHERE is_valid = 0)"
            " OR f.opportunity_id NOT IN (SELECT id FROM sales_opportunity WHERE is_valid = 0))"
            " AND f.time >= '{since}' AND f.time < '{until}' GROUP BY 1",
            f"SELECT i.author_id, COUNT(*) FROM {of_customers('i', 'customers_interaction', 'time')} GROUP BY 1",
            "SELECT k.owner_id, COUNT(*), SUM(v.status = 'done'), SUM(v.status = 'cancelled')"
            f" FROM {of_customers('v', 'customers_visitplan', 'time', joined=True)} GROUP BY 1",
        ],
    ),
    (
        "销售漏斗，按阶段",
        "funnel",
        {"by": "stage"},
        [
            f"SELECT c.stage_id, COUNT(*), SUM({TODAYS}), SUM({TODAYS} * c.win_probability / 100)"
            " FROM sales_opportunity c WHERE c.is_valid = 1 AND c.status = 'open' GROUP BY 1",
            "SELECT t.stage_id, COUNT(*), SUM(b.sort > a.sort), SUM(t.next_stage_id IS NULL AND c.status = 'won'),"
            f" SUM(t.next_stage_id IS NULL AND c.status = 'lost') FROM {FURTHER} GROUP BY 1",
            f"SELECT t.stage_id, {days('t', 'started_at', 'ended_at')}, COUNT(*) FROM {PERIODS} GROUP BY 1, 2",
        ],
    ),
    (
        "商机预测，按月",
        "forecast",
        {"by": "time"},
        [
            f"SELECT {month('c.expected_close_date')}, COUNT(*), SUM({TODAYS}),"
            f" SUM({TODAYS} * c.win_probability / 100), SUM(c.win_probability >= 70) FROM sales_opportunity c"
            " WHERE c.is_valid = 1 AND c.status = 'open' AND c.expected_close_date >= '{from}'"
            " AND c.expected_close_date < '{after}' GROUP BY m",
            f"SELECT {month('c.closed_at')}, COUNT(*), SUM({CHANCE}) FROM sales_opportunity c WHERE c.is_valid = 1"
            " AND c.status = 'won' AND c.closed_at >= '{since}' AND c.closed_at < '{until}' GROUP BY m",
        ],
    ),
    (
        "业绩排行，按人员",
        "ranking",
        {"by": "person"},
        [
            f"SELECT k.owner_id, SUM({FREE}) FROM {ORDERS_OF} GROUP BY 1",
            f"SELECT COALESCE(h.owner_id, k.owner_id), SUM({RECEIPT}) FROM {RECEIPTS_OF} GROUP BY 1",
            f"SELECT h.owner_id, COUNT(*), SUM({CONTRACT}) FROM {CONTRACTS} GROUP BY 1",
            "SELECT owner_id, COUNT(*) FROM sales_opportunity WHERE is_valid = 1 AND status = 'won'"
            " AND closed_at >= '{since}' AND closed_at < '{until}' GROUP BY 1",
        ],
    ),
    (
        "回款与开票，按月",
        "receipts",
        {"by": "time"},
        [
            f"SELECT {month('p.date')}, COUNT(*), SUM({RECEIPT}) FROM {RECEIPTS} GROUP BY m",
            f"SELECT {month('i.date')}, COUNT(*), SUM({PLANNED}), SUM({PAID}) FROM {PLANS} GROUP BY m",
            f"SELECT {month('v.issue_date')}, COUNT(*), SUM({INVOICE}) FROM {INVOICES} GROUP BY m",
        ],
    ),
    (
        "客户服务，按类型",
        "service",
        {"by": "type"},
        [
            "SELECT w.type_id, COUNT(*), SUM(w.status IN ('created', 'assigned', 'processing')),"
            " SUM(w.responded_at <= w.response_due), SUM(w.solved_at <= w.resolution_due),"
            " SUM(w.responded_at > w.response_due OR w.responded_at IS NULL AND w.response_due < NOW()),"
            " SUM(w.solved_at > w.resolution_due OR w.solved_at IS NULL AND w.resolution_due < NOW()),"
            " SUM(w.satisfaction IS NOT NULL), SUM(w.satisfaction >= 4), SUM(w.reopened_count > 0)"
            f" FROM {SERVED} GROUP BY 1",
            f"SELECT w.type_id, {days('w', 'created_at', 'responded_at', 'HOUR')}, COUNT(*) FROM {SERVED}"
            " AND w.responded_at IS NOT NULL GROUP BY 1, 2",
            f"SELECT w.type_id, {days('w', 'created_at', 'solved_at', 'HOUR')}, COUNT(*) FROM {SERVED}"
            " AND w.solved_at IS NOT NULL GROUP BY 1, 2",
        ],
    ),
    (
        "操作跟踪，按月",
        "tracking",
        {"by": "time"},
        [
            f"SELECT {month('operated_at')}, COUNT(*), {', '.join(f'SUM(kind = {kind!r})' for kind in KINDS)},"
            " SUM(is_foreign) FROM tracking_trace WHERE operated_at >= '{since}' AND operated_at < '{until}'"
            " GROUP BY m",
        ],
    ),
]
PERIOD = {"period": "custom", "from": "2025-01-01", "to": "2025-12-31"}
BOUNDS = {"from": "2025-01-01", "after": "2026-01-01", "since": "2024-12-31 16:00:00", "until": "2025-12-31 16:00:00"}


def grow(total):
    """``total`` customers, an order for each and three receipts for each order, nine in ten in CNY; of what else the
    reports count, one for every second, fifth or tenth customer, all in one year."""
    from django.db.models import Max

    from benchmarks import data
    from customers.models import Interaction, OwnershipPeriod, StagePeriod, VisitPlan
    from customers.tracking.models import Trace
    from sales.models import (
        Contract,
        FollowUp,
        Invoice,
        Lead,
        Opportunity,
        OpportunityStagePeriod,
        Order,
        PaymentPlan,
        PaymentRecord,
    )
    from service.models import CustomerLoss, RetentionMeasure, WorkOrder

    data.grow(total)
    done = Order.objects.aggregate(last=Max("pk"))["last"] or 0
    activity, pool, stage, type_ = _once()
    currency, amount = "CASE WHEN s.id %% 10 = 0 THEN 'USD' ELSE 'CNY' END", "(s.id * 37) %% 90000 + 100"
    owner, moment = {"owner_id": "s.owner_id"}, {"since": "'2025-01-01 04:00:00'", "moment": True}

    def day(step, more="0", **options):
        return data.day(f"(s.id * {step}) %% 300 + {more}", **options)

    def pick(*words):
        cases = " ".join(f"WHEN {place} THEN {word}" for place, word in enumerate(words))
        return f"CASE s.id %% 97 %% {len(words)} {cases} END"

    def add(model, *given, every=1, source="customers_customer", at=0):
        where = f"s.id > {done} AND s.id %% {every} = {at}"
        with data.indexed_afterwards(model):
            for values in given:
                data.insert_from(model, source, values, where=where)
        print(f"\r{model._meta.verbose_name} ", end="", file=sys.stderr, flush=True)

    of, step = {"customer_id": "s.id"}, day(7)
    order = {"id": "s.id", "number": data.word("DD"), **of, "currency": currency, "total_amount": amount}
    add(Order, order | {"order_date": day(7), "status": "'confirmed'"})
    paid = {"customer_id": "s.customer_id", "currency": "s.currency"}
    receipt = {"order_id": "s.id", "amount": "30", **paid}
    receipts = ({"number": data.word(f"HK{part}-"), "date": day(7 + part)} for part in (1, 2, 3))
    add(PaymentRecord, *(receipt | one for one in receipts), source="sales_order")

    since, until = day(7, **moment), day(7, "s.id %% 40", **moment)
    spell = of | {"started_at": since, "ended_at": until}
    add(StagePeriod, spell | {"stage": pick("'lead'", "'ordinary'"), "next_stage": pick("'key'", "'lapsed'")}, every=2)
    fallen = {"ended": pick("'recycled'", "'released'"), **owner}
    add(OwnershipPeriod, spell | fallen, every=4)
    taken = {"ended": pick("'claimed'", "'claimed'", "'assigned'"), "next_owner_id": "s.owner_id"}
    add(OwnershipPeriod, spell | taken, every=4, at=1)
    author = of | {"author_id": "s.owner_id"}
    add(FollowUp, author | {"time": day(11, **moment)}, every=2)
    add(Interaction, author | {"time": day(13, **moment)}, every=5)
    add(VisitPlan, of | {"time": day(17, **moment), "status": pick("'planned'", "'done'", "'cancelled'")}, every=5)
    status = pick("'new'", "'working'", "'converted'", "'invalid'")
    converted = f"CASE WHEN {status} = 'converted' THEN {until} END"
    lead = {"name": data.word("线索"), "pool_id": pool, "source_id": "s.source_id", "activity_id": activity, **owner}
    add(Lead, lead | {"status": status, "created_at": since, "converted_at": converted}, every=5)
    status = pick("'open'", "'won'", "'lost'")
    deal = of | owner | {"currency": currency, "estimated_amount": amount, "stage_id": stage, "status": status}
    deal |= {"id": "s.id", "number": data.word("SJ"), "name": data.word("商机"), "activity_id": activity}
    deal |= {"win_probability": "s.id %% 100", "expected_close_date": step}
    add(Opportunity, deal | {"closed_at": f"CASE WHEN {status} <> 'open' THEN {until} END"}, every=5)
    spell = {"opportunity_id": "s.id", "stage_id": "s.stage_id", "started_at": since, "ended_at": until}
    add(OpportunityStagePeriod, spell, source="sales_opportunity")
    contract = {"id": "s.id", "number": data.word("HT"), "name": data.word("合同"), "status": "'signed'"}
    contract |= of | owner | {"currency": currency, "total_amount": amount, "sign_date": step, "opportunity_id": "s.id"}
    add(Contract, contract, every=10)
    plan = {"contract_id": "s.id", "amount": "50"}
    plans = ({"position": position, "date": day(7, position)} for position in ("1", "2"))
    add(PaymentPlan, *(plan | one for one in plans), source="sales_contract")
    invoice = {"number": data.word("FP"), "contract_id": "s.id", "amount": "60", "issue_date": step}
    add(Invoice, invoice | paid, source="sales_contract")
    work = of | owner | {"number": data.word("GD"), "title": "'工单'", "type_id": type_, "priority": "'normal'"}
    work |= {"status": pick("'processing'", "'solved'", "'archived'"), "created_at": since, "responded_at": until}
    work |= {"solved_at": until, "response_due": day(7, "2", **moment), "resolution_due": day(7, "9", **moment)}
    add(WorkOrder, work | {"satisfaction": "s.id %% 5 + 1"}, every=5)
    status = pick("'lost'", "'recovered'")
    later = day(7, "s.id %% 40")
    loss = of | {"id": "s.id", "warned_on": step, "status": status}
    loss |= {"confirmed_on": later, "recovered_on": f"CASE WHEN {status} = 'recovered' THEN {later} END"}
    add(CustomerLoss, loss, every=10)
    add(RetentionMeasure, {"loss_id": "s.id", "date": later}, source="service_customerloss", every=20)
    trace = of | {"uuid": "REPLACE(UUID(), '-', '')", "actor_id": "s.owner_id", "operated_at": day(19, **moment)}
    trace |= {"kind": pick(*(f"'{kind}'" for kind in KINDS)), "event": "'查看客户'", "is_foreign": "s.id %% 3 = 0"}
    add(Trace, trace | {"user_name": "'测试员'"}, every=2)
    data.analyze()


def _once():
    """SQL for the activity of a row (one in two has one), a pool, a stage, a type of work orders."""
    from datetime import UTC, datetime, timedelta

    from django.db.models import Min

    from crm.models import DictionaryItem
    from sales.models import LeadPool, MarketingActivity, OpportunityStage

    if not MarketingActivity.objects.exists():
        kind, first = DictionaryItem.objects.filter(type="activity_type").first(), datetime(2025, 1, 2, tzinfo=UTC)
        MarketingActivity.objects.bulk_create(
            MarketingActivity(
                name=f"活动{number}",
                type=kind,
                start_time=first + timedelta(days=number),
                end_time=first + timedelta(days=number + 1),
                budget=number,
                actual_cost=number,
            )
            for number in range(ACTIVITIES)
        )
    first, stages = MarketingActivity.objects.aggregate(first=Min("pk"))["first"], OpportunityStage.objects.all()
    kinds = DictionaryItem.objects.filter(type="work_order_type").order_by("pk").values_list("pk", flat=True)[:3]
    pool = LeadPool.objects.first() or LeadPool.objects.create(name="线索池")
    return (
        f"CASE WHEN s.id %% 97 %% 2 = 0 THEN {first} + s.id %% {ACTIVITIES} END",
        str(pool.pk),
        f"ELT(1 + s.id %% 97 %% {len(stages)}, {', '.join(str(stage.pk) for stage in stages)})",
        f"ELT(1 + s.id %% 97 %% {len(kinds)}, {', '.join(map(str, kinds))})",
    )


def measure():
    from reports.queries import REPORTS
    from reports.queries.core import table
    from reports.queries.filters import read
    from reports.queries.sources import everybody

    print("| 报表 | 处理器 s | 手写 SQL s | 倍数 | 时钟 s | 查询 | |\n|---|---|---|---|---|---|---|")
    worst = 0
    for what, name, given, by_hand in CASES:
        report = REPORTS[name]
        filters = read(report, {**given, **PERIOD})
        reader = everybody()
        ours, clock, queries = _timed(
            lambda report=report, reader=reader, filters=filters: table(report, reader, filters)
        )
        theirs, _, _ = _timed(lambda by_hand=by_hand: _run(by_hand))
        ratio = ours / max(theirs, 0.001)
        worst = max(worst, ratio) if theirs >= SMALL else worst
        kept = "存为汇总" if clock > SLOW else ""
        print(f"| {what} | {ours:.2f} | {theirs:.2f} | {ratio:.1f} | {clock:.2f} | {queries} | {kept} |", flush=True)
    print()
    _common.aim(f"手写 SQL 要 {SMALL} s 以上的报表中最慢的，为其倍数", worst, TIMES)


def _timed(work):
    """Mean processor time, best time on the clock, and how many queries."""
    import time

    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as captured:
        work()
    clock = []
    with _common.Stopwatch() as watch:
        for _ in range(RUNS):
            started = time.perf_counter()
            work()
            clock.append(time.perf_counter() - started)
    return watch.processor / RUNS, min(clock), len(captured)


def _run(statements):
    from django.db import connection

    with connection.cursor() as cursor:
        for sql in statements:
            cursor.execute(sql.format(**BOUNDS))
            cursor.fetchall()


def main(sizes):
    from crm.models import ExchangeRate

    ExchangeRate(currency="USD", valid_from=date(2020, 1, 1), rate="7.1").save()
    for size in sizes:
        grow(size)
        print(f"\n## 报表\n\n{size:,} 个客户与订单、{3 * size:,} 笔回款，{_common.machine()}\n")
        measure()


if __name__ == "__main__":
    _common.prepare("bench_reports")
    main([int(number) for number in sys.argv[1:]] or [10_000])
