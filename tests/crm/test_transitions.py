"""States change only by declared transitions: with the right, from the right state, with a reason where one is due."""

import pytest
from django.core.exceptions import PermissionDenied

from crm import transitions
from crm.models import BusinessLog, Operation, StaleRecord
from customers.models import Customer, ReviewStatus
from tests.factories import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def customer(person):
    return make(Customer, owner=person("销售"))


@pytest.fixture
def reviewer(person):
    return person("审批人")


def status(customer):
    return Customer.objects.get(pk=customer.pk).review_status


def test_a_transition_is_one_version_and_one_entry_with_its_reason(customer, reviewer):
    transitions.run(customer, "reject", by=reviewer, reason="资料不全")
    assert status(customer) == ReviewStatus.REJECTED
    entry = BusinessLog.objects.get(operation=Operation.TRANSITION)
    assert entry.changes == {"review_status": ["pending", "rejected"]}
    assert (entry.user, entry.remark, entry.version) == (reviewer, "资料不全", 2)
    assert customer.history.first().review_status == ReviewStatus.REJECTED


def test_without_a_reason_the_log_says_which_button_it_was(customer, reviewer):
    transitions.run(customer, "approve", by=reviewer)
    assert BusinessLog.objects.get(operation=Operation.TRANSITION).remark == "审核通过"


def test_who_lacks_the_right_changes_nothing_and_sees_no_button(customer):
    with pytest.raises(PermissionDenied):
        transitions.run(customer, "approve", by=customer.owner)
    assert status(customer) == ReviewStatus.PENDING
    assert transitions.available(customer, customer.owner) == []


def test_a_transition_from_the_wrong_state_is_refused_in_words(customer, reviewer):
    with pytest.raises(transitions.TransitionRefused, match="当前状态不能“停用”"):
        transitions.run(customer, "suspend", by=reviewer, reason="欠款")
    assert status(customer) == ReviewStatus.PENDING


def test_the_stored_state_counts_not_the_one_on_the_screen(customer, reviewer):
    """Somebody else was faster: the second click does not run the transition again."""
    on_the_screen = Customer.objects.get()
    transitions.run(customer, "approve", by=reviewer)
    with pytest.raises(transitions.TransitionRefused):
        transitions.run(on_the_screen, "approve", by=reviewer)
    assert BusinessLog.objects.filter(operation=Operation.TRANSITION).count() == 1


def test_a_compulsory_reason_is_compulsory(customer, reviewer):
    for nothing in ("", "  \n"):
        with pytest.raises(transitions.TransitionRefused, match="需要填写原因"):
            transitions.run(customer, "reject", by=reviewer, reason=nothing)
    assert status(customer) == ReviewStatus.PENDING


def test_an_unknown_transition_is_refused(customer, reviewer):
    for name in ("delete", "__class__", "save"):
        with pytest.raises(transitions.TransitionRefused, match="没有这个操作"):
            transitions.run(customer, name, by=reviewer)


def test_the_buttons_are_those_that_work_now(customer, reviewer):
    def buttons():
        return [(b.name, b.needs_reason) for b in transitions.available(Customer.objects.get(), reviewer)]

    assert buttons() == [("approve", False), ("reject", True)]
    transitions.run(customer, "approve", by=reviewer)
    assert buttons() == [("suspend", True)]


def test_a_side_effect_travels_in_the_same_version(customer, reviewer):
    transitions.run(customer, "approve", by=reviewer)
    transitions.run(customer, "suspend", by=reviewer, reason="欠款")
    assert BusinessLog.objects.latest("id").changes == {
        "is_enabled": [True, False],
        "review_status": ["approved", "suspended"],
    }
    transitions.run(customer, "reinstate", by=reviewer)
    assert Customer.objects.get().is_enabled


def test_a_form_opened_before_a_transition_is_stale_after_it(customer, reviewer):
    before = Customer.objects.get()
    transitions.run(customer, "approve", by=reviewer)
    before.address = "深圳"
    with pytest.raises(StaleRecord):
        before.save()
    assert status(customer) == ReviewStatus.APPROVED


def test_a_state_cannot_be_assigned(customer):
    with pytest.raises(AttributeError):
        customer.review_status = ReviewStatus.APPROVED


class TestPage:
    """The button on the page: by POST, by those who may, nothing by GET."""

    def url(self, customer, name):
        return f"/customers/customer/{customer.pk}/transition/{name}/"

    def test_post_runs_it(self, customer, reviewer, browse):
        response = browse(reviewer).post(self.url(customer, "reject"), {"reason": "资料不全"}, follow=True)
        assert status(customer) == ReviewStatus.REJECTED
        assert "已更新" in response.content.decode()

    def test_a_refusal_is_told_and_changes_nothing(self, customer, reviewer, browse):
        response = browse(reviewer).post(self.url(customer, "reject"), follow=True)
        assert "“审核不通过”需要填写原因。" in response.content.decode()
        assert status(customer) == ReviewStatus.PENDING

    def test_get_runs_nothing(self, customer, reviewer, browse):
        assert browse(reviewer).get(self.url(customer, "approve")).status_code == 404
        assert status(customer) == ReviewStatus.PENDING

    def test_without_the_right_it_is_forbidden(self, customer, browse):
        assert browse(customer.owner).post(self.url(customer, "approve")).status_code == 403
        assert status(customer) == ReviewStatus.PENDING
