"""The header of a sheet that nobody here made is found, and its titles are understood, or left to the user."""

from datetime import date
from pathlib import Path

import pytest

from crm.excel.layout import find_header, match_columns, normalize_title
from crm.excel.reader import Row, open_rows

DATA = Path(__file__).parents[4] / "shared" / "data"
KNOWN = ["客户名称", "名称", "联系人", "联系电话", "手机号码", "电子邮箱", "地址", "备注"]


def table(*rows):
    return [Row(number, list(cells)) for number, cells in enumerate(rows, 1) if cells]


@pytest.mark.parametrize(
    ("title", "normal"),
    [
        ("名称*", "名称"),
        ("＊客户名称（必填）", "客户名称"),
        ("*客户名称(必填)", "客户名称"),
        ("客户 名称：", "客户名称"),
        ("税率(%)", "税率"),
        ("联系电话【手机】", "联系电话"),
        ("Customer_Name ", "customername"),
        ("Ｅ-Mail", "email"),
        ("Required Date", "requireddate"),
        ("Name (required)", "name"),
        ("收货\n地址 ", "收货地址"),
        ("（备注）", "备注"),
        ("", ""),
    ],
)
def test_titles_compare_without_decoration(title, normal):
    assert normalize_title(title) == normal


DATA_ROWS = [
    ["0001", "深圳甲贸易有限公司", "张三", "13800000000", date(2024, 1, 1), 12.5],
    ["0002", "上海乙实业公司", "李四", "13900000000", date(2024, 1, 2), 7],
]
TITLES = ["编码", "公司全称", "负责人", "移动电话", "建档日期", "额度"]


@pytest.mark.parametrize("known", [KNOWN, []], ids=["known titles", "unknown titles"])
@pytest.mark.parametrize(
    "above",
    [
        [],
        [["客户资料一览表"]],
        [["客户资料一览表"], [None, None, None, "制表人：张三", "2024-01-31"]],
        [["1、带星号的为必填项\n2、状态列：0-禁用 1-启用\n3、导入时本段内容请勿删除，切记！切记！切记！切记！"]],
        [[], ["客户资料一览表"], []],
    ],
    ids=["nothing", "title", "title and author", "instructions", "title between blank rows"],
)
def test_what_stands_above_the_header_is_not_the_header(above, known):
    guess = find_header(table(*above, TITLES, *DATA_ROWS), known)
    assert guess.titles == TITLES
    assert (guess.row_number, guess.first_data_row) == (len(above) + 1, len(above) + 2)
    assert guess.confidence >= 0.5


def test_known_titles_decide():
    """Where everything is text, our own titles tell the header from rows of text around it."""
    rows = table(
        ["甲", "乙", "丙"],
        ["第一批", "第二批", "第三批"],
        ["*客户名称(必填)", "联系人", "地址"],
        ["公司", "王五", "深圳"],
    )
    assert find_header(rows, KNOWN).row_number == 3


def test_leading_blank_columns_and_missing_titles():
    """Titles stand at their columns; a column without one has an empty title."""
    guess = find_header(table([None, "姓名", None, "金额", "备 注 "], [None, "张三", "x", 3, "无"]))
    assert guess.titles == ["", "姓名", "", "金额", "备 注"]


def test_repeated_titles_are_kept():
    titles = ["姓名", "电话", "电话", "金额", "金额"]
    assert find_header(table(titles, ["张三", "0755-1", "0755-2", 1, 2])).titles == titles


def test_a_header_in_two_rows_is_joined():
    """A title over several columns goes before those below it; below a single title there is nothing."""
    rows = table(
        ["编码", "名称", "联系人", None, None, "开票信息", None],
        [None, None, "姓名", "手机", "地址", "税号", "开户行"],
        ["0001", "甲公司", "张三", "13800000000", "深圳", "914403", "工行"],
    )
    guess = find_header(rows, ["名称", "地址"])
    assert guess.titles == ["编码", "名称", "联系人姓名", "联系人手机", "地址", "开票信息税号", "开票信息开户行"]
    assert (guess.row_number, guess.first_data_row) == (1, 3)


def test_data_with_gaps_is_no_second_header():
    rows = table(["姓名", "地址", "备注"], ["张三", None, "无"], ["李四", "深圳", "有"])
    assert find_header(rows).first_data_row == 2


def test_without_a_header_the_guess_is_not_confident():
    assert find_header(table(*DATA_ROWS)).confidence < 0.5


def test_a_sheet_of_titles_only_has_no_data():
    assert find_header(table(TITLES)).first_data_row is None
    with pytest.raises(ValueError, match="no rows"):
        find_header([])


TARGETS = {
    "name": ["客户名称", "客户全称", "公司名称", "Company"],
    "code": ["客户编码", "客户编号"],
    "phone": ["联系电话", "电话", "Phone"],
    "contact": ["联系人", "负责人"],
    "contact_phone": ["联系人手机", "手机"],
    "address": ["地址", "Address"],
}


def test_columns_are_matched_by_title():
    titles = ["＊公司名称（必填）", "客户编号", "联系人姓名", "手机号码", "客户地址", "级别", ""]
    assert match_columns(titles, TARGETS) == {0: "name", 1: "code", 2: "contact", 3: "contact_phone", 4: "address"}


def test_an_equal_title_wins_over_a_similar_one():
    assert match_columns(["公司地址", "地址"], TARGETS) == {1: "address"}


def test_a_target_is_given_once_to_the_leftmost_column():
    assert match_columns(["电话", "联系电话"], TARGETS) == {0: "phone"}


def test_english_titles_and_numbered_ones():
    assert match_columns(["Company Name", "Phone 1", "Phone 2", "Adress", "ADDRESS"], TARGETS) == {
        0: "name",
        1: "phone",
        4: "address",
    }


@pytest.mark.parametrize("title", ["联系人电话", "产品名称", "收货地址", "客户等级", "开户行账号", "电话是否有效"])
def test_what_merely_contains_a_title_is_left_to_the_user(title):
    """A wrong match that nobody notices is worse than one click on the mapping page."""
    assert match_columns([title], {**TARGETS, "product": ["名称"]}) == {}


def test_what_may_mean_two_targets_is_left_to_the_user():
    assert match_columns(["电话"], {"phone": ["电话"], "office_phone": ["电话"]}) == {}


@pytest.mark.skipif(not DATA.exists(), reason="没有真实文件 ../shared/data")
@pytest.mark.parametrize(
    ("file", "header", "titles"),
    [
        ("cn_customers/客户导入模板.xlsx", 1, ["名称", "联系人", "电话"]),
        ("cn_customers/客户信息.csv", 1, ["客户id", "年龄", "姓名"]),
        ("cn_customers/业务经理信息表_xl.xlsx", 1, ["业务经理编号", "分区", "区域"]),
        ("cn_small/test1.csv", 1, ["编号", "年龄", "性别", "注册时间"]),
        ("cn_small/order.csv", 1, ["", "本月累计", "上月同期"]),
        ("cn_orders/order-14.1_gb18030.csv", 1, ["商品ID", "类别ID", "门店编号"]),
        ("cn_orders/tmall_order_report.csv", 1, ["订单编号", "总金额", "买家实际支付金额", "收货地址"]),
        ("cn_superstore/示例 - 超市.xls", 1, ["行 ID", "订单 ID", "订单日期"]),
        ("legacy_jsherp/customer_template.xls", 2, ["名称*", "联系人", "手机号码"]),
        ("legacy_jsherp/vendor_template.xls", 2, ["名称*", "联系人", "手机号码"]),
        ("crm_maven/accounts.csv", 1, ["account", "sector", "year_established"]),
        ("customers_en/customers-10000.csv", 1, ["Index", "Customer Id", "First Name"]),
        ("customers_en/WA_Fn-UseC_-Telco-Customer-Churn.csv", 1, ["customerID", "gender"]),
    ],
)
def test_real_files(file, header, titles):
    """With and without knowing a title."""
    with open_rows(DATA / file, limit=30) as found:
        rows = list(found)
    for known in (KNOWN, []):
        guess = find_header(rows, known)
        assert (guess.row_number, guess.first_data_row) == (header, header + 1)
        assert guess.titles[: len(titles)] == titles
        assert guess.confidence >= 0.5
