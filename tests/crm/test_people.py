"""Users and roles: nobody hands out, takes away or takes over more than he has himself."""

import pytest
from django.contrib.auth.models import Permission

from crm.models import DataScope, Role, User
from crm.roles import SHIPPED, rights
from tests.contract.probes import form_values
from tests.factories import make

pytestmark = pytest.mark.django_db
PASSWORD = "Guangzhou-2024-Spring"


def permission(name):
    app, codename = name.split(".")
    return Permission.objects.get(content_type__app_label=app, codename=codename)


@pytest.fixture
def clerk(person):
    """Looks after accounts and roles of sales, and is no administrator: department scope, sales rights."""
    role = make(Role, name="人事", data_scope=DataScope.DEPARTMENT)
    role.permissions.set(
        permission(name)
        for name in (
            *("crm.add_user", "crm.change_user", "crm.view_user"),
            *("crm.add_role", "crm.change_role", "crm.view_role", "crm.delete_role"),
            *rights("销售"),
        )
    )
    user = make(User, groups=[role])
    user.role = role
    return user


@pytest.fixture
def submit(browse):
    """``submit(user, page, name=value)`` opens the form at ``page`` and sends it back with these values changed."""

    def send(user, page, **values):
        model = User if "/user/" in page else Role
        browser = browse(user)
        opened = browser.get(page)
        assert opened.status_code == 200, opened.status_code
        return browser.post(page, {**form_values(opened, model), **values})

    return send


def page(obj):
    return f"/crm/{obj._meta.model_name}/{obj.pk}/change/"


def roles_of(user):
    return set(user.groups.values_list("name", flat=True))


# --- Shipped roles ----------------------------------------------------------------------------------------------------


def test_every_shipped_role_exists_with_its_scope_and_every_right_it_names():
    """A right that is named and does not exist is a promise nobody keeps."""
    known = set(Permission.objects.values_list("content_type__app_label", "codename"))
    missing = {f"{name}: {right}" for name in SHIPPED for right in rights(name) if tuple(right.split(".")) not in known}
    assert not missing
    for name, (scope, _) in SHIPPED.items():
        assert Role.objects.get(name=name).data_scope == scope


def test_permissions_have_chinese_names():
    ours = Permission.objects.filter(content_type__app_label__in=["crm", "customers"])
    models = [p for p in ours.select_related("content_type") if p.content_type.model_class() is not None]
    assert not [p.name for p in models if p.name.startswith("Can ")]


# --- Giving roles -----------------------------------------------------------------------------------------------------


def test_an_administrator_gives_any_shipped_role(person, submit):
    newcomer = make(User)
    for name in SHIPPED:
        role = Role.objects.get(name=name)
        assert submit(person("管理员"), page(newcomer), roles=[role.pk]).status_code == 302
        assert roles_of(newcomer) == {name}


def test_a_role_beyond_ones_own_rights_is_not_offered_and_not_taken(clerk, submit, browse):
    newcomer = make(User)
    for name in ("管理员", "销售主管", "审计"):
        role = Role.objects.get(name=name)
        offered = browse(clerk).get(page(newcomer)).context["adminform"].form.fields["roles"].queryset
        assert role not in offered
        assert submit(clerk, page(newcomer), roles=[role.pk]).status_code == 200
        assert roles_of(newcomer) == set()


def test_a_role_within_ones_own_rights_can_be_given(clerk, submit):
    newcomer = make(User)
    assert submit(clerk, page(newcomer), roles=[Role.objects.get(name="销售").pk]).status_code == 302
    assert roles_of(newcomer) == {"销售"}


def test_the_same_rights_over_more_rows_are_more(clerk, submit):
    wide = make(Role, data_scope=DataScope.ALL)
    wide.permissions.set([permission("customers.view_customer")])
    newcomer = make(User)
    submit(clerk, page(newcomer), roles=[wide.pk])
    assert roles_of(newcomer) == set()


def test_nobody_takes_away_what_he_could_not_give(clerk, person, submit):
    director = person("销售总监")
    assert submit(clerk, page(director), roles=[]).status_code == 200
    assert roles_of(director) == {"销售总监"}


def test_nobody_promotes_himself(clerk, submit):
    for name in ("管理员", "销售总监"):
        submit(clerk, page(clerk), roles=[clerk.role.pk, Role.objects.get(name=name).pk])
    assert roles_of(clerk) == {"人事"}


@pytest.mark.parametrize("flag", ["is_superuser", "is_staff"])
def test_nobody_but_a_superuser_makes_superusers(flag, person, submit):
    admin, target = person("管理员"), make(User, is_staff=False)
    for victim in (admin, target):
        submit(admin, page(victim), **{flag: "on"})
    assert not User.objects.filter(is_superuser=True).exists()
    assert not User.objects.get(pk=target.pk).is_staff


def test_other_columns_of_an_account_are_not_taken_from_the_form(person, submit):
    """Groups, single permissions and the password hash have no field; sending them changes nothing."""
    target = make(User)
    role, right = Role.objects.get(name="管理员"), permission("crm.change_role")
    sent = {"groups": [role.pk], "user_permissions": [right.pk], "password": "x", "date_joined": "2000-01-01"}
    submit(person("管理员"), page(target), **sent)
    stored = User.objects.get(pk=target.pk)
    assert (roles_of(stored), list(stored.user_permissions.all()), stored.password) == (set(), [], "!")
    assert stored.date_joined.year > 2000


def test_a_superusers_account_is_changed_by_superusers_only(person, submit, browse):
    boss = make(User, is_superuser=True, full_name="老板")
    admin = person("管理员")
    browse(admin).post(page(boss), {"full_name": "改了", "username": boss.username, "lock_version": boss.lock_version})
    assert User.objects.get(pk=boss.pk).full_name == "老板"
    assert submit(boss, page(boss), full_name="新老板").status_code == 302


def test_a_change_of_roles_is_one_entry_of_the_log(person, submit):
    from crm.models import BusinessLog

    target = person("销售")
    submit(person("管理员"), page(target), roles=[Role.objects.get(name="客服").pk], full_name="李四")
    entry = BusinessLog.objects.filter(content_type__model="user", object_id=target.pk).latest("id")
    assert entry.changes["groups"] == [["销售"], ["客服"]]
    assert entry.changes["full_name"][1] == "李四"


def test_a_new_account_can_log_in_and_has_no_rights_yet(person, browse, client):
    sent = {
        "username": "lisi",
        "full_name": "李四",
        "usable_password": "true",
        "password1": PASSWORD,
        "password2": PASSWORD,
    }
    assert browse(person("管理员")).post("/crm/user/add/", sent).status_code == 302
    user = User.objects.get(username="lisi")
    assert (user.is_staff, user.is_superuser, roles_of(user)) == (True, False, set())
    assert client.post("/login/", {"username": "lisi", "password": PASSWORD, "next": "/"}).status_code == 302


# --- Passwords of others ----------------------------------------------------------------------------------------------


def reset(browser, user):
    data = {"usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    return browser.post(f"/crm/user/{user.pk}/password/", data)


def test_an_administrator_resets_a_password(person, browse):
    seller = person("销售")
    assert reset(browse(person("管理员")), seller).status_code == 302
    assert User.objects.get(pk=seller.pk).check_password(PASSWORD)


@pytest.mark.parametrize("values", [{}, {"is_active": False}], ids=["active", "disabled"])
def test_the_password_of_a_stronger_account_cannot_be_reset(values, clerk, person, browse):
    """Whoever sets a password can log in with it: that is every right of the account."""
    for victim in (person("管理员", **values), person("销售总监", **values), make(User, is_superuser=True)):
        assert browse(clerk).get(f"/crm/user/{victim.pk}/password/").status_code == 403
        assert reset(browse(clerk), victim).status_code == 403
        assert User.objects.get(pk=victim.pk).password == "!"
    seller = person("销售")
    assert reset(browse(clerk), seller).status_code == 302


def test_the_password_of_nobody_is_404(person, browse):
    assert reset(browse(person("管理员")), User(pk=999999)).status_code == 404


# --- Editing roles ----------------------------------------------------------------------------------------------------


def test_an_administrator_edits_a_role(person, submit):
    role = make(Role, data_scope=DataScope.SELF)
    view = permission("customers.view_customer")
    assert submit(person("管理员"), page(role), permissions=[view.pk], data_scope=4).status_code == 302
    assert set(role.permissions.all()) == {view}
    assert Role.objects.get(pk=role.pk).data_scope == DataScope.ALL


def test_a_right_one_does_not_have_cannot_be_put_into_a_role(clerk, submit, browse):
    role = make(Role)
    right = permission("customers.assign_customer")
    assert right not in browse(clerk).get(page(role)).context["adminform"].form.fields["permissions"].queryset
    assert submit(clerk, page(role), permissions=[right.pk]).status_code == 200
    assert not role.permissions.exists()


def test_a_right_cannot_be_widened_beyond_ones_own_rows(clerk, submit):
    role = make(Role)
    view = permission("customers.view_customer")
    submit(clerk, page(role), permissions=[view.pk], data_scope=DataScope.ALL)
    assert not role.permissions.exists()
    assert submit(clerk, page(role), permissions=[view.pk], data_scope=DataScope.DEPARTMENT).status_code == 302
    submit(clerk, page(role), data_scope=DataScope.ALL)
    assert Role.objects.get(pk=role.pk).data_scope == DataScope.DEPARTMENT


def test_nobody_widens_his_own_role(clerk, submit):
    submit(clerk, page(clerk.role), data_scope=DataScope.ALL)
    assert Role.objects.get(pk=clerk.role.pk).data_scope == DataScope.DEPARTMENT


def test_a_switched_off_role_with_more_rights_cannot_be_switched_on(clerk, submit):
    """Otherwise an old role that he still holds would make an administrator of him."""
    strong = make(Role, is_active=False, data_scope=DataScope.ALL)
    strong.permissions.set([permission("crm.change_role"), permission("customers.assign_customer")])
    User.objects.get(pk=clerk.pk).groups.add(strong)
    submit(clerk, page(strong), is_active="on")
    assert not Role.objects.get(pk=strong.pk).is_active


def test_a_new_role_is_bound_by_the_same_rule(clerk, browse):
    right = permission("customers.assign_customer")
    browse(clerk).post(
        "/crm/role/add/", {"name": "新角色", "data_scope": 4, "is_active": "on", "permissions": [right.pk]}
    )
    assert not Role.objects.filter(name="新角色", permissions=right).exists()


def test_a_role_in_use_is_not_removed(person, browse):
    seller = person("销售")
    role = seller.groups.get().role
    browse(person("管理员")).post(f"/crm/role/{role.pk}/delete/", {"post": "yes"})
    assert roles_of(seller) == {"销售"}


def test_the_page_of_djangos_own_groups_is_gone(person, browse):
    boss = make(User, is_superuser=True)
    assert browse(boss).get("/auth/group/").status_code == 404
