"""Service on the home page: work orders that wait for whoever opened it, customers about to be lost."""

from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import Count, Q
from django.urls import reverse
from django.utils import timezone

from crm.admin.home import Figure, Part, Shortcut
from crm.models import DataScope
from crm.policies import policy_for
from service.models import OPEN, UNSOLVED, CustomerLoss, LossStatus, WorkOrder, WorkOrderStatus

SERVICE = "客户服务"


def part(request) -> Part:
    user, policy = request.user, policy_for(WorkOrder)
    figures = []
    if policy.allows(user, "process") or policy.allows(user, "assign"):
        figures += _work_orders(user, policy)
    losses = policy_for(CustomerLoss)
    if losses.allows(user, "change"):
        count = losses.visible_to(user).filter(status=LossStatus.WARNING).count()
        figures.append(Figure("流失预警客户", count, _list("customerloss", status=LossStatus.WARNING), waits="客户"))
    shortcuts = []
    if admin.site._registry[WorkOrder].has_add_permission(request):
        shortcuts.append(Shortcut("新建工单", reverse("admin:service_workorder_add"), "support_agent"))
    return Part(figures=figures, shortcuts=shortcuts)


def _work_orders(user, policy):
    mine = {"owner": user.pk} if policy.allows(user, "process") and policy.scope(user, "view") == DataScope.SELF else {}
    now = timezone.now()
    counts = (
        policy.visible_to(user)
        .filter(**mine, status__in=OPEN)
        .order_by()
        .aggregate(
            created=Count("pk", filter=Q(status=WorkOrderStatus.CREATED)),
            unsolved=Count("pk", filter=Q(status__in=UNSOLVED)),
            late=Count("pk", filter=Q(due_at__lt=now)),
            solved=Count("pk", filter=Q(status=WorkOrderStatus.SOLVED)),
        )
    )
    whose = "我的" if mine else ""
    unsolved = _list("workorder", progress="unsolved", **mine)
    late = _list("workorder", target="late", **mine)
    figures = [
        Figure(f"{whose}未完成工单", counts["unsolved"], unsolved, waits=SERVICE),
        Figure(f"{whose}超时工单", counts["late"], late, waits=SERVICE, is_late=True),
    ]
    if policy.allows(user, "assign"):
        link = _list("workorder", status=WorkOrderStatus.CREATED)
        figures.append(Figure("待分配工单", counts["created"], link, waits=SERVICE))
    if policy.allows(user, "feedback"):
        link = _list("workorder", status=WorkOrderStatus.SOLVED)
        figures.append(Figure("待反馈工单", counts["solved"], link, waits=SERVICE))
    return figures


def _list(model, **parameters):
    return f"{reverse(f'admin:service_{model}_changelist')}?{urlencode(parameters)}"
