"""营销活动: what activities cost and what came of them. Source: fastapi ``crm_marketing_activity``."""

from django.db.models import Q

from reports.queries.columns import Money, Number, Per, Ratio, Return
from reports.queries.core import Chart, Report
from reports.queries.dimensions import ByField, by_department, by_person, in_time
from reports.queries.sources import Source
from sales.models import Contract, ContractStatus, Lead, LeadStatus, MarketingActivity, Opportunity, OpportunityStatus


def _of(path, **given):
    """What came of the activities that began within the period; theirs is also the person."""
    return {
        "date": f"{path}__start_time",
        "person": (f"{path}__manager",),
        "customer": None,
        "where": Q(**{f"{path}__is_valid": True}) & given.pop("where", Q()),
        **given,
    }


_STEPS = {
    "activities": "",
    "leads": "activity__",
    "opportunities": "activity__",
    "won": "activity__",
    "contracts": "opportunity__activity__",
}


def _by(name, label, field, **options):
    """By ``field`` of the activity."""
    return ByField(name, label, paths={source: (f"{steps}{field}",) for source, steps in _STEPS.items()}, **options)


REPORT = Report(
    name="marketing",
    title="营销活动",
    icon="campaign",
    intro="这段时间开始的市场活动花了多少，带来多少线索、商机和成交，投入回报如何。",
    sources={
        "activities": Source(
            MarketingActivity, date="start_time", person=("manager",), customer=None, day="start_time__date"
        ),
        "leads": Source(Lead, **_of("activity")),
        "opportunities": Source(Opportunity, **_of("activity")),
        "won": Source(
            Opportunity,
            **_of("activity", where=Q(status=OpportunityStatus.WON)),
            amount="estimated_amount",
            day="closed_at__date",
        ),
        "contracts": Source(
            Contract,
            **_of("opportunity__activity", where=Q(status__in=[ContractStatus.SIGNED, ContractStatus.TERMINATED])),
            day="sign_date",
        ),
    },
    columns=[
        Number("activities", "活动", "activities", unit="场"),
        Money("budgeted", "预算", "activities", amount="budget", where=Q(budget__isnull=False)),
        Money("cost", "实际成本", "activities", amount="actual_cost", where=Q(actual_cost__isnull=False)),
        Ratio("spent", "预算使用率", part="cost", whole="budgeted"),
        Number("leads", "线索", "leads", unit="条"),
        Number("converted", "其中已转化", "leads", where=Q(status=LeadStatus.CONVERTED), unit="条"),
        Per("lead_cost", "每条线索成本", part="cost", whole="leads"),
        Number("opportunities", "商机", "opportunities"),
        Number("won", "赢单", "won"),
        Money("won_amount", "赢单金额", "won"),
        Return("roi", "投入回报率", part="won_amount", whole="cost"),
        Number("contracts", "合同", "contracts", unit="份"),
        Money("contract_amount", "合同额", "contracts"),
    ],
    dimensions=[
        ByField(
            "activity",
            "活动",
            paths={source: (steps.removesuffix("__") or "id",) for source, steps in _STEPS.items()},
        ),
        _by("type", "活动类型", "type"),
        _by("status", "活动状态", "status"),
        by_person(),
        by_department(),
        in_time(),
    ],
    charts=[
        Chart(bars=("cost", "won_amount", "contract_amount")),
        Chart(bars=("roi",)),
        Chart(bars=("leads", "opportunities", "won")),
    ],
    definitions=[
        ("活动", "开始时间在时间段内的市场活动，含已取消的：已经花掉的成本也是成本。"),
        ("线索、商机、合同", "这些活动带来的、您看得到的全部，不论何时进来：线索和商机按“来源活动”，合同按它的商机。"),
        ("赢单金额", "其中已赢单商机的预估金额。"),
        ("合同额", "其中已签约和签约后终止的合同总额；赢单还没有签约的不在其中，所以不与赢单金额相加。"),
        ("每条线索成本", "实际成本 ÷ 线索。"),
        ("投入回报率", "（赢单金额 − 实际成本）÷ 实际成本；没有填实际成本的没有回报率。"),
        (
            "金额",
            "一律折合人民币：预算和成本按活动开始那天的汇率，赢单金额按结束那天，合同按签约那天，逐笔折算，合计后才四舍五入到分。",
        ),
        ("人员、部门", "按活动负责人。"),
    ],
)
