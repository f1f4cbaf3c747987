"""People, departments and dictionaries of the old systems."""

from django.contrib.auth.hashers import make_password

from crm.legacy.tables import Table, table
from crm.models import Department, DictionaryItem, DictionaryType, Role, User


class People(Table):
    """Accounts by user name. No password comes along: whoever is to work here is invited to set one.

    An account that is here already stays as it is: whoever has the same login there may be somebody else.
    """

    model = User
    fills_known = False
    one_by_one = True
    required = ("username",)

    def adjust(self, item, context):
        item.values.pop("is_valid", None)
        item.values.setdefault("full_name", item.values.get("username", ""))
        item.values["full_name"] = item.values["full_name"][:50]

    def complete(self, rows, items, context):
        for row in rows:
            row |= {"password": make_password(None), "is_staff": True}

    def foreseen(self, pairs, context):
        for item, pk in pairs:
            context.met(pk, item.values.get("username"), item.values.get("full_name"))

    def finish(self, context):
        context.__dict__.pop("_people", None)


@table("java-crm", "t_user", order=10)
class JavaUsers(People):
    pass


@table("fastapi-crm", "sys_dept", order=5, tree="parent_id")
class Departments(Table):
    """Departments by name below the one above."""

    model = Department
    required = ("name",)


@table("fastapi-crm", "sys_user", order=10)
class FastapiUsers(People):
    pass


@table("java-crm", "t_role", order=8, one_by_one=True, by="name", synonyms={"role_remark": "role_remarker"})
class Roles(Table):
    """Roles by name; what they may do is said here anew."""

    model = Role
    required = ("name",)


@table("java-crm", "t_datadic", order=9)
class Dictionary(Table):
    """Words of dictionaries that we have; other dictionaries stay among the old values."""

    model = DictionaryItem
    required = ("type", "label")

    def adjust(self, item, context):
        kind = item.values.get("type")
        if kind not in DictionaryType.values:
            item.refused = f"没有对应的字典“{item.get('data_dic_name')}”，旧值保留"
            return
        label = item.values.get("label", "")
        item.values.setdefault("code", label[:50])
        item.target = context.known_item(kind, label)
        if item.target is not None:
            del item.values["code"]

    def arrived(self, pairs, context):
        for item, pk in pairs:
            if {"type", "label"} <= item.values.keys():
                context.named_item(pk, item.values["type"], item.values["label"])

    foreseen = arrived
