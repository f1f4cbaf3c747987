"""Who sees a request: those it waits for, and whoever may see the record it is about, at this moment."""

from django.db.models import Q

from crm import audit
from crm.approvals import kinds
from crm.models import ApprovalTask
from crm.policies import Policy, policy_for


class RequestPolicy(Policy):
    """No model permission is needed to see what waits for one; "reassign" needs its permission as anything else does.

    A request about a removed record stays with its applicant, so that an approved removal can still be read.
    """

    def allows(self, user, action):
        return user.is_active and not user.is_anonymous and (action == "view" or super().allows(user, action))

    def visible_to(self, user, action="view"):
        rows = self.model._default_manager.all()
        if not self.allows(user, action):
            return rows.none()
        if user.is_superuser:
            return rows
        waiting = ApprovalTask.objects.filter(user_id=user.pk, state=ApprovalTask.State.OPEN)
        reach = Q(pk__in=waiting.values("request_id"))
        for model in kinds.targets():
            about = Q(target_type_id=audit.content_type_id(model))
            policy = policy_for(model)
            if policy.allows(user, "view"):
                reach |= about & Q(target_id__in=policy.visible_to(user).values("pk"))
            if hasattr(model, "is_valid"):
                removed = model._base_manager.filter(is_valid=False).values("pk")
                reach |= about & Q(applicant_id=user.pk, target_id__in=removed)
        return rows.filter(reach)

    def root_of(self, instance):
        target = instance.target
        return policy_for(type(target)).root_of(target) if target is not None else None
