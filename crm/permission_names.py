"""Chinese names for permissions: Django makes them in English ("Can add 客户")."""

ACTIONS = {
    "add": "新增",
    "change": "修改",
    "delete": "删除",
    "view": "查看",
    "import": "导入",
    "export": "导出",
}


def chinese_name(codename: str, verbose_name: str) -> str:
    """``("add_customer", "客户")`` gives ``新增客户``; empty for an action that is the model's own to name."""
    action = ACTIONS.get(codename.partition("_")[0])
    return f"{action}{verbose_name}" if action else ""
