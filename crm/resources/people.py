"""What a row of a workbook means for user accounts. No column holds a password or makes a superuser."""

from django.contrib.auth.hashers import make_password

from crm import text
from crm.excel.resource import Resource, register
from crm.excel.widgets import ManyWidget
from crm.granting import grantable_roles
from crm.models import Role, User


class RolesWidget(ManyWidget):
    """Roles by name; which of them may be given is asked per row, since what somebody has already may stay."""

    def __init__(self, field=None, **kwargs):
        super().__init__(field, **kwargs)
        self.model = Role

    def words(self, context):
        return list(grantable_roles(context.user).values_list("name", flat=True))


@register
class UserResource(Resource):
    """Recognised by user name. Roles within what the importer may give; a new account gets its password on its page."""

    class Meta:
        model = User
        fields = [
            "username",
            "full_name",
            "phone",
            "email",
            "department",
            "company",
            "organization",
            "side",
            "assistant",
            "groups",
            "is_active",
            "remark",
        ]
        readonly = ["is_superuser", "last_login", "created_at", "updated_at"]
        keys = [("username", "username")]
        fixed = ("username",)
        titles = {
            "email": "邮箱",
            "groups": "角色",
            "is_active": "启用",
            "is_superuser": "超级管理员",
            "last_login": "上次登录",
        }
        cells = {"groups": RolesWidget}
        notes = ["导入不含密码：新账号要由管理员在用户页面设置密码后才能登录。"]
        synonyms = {
            "username": ("登录名", "账号", "登录账号", "工号", "user name", "login"),
            "full_name": ("真实姓名", "员工姓名", "name", "full name", "sales_agent"),
            "phone": ("手机", "电话", "联系电话", "mobile", "phone"),
            "email": ("电子邮箱", "电子邮件地址", "email", "e-mail"),
            "department": ("所属部门", "部门名称", "department", "regional_office"),
            "company": ("所属公司", "公司主体"),
            "side": ("端",),
            "assistant": ("助理", "manager"),
            "groups": ("用户角色", "role", "roles"),
            "is_active": ("状态", "有效", "在职"),
            "remark": ("说明", "备注信息"),
        }
        examples = {"username": "wangfang", "full_name": "王芳", "phone": "13800138000", "groups": "销售"}

    def key_of(self, values):
        name = text.fold(values.get("username") or "")
        return ("username", name) if name else None

    def find(self, keys):
        """User names are few, and one that differs in case alone would be taken for the same person."""
        words = {word for _, word in keys}
        found: dict = {}
        for pk, name in User._base_manager.values_list("pk", "username") if words else ():
            if (word := text.fold(name)) in words:
                found.setdefault(("username", word), []).append(pk)
        return found

    def new_defaults(self, user):
        return {"is_staff": True, "password": make_password(None)}

    def check_row(self, values, stored, context):
        if "groups" not in values:
            return []
        held = context.names(("roles",), _roles_by_user).get(stored["id"], set()) if stored else set()
        allowed = context.names(("grantable",), lambda: set(grantable_roles(context.user).values_list("pk", flat=True)))
        refused = (set(values["groups"]) ^ held) - allowed
        if not refused:
            return []
        names = Role.objects.filter(pk__in=refused).order_by("pk").values_list("name", flat=True)
        return [("groups", f"不能授予或移除超出自己权限的“{'”“'.join(names)}”。")]

    def describe(self, values):
        return str(values.get("full_name") or values.get("username") or "")[:200]


def _roles_by_user() -> dict[int, set[int]]:
    held: dict[int, set[int]] = {}
    for user, role in User.groups.through.objects.values_list("user_id", "group_id"):
        held.setdefault(user, set()).add(role)
    return held
