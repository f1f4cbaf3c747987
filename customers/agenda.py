"""Planned visits on the agenda: of their participants, or of the customer's owner where nobody is named."""

from django.db.models import Q

from crm.agenda import Occasion
from crm.policies import policy_for
from customers.activity import change_url
from customers.models import VisitPlan, VisitStatus


class Visits:
    def allows(self, user):
        return policy_for(VisitPlan).allows(user, "view")

    def occasions(self, user, since, until, *, mine, done, most):
        states = [VisitStatus.PLANNED, VisitStatus.DONE] if done else [VisitStatus.PLANNED]
        policy = policy_for(VisitPlan)
        rows = policy.visible_to(user) if user is not None else policy.rows().filter(customer__is_valid=True)
        rows = rows.filter(status__in=states, time__lt=until)
        if since is not None:
            rows = rows.filter(time__gte=since)
        if mine:
            with_me = VisitPlan.participants.through.objects.filter(user_id=user.pk).values("visitplan_id")
            alone = ~Q(pk__in=VisitPlan.participants.through.objects.values("visitplan_id"))
            rows = rows.filter(Q(pk__in=with_me) | (Q(customer__owner=user) & alone))
        rows = rows.select_related("customer__owner").prefetch_related("participants").order_by("time", "id")
        return [self._occasion(row, reminding=user is None) for row in rows[:most]]

    def _occasion(self, row, *, reminding):
        people = list(row.participants.all()) or [row.customer.owner]
        if reminding:
            # a participant who may not see the customer is not told of it
            people = [person for person in people if person and policy_for(VisitPlan).may(person, "view", row)]
        return Occasion(
            time=row.time,
            kind="拜访",
            icon="directions_walk",
            title=str(row.customer),
            link=change_url(row),
            key=f"visit:{row.pk}:{row.time:%Y%m%d%H%M}",
            note="，".join(filter(None, [row.purpose, row.address])),
            people=tuple(filter(None, people)),
            is_done=row.status == VisitStatus.DONE,
        )


VISITS = Visits()
