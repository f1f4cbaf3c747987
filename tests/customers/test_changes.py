"""客户变更: an approved customer changes by request, and nothing shows before it is approved."""

from datetime import timedelta

import pytest
from django.utils import timezone

from crm import approvals, records, transitions
from crm.models import ApprovalRequest, BusinessLog, Department
from customers.approvals import CHANGE
from customers.models import (
    BankAccount,
    ChangeStatus,
    Contact,
    CreditLimit,
    Customer,
    ReviewStatus,
    TemporaryCredit,
)
from customers.services import credit, reviews
from tests.browsing import form_of, posted
from tests.factories import make

State = ApprovalRequest.State


@pytest.fixture
def team(person, db):
    class Team:
        unit = make(Department, name="华东", manager=None)
        manager = person("销售主管", department=unit, full_name="主管")
        seller = person("销售", department=unit, full_name="销售")
        reviewer = person("审批人", full_name="审批")
        administrator = person("管理员")

    Team.unit.manager = Team.manager
    Team.unit.save()
    Team.customer = approved(Team)
    return Team


def approved(team, **values):
    customer = make(Customer, owner=team.seller, created_by=team.seller, **({"name": "前海云创"} | values))
    return transitions.run(customer, "approve", by=team.reviewer)


def fresh(customer):
    return Customer._base_manager.get(pk=customer.pk)


def page_of(customer):
    return f"/customers/customer/{customer.pk}/change/"


def propose(browser, customer, reason="营业执照已更新", **changed):
    """Save the form with ``changed``, then confirm the page of differences; gives that page and the answer."""
    page = posted(browser, page_of(customer), **changed)
    sealed = page.context["proposal"]
    answer = browser.post(page.context["propose_url"], {"proposal": sealed, "reason": reason}, follow=True)
    return page, answer


def last_request():
    return ApprovalRequest.objects.order_by("-pk").first()


def agree(request, *people):
    for person in people:
        request = approvals.approve(request, by=person, digest=request.digest)
    return request


def test_a_change_shows_its_differences_and_becomes_a_request(team, browse):
    """The form of an approved customer leads to the differences; submitting them changes nothing yet."""
    browser = browse(team.seller)
    page, answer = propose(browser, team.customer, name="前海云创科技")
    lines = [line for section in page.context["sections"] for line in section.lines]
    assert [(line.label, line.old, line.new) for line in lines] == [("客户名称", "前海云创", "前海云创科技")]
    assert [name for name, _ in page.context["chain"]] == ["部门主管", "审批人审核"]
    assert fresh(team.customer).name == "前海云创"
    assert last_request().reason == "营业执照已更新"
    assert "等待主管审批" in answer.content.decode()
    assert fresh(team.customer).change_status == ChangeStatus.PENDING


def test_the_live_row_never_shows_what_is_not_approved(team, browse):
    """Read after every step; with the last approval the change, its version and its log entry are there together."""
    propose(browse(team.seller), team.customer, name="前海云创科技")
    request = last_request()
    for person in (team.manager, team.reviewer):
        assert (fresh(team.customer).name, fresh(team.customer).version_no) == ("前海云创", 1)
        request = agree(request, person)
    customer = fresh(team.customer)
    assert (customer.name, customer.version_no) == ("前海云创科技", 2)
    assert customer.change_status == ChangeStatus.APPROVED
    assert customer.history.filter(name="前海云创科技").count() == 1
    logged = BusinessLog.objects.filter(object_id=customer.pk).exclude(changes={}).latest("id")
    assert logged.changes == {"name": ["前海云创", "前海云创科技"], "version_no": [1, 2]}


def test_contacts_travel_along_or_are_saved_alone(team, browse):
    """A new contact alone is daily work; beside a change of the customer it waits with it."""
    browser = browse(team.seller)
    alone = {"contacts-0-name": "王五", "contacts-TOTAL_FORMS": 1}
    assert posted(browser, page_of(team.customer), **alone).status_code == 302
    assert Contact.objects.get(customer=team.customer).name == "王五"
    page, _ = propose(browser, team.customer, **{"contacts-1-name": "赵六", "contacts-TOTAL_FORMS": 2, "name": "新名"})
    assert [section.title for section in page.context["sections"]] == ["客户", "联系人：新增"]
    assert Contact.objects.filter(customer=team.customer).count() == 1
    agree(last_request(), team.manager, team.reviewer)
    assert Contact.objects.filter(customer=team.customer).count() == 2


def test_nothing_of_the_page_is_lost_on_the_way_to_a_request(team, browse):
    """Every kind of row that the page lets one edit travels along: here a link and a shipping mark beside the name."""
    other = make(Customer, owner=team.seller, name="母公司")
    rows = {"links-TOTAL_FORMS": 1, "links-0-linked": other.pk, "shipping_marks-TOTAL_FORMS": 1}
    propose(browse(team.seller), team.customer, name="新名", **rows, **{"shipping_marks-0-content": "KEYUAN"})
    agree(last_request(), team.manager, team.reviewer)
    assert [link.linked for link in team.customer.links.all()] == [other]
    assert [mark.content for mark in team.customer.shipping_marks.all()] == ["KEYUAN"]


def test_every_editable_inline_of_the_customer_travels_with_a_request(team):
    """An inline that a request would drop must be read-only for those who change by request."""
    from django.contrib import admin
    from django.test import RequestFactory

    request = RequestFactory().get("/")
    request.user = team.seller
    model_admin = admin.site._registry[Customer]
    for inline in model_admin.get_inline_instances(request, team.customer):
        changes = inline.has_change_permission(request, team.customer)
        assert inline.model in CHANGE.parts or not (
            changes and inline.get_formset(request, team.customer).form.base_fields
        )


def test_bank_accounts_change_by_request_from_every_page(team, browse):
    """Where the money goes cannot be changed around the request: not on the customer's page nor on its own."""
    account = make(BankAccount, customer=team.customer, account="1001")
    browser = browse(team.seller)
    own = f"/customers/bankaccount/{account.pk}/change/"
    browser.post(own, {"account": "9999", "bank": account.bank, "lock_version": 1, "customer": team.customer.pk})
    assert BankAccount.objects.get(pk=account.pk).account == "1001"
    propose(browser, team.customer, **{"bankaccounts-0-account": "2002"})
    assert BankAccount.objects.get(pk=account.pk).account == "1001"
    agree(last_request(), team.manager, team.reviewer)
    assert BankAccount.objects.get(pk=account.pk).account == "2002"


def test_a_part_is_removed_by_request(team, browse):
    make(BankAccount, customer=team.customer)
    gone = make(BankAccount, customer=team.customer)
    browser = browse(team.seller)
    form = form_of(browser, page_of(team.customer))
    ids = [name for name, value in form.items() if name.startswith("bankaccounts-") and name.endswith("-id")]
    prefix = next(name for name in ids if form[name] == str(gone.pk)).removesuffix("-id")
    propose(browser, team.customer, **{f"{prefix}-DELETE": "on"})
    assert BankAccount.objects.get(pk=gone.pk).is_valid
    agree(last_request(), team.manager, team.reviewer)
    assert not BankAccount.objects.get(pk=gone.pk).is_valid


def test_whoever_may_revise_saves_directly(team, browse):
    posted(browse(team.administrator), page_of(team.customer), name="直接改")
    assert fresh(team.customer).name == "直接改" and not ApprovalRequest.objects.exists()


def test_a_customer_not_yet_approved_is_saved_directly(team, browse):
    customer = make(Customer, owner=team.seller)
    posted(browse(team.seller), page_of(customer), name="随便改")
    assert fresh(customer).name == "随便改"


def test_a_second_change_of_the_same_field_is_shown_as_a_conflict(team, browse):
    """The page names the open request and cannot be submitted; another field is free."""
    browser = browse(team.seller)
    propose(browser, team.customer, name="甲")
    page = posted(browser, page_of(team.customer), name="乙")
    assert page.context["blocked"] and page.context["overlapping"] == [last_request()]
    assert "与审批中的申请冲突" in page.content.decode()
    browser.post(page.context["propose_url"], {"proposal": page.context["proposal"], "reason": "硬来"})
    assert ApprovalRequest.objects.count() == 1
    _, answer = propose(browser, team.customer, fax="0755-1234567")
    assert ApprovalRequest.objects.count() == 2 and answer.status_code == 200


def test_what_changed_meanwhile_is_shown_to_the_approver(team, browse):
    """Somebody with the right changes the same field directly: the approval is refused and says what it is now."""
    propose(browse(team.seller), team.customer, name="甲")
    posted(browse(team.administrator), page_of(team.customer), name="丙")
    request = agree(last_request(), team.manager)
    page = browse(team.reviewer).get(f"/crm/approvalrequest/{request.pk}/change/").content.decode()
    assert "客户名称已变为“丙”" in page
    with pytest.raises(approvals.ApprovalConflict):
        agree(request, team.reviewer)
    assert fresh(team.customer).name == "丙"


def test_a_change_elsewhere_does_not_stand_in_the_way(team, browse):
    propose(browse(team.seller), team.customer, name="甲")
    posted(browse(team.administrator), page_of(team.customer), fax="0755-7654321")
    agree(last_request(), team.manager, team.reviewer)
    assert (fresh(team.customer).name, fresh(team.customer).fax) == ("甲", "0755-7654321")


def test_a_proposal_that_would_fail_is_refused_at_once(team, browse):
    """A code that is taken is found out on the page of differences, not after two approvals."""
    make(Customer, code="TAKEN1")
    answer = posted(browse(team.seller), page_of(team.customer), code="taken1")
    assert answer.status_code == 200 and "已被使用" in answer.content.decode()


def test_a_sealed_proposal_serves_one_person_and_one_customer(team, browse, person):
    """The page of differences cannot be sent for another customer, by another person, or with another content."""
    other = approved(team, name="别家")
    browser = browse(team.seller)
    page = posted(browser, page_of(team.customer), name="甲")
    sealed = page.context["proposal"]
    for who, target, text in (
        (team.seller, other, sealed),
        (team.manager, team.customer, sealed),
        (team.seller, team.customer, sealed[:-3] + "abc"),
    ):
        browse(who).post(f"/customers/customer/{target.pk}/propose/", {"proposal": text, "reason": "x"})
    assert not ApprovalRequest.objects.exists()


def test_a_rejected_change_leaves_its_mark_and_a_withdrawn_one_none(team, browse):
    browser = browse(team.seller)
    propose(browser, team.customer, name="甲")
    request = last_request()
    approvals.reject(request, by=team.manager, digest=request.digest, comment="不对")
    assert fresh(team.customer).change_status == ChangeStatus.REJECTED
    propose(browser, team.customer, name="乙")
    approvals.withdraw(last_request(), by=team.seller)
    assert fresh(team.customer).change_status == ChangeStatus.NONE


def test_an_old_version_is_compared_and_restored_by_request(team, browse):
    """Version 2 beside version 1, then version 1 asked back; states and owner are not part of it."""
    propose(browse(team.seller), team.customer, name="前海云创科技", fax="0755-1111111")
    agree(last_request(), team.manager, team.reviewer)
    old, new = sorted(team.customer.history.values_list("lock_version", flat=True))[-2:]
    browser = browse(team.seller)
    page = browser.get(f"/customers/customer/{team.customer.pk}/history/{new}/?with={old}")
    differing = {row["label"]: (row["then"], row["now"]) for row in page.context["rows"] if row["differs"]}
    assert differing["客户名称"] == ("前海云创科技", "前海云创")
    offered = browser.post(f"/customers/customer/{team.customer.pk}/history/{old}/restore/")
    labels = {line.label for section in offered.context["sections"] for line in section.lines}
    assert labels == {"客户名称", "传真"}
    browser.post(offered.context["propose_url"], {"proposal": offered.context["proposal"], "reason": "改回"})
    agree(last_request(), team.manager, team.reviewer)
    customer = fresh(team.customer)
    assert (customer.name, customer.fax, customer.version_no) == ("前海云创", "", 3)


def test_a_workbook_does_not_get_around_the_request(team):
    """A row that changes an approved customer is a conflict that says what to do; one that changes nothing is none."""
    from crm.excel.resource import resource_for
    from crm.excel.widgets import Context

    resource, stored = resource_for("customers.Customer"), {"review_status": "approved", "name": "前海云创"}
    refusal = resource.refuse_changes({"fax": ["", "1"]}, stored, Context(team.seller, {}))
    assert "修改传真需要审批" in refusal
    assert resource.refuse_changes({"fax": ["", "1"]}, stored, Context(team.administrator, {})) is None
    assert (
        resource.refuse_changes({"fax": ["", "1"]}, stored | {"review_status": "pending"}, Context(team.seller, {}))
        is None
    )


# --- Temporary credit ------------------------------------------------------------------------------------------------


@pytest.fixture
def rich(team, person):
    """The approved customer with a limit of 100,000 CNY and credit control on."""
    team.finance = person("财务", full_name="财务")
    team.customer.is_credit_enabled = True
    records.save(team.customer, by=None)
    make(CreditLimit, customer=team.customer, currency="CNY", amount=100_000)
    return team


def test_temporary_credit_is_asked_for_and_ends_by_itself(rich, browse):
    until = timezone.localdate() + timedelta(days=10)
    data = {"currency": "CNY", "amount": "50000", "until": until.isoformat(), "reason": "旺季备货"}
    browse(rich.seller).post(f"/customers/customer/{rich.customer.pk}/ask/customer.temporary_credit/", data)
    assert credit.headroom(rich.customer, "CNY") == 100_000
    request = agree(last_request(), rich.manager, rich.finance)
    assert credit.headroom(rich.customer, "CNY") == 150_000
    extra = TemporaryCredit.objects.get()
    assert (extra.approved_by, extra.approval, extra.reason) == (rich.finance, str(request), "旺季备货")
    assert credit.Position(rich.customer, on=until + timedelta(days=1)).lines[0].headroom == 100_000


# --- Review ----------------------------------------------------------------------------------------------------------


def test_a_new_customer_goes_to_review_and_may_be_corrected(team, browse):
    """Entered by a salesperson: submitted at once; rejected with a reason; corrected, submitted again, approved."""
    browser = browse(team.seller)
    posted(browser, "/customers/customer/add/", name="新客户")
    customer = Customer.objects.get(name="新客户")
    request = last_request()
    assert request.kind == reviews.REVIEW and customer.review_status == ReviewStatus.PENDING
    approvals.reject(request, by=team.reviewer, digest=request.digest, comment="缺执照")
    assert fresh(customer).review_status == ReviewStatus.REJECTED
    posted(browser, page_of(customer), licence_no="91440300MA5EXAMPL0")
    browser.post(f"/customers/customer/{customer.pk}/ask/customer.review/", {"reason": "已补执照"})
    assert fresh(customer).review_status == ReviewStatus.PENDING
    agree(last_request(), team.reviewer)
    assert fresh(customer).review_status == ReviewStatus.APPROVED


def test_what_was_edited_during_review_is_looked_at_again(team):
    customer = make(Customer, owner=team.seller, created_by=team.seller)
    request = reviews.submit_review(customer, by=team.seller)
    customer.licence_no = "91440300MA5EXAMPL0"
    records.save(customer, by=team.seller)
    with pytest.raises(approvals.ApprovalConflict, match="营业执照注册号已修改"):
        agree(request, team.reviewer)


def test_the_button_settles_the_request_that_waits(team):
    customer = make(Customer, owner=team.seller, created_by=team.seller)
    request = reviews.submit_review(customer, by=team.seller)
    transitions.run(customer, "approve", by=team.reviewer)
    request.refresh_from_db()
    assert request.state == State.WITHDRAWN


def test_nobody_reviews_what_he_entered_or_owns(team):
    customer = make(Customer, owner=team.seller, created_by=team.administrator)
    assert "approve" not in {button.name for button in transitions.available(customer, team.administrator)}
    with pytest.raises(transitions.TransitionRefused, match="自己录入"):
        transitions.run(customer, "approve", by=team.administrator)


@pytest.mark.parametrize("status", [ReviewStatus.PENDING, ReviewStatus.REJECTED, ReviewStatus.SUSPENDED])
def test_an_unapproved_customer_may_not_be_sold_to(team, status):
    from django.core.exceptions import ValidationError

    customer = Customer(name="甲", review_status=status)
    with pytest.raises(ValidationError, match="不能新建合同"):
        reviews.require_usable(customer, "新建合同")
    reviews.require_usable(team.customer, "新建合同")


def test_many_customers_are_approved_in_the_background(team, browse):
    """The action of the list starts a job; what the reviewer entered himself is counted as refused."""
    from crm.jobs import execute
    from crm.models import Job

    rows = [make(Customer, owner=team.seller, created_by=team.seller) for _ in range(3)]
    rows.append(make(Customer, owner=team.seller, created_by=team.reviewer))
    data = {"action": "approve_selected", "_selected_action": [row.pk for row in rows]}
    browse(team.reviewer).post("/customers/customer/", data)
    job = Job.objects.get(kind="customers.approve")
    execute(job.pk)
    job.refresh_from_db()
    assert job.result == {"approved": 3, "refused": 1}


def test_an_approved_customer_is_deleted_by_request_alone(team, browse):
    """Two levels; the delete page leads there; whoever may delete cannot go around it."""
    answer = browse(team.manager).post(f"/customers/customer/{team.customer.pk}/delete/", {"post": "yes"})
    assert answer["Location"].endswith("/ask/customer.deletion/")
    assert fresh(team.customer).is_valid
    browse(team.seller).post(answer["Location"], {"reason": "重复"})
    agree(last_request(), team.manager, team.reviewer)
    assert not fresh(team.customer).is_valid
