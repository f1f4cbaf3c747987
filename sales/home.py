"""Leads and opportunities on the home page: what waits for whoever opened it, each number leading to its list."""

from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import Count, Q
from django.urls import reverse
from django.utils import timezone

from crm.admin.home import Figure, Part, Shortcut
from crm.models import DataScope
from crm.policies import policy_for
from sales.models import DevelopmentPlan, Lead, LeadStatus, Opportunity, OpportunityStatus, PlanResult, PooledLead
from sales.services import opportunities

LEADS = "线索与商机"


def part(request) -> Part:
    user = request.user
    policy = policy_for(Lead)
    scope = policy.scope(user, "view")
    figures = []
    if scope is not None:
        figures += _leads(user, policy, scope)
        figures += _plans(user)
    if policy_for(PooledLead).allows(user, "view"):
        waiting = policy_for(PooledLead).visible_to(user).count()
        figures.append(Figure("待领线索", waiting, reverse("admin:sales_pooledlead_changelist"), waits=LEADS))
    return Part(figures=figures, shortcuts=_shortcuts(request))


def _leads(user, policy, scope):
    mine = {"owner": user.pk} if scope == DataScope.SELF else {}
    counts = (
        policy.visible_to(user)
        .filter(**mine)
        .order_by()
        .aggregate(
            new=Count("pk", filter=Q(status=LeadStatus.NEW)),
            working=Count("pk", filter=Q(status=LeadStatus.WORKING)),
        )
    )
    whose = "我的" if mine else "全部" if scope == DataScope.ALL else "团队"
    figures = [Figure("跟进中线索", counts["working"], _list("lead", status=LeadStatus.WORKING, **mine))]
    if policy.allows(user, "change"):
        link = _list("lead", status=LeadStatus.NEW, **mine)
        figures.append(Figure(f"{whose}新线索", counts["new"], link, waits=LEADS))
    return figures


def opportunities_part(request) -> Part | None:
    """Open opportunities, what they are worth by their probabilities in CNY, and those that do not move."""
    user, policy = request.user, policy_for(Opportunity)
    scope = policy.scope(user, "view")
    if scope is None:
        return None
    mine = {"owner": user.pk} if scope == DataScope.SELF else {}
    still_open = policy.visible_to(user).filter(**mine, status=OpportunityStatus.OPEN)
    worth = opportunities.sums(still_open).get(None, opportunities.Sums())
    whose = "我的" if mine else "全部" if scope == DataScope.ALL else "团队"
    lacking = f"，缺 {'、'.join(sorted(worth.missing))} 汇率" if worth.missing else ""
    figures = [
        Figure(
            f"{whose}商机",
            worth.count,
            _list("opportunity", status=OpportunityStatus.OPEN, **mine),
            f"加权 CNY {worth.forecast:,.0f}，合计 CNY {worth.total:,.0f}{lacking}",
        ),
    ]
    if policy.allows(user, "change"):
        stuck, link = still_open.filter(opportunities.stuck()).count(), _list("opportunity", stuck="1", **mine)
        figures.append(Figure("停滞商机", stuck, link, "在阶段里停留过久", waits=LEADS))
    shortcuts = []
    if admin.site._registry[Opportunity].has_add_permission(request):
        shortcuts = [
            Shortcut("新建商机", reverse("admin:sales_opportunity_add"), "target"),
            Shortcut("商机看板", reverse("admin:sales_opportunity_board"), "view_kanban"),
        ]
    return Part(figures=figures, shortcuts=shortcuts)


def _plans(user):
    """Plans that are due and not carried out."""
    policy, today = policy_for(DevelopmentPlan), timezone.localdate()
    if not policy.allows(user, "change"):
        return []
    due = policy.visible_to(user).filter(result=PlanResult.PLANNED, date__lte=today)
    link = _list("developmentplan", result=PlanResult.PLANNED, date_to=today)
    return [Figure("到期的开发计划", due.count(), link, waits=LEADS)]


def _list(model, **parameters):
    return f"{reverse(f'admin:sales_{model}_changelist')}?{urlencode(parameters)}"


def _shortcuts(request):
    if not admin.site._registry[Lead].has_add_permission(request):
        return []
    return [
        Shortcut("新建线索", reverse("admin:sales_lead_add"), "person_add"),
        Shortcut("登记咨询", reverse("admin:sales_lead_enquiry"), "call"),
    ]
