import pytest

from crm.permission_names import chinese_name


@pytest.mark.parametrize(
    ("codename", "name"),
    [
        ("add_customer", "新增客户"),
        ("change_customer", "修改客户"),
        ("delete_customer", "删除客户"),
        ("view_customer", "查看客户"),
        ("import_customer", "导入客户"),
        ("export_customer", "导出客户"),
    ],
)
def test_a_permission_reads_as_what_it_allows(codename, name):
    assert chinese_name(codename, "客户") == name


def test_an_action_of_the_models_own_is_the_models_to_name():
    assert chinese_name("claim_customer", "客户") == ""
