from django.contrib import admin, messages
from django.db.models import Q
from django.http import Http404, HttpResponseRedirect
from django.urls import path

from crm.admin.base import ModelAdmin, action, display
from crm.admin.filters import ChoiceFilter, RangeNumericFilter, SharedFilter
from crm.admin.trees import TreeAdmin
from crm.policies import policy_for
from sales.models import Product, ProductCategory
from sales.resources.catalog import ProductCategoryResource, ProductResource
from sales.services import catalog

SHOWN = {"price": "list_price", "cost_price": "list_cost"}  # columns by the fields that say who sees them
SALE_COLORS = {"上架": "success", "下架": "warning"}


def unit_price(amount) -> str:
    """``1,234.50``, with the third and fourth decimal only where they say something."""
    whole, _, decimals = f"{amount:,.4f}".partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"


@admin.register(ProductCategory)
class ProductCategoryAdmin(TreeAdmin):
    nav_icon, nav_order = "account_tree", 82
    resource_class = ProductCategoryResource
    list_display = ["tree_name", "sort", "remark"]
    search_fields = ["name"]
    empty_hint = "可以分多级，例如“自动化 / 变频器”；每个产品属于一个分类。"
    fieldsets = [(None, {"fields": [("name", "parent"), "sort", "remark"]})]


class CategoryFilter(SharedFilter):
    """A category and everything below it."""

    def load_options(self, field, request):
        rows = policy_for(ProductCategory).choices_for(request.user).with_tree_fields()
        return [(row.pk, "　" * row.tree_depth + row.name) for row in rows]

    def condition(self):
        below = ProductCategory.objects.descendants(int(self.value), include_self=True)
        return Q(category__in=list(below.values_list("pk", flat=True)))


@admin.register(Product)
class ProductAdmin(ModelAdmin):
    nav_icon, nav_order, in_palette = "shopping_bag", 80, True
    resource_class = ProductResource
    head_template = "sales/product_head.html"
    head_labels = ("sale_name",)
    empty_hint = "可以新建，也可以用右上角的“导入”把价目表导进来；产品要先有分类。"
    list_display = [
        "code",
        "name",
        "specification",
        "category",
        "unit",
        "currency",
        "price",
        "cost_price",
        "sale_name",
        "updated_at",
    ]
    list_display_links = ["code", "name"]
    list_select_related = ["category"]
    list_filter = [
        ("category", CategoryFilter),
        ("is_active", ChoiceFilter),
        ("currency", ChoiceFilter),
        ("price", RangeNumericFilter),
        ("cost_price", RangeNumericFilter),
    ]
    search_fields = ["name", "code", "specification"]
    search_help_text = "产品名称、编号、规格型号"
    actions = ["put_on_sale", "take_off_sale"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("name", "code"),
                    ("category", "specification"),
                    ("unit", "currency"),
                    ("price", "cost_price"),
                    "is_active",
                    "description",
                    "remark",
                    "is_closed",
                ]
            },
        )
    ]

    def palette_title(self, obj):
        return f"{obj}（{obj.code}）"

    @display(description="状态", ordering="is_active", label=SALE_COLORS)
    def sale_name(self, obj):
        return "上架" if obj.is_active else "下架"

    def get_list_display(self, request):
        return [SHOWN.get(name, name) for name in super().get_list_display(request)]

    @display(description="标准售价", ordering="price")
    def list_price(self, obj):
        return unit_price(obj.price)

    @display(description="成本价", ordering="cost_price")
    def list_cost(self, obj):
        return None if obj.cost_price is None else unit_price(obj.cost_price)

    def get_actions(self, request):
        found = super().get_actions(request)
        if not self.policy.allows(request.user, "change"):
            found.pop("put_on_sale", None)
            found.pop("take_off_sale", None)
        return found

    @action(description="上架")
    def put_on_sale(self, request, queryset):
        count = catalog.put_on_sale(queryset, by=request.user)
        self.message_user(request, f"上架了 {count} 个产品。", messages.SUCCESS)

    @action(description="下架")
    def take_off_sale(self, request, queryset):
        count = catalog.take_off_sale(queryset, by=request.user)
        self.message_user(request, f"下架了 {count} 个产品，不能再选进新的单据。", messages.SUCCESS)

    def get_urls(self):
        view = self.admin_site.admin_view(self.sale_view)
        return [path("<path:object_id>/sale/", view, name="sales_product_sale"), *super().get_urls()]

    def sale_view(self, request, object_id):
        obj = self.visible_object(request, object_id)
        if request.method != "POST":
            raise Http404
        switch, done = (
            (catalog.take_off_sale, "已下架，不能再选进新的单据") if obj.is_active else (catalog.put_on_sale, "已上架")
        )
        switch(obj, by=request.user)
        self.message_user(request, f"“{obj}”{done}。", messages.SUCCESS)
        return HttpResponseRedirect(self._url("change", obj.pk))
