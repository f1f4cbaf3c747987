"""What happened to a record: who, when, from where, which field from what to what, and what an editor is told."""

from html import unescape

import pytest
from django.utils import timezone

from crm import actor, audit_display, ownership
from crm.models import BusinessLog, DictionaryItem
from crm.policies import policy_for
from customers.models import Contact, Customer, CustomerLink, RealCustomer, Stage, Tag
from tests.contract.probes import form_values
from tests.factories import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def wang(person):
    return person("销售", full_name="王芳")


@pytest.fixture
def li(person, wang):
    return person("销售主管", full_name="李娜", department=wang.department)


@pytest.fixture
def customer(wang):
    with actor.acting(wang, ip="10.0.0.1"):
        return make(Customer, owner=wang, name="甲公司", code="C1")


def url(customer, *rest):
    return "/".join(["/customers/customer", str(customer.pk), *map(str, rest), ""])


def text(response):
    return unescape(response.content.decode())


def edit(browser, customer, opened=None, **values):
    opened = opened or browser.get(url(customer, "change"))
    return browser.post(url(customer, "change"), {**form_values(opened, Customer), **values}, follow=True)


@pytest.fixture
def edited(customer, wang, li, browse):
    """Three edits by two people, from two addresses."""
    hers, his = browse(wang), browse(li)
    hers.defaults["REMOTE_ADDR"], his.defaults["REMOTE_ADDR"] = "10.0.0.1", "10.0.0.2"
    level = make(DictionaryItem, type="level", label="金牌")
    edit(hers, customer, address="深圳市福田区")
    edit(his, customer, address="广州市天河区", level=level.pk)
    edit(hers, customer, tags=[make(Tag, name="重点").pk])
    return customer


def test_three_edits_by_two_people_are_versions_with_who_when_where_and_what(edited, wang, li):
    entries = BusinessLog.objects.filter(object_id=edited.pk, content_type__model="customer").order_by("version")
    words = audit_display.describe(entries, wang)
    assert [(entry.version, entry.user_name, entry.ip) for entry in words] == [
        (1, "王芳", "10.0.0.1"),
        (2, "王芳", "10.0.0.1"),
        (3, "李娜", "10.0.0.2"),
        (4, "王芳", "10.0.0.1"),
    ]
    said = [[(change.label, change.old, change.new) for change in entry.changes] for entry in words[1:]]
    assert said[0] == [("地址", "", "深圳市福田区")]
    assert said[1] == [("地址", "深圳市福田区", "广州市天河区"), ("客户等级", said[1][1][1], "金牌")]
    assert said[2] == [("标签", "", "重点")]
    assert all(entry.time.date() == timezone.localdate() for entry in words)
    versions = edited.history.order_by("lock_version")
    assert [(v.lock_version, v.history_user.full_name, v.ip) for v in versions] == [
        (entry.version, entry.user_name, entry.ip) for entry in words
    ]


def test_the_history_page_shows_them(edited, wang, browse):
    page = text(browse(wang).get(url(edited, "history")))
    for words in ("王芳", "李娜", "10.0.0.1", "10.0.0.2", "深圳市福田区", "广州市天河区", "金牌", "重点"):
        assert words in page


def test_a_version_is_shown_in_full_beside_the_present(edited, wang, browse):
    response = browse(wang).get(url(edited, "history", 2))
    rows = {row["label"]: row for row in response.context["rows"]}
    assert (rows["地址"]["then"], rows["地址"]["now"]) == ("深圳市福田区", "广州市天河区")
    assert (rows["标签"]["then"], rows["标签"]["now"], rows["标签"]["differs"]) == ("", "重点", True)
    assert not rows["客户名称"]["differs"]
    assert (rows["客户阶段"]["then"], rows["结算币种"]["then"]) == ("线索", "人民币 CNY")


def test_a_version_that_never_was_is_404(edited, wang, browse):
    assert browse(wang).get(url(edited, "history", 99)).status_code == 404


def test_sending_an_untouched_form_makes_no_version(customer, wang, browse):
    edit(browse(wang), customer)
    assert customer.history.count() == 1
    assert BusinessLog.objects.filter(object_id=customer.pk, content_type__model="customer").count() == 1


# --- Two editors ------------------------------------------------------------------------------------------------------


def test_the_second_editor_is_refused_and_shown_what_the_first_one_did(customer, wang, li, browse):
    hers, his = browse(wang), browse(li)
    opened = his.get(url(customer, "change"))
    edit(hers, customer, address="深圳市福田区")
    response = edit(his, customer, opened, address="广州市天河区", postcode="510000")
    said = text(response)
    assert "您的修改没有保存" in said
    assert "王芳更新：地址：空 → 深圳市福田区" in said
    stored = Customer.objects.get(pk=customer.pk)
    assert (stored.address, stored.postcode, stored.lock_version) == ("深圳市福田区", "", 2)


def test_what_he_had_typed_is_still_on_the_page(customer, wang, li, browse):
    his = browse(li)
    opened = his.get(url(customer, "change"))
    edit(browse(wang), customer, address="深圳市福田区")
    assert "广州市天河区" in text(edit(his, customer, opened, address="广州市天河区"))


def test_after_a_fresh_look_he_may_save(customer, wang, li, browse):
    edit(browse(wang), customer, address="深圳市福田区")
    edit(browse(li), customer, postcode="518000")
    assert Customer.objects.get(pk=customer.pk).postcode == "518000"


@pytest.mark.parametrize("version", [None, "", "abc", "0", "-1", "99"])
def test_the_version_cannot_be_left_out_or_made_up(version, customer, wang, browse):
    browser = browse(wang)
    filled = form_values(browser.get(url(customer, "change")), Customer) | {"address": "深圳市福田区"}
    filled.pop("lock_version")
    if version is not None:
        filled["lock_version"] = version
    assert browser.post(url(customer, "change"), filled).status_code == 200
    assert Customer.objects.get(pk=customer.pk).address == ""


def test_a_part_changed_meanwhile_on_the_customers_page_is_refused_too(customer, wang, li, browse):
    contact = make(Contact, customer=customer, name="陈先生", mobile="13800138000")
    his = browse(li)
    opened = his.get(url(customer, "change"))
    contact.position = "采购经理"
    with actor.acting(wang):
        contact.save()
    response = edit(his, customer, opened, **{"contacts-0-position": "总经理"})
    assert "您的修改没有保存" in text(response)
    assert Contact.objects.get().position == "采购经理"


def test_a_part_that_nobody_touched_does_not_stand_in_the_way(customer, wang, li, browse):
    """The contact on the page is older than the stored one; only what is changed here is compared."""
    make(Contact, customer=customer, name="陈先生", mobile="13800138000")
    browser = browse(wang)
    edit(browser, customer, address="深圳市福田区")
    assert Customer.objects.get(pk=customer.pk).address == "深圳市福田区"
    assert Contact.objects.get().lock_version == 1


# --- Words within the rights of the reader ----------------------------------------------------------------------------


def test_a_link_to_somebody_elses_customer_is_logged_without_its_name(customer, wang, person):
    secret = make(Customer, owner=person("销售"), name="机密客户")
    link = make(CustomerLink, customer=customer, linked=secret)
    entry = BusinessLog.objects.get(object_id=link.pk, content_type__model="customerlink")
    [words] = audit_display.describe([entry], wang)
    assert {change.label: change.new for change in words.changes}["关联客户"] == "（无权查看）"
    assert "机密客户" not in f"{words}{entry.object_repr}"
    boss = person("审计")
    [words] = audit_display.describe([entry], boss)
    assert {change.label: change.new for change in words.changes}["关联客户"] == "机密客户"


def test_values_are_words_not_codes(customer):
    real = make(RealCustomer, code="R1", name="真甲")
    customer.real_customer, customer.is_sinosure, customer.business_types = real, True, ["trader", "importer"]
    customer.credit_rating = 3
    customer.save()
    [words] = audit_display.describe([BusinessLog.objects.latest("id")], None)
    assert {c.label: (c.old, c.new) for c in words.changes} == {
        "真实客户": (words.changes[-1].old, "真甲（R1）"),
        "中信保客户": ("否", "是"),
        "经营类型": ("", "进口商、贸易商"),
        "信用度": ("", "★★★"),
    }


def test_history_follows_the_present_owner_not_the_author(customer, wang, li, person, browse):
    """Whoever lost a customer loses its history, what he wrote himself included."""
    heir = person("销售", department=wang.department)
    ownership.set_owner(customer, heir, by=li)
    for page in ("history", "history/1"):
        assert browse(wang).get(f"{url(customer)}{page}/").status_code == 404
        assert browse(heir).get(f"{url(customer)}{page}/").status_code == 200


def test_versions_are_not_restored_by_any_post(edited, wang, browse):
    """Reading a version is harmless; putting it back goes through the form like any other edit."""
    browser = browse(wang)
    before = Customer.objects.values().get(pk=edited.pk)
    newest = edited.history.first().history_id
    for page in ("history", "history/1", f"history/{newest}"):
        browser.post(f"{url(edited)}{page}/", {"name": "旧名", "_save": "1", "_change_history": "1"})
    assert Customer.objects.values().get(pk=edited.pk) == before


# --- Fields that not everybody sees -----------------------------------------------------------------------------------


@pytest.fixture
def hidden_credit(monkeypatch):
    """Two columns of customers become secret: only who may review customers sees them."""
    secret = {"credit_rating": "customers.review_customer", "licence_no": "customers.review_customer"}
    monkeypatch.setattr(policy_for(Customer), "hidden", secret)


class TestHiddenFields:
    @pytest.fixture
    def customer(self, wang, hidden_credit):
        customer = make(Customer, owner=wang, name="甲公司", licence_no="91440300SECRET")
        customer.licence_no, customer.address = "91440300HIDDEN", "深圳市福田区"
        customer.save()
        return customer

    @pytest.mark.parametrize("page", ["change", "history", "history/1", "history/2"])
    def test_they_are_on_no_page(self, page, customer, wang, browse):
        shown = text(browse(wang).get(f"{url(customer)}{page}/"))
        assert "SECRET" not in shown
        assert "HIDDEN" not in shown
        assert "营业执照" not in shown

    def test_who_has_the_right_sees_them(self, customer, person, browse):
        reviewer = browse(person("审批人"))
        assert "91440300HIDDEN" in text(reviewer.get(url(customer, "change")))
        assert "91440300SECRET" in text(reviewer.get(url(customer, "history")))

    def test_a_form_cannot_set_them(self, customer, wang, browse):
        edit(browse(wang), customer, licence_no="91440300FORGED", postcode="518000")
        stored = Customer.objects.get(pk=customer.pk)
        assert (stored.licence_no, stored.postcode) == ("91440300HIDDEN", "518000")

    def test_a_list_does_not_filter_or_sort_by_them(self, customer, wang, browse, monkeypatch):
        from django.contrib import admin

        columns = ["code", "name", "licence_no"]
        monkeypatch.setattr(admin.site._registry[Customer], "list_display", columns)
        response = browse(wang).get("/customers/customer/")
        assert "HIDDEN" not in text(response)
        assert "licence_no" not in response.context["cl"].list_display
        assert browse(wang).get("/customers/customer/", {"licence_no__startswith": "9"}).status_code == 400

    def test_the_log_screen_keeps_them_back(self, customer, li, browse):
        shown = text(browse(li).get("/crm/businesslog/"))
        assert "深圳市福田区" in shown
        assert "HIDDEN" not in shown


def test_stages_and_other_states_are_read_in_words(customer):
    assert audit_display.Words(None).text(Customer, "stage", Stage.KEY) == "重要"
