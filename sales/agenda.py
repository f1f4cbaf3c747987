"""Next steps on the agenda: they belong to whoever owns the lead, customer or opportunity now, whoever wrote them."""

from django.db.models import Q

from crm.agenda import Occasion
from crm.policies import policy_for
from customers.activity import change_url
from customers.models import Customer
from sales.models import OPEN, FollowUp, Lead, Opportunity, OpportunityStatus


class NextSteps:
    """What the newest follow-up of each ``model`` says is next; ``only`` are those that are still worked on."""

    def __init__(self, model, kind, **only):
        self.model, self.kind, self.only = model, kind, only

    def allows(self, user):
        return policy_for(self.model).allows(user, "view") and policy_for(FollowUp).allows(user, "view")

    def occasions(self, user, since, until, *, mine, done, most):
        policy = policy_for(self.model)
        rows = policy.visible_to(user) if user is not None else policy.rows()
        rows = rows.filter(next_follow_at__lt=until, **self.only)
        if since is not None:
            rows = rows.filter(next_follow_at__gte=since)
        if mine:
            rows = rows.filter(owner=user)
        found = list(rows.select_related("owner").order_by("next_follow_at", "id")[:most])
        words = self._words(found)
        return [
            Occasion(
                time=row.next_follow_at,
                kind=self.kind,
                icon="history_edu",
                title=str(row),
                link=change_url(row),
                key=f"next:{row._meta.model_name}:{row.pk}:{row.next_follow_at:%Y%m%d%H%M}",
                note=words.get((row.pk, row.next_follow_at), ""),
                people=(row.owner,) if row.owner else (),
            )
            for row in found
        ]

    def _words(self, rows) -> dict:
        """``{(id, next time): what is to be done}``."""
        keys, name = [row.pk for row in rows], self.model._meta.model_name
        about = Q(**{f"{name}__in": keys})
        if self.model is Customer:
            about |= Q(lead__customer__in=keys)
        steps = FollowUp.objects.valid().filter(about, next_time__in={row.next_follow_at for row in rows})
        found = {}
        for own, through, time, content in steps.order_by("time", "id").values_list(
            f"{name}_id", "lead__customer_id", "next_time", "next_content"
        ):
            found[own or through, time] = content
        return found


OF_LEADS = NextSteps(Lead, "跟进线索", status__in=OPEN)
OF_CUSTOMERS = NextSteps(Customer, "跟进客户")
OF_OPPORTUNITIES = NextSteps(Opportunity, "跟进商机", status=OpportunityStatus.OPEN)
