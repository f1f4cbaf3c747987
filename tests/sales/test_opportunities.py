"""Opportunities: through the stages, won and lost, what they come to, who sees what of them."""

import itertools
from datetime import timedelta
from decimal import Decimal
from threading import Barrier

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import OperationalError
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone

from crm import agenda, ownership, records
from crm.models import BusinessLog, ExchangeRate, Operation, StaleRecord
from crm.transitions import TransitionRefused
from customers import activity
from customers.models import Contact, Customer
from customers.services import changes, rulebook
from sales.models import (
    FollowUp,
    Lead,
    LeadStatus,
    Opportunity,
    OpportunityItem,
    OpportunityStage,
    OpportunityStagePeriod,
)
from sales.services import leads, opportunities
from tests.browsing import form_of, posted
from tests.factories import make
from tests.races import run_together

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _owners_and_grants_agree(db):
    yield
    assert not any(rows.exists() for rows in ownership.disagreements(Opportunity).values())


@pytest.fixture
def stages(db):
    return {stage.name: stage for stage in OpportunityStage.objects.all()}


@pytest.fixture
def customer(floor):
    return make(Customer, owner=floor.seller, name="甲公司", code="KH0001")


@pytest.fixture
def deal(floor, customer, stages):
    return make(Opportunity, name="变频器采购", customer=customer, owner=floor.seller, stage=stages["初步接触"])


def stored(deal):
    return Opportunity.objects.get(pk=deal.pk)


def ago(**span):
    return timezone.now() - timedelta(**span)


def since(deal, **span):
    Opportunity.objects.filter(pk=deal.pk).update(stage_since=ago(**span))
    return stored(deal)


def change_page(obj):
    return reverse(f"admin:{obj._meta.app_label}_{obj._meta.model_name}_change", args=[obj.pk])


# --- Through the stages -----------------------------------------------------------------------------------------------


def test_moving_closes_the_interval_and_takes_the_default_probability(deal, floor, stages):
    """换阶段：旧阶段的停留记入历程，赢单概率取新阶段的默认值，日志写明是谁。"""
    since(deal, days=5)
    opportunities.move(deal, stages["商务谈判"], by=floor.seller)
    period = OpportunityStagePeriod.objects.get()
    assert (period.stage, period.next_stage, period.days) == (stages["初步接触"], stages["商务谈判"], 5)
    assert (stored(deal).stage, stored(deal).win_probability) == (stages["商务谈判"], 70)
    assert stored(deal).stage_since == period.ended_at or stored(deal).days_in_stage == 0
    entry = BusinessLog.objects.filter(object_id=deal.pk, operation=Operation.TRANSITION).get()
    assert (entry.user, entry.business_no) == (floor.seller, deal.number)


def test_a_probability_that_somebody_states_goes_before_the_default(deal, floor, stages):
    opportunities.move(deal, stages["需求分析"], by=floor.seller, probability=55)
    assert stored(deal).win_probability == 55


def test_moving_to_the_same_stage_changes_nothing(deal, floor, stages):
    opportunities.move(deal, stages["初步接触"], by=floor.seller)
    assert not OpportunityStagePeriod.objects.exists()
    assert stored(deal).lock_version == deal.lock_version


def test_every_stay_in_a_stage_counts(deal, floor, stages):
    """退回前面的阶段再来一次，两次停留相加。"""
    since(deal, days=3)
    opportunities.move(deal, stages["需求分析"], by=floor.seller)
    since(deal, days=4)
    opportunities.move(deal, stages["初步接触"], by=floor.seller)
    since(deal, days=2)
    assert opportunities.dwell(stored(deal)) == {stages["初步接触"].pk: 5, stages["需求分析"].pk: 4}


def test_only_who_may_change_it_moves_it(deal, floor, stages):
    for person in (floor.colleague, floor.stranger):
        with pytest.raises(PermissionDenied):
            opportunities.move(deal, stages["需求分析"], by=person)
    opportunities.move(deal, stages["需求分析"], by=floor.manager)


def test_a_closed_deal_and_a_retired_stage_are_no_way(deal, floor, stages):
    retired = make(OpportunityStage, is_active=False)
    with pytest.raises(opportunities.OpportunityError, match="已停用"):
        opportunities.move(deal, retired, by=floor.seller)
    opportunities.win(deal, by=floor.seller)
    with pytest.raises(opportunities.OpportunityError, match="已赢单"):
        opportunities.move(deal, stages["需求分析"], by=floor.seller)


def test_the_form_does_not_change_stage_or_customer(deal, floor, stages, browse):
    """阶段只由按钮推进，客户定下不改：表单里塞进来也不算。"""
    other = make(Customer, owner=floor.seller)
    done = posted(browse(floor.seller), change_page(deal), name="改名", stage=stages["商务谈判"].pk, customer=other.pk)
    assert done.status_code == 302
    assert (stored(deal).name, stored(deal).stage, stored(deal).customer) == ("改名", deal.stage, deal.customer)
    assert not OpportunityStagePeriod.objects.exists()


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_of_many_moves_at_once_the_intervals_follow_each_other(deal, floor, stages):
    """十六个人同时推进：历程首尾相接，没有一段记两次。"""
    order = [stages[name] for name in ("需求分析", "方案报价", "商务谈判", "合同签订")]
    results = run_together(lambda n: opportunities.move(deal, order[n % 4], by=floor.manager))
    assert all(isinstance(result, Opportunity) for result in results), results
    periods = list(OpportunityStagePeriod.objects.order_by("pk"))
    assert periods[-1].next_stage == stored(deal).stage
    assert all(a.next_stage == b.stage for a, b in itertools.pairwise(periods))


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_without_the_lock_on_the_deal_moves_are_lost(deal, floor, stages, monkeypatch):
    """Negative control: nobody waits for the others, so that most find the deal changed or locked by another."""
    looked, close_period = Barrier(16), opportunities._close_period

    def close(opportunity, *, next_stage):
        looked.wait(timeout=20)
        close_period(opportunity, next_stage=next_stage)

    monkeypatch.setattr(opportunities, "_close_period", close)
    monkeypatch.setattr(QuerySet, "select_for_update", lambda rows, **options: rows)
    order = [stages[name] for name in ("需求分析", "方案报价", "商务谈判", "合同签订")]
    results = run_together(lambda n: opportunities.move(deal, order[n % 4], by=floor.manager))
    lost = [result for result in results if not isinstance(result, Opportunity)]
    assert lost and all(isinstance(result, StaleRecord | OperationalError) for result in lost), results


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
def test_of_winning_and_losing_at_once_one_comes_through(deal, floor):
    """同时点赢单和输单，只成一个，最后一段历程也只有一条。"""

    def decide(n):
        if n % 2:
            return opportunities.win(deal, by=floor.manager)
        return opportunities.lose(deal, by=floor.manager, reason="价格")

    results = run_together(decide)
    assert sum(isinstance(result, Opportunity) for result in results) == 1
    assert OpportunityStagePeriod.objects.count() == 1


# --- Won and lost -----------------------------------------------------------------------------------------------------


def test_winning_and_losing_close_the_last_interval(deal, floor):
    opportunities.win(deal, by=floor.seller)
    period = OpportunityStagePeriod.objects.get()
    assert (period.next_stage, period.ended_at) == (None, stored(deal).closed_at)
    assert (stored(deal).status, stored(deal).win_probability) == ("won", 100)


def test_losing_needs_a_reason(deal, floor):
    with pytest.raises(TransitionRefused, match="原因"):
        opportunities.lose(deal, by=floor.seller, reason=" ")
    opportunities.lose(deal, by=floor.seller, reason="价格高于对手")
    assert (stored(deal).lose_reason, stored(deal).win_probability) == ("价格高于对手", 0)


def test_a_deal_opened_again_begins_its_stage_anew(deal, floor):
    """重新跟进：回到进行中，概率取阶段默认值，停留从今天算起，输单原因清空。"""
    since(deal, days=40)
    opportunities.lose(deal, by=floor.seller, reason="预算取消")
    opportunities.reopen(deal, by=floor.seller, reason="预算恢复")
    again = stored(deal)
    assert (again.status, again.lose_reason, again.win_probability, again.days_in_stage) == ("open", "", 10, 0)
    assert again.closed_at is None
    assert not again.is_stuck


# --- Stuck, and what they come to -------------------------------------------------------------------------------------


def test_stuck_means_longer_than_the_stage_allows(deal, floor, stages):
    """停留正好等于停滞天数不算，多一天才算；没有设停滞天数的阶段永远不算；列表筛选和标记说的一样。"""
    assert stages["初步接触"].stuck_days == 30
    assert not since(deal, days=30).is_stuck
    assert not Opportunity.objects.filter(opportunities.stuck()).exists()
    assert since(deal, days=31).is_stuck
    assert Opportunity.objects.filter(opportunities.stuck()).get() == deal
    OpportunityStage.objects.update(stuck_days=None)
    assert not stored(deal).is_stuck
    assert not Opportunity.objects.filter(opportunities.stuck()).exists()


def test_a_closed_deal_is_not_stuck(deal, floor):
    since(deal, days=100)
    opportunities.win(deal, by=floor.seller)
    assert not stored(deal).is_stuck
    assert not Opportunity.objects.filter(opportunities.stuck()).exists()


def test_sums_keep_currencies_apart_and_add_up_in_yuan(deal, customer, floor, stages):
    """各币种分开合计，再按今天的汇率折合人民币；没有汇率的说出来，不算进去。"""
    make(ExchangeRate, currency="USD", valid_from=timezone.localdate(), rate="7")
    for currency, amount in (("USD", "1000"), ("EUR", "500")):
        make(Opportunity, customer=customer, stage=stages["商务谈判"], currency=currency, estimated_amount=amount)
    found = opportunities.sums(Opportunity.objects.all())[None]
    assert dict(found.amounts) == {"CNY": Decimal(50000), "USD": Decimal(1000), "EUR": Decimal(500)}
    assert (found.total, found.missing) == (Decimal(57000), {"EUR"})
    assert found.forecast == Decimal(50000) / 10 + Decimal(1000) * 7 * 7 / 10
    by_stage = opportunities.sums(Opportunity.objects.all(), by="stage")
    assert (by_stage[stages["商务谈判"].pk].count, by_stage[stages["初步接触"].pk].total) == (2, Decimal(50000))


def test_the_contact_belongs_to_the_customer(deal):
    deal.contact = make(Contact)
    with pytest.raises(ValidationError, match="不属于该客户"):
        deal.clean()


# --- The board --------------------------------------------------------------------------------------------------------


def board(browser, **query):
    response = browser.get(reverse("admin:sales_opportunity_board"), query)
    assert response.status_code == 200
    return response, response.content.decode()


def test_the_board_shows_ones_own_open_deals_by_stage(deal, floor, customer, stages, browse):
    make(Opportunity, name="别组的商机", owner=floor.stranger, stage=stages["初步接触"])
    won = make(Opportunity, name="已赢的商机", customer=customer, owner=floor.seller, stage=stages["初步接触"])
    opportunities.win(won, by=floor.seller)
    response, shown = board(browse(floor.seller))
    assert "变频器采购" in shown
    assert "别组的商机" not in shown and "已赢的商机" not in shown
    first = response.context_data["columns"][0]
    assert (first.stage, first.sums.count, first.sums.lines) == (stages["初步接触"], 1, ["CNY 50,000.00"])


def test_the_board_follows_the_filters_of_the_list(deal, floor, customer, stages, browse):
    make(Opportunity, name="相机项目", customer=customer, owner=floor.seller, stage=stages["需求分析"])
    assert "相机项目" not in board(browse(floor.seller), q="变频器")[1]
    assert "变频器采购" not in board(browse(floor.seller), estimated_amount_from="60000")[1]
    assert browse(floor.seller).get(reverse("admin:sales_opportunity_board"), {"name": "x"}).status_code == 400


def test_a_card_moves_by_its_button_and_comes_back_to_the_board(deal, floor, stages, browse):
    browser, here = browse(floor.seller), reverse("admin:sales_opportunity_board") + "?stuck="
    address = reverse("admin:sales_opportunity_move", args=[deal.pk])
    assert browser.get(address).status_code == 404
    done = browser.post(address, {"stage": stages["需求分析"].pk, "next": here})
    assert (done.status_code, done["Location"]) == (302, here)
    assert stored(deal).stage == stages["需求分析"]
    assert browser.post(address, {"stage": "x", "next": "https://evil.example/"})["Location"] == change_page(deal)
    assert browse(floor.stranger).post(address, {"stage": stages["商务谈判"].pk}).status_code == 404


def test_who_only_reads_a_deal_cannot_move_it(deal, floor, stages, browse):
    ownership.add_collaborator(deal, floor.stranger, by=None, level="view")
    browser, address = browse(floor.stranger), reverse("admin:sales_opportunity_move", args=[deal.pk])
    shown = board(browser)[1]
    assert "变频器采购" in shown and address not in shown
    assert browser.post(address, {"stage": stages["需求分析"].pk}).status_code == 403
    assert stored(deal).stage == deal.stage


def test_a_retired_stage_stays_on_the_board_while_deals_are_in_it(deal, floor, stages, browse):
    OpportunityStage.objects.filter(pk=deal.stage_id).update(is_active=False)
    response, shown = board(browse(floor.seller))
    assert "变频器采购" in shown
    assert stages["初步接触"] not in response.context_data["targets"]


def test_the_board_asks_no_more_for_more_deals(floor, customer, stages, browse, django_assert_max_num_queries):
    for _ in range(20):
        make(Opportunity, customer=customer, owner=floor.seller, stage=stages["初步接触"])
    with django_assert_max_num_queries(45):
        board(browse(floor.seller))


# --- On other pages ---------------------------------------------------------------------------------------------------


def test_the_customer_shows_its_deals_to_those_who_see_them(deal, customer, floor, browse):
    """客户页面的“商机”页签和“新建商机”按钮；别人的商机不在其中。"""
    make(Opportunity, name="别组的商机", customer=customer, owner=floor.stranger)
    shown = browse(floor.seller).get(change_page(customer)).content.decode()
    assert "变频器采购" in shown and "别组的商机" not in shown
    assert f"{reverse('admin:sales_opportunity_add')}?customer={customer.pk}" in shown


def test_the_customer_in_other_hands_is_not_named(deal, customer, floor, browse):
    """客户移交给别组之后，商机负责人在列表、看板、页面上都看不到客户的名称。"""
    ownership.set_owner(customer, floor.stranger, by=None, reason="移交")
    browser = browse(floor.seller)
    for page in (reverse("admin:sales_opportunity_changelist"), reverse("admin:sales_opportunity_board")):
        shown = browser.get(page).content.decode()
        assert "变频器采购" in shown and "甲公司" not in shown and "（无权查看）" in shown
    assert "甲公司" not in browser.get(change_page(deal)).content.decode()


def test_an_open_deal_keeps_the_customer_out_of_the_sea_and_shows_as_affected(deal, customer, floor):
    """进行中的商机：客户不回收，客户变更时列为受影响；赢单之后都不再是。"""
    book = rulebook.Rulebook()
    assert book.outlooks([customer])[customer.pk].text == "不回收：有进行中的商机"
    effect = changes.EFFECTS.ask(customer, {}, floor.seller)["opportunities"][0]
    assert (effect.label, effect.count) == ("进行中的商机", 1)
    opportunities.win(deal, by=floor.seller)
    assert book.outlooks([customer])[customer.pk].text != "不回收：有进行中的商机"
    assert not changes.EFFECTS.ask(customer, {}, floor.seller)["opportunities"]


def test_a_deal_is_found_by_its_name_number_and_customer(deal, floor, browse):
    browser, page = browse(floor.seller), reverse("admin:sales_opportunity_changelist")
    for words in ("变频器", deal.number, "甲公司"):
        assert "变频器采购" in browser.get(page, {"q": words}).content.decode(), words
    assert "变频器采购" not in browser.get(page, {"q": "减速机"}).content.decode()


def test_the_list_marks_what_should_have_been_closed_by_now(deal, floor, browse):
    deal.expected_close_date = timezone.localdate() - timedelta(days=1)
    deal.save()
    page = browse(floor.seller).get(reverse("admin:sales_opportunity_changelist")).content.decode()
    assert f'title="已过预计成交日期">{deal.expected_close_date}<' in page


def test_the_list_narrows_by_customer_and_to_what_is_stuck(deal, floor, customer, stages, browse):
    other = make(Opportunity, name="另一家的商机", owner=floor.seller, stage=stages["需求分析"])
    browser, page = browse(floor.seller), reverse("admin:sales_opportunity_changelist")
    shown = browser.get(page, {"customer": customer.pk}).content.decode()
    assert "变频器采购" in shown and "另一家的商机" not in shown
    since(other, days=60)
    shown = browser.get(page, {"stuck": "1"}).content.decode()
    assert "另一家的商机" in shown and "变频器采购" not in shown


def test_documents_begin_from_the_deal(deal, floor, browse):
    """进行中的可以新建报价单，赢单的可以新建合同，客户和商机都带过去。"""
    given = f"add/?opportunity={deal.pk}&amp;customer={deal.customer_id}"
    assert f"/sales/quotation/{given}" in browse(floor.seller).get(change_page(deal)).content.decode()
    opportunities.win(deal, by=floor.seller)
    assert f"/sales/contract/{given}" in browse(floor.seller).get(change_page(deal)).content.decode()


def test_a_deal_entered_by_hand_starts_in_the_first_stage(customer, floor, stages, browse):
    page = f"{reverse('admin:sales_opportunity_add')}?customer={customer.pk}"
    form = form_of(browse(floor.seller), page)
    assert (form["stage"], form["customer"]) == (str(stages["初步接触"].pk), str(customer.pk))
    browse(floor.seller).post(page, form | {"name": "新商机", "estimated_amount": "800", "win_probability": ""})
    made = Opportunity.objects.get()
    assert (made.owner, made.win_probability, made.number[:2]) == (floor.seller, 10, "SJ")


# --- Follow-ups -------------------------------------------------------------------------------------------------------


def add(by, **values):
    return records.save(FollowUp(**{"content": "谈妥参数", **values}), by=by)


def test_work_on_a_deal_is_work_on_its_customer_but_what_is_next_stays_with_the_deal(deal, customer, floor):
    """商机的跟进算作客户的最近跟进；下一步留在商机上，不冲掉客户自己的下一步。"""
    own = add(floor.seller, customer=customer, time=ago(days=3), next_time=ago(days=-2))
    made = add(floor.seller, opportunity=deal, next_time=ago(days=-5), next_content="报价")
    customer.refresh_from_db()
    assert (stored(deal).last_followed_at, stored(deal).next_follow_at) == (made.time, made.next_time)
    assert (customer.last_followed_at, customer.next_follow_at) == (made.time, own.next_time)
    records.remove(made, by=floor.manager)
    customer.refresh_from_db()
    assert (stored(deal).last_followed_at, customer.last_followed_at) == (None, own.time)


def test_the_next_step_of_an_open_deal_is_on_the_agenda(deal, floor):
    add(floor.seller, opportunity=deal, time=ago(days=2), next_time=ago(hours=1), next_content="确认样品")

    def due():
        found = agenda.occasions(floor.seller, None, agenda.tomorrow())
        return [(one.kind, one.title, one.note) for one in found]

    assert due() == [("跟进商机", "变频器采购", "确认样品")]
    opportunities.lose(deal, by=floor.seller, reason="预算取消")
    assert due() == []


def test_the_customer_shows_the_follow_ups_of_its_deals(deal, customer, floor, browse):
    """客户的读者看得到商机的跟进，但看不到的商机不露名称。"""
    add(floor.seller, opportunity=deal, content="谈妥参数")
    events = activity.of_customer(customer, floor.seller)["recent"]
    assert [(event.kind, event.text, event.facts) for event in events] == [("商机跟进", "谈妥参数", ("变频器采购",))]
    ownership.set_owner(customer, floor.stranger, by=None, reason="移交")
    for page in (
        change_page(customer),
        reverse("admin:sales_followup_changelist"),
        change_page(FollowUp.objects.get()),
    ):
        shown = browse(floor.stranger).get(page).content.decode()
        assert "谈妥参数" in shown and "变频器采购" not in shown, page


def test_the_small_form_adds_to_a_deal(deal, floor, browse):
    address = f"{reverse('admin:sales_followup_quick')}?opportunity={deal.pk}"
    assert browse(floor.stranger).get(address).status_code == 404
    browse(floor.seller).post(address, {"opportunity": deal.pk, "time": "2026-01-05T09:30", "content": "谈妥样品"})
    assert FollowUp.objects.get().opportunity == deal


# --- Converting a lead ------------------------------------------------------------------------------------------------


@pytest.fixture
def lead(floor):
    return make(Lead, owner=floor.seller, pool=floor.public, name="王总", company="乙公司", phone="13800138000")


def test_a_conversion_may_begin_a_deal(lead, floor, stages):
    """转化线索时一并建商机：负责人沿用线索的，记着来源线索和联系人。"""
    values = {"name": "首单", "stage": stages["需求分析"], "estimated_amount": Decimal(8000)}
    customer = leads.convert(lead, by=floor.manager, values={"name": "乙公司"}, opportunity=values)
    made = Opportunity.objects.get()
    assert (made.customer, made.owner, made.lead, made.win_probability) == (customer, floor.seller, lead, 30)
    assert made.contact.name == "王总"


def test_if_the_deal_cannot_be_made_nothing_is(lead, floor, stages):
    bad = {"name": "", "stage": stages["需求分析"], "estimated_amount": Decimal(-1)}
    with pytest.raises(ValidationError):
        leads.convert(lead, by=floor.seller, values={"name": "乙公司"}, opportunity=bad)
    assert not Opportunity.objects.exists() and not Customer.objects.exists()
    lead.refresh_from_db()
    assert lead.status == LeadStatus.NEW


def test_the_conversion_page_asks_for_the_deal(lead, floor, browse):
    address, browser = reverse("admin:sales_lead_convert", args=[lead.pk]), browse(floor.seller)
    filled = {"customer": "", "name": "乙公司", "kind": "company", "contact_name": "王总", "opportunity_name": "首单"}
    assert "请填写预估金额" in browser.post(address, filled).content.decode()
    browser.post(address, filled | {"opportunity_amount": "8000", "opportunity_close": "2030-01-31"})
    made = Opportunity.objects.get()
    assert (made.name, made.stage.name, f"{made.expected_close_date}") == ("首单", "初步接触", "2030-01-31")
    assert "首单" in browser.get(change_page(lead)).content.decode()


def test_items_are_part_of_the_deal(deal, floor):
    item = make(OpportunityItem, opportunity=deal)
    assert item.business_no == deal.number
