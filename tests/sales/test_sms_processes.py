"""A campaign whose workers are killed in the middle: everybody gets the message exactly once."""

import json
import random
import time

import pytest

from tests.crm.jobs.test_processes import Installation, database

BEGIN = """
from crm import bulk
from crm.models import Job, Role, User
from customers.models import Customer
from sales.models import SmsCampaign, SmsRule, SmsTemplate
from sales.services import sms
SmsRule.objects.update(quiet_from=None, quiet_until=None)
user = User.objects.create(username="marketer", full_name="市场")
user.groups.add(Role.objects.get(name="市场"))
for start in range(0, {count}, 1000):
    bulk.insert(Customer, [
        {{"code": f"K{{n}}", "name": f"客户{{n}}", "phone": f"138{{n:08}}"}}
        for n in range(start, min(start + 1000, {count}))
    ])
template = SmsTemplate.objects.create(name="新品", signature="客源", content="${{客户名称}}，新品到货，拒收请回复R")
campaign = SmsCampaign.objects.create(name="新品推介", template=template, stages=["lead"])
sms.confirm(campaign, by=user)
print(Job.objects.get(key=f"sms:{{campaign.pk}}").pk)
"""
WATCH = """
import json, time
from django.db.models import Count
from crm.models import Job
from sales.models import SmsCampaign, SmsDelivery
give_up = time.monotonic() + {patience}
job = Job.objects.get(pk={pk})
while not job.is_finished and time.monotonic() < give_up:
    time.sleep(0.1)
    job.refresh_from_db()
states = dict(SmsDelivery.objects.order_by().values_list("state").annotate(Count("pk")))
print(json.dumps([job.state, job.attempt, SmsCampaign.objects.get().status, states]))
"""


@pytest.fixture(params=["sqlite", pytest.param("mysql", marks=pytest.mark.mysql)])
def installation(request, tmp_path, monkeypatch):
    monkeypatch.setattr(Installation, "settings", "crm.settings")
    monkeypatch.setenv("SMS_JOURNAL", str(tmp_path))
    monkeypatch.setenv("SMS_SETTLE_SECONDS", "0")
    monkeypatch.setenv("SMS_BACKEND", "tests.sales.journal_gateway.Gateway")
    with database(request.param, tmp_path) as url:
        made = Installation(url, tmp_path)
        yield made
        made.end()


def send_to(installation, count, folder, deaths, patience=180):
    """Send a campaign to ``count`` customers while workers die at ``deaths``.

    Gives the numbers that the provider got, how often the job was begun, the state of the campaign, its deliveries.
    """
    pk = int(installation.call("shell", "-v0", "-c", BEGIN.format(count=count)).strip())
    for name in deaths:
        (folder / name).touch()
    installation.start()
    begun = time.monotonic()
    answer = installation.call("shell", "-v0", "-c", WATCH.format(pk=pk, patience=patience))
    state, attempts, status, states = json.loads(answer)
    print(f"{count} 个收件人，{attempts} 次执行，{time.monotonic() - begun:.0f} 秒")
    assert state == "done"
    assert not [name for name in deaths if (folder / name).exists()], "not everybody who should have died has"
    numbers = [line.split(",")[1] for line in (folder / "received").read_text().splitlines()]
    return numbers, attempts, status, states


def deaths_of(count, each):
    places = random.Random(count).sample(range(2, count), 2 * each)
    return [f"die-before-{n}" for n in places[:each]] + [f"die-after-{n}" for n in places[each:]]


@pytest.mark.parametrize("count", [250, pytest.param(20_000, marks=pytest.mark.full)])
def test_killed_in_the_middle_and_resumed_it_reaches_each_exactly_once(installation, tmp_path, count):
    deaths = deaths_of(count, 2 if count < 1000 else 10)
    numbers, attempts, status, states = send_to(installation, count, tmp_path, deaths, patience=900)
    assert attempts == 1 + len(deaths)
    assert sorted(numbers) == [f"+86138{n:08}" for n in range(count)]
    assert (status, states) == ("done", {"sent": count})


@pytest.mark.full
def test_where_the_provider_cannot_tell_nobody_gets_it_twice(installation, tmp_path):
    """The one message on its way at each death is marked as uncertain, whether it arrived or not."""
    installation.environment["SMS_BACKEND"] = "tests.sales.journal_gateway.Forgetful"
    numbers, attempts, status, states = send_to(installation, 120, tmp_path, ["die-before-40", "die-after-80"])
    assert attempts == 3
    assert len(numbers) == len(set(numbers)) == 119
    assert (status, states) == ("done", {"sent": 118, "unknown": 2})
