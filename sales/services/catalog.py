"""The catalogue: products on sale and off it."""

from django.core.exceptions import PermissionDenied
from django.db import transaction

from crm import actor
from crm.policies import policy_for
from sales.models import Product


def put_on_sale(products, *, by) -> int:
    """上架 ``products`` (one or many, all or none); gives how many were off sale. Raises PermissionDenied."""
    return _switch(products, True, by)


def take_off_sale(products, *, by) -> int:
    """下架: they stay on the documents that have them, and cannot be picked anew. Raises PermissionDenied."""
    return _switch(products, False, by)


def _switch(products, on_sale, by) -> int:
    wanted = [products.pk] if isinstance(products, Product) else [product.pk for product in products]
    with transaction.atomic(), actor.acting(by):
        stored = list(Product.objects.valid().select_for_update().filter(pk__in=wanted).order_by("pk"))
        allowed = policy_for(Product).visible_to(by, "change").filter(pk__in=wanted).count()
        if not stored or allowed < len(wanted):
            raise PermissionDenied("没有修改产品的权限。")
        moved = [product for product in stored if product.is_active != on_sale]
        for product in moved:
            product.is_active = on_sale
            product.save(update_fields=["is_active"], remark="上架" if on_sale else "下架")
    return len(moved)
