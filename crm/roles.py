"""The roles a new installation starts with. Each app says in its ``permissions`` module what they may do there."""

from crm.models import DataScope

SHIPPED = {
    "销售": (DataScope.SELF, "管理自己的客户、线索和商机"),
    "销售主管": (DataScope.DEPARTMENT, "管理本部门的客户和业绩"),
    "销售总监": (DataScope.DEPARTMENT_TREE, "管理本部门及下级部门"),
    "客服": (DataScope.ALL, "处理客户服务，可查看客户"),
    "服务专员": (DataScope.SELF, "处理分给自己的工单，客户资料只看到所需的部分"),
    "财务": (DataScope.ALL, "回款、发票与信用"),
    "市场": (DataScope.ALL, "市场活动与线索投放"),
    "审批人": (DataScope.ALL, "审批客户与合同"),
    "审计": (DataScope.ALL, "只读查看全部数据与日志"),
    "管理员": (DataScope.ALL, "系统设置、用户与角色"),
}

_rights: dict[str, set[str]] = {name: set() for name in SHIPPED}


def allow(roles: str, model, actions: str) -> None:
    """``allow("销售 销售主管", Customer, "add change view")``: blank-separated role names and actions."""
    options = model._meta
    for role in roles.split():
        _rights[role] |= {f"{options.app_label}.{action}_{options.model_name}" for action in actions.split()}


def rights(role: str) -> set[str]:
    return set(_rights[role])
