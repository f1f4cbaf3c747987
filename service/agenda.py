"""Targets of work orders and planned return visits on the agenda."""

from django.db.models import Q

from crm.agenda import Occasion
from crm.policies import policy_for
from customers.activity import change_url
from service.models import UNSOLVED, ReturnVisit, ReturnVisitStatus, WorkOrder


class WorkOrders:
    """The target that counts now, for the person in charge; reminders are those of ``services.watch``."""

    def allows(self, user):
        return policy_for(WorkOrder).allows(user, "process")

    def occasions(self, user, since, until, *, mine, done, most):
        if user is None:
            return []
        rows = policy_for(WorkOrder).visible_to(user).filter(status__in=UNSOLVED, due_at__lt=until)
        if since is not None:
            rows = rows.filter(due_at__gte=since)
        if mine:
            rows = rows.filter(owner=user)
        return [
            Occasion(
                time=row.due_at,
                kind=f"工单{row.next_target}",
                icon="support_agent",
                title=str(row),
                link=change_url(row),
                key=f"work-order:{row.pk}:{row.due_at:%Y%m%d%H%M}",
                note=row.number,
                people=(row.owner,) if row.owner else (),
            )
            for row in rows.select_related("owner").order_by("due_at", "id")[:most]
        ]


class ReturnVisits:
    """Planned visits: of whoever planned them (or closed the work order) and of the owner of the customer."""

    def allows(self, user):
        return policy_for(ReturnVisit).allows(user, "change")

    def occasions(self, user, since, until, *, mine, done, most):
        states = [ReturnVisitStatus.PLANNED, ReturnVisitStatus.DONE] if done else [ReturnVisitStatus.PLANNED]
        policy = policy_for(ReturnVisit)
        rows = policy.visible_to(user) if user is not None else policy.rows().filter(customer__is_valid=True)
        rows = rows.filter(status__in=states, planned_at__lt=until)
        if since is not None:
            rows = rows.filter(planned_at__gte=since)
        if mine:
            rows = rows.filter(Q(created_by=user) | Q(customer__owner=user))
        rows = rows.select_related("customer__owner", "created_by").order_by("planned_at", "id")
        return [self._occasion(row, reminding=user is None) for row in rows[:most]]

    def _occasion(self, row, *, reminding):
        people = {person.pk: person for person in (row.created_by, row.customer.owner) if person}.values()
        if reminding:
            people = [person for person in people if policy_for(ReturnVisit).may(person, "change", row)]
        return Occasion(
            time=row.planned_at,
            kind=f"{row.get_method_display()}回访",
            icon="call_log",
            title=str(row.customer),
            link=change_url(row),
            key=f"return:{row.pk}:{row.planned_at:%Y%m%d%H%M}",
            note=row.content[:100],
            people=tuple(people),
            is_done=row.status == ReturnVisitStatus.DONE,
        )


WORK_ORDERS, RETURN_VISITS = WorkOrders(), ReturnVisits()
