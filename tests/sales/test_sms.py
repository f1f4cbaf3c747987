"""Text messages: what they say, who gets them, how often, and that nobody gets one twice."""

from datetime import datetime, time, timedelta
from threading import Barrier

import pytest
from django.contrib.auth.models import Permission
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from crm import jobs, records, transitions
from crm.models import BusinessLog, Job, Role
from customers.models import Contact, Customer, Stage, Tag
from customers.services import lifecycle, merging, unmerging
from sales import sms as gateways
from sales.models import (
    CampaignStatus,
    DeliveryState,
    SkipReason,
    SmsCampaign,
    SmsDelivery,
    SmsOptOut,
    SmsRule,
    SmsTemplate,
)
from sales.services import sms, sms_audience, sms_sending
from sales.sms import memory
from sales.sms import text as wording
from tests.factories import make
from tests.races import run_together

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _memory(settings):
    settings.SMS_BACKEND = "sales.sms.memory.Gateway"
    settings.SMS_SETTLE_SECONDS = 0
    SmsRule.objects.filter(quiet_from__isnull=False).update(quiet_from=None, quiet_until=None)
    memory.clear()


@pytest.fixture
def marketer(person):
    return person("市场", phone="13800138000")


def campaign(**values):
    values.setdefault("template", make(SmsTemplate, type="marketing"))
    return make(SmsCampaign, **{"stages": ["lead"], "sender": None} | values)


def customer(**values):
    return make(Customer, **values)


def send(one, by):
    """Confirmed and sent to its end; gives the campaign."""
    sms.confirm(one, by=by)
    return work_off(one)


def work_off(one):
    for job in Job.objects.filter(kind="sms.send", state=Job.State.QUEUED):
        jobs.execute(job.pk)
        job.refresh_from_db()
        assert job.state == Job.State.DONE, job.error
    one = SmsCampaign.objects.get(pk=one.pk)
    return one


def run_periodic(name):
    job = jobs.start(name)
    jobs.execute(job.pk)
    job.refresh_from_db()
    assert job.state == Job.State.DONE, job.error


def states(one):
    return dict(SmsDelivery.objects.filter(campaign=one).values_list("customer__name", "state"))


def reasons(one):
    rows = SmsDelivery.objects.filter(campaign=one, state=DeliveryState.SKIPPED)
    return dict(rows.values_list("customer__name", "skip_reason"))


# --- What they say ---------------------------------------------------------------------------------------------------


def template(**values):
    return SmsTemplate(**{"name": "模板", "signature": "客源", "content": "您好，拒收请回复R"} | values)


def test_an_unknown_variable_is_refused_by_its_name():
    with pytest.raises(ValidationError, match="生日"):
        template(content="${客户名称}的${生日}快乐，拒收请回复R").clean()
    with pytest.raises(ValidationError, match="没有配对"):
        template(content="${客户名称你好，拒收请回复R").clean()
    template(content="${客户名称} ${name}，拒收请回复R").clean()


def test_a_marketing_message_says_how_to_get_no_more():
    with pytest.raises(ValidationError, match="退订方式"):
        template(content="新品到货").clean()
    template(content="您的货已发出", type="notice").clean()


@pytest.mark.parametrize(("length", "count"), [(1, 1), (70, 1), (71, 2), (134, 2), (135, 3)])
def test_carriers_count_70_characters_or_67_each(length, count):
    assert wording.segments("字" * length) == count


def test_a_template_in_use_keeps_its_text(marketer):
    one = campaign()
    sms.confirm(one, by=marketer)
    one.template.content = "换了，拒收请回复R"
    with pytest.raises(ValidationError, match="正在使用"):
        one.template.clean()


def test_variables_are_filled_for_each(marketer, person):
    owner = person("销售", full_name="张伟", phone="13900139000")
    known = customer(name="恒达机械有限公司", short_name="恒达", owner=owner, phone="")
    make(Contact, customer=known, name="欧阳芳华", sex="female", mobile="13700000001")
    text = make(SmsTemplate, content="${客户名称}${称呼}：请找${owner}${负责人电话}，拒收请回复R", signature="客源")
    send(campaign(template=text), marketer)
    assert [one.content for one in memory.outbox] == ["【客源】恒达欧阳女士：请找张伟13900139000，拒收请回复R"]


def test_who_lacks_what_the_text_needs_gets_nothing(marketer):
    customer(name="无联系人")
    one = send(campaign(template=make(SmsTemplate, content="${联系人}您好，拒收请回复R")), marketer)
    assert reasons(one) == {"无联系人": SkipReason.INCOMPLETE}
    assert SmsDelivery.objects.get(campaign=one).error == "联系人"


# --- Who gets them ---------------------------------------------------------------------------------------------------


def test_conditions_narrow_and_values_of_one_are_alternatives(marketer):
    gold, silver = make(Tag), make(Tag)
    customer(name="金"), customer(name="银"), customer(name="无")
    Customer.objects.get(name="金").tags.add(gold, silver)
    Customer.objects.get(name="银").tags.add(silver)
    one = campaign(tags=[gold, silver])
    assert set(sms_audience.audience(one, marketer).values_list("name", flat=True)) == {"金", "银"}
    one.deals = ["won"]
    assert not sms_audience.audience(one, marketer).exists()


def test_the_sleeping_ones_are_those_nobody_followed_up(marketer):
    long_ago = timezone.now() - timedelta(days=100)
    customer(name="睡着", last_followed_at=long_ago), customer(name="醒着", last_followed_at=timezone.now())
    customer(name="从未跟进", created_at=long_ago), customer(name="新来的")
    one = campaign(idle_days=90)
    assert set(sms_audience.audience(one, marketer).values_list("name", flat=True)) == {"睡着", "从未跟进"}


def test_a_sender_reaches_the_customers_he_may_see(person):
    manager = person("销售主管")
    customer(name="部门的", owner=person("销售", department=manager.department)), customer(name="别人的")
    one = send(campaign(), manager)
    assert states(one) == {"部门的": "sent"}


def test_what_the_sender_may_see_is_asked_again_when_it_is_sent(marketer):
    """Between the list of recipients and the message itself."""
    customer(name="留下"), customer(name="停用"), customer(name="删除")
    one = campaign()
    sms.confirm(one, by=marketer)
    one = SmsCampaign.objects.get(pk=one.pk)
    sms_sending._enroll_audience(FakeRun(), one)
    Customer.objects.filter(name="停用").update(is_enabled=False)
    Customer.objects.filter(name="删除").update(is_valid=False)
    one = work_off(one)
    assert states(one)["留下"] == "sent"
    assert reasons(one) == dict.fromkeys(["停用", "删除"], SkipReason.OUT_OF_REACH)


class FakeRun:
    """What a step of ``send`` asks of its run; nothing goes on after the step."""

    total = 0

    def chunk(self, **progress):
        return transaction.atomic()

    def beat(self):
        pass


def test_a_sender_who_left_sends_nothing_more(marketer):
    customer()
    one = campaign()
    sms.confirm(one, by=marketer)
    marketer.groups.clear()
    one = work_off(one)
    assert (one.status, memory.outbox) == (CampaignStatus.PAUSED, [])
    assert "没有发送短信活动的权限" in one.problem


def test_the_default_contact_is_written_to_else_another_else_the_customer(marketer):
    both, other, none = customer(name="甲"), customer(name="乙"), customer(name="丙", phone="13800000003")
    make(Contact, customer=both, mobile="13700000009")
    make(Contact, customer=both, mobile="13700000001", is_default=True)
    make(Contact, customer=other, mobile="", telephone="010-88886666")
    make(Contact, customer=other, mobile="137 0000 0002")
    customer(name="座机", phone="010-66668888"), customer(name="国外", phone="+1 650 253 0000")
    one = send(campaign(), marketer)
    assert {message.phone for message in memory.outbox} == {
        "+8613700000001",
        "+8613700000002",
        "+8613800000003",
    }
    assert reasons(one) == dict.fromkeys(["座机", "国外"], SkipReason.NO_NUMBER)
    assert none.pk


def test_two_customers_of_one_number_get_one_message(marketer):
    customer(name="总公司", phone="13800000001"), customer(name="分公司", phone="+86 138-0000-0001")
    one = send(campaign(), marketer)
    assert len(memory.outbox) == 1
    assert reasons(one) == {"分公司": SkipReason.DUPLICATE}


def test_who_opted_out_gets_nothing_however_the_number_is_written(marketer):
    customer(name="退订的", phone="13800000001"), customer(name="要的", phone="13800000002")
    make(SmsOptOut, phone="+86 138 0000 0001")
    one = send(campaign(), marketer)
    assert reasons(one) == {"退订的": SkipReason.OPTED_OUT}
    assert states(one)["要的"] == "sent"


def test_removing_the_opt_out_is_consenting_again(marketer):
    customer(phone="13800000001")
    records.remove(make(SmsOptOut, phone="13800000001"), by=marketer)
    send(campaign(), marketer)
    assert len(memory.outbox) == 1
    make(SmsOptOut, phone="13800000001")  # and may be taken back


def test_the_cap_counts_all_campaigns_of_its_days(marketer):
    SmsRule.objects.filter(type="marketing").update(cap_count=2, cap_days=7)
    customer(name="甲")
    first, second, third = [send(campaign(), marketer) for _ in range(3)]
    assert (states(first), states(second)) == ({"甲": "sent"}, {"甲": "sent"})
    assert reasons(third) == {"甲": SkipReason.CAPPED}
    SmsDelivery.objects.filter(campaign=first).update(tried_at=timezone.now() - timedelta(days=8))
    assert states(send(campaign(), marketer)) == {"甲": "sent"}


def test_messages_of_another_type_do_not_count(marketer):
    SmsRule.objects.filter(type="marketing").update(cap_count=1)
    customer(name="甲")
    send(campaign(template=make(SmsTemplate, type="notice")), marketer)
    assert states(send(campaign(), marketer)) == {"甲": "sent"}


def test_a_campaign_without_conditions_is_not_sent_by_mistake(marketer):
    with pytest.raises(sms.SmsError, match="至少选择一个收件条件"):
        sms.confirm(campaign(stages=[]), by=marketer)


def test_only_who_may_send_sends(person):
    with pytest.raises(PermissionDenied):
        sms.confirm(campaign(), by=person("销售"))


def test_a_preview_says_what_would_happen_and_sends_nothing(marketer):
    customer(phone="13800000001"), customer(phone="13800000001"), customer(phone="010-66668888")
    found = sms_audience.preview(campaign(), marketer)
    assert (found.total, found.going, found.segments) == (3, 1, 1)
    assert dict(found.skipped) == {"没有国内手机号": 1, "与另一个客户同号": 1}
    assert not SmsDelivery.objects.exists()
    assert not memory.outbox


def test_messages_go_with_a_merged_customer_and_come_back(marketer, person):
    kept, gone, boss = customer(name="留"), customer(name="并"), person("管理员")
    send(campaign(), marketer)  # both got this one
    Customer.objects.filter(pk=kept.pk).update(is_enabled=False)
    alone = send(campaign(), marketer)
    Customer.objects.filter(pk=kept.pk).update(is_enabled=True)
    done = merging.merge([kept, gone], kept, by=boss).merges[0]
    assert SmsDelivery.objects.get(campaign=alone).customer == kept
    assert SmsDelivery.objects.filter(customer=kept).count() == 2
    unmerging.undo(done, by=boss)
    assert SmsDelivery.objects.get(campaign=alone).customer == gone
    assert SmsDelivery.objects.filter(customer=gone).count() == 2


# --- Sending ---------------------------------------------------------------------------------------------------------


def test_counts_are_those_of_the_deliveries(marketer):
    customer(name="好", phone="13800000001"), customer(name="坏", phone="13800000002"), customer(phone="010-66668888")
    memory.refused["+8613800000002"] = gateways.Outcome(gateways.FAILED, error="空号")
    one = send(campaign(), marketer)
    assert one.status == CampaignStatus.DONE
    assert sms_sending.counts_of([one.pk]) == {one.pk: {"sent": 1, "failed": 1, "skipped": 1}}
    assert SmsDelivery.objects.get(state="failed").error == "空号"


def test_a_scheduled_campaign_begins_at_its_time(marketer):
    customer(name="甲")
    one = campaign(send_time=timezone.now() + timedelta(hours=1))
    assert sms.confirm(one, by=marketer).status == CampaignStatus.SCHEDULED
    run_periodic("sms.dispatch")
    assert not memory.outbox
    SmsCampaign.objects.filter(pk=one.pk).update(send_time=timezone.now() - timedelta(minutes=1))
    customer(name="后来的")
    run_periodic("sms.dispatch")
    assert states(work_off(one)) == {"甲": "sent", "后来的": "sent"}


def test_nobody_is_disturbed_in_quiet_hours_and_what_waits_goes_on_afterwards(marketer):
    customer()
    SmsRule.objects.update(quiet_from=time(0), quiet_until=time(23, 59, 59, 999999))
    one = send(campaign(), marketer)
    assert (one.status, memory.outbox) == (CampaignStatus.SENDING, [])
    run_periodic("sms.dispatch")
    assert not Job.objects.filter(kind="sms.send", state="queued").exists()
    SmsRule.objects.update(quiet_from=None, quiet_until=None)
    run_periodic("sms.dispatch")
    assert work_off(one).status == CampaignStatus.DONE
    assert len(memory.outbox) == 1


@pytest.mark.parametrize(
    ("begin", "end", "hour", "quiet"),
    [
        (21, 8, 22, True),
        (21, 8, 7, True),
        (21, 8, 8, False),
        (21, 8, 20, False),
        (12, 14, 13, True),
        (12, 14, 15, False),
    ],
)
def test_quiet_hours_are_those_of_beijing_and_reach_over_midnight(begin, end, hour, quiet):
    moment = timezone.make_aware(datetime(2026, 5, 1, hour))
    assert SmsRule(quiet_from=time(begin), quiet_until=time(end)).is_quiet(moment) is quiet


def test_a_paused_campaign_goes_on_where_it_was(marketer, monkeypatch):
    for _ in range(3):
        customer()
    one = campaign()
    sms.confirm(one, by=marketer)
    monkeypatch.setattr(sms_sending, "BATCH", 1)
    real = memory.Gateway.send

    def pausing(self, message):
        outcome = real(self, message)
        if len(memory.outbox) == 1:
            transitions.run(one, "pause", by=marketer, reason="内容有误")
        return outcome

    monkeypatch.setattr(memory.Gateway, "send", pausing)
    one = work_off(one)
    assert (one.status, len(memory.outbox)) == (CampaignStatus.PAUSED, 1)
    transitions.run(one, "resume", by=marketer)
    assert work_off(one).status == CampaignStatus.DONE
    assert len({message.phone for message in memory.outbox}) == len(memory.outbox) == 3


def test_a_cancelled_campaign_sends_nothing_more(marketer):
    customer(name="甲")
    SmsRule.objects.update(quiet_from=time(0), quiet_until=time(23, 59, 59, 999999))
    one = send(campaign(), marketer)
    sms_sending.enroll(SmsCampaign.objects.get(pk=one.pk), [])
    transitions.run(one, "cancel", by=marketer, reason="不发了")
    SmsRule.objects.update(quiet_from=None, quiet_until=None)
    run_periodic("sms.dispatch")
    work_off(one)
    assert not memory.outbox


def test_a_gateway_out_of_order_pauses_the_campaign_and_loses_nothing(marketer):
    for number in range(8):
        customer(phone=f"1380000000{number}")
        memory.refused[f"+861380000000{number}"] = gateways.Outcome(gateways.RETRY, error="余额不足")
    one = send(campaign(), marketer)
    assert (one.status, "余额不足" in one.problem) == (CampaignStatus.PAUSED, True)
    memory.refused.clear()
    transitions.run(one, "resume", by=marketer)
    one = work_off(one)
    assert (one.status, len(memory.outbox)) == (CampaignStatus.DONE, 8)


def test_of_an_uncertain_message_the_gateway_is_asked(marketer, monkeypatch):
    """What it got counts as sent, what it did not get is sent now, each once."""
    got, lost = customer(name="收到了"), customer(name="没收到")
    one = campaign()
    sms.confirm(one, by=marketer)
    one = SmsCampaign.objects.get(pk=one.pk)
    sms_sending._enroll_audience(FakeRun(), one)
    long_ago = timezone.now() - timedelta(minutes=10)
    SmsDelivery.objects.filter(campaign=one).update(state=DeliveryState.SENDING, tried_at=long_ago)
    known = SmsDelivery.objects.get(campaign=one, customer=got)
    memory.outbox.append(gateways.Message(known.phone_key, "", known.out_id.hex))
    one = work_off(one)
    assert states(one) == {"收到了": "sent", "没收到": "sent"}
    assert len(memory.outbox) == 2
    assert lost.pk


def test_what_the_gateway_cannot_tell_is_not_sent_twice(marketer, monkeypatch):
    customer(name="甲")
    one = campaign()
    sms.confirm(one, by=marketer)
    one = SmsCampaign.objects.get(pk=one.pk)
    sms_sending._enroll_audience(FakeRun(), one)
    long_ago = timezone.now() - timedelta(minutes=10)
    SmsDelivery.objects.filter(campaign=one).update(state=DeliveryState.SENDING, tried_at=long_ago)
    monkeypatch.setattr(memory.Gateway, "lookup", gateways.Gateway.lookup)
    one = work_off(one)
    assert (states(one), memory.outbox, one.status) == ({"甲": "unknown"}, [], CampaignStatus.DONE)
    monkeypatch.undo()
    delivery = SmsDelivery.objects.get(campaign=one)
    memory.outbox.append(gateways.Message(delivery.phone_key, "", delivery.out_id.hex))
    sms.collect()
    assert states(one) == {"甲": "sent"}


def test_a_message_on_its_way_is_left_alone(marketer, settings):
    settings.SMS_SETTLE_SECONDS = 120
    customer(name="甲")
    one = campaign()
    sms.confirm(one, by=marketer)
    one = SmsCampaign.objects.get(pk=one.pk)
    sms_sending._enroll_audience(FakeRun(), one)
    SmsDelivery.objects.filter(campaign=one).update(state=DeliveryState.SENDING, tried_at=timezone.now())
    one = work_off(one)
    assert (states(one), one.status) == ({"甲": "sending"}, CampaignStatus.SENDING)


def test_an_exception_of_the_gateway_is_an_unknown_result(marketer, monkeypatch):
    customer(name="甲")

    def broken(self, message):
        raise RuntimeError("断线")

    monkeypatch.setattr(memory.Gateway, "send", broken)
    one = send(campaign(), marketer)
    assert states(one) == {"甲": "unknown"}


def test_a_trial_goes_to_the_colleague_and_counts_nowhere(marketer):
    customer(name="恒达机械有限公司", short_name="恒达")
    one = campaign(template=make(SmsTemplate, content="${客户名称}您好，拒收请回复R", signature="客源"))
    sms.try_out(one, "138 0013 8000", by=marketer)
    assert [(m.phone, m.content) for m in memory.outbox] == [("+8613800138000", "【客源】恒达您好，拒收请回复R")]
    assert not SmsDelivery.objects.exists()
    assert BusinessLog.objects.filter(remark__contains="试发到 138****8000").exists()
    with pytest.raises(sms.SmsError):
        sms.try_out(one, "010-66668888", by=marketer)


# --- What the provider tells later -----------------------------------------------------------------------------------


def test_a_report_says_whether_it_arrived(marketer):
    customer(name="到了"), customer(name="没到")
    one = send(campaign(), marketer)
    numbers = dict(SmsDelivery.objects.values_list("customer__name", "provider_number"))
    now = timezone.now()
    memory.waiting_reports += [
        gateways.Report(numbers["到了"], True, now),
        gateways.Report(numbers["没到"], False, now, error="关机"),
    ]
    run_periodic("sms.collect")
    assert states(one) == {"到了": "sent", "没到": "failed"}
    assert SmsDelivery.objects.get(state="sent").arrived_at == now


@pytest.mark.parametrize(("words", "stops"), [("R", True), (" td ", True), ("退订", True), ("谢谢", False)])
def test_who_answers_with_a_stop_word_opted_out(words, stops):
    memory.waiting_replies += [gateways.Reply("+8613800000001", words, timezone.now())] * 2
    run_periodic("sms.collect")
    assert SmsOptOut.objects.filter(phone_key="+8613800000001", source="reply").exists() is stops


# --- By themselves ---------------------------------------------------------------------------------------------------


def automatic(by, **values):
    one = campaign(**{"trigger_stage": Stage.LAPSED, "stages": []} | values)
    return sms.confirm(one, by=by)


def change(one, stage):
    return lifecycle.change_stage(one, stage, by=None)


def later(one, **ago):
    """What happened so far with ``one`` was earlier."""
    back = timedelta(**ago)
    one = Customer.objects.get(pk=one.pk)
    Customer.objects.filter(pk=one.pk).update(stage_since=one.stage_since - back)
    for period in one.stage_periods.all():
        one.stage_periods.filter(pk=period.pk).update(
            started_at=period.started_at - back, ended_at=period.ended_at - back
        )
    SmsCampaign.objects.update(started_at=timezone.now() - timedelta(days=365), enrolled_at=None)


def test_who_enters_the_stage_gets_the_message_once(marketer):
    before, moved = customer(name="早就失效"), customer(name="刚失效")
    change(before, Stage.LAPSED)
    one = automatic(marketer)
    change(moved, Stage.LAPSED)
    for _ in range(3):
        run_periodic("sms.dispatch")
        one = work_off(one)
    assert states(one) == {"刚失效": "sent"}
    assert (one.status, len(memory.outbox)) == (CampaignStatus.SENDING, 1)


def test_after_days_it_goes_to_those_who_are_still_there(marketer):
    stayed, left = customer(name="留在"), customer(name="离开")
    one = automatic(marketer, delay_days=3)
    change(stayed, Stage.LAPSED), change(left, Stage.LAPSED)
    run_periodic("sms.dispatch")
    assert not states(one)
    later(stayed, days=3), later(left, days=3)
    change(left, Stage.ORDINARY)
    run_periodic("sms.dispatch")
    assert states(work_off(one)) == {"留在": "sent"}


def test_new_customers_count_only_where_that_is_wanted(marketer):
    plain = automatic(marketer, trigger_stage=Stage.LEAD)
    with_new = automatic(marketer, trigger_stage=Stage.LEAD, includes_new=True)
    customer(name="新建")
    run_periodic("sms.dispatch")
    assert (states(work_off(plain)), states(with_new)) == ({}, {"新建": "sent"})


def test_automatic_campaigns_keep_to_cap_and_opt_outs(marketer):
    SmsRule.objects.filter(type="marketing").update(cap_count=1, cap_days=30)
    full, gone = customer(name="满了", phone="13800000001"), customer(name="退订", phone="13800000002")
    send(campaign(), marketer)
    make(SmsOptOut, phone="13800000002")
    one = automatic(marketer)
    change(full, Stage.LAPSED), change(gone, Stage.LAPSED)
    run_periodic("sms.dispatch")
    work_off(one)
    assert reasons(one) == {"满了": SkipReason.CAPPED, "退订": SkipReason.OPTED_OUT}


def test_a_customer_that_lapses_again_is_won_back_again(marketer):
    known = customer(name="反复")
    one = automatic(marketer)
    change(known, Stage.LAPSED)
    run_periodic("sms.dispatch")
    work_off(one)
    later(known, days=200)
    SmsDelivery.objects.update(occasion="2020-01-01", tried_at=timezone.now() - timedelta(days=200))
    change(known, Stage.ORDINARY)
    change(known, Stage.LAPSED)
    run_periodic("sms.dispatch")
    work_off(one)
    assert len(memory.outbox) == 2


# --- At the same moment ----------------------------------------------------------------------------------------------

THREADS = 6


def send_all_at_once(by):
    """Six campaigns to one customer, each sent by a worker of its own."""
    customer(phone="13800000001")
    campaigns = [sms.confirm(campaign(), by=by) for _ in range(THREADS)]
    waiting = {job.params["campaign"]: job.pk for job in Job.objects.filter(kind="sms.send")}
    run_together(lambda n: jobs.execute(waiting[campaigns[n].pk]), threads=THREADS)
    return len(memory.outbox)


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_campaigns_at_once_do_not_exceed_the_cap_together(marketer):
    SmsRule.objects.filter(type="marketing").update(cap_count=2)
    assert send_all_at_once(marketer) == 2


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_without_the_lock_on_the_rule_they_do(marketer, monkeypatch):
    """Negative control: all count before any has written."""
    SmsRule.objects.filter(type="marketing").update(cap_count=2)
    counted, original = Barrier(THREADS), sms_audience.judge

    def judge(one, recipients, **options):
        original(one, recipients, **options)
        if recipients:
            counted.wait(timeout=20)

    monkeypatch.setattr(sms_sending, "_hold_rule", lambda one: None)
    monkeypatch.setattr(sms_audience, "judge", judge)
    assert send_all_at_once(marketer) > 2


def send_with_zombies(by):
    """Several processes at one campaign, each thinking that it is the only one; gives the numbers that were reached."""
    for number in range(40):
        customer(phone=f"138{number:08}")
    one = campaign()
    sms.confirm(one, by=by)
    one = SmsCampaign.objects.get(pk=one.pk)
    sms_sending._enroll_audience(FakeRun(), one)
    run_together(lambda n: sms_sending._deliver(FakeRun(), one), threads=THREADS)
    return [message.phone for message in memory.outbox]


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_a_process_that_lost_its_job_unawares_sends_nothing_twice(marketer):
    assert sorted(send_with_zombies(marketer)) == [f"+86138{number:08}" for number in range(40)]


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_without_the_claim_it_does(marketer, monkeypatch):
    """Negative control."""

    def claim(delivery, now):
        SmsDelivery.objects.filter(pk=delivery.pk).update(state=DeliveryState.SENDING, tried_at=now)
        return True

    monkeypatch.setattr(sms_sending, "_claim", claim)
    assert len(send_with_zombies(marketer)) > 40


# --- Pages -----------------------------------------------------------------------------------------------------------


def test_from_recipients_to_results_in_the_browser(marketer, browse):
    customer(name="恒达机械")
    one, browser = campaign(), browse(marketer)
    recipients = reverse("admin:sales_smscampaign_recipients", args=[one.pk])
    page = browser.get(recipients).content.decode()
    assert "恒达机械" in page
    assert "发送给 1 人" in page
    browser.post(reverse("admin:sales_smscampaign_try", args=[one.pk]), {"phone": "13800138000"})
    assert len(memory.outbox) == 1
    browser.post(recipients)
    work_off(one)
    page = browser.get(reverse("admin:sales_smscampaign_change", args=[one.pk])).content.decode()
    assert f"{reverse('admin:sales_smsdelivery_changelist')}?campaign={one.pk}&amp;state=sent" in page


def test_the_recipients_are_shown_to_those_who_may_send(person, browse):
    address = reverse("admin:sales_smscampaign_recipients", args=[campaign().pk])
    assert browse(person("销售")).get(address).status_code == 403
    assert browse(person("销售")).post(address).status_code == 403


def test_what_was_confirmed_is_not_edited(marketer, browse):
    one = campaign(send_time=timezone.now() + timedelta(days=1))
    sms.confirm(one, by=marketer)
    address = reverse("admin:sales_smscampaign_change", args=[one.pk])
    assert browse(marketer).post(address, {"name": "另一个"}).status_code == 403
    transitions.run(one, "unschedule", by=marketer)
    assert 'name="name"' in browse(marketer).get(address).content.decode()


def test_numbers_and_texts_are_hidden_from_who_sees_no_contacts(person, browse):
    reader = person("市场")
    role = Role.objects.get(name="市场")
    role.permissions.remove(Permission.objects.get(codename="view_contact"))
    delivery = make(SmsDelivery, phone="13412345678", content="王芳您好")
    page = browse(reader).get(reverse("admin:sales_smsdelivery_change", args=[delivery.pk])).content.decode()
    assert delivery.customer.name in page
    assert "13412345678" not in page
    assert "王芳" not in page


def test_messages_stand_among_what_happened_with_the_customer(marketer, browse):
    known = customer()
    send(campaign(template=make(SmsTemplate, content="新品到货，拒收请回复R", signature="客源")), marketer)
    page = browse(marketer).get(reverse("admin:customers_customer_change", args=[known.pk])).content.decode()
    assert "【客源】新品到货" in page
