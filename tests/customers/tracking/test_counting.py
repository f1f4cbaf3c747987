"""Statistics from counts by hour that say how fresh they are, and the rules that watch them."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.urls import reverse
from django.utils import timezone

from crm import jobs, transitions
from crm.models import Department, Job, Notification
from crm.trails import Kind
from customers.models import CancelKey
from customers.tracking import background
from customers.tracking.models import Alert, AlertRule, Delivery, Rollup, StaleDay, Trace, TraceCount, UsedNonce, Watch
from customers.tracking.services import counting
from tests.factories import make

pytestmark = pytest.mark.django_db


def run(name):
    job = jobs.start(name)
    jobs.execute(job.pk)
    job.refresh_from_db()
    assert job.state == Job.State.DONE, job.error
    return job.result["message"]


def many(number, actor, **values):
    return [make(Trace, actor=actor, user_name=actor.full_name, **values) for _ in range(number)]


def only(watch, limit, **values):
    AlertRule.objects.all().update(is_active=False)
    return make(AlertRule, watch=watch, limit=limit, **values)


def test_counts_equal_the_traces_and_counting_again_changes_nothing(person):
    actor, now = person("销售"), timezone.now()
    many(3, actor, operated_at=now)
    many(2, actor, operated_at=now - timedelta(days=3), kind=Kind.EDIT, is_foreign=True)
    for _ in range(2):
        run("tracking.count")
        found = TraceCount.objects.values_list("actor", "kind", "count", "foreign")
        assert sorted(found) == [(actor.pk, Kind.EDIT, 2, 2), (actor.pk, Kind.VIEW, 3, 0)]
    many(1, actor, operated_at=timezone.now())
    run("tracking.count")
    assert sum(TraceCount.objects.values_list("count", flat=True)) == 6


def test_a_trace_that_comes_late_is_counted_next_time(person):
    actor = person("销售")
    run("tracking.count")
    many(1, actor, operated_at=timezone.now() - timedelta(minutes=5))
    run("tracking.count")
    assert TraceCount.objects.count() == 1


def test_past_days_into_which_traces_are_written_are_counted_again(person):
    """Their hours, and no others: what they held before stays counted once, and nothing old sets off an alarm."""
    only(Watch.VIEWS, 0)
    actor, past = person("销售"), timezone.now() - timedelta(days=40)
    many(1, actor, operated_at=past)
    Rollup.objects.create(pk=1, until=timezone.now())
    late = many(2, actor, operated_at=past) + many(1, actor, operated_at=past - timedelta(days=9))
    counting.mark_stale(trace.operated_at for trace in late)
    for _ in range(2):
        run("tracking.count")
        assert sorted(TraceCount.objects.values_list("count", flat=True)) == [1, 3]
    assert not StaleDay.objects.exists() and not Alert.objects.exists()


def test_a_past_day_begins_and_ends_at_midnight_in_shanghai(person):
    """20:00 UTC of the 4th is the 5th: counting the 5th anew leaves the hours around it as they were."""
    actor = person("销售")
    before, first, last, after = (
        datetime(2026, 1, 4, 15, tzinfo=UTC) + timedelta(hours=shift) for shift in (0, 1, 24, 25)
    )
    for moment in (before, first, last, after):
        many(1, actor, operated_at=moment)
        make(TraceCount, hour=moment, actor=actor, kind=Kind.VIEW, count=7)
    counting.mark_stale([datetime(2026, 1, 4, 20, tzinfo=UTC)])
    counting.count_stale_day()
    assert dict(TraceCount.objects.values_list("hour", "count")) == {before: 7, first: 1, last: 1, after: 7}


def test_the_page_says_how_fresh_it_is_and_every_number_leads_to_its_traces(person, browse):
    auditor, actor = person("审计"), person("销售")
    many(3, actor)
    make(Trace, actor=actor, kind=Kind.EXPORT)
    url = reverse("admin:tracking_trace_statistics")
    assert "还没有统计过" in browse(auditor).get(url).content.decode()
    run("tracking.count")
    answer = browse(auditor).get(url)
    until = timezone.localtime(counting.counted_until())
    assert f"统计截至 {until:%Y-%m-%d %H:%M}" in answer.content.decode()
    (name, figures), *_ = answer.context["table"].rows
    assert (name, figures[0].value) == (str(actor), 4)
    for figure in [*figures, *answer.context["figures"]]:
        rows = browse(auditor).get(figure.link).context["cl"].result_count
        assert rows == figure.value, figure


def test_a_manager_counts_his_department_alone(person, browse):
    department = make(Department)
    manager, member = person("销售主管", department=department), person("销售", department=department)
    many(2, member)
    many(5, person("销售"))
    run("tracking.count")
    answer = browse(manager).get(reverse("admin:tracking_trace_statistics"))
    assert answer.context["trend"].total == 2


@pytest.mark.parametrize(
    ("watch", "limit", "values", "hit"),
    [
        (Watch.VIEWS, 3, {"kind": Kind.VIEW}, True),
        (Watch.VIEWS, 4, {"kind": Kind.VIEW}, False),
        (Watch.VIEWS, 3, {"kind": Kind.EDIT}, False),
        (Watch.FOREIGN, 3, {"is_foreign": True}, True),
        (Watch.FOREIGN, 3, {"is_foreign": False}, False),
        (Watch.EXPORT, 1000, {"kind": Kind.EXPORT, "rows": 1001}, True),
        (Watch.EXPORT, 1000, {"kind": Kind.EXPORT, "rows": 1000}, False),
    ],
)
def test_a_rule_is_exceeded_by_more_than_its_limit(watch, limit, values, hit, person):
    rule, actor = only(watch, limit), person("销售")
    many(4, actor, **values)
    run("tracking.count")
    assert list(Alert.objects.values_list("rule", "actor")) == ([(rule.pk, actor.pk)] if hit else [])


def test_night_is_night_in_shanghai():
    rule = AlertRule(watch=Watch.NIGHT, limit=0, night_from=22, night_until=6)
    assert [hour for hour in range(24) if rule.is_night(hour)] == [0, 1, 2, 3, 4, 5, 22, 23]
    rule.night_from, rule.night_until = 1, 5
    assert [hour for hour in range(24) if rule.is_night(hour)] == [1, 2, 3, 4]
    rule.night_until = 1
    with pytest.raises(ValidationError):
        rule.clean()
    with pytest.raises(ValidationError):
        AlertRule(watch=Watch.NIGHT, limit=0, night_from=25, night_until=6).clean()


@pytest.mark.parametrize(("hour", "hit"), [(15, True), (21, True), (3, False)])
def test_operations_at_night_are_told(hour, hit, person, monkeypatch):
    """15:00 UTC is 23:00 in Shanghai."""
    only(Watch.NIGHT, 0)
    monkeypatch.setattr(background, "ALERT_WITHIN", timedelta(days=3650))
    many(1, person("销售"), operated_at=datetime(2026, 1, 5, hour, 30, tzinfo=UTC))
    run("tracking.count")
    assert Alert.objects.exists() is hit


def test_an_hour_is_told_once_to_those_who_may_look_into_it(person, settings, mailoutbox):
    settings.NOTIFY_BY_EMAIL = True
    department = make(Department)
    director = person("销售总监", department=department, email="director@keyuan.example")
    stranger, actor = person("销售总监", department=make(Department)), person("销售", department=department)
    only(Watch.VIEWS, 2)
    for _ in range(2):
        many(3, actor)
        run("tracking.count")
    alert = Alert.objects.get()
    assert alert.count == 6
    told = set(Notification.objects.filter(key=f"tracking.alert:{alert.pk}").values_list("user", flat=True))
    assert director.pk in told and not {stranger.pk, actor.pk} & told


def test_an_alert_is_acknowledged_with_a_finding_and_not_by_the_person_himself(person):
    director = person("销售总监", department=make(Department))
    alert = make(Alert, actor=director)
    with pytest.raises(Exception, match="没有"):
        transitions.run(alert, "acknowledge", by=director, reason="没事")
    auditor = person("审计")
    with pytest.raises(transitions.TransitionRefused):
        transitions.run(alert, "acknowledge", by=auditor)
    done = transitions.run(alert, "acknowledge", by=auditor, reason="已核实，为展会准备")
    assert (done.state, done.finding, done.updated_by) == ("acknowledged", "已核实，为展会准备", auditor)


def test_what_is_old_and_delivered_goes_and_what_waits_stays(settings):
    settings.TRACE_DAYS = 30
    long_ago = timezone.now() - timedelta(days=31)
    gone = make(Trace, operated_at=long_ago, delivery=Delivery.DELIVERED)
    waiting = make(Trace, operated_at=long_ago)
    recent = make(Trace, delivery=Delivery.DELIVERED)
    make(UsedNonce, used_at=long_ago)
    nonce = UsedNonce.objects.create(key=make(CancelKey), nonce="now")
    assert run("tracking.clear") == "清理了 2 行"
    assert set(Trace.objects.values_list("pk", flat=True)) == {waiting.pk, recent.pk} != {gone.pk}
    assert list(UsedNonce.objects.all()) == [nonce]
