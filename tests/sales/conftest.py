"""A sales floor: sellers of two teams, a private pool with a member and an admin, a public one."""

from dataclasses import dataclass

import pytest

from crm.models import Department, User
from sales.models import LeadPool
from tests.factories import make


@dataclass
class Floor:
    seller: User
    colleague: User
    manager: User
    stranger: User
    stranger_manager: User
    public: LeadPool
    private: LeadPool


@pytest.fixture
def floor(person):
    south = make(Department, name="华南销售部", parent=None, manager=None)
    north = make(Department, name="华北销售部", parent=None, manager=None)
    colleague = person("销售", full_name="王芳", department=south)
    stranger_manager = person("销售主管", full_name="赵磊", department=north)
    return Floor(
        seller=person("销售", full_name="张伟", department=south),
        colleague=colleague,
        manager=person("销售主管", full_name="黄强", department=south),
        stranger=person("销售", full_name="孙丽", department=north),
        stranger_manager=stranger_manager,
        public=make(LeadPool, name="公共池"),
        private=make(LeadPool, name="展会池", is_public=False, members=[colleague], admins=[stranger_manager]),
    )
