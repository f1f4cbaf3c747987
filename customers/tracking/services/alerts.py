"""Rules about quantity: what a person did in an hour, against the rules, once an hour has been counted."""

from django.db.models import Max, Q, Sum
from django.utils import timezone

from crm import notifications
from crm.models import Notification, User
from crm.policies import policy_for
from crm.trails import Kind
from customers.activity import change_url
from customers.tracking.models import Alert, AlertRule, TraceCount, Watch

SHIPPED = (
    ("一小时内查看过多", Watch.VIEWS, 100),
    ("夜间操作", Watch.NIGHT, 10),
    ("大量操作他人客户", Watch.FOREIGN, 50),
    ("大批导出", Watch.EXPORT, 1000),
)


def load_rules() -> None:
    """The rules of a new installation; once there are any, they are the users'."""
    if not AlertRule._base_manager.exists():
        for name, watch, limit in SHIPPED:
            AlertRule.objects.create(name=name, watch=watch, limit=limit)


def exceeded(rule, counts) -> list[tuple[int, object, int]]:
    """``[(person, hour, how many)]`` of the rows ``counts`` that go beyond ``rule``."""
    measure = Sum("count")
    if rule.watch == Watch.VIEWS:
        counts = counts.filter(kind=Kind.VIEW)
    elif rule.watch == Watch.FOREIGN:
        measure = Sum("foreign")
    elif rule.watch == Watch.EXPORT:
        counts, measure = counts.filter(kind=Kind.EXPORT), Max("most_rows")
    found = counts.order_by().values("actor", "hour").annotate(number=measure).filter(number__gt=rule.limit)
    rows = [(row["actor"], row["hour"], row["number"]) for row in found]
    if rule.watch == Watch.NIGHT:
        rows = [row for row in rows if rule.is_night(timezone.localtime(row[1]).hour)]
    return rows


def raise_alerts(since) -> int:
    """Check the hours from ``since`` on against every active rule; gives how many alerts are new.

    An hour that goes on keeps its alert and the number grows while nobody has acknowledged it.
    """
    made = 0
    for rule in AlertRule.objects.valid().filter(is_active=True).prefetch_related("recipients"):
        for actor, hour, number in exceeded(rule, TraceCount.objects.filter(hour__gte=since)):
            alert, is_new = Alert.objects.get_or_create(
                rule=rule, actor_id=actor, hour=hour, defaults={"count": number}
            )
            if is_new:
                made += 1
                _tell(alert)
            elif alert.count < number:
                Alert.objects.filter(pk=alert.pk).update(count=number)
    return made


def _tell(alert) -> None:
    hour = timezone.localtime(alert.hour)
    notifications.notify(
        recipients(alert),
        title=f"操作告警：{alert.actor} {alert.rule}",
        body=f"{alert.actor}在 {hour:%Y-%m-%d %H} 点起的一小时内达到 {alert.count}，超过 {alert.rule.limit}。",
        link=change_url(alert),
        key=f"tracking.alert:{alert.pk}",
        level=Notification.Level.DANGER,
        email=alert.rule.by_email,
    )


def recipients(alert) -> list[User]:
    """Those the rule names; else everybody who may acknowledge this alert."""
    named = [user for user in alert.rule.recipients.all() if user.is_active]
    if named:
        return named
    held = Q(groups__permissions__codename="change_alert", groups__role__is_active=True)
    people = User.objects.filter(held, is_active=True).exclude(pk=alert.actor_id).distinct()
    return [user for user in people if policy_for(Alert).may(user, "change", alert)]


def open_alerts(user):
    """The alerts that wait to be acknowledged by ``user``."""
    return policy_for(Alert).visible_to(user, "change").filter(state="open")
