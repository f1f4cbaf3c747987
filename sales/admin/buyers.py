"""Whose an opportunity, a contract or a payment is: the customer, named to those who may see it."""

from django.db.models import Exists, OuterRef

from crm.admin.base import display
from crm.policies import HIDDEN_LABEL, policy_for
from customers.models import Customer


class BuyerColumn:
    """Mixin of an admin: the column ``buyer``, at the end of ``buyer_path``. Asks once for the whole list."""

    buyer_path = "customer"

    def get_queryset(self, request):
        seen = policy_for(Customer).visible_to(request.user).filter(pk=OuterRef(self.buyer_path)).order_by()
        return super().get_queryset(request).annotate(buyer_is_seen=Exists(seen))

    @display(description="客户", ordering="customer")
    def buyer(self, obj):
        if not obj.buyer_is_seen:
            return HIDDEN_LABEL
        for step in self.buyer_path.split("__"):
            obj = getattr(obj, step)
        return obj
