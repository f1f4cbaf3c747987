"""What a search finds, whichever way it goes, and that it never leaves the rows it was given."""

import pytest
from django.db import connection
from django.db.models import Q
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from crm import search
from crm.models import User
from crm.policies import policy_for
from crm.search import find
from crm.search.tokens import required
from customers.models import Contact, Customer, RealCustomer
from tests.factories import make

CASES = {
    "华强北": "深",
    "强北": "深",
    "强": "深",
    "深圳市": "深",
    "限公": "深𠮷",
    "有限公司": "深𠮷",
    "𠮷": "𠮷",
    "𠮷祥": "𠮷",
    "🎉": "𠮷",
    "科技🎉上海": "𠮷",
    "（上海）": "𠮷",
    "abc": "A",
    "ＡＢＣ tr": "A",
    "trading co ltd": "A",
    "g": "A",
    "rad": "A",
    "13800138000": "深",
    "138 0013 8000": "深",
    "+86 138-0013-8000": "深",
    "13700137000": "",
    "００１３８０": "深",
    "0013": "深",
    "8000": "深",
    "0755-8888": "深",
    "8888 1234": "深",
    "88881234": "深",
    "139 1234 5678": "𠮷",
    "2125550": "A",
    "张伟": "深",
    "伟": "深",
    "kh-2026-001": "深",
    "026-0": "深",
    "KH": "深",
    "电子 深圳": "深",
    "深圳 张伟 0013": "深",
    "电子 上海": "",
    "100%纯棉": "%",
    "100": "%",
    "华强* -电子 +(深圳)": "深",
    '"华强北" <电子>': "深",
    "华强北 @9 ~": "",
    "%": "",
    "_": "",
    "*": "",
    '"': "",
    '%_"*+-()<>~@\\': "",
    "' OR 1=1 --": "",
    "  ": "",
    "查无此人": "",
    "已删": "",
    "离职": "",
}
WAYS = {
    "reading a small table": {},
    "index": {"SMALL": 0, "COMMON": 2},
    "all pieces": {"SMALL": 0, "COMMON": 2, "SIMILAR": 1e9, "PIECES": 99},
    "subquery": {"SMALL": 0, "COMMON": 2, "FEW": 0},
    "reading for a common word": {"SMALL": 0, "COMMON": -1},
}


@pytest.fixture
def customers():
    """``{mark: customer}``, with nothing in them that the factory numbered."""
    first = make(
        Customer, name="深圳市华强电子有限公司", short_name="华强北", code="KH-2026-001", phone="0755-8888 1234"
    )
    make(Contact, customer=first, name="张伟", mobile="13800138000")
    make(Contact, customer=first, name="离职", mobile="13700137000", is_valid=False)
    others = {
        "𠮷": {"name": "𠮷祥科技🎉（上海）有限公司", "code": "B2", "phone": "+86 139 1234 5678"},
        "A": {"name": "ＡＢＣ　Trading Co., Ltd.", "code": "B3", "phone": "+1 212 555 0123"},
        "%": {"name": "100%纯棉_服饰", "code": "B4", "phone": ""},
        "x": {"name": "深圳市华强已删有限公司", "code": "KH-2026-009", "phone": "13800138000", "is_valid": False},
    }
    return {"深": first} | {mark: make(Customer, short_name="", **values) for mark, values in others.items()}


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    for name, value in WAYS[request.param].items():
        monkeypatch.setattr(find, name, value)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("settled", [True, False])
def test_a_term_finds_the_same_customers_whichever_way(customers, way, settled):
    """Committed, since the full-text index of MariaDB knows nothing else."""
    while settled and search.settle():
        pass
    every = Customer.objects.filter(pk__in=[customer.pk for customer in customers.values()])
    for term, marks in CASES.items():
        found = search.search(every, term)
        assert set(found) == {customers[mark] for mark in marks}, term


@pytest.mark.django_db(transaction=True)
def test_a_piece_of_a_name_a_code_or_a_number_finds_what_like_finds(way):
    """Every piece of two to seven characters of some of the customers, pieces of which most of the others share."""
    brands, trades = ("恒万", "万服", "恒远", "万恒服"), ("服装", "电子", "科技")
    for number in range(24):
        values = {"name": f"深圳{brands[number % 4]}{trades[number % 3]}有限公司", "short_name": ""}
        make(Customer, code=f"KH{number * 50:08d}", phone=f"1380{number * 7919:07d}", **values)
    every = Customer.objects.order_by("pk")
    texts = [text for customer in every[5:24:9] for text in (customer.name, customer.code, customer.phone)]
    terms = {text[at : at + long] for text in texts for at, long in ((0, 2), (2, 4), (3, 7), (4, 4), (5, 6), (6, 5))}
    for _ in ("read from the text", "settled"):
        for term in terms:
            like = Q(name__contains=term) | Q(code__contains=term) | Q(phone__contains=term)
            assert list(search.search(every, term)) == list(every.filter(like)), term
        while search.settle():
            pass


@pytest.mark.django_db(transaction=True)
def test_a_word_is_looked_for_by_its_rarest_pieces(monkeypatch):
    """The places of a common piece are many, and cost more than reading the texts that the rare ones leave."""
    for name, value in WAYS["index"].items():
        monkeypatch.setattr(find, name, value)
    for number in range(20):
        make(Customer, name=f"{number}号服装", short_name="", code=f"KH{number + 5010:06d}")
    rare = make(Customer, name="恒万服装", short_name="", code="KH005003")
    while search.settle():
        pass
    for term, asked, left in (("恒万服装", "恒万", "服装"), ("h005003", "05003", "h0050")):
        with CaptureQueriesContext(connection) as captured:
            assert list(search.search(Customer.objects.all(), term)) == [rare]
        (statement,) = [query["sql"] for query in captured if "crm_searchtokens" in query["sql"]]
        assert required(asked)[asked][0] in statement and required(left)[left][0] not in statement, term


@pytest.mark.django_db(transaction=True)
def test_only_the_rows_given_are_searched(customers, way):
    search.settle()
    rows = Customer.objects.filter(pk=customers["深"].pk)
    assert list(search.search(rows, "有限公司")) == [customers["深"]]
    assert not search.search(rows, "𠮷祥")
    assert not search.search(rows, "+86 139 1234 5678")


@pytest.mark.django_db
class TestFinding:
    def test_nobody_finds_what_he_may_not_see(self, world):
        for model in (Customer, Contact, RealCustomer):
            for name in world.people:
                user = world.user(name)
                seen = policy_for(model).visible_to(user)
                assert set(search.search(seen, "canary")) <= set(seen), (model, name)
                for row in world.rows_of(model):
                    assert search.search(seen, row.label).exists() == (name in row.view), (row, name)

    def test_a_whole_code_gives_its_customer_alone(self, customers):
        longer = make(Customer, name="乙", code="KH-2026-0011")
        assert list(search.search(Customer.objects.all(), "kh-2026-001")) == [customers["深"]]
        assert set(search.search(Customer.objects.all(), "kh-2026-00")) == {customers["深"], longer}

    def test_a_short_code_hides_nothing_that_contains_it(self, customers):
        other = make(Customer, name="B2 贸易")
        assert set(search.search(Customer.objects.all(), "b2")) == {customers["𠮷"], other}

    def test_a_number_of_somebody_elses_customer_does_not_hide_ones_own(self, customers):
        mine = make(Customer, name="丙", phone="0755-8888 1234 转 8")
        assert list(search.search(Customer.objects.filter(pk=mine.pk), "0755-88881234")) == [mine]

    def test_the_order_of_the_list_stays(self, customers):
        rows = Customer.objects.filter(is_valid=True)
        assert list(search.search(rows.order_by("name"), "有限公司")) == list(
            rows.filter(name__contains="有限公司").order_by("name")
        )

    def test_a_word_too_common_is_not_counted_to_the_end(self, customers, monkeypatch):
        monkeypatch.setattr(find, "SMALL", 0)
        rare = find.Sample.of(find.declaration_of(Customer)).share(["𠮷"])
        monkeypatch.setattr(find, "COMMON", rare)
        assert search.search(Customer.objects.all(), "有限公司").count_limit == find.COMMON_COUNT
        assert not hasattr(search.search(Customer.objects.all(), "𠮷"), "count_limit")

    def test_a_contact_is_found_by_his_company(self, customers):
        assert [contact.name for contact in search.search(Contact.objects.all(), "华强 张")] == ["张伟"]
        assert [contact.name for contact in search.search(Contact.objects.all(), "0013 8000")] == ["张伟"]

    def test_the_best_matches_come_first(self):
        """The code itself, then names that begin so, then the newest of the rest."""
        other = make(Customer, name="大华兴科技", code="B1")
        begins = make(Customer, name="华兴科技", code="B2")
        newest = make(Customer, name="新华兴科技", code="B3")
        exact = make(Customer, name="甲", code="华兴科技集团")
        rows = Customer.objects.all()
        assert search.matches(rows, "华兴科技") == [begins.pk, exact.pk, newest.pk, other.pk]
        assert search.matches(rows, "华兴科技集团") == [exact.pk]
        assert search.matches(rows, "华兴", limit=2) == [begins.pk, exact.pk]
        assert search.matches(rows.filter(pk=other.pk), "华兴") == [other.pk]
        assert search.matches(rows, "%") == []


@pytest.mark.django_db
class TestAdmin:
    @pytest.fixture
    def seller(self, person):
        return person("销售")

    def test_a_list_searches_and_stays_within_reach(self, seller, browse):
        mine = make(Customer, name="深圳市华强电子", owner=seller)
        make(Contact, customer=mine, mobile="13800138000")
        make(Customer, name="华强北科技", owner=make(User))
        page = browse(seller).get(reverse("admin:customers_customer_changelist"), {"q": "华强"})
        assert [customer.name for customer in page.context["cl"].result_list] == ["深圳市华强电子"]
        page = browse(seller).get(reverse("admin:customers_customer_changelist"), {"q": "0138 00"})
        assert [customer.name for customer in page.context["cl"].result_list] == ["深圳市华强电子"]

    def test_a_list_of_a_word_too_common_says_beyond_how_many_it_does_not_count(self, seller, browse, monkeypatch):
        monkeypatch.setattr(find, "SMALL", 0)
        monkeypatch.setattr(find, "COMMON_COUNT", 2)
        for number in range(4):
            make(Customer, name=f"{number}号有限公司", owner=seller)
        page = browse(seller).get(reverse("admin:customers_customer_changelist"), {"q": "有限公司"})
        assert page.content.decode().count("超过 2 条") == 2
        assert page.context["cl"].result_count == 2

    @pytest.mark.parametrize("term", ["华强", "138 0013 8000", "KH2026999", "甲 乙"])
    def test_a_search_costs_three_queries_at_most(self, seller, browse, monkeypatch, term):
        monkeypatch.setattr(find, "SMALL", 0)
        make(Customer, name="深圳市华强电子", phone="13800138000", owner=seller)
        client, url = browse(seller), reverse("admin:customers_customer_changelist")
        client.get(url, {"q": "x"})
        with CaptureQueriesContext(connection) as plain:
            client.get(url)
        with CaptureQueriesContext(connection) as searched:
            client.get(url, {"q": term})
        assert len(searched) <= len(plain) + 3

    def test_the_palette_finds_through_the_same_index(self, seller, browse):
        customer = make(Customer, name="深圳市华强电子", owner=seller)
        make(Contact, customer=customer, name="张伟")
        page = browse(seller).get(reverse("admin:search"), {"s": "强电", "extended": "1"})
        assert "深圳市华强电子" in page.content.decode()
