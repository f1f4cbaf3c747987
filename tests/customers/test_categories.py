"""Categories: names for documents, default terms, and roles that reach some categories only."""

from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission

from crm import ownership
from crm.admin.people import grantable_roles
from crm.models import BusinessLog, DataScope, DictionaryItem, Role, User
from crm.policies import policy_for
from customers.models import Contact, Customer, CustomerCategory, RoleCategory
from customers.services import categories
from tests.factories import make


@pytest.fixture
def tree(db):
    """外贸 › 进口商 › 欧洲进口商, and 内销 beside it."""
    nodes = {}
    for name, above in (("外贸", None), ("进口商", "外贸"), ("欧洲进口商", "进口商"), ("内销", None)):
        nodes[name] = make(CustomerCategory, name=name, parent=nodes.get(above))
    return nodes


def test_names_of_many_categories_cost_one_query(tree, django_assert_num_queries):
    ids = [node.pk for node in tree.values()]
    with django_assert_num_queries(1):
        assert categories.category_names([*ids, 10**6]) == {node.pk: node.name for node in tree.values()}


def test_what_a_category_leaves_blank_its_parent_says(tree):
    priority = DictionaryItem.objects.get(type="service_level", code="priority")
    for name, values in {
        "外贸": {"credit_amount": Decimal(50000), "credit_currency": "USD", "payment_days": 60},
        "进口商": {"service_level": priority},
        "欧洲进口商": {"payment_days": 30},
    }.items():
        for field, value in values.items():
            setattr(tree[name], field, value)
        tree[name].save()
    customer = make(Customer, categories=[tree["欧洲进口商"], tree["内销"]])
    found = {one.category.name: one for one in categories.terms(customer)}
    european = found["欧洲进口商"]
    assert (european.credit_amount, european.credit_currency) == (Decimal(50000), "USD")
    assert (european.payment_days, european.service_level) == (30, priority)
    assert (found["内销"].credit_amount, found["内销"].payment_days, found["内销"].service_level) == (None, None, None)


# --- Roles that are limited to categories ----------------------------------------------------------------------------


@pytest.fixture
def shop(tree):
    """Customers of each category, without one, and one that belongs to two."""
    return {
        "外贸": make(Customer, categories=[tree["外贸"]]),
        "欧洲": make(Customer, categories=[tree["欧洲进口商"]]),
        "内销": make(Customer, categories=[tree["内销"]]),
        "两者": make(Customer, categories=[tree["内销"], tree["进口商"]]),
        "无": make(Customer),
    }


@pytest.fixture
def role(db):
    """``role(scope, category…)`` is a role that may see, change and export customers within these categories."""

    def built(scope, *limits):
        made = make(Role, data_scope=scope)
        names = [f"{action}_{model}" for action in ("view", "change", "export") for model in ("customer", "contact")]
        made.permissions.set(Permission.objects.filter(codename__in=names))
        for category in limits:
            make(RoleCategory, role=made, category=category)
        return made

    return built


def seen(user, shop, action="view"):
    ids = set(policy_for(Customer).visible_to(User.objects.get(pk=user.pk), action).values_list("pk", flat=True))
    return {name for name, customer in shop.items() if customer.pk in ids}


@pytest.mark.parametrize("action", ["view", "change", "export"])
def test_a_limited_role_reaches_its_categories_and_what_is_below(shop, tree, role, action):
    user = make(User, groups=[role(DataScope.ALL, tree["外贸"])])
    assert seen(user, shop, action) == {"外贸", "欧洲", "两者"}
    user = make(User, groups=[role(DataScope.ALL, tree["欧洲进口商"], tree["内销"])])
    assert seen(user, shop, action) == {"欧洲", "内销", "两者"}


def test_a_role_without_limits_and_a_removed_limit_reach_everything(shop, tree, role):
    assert seen(make(User, groups=[role(DataScope.ALL)]), shop) == set(shop)
    limited = role(DataScope.ALL, tree["内销"])
    limit = RoleCategory.objects.get(role=limited)
    limit.is_valid = False
    limit.save()
    assert seen(make(User, groups=[limited]), shop) == set(shop)


def test_roles_add_up_and_the_widest_without_a_limit_counts(shop, tree, role):
    groups = [role(DataScope.ALL, tree["内销"]), role(DataScope.ALL, tree["欧洲进口商"])]
    assert seen(make(User, groups=groups), shop) == {"内销", "两者", "欧洲"}
    assert seen(make(User, groups=[*groups, role(DataScope.ALL)]), shop) == set(shop)


def test_department_scope_and_limit_both_have_to_fit(shop, tree, role):
    user = make(User, groups=[role(DataScope.DEPARTMENT, tree["内销"])])
    colleague = make(User, department=user.department)
    for name in ("内销", "欧洲"):
        ownership.set_owner(shop[name], colleague, by=None)
    assert seen(user, shop) == {"内销"}


def test_own_and_shared_customers_stay_whatever_their_category(shop, tree, role):
    user = make(User, groups=[role(DataScope.ALL, tree["内销"])])
    ownership.set_owner(shop["外贸"], user, by=None)
    ownership.add_collaborator(shop["无"], user, by=None, level="view")
    assert seen(user, shop) == {"内销", "两者", "外贸", "无"}
    assert seen(user, shop, "change") == {"内销", "两者", "外贸"}


def test_list_count_page_parts_and_log_keep_to_the_limit(shop, tree, role, browse):
    for customer in shop.values():
        make(Contact, customer=customer, name=f"联系{customer.name}")
    limited = role(DataScope.ALL, tree["内销"])
    limited.permissions.add(Permission.objects.get(codename="view_businesslog"))
    user = make(User, groups=[limited])
    response = browse(user).get("/customers/customer/")
    assert response.context["cl"].result_count == 2
    assert {row.pk for row in response.context["cl"].result_list} == {shop["内销"].pk, shop["两者"].pk}
    assert browse(user).get(f"/customers/customer/{shop['外贸'].pk}/change/").status_code == 404
    assert {contact.customer_id for contact in policy_for(Contact).visible_to(user)} == {
        shop["内销"].pk,
        shop["两者"].pk,
    }
    logged = policy_for(BusinessLog).visible_to(user).exclude(root_id=None).values_list("root_id", flat=True)
    assert set(logged) == {shop["内销"].pk, shop["两者"].pk}


def test_an_export_holds_the_limited_rows_only(shop, tree, role):
    from crm.excel.resource import resource_for

    user = make(User, groups=[role(DataScope.ALL, tree["内销"])])
    policy = resource_for("customers.Customer").policy
    assert set(policy.limit(Customer.objects.all(), user, "export")) == {shop["内销"], shop["两者"]}


def test_who_is_limited_neither_lifts_the_limit_nor_hands_on_more(tree, role):
    limited = role(DataScope.ALL, tree["内销"])
    limited.permissions.add(*Permission.objects.filter(codename__endswith="_rolecategory"))
    user = make(User, groups=[limited])
    policy = policy_for(RoleCategory)
    assert policy.allows(user, "view")
    assert not any(policy.allows(user, action) for action in ("add", "change", "delete"))
    wide = role(DataScope.ALL)
    assert wide not in grantable_roles(user)
    free = make(User, groups=[wide])
    assert wide in grantable_roles(free)


def test_a_limit_is_entered_once(tree, role):
    from django.core.exceptions import ValidationError

    limited = role(DataScope.ALL, tree["内销"])
    with pytest.raises(ValidationError, match="已限定"):
        RoleCategory(role=limited, category=tree["内销"]).full_clean()


def test_a_category_that_limits_a_role_is_not_removed(tree, role):
    from crm import records

    role(DataScope.ALL, tree["内销"])
    with pytest.raises(records.InUse, match="角色的客户分类"):
        records.remove(tree["内销"], by=None)
