import pytest

from crm import actor
from crm.models import Department, Role, User


@pytest.fixture
def seller(db):
    """A salesperson of 华南销售部."""
    department = Department.objects.create(name="华南销售部")
    user = User.objects.create(username="seller", full_name="张三", is_staff=True, department=department)
    user.groups.add(Role.objects.get(name="销售"))
    return User.objects.get(pk=user.pk)


@pytest.fixture
def colleague(db, seller):
    other = Department.objects.create(name="华东销售部")
    user = User.objects.create(username="other", full_name="李四", is_staff=True, department=other)
    user.groups.add(Role.objects.get(name="销售"))
    return User.objects.get(pk=user.pk)


@pytest.fixture
def acting(seller):
    with actor.acting(seller, ip="10.1.2.3", batch="import:1", reason="Excel 导入"):
        yield seller


@pytest.fixture
def page(client, seller, settings, tmp_path):
    """The seller's browser; files land in a folder of the test."""
    settings.FILES_DIR = tmp_path
    client.force_login(seller, backend="crm.auth.RoleBackend")
    return client
