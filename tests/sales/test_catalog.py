"""The catalogue: on and off sale, by Excel, and a cost that only some may see."""

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.urls import reverse

from crm import records
from crm.excel.export import Exporter
from crm.models import BusinessLog
from customers.models import Customer
from sales.models import Opportunity, OpportunityItem, Product, ProductCategory
from sales.resources.catalog import ProductResource
from sales.services import catalog
from tests.browsing import form_of
from tests.crm.excel import pipeline
from tests.factories import make

pytestmark = pytest.mark.django_db

COST = "61234.5678"  # a number found nowhere else


@pytest.fixture
def seller(person):
    return person("销售")


@pytest.fixture
def keeper(person):
    """Keeps the catalogue, without the right to see costs."""
    return person("市场")


@pytest.fixture
def finance(person):
    return person("财务")


def stored(product):
    return Product.objects.get(pk=product.pk)


def page(name, *args):
    return reverse(f"admin:sales_product_{name}", args=args)


# --- On sale ----------------------------------------------------------------------------------------------------------


def test_a_product_without_code_is_numbered_and_codes_are_unique():
    first = make(Product, code="")
    assert first.code.startswith("CP")
    with pytest.raises(ValidationError, match="已被使用"):
        Product(code=first.code.lower(), name="x").clean()


def test_off_sale_means_it_cannot_be_picked_anew_but_stays_where_it_is(keeper, person, browse):
    """下架的产品选不进新单据，已有单据照样能保存。"""
    seller = person("销售")
    deal = make(Opportunity, owner=seller, customer=make(Customer, owner=seller))
    product = make(OpportunityItem, opportunity=deal).product
    assert catalog.take_off_sale(product, by=keeper) == 1
    assert catalog.take_off_sale(product, by=keeper) == 0
    picked = browse(seller).get(
        "/autocomplete/", {"app_label": "sales", "model_name": "opportunityitem", "field_name": "product"}
    )
    assert str(product) not in picked.content.decode()
    url = reverse("admin:sales_opportunity_change", args=[deal.pk])
    done = browse(seller).post(url, {**form_of(browse(seller), url), "name": "改名", "_save": "1"})
    assert done.status_code == 302
    assert Opportunity.objects.get().name == "改名"


def test_many_go_on_and_off_sale_at_once_all_or_none(keeper, seller, browse):
    products = [make(Product), make(Product, is_active=False)]
    with pytest.raises(PermissionDenied):
        catalog.put_on_sale(products, by=seller)
    chosen = {"action": "put_on_sale", "_selected_action": [product.pk for product in products]}
    shown = browse(keeper).post(page("changelist"), chosen, follow=True).content.decode()
    assert "上架了 1 个产品" in shown
    assert all(stored(product).is_active for product in products)
    entry = BusinessLog.objects.filter(object_id=products[1].pk, user=keeper).get()
    assert entry.remark == "上架"


def test_the_button_on_the_page_switches_for_those_who_may(keeper, seller, browse):
    product = make(Product)
    assert browse(seller).post(page("sale", product.pk)).status_code == 403
    assert browse(keeper).get(page("sale", product.pk)).status_code == 404
    browse(keeper).post(page("sale", product.pk))
    assert not stored(product).is_active


def test_the_filter_by_category_takes_everything_below_it(keeper, browse):
    top = make(ProductCategory, name="自动化", parent=None)
    below = make(ProductCategory, name="变频器", parent=top)
    make(Product, name="在下级分类", category=below)
    make(Product, name="在别的分类")
    shown = browse(keeper).get(page("changelist"), {"category": top.pk}).content.decode()
    assert "在下级分类" in shown and "在别的分类" not in shown


def test_a_category_has_one_of_a_name_below_each(db):
    top = make(ProductCategory, name="自动化", parent=None)
    with pytest.raises(ValidationError, match="已有分类"):
        ProductCategory(name="自动化 ", parent=None).clean()
    ProductCategory(name="自动化", parent=top).clean()


# --- The cost ---------------------------------------------------------------------------------------------------------


def cost_is_in(response):
    words = response.content.decode()
    return COST in words or "61,234" in words or "成本价" in words


def addresses(product):
    return [
        page("changelist"),
        page("change", product.pk),
        page("history", product.pk),
        f"/search/?s={product.code}&extended=1",
    ]


def test_who_may_not_see_costs_sees_them_nowhere(seller, keeper, finance, browse):
    """成本价：列表、表单、历史、日志、搜索里都没有；有权限的人在列表和页面上看得到。"""
    product = make(Product, name="保密产品", cost_price="60000")
    product.cost_price = COST
    records.save(product, by=finance)
    for person in (seller, keeper):
        for address in addresses(product):
            assert not cost_is_in(browse(person).get(address)), address
        assert "保密产品" not in browse(person).get(page("changelist"), {"q": COST}).content.decode()
    assert cost_is_in(browse(finance).get(page("changelist")))
    assert cost_is_in(browse(finance).get(page("change", product.pk)))


def test_the_log_tells_costs_to_nobody_else(person, browse):
    product = make(Product, name="保密产品", cost_price=COST)
    log = reverse("admin:crm_businesslog_changelist")
    for role, told in (("市场", False), ("管理员", True)):
        browser = browse(person(role))
        for entry in BusinessLog.objects.filter(object_id=product.pk, content_type__model="product"):
            shown = browser.get(reverse("admin:crm_businesslog_change", args=[entry.pk]))
            assert cost_is_in(shown) is told or shown.status_code != 200, role
        assert COST not in browser.get(log).content.decode() or told


def test_the_order_and_the_filters_tell_nothing_of_costs(keeper, browse):
    """按看不到的成本价筛选、排序都问不出高低。"""
    make(Product, name="便宜货", cost_price="1")
    make(Product, name="贵重货", cost_price="9")
    browser = browse(keeper)
    for query in ({"cost_price__gte": "5"}, {"cost_price": "9"}, {"cost_price_from": "5"}):
        answer = browser.get(page("changelist"), query)
        shown = answer.content.decode()
        assert answer.status_code == 400 or ("便宜货" in shown and "贵重货" in shown), query
    for column in range(1, 12):
        for sign in ("", "-"):
            listed = browser.get(page("changelist"), {"o": f"{sign}{column}"}).context_data["cl"]
            assert "cost_price" not in str(listed.queryset.query.order_by)


def test_a_form_sent_without_the_cost_keeps_it_and_one_with_it_does_not_set_it(keeper, browse):
    product = make(Product, cost_price=COST)
    url = page("change", product.pk)
    form = form_of(browse(keeper), url)
    assert "cost_price" not in form
    browse(keeper).post(url, {**form, "name": "改名", "cost_price": "1", "_save": "1"})
    assert (stored(product).name, f"{stored(product).cost_price}") == ("改名", COST)


# --- Excel ------------------------------------------------------------------------------------------------------------

TITLES = ["产品编号", "产品名称", "产品分类", "标准售价", "单位"]


def check(user, rows, titles=TITLES, model=Product):
    return pipeline.checked(user, titles, rows, resource=model._meta.label)


def test_products_come_in_by_code_and_category_path(keeper):
    """编号认出旧产品，留空的是新产品并自动编号；分类写“上级 / 下级”，有没有空格都认。"""
    top = make(ProductCategory, name="自动化", parent=None)
    drives = make(ProductCategory, name="变频器", parent=top)
    make(ProductCategory, name="变频器", parent=make(ProductCategory, name="进口", parent=None))
    known = make(Product, code="A-1", price="1", cost_price=COST)
    batch = check(
        keeper,
        [
            ["ａ-1", "老产品", "自动化 / 变频器", "12.5", "台"],
            [None, "新产品", "自动化/变频器", "8", "台"],
            ["A-9", "不知道是哪个", "变频器", "8", "台"],
        ],
    )
    assert "无法确定是哪一条" in "".join(pipeline.problems(batch)[4])
    pipeline.applied(batch)
    changed, fresh = stored(known), Product.objects.get(name="新产品")
    assert (changed.name, changed.category, f"{changed.price}") == ("老产品", drives, "12.5000")
    assert (f"{changed.cost_price}", fresh.category, fresh.code[:2]) == (COST, drives, "CP")


def test_who_may_not_see_costs_takes_none_out_and_brings_none_in(keeper, person):
    """没有权限的人：导出的文件里没有成本价一列，带来的成本价也对不上任何列。"""
    make(Product, cost_price=COST)
    resource, boss = ProductResource(), person("管理员")
    for who, may in ((keeper, False), (boss, True)):
        exporter = Exporter(resource, who)
        cells = [str(cell) for row in exporter.rows(resource.policy.visible_to(who, "export")) for cell in row]
        assert (COST in cells) is may
        assert ("成本价" in [column.name for column in exporter.columns]) is may
        assert ("cost_price" in resource.visible(who, importing=True)) is may
        assert ("cost_price" in resource.targets(who)) is may


def test_categories_come_in_below_those_that_are_there(keeper):
    make(ProductCategory, name="自动化", parent=None)
    batch = check(
        keeper, [["变频器", "自动化"], ["伺服", "没有的分类"]], titles=["分类名称", "上级分类"], model=ProductCategory
    )
    assert "请先导入它" in "".join(pipeline.problems(batch)[3])
    pipeline.applied(batch)
    assert ProductCategory.objects.get(name="变频器").parent.name == "自动化"
    again = check(keeper, [["变频器", "自动化"]], titles=["分类名称", "上级分类"], model=ProductCategory)
    assert pipeline.kinds(again) == ["无变化"]
