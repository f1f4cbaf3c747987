"""Who gets a work order when nobody says: the people of the rule for its type, the least busy first."""

from django.db import transaction
from django.db.models import Count, Max, Q

from crm import actor
from service.models import UNSOLVED, DispatchRule
from service.services import workorders
from service.services.workorders import WorkOrderError


def rule_of(order) -> DispatchRule | None:
    """The rule for the type of ``order``, else the one for all other types."""
    rules = DispatchRule.objects.valid().filter(Q(type=order.type_id) | Q(type=None))
    return next(iter(sorted(rules, key=lambda rule: rule.type_id is None)), None)


def least_busy(rule):
    """The active person of ``rule`` with the fewest unsolved work orders; of equals who waits longest. None: nobody."""
    unsolved = Q(owned_workorders__status__in=UNSOLVED, owned_workorders__is_valid=True)
    people = rule.people.filter(is_active=True).annotate(
        load=Count("owned_workorders", filter=unsolved), last=Max("owned_workorders__assigned_at")
    )
    return min(people, key=lambda person: (person.load, person.last is not None, person.last, person.pk), default=None)


def dispatch(order, *, by):
    """Assign ``order`` by rule; those who do so at the same moment take turns, so that load counts.

    Raises PermissionDenied, WorkOrderError: no rule, nobody in it.
    """
    with transaction.atomic(), actor.acting(by):
        rule = rule_of(order)
        if rule is None:
            raise WorkOrderError(f"没有适用于“{order.type}”的派单规则，请直接选择处理人，或先设定规则。")
        DispatchRule._base_manager.select_for_update().get(pk=rule.pk)
        person = least_busy(rule)
        if person is None:
            raise WorkOrderError(f"派单规则“{rule}”里没有在职的处理人，请直接选择处理人，或修改规则。")
        return workorders.assign(order, person, by=by, reason="按派单规则")


def dispatch_new(order) -> None:
    """What a rule wants assigned at once is; anything in the way leaves the order to the people who assign."""
    rule = rule_of(order)
    if rule is not None and rule.is_automatic:
        try:
            dispatch(order, by=None)
        except WorkOrderError:
            return
