"""查重: everybody's customers are found before a new one is entered, and nothing is told that one could crawl by."""

import pytest
from django.core.exceptions import PermissionDenied
from django.urls import reverse

from crm.models import BusinessLog, Department, Operation
from customers.models import Contact, Customer, PoolRule
from customers.services import duplicates
from sales.models import Lead, LeadPool
from tests.cast import PEOPLE
from tests.factories import make

pytestmark = pytest.mark.django_db
PAGE = "admin:customers_customer_check"


@pytest.fixture
def seller(person):
    PoolRule.objects.all().delete()
    return person("销售", full_name="张伟")


@pytest.fixture
def other(person):
    return person("销售", full_name="王芳", department=make(Department, name="华北大区", parent=None, manager=None))


def names(found):
    return {match.name for match in found.matches}


def test_a_customer_is_found_whatever_place_and_legal_form_its_name_is_written_with(seller, other):
    make(Customer, name="深圳市前海云创科技有限公司", owner=other)
    make(Customer, name="南山云商贸易行", owner=other)
    for typed in ("前海云创科技股份有限公司", "前海云创", "广东省深圳市前海云创科技（集团）公司", "前海 云创"):
        assert names(duplicates.check(by=seller, name=typed)) == {"深圳市前海云创科技有限公司"}, typed
    assert not duplicates.check(by=seller, name="前海云海科技").matches


def test_numbers_are_found_on_the_customer_and_on_its_contacts_and_only_whole(seller, other):
    customer = make(Customer, name="甲公司", phone="0755-86012345", licence_no="91440300MA5ABCDEF0", owner=other)
    make(Contact, customer=customer, mobile="13800138000")
    for values in ({"phone": "+86 755 86012345"}, {"phone": "138-0013-8000"}, {"licence_no": "91440300ma5abcdef0"}):
        assert names(duplicates.check(by=seller, **values)) == {"甲公司"}, values
    assert not duplicates.check(by=seller, phone="1380013").matches
    for words in ("13800138000", "1380013", "0755"):
        assert not duplicates.check(by=seller, name=words).matches, "号码不能从名称一栏查到"
    with pytest.raises(duplicates.CheckRefused, match="完整"):
        duplicates.check(by=seller, phone="138*")


def test_removed_customers_and_contacts_are_no_duplicates(seller, other):
    gone = make(Customer, name="甲公司", owner=other, is_valid=False)
    kept = make(Customer, name="乙公司", owner=other)
    make(Contact, customer=kept, mobile="13800138000", is_valid=False)
    assert not duplicates.check(by=seller, name="甲公司", phone="13800138000").matches
    assert gone.name not in names(duplicates.check(by=seller, phone=gone.phone))


def test_of_a_foreign_customer_only_name_and_department_are_told(seller, other, browse):
    customer = make(Customer, name="甲云公司", phone="13911112222", address="秘密路 8 号", owner=other)
    make(Contact, customer=customer, name="刘秘书")
    page = browse(seller).post(reverse(PAGE), {"name": "甲云"}).content.decode()
    assert "甲云公司" in page and "华北大区" in page
    for secret in ("王芳", "13911112222", "2222", customer.code, "秘密路", "刘秘书", f"/customer/{customer.pk}/"):
        assert secret not in page, secret
    own = browse(other).post(reverse(PAGE), {"name": "甲云"}).content.decode()
    assert "王芳" in own and f"/customer/{customer.pk}/change/" in own


def test_no_canary_of_anybody_is_told_but_names(world, browse):
    """Every customer's name is asked for by everybody: foreign pages hold that name and no other word of the row."""
    for name in (person for person in PEOPLE if PEOPLE[person][0] or person == "superuser"):
        browser, told = browse(world.people[name]), 0
        for row in world.rows_of(Customer):
            response = browser.post(reverse(PAGE), {"name": row.obj.name, "phone": row.obj.phone})
            if response.status_code == 403:
                continue
            leaked = world.leaks(name, response.content.decode()) - {row.obj.name, row.obj.phone}
            assert not leaked, (name, row, [world.source_of(word) for word in leaked])
            told += 1
        assert told or not duplicates.allowed(world.people[name])


def test_who_may_not_add_customers_does_not_check(person, browse):
    auditor = person("审计")
    with pytest.raises(PermissionDenied):
        duplicates.check(by=auditor, name="甲公司")
    assert browse(auditor).get(reverse(PAGE)).status_code == 403
    assert browse(auditor).post(reverse(PAGE), {"name": "甲公司"}).status_code == 403


def test_a_word_of_many_names_lists_none_of_them(seller, other):
    for number in range(duplicates.MOST + 1):
        make(Customer, name=f"{chr(0x4E00 + number)}丙科技", owner=other)
    make(Customer, name="科技", owner=other)
    found = duplicates.check(by=seller, name="科技")
    assert found.is_vague and names(found) == {"科技"}
    with pytest.raises(duplicates.CheckRefused):
        duplicates.check(by=seller, name="丙")
    with pytest.raises(duplicates.CheckRefused):
        duplicates.check(by=seller)


def test_every_question_is_logged_and_too_many_are_refused(seller, other, monkeypatch):
    monkeypatch.setattr(duplicates, "PER_HOUR", 2)
    make(Customer, name="甲云公司", owner=other)
    for _ in range(2):
        duplicates.check(by=seller, name="甲云公司", phone="13800138000")
    entry = BusinessLog.objects.filter(operation=Operation.CHECK).latest("pk")
    assert (entry.user, entry.remark) == (seller, "名称“甲云公司”，电话 13800138000：找到 1 个客户")
    with pytest.raises(duplicates.CheckRefused, match="太频繁"):
        duplicates.check(by=seller, name="甲云公司")
    assert duplicates.check(by=other, name="甲云公司").matches, "别人不受影响"


def test_a_customer_in_the_sea_is_claimed_from_the_result(seller, browse):
    customer = make(Customer, name="甲云公司", owner=None)
    browser = browse(seller)
    page = browser.post(reverse(PAGE), {"name": "甲云公司"}).content.decode()
    address = reverse("admin:customers_seacustomer_claim", args=[customer.pk])
    assert address in page and "公海" in page
    assert browser.post(address).url == reverse("admin:customers_customer_change", args=[customer.pk])
    customer.refresh_from_db()
    assert customer.owner == seller


def test_a_sea_kept_for_others_is_named_but_not_offered(seller, browse):
    make(PoolRule, level=None, category=None, departments=[make(Department, parent=None, manager=None)])
    customer = make(Customer, name="甲云公司", owner=None)
    match = duplicates.check(by=seller, name="甲云公司").matches[0]
    assert (match.in_sea, match.may_claim) == (True, False)
    assert browse(seller).post(reverse("admin:customers_seacustomer_claim", args=[customer.pk])).status_code == 404


def test_what_was_typed_goes_into_the_form_of_the_new_customer(seller, browse):
    browser = browse(seller)
    page = browser.post(reverse(PAGE), {"name": "全新公司", "phone": "13800138000", "licence_no": "91440300MA5ABCDEF0"})
    form = browser.get(page.context["add_url"]).context["adminform"].form
    assert [form[name].value() for name in ("name", "phone", "licence_no")] == [
        "全新公司",
        "13800138000",
        "91440300MA5ABCDEF0",
    ]


def test_several_that_are_found_lead_to_their_merging(person, browse):
    administrator = person("管理员")
    first, second = make(Customer, name="甲云公司"), make(Customer, name="甲云")
    page = browse(administrator).post(reverse(PAGE), {"name": "甲云"})
    merging = page.context["merge_url"]
    assert browse(administrator).get(f"{merging}?id={first.pk}&id={second.pk}").status_code == 200
    assert not browse(first.owner).post(reverse(PAGE), {"name": "甲云"}, follow=True).context.get("merge_url")


def test_the_list_leads_to_the_check_first(seller, browse):
    page = browse(seller).get(reverse("admin:customers_customer_changelist")).content.decode()
    assert reverse(PAGE) in page and f'href="{reverse("admin:customers_customer_add")}' not in page


def test_a_lead_with_the_number_is_mentioned_with_whom_to_ask(seller, other):
    lead = make(Lead, name="赵线索", phone="13800138000", owner=other)
    pooled = make(Lead, name="钱线索", phone="13800138001", owner=None, pool=make(LeadPool, name="网站池"))
    [foreign] = duplicates.check(by=seller, phone=lead.phone).mentions
    assert "华北大区" in foreign.words and "赵线索" not in foreign.words and not foreign.link
    [own] = duplicates.check(by=other, phone=lead.phone).mentions
    assert "赵线索" in own.words and own.link
    [waiting] = duplicates.check(by=seller, phone=pooled.phone).mentions
    assert "网站池" in waiting.words and "钱线索" not in waiting.words
