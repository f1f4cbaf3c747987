"""Return visits: planned by rule after a signature or a closed work order, done with what was said."""

from datetime import datetime, time, timedelta

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from crm import actor, transitions
from customers.models import Stars
from sales.models import Contract
from service.models import ReturnVisit, ReturnVisitRule, Trigger, WorkOrder

AT = time(9)
SHIPPED = ((Trigger.SIGNED, 7, "phone"), (Trigger.ARCHIVED, 3, "phone"))


def planned_after(obj, name, by):
    """Hook of ``transitions.after``: a signed contract or an archived work order is followed by visits."""
    if isinstance(obj, Contract) and name == "sign":
        plan(Trigger.SIGNED, obj.sign_date, customer=obj.customer, contract=obj)
    elif isinstance(obj, WorkOrder) and name in ("archive", "close"):
        day = timezone.localdate(obj.archived_at)
        plan(Trigger.ARCHIVED, day, customer=obj.customer, contact=obj.contact, contract=obj.contract, work_order=obj)


def plan(trigger, day, **about) -> list[ReturnVisit]:
    """What the rules want after ``trigger`` on ``day``; what they planned before is not planned again."""
    subject = about.get("work_order") or about["contract"]
    made = []
    for rule in ReturnVisitRule.objects.valid().filter(trigger=trigger, is_active=True):
        key = f"{rule.pk}:{subject._meta.model_name}:{subject.pk}"
        if ReturnVisit._base_manager.filter(rule_key=key).exists():
            continue
        moment = timezone.make_aware(datetime.combine(day + timedelta(days=rule.days), AT))
        visit = ReturnVisit(**about, method=rule.method, planned_at=moment, content=_question(subject), rule_key=key)
        visit.save(remark=str(rule))
        made.append(visit)
    return made


def _question(subject) -> str:
    if isinstance(subject, WorkOrder):
        return f"工单 {subject.number} 处理后的使用情况和满意度。"
    return f"合同 {subject.number} 签约后的执行情况和建议。"


def complete(visit, *, by, content, feedback="", visited_at=None, satisfaction=None) -> ReturnVisit:
    """Note that ``visit`` took place. Raises PermissionDenied, ValidationError, TransitionRefused."""
    visited_at = visited_at or timezone.now()
    if not content.strip():
        raise ValidationError({"content": "回访内容：请填写谈了什么。"})
    if visited_at > timezone.now():
        raise ValidationError({"visited_at": "实际回访时间：不能晚于现在。"})
    if satisfaction is not None and satisfaction not in Stars.values:
        raise ValidationError({"satisfaction": "满意度：请选择 1 至 5 星，或留空。"})
    with transaction.atomic(), actor.acting(by):
        return transitions.run(
            visit,
            "complete",
            by=by,
            content=content.strip(),
            feedback=feedback.strip(),
            visited_at=visited_at,
            satisfaction=satisfaction,
        )


def load_rules() -> None:
    """The rules that an installation begins with."""
    if not ReturnVisitRule.objects.exists():
        for trigger, days, method in SHIPPED:
            ReturnVisitRule.objects.create(trigger=trigger, days=days, method=method)
