"""The page 工单队列: what each person has before him, the most urgent first."""

from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone

from crm.models import User
from crm.policies import policy_for
from service.models import UNSOLVED, WorkOrder

SHOWN = 100


def urls(site):
    return [path("queue/", site.admin_view(lambda request: queue(site, request)), name="service_queue")]


def in_sidebar(request):
    if allowed(request.user):
        yield "服务", "工单队列", "low_priority", reverse("admin:service_queue"), 5


def allowed(user) -> bool:
    policy = policy_for(WorkOrder)
    return policy.allows(user, "process") or policy.allows(user, "assign")


def queue(site, request):
    """One's own queue, or that of ``?person=``; beside it how much everybody within reach has to do."""
    user = request.user
    if not allowed(user):
        raise PermissionDenied
    seen = policy_for(WorkOrder).visible_to(user).filter(status__in=UNSOLVED)
    people = _people(seen)
    chosen = next((person for person in people if str(person.pk) == request.GET.get("person")), user)
    rows = seen.filter(owner=chosen).select_related("customer", "type").order_by("due_at", "pk")
    orders = list(rows[: SHOWN + 1])
    context = {
        **site.each_context(request),
        "title": "工单队列",
        "chosen": chosen,
        "own": chosen == user,
        "orders": orders[:SHOWN],
        "more": len(orders) > SHOWN,
        "people": people,
        "unassigned": seen.filter(owner=None).count(),
        "list_url": reverse("admin:service_workorder_changelist"),
    }
    return TemplateResponse(request, "service/queue.html", context)


def _people(seen) -> list[User]:
    """Who has unsolved work orders within reach, with how many, how many late and due soon; the latest first."""
    now = timezone.now()
    counts = (
        seen.exclude(owner=None)
        .order_by()
        .values("owner")
        .annotate(
            load=Count("pk"),
            late=Count("pk", filter=Q(due_at__lt=now)),
            near=Count("pk", filter=Q(due_at__gte=now, warn_at__lte=now)),
        )
    )
    figures = {row["owner"]: row for row in counts}
    people = list(User.objects.filter(pk__in=figures).select_related("department"))
    for person in people:
        person.figures = figures[person.pk]
    return sorted(people, key=lambda person: (-person.figures["late"], -person.figures["load"], person.pk))
