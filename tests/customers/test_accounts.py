"""Customers, the legal persons behind them, categories, tags and links."""

from html import unescape

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from crm import audit_display, records, transitions
from crm.models import BusinessLog, NumberSeries
from customers.models import (
    Contact,
    Customer,
    CustomerCategory,
    CustomerLink,
    DealStatus,
    Kind,
    RealCustomer,
    ReviewStatus,
    Stage,
    Tag,
)
from tests.contract.probes import form_values
from tests.factories import make

pytestmark = pytest.mark.django_db
LIST = "/customers/customer/"


@pytest.fixture
def seller(person):
    return person("销售", full_name="王芳")


@pytest.fixture
def boss(person, seller):
    return person("销售主管", full_name="李娜", department=seller.department)


@pytest.fixture
def reviewer(person):
    return person("审批人")


def url(obj, *rest):
    return "/".join(["/customers", obj._meta.model_name, str(obj.pk), *map(str, rest or ["change"]), ""])


def said(response):
    return unescape(response.content.decode())


def add(browser, **values):
    """The form of a new customer, filled in with ``values`` and sent."""
    return browser.post(f"{LIST}add/", form_values(browser.get(f"{LIST}add/"), Customer) | values, follow=True)


def edit(browser, customer, opened=None, **values):
    opened = opened or browser.get(url(customer))
    return browser.post(url(customer), {**form_values(opened, Customer), **values}, follow=True)


# --- Codes ------------------------------------------------------------------------------------------------------------


def test_a_customer_without_a_code_gets_the_next_number(seller):
    """Numbers come from the series; one that was given up is not used again."""
    NumberSeries.objects.filter(code="customer").update(pattern="KH{seq:4}")
    first = records.save(Customer(name="甲公司"), by=seller)
    second = records.save(Customer(name="乙公司"), by=seller)
    assert (first.code, second.code) == ("KH0001", "KH0002")
    records.remove(second, by=None)
    assert records.save(Customer(name="丙公司"), by=seller).code == "KH0003"


def test_a_code_that_was_typed_stays_as_typed(seller):
    assert records.save(Customer(name="甲公司", code="0001"), by=seller).code == "0001"


@pytest.mark.parametrize("again", ["ab01", "AB01", "ａｂ０１", " Ab 01 "])
def test_codes_that_read_the_same_are_one_code(again):
    """Width, case and blanks make no other code, on SQLite and on every collation of MySQL."""
    make(Customer, code="Ab01")
    with pytest.raises(IntegrityError), transaction.atomic():
        make(Customer, code=again)


def test_codes_that_only_look_alike_are_two():
    for code in ("e1", "é1", "①", "𠮷1", "𡈽1"):
        make(Customer, code=code)
    assert Customer.objects.count() == 5


def test_a_taken_code_is_named_beside_its_field(seller, browse):
    make(Customer, code="KH0001", name="别人的公司")
    response = add(browse(seller), name="甲公司", code="ｋｈ0001")
    assert response.context["adminform"].form.errors == {"code": ["客户代码“ｋｈ0001”已被使用，请换一个。"]}
    assert "别人的公司" not in said(response)


def test_the_code_of_a_removed_customer_is_not_given_again(boss):
    """The history of the removed one would be read as that of the new one."""
    records.remove(make(Customer, code="A1", owner=boss), by=boss)
    with pytest.raises(ValidationError, match="已被使用"):
        Customer(name="甲公司", code="a1").clean()


def test_a_real_customer_stands_behind_several_codes_and_has_one_of_its_own():
    legal = make(RealCustomer, code="RC1")
    for code in ("SZ01", "HK01"):
        make(Customer, code=code, real_customer=legal)
    assert set(legal.customers.values_list("code", flat=True)) == {"SZ01", "HK01"}
    with pytest.raises(ValidationError, match="真实客户编码“rc1”已被使用"):
        RealCustomer(code="rc1", name="另一家").clean()
    with pytest.raises(records.InUse, match="2 条客户"):
        records.remove(legal, by=None)


# --- A new customer ---------------------------------------------------------------------------------------------------


def test_a_new_customer_is_an_unreviewed_enabled_lead_of_whoever_entered_it(seller, browse):
    add(browse(seller), name="甲公司")
    customer = Customer.objects.get()
    assert (customer.review_status, customer.deal_status) == (ReviewStatus.PENDING, DealStatus.POTENTIAL)
    assert (customer.stage, customer.is_enabled, customer.kind) == (Stage.LEAD, True, Kind.COMPANY)
    assert (customer.owner, customer.created_by, customer.lock_version) == (seller, seller, 1)


def test_states_are_not_taken_from_the_form(seller, browse):
    customer = make(Customer, owner=seller)
    edit(browse(seller), customer, address="深圳", review_status="approved", deal_status="won", stage="key")
    stored = Customer.objects.get()
    assert (stored.address, stored.review_status, stored.deal_status, stored.stage) == (
        "深圳",
        ReviewStatus.PENDING,
        DealStatus.POTENTIAL,
        Stage.LEAD,
    )


def test_business_types_are_several_and_found_one_by_one(seller, browse):
    make(Customer, name="电商公司", owner=seller, business_types=["ecommerce", "retailer"])
    make(Customer, name="批发公司", owner=seller, business_types=["wholesaler"])
    page = said(browse(seller).get(f"{LIST}?business_types=retailer"))
    assert "电商公司" in page and "批发公司" not in page


def test_a_business_type_is_found_by_an_index_whatever_stands_beside_it(seller, browse):
    """No pattern over the column, which would read every customer for a type that none of them has."""
    make(Customer, name="电商公司", owner=seller, business_types=["ecommerce", "retailer"])
    former = make(Customer, name="旧公司", owner=seller)
    Customer.objects.filter(pk=former.pk).update(business_types=",retailer,spaceship,")
    client = browse(seller)
    names = {}
    for value in ("ecommerce", "retailer", "trader", "-", "spaceship", ""):
        with CaptureQueriesContext(connection) as captured:
            page = client.get(f"{LIST}?business_types={value}")
        names[value] = {customer.name for customer in page.context["cl"].result_list}
        assert not [query["sql"] for query in captured if f"%,{value}," in query["sql"]]
    both = {"电商公司", "旧公司"}
    nobody = {"trader": set(), "-": set(), "spaceship": set()}
    assert names == {"ecommerce": {"电商公司"}, "retailer": both, "": both} | nobody


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": ""}, "name"),
        ({"phone": "请打电话"}, "phone"),
        ({"email": "wangfang"}, "email"),
        ({"tax_rate": "101"}, "tax_rate"),
        ({"registered_capital": "-1"}, "registered_capital"),
        ({"registered_capital": "1" * 20}, "registered_capital"),
        ({"address": "长" * 501}, "address"),
    ],
)
def test_what_cannot_be_is_refused_beside_its_field(seller, browse, values, message):
    response = add(browse(seller), **{"name": "甲公司", **values})
    assert list(response.context["adminform"].form.errors) == [message]
    assert not Customer.objects.exists()


# --- Review -----------------------------------------------------------------------------------------------------------


def test_a_review_goes_from_pending_over_rejected_to_approved_suspended_and_back(reviewer):
    customer = make(Customer)
    steps = [
        ("reject", "资料不全", ReviewStatus.REJECTED, True),
        ("approve", "", ReviewStatus.APPROVED, True),
        ("suspend", "长期欠款", ReviewStatus.SUSPENDED, False),
        ("reinstate", "", ReviewStatus.APPROVED, True),
    ]
    for name, reason, status, enabled in steps:
        stored = transitions.run(customer, name, by=reviewer, reason=reason)
        assert (stored.review_status, stored.is_enabled) == (status, enabled)
    log = BusinessLog.objects.filter(object_id=customer.pk, operation=5).order_by("id")
    assert [entry.remark for entry in log] == ["资料不全", "审核通过", "长期欠款", "恢复使用"]


@pytest.mark.parametrize("name", ["reject", "suspend"])
def test_a_refusal_says_why(reviewer, name):
    customer = make(Customer)
    if name == "suspend":
        transitions.run(customer, "approve", by=reviewer)
    with pytest.raises(transitions.TransitionRefused, match="需要填写原因"):
        transitions.run(customer, name, by=reviewer, reason=" ")


@pytest.mark.parametrize(("name", "start"), [("suspend", "pending"), ("reinstate", "pending"), ("reject", "approved")])
def test_steps_that_do_not_follow_are_refused(reviewer, name, start):
    customer = make(Customer)
    if start == "approved":
        transitions.run(customer, "approve", by=reviewer)
    with pytest.raises(transitions.TransitionRefused, match="当前状态不能"):
        transitions.run(customer, name, by=reviewer, reason="不该如此")
    assert Customer.objects.get().review_status == start


def test_nobody_reviews_without_the_right(seller, boss, browse):
    """Neither the owner nor his manager: no button, and the address does not work either."""
    customer = make(Customer, owner=seller)
    for who in (seller, boss):
        assert transitions.available(customer, who) == []
        with pytest.raises(PermissionDenied):
            transitions.run(customer, "approve", by=who)
        assert "审核通过" not in said(browse(who).get(url(customer)))
        assert browse(who).post(url(customer, "transition", "approve")).status_code == 403
    assert Customer.objects.get().review_status == ReviewStatus.PENDING


def test_the_reviewer_finds_the_buttons_of_the_state(reviewer, browse):
    customer = make(Customer)
    browser = browse(reviewer)
    assert [button.name for button in transitions.available(customer, reviewer)] == ["approve", "reject"]
    assert "已更新" in said(browser.post(url(customer, "transition", "approve"), follow=True))
    customer.refresh_from_db()
    assert [button.name for button in transitions.available(customer, reviewer)] == ["suspend"]


# --- Categories, tags, links ------------------------------------------------------------------------------------------


def test_a_customer_is_found_by_each_of_its_categories_and_tags(seller, browse):
    channel, region = make(CustomerCategory, name="线上渠道"), make(CustomerCategory, name="华南")
    tag = make(Tag, name="重点")
    make(Customer, name="甲公司", owner=seller, categories=[channel, region], tags=[tag])
    make(Customer, name="乙公司", owner=seller, categories=[region])
    for query, found in {
        f"categories={channel.pk}": {"甲公司"},
        f"categories={region.pk}": {"甲公司", "乙公司"},
        f"tags={tag.pk}": {"甲公司"},
    }.items():
        page = said(browse(seller).get(f"{LIST}?{query}"))
        assert {name for name in ("甲公司", "乙公司") if name in page} == found


def test_two_categories_of_one_parent_have_two_names():
    parent = make(CustomerCategory, name="按渠道", parent=None)
    make(CustomerCategory, name="线上", parent=parent)
    make(CustomerCategory, name="线上", parent=make(CustomerCategory, name="按地区", parent=None))
    with pytest.raises(IntegrityError), transaction.atomic():
        make(CustomerCategory, name="线上", parent=parent)


def test_a_category_is_never_below_itself():
    top = make(CustomerCategory, name="按渠道", parent=None)
    below = make(CustomerCategory, name="线上", parent=make(CustomerCategory, name="国内", parent=top))
    top.parent = below
    with pytest.raises(ValidationError, match="不能把自己或自己的下级设为上级"):
        top.clean()


def test_what_customers_carry_is_not_removed():
    tag, category = make(Tag), make(CustomerCategory)
    make(Customer, tags=[tag], categories=[category])
    for used in (tag, category):
        with pytest.raises(records.InUse, match="1 条客户"):
            records.remove(used, by=None)


def test_a_link_does_not_name_a_customer_its_reader_may_not_see(seller, browse):
    """Neither on the customer's page, nor in the list of links, its search, the history or the choices."""
    mine = make(Customer, owner=seller, name="甲公司")
    link = make(CustomerLink, customer=mine, linked=make(Customer, name="神秘母公司", code="SECRET9"))
    browser = browse(seller)
    for page in (
        url(mine),
        url(mine, "history"),
        url(link),
        url(link, "history"),
        "/customers/customerlink/",
        "/customers/customerlink/?q=神秘",
    ):
        response = browser.get(page)
        assert response.status_code == 200
        assert "神秘母公司" not in said(response) and "SECRET9" not in said(response), page
    assert "（无权查看）" in said(browser.get(url(mine)))
    edit(browser, mine, address="深圳")
    assert CustomerLink.objects.get().linked.code == "SECRET9"


def test_a_customer_is_linked_to_another_once_and_never_to_itself():
    one, other = make(Customer), make(Customer)
    make(CustomerLink, customer=one, linked=other)
    for linked in (one, other):
        with pytest.raises(IntegrityError), transaction.atomic():
            make(CustomerLink, customer=one, linked=linked)


# --- The life of one customer on its page -----------------------------------------------------------------------------


def test_three_saves_by_two_people_are_three_versions_and_the_stale_second_editor_is_refused(seller, boss, browse):
    """Who, when, from where and what, on the page of versions; who read an older state overwrites nothing."""
    hers, his = browse(seller), browse(boss)
    hers.defaults["REMOTE_ADDR"], his.defaults["REMOTE_ADDR"] = "10.0.0.1", "10.0.0.2"
    add(hers, name="甲公司", code="C1")
    customer = Customer.objects.get()
    opened = hers.get(url(customer))
    edit(his, customer, address="深圳市福田区", tax_rate="13")
    refused = edit(hers, customer, opened, address="广州市天河区", postcode="510000")
    assert "您的修改没有保存" in said(refused)
    assert "李娜更新：地址：空 → 深圳市福田区；税率（%）：空 → 13" in said(refused)
    assert "510000" in said(refused), "what she had typed is lost"
    edit(hers, customer, address="广州市天河区")

    entries = BusinessLog.objects.filter(object_id=customer.pk, content_type__model="customer").order_by("version")
    words = audit_display.describe(entries, seller)
    assert [(entry.version, entry.operation, entry.user_name, entry.ip) for entry in words] == [
        (1, "创建", "王芳", "10.0.0.1"),
        (2, "更新", "李娜", "10.0.0.2"),
        (3, "更新", "王芳", "10.0.0.1"),
    ]
    assert [(change.label, change.old, change.new) for change in words[2].changes] == [
        ("地址", "深圳市福田区", "广州市天河区")
    ]
    versions = customer.history.order_by("lock_version")
    assert [(v.address, v.history_user, v.ip) for v in versions] == [
        ("", seller, "10.0.0.1"),
        ("深圳市福田区", boss, "10.0.0.2"),
        ("广州市天河区", seller, "10.0.0.1"),
    ]
    page = said(hers.get(url(customer, "history")))
    for shown in ("第 1 版", "第 2 版", "第 3 版", "王芳", "李娜", "IP 10.0.0.1", "IP 10.0.0.2", "深圳市福田区"):
        assert shown in page


def test_a_contact_changed_meanwhile_on_the_same_page_is_refused_and_shown(seller, boss, browse):
    """The whole page is refused, so that not half of what was typed is saved."""
    customer = make(Customer, owner=seller)
    make(Contact, customer=customer, name="陈先生", mobile="13800138000")
    hers, his = browse(seller), browse(boss)
    opened = hers.get(url(customer))
    edit(his, customer, **{"contacts-0-position": "采购经理"})
    refused = edit(hers, customer, opened, address="深圳", **{"contacts-0-position": "总经理"})
    assert "您的修改没有保存" in said(refused)
    assert "李娜更新：职位：空 → 采购经理" in said(refused)
    assert Contact.objects.get().position == "采购经理"
    assert Customer.objects.get().address == ""
