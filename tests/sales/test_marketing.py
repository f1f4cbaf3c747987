"""Marketing activities: what came of them, for whom it counts, their states."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.urls import reverse
from django.utils import timezone

from crm import records, transitions
from crm.models import DictionaryItem, ExchangeRate
from sales.models import Lead, LeadStatus, MarketingActivity, Opportunity
from sales.services import marketing
from tests.factories import make

pytestmark = pytest.mark.django_db


def activity(**values):
    return make(MarketingActivity, **{"actual_cost": Decimal(10000)} | values)


def won(of, amount, **values):
    return transitions.run(make(Opportunity, activity=of, estimated_amount=amount, **values), "win", by=None)


def test_the_return_on_cost_is_what_was_won_less_the_cost_per_cost(person):
    user, fair = person("管理员"), activity()
    make(Lead, activity=fair)
    converted = make(Lead, activity=fair)
    Lead.objects.filter(pk=converted.pk).update(status=LeadStatus.CONVERTED)
    make(Opportunity, activity=fair, estimated_amount=999)
    won(fair, 40000)
    found = marketing.results([fair], user)[fair.pk]
    assert (found.leads, found.converted, found.opportunities, found.won) == (2, 1, 2, 1)
    assert found.won_amount == 40000
    assert found.roi == 3
    assert found.lead_cost == 5000


def test_amounts_won_in_other_currencies_count_at_the_rate_of_the_last_day(person):
    fair = activity(end_time=timezone.now() - timedelta(days=30))
    day = timezone.localdate(fair.end_time)
    ExchangeRate.objects.all().delete()
    won(fair, 1000, currency="USD")
    assert marketing.results([fair], person("管理员"))[fair.pk].won_amount is None  # no rate: no invented number
    make(ExchangeRate, currency="USD", valid_from=day, rate="7.2")
    make(ExchangeRate, currency="USD", valid_from=day + timedelta(days=1), rate="9")
    assert marketing.results([fair], person("管理员"))[fair.pk].won_amount == 7200


def test_everybody_counts_what_he_may_see(person, browse):
    fair, seller = activity(name="广交会"), person("销售")
    make(Lead, activity=fair, owner=seller)
    make(Lead, activity=fair)
    assert marketing.results([fair], seller)[fair.pk].leads == 1
    assert marketing.results([fair], person("市场"))[fair.pk].leads == 2
    page = browse(seller).get(reverse("admin:sales_marketingactivity_change", args=[fair.pk]))
    link = f"{reverse('admin:sales_lead_changelist')}?activity={fair.pk}"
    assert link in page.content.decode()
    assert len(browse(seller).get(link).context["cl"].result_list) == 1


def test_every_number_leads_to_the_rows_it_counts(person, browse):
    user, fair = person("销售总监"), activity()
    for _ in range(2):
        make(Opportunity, owner=user)
    won(fair, 100, owner=user), make(Opportunity, activity=fair, owner=user)
    browser = browse(user)
    page = browser.get(reverse("admin:sales_marketingactivity_change", args=[fair.pk]))
    figures = {label: (value, link) for label, value, link, _ in page.context["figures"]}
    for label, count in (("线索", 0), ("转化", 0), ("商机", 2), ("赢单", 1), ("短信活动", 0)):
        value, link = figures[label]
        rows = browser.get(link).context["cl"].result_list
        assert (label, value, len(rows)) == (label, count, count)
    assert figures["投资回报率"][0] == "-99.0%"


def test_an_opportunity_made_of_a_lead_came_from_the_same_activity():
    fair = activity()
    assert make(Opportunity, lead=make(Lead, activity=fair)).activity == fair


def test_an_activity_is_begun_and_ended_or_cancelled_for_a_reason(person):
    user, fair = person("市场"), activity()
    assert transitions.run(fair, "begin", by=user).status == "running"
    assert transitions.run(fair, "finish", by=user).status == "ended"
    with pytest.raises(transitions.TransitionRefused):
        transitions.run(fair, "cancel", by=user, reason="太晚了")
    other = activity()
    with pytest.raises(transitions.TransitionRefused, match="原因"):
        transitions.run(other, "cancel", by=user)
    assert transitions.run(other, "cancel", by=user, reason="场馆关闭").cancel_reason == "场馆关闭"


def test_it_cannot_end_before_it_begins_and_has_a_name_of_its_own():
    fair = activity(name="工博会 2026")
    fair.end_time = fair.start_time - timedelta(hours=1)
    with pytest.raises(ValidationError, match="不能早于"):
        fair.clean()
    kind = DictionaryItem.objects.filter(type="activity_type").first()
    with pytest.raises(ValidationError, match="已存在"):
        MarketingActivity(name="工博会2026", type=kind, start_time=timezone.now(), end_time=timezone.now()).clean()


def test_an_activity_that_leads_came_from_is_not_removed(person):
    fair = activity()
    make(Lead, activity=fair)
    with pytest.raises(records.InUse, match="线索"):
        records.remove(fair, by=person("市场"))
