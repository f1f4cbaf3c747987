"""What the pages promise: filters, trees, permission table, texts that nobody touched."""

import re

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from crm.admin.base import orders
from crm.models import Department, Notification, Role
from customers.models import Customer, ShippingMark
from tests.browsing import posted
from tests.factories import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(browse, person):
    return browse(person(is_superuser=True))


def test_departments_stand_below_their_parents(admin):
    make(Department, name="总部", parent=None, sort=1)
    head = Department.objects.get(name="总部")
    make(Department, name="市场部", parent=head, sort=2)
    sales = make(Department, name="销售部", parent=head, sort=1)
    make(Department, name="一组", parent=sales)
    rows = admin.get(reverse("admin:crm_department_changelist")).context_data["cl"].result_list
    shown = [(row.name, row.depth) for row in rows if row.name in {"总部", "市场部", "销售部", "一组"}]
    assert shown == [("总部", 0), ("销售部", 1), ("一组", 2), ("市场部", 1)]


def test_a_found_department_is_shown_without_its_parent(admin):
    head = make(Department, name="总部", parent=None)
    make(Department, name="售后组", parent=head)
    rows = admin.get(reverse("admin:crm_department_changelist"), {"q": "售后组"}).context_data["cl"].result_list
    assert [(row.name, row.depth) for row in rows] == [("售后组", 0)]


def test_the_permission_table_shows_what_the_role_holds_and_saves_what_is_ticked(admin):
    role = Role.objects.get(name="销售")
    address = reverse("admin:crm_role_change", args=[role.pk])
    page = admin.get(address).content.decode()
    ticked = {int(pk) for pk in re.findall(r'name="permissions" value="(\d+)" checked', page)}
    assert ticked == set(role.permissions.values_list("pk", flat=True))
    assert "historical" not in page
    review = Permission.objects.get(codename="review_customer")
    form = {"name": "销售", "data_scope": 1, "is_active": "on", "lock_version": role.lock_version}
    admin.post(address, form | {"permissions": [review.pk]})
    assert list(Role.objects.get(pk=role.pk).permissions.all()) == [review]


def test_a_text_of_several_lines_that_nobody_touched_is_no_change(admin):
    """Browsers send CRLF for the line ends they were given as LF."""
    mark = make(ShippingMark, customer=make(Customer), content="KEYUAN\nC/NO. 1-UP")
    address = reverse("admin:customers_shippingmark_change", args=[mark.pk])
    form = {"customer": mark.customer_id, "content": "KEYUAN\r\nC/NO. 1-UP", "remark": "", "lock_version": 1}
    assert admin.post(address, form).status_code == 302
    mark.refresh_from_db()
    assert (mark.content, mark.lock_version) == ("KEYUAN\nC/NO. 1-UP", 1)


def test_who_enters_a_customer_owns_it(browse, person):
    seller = person("销售")
    posted(browse(seller), reverse("admin:customers_customer_add"), name="新客户")
    assert Customer.objects.get(name="新客户").owner == seller


def test_the_chips_above_a_list_say_what_narrows_it(admin):
    response = admin.get(reverse("admin:customers_customer_changelist"), {"review_status": "pending", "p": 1})
    chips = response.context_data["cl"].active_filters()
    assert [(title, words) for title, words, _ in chips] == [("审核状态", "待审核")]
    assert "review_status" not in chips[0][2]


def test_opening_a_message_reads_it_and_all_can_be_read_at_once(browse, person):
    me = person()
    first, second = make(Notification, user=me, read_at=None, link="/x/"), make(Notification, user=me, read_at=None)
    client = browse(me)
    assert client.get(reverse("admin:crm_notification_change", args=[first.pk])).url == "/x/"
    assert set(Notification.objects.filter(user=me, read_at=None)) == {second}
    client.get(reverse("admin:crm_notification_read_all"))
    assert Notification.objects.filter(user=me, read_at=None).exists()
    client.post(reverse("admin:crm_notification_read_all"))
    assert not Notification.objects.filter(user=me, read_at=None).exists()


def test_customers_are_ordered_by_what_an_index_has_and_by_nothing_else(admin):
    """By the folded name, which has an index, with the key after it; an address has none."""
    for name in ("乙公司", "Ａ公司", "a公司"):
        make(Customer, name=name)
    address = reverse("admin:customers_customer_changelist")
    columns = admin.get(address).context_data["cl"].list_display
    changes = admin.get(address, {"o": columns.index("name")}).context_data["cl"]
    assert list(changes.queryset.query.order_by) == ["name_key", "pk"]
    assert [customer.name for customer in changes.result_list] == ["Ａ公司", "a公司", "乙公司"]
    assert {"name", "code", "stage_name", "deal_name", "updated_at"} <= set(changes.sortable_by)
    assert {"address", "remark", "annual_turnover"}.isdisjoint(orders(Customer))


def test_small_tables_are_ordered_by_any_column(admin):
    columns = admin.get(reverse("admin:customers_tag_changelist")).context_data["cl"].sortable_by
    assert "remark" in columns
